/**
 * Payloads, checkpoints and results as JSON text, and back.
 *
 * The text is made when the value is passed in. A value that JSON would change is refused then, with the path to the
 * part at fault. Payloads in memory without `json: true` are not checked.
 */
import { types } from 'node:util'
import { describe, describeError, PayloadError } from '../errors.ts'

/** How deep objects may be nested. */
const maxDepth = 200
/** From this depth on each object is recorded, so that shared parts are read once and cycles are detected. */
const remembersFrom = 3
/** How many values one text may contain. Shared parts count each time, because JSON writes them each time. */
const maxValues = 10_000_000
/** SQLite holds 10^9 bytes in one value, and a character takes up to three of them. */
const maxTextLength = 2 ** 28
/** JSON has no undefined. Other programs read this text as null, and JSON.stringify never produces it. */
const ofUndefined = ' null'

/**
 * The JSON text of `value`. Throws PayloadError, with a path that begins with `root`, if JSON would change or omit a
 * part of it, or cannot hold it.
 */
export function textOf(value: unknown, root = 'payload'): string {
  if (value === undefined) return ofUndefined
  if (typeof value !== 'string') check(value, root)
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new PayloadError(root, `cannot be written as JSON (${describeError(error)})`, { cause: error })
  }
  if (typeof text !== 'string') throw new PayloadError(root, 'has a toJSON() that leaves nothing of it; put plain data')
  if (text.length > maxTextLength) {
    throw new PayloadError(
      root,
      `is ${text.length} characters as JSON, and a backlog holds ${maxTextLength} of one job; store it elsewhere, and put where`,
    )
  }
  return text
}

/** The value from which {@link textOf} made a text. Throws a SyntaxError. */
export function valueFrom(text: string): unknown {
  return text === ofUndefined ? undefined : JSON.parse(text)
}

/** Throws PayloadError if JSON would change a part of `value`. */
function check(value: unknown, root: string): void {
  try {
    visit(value, root, 0, undefined)
  } catch (error) {
    if (error instanceof PayloadError) throw error
    // The cycle was found below the depth from which objects are recorded. From the top its path is the shortest.
    if (error === cycle) visit(value, root, 0, new Walk(true))
    throw new PayloadError(root, `cannot be read (${describeError(error)}); put plain data`, { cause: error })
  }
}

const cycle = new Error('part of itself')

/** The state of a walk through a value. */
class Walk {
  /** How many values each object contains; `open` while they are being counted. */
  readonly values: Map<object, number> = new Map()
  count = 0
  readonly fromTop: boolean

  constructor(fromTop: boolean) {
    this.fromTop = fromTop
  }
}
const open = -1

function visit(value: unknown, path: string, depth: number, above: Walk | undefined): void {
  if (typeof value !== 'object' || value === null) {
    const problem = problemOf(value, depth)
    if (problem) throw new PayloadError(path, problem)
    return
  }
  if (!Array.isArray(value) && !isPlainObject(value)) throw new PayloadError(path, problemOfClass(value))
  const walk = above ?? (depth >= remembersFrom ? new Walk(false) : undefined)
  if (!walk) return visitParts(value as Record<string, unknown>, path, depth + 1, undefined)
  const known = walk.values.get(value)
  if (known === open) {
    if (!walk.fromTop) throw cycle
    throw new PayloadError(
      path,
      'leads back to an object that it is part of, and JSON holds no cycles; put an id for it',
    )
  }
  if (depth > maxDepth) {
    throw new PayloadError(path, `is nested more than ${maxDepth} deep; put a flat list, or store it elsewhere`)
  }
  if (known === undefined) {
    const before = walk.count
    walk.values.set(value, open)
    visitParts(value as Record<string, unknown>, path, depth + 1, walk)
    walk.values.set(value, walk.count - before)
  } else count(walk, known, path)
}

function count(walk: Walk, values: number, path: string): void {
  walk.count += values
  if (walk.count <= maxValues) return
  // No single part is at fault, so the path is that of the whole.
  throw new PayloadError(
    path.replace(/[.[].*/s, ''),
    `has more than ${maxValues} values, each shared part counted each time; store it elsewhere, and put where`,
  )
}

function visitParts(value: Record<string, unknown>, path: string, depth: number, walk: Walk | undefined): void {
  let part = path
  try {
    if (Array.isArray(value)) {
      refuseExtras(value, path)
      if (walk) count(walk, value.length, path)
      for (let i = 0; i < value.length; i++) {
        const item = value[i]
        if (isSimple(item)) continue
        part = `${path}[${i}]`
        visit(item, part, depth, walk)
      }
      return
    }
    refuseExtras(value, path)
    let parts = 1
    for (const key in value) {
      if (!Object.hasOwn(value, key)) continue
      if (key === '__proto__')
        throw new PayloadError(
          `${path}.__proto__`,
          'is a key that must not be stored, because it changes what an object inherits; rename it',
        )
      parts++
      part = path
      const item = value[key]
      if (isSimple(item)) continue
      part = `${path}.${key}`
      visit(item, part, depth, walk)
    }
    if (walk) count(walk, parts, path)
  } catch (error) {
    if (error instanceof PayloadError || error === cycle) throw error
    throw new PayloadError(part, `cannot be read (${describeError(error)}); put plain data`, { cause: error })
  }
}

/** Most parts are simple. Building the path of each would cost more than everything else. */
function isSimple(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

/** Refuses properties that JSON would omit, or that replace the whole (`toJSON`). */
function refuseExtras(value: object, path: string): void {
  const [symbol] = Object.getOwnPropertySymbols(value)
  if (symbol)
    throw new PayloadError(
      `${path}[${String(symbol)}]`,
      'has a symbol for its key, which JSON leaves out; name it by a string',
    )
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    throw new PayloadError(`${path}.toJSON`, 'decides what JSON holds; put plain data for it')
  }
  if (!Array.isArray(value)) return
  const keys = Object.keys(value)
  if (keys.length === value.length) return
  const extra = keys.find(key => !/^\d+$/.test(key))
  if (extra !== undefined)
    throw new PayloadError(`${path}.${extra}`, 'is a name on an array, which JSON leaves out; put an object')
}

/** Why JSON cannot hold a value that is no object; undefined if it can. -0 becomes 0, which is equal to it. */
function problemOf(value: unknown, depth: number): string | undefined {
  switch (typeof value) {
    case 'function':
      return 'is a function, and what is stored is data; put what a handler needs to do it'
    case 'symbol':
      return 'is a symbol, which JSON leaves out; put a string for it'
    case 'bigint':
      return `is ${describe(value)}, which JSON cannot hold; put String(value) for it`
    case 'number':
      return Number.isFinite(value) ? undefined : `is ${value}, which JSON turns into null; put null or a string for it`
    case 'undefined':
      return depth > 0 ? 'is undefined, which JSON does not hold; leave it out, or put null for it' : undefined
    default:
      return undefined
  }
}

function problemOfClass(value: object): string {
  if (types.isDate(value)) return 'is a Date, which JSON turns into a string; put its getTime() or toISOString() for it'
  const name: unknown = value.constructor?.name
  const named = typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object of a class'
  return `is ${named}, which JSON would change; put plain data for it`
}

/**
 * Whether an object consists of nothing but its own properties: `{ … }` of any realm, or an object without a prototype.
 */
export function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || isRoot(prototype)
}

/** Whether it is the `Object.prototype` of some realm. */
export function isRoot(prototype: object | null): boolean {
  if (prototype === Object.prototype) return true
  return (
    prototype !== null && Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'propertyIsEnumerable')
  )
}
