/**
 * The threads of `inThread`: each has one call at a time, and further calls wait in line.
 *
 * | a call is | when | on abort |
 * | --- | --- | --- |
 * | waiting | all threads have calls | leaves the line |
 * | running | a thread has it | the thread is ended; if the function has the signal, only if it goes on for `graceMs` |
 * | settled | | |
 *
 * A thread counts until it is gone, so there are never more than `size`. Threads without calls keep no process alive.
 */
import type { Clock, Timer } from '../clock.ts'
import { describeError, ModuleLoadError, OptionError, PayloadError, ThreadEndedError } from '../errors.ts'
import { loadProblem } from '../isolate/loaded-module.ts'
import { isDetached, unmarked } from '../isolate/transfer.ts'
import { fromWireError, toWireError } from '../isolate/wire-error.ts'
import { inCleanContext } from '../support/clean-context.ts'
import { Deferred } from '../support/deferred.ts'
import { Signals } from '../support/signals.ts'
import type { CallOrder, FromCallThread, FunctionSource } from './call-protocol.ts'
import type { CallThread, StartCallThread } from './call-thread.ts'

export interface ThreadPoolParts {
  readonly clock: Clock
  readonly start: StartCallThread
  /** The most threads. */
  readonly size: number
  /** How long a thread may be without a call before it is ended. */
  readonly idleMs: number
  /** How long a function that has the signal may go on after the abort. */
  readonly graceMs: number
}

export class ThreadPool {
  readonly #parts: ThreadPoolParts
  readonly #members = new Set<Member>()
  /** Oldest first. A call goes to the last, so that the others become idle for long and end. */
  readonly #idle: Member[] = []
  readonly #waiting = new Set<ThreadCall>()
  readonly #signals = new Signals<ThreadCall>((signal, calls) => {
    for (const call of calls) this.#abort(call, signal.reason)
  }, true)
  #idleTimer: Timer | undefined

  constructor(parts: ThreadPoolParts) {
    this.#parts = parts
  }
  /** How many threads there are. */
  get threads(): number {
    return this.#members.size
  }
  /** Rejects with OptionError if an argument cannot be cloned. */
  async call(source: FunctionSource, args: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    if (signal?.aborted) throw signal.reason
    const call = new ThreadCall(source, args, signal)
    const member = this.#idle.pop() ?? (this.#members.size < this.#parts.size ? this.#start() : undefined)
    if (member) this.#send(member, call)
    else this.#wait(call)
    if (!signal) return call.result.promise
    const unlisten = this.#signals.listen(signal, call)
    try {
      return await call.result.promise
    } finally {
      unlisten()
    }
  }

  // Calls.

  #wait(call: ThreadCall): void {
    call.copy()
    this.#waiting.add(call)
    // A thread that is about to end must not let the process end before it.
    for (const { thread } of this.#members) thread?.ref()
  }
  #send(member: Member, call: ThreadCall): void {
    try {
      member.thread.post({ kind: 'call', ...call.order }, call.buffers)
      member.thread.ref()
      member.call = call
      call.member = member
    } catch (error) {
      this.#rest(member)
      throw call.notCloned(error)
    }
  }
  #abort(call: ThreadCall, reason: unknown): void {
    this.#waiting.delete(call)
    call.result.fail(reason)
    const { member } = call
    if (!member || member.call !== call) return
    if (call.order.signalsAt.length === 0) return member.kill()
    member.thread.post({ kind: 'abort', reason: toWireError(reason) }, [])
    const { clock, graceMs } = this.#parts
    member.timer = clock.at(clock.now() + graceMs, () => {
      if (member.call === call) member.kill()
    })
  }
  /** Gives waiting calls to threads that are free, or that may be started. */
  #fill(): void {
    for (const call of this.#waiting) {
      const member = this.#idle.pop() ?? (this.#members.size < this.#parts.size ? this.#startFor(call) : undefined)
      if (!member) return
      this.#waiting.delete(call)
      try {
        this.#send(member, call)
      } catch (error) {
        call.result.fail(error)
      }
    }
  }

  // Threads.

  #start(): Member {
    const member = new Member()
    // A call may come from a request of the application, whose async context must not stay in the thread.
    member.thread = inCleanContext(this.#parts.start, undefined, {
      message: message => this.#receive(member, message),
      ended: (exitCode, error) => this.#ended(member, exitCode, error),
    })
    this.#members.add(member)
    return member
  }
  #startFor(call: ThreadCall): Member | undefined {
    try {
      return this.#start()
    } catch (error) {
      this.#waiting.delete(call)
      call.result.fail(error)
      return undefined
    }
  }
  #receive(member: Member, message: FromCallThread): void {
    const { call } = member
    if (!call) return
    member.call = undefined
    member.timer?.cancel()
    call.settle(message)
    // A failed import stays in the memory of a thread.
    if (message.kind === 'notLoaded') member.kill()
    else {
      this.#rest(member)
      this.#fill()
    }
  }
  #ended(member: Member, exitCode: number, error: unknown): void {
    const { call } = member
    this.#members.delete(member)
    member.timer?.cancel()
    const at = this.#idle.indexOf(member)
    if (at >= 0) this.#idle.splice(at, 1)
    if (error instanceof ModuleLoadError) call?.result.fail(error)
    else call?.result.fail(new ThreadEndedError(exitCode, error === undefined ? undefined : { cause: error }))
    this.#fill()
  }
  /** The thread has no call. */
  #rest(member: Member): void {
    const { clock, idleMs } = this.#parts
    member.idleSince = clock.now()
    this.#idle.push(member)
    if (this.#waiting.size > 0) return
    member.thread.unref()
    if (this.#idleTimer) return
    this.#idleTimer = clock.at(member.idleSince + idleMs, () => this.#endIdle())
    this.#idleTimer.unref()
  }
  #endIdle(): void {
    const { clock, idleMs } = this.#parts
    this.#idleTimer = undefined
    const now = clock.now()
    while (this.#idle[0] && this.#idle[0].idleSince + idleMs <= now) this.#idle.shift()?.kill()
    const [next] = this.#idle
    if (!next) return
    this.#idleTimer = clock.at(next.idleSince + idleMs, () => this.#endIdle())
    this.#idleTimer.unref()
  }
}

/** A thread of the pool. */
class Member {
  thread!: CallThread
  call: ThreadCall | undefined
  timer: Timer | undefined
  idleSince = 0

  kill(): void {
    this.thread.kill()
  }
}

/** One call of `inThread`. */
class ThreadCall {
  readonly result: Deferred<unknown> = new Deferred()
  /** The thread that has it. */
  member: Member | undefined
  order: CallOrder
  /** Objects that are moved instead of copied. */
  buffers: readonly object[]

  constructor(source: FunctionSource, args: readonly unknown[], signal: AbortSignal | undefined) {
    const parts = args.map(unmarked)
    const signalsAt = args.flatMap((arg, i) => (signal !== undefined && arg === signal ? [i] : []))
    const values = parts.map(({ value }, i) => (signalsAt.includes(i) ? undefined : value))
    this.buffers = parts.flatMap(({ buffers }) => buffers)
    this.order = { source, args: values, signalsAt }
    // A signal would arrive as an empty object.
    const foreign = values.findIndex(value => value instanceof AbortSignal)
    if (foreign >= 0) throw this.#refused(foreign, 'is not the signal of the call, and no other can leave its thread')
    if (this.buffers.some(isDetached)) throw this.#refused(-1, 'have a buffer that was transferred already')
  }
  /** Later changes of the arguments reach no call that waits. */
  copy(): void {
    const { args } = this.order
    try {
      const copied = structuredClone({ args, buffers: this.buffers }, { transfer: this.buffers as ArrayBuffer[] })
      this.order = { ...this.order, args: copied.args }
      this.buffers = copied.buffers
    } catch (error) {
      throw this.notCloned(error)
    }
  }
  /** Names the argument at fault. */
  notCloned(cause: unknown): OptionError {
    const { args } = this.order
    const at = args.findIndex(arg => !isCloneable(arg, this.buffers))
    const error = this.#refused(at, `cannot be cloned (${describeError(cause)}); give plain data`)
    error.cause = cause
    return error
  }
  #refused(at: number, problem: string): OptionError {
    const { args } = this.order
    return new OptionError(at < 0 ? 'args' : `args[${at}]`, at < 0 ? args : args[at], problem, 'inThread')
  }
  settle(message: FromCallThread): void {
    const { result } = this
    const { source } = this.order
    switch (message.kind) {
      case 'returned':
        return result.resolve(message.value)
      case 'threw':
        return result.fail(fromWireError(message.error))
      case 'unsent': {
        const problem = `cannot be cloned (${message.problem}), so it does not leave its thread; return plain data`
        return result.fail(new PayloadError('result', problem))
      }
      case 'notLoaded': {
        const cause = fromWireError(message.error)
        if ('text' in source) return result.fail(cause)
        return result.fail(new ModuleLoadError(source.module, loadProblem(cause, source.module), { cause }))
      }
      default:
        message satisfies never
    }
  }
}

function isCloneable(value: unknown, buffers: readonly object[]): boolean {
  if (buffers.includes(value as object)) return true
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}
