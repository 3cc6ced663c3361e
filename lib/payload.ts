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

/**
 * `seen` has each object that was met below some depth: true while it is being looked into, false when that is done, so
 * that one which is part of many is looked into once, and one that is part of itself is found. Shallow payloads are the
 * rule, and for them it is not made.
 */
function check(
  value: unknown,
  path: string,
  strict: boolean,
  depth: number,
  above: Map<object, boolean> | undefined,
): void {
  if (typeof value === 'function') {
    throw new PayloadError(path, 'is a function; a job is data: put what the handler needs, and let the handler do it')
  }
  if (typeof value === 'symbol') throw new PayloadError(path, 'is a symbol, which no backlog can hold')
  if (strict && changedByJson(value, depth)) {
    throw new PayloadError(path, `is ${describe(value)}, which JSON would change; put a string or a number for it`)
  }
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value) && !isPlain(value)) {
    if (strict) throw new PayloadError(path, `is ${named(value)}, which JSON would change; put plain data for it`)
    return
  }
  const seen = above ?? (depth >= 3 ? new Map<object, boolean>() : undefined)
  const inside = seen?.get(value)
  if (inside === true || depth > deepest) {
    if (strict) throw new PayloadError(path, 'is part of itself or nested too deeply, which JSON cannot hold')
    return
  }
  if (inside === false) return
  seen?.set(value, true)
  checkParts(value as Record<string, unknown>, path, strict, depth + 1, seen)
  seen?.set(value, false)
}

function checkParts(
  value: Record<string, unknown>,
  path: string,
  strict: boolean,
  depth: number,
  seen: Map<object, boolean> | undefined,
): void {
  if (strict) checkExtras(value, path)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (!isSimple(value[i])) check(value[i], `${path}[${i}]`, strict, depth, seen)
    }
    return
  }
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue
    if (strict && key === '__proto__') throw new PayloadError(`${path}.__proto__`, 'is a key that must not be stored')
    if (!isSimple(value[key])) check(value[key], `${path}.${key}`, strict, depth, seen)
  }
}

/** Most parts are: to make the path of each costs more than all else. */
function isSimple(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || (Number.isInteger(value) && value !== 0)
}

/** What JSON would leave out, or be told to put in the place of the whole. */
function checkExtras(value: object, path: string): void {
  const [symbol] = Object.getOwnPropertySymbols(value)
  if (symbol) throw new PayloadError(`${path}[${String(symbol)}]`, 'has a symbol for its key, which JSON leaves out')
  if (Object.hasOwn(value, 'toJSON')) {
    throw new PayloadError(`${path}.toJSON`, 'decides what JSON holds; put plain data for it')
  }
  if (!Array.isArray(value)) return
  const extra = Object.keys(value).find(key => !/^\d+$/.test(key))
  if (extra !== undefined) throw new PayloadError(`${path}.${extra}`, 'is a name on an array, which JSON leaves out')
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
  feed(payload, text => hash.update(text), new Map())
  return hash.digest('base64')
}

function feed(value: unknown, write: (text: string) => void, within: Map<object, number>): void {
  if (typeof value === 'string') return write(JSON.stringify(value))
  if (typeof value !== 'object' || value === null) return write(`${typeof value}:${String(value)};`)
  const seen = within.get(value)
  if (seen !== undefined) return write(`again:${seen};`)
  if (value instanceof Date) return write(`date:${value.getTime()};`)
  if (ArrayBuffer.isView(value))
    return write(`bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')};`)
  within.set(value, within.size)
  feedParts(value, write, within)
  within.delete(value)
}

function feedParts(value: object, write: (text: string) => void, within: Map<object, number>): void {
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
