/** Decodes a stored error, or another thrown value. */
import type { ErrorJson } from '../../lib/text/error-to-json.ts'
import { errorClass } from './errors.ts'

/** How deep causes are followed. */
const maxDepth = 6

/** An error with its name, and of its class if that is one of ours, a registered one, or one of the language. */
export function errorFromJson(text: string): unknown {
  try {
    return revive(JSON.parse(text) as ErrorJson, 0)
  } catch {
    return new Error(`the stored error is no JSON: ${text.slice(0, 200)}`)
  }
}

const ofLanguage: ReadonlyMap<string, { readonly prototype: Error }> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(made => [made.name, made]),
)

function revive(thrown: ErrorJson, depth: number): unknown {
  if (typeof thrown !== 'object' || thrown === null || typeof thrown.message !== 'string') return thrown?.value
  const error = new Error(thrown.message)
  const { name = 'Error', stack, code, cause, fields } = thrown
  const made = errorClass(name) ?? ofLanguage.get(name)
  if (made) Object.setPrototypeOf(error, made.prototype)
  const hidden = (key: string, value: unknown): void =>
    void Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
  if (error.name !== name) hidden('name', name)
  if (typeof stack === 'string' && stack !== '') hidden('stack', stack)
  if (cause !== undefined && depth <= maxDepth) hidden('cause', revive(cause, depth + 1))
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (!['__proto__', 'name', 'message', 'stack', 'cause'].includes(key)) {
      Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: true })
    }
  }
  if (code !== undefined)
    Object.defineProperty(error, 'code', { value: code, configurable: true, writable: true, enumerable: true })
  return error
}
