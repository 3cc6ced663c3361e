/**
 * The isolates of a queue: where a job is placed, when an isolate is started, replaced and ended, and what its end means
 * for the jobs in it.
 *
 * - A job goes where fewest run. An isolate is started when all others have jobs and there are fewer than `count`.
 * - A suspect (a job whose isolate or process has ended by itself while it ran) goes where no other suspect runs. If the
 *   next crash may fail it, it runs alone in a fresh isolate, which is started besides the `count`: so it holds up
 *   nobody, and a job that fails as poison was the only one in its isolate.
 * - A module that cannot be loaded suspends the queue. Loading is tried again with growing pauses.
 */
import type { SuspectRoom } from '../backlog.ts'
import type { Clock, Timer } from '../clock.ts'
import { aloneFrom } from '../decisions/suspects.ts'
import { HandlerLoadError, IsolateEndedError, PayloadError, QueueStoppedError } from '../errors.ts'
import type { ParsedIsolate } from '../options/isolate.ts'
import type { IsolatedBodies, IsolatedBodiesHost } from '../run/isolated-bodies.ts'
import type { IsolatedBody } from '../run/isolated-body.ts'
import type { Run } from '../run/run.ts'
import { Deferred } from '../support/deferred.ts'
import { CheckpointValue } from '../text/checkpoint-value.ts'
import { type Call, Isolate, type IsolateListener, type IsolateState } from './isolate.ts'
import { loadProblem } from './loaded-module.ts'
import type { IsolateOpening } from './protocol.ts'
import type { IsolateExit, Spawn } from './spawn.ts'

/** The pause before a module is loaded again, at first and at most. It doubles. */
const firstPauseMs = 1_000
const maxPauseMs = 60_000
/** How long the end of a killed isolate is waited for. */
const killedMs = 3_000

/** An isolate as `queue.isolates()` shows it. */
export interface IsolateInfo {
  /** From 1, in the order in which they were started. */
  readonly id: number
  readonly kind: 'thread' | 'process'
  /** Of a thread the number of this process; undefined before it is started. */
  readonly pid: number | undefined
  /** How many jobs run in it, or were handed over to it. */
  readonly underway: number
  /**
   * In bytes, as of its last report, which comes once a second: of a process all of it, of a thread its heap and
   * buffers.
   */
  readonly memory: number
  /** How many milliseconds its event loop was blocked, as of its last report, or has been blocked since. */
  readonly loopDelay: number
  /** By the wall clock. */
  readonly startedAt: number
  /** How many jobs it has had. */
  readonly jobs: number
}

export interface IsolatesParts {
  readonly options: ParsedIsolate
  readonly opening: Omit<IsolateOpening, 'id'>
  readonly clock: Clock
  readonly spawn: Spawn
  readonly crashLimit: number
  /**
   * Suspects follow the rules of the process, because a thread may take the process with it, and the backlog outlives
   * that.
   */
  readonly suspectsByProcess: boolean
  readonly launcher: IsolatedBodiesHost & { readonly parked: boolean }
  readonly queue: IsolatesQueue
}

/** The queue, as its isolates use it. */
export interface IsolatesQueue {
  report(error: unknown, run: Run | undefined): void
  /** Nothing is claimed or launched until `over` is called. */
  suspendLaunches(): { over(): void }
  /** A condition may hold by now that somebody awaits. */
  wake(): void
}

export class Isolates implements IsolatedBodies, IsolateListener {
  readonly #parts: IsolatesParts
  readonly #clock: Clock
  readonly #isolates = new Set<Isolate>()
  #count: number
  #lastId = 0
  /** Runs for which there is no isolate at present: suspects. */
  #waiting: WaitingBody[] = []
  #suspension: { over(): void } | undefined
  #pauseMs = firstPauseMs
  /** No isolate is started before this timer has fired. */
  #retry: Timer | undefined
  #idleTimer: Timer | undefined
  #hasLoaded = false
  #readyWaiters: Deferred<void>[] = []
  #shuttingDown: Deferred<void> | undefined

  constructor(parts: IsolatesParts) {
    this.#parts = parts
    this.#clock = parts.clock
    this.#count = parts.options.count
  }

  // Questions.

  get graceMs(): number {
    return this.#parts.options.graceMs
  }
  get count(): number {
    return this.#count
  }
  get suspectRoom(): SuspectRoom | undefined {
    if (this.#parts.suspectsByProcess) return undefined
    const all = [...this.#isolates]
    const beside = all.filter(({ suspect, alone }) => suspect !== undefined && !alone).length
    const waiting = this.#waiting.length
    return {
      beside: Math.max(this.#count - beside - waiting, 0),
      alone: all.some(({ alone }) => alone) || this.#retry || waiting > 0 ? 0 : 1,
    }
  }
  list(): IsolateInfo[] {
    return [...this.#isolates].map(({ id, kind, pid, underway, memory, loopDelay, startedAt, jobs }) => ({
      ...{ id, kind, pid, underway, memory, loopDelay, startedAt, jobs },
    }))
  }
  get #usable(): Isolate[] {
    return [...this.#isolates].filter(({ isUsable }) => isUsable)
  }

  // Commands.

  /** Idle isolates end first, then those with the fewest jobs, once these have ended. */
  set count(count: number) {
    this.#count = count
    const usable = this.#usable.sort((a, b) => b.underway - a.underway)
    for (const isolate of usable.slice(count)) this.#retire(isolate)
  }
  /** Resolves once the module has been loaded in some isolate. Rejects if the next attempt fails. */
  ready(): Promise<void> {
    if (this.#hasLoaded && !this.#retry) return Promise.resolve()
    const ready = new Deferred<void>()
    this.#readyWaiters.push(ready)
    if (!this.#shuttingDown && !this.#retry && this.#isolates.size === 0) this.#start(false)
    return ready.promise
  }
  handOver(run: Run): void {
    const isolate = this.#isolateFor(run)
    if (isolate) this.#call(isolate, run)
    else this.#waiting.push(new WaitingBody(run, body => this.#withdrawWaiting(body)))
  }
  withdraw(): void {
    for (const body of [...this.#waiting]) this.#withdrawWaiting(body)
    for (const isolate of this.#isolates) isolate.withdraw()
  }
  /** Ends all isolates. The bodies that still run are of no use to anybody. */
  async close(): Promise<void> {
    this.#shuttingDown ??= new Deferred<void>()
    this.#retry?.cancel()
    this.#idleTimer?.cancel()
    for (const isolate of this.#isolates) isolate.underway === 0 ? isolate.end() : isolate.kill()
    for (const waiter of this.#readyWaiters.splice(0)) waiter.fail(new QueueStoppedError('the handler was not loaded'))
    if (this.#isolates.size === 0) return
    // Native code of a thread can hold off its end for as long as it likes.
    const timer = this.#clock.at(this.#clock.now() + killedMs, () => this.#shuttingDown?.resolve())
    await this.#shuttingDown.promise
    timer.cancel()
  }

  // Where a run is placed.

  #isolateFor(run: Run): Isolate | undefined {
    const crashes = run.record.extras?.crashes ?? 0
    const { crashLimit } = this.#parts
    if (crashes > 0 && crashes >= aloneFrom(crashLimit)) {
      return [...this.#isolates].some(({ alone }) => alone) || this.#retry ? undefined : this.#start(true)
    }
    const usable = this.#usable
    const free = crashes > 0 ? usable.filter(({ suspect }) => suspect === undefined) : usable
    const first = free.reduce<Isolate | undefined>((a, b) => (a && a.underway <= b.underway ? a : b), undefined)
    const mayStart = usable.length < this.#count && !this.#retry
    return mayStart && (!first || first.underway > 0) ? this.#start(false) : first
  }
  #call(isolate: Isolate, run: Run): void {
    const { record, payload, graceUntil } = run
    const { id, attempt, extras } = record
    const { crashes = 0, key, checkpoint } = extras ?? {}
    if (crashes > 0) isolate.suspect = run
    const { origin } = this.#clock
    const startBefore = graceUntil < Infinity && origin ? graceUntil + origin.offsetMs : undefined
    const restored = checkpoint instanceof CheckpointValue ? checkpoint.read() : undefined
    isolate.call(run, { id, payload, attempt, crashes, key, restored, startBefore, limited: run.grant !== 0 })
  }
  #fillFreed(): void {
    for (const body of [...this.#waiting]) {
      const { run } = body
      if (this.#clock.now() >= run.graceUntil) this.#withdrawWaiting(body)
      else {
        const isolate = this.#isolateFor(run)
        if (!isolate) continue
        this.#waiting = this.#waiting.filter(other => other !== body)
        this.#call(isolate, run)
      }
    }
  }
  #withdrawWaiting(body: WaitingBody): void {
    if (!this.#waiting.includes(body)) return
    this.#waiting = this.#waiting.filter(other => other !== body)
    this.#parts.launcher.notLaunched(body.run)
  }

  // Starting and ending isolates.

  #start(alone: boolean): Isolate {
    const { clock, spawn, launcher, options, opening } = this.#parts
    const isolate = new Isolate(
      {
        ...{ clock, spawn, launcher, listener: this, graceMs: options.graceMs },
        opening: { ...opening, id: ++this.#lastId },
      },
      alone,
    )
    this.#isolates.add(isolate)
    return isolate
  }
  /** It gets no more jobs. */
  #retire(isolate: Isolate): void {
    isolate.isRetiring = true
    if (isolate.underway === 0) isolate.end()
  }
  #endIdle(): void {
    this.#idleTimer?.cancel()
    this.#idleTimer = undefined
    const { idleMs } = this.#parts.options
    const now = this.#clock.now()
    let next = Infinity
    for (const isolate of this.#isolates) {
      if (isolate.underway > 0 || isolate.state !== 'open') continue
      if (isolate.idleSince + idleMs <= now) isolate.end()
      else next = Math.min(next, isolate.idleSince + idleMs)
    }
    if (next === Infinity) return
    this.#idleTimer = this.#clock.at(next, () => this.#endIdle())
    this.#idleTimer.unref()
  }

  // Reports of isolates.

  loaded(isolate: Isolate): void {
    this.#hasLoaded = true
    this.#pauseMs = firstPauseMs
    this.#resume()
    for (const waiter of this.#readyWaiters.splice(0)) waiter.resolve()
    if (this.#shuttingDown) isolate.end()
    else this.callEnded(isolate)
  }
  refused(isolate: Isolate, cause: unknown): void {
    this.#loadFailed(cause)
    isolate.isRetiring = true
    isolate.returnCalls()
    isolate.end()
  }
  callEnded(isolate: Isolate): void {
    const { options } = this.#parts
    if (isolate.jobs >= options.jobs || isolate.memory > options.memoryMb * 1_048_576) isolate.isRetiring = true
    if (isolate.underway === 0 && (isolate.isRetiring || (isolate.alone && isolate.jobs > 0))) isolate.end()
    else if (isolate.underway === 0 && this.#idleTimer === undefined) this.#endIdle()
    if (this.#waiting.length > 0) this.#fillFreed()
  }
  beat(isolate: Isolate): void {
    if (isolate.memory > this.#parts.options.memoryMb * 1_048_576) this.#retire(isolate)
    this.#parts.queue.wake()
  }
  unsent(run: Run, problem: string): void {
    const error = new PayloadError(
      'result',
      `cannot be cloned (${problem}), so it does not leave its isolate; return plain data`,
    )
    this.#parts.queue.report(error, run)
  }
  gone(isolate: Isolate, from: IsolateState, ending: IsolateExit, calls: readonly Call[]): void {
    const { launcher, queue } = this.#parts
    this.#isolates.delete(isolate)
    if (from === 'loading' && !this.#shuttingDown) {
      this.#loadFailed(ending.error ?? new Error(`the isolate ended while it loaded the module, ${howOf(ending)}`))
    }
    const isCrash = from === 'open'
    if (isCrash) {
      const underway = calls.filter(({ started }) => started).length
      const { exitCode, signal, error } = ending
      const { id, kind } = isolate
      const options = error === undefined ? undefined : { cause: error }
      queue.report(new IsolateEndedError({ id, kind, underway }, { exitCode, signal }, options), undefined)
    }
    for (const { run, started } of calls) {
      if (isCrash && started) launcher.crashed(run, isolate.alone)
      else launcher.displaced(run)
    }
    if (this.#isolates.size === 0) this.#shuttingDown?.resolve()
    if (this.#waiting.length > 0) this.#fillFreed()
    queue.wake()
  }

  // A module that cannot be loaded.

  #loadFailed(cause: unknown): void {
    const { opening, queue } = this.#parts
    if (this.#shuttingDown) return
    const error =
      cause instanceof HandlerLoadError
        ? cause
        : new HandlerLoadError(opening.module, loadProblem(cause, opening.module), { cause })
    // The queue is suspended first, because the jobs that go back must not be claimed at once.
    if (!this.#usable.some(({ state }) => state === 'open')) this.#suspension ??= queue.suspendLaunches()
    if (!this.#retry) {
      this.#retry = this.#clock.at(this.#clock.now() + this.#pauseMs, () => {
        this.#retry = undefined
        this.#start(false)
      })
      this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
    }
    for (const waiter of this.#readyWaiters.splice(0)) waiter.fail(error)
    queue.report(error, undefined)
  }
  #resume(): void {
    const suspension = this.#suspension
    this.#suspension = undefined
    suspension?.over()
  }
}

/** A run that waits for an isolate. */
class WaitingBody implements IsolatedBody {
  readonly run: Run
  readonly #withdraw: (body: WaitingBody) => void

  constructor(run: Run, withdraw: (body: WaitingBody) => void) {
    this.run = run
    this.#withdraw = withdraw
    run.isolatedBody = this
  }
  abort(): void {
    this.#withdraw(this)
  }
}

function howOf({ exitCode, signal }: IsolateExit): string {
  return signal === undefined ? `with exit code ${exitCode}` : `by signal ${signal}`
}
