/** What a payload may be, and its digest, by which a repeated put is told from a conflicting one. */
import { createHash } from 'node:crypto'
import { describe, PayloadError } from './errors.ts'

/** Deeper is refused: a cycle in a strict payload, or a structure no backlog should hold. */
const deepest = 200

/**
 * Refuses functions and symbols anywhere in the plain parts of `payload`, and where `strict` everything that JSON would
 * change. Throws a {@link PayloadError} with the path. Class instances are looked into only where `strict`.
 */
export function checkPayload(payload: unknown, strict: boolean): void {
  if (typeof payload === 'string' || (typeof payload === 'number' && !strict)) return
  check(payload, 'payload', strict, 0, undefined)
}

function check(value: unknown, path: string, strict: boolean, depth: number, above: Set<object> | undefined): void {
  if (typeof value === 'function') {
    throw new PayloadError(path, 'is a function; a job is data: put what the handler needs, and let the handler do it')
  }
  if (typeof value === 'symbol') throw new PayloadError(path, 'is a symbol, which no backlog can hold')
  if (strict && changedByJson(value, depth)) {
    throw new PayloadError(path, `is ${describe(value)}, which JSON would change; put a string or a number for it`)
  }
  if (typeof value !== 'object' || value === null) return
  const plain = Array.isArray(value) || isPlain(value)
  if (!plain) {
    if (strict) throw new PayloadError(path, `is ${named(value)}, which JSON would change; put plain data for it`)
    return
  }
  if (above?.has(value) || depth > deepest) {
    if (strict) throw new PayloadError(path, 'is part of itself or nested too deeply, which JSON cannot hold')
    return
  }
  // Shallow payloads are the rule, and a cycle needs some depth to matter: the set is made only then.
  const within = depth >= 8 ? new Set(above).add(value) : undefined
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) check(value[i], `${path}[${i}]`, strict, depth + 1, within)
    return
  }
  for (const key of Object.keys(value)) {
    if (strict && key === '__proto__') throw new PayloadError(`${path}.__proto__`, 'is a key that must not be stored')
    check((value as Record<string, unknown>)[key], `${path}.${key}`, strict, depth + 1, within)
  }
}

function changedByJson(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return !Number.isFinite(value) || Object.is(value, -0)
  return typeof value === 'bigint' || (value === undefined && depth > 0) || value instanceof Date
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function named(value: object): string {
  const name = value.constructor?.name
  return name ? `an instance of ${name}` : 'an object of a class'
}

/** A digest that is equal for payloads of equal content, whatever the order of their keys. */
export function fingerprint(payload: unknown): string {
  const hash = createHash('sha256')
  feed(payload, text => hash.update(text), [])
  return hash.digest('base64')
}

function feed(value: unknown, write: (text: string) => void, above: object[]): void {
  if (typeof value === 'string') return write(JSON.stringify(value))
  if (typeof value !== 'object' || value === null) return write(`${typeof value}:${String(value)};`)
  const seen = above.indexOf(value)
  if (seen >= 0) return write(`again:${seen};`)
  const within = [...above, value]
  if (value instanceof Date) return write(`date:${value.getTime()};`)
  if (ArrayBuffer.isView(value))
    return write(`bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')};`)
  if (Array.isArray(value) || value instanceof Set || value instanceof Map) {
    write(`${named(value)}[`)
    for (const item of value) feed(item, write, within)
    return write(']')
  }
  write(isPlain(value) ? '{' : `${named(value)}{`)
  for (const key of Object.keys(value).sort()) {
    write(`${JSON.stringify(key)}=`)
    feed((value as Record<string, unknown>)[key], write, within)
  }
  write('}')
}
