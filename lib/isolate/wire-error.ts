/**
 * Errors on their way between threads or processes. A clone of an error would lose its class, its code and its own
 * fields, by which a queue decides what the error means for the job.
 */
import * as errors from '../errors.ts'
import * as controlErrors from '../settle/control-errors.ts'
import { isError, read } from '../text/error-to-json.ts'

/** How deep causes and nested errors are followed, and how many parts of one error are sent. */
const maxDepth = 8
const maxFields = 100

/** A thrown value, encoded. */
export type WireError =
  | { readonly value: unknown }
  | {
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
      /** Absent: it has none. */
      readonly cause?: WireError
      /** The errors of an AggregateError. */
      readonly errors?: readonly WireError[]
      readonly fields: readonly (
        | readonly [name: string, value: unknown]
        | readonly [name: string, error: WireError, 1]
      )[]
    }

type ErrorClass = { readonly prototype: Error }

const classes = new Map<string, ErrorClass>(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(made => [made.name, made]),
)
for (const [name, made] of Object.entries({ ...errors, ...controlErrors })) {
  const { prototype } = made as { prototype?: unknown }
  if (prototype instanceof Error) classes.set(name, made as unknown as ErrorClass)
}

const ofOwn: readonly string[] = ['name', 'message', 'stack', 'cause', 'errors', '__proto__']

/** Never throws, whatever was thrown. */
export function toWireError(thrown: unknown): WireError {
  try {
    return encode(thrown, 0)
  } catch {
    return { name: 'Error', message: 'the thrown value cannot be read', stack: undefined, fields: [] }
  }
}

function encode(thrown: unknown, depth: number): WireError {
  if (!isError(thrown)) return { value: cloneable(thrown) }
  const fields: (readonly [string, unknown] | readonly [string, WireError, 1])[] = []
  for (const key of Object.keys(thrown).slice(0, maxFields)) {
    if (ofOwn.includes(key)) continue
    const value = read(thrown, key)
    if (isError(value)) {
      if (depth < maxDepth) fields.push([key, encode(value, depth + 1), 1])
    } else fields.push([key, cloneable(value)])
  }
  const cause = read(thrown, 'cause')
  const nested = read(thrown, 'errors')
  const stack = read(thrown, 'stack')
  return {
    name: String(read(thrown, 'name') ?? 'Error'),
    message: String(read(thrown, 'message') ?? ''),
    stack: typeof stack === 'string' ? stack : undefined,
    ...(cause !== undefined && depth < maxDepth && { cause: encode(cause, depth + 1) }),
    ...(Array.isArray(nested) &&
      depth < maxDepth && { errors: nested.slice(0, maxFields).map(error => encode(error, depth + 1)) }),
    fields,
  }
}

/** The value itself if it can be cloned, otherwise a description. */
function cloneable(value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') return `[${errors.describe(value)}]`
  if (typeof value !== 'object' || value === null) return value
  try {
    return structuredClone(value)
  } catch {
    return `[${errors.describe(value)} that cannot be cloned]`
  }
}

/** An error of its class, if that is one of ours or of the language. */
export function fromWireError(wire: WireError): unknown {
  if ('value' in wire) return wire.value
  const { name, message, stack, cause, errors: nested, fields } = wire
  const error = nested ? new AggregateError(nested.map(fromWireError), message) : new Error(message)
  const made = classes.get(name)
  if (made) Object.setPrototypeOf(error, made.prototype)
  const hidden = (key: string, value: unknown): void =>
    void Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
  if (error.name !== name) hidden('name', name)
  if (stack !== undefined) hidden('stack', stack)
  if (cause !== undefined) hidden('cause', fromWireError(cause))
  for (const [key, value, isNested] of fields) {
    const field = isNested ? fromWireError(value as WireError) : value
    Object.defineProperty(error, key, { value: field, configurable: true, writable: true, enumerable: true })
  }
  return error
}
