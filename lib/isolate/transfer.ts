/** Marks a value whose buffers move to the other thread instead of being copied. */
import { types } from 'node:util'
import { describe, isArray, OptionError } from '../errors.ts'

// Found by name, because a handler may import another copy of this module than the one that runs it.
const marker: unique symbol = Symbol.for('rdq.transfer')

/** A value of type `T` whose buffers are moved. What arrives is the value. */
export type Transferred<T> = T & { readonly [transferred]?: true }
declare const transferred: unique symbol

interface Marked {
  readonly [marker]: { readonly value: unknown; readonly buffers: readonly object[] }
}

/**
 * Returned by a handler that runs in an isolate, or given as an argument of `inThread`: `value` arrives with the memory
 * of these buffers, which are empty here afterwards. Between processes they are copied. Throws OptionError unless
 * `buffers` is an array of what can be transferred, such as ArrayBuffers and MessagePorts, and has not been yet.
 */
export function transfer<T>(value: T, buffers: readonly (ArrayBuffer | object)[]): Transferred<T> {
  if (!isArray(buffers)) {
    throw new OptionError('buffers', buffers, `must be an array of ArrayBuffers, got ${describe(buffers)}`, 'transfer')
  }
  for (const [i, buffer] of buffers.entries()) {
    if (isDetached(buffer)) {
      throw new OptionError(`buffers[${i}]`, buffer, 'has been transferred already, so it is empty', 'transfer')
    }
    if (typeof buffer === 'object' && buffer !== null && !ArrayBuffer.isView(buffer)) continue
    const hint = ArrayBuffer.isView(buffer) ? '; give its .buffer' : ''
    throw new OptionError(`buffers[${i}]`, buffer, `cannot be transferred, got ${describe(buffer)}${hint}`, 'transfer')
  }
  const marked: Marked = { [marker]: { value, buffers: [...(buffers as readonly object[])] } }
  return marked as unknown as Transferred<T>
}

/** A message with such a buffer can be sent, but not read. */
export function isDetached(buffer: unknown): boolean {
  if (!types.isArrayBuffer(buffer)) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** The value, and what moves with it. */
export function unmarked(value: unknown): { readonly value: unknown; readonly buffers: readonly object[] } {
  const marked = typeof value === 'object' && value !== null ? (value as Partial<Marked>)[marker] : undefined
  return marked ?? { value, buffers: none }
}

const none: readonly object[] = []
