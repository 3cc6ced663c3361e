/** The option `isolate`, and the address of a handler that runs in isolates. */
import { availableParallelism } from 'node:os'
import { describe, OptionError } from '../errors.ts'
import { type Duration, durationMs } from '../parse/duration.ts'
import { oneOf, optionsOf } from '../parse/option-names.ts'
import { checkWhole } from '../parse/whole.ts'

/** How a queue runs its handler in threads or processes. */
export interface IsolateOptions {
  /** `'thread'`: a worker thread. `'process'`: a process, whose crash leaves this one alive. */
  kind: 'thread' | 'process'
  /**
   * The most isolates that take jobs at a time: a whole number of 1 or more; the number of cores less one, at least 1.
   */
  count?: number | undefined
  /** After this number of jobs an isolate is replaced, once its other jobs have ended; Infinity. */
  jobs?: number | undefined
  /**
   * An isolate that uses more megabytes is replaced, once its jobs have ended; Infinity. Of a process the resident memory
   * counts, of a thread its heap and its buffers. Measured once a second.
   */
  memoryMb?: number | undefined
  /** How long a body may go on after its signal has aborted before its isolate is replaced; '5s'. */
  grace?: Duration | undefined
  /** How long an isolate may be without jobs before it is ended; '1m'. */
  idle?: Duration | undefined
}

export interface ParsedIsolate {
  readonly kind: 'thread' | 'process'
  readonly count: number
  readonly jobs: number
  readonly memoryMb: number
  readonly graceMs: number
  readonly idleMs: number
}

declare const moduleOf: unique symbol

/**
 * The URL of a module whose default export is a handler. The types of payload and result come from the module:
 *
 * ```ts
 * const url = new URL('./resize.js', import.meta.url) as HandlerUrl<typeof import('./resize.js')>
 * const queue = new DispatchQueue(url, { isolate: 'thread' })
 * ```
 */
export type HandlerUrl<Module = unknown> = URL & { readonly [moduleOf]?: Module }

const names = ['kind', 'count', 'jobs', 'memoryMb', 'grace', 'idle']
const kinds = ['thread', 'process'] as const

export function parseIsolate(value: 'thread' | 'process' | IsolateOptions): ParsedIsolate {
  if (typeof value === 'string') oneOf('isolate', value, kinds, ', or an object such as { kind: "thread", count: 4 }')
  else if (typeof value !== 'object' || value === null) {
    const problem = `must be 'thread', 'process' or an object such as { kind: 'thread', count: 4 }, got ${describe(value)}`
    throw new OptionError('isolate', value, problem)
  }
  const read =
    typeof value === 'string' ? { kind: value } : (optionsOf('isolate.', value, names) as Partial<IsolateOptions>)
  const { kind, count, jobs = Infinity, memoryMb = Infinity, grace = '5s', idle = '1m' } = read
  if (kind === undefined) throw new OptionError('isolate.kind', kind, `must be 'thread' or 'process'`)
  oneOf('isolate.kind', kind, kinds)
  return {
    kind,
    count: count === undefined ? Math.max(availableParallelism() - 1, 1) : parseIsolateCount('isolate.count', count),
    jobs: checkWhole('isolate.jobs', jobs, 1),
    memoryMb: checkWhole('isolate.memoryMb', memoryMb, 1),
    graceMs: durationMs('isolate.grace', grace),
    idleMs: durationMs('isolate.idle', idle),
  }
}

export function parseIsolateCount(option: string, value: unknown): number {
  const count = checkWhole(option, value, 1)
  if (count <= mostIsolates) return count
  throw new OptionError(
    option,
    value,
    `must be at most ${mostIsolates}, got ${count}; each isolate runs many jobs at once`,
  )
}

/** Each isolate is a thread or a process, so a slip of the keyboard must not ask the machine for a million of them. */
const mostIsolates = 1_024

/** Whether the handler is an address. URLs of another realm are no instances of our URL. */
export function isHandlerUrl(handler: unknown): handler is HandlerUrl {
  try {
    if (handler instanceof URL) return true
    return Object.prototype.toString.call(handler) === '[object URL]' && typeof (handler as URL).href === 'string'
  } catch {
    return false
  }
}

const protocols = ['file:', 'data:']

/** Refuses a URL without `isolate`, and `isolate` without a URL. */
export function checkPlacement(handler: unknown, isolate: unknown, context: unknown): void {
  if (!isHandlerUrl(handler)) {
    if (isolate === undefined) return
    const url = `new DispatchQueue(new URL('./handler.js', import.meta.url), { isolate: 'thread' })`
    const problem = `needs a handler that is given as the URL of a module, because a function cannot leave its thread, got ${describe(handler)}: ${url}`
    throw new OptionError('isolate', isolate, problem)
  }
  if (isolate === undefined) {
    const problem = `is required with a handler that is a URL: 'thread' or 'process'. To run the module in this thread, import it and pass its default export`
    throw new OptionError('isolate', isolate, problem)
  }
  if (!protocols.includes(handler.protocol)) {
    const problem = `must be a file: or data: URL, got ${describe(handler.href)}; use new URL('./handler.js', import.meta.url)`
    throw new OptionError('handler', handler, problem)
  }
  if (context === 'put') {
    const problem = `'put' cannot be combined with isolate, because the AsyncLocalStorage of a caller cannot leave its thread; pass what the handler needs in the payload`
    throw new OptionError('context', context, problem)
  }
}
