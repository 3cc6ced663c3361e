/**
 * Records a thrown value, or a reason, as text. It never fails and never takes long, whatever the value is: recording
 * an error must not cause another.
 */

/** How deep causes and nested fields are followed. */
const maxDepth = 6
const maxTextLength = 20_000
/** How many parts, and how many characters, are recorded of one error. */
const maxParts = 1_000
const maxText = 200_000

export interface ErrorJson {
  readonly name?: string
  readonly message?: string
  readonly stack?: string
  readonly code?: string | number
  readonly cause?: ErrorJson
  readonly fields?: Readonly<Record<string, unknown>>
  /** The thrown value, if it was not an error. */
  readonly value?: unknown
}

/** @param stacks `none`: of an error that a store itself made, whose stack shows only the store. */
export function errorToJson(thrown: unknown, stacks: 'own' | 'none' = 'own'): string {
  try {
    return JSON.stringify(new Picture(stacks === 'own').of(thrown, 0))
  } catch {
    return '{"name":"Error","message":"what was thrown could not be recorded"}'
  }
}

const ofOwn: readonly string[] = ['name', 'message', 'stack', 'code', 'cause', '__proto__']

/** The record of one error. It bounds the number of parts, because a proxy can produce new ones without end. */
class Picture {
  #parts = maxParts
  #text = maxText
  readonly #withStacks: boolean

  constructor(withStacks: boolean) {
    this.#withStacks = withStacks
  }
  of(thrown: unknown, depth: number): ErrorJson {
    // An error of another realm is not an instance of our Error, and a proxy may throw at any access.
    if (!isError(thrown)) return { value: this.#toJson(thrown, depth) }
    const name = this.#string(read(thrown, 'name')) ?? 'Error'
    const message = this.#string(read(thrown, 'message')) ?? ''
    const stack = this.#withStacks ? (this.#string(read(thrown, 'stack')) ?? '') : undefined
    const code = read(thrown, 'code')
    const cause = read(thrown, 'cause')
    const fields: Record<string, unknown> = {}
    for (const key of keysOf(thrown)) {
      if (ofOwn.includes(key) || --this.#parts < 0) continue
      const value = this.#toJson(read(thrown, key), depth + 1)
      if (value !== undefined) fields[this.#string(key) as string] = value
    }
    return {
      ...{ name, message },
      ...(stack !== undefined && { stack }),
      ...(typeof code === 'string' ? { code: this.#string(code) as string } : {}),
      ...(Number.isFinite(code) ? { code: code as number } : {}),
      ...(cause !== undefined && depth < maxDepth ? { cause: this.of(cause, depth + 1) } : {}),
      ...(Object.keys(fields).length > 0 ? { fields } : {}),
    }
  }
  #string(value: unknown): string | undefined {
    if (typeof value !== 'string') return undefined
    const cut = value.slice(0, Math.min(maxTextLength, this.#text))
    this.#text -= cut.length
    return cut
  }
  /** The part of a value that JSON can hold; a description of what it cannot. */
  #toJson(value: unknown, depth: number): unknown {
    if (value === null || typeof value === 'boolean' || value === undefined) return value
    if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
    if (typeof value === 'string') return this.#string(value)
    if (typeof value === 'bigint' || typeof value === 'symbol') return this.#string(String(value))
    if (typeof value === 'function') return '[a function]'
    if (depth >= maxDepth) return '[nested too deeply]'
    if (isError(value)) return this.of(value, depth + 1)
    try {
      if (Array.isArray(value)) return value.slice(0, this.#share()).map(item => this.#toJson(item, depth + 1) ?? null)
    } catch {
      return '[an array that cannot be read]'
    }
    const out: Record<string, unknown> = {}
    for (const key of keysOf(value)) {
      if (key === '__proto__' || --this.#parts < 0) continue
      out[this.#string(key) as string] = this.#toJson(read(value, key), depth + 1)
    }
    return out
  }
  /** How many items of an array are recorded. */
  #share(): number {
    const share = Math.max(Math.min(100, this.#parts), 0)
    this.#parts -= share
    return share
  }
}

/** Whether it is an error, of another realm too. */
export function isError(thrown: unknown): thrown is Error {
  if (typeof thrown !== 'object' || thrown === null) return false
  try {
    return thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]'
  } catch {
    return false
  }
}

/** Undefined if reading it throws. */
export function read(from: object, key: string): unknown {
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
