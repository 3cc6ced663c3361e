/** Digests of payloads, which distinguish a repeated put of an id from a conflicting one. */
import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { describeError, PayloadError } from '../errors.ts'
import { isPlainObject, isRoot, valueFrom } from '../text/json.ts'

/**
 * The digest of a payload that is stored as `text`: equal for equal content, whatever the order of keys. Files contain
 * these digests, so the algorithm must not change.
 */
export function fingerprintOfText(text: string): string {
  const hash = createHash('sha256')
  feed(valueFrom(text), text => hash.update(text))
  return hash.digest('base64')
}

function feed(value: unknown, write: (text: string) => void): void {
  if (typeof value === 'string') return write(JSON.stringify(value))
  if (typeof value !== 'object' || value === null) return write(`${typeof value}:${String(value)};`)
  if (Array.isArray(value)) {
    write('an instance of Array[')
    for (const item of value) feed(item, write)
    return write(']')
  }
  write('{')
  for (const key of Object.keys(value).sort()) {
    write(`${JSON.stringify(key)}=`)
    feed((value as Record<string, unknown>)[key], write)
  }
  write('}')
}

/**
 * The digest of a payload that is held by reference. Objects whose content cannot be compared (functions, instances of
 * classes, cycles) are equal only to themselves. Throws PayloadError if a part of the payload cannot be read.
 */
export function fingerprint(payload: unknown): string {
  try {
    return `${new Digests().of(payload, 0)}`
  } catch (error) {
    if (error === unknowable) return identityOf(payload as object)
    throw new PayloadError(
      'payload',
      `cannot be read (${describeError(error)}), so its id could not be told from others`,
      {
        cause: error,
      },
    )
  }
}

/** Objects below this depth are compared by identity alone. */
const maxDepth = 500
const unknowable = new Error('its content cannot be compared')
const maxShown = 100

/** The digests of one payload. A shared part is read once. */
class Digests {
  readonly #known = new Map<object, string | undefined>()

  of(value: unknown, depth: number): string {
    if (typeof value === 'string') return short(JSON.stringify(value))
    if (typeof value === 'symbol' || typeof value === 'function') return identityOf(value)
    if (typeof value !== 'object' || value === null) return `${typeof value}:${String(value)}`
    const known = this.#known.get(value)
    if (known !== undefined) return known
    if (this.#known.has(value) || depth > maxDepth) throw unknowable
    this.#known.set(value, undefined)
    const digest = short(this.#ofParts(value, depth + 1))
    this.#known.set(value, digest)
    return digest
  }
  #ofParts(value: object, depth: number): string {
    const kind = kindOf(value)
    if (kind === undefined) return identityOf(value)
    const parts: string[] = []
    if (types.isMap(value)) for (const [key, item] of value) parts.push(this.of(key, depth), this.of(item, depth))
    if (types.isSet(value)) for (const item of value) parts.push(this.of(item, depth))
    if (!ArrayBuffer.isView(value)) {
      const keys = Reflect.ownKeys(value)
      if (kind === 'Object') keys.sort((a, b) => (String(a) < String(b) ? -1 : 1))
      for (const key of keys) {
        const name = typeof key === 'symbol' ? identityOf(key) : JSON.stringify(key)
        parts.push(`${name}=${this.of(value[key as keyof typeof value], depth)}`)
      }
    }
    return `${kind}{${parts.join(',')}}`
  }
}

/**
 * The kind of an object besides its own properties; undefined if its content cannot be compared, as for classes with
 * private state.
 */
function kindOf(value: object): string | undefined {
  if (Array.isArray(value)) return isDirect(value) ? 'Array' : undefined
  if (isPlainObject(value)) return 'Object'
  if (ArrayBuffer.isView(value))
    return `${value.constructor.name}:${hashOf(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))}`
  if (!isDirect(value)) return undefined
  if (types.isDate(value)) return `Date:${value.getTime()}`
  if (types.isMap(value)) return 'Map'
  if (types.isSet(value)) return 'Set'
  if (types.isRegExp(value)) return `RegExp:${value.source}/${value.flags}`
  if (types.isBoxedPrimitive(value) && !types.isSymbolObject(value)) return `${typeof value.valueOf()}:${value}`
  if (types.isArrayBuffer(value)) return `ArrayBuffer:${hashOf(new Uint8Array(value))}`
  return value instanceof URL ? `URL:${value.href}` : undefined
}

/** Whether the object's class is directly below Object, and so no class derived from a built-in one. */
function isDirect(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype !== null && isRoot(Object.getPrototypeOf(prototype))
}

function short(text: string): string {
  return text.length > maxShown ? hashOf(text) : text
}

function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64')
}

const identities = new WeakMap<WeakKey, number>()
let lastIdentity = 0

/** A name for the object that stays the same as long as it exists, and that no other object ever gets. */
function identityOf(value: WeakKey): string {
  if (typeof value === 'symbol') {
    const registered = Symbol.keyFor(value)
    if (registered !== undefined) return `Symbol.for:${JSON.stringify(registered)}`
  }
  let identity = identities.get(value)
  if (identity === undefined) identities.set(value, (identity = ++lastIdentity))
  return `object:${identity}`
}
