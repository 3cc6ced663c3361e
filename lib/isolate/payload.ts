/** Payloads of a queue in memory whose handler runs in isolates: a copy as of the put. */
import { types } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { describeError, PayloadError } from '../errors.ts'
import { isPlainObject } from '../text/json.ts'

type Clone = (value: unknown) => unknown

/** A longer array is read by its keys, which takes longer unless it consists of holes. */
const maxIndexed = 10_000_000

/**
 * Copies payloads as they will be copied on their way to an isolate. So what cannot be copied is refused at the put, and
 * later changes of the original reach no attempt.
 *
 * An object of a class is refused too if its copy would be a plain object: its methods and its inner state would be lost
 * without an error, and an AbortSignal would arrive as {}.
 */
export function payloadCloner(kind: 'thread' | 'process'): Clone {
  const clone: Clone = kind === 'thread' ? structuredClone : value => deserialize(serialize(value))
  return payload => {
    const type = typeof payload
    if ((type !== 'object' && type !== 'function' && type !== 'symbol') || payload === null) return payload
    try {
      const loss = typeof payload === 'object' ? lossIn(payload, clone, new Set()) : undefined
      if (loss) throw refusal(loss, kind)
      return clone(payload)
    } catch (error) {
      if (error instanceof PayloadError) throw error
      const problem = `cannot be cloned (${describeError(error)}), and the handler runs in a ${kind}; give plain data`
      throw new PayloadError('payload', problem, { cause: error })
    }
  }
}

/** An object whose copy is a plain one, and where it is. */
interface Loss {
  readonly path: string
  /** It is in a Map or a Set, whose path this is. */
  readonly isHeld: boolean
  readonly object: object
}

function lossIn(value: object, clone: Clone, seen: Set<object>): Loss | undefined {
  if (seen.has(value)) return undefined
  seen.add(value)
  const isArray = Array.isArray(value)
  if (isArray || isPlainObject(value)) {
    // A copy of an array that consists of holes is quick, however long it is, and so must this be.
    const keys = isArray && value.length <= maxIndexed ? value.keys() : Object.keys(value)
    for (const key of keys) {
      const loss = lossInPart((value as Record<string | number, unknown>)[key], clone, seen)
      if (loss) return { ...loss, path: (isArray ? `[${key}]` : stepTo(`${key}`)) + loss.path }
    }
    return undefined
  }
  if (types.isMap(value) || types.isSet(value)) {
    const parts = types.isMap(value) ? [...value].flat(1) : [...value]
    for (const part of parts) {
      const loss = lossInPart(part, clone, seen)
      if (loss) return { ...loss, path: '', isHeld: true }
    }
    return undefined
  }
  return isKept(value) || !losesClass(value, clone) ? undefined : { path: '', isHeld: false, object: value }
}

function lossInPart(part: unknown, clone: Clone, seen: Set<object>): Loss | undefined {
  return typeof part === 'object' && part !== null ? lossIn(part, clone, seen) : undefined
}

function stepTo(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

/** Whether it is known to be copied as it is, so that it need not be tried. */
function isKept(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isBoxedPrimitive(value)
  )
}

/** The platform copies some of its own objects, such as a Blob. What it refuses is named when the whole is copied. */
function losesClass(value: object, clone: Clone): boolean {
  try {
    return isPlainObject(clone(value) as object)
  } catch {
    return false
  }
}

function refusal({ path, isHeld, object }: Loss, kind: 'thread' | 'process'): PayloadError {
  const verb = isHeld ? 'holds' : 'is'
  if (object instanceof AbortSignal) {
    const problem = `${verb} an AbortSignal, which has no effect in a ${kind}; pass it as \`signal\` of the put, and use task.signal in the handler`
    return new PayloadError(`payload${path}`, problem)
  }
  const name: unknown = object.constructor?.name
  const isNamed = typeof name === 'string' && name !== '' && name !== 'Object'
  const what = isNamed ? `an instance of ${name}` : 'an object of a class'
  const problem = `${verb} ${what}, of which only public fields arrive in a ${kind}, where the handler runs; give plain data`
  return new PayloadError(`payload${path}`, problem)
}
