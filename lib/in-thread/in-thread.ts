/** One call of a function in a thread, for work that blocks inside an ordinary handler. */
import { availableParallelism } from 'node:os'
import { types } from 'node:util'
import { Script } from 'node:vm'
import { systemClock } from '../clock.ts'
import { describe, describeError, isArray, OptionError } from '../errors.ts'
import { type HandlerUrl, isHandlerUrl } from '../options/isolate.ts'
import { checkSignal } from '../options/options.ts'
import { optionsOf } from '../parse/option-names.ts'
import type { FunctionSource } from './call-protocol.ts'
import { startCallThread } from './call-thread.ts'
import { ThreadPool } from './thread-pool.ts'

export interface InThreadOptions {
  /**
   * Cancels the call: the promise rejects with the reason of the abort, and the thread is ended. If the signal is also
   * among the arguments, the function has a signal that aborts there, and its thread is ended only if the function goes
   * on for 1 s after that.
   */
  signal?: AbortSignal | undefined
}

/** The function that a module exports as its default. */
type FunctionOf<Module> = Module extends { readonly default: infer Call extends (...args: never[]) => unknown }
  ? Call
  : (...args: unknown[]) => unknown

/** Arguments may be left out if the function needs none. */
type Given<Args extends readonly unknown[]> = [] extends Args
  ? [args?: Readonly<Args>, options?: InThreadOptions]
  : [args: Readonly<Args>, options?: InThreadOptions]

const pool: ThreadPool = new ThreadPool({
  clock: systemClock,
  start: startCallThread,
  size: Math.max(availableParallelism() - 1, 1),
  idleMs: 60_000,
  graceMs: 1_000,
})

/**
 * Calls a function in a thread, and resolves with what it returns. Errors arrive with name, message, stack, cause and own
 * fields.
 *
 * A function is sent as its text: it can use its arguments, globals, and what it loads itself by `await import()` or
 * `require()`, which resolve from the working folder; nothing that is defined around it. The URL of a module calls the
 * default export of that module. `url as HandlerUrl<typeof import('./parse.js')>` gives the call its types.
 *
 * Arguments and result are cloned; `transfer` moves their buffers. The threads are shared by all calls of this process:
 * at most the number of cores less one, at least 1, with one call each, while further calls wait. They are started when
 * needed, end after a minute without calls, and keep the process alive only while a call is underway. Modules stay
 * loaded in a thread, so what they keep in variables outlives the call.
 *
 * Rejects with OptionError for illegal arguments and for arguments that cannot be cloned, with ModuleLoadError if the
 * module cannot be loaded, with ThreadEndedError if the thread ends in the middle, with PayloadError if the result cannot
 * be cloned, and with the reason of the signal.
 */
export function inThread<Args extends readonly unknown[], Result>(
  call: (...args: Args) => Result,
  ...rest: Given<Args>
): Promise<Awaited<Result>>
export function inThread<Module>(
  module: HandlerUrl<Module>,
  ...rest: Given<Parameters<FunctionOf<Module>>>
): Promise<Awaited<ReturnType<FunctionOf<Module>>>>
export async function inThread(called: unknown, args: unknown = [], options?: InThreadOptions): Promise<unknown> {
  const source = sourceOf(called)
  if (!isArray(args)) {
    const problem = `must be an array of the arguments, got ${describe(args)}`
    throw new OptionError('args', args, problem, 'inThread')
  }
  const { signal } = optionsOf('', options, ['signal'])
  return pool.call(source, args, signal === undefined ? undefined : checkSignal('signal', signal))
}

const texts = new WeakMap<object, string>()

function sourceOf(called: unknown): FunctionSource {
  if (typeof called === 'function') {
    let text = texts.get(called)
    if (text === undefined) texts.set(called, (text = textOf(called)))
    return { text }
  }
  if (isHandlerUrl(called)) {
    if (called.protocol === 'file:' || called.protocol === 'data:') return { module: called.href }
    const problem = `must be a file: or data: URL, got ${describe(called.href)}; use new URL('./parse.js', import.meta.url)`
    throw new OptionError('module', called, problem, 'inThread')
  }
  const url = typeof called === 'string' ? `: new URL(${JSON.stringify(called)}, import.meta.url)` : ''
  const problem = `must be a function or the URL of a module, got ${describe(called)}${url}`
  throw new OptionError('module', called, problem, 'inThread')
}

/** An expression that makes the function. */
function textOf(called: object): string {
  const text = Function.prototype.toString.call(called)
  const refuse = (problem: string): OptionError => new OptionError('function', called, problem, 'inThread')
  if (types.isGeneratorFunction(called)) {
    throw refuse('is a generator, whose iterator cannot leave its thread; give a function that returns the result')
  }
  if (/^class\b/.test(text)) throw refuse('is a class; give a function that makes the object and returns plain data')
  if (/\{\s*\[native code\]\s*\}$/.test(text)) {
    throw refuse('is bound or native, so it has no text to send; give a function that calls it, or a module')
  }
  const problem = problemIn(text)
  if (problem === undefined) return text
  // A method in the short form is no expression by itself. A getter would be called.
  const method = `Object.values({ ${text}\n})[0]`
  if (problemIn(method) === undefined && !/^[gs]et\s+[^\s(]/.test(text)) return method
  throw refuse(`cannot be sent as its text (${problem}); give a plain function, or the URL of a module`)
}

function problemIn(text: string): string | undefined {
  try {
    new Script(`"use strict";(${text}\n)`)
    return undefined
  } catch (error) {
    return describeError(error)
  }
}
