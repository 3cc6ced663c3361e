/** A checkpoint as it was when it was passed in: later changes to the value have no effect. */
import { types } from 'node:util'
import { describeError, PayloadError } from '../errors.ts'
import { isPlainObject, textOf, valueFrom } from './json.ts'

export class CheckpointValue {
  /** The JSON text; undefined for a copy in memory. */
  readonly text: string | undefined
  readonly #copy: unknown

  private constructor(text: string | undefined, copy: unknown) {
    this.text = text
    this.#copy = copy
  }
  /** Throws PayloadError. @param strict Whether the value must survive JSON unchanged. */
  static of(value: unknown, strict: boolean): CheckpointValue {
    return strict
      ? new CheckpointValue(textOf(value, 'checkpoint'), undefined)
      : new CheckpointValue(undefined, cloned(value))
  }
  static ofText(text: string): CheckpointValue {
    return new CheckpointValue(text, undefined)
  }
  /** A new copy; undefined if another program has written a text that is not JSON. */
  read(): unknown {
    if (this.text === undefined) return structuredClone(this.#copy)
    try {
      return valueFrom(this.text)
    } catch {
      return undefined
    }
  }
}

function cloned(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol')
      throw uncloneable('checkpoint', `is a ${typeof value}`)
    return value
  }
  try {
    refuseClasses(value, 'checkpoint', new Set())
    return structuredClone(value)
  } catch (error) {
    if (error instanceof PayloadError) throw error
    throw uncloneable('checkpoint', `cannot be copied (${describeError(error)})`, error)
  }
}

/**
 * Refuses instances of classes, because their copies would lose the class. Built-in ones that can be copied are left to
 * structuredClone.
 */
function refuseClasses(value: object, path: string, seen: Set<object>): void {
  if (seen.has(value)) return
  seen.add(value)
  if (!Array.isArray(value) && !isPlainObject(value)) {
    if (isCloneable(value)) return
    throw uncloneable(path, `is an instance of ${value.constructor?.name}`)
  }
  for (const key of Object.keys(value)) {
    const part: unknown = value[key as keyof typeof value]
    const at = (): string => (Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`)
    if (typeof part === 'function' || typeof part === 'symbol') throw uncloneable(at(), `is a ${typeof part}`)
    if (typeof part === 'object' && part !== null) refuseClasses(part, at(), seen)
  }
}

function isCloneable(value: object): boolean {
  return (
    types.isDate(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isBoxedPrimitive(value) ||
    types.isArrayBuffer(value) ||
    (ArrayBuffer.isView(value) && !Buffer.isBuffer(value))
  )
}

function uncloneable(path: string, problem: string, cause?: unknown): PayloadError {
  return new PayloadError(path, `${problem}, and a checkpoint is stored as a copy; give plain data`, { cause })
}
