/**
 * What a handler threw, or gave as a reason, as text and back. Whatever it was, this never fails: recording an error must
 * not become another one.
 */
import { classes } from './errors.ts'

/** How deep causes and the parts of fields are followed. */
const deepest = 6
const longestText = 20_000

interface Thrown {
  readonly name?: string
  readonly message?: string
  readonly stack?: string
  readonly code?: string | number
  readonly cause?: Thrown
  readonly fields?: Readonly<Record<string, unknown>>
  /** What was thrown, where that was no error. */
  readonly value?: unknown
}

export function thrownText(thrown: unknown): string {
  try {
    return JSON.stringify(picture(thrown, 0))
  } catch {
    return '{"name":"Error","message":"what was thrown could not be recorded"}'
  }
}

/** An error of the name that it had, and of its class where that is one of ours or of the language. */
export function thrownOf(text: string): unknown {
  try {
    return revive(JSON.parse(text) as Thrown, 0)
  } catch {
    return new Error(`the stored error is no JSON: ${text.slice(0, 200)}`)
  }
}

function picture(thrown: unknown, depth: number): Thrown {
  // An error of another realm is no instance of our Error, and a proxy may throw at any question.
  if (!isError(thrown)) return { value: plain(thrown, depth) }
  const name = text(read(thrown, 'name')) ?? 'Error'
  const code = read(thrown, 'code')
  const cause = read(thrown, 'cause')
  const fields: Record<string, unknown> = {}
  for (const key of keysOf(thrown)) {
    if (['name', 'message', 'stack', 'code', 'cause', '__proto__'].includes(key)) continue
    const value = plain(read(thrown, key), depth + 1)
    if (value !== undefined) fields[key] = value
  }
  return {
    name,
    message: text(read(thrown, 'message')) ?? '',
    stack: text(read(thrown, 'stack')) ?? '',
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause !== undefined && depth < deepest ? { cause: picture(cause, depth + 1) } : {}),
    ...(Object.keys(fields).length > 0 ? { fields } : {}),
  }
}

function isError(thrown: unknown): thrown is object {
  if (typeof thrown !== 'object' || thrown === null) return false
  try {
    return thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]'
  } catch {
    return false
  }
}

function read(from: object, key: string): unknown {
  try {
    return (from as Record<string, unknown>)[key]
  } catch {
    return undefined
  }
}

function keysOf(of: object): readonly string[] {
  try {
    return Object.keys(of).slice(0, 100)
  } catch {
    return []
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, longestText) : undefined
}

/** The part of a value that JSON can hold; words for what it cannot. */
function plain(value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'boolean' || value === undefined) return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'string') return text(value)
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (typeof value === 'function') return '[a function]'
  if (depth >= deepest) return '[nested too deeply]'
  if (isError(value)) return picture(value, depth + 1)
  if (Array.isArray(value)) return value.slice(0, 100).map(item => plain(item, depth + 1) ?? null)
  const out: Record<string, unknown> = {}
  for (const key of keysOf(value)) {
    if (key !== '__proto__') out[key] = plain(read(value, key), depth + 1)
  }
  return out
}

const ofLanguage: ReadonlyMap<string, { readonly prototype: Error }> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(made => [made.name, made]),
)

function revive(thrown: Thrown, depth: number): unknown {
  if (typeof thrown !== 'object' || thrown === null || typeof thrown.message !== 'string') return thrown?.value
  const error = new Error(thrown.message)
  // The store's own errors have their fields beside their name.
  const { name = 'Error', message: _, stack, code, cause, fields, value: __, ...beside } = thrown
  const made = classes.get(name) ?? ofLanguage.get(name)
  if (made) Object.setPrototypeOf(error, made.prototype)
  const hidden = (key: string, value: unknown): void =>
    void Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
  if (error.name !== name) hidden('name', name)
  if (typeof stack === 'string' && stack !== '') hidden('stack', stack)
  if (cause !== undefined && depth <= deepest) hidden('cause', revive(cause, depth + 1))
  for (const [key, value] of Object.entries({ ...beside, ...fields })) {
    if (!['__proto__', 'name', 'message', 'stack', 'cause'].includes(key)) {
      Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: true })
    }
  }
  if (code !== undefined)
    Object.defineProperty(error, 'code', { value: code, configurable: true, writable: true, enumerable: true })
  return error
}
