/**
 * One thread or process of a queue, as the queue sees it: the calls that run in it, and how it ends.
 *
 * | state | means | leads to |
 * | --- | --- | --- |
 * | loading | it loads the module; calls may be handed over, and wait in it | open, ending, gone |
 * | open | it runs calls | ending, replaced, gone |
 * | replaced | a body went on too long after its signal had aborted, and it is killed | gone |
 * | ending | it has no calls, and was told to end | gone |
 * | gone | nothing of it runs any more | |
 *
 * isolates.ts decides which calls it gets, and when it ends.
 */
import type { Clock, Timer } from '../clock.ts'
import { NotPaused } from '../cooperate/errors.ts'
import { describeError, JobStateError, PayloadError } from '../errors.ts'
import type { IsolatedBodiesHost } from '../run/isolated-bodies.ts'
import type { IsolatedBody } from '../run/isolated-body.ts'
import type { PausableTask } from '../run/pausable-task.ts'
import type { Run } from '../run/run.ts'
import { inCleanContext } from '../support/clean-context.ts'
import {
  beatMs,
  type CallMessage,
  type FromIsolate,
  type FromIsolateBatch,
  type IsolateOpening,
  type ToIsolate,
} from './protocol.ts'
import type { IsolateExit, Spawn, Spawned } from './spawn.ts'
import { fromWireError, toWireError } from './wire-error.ts'

/** How long an isolate that was told to end may take before it is killed. */
const endingMs = 1_000

export type IsolateState = 'loading' | 'open' | 'replaced' | 'ending' | 'gone'

/** The pool, as its isolates report to it. */
export interface IsolateListener {
  loaded(isolate: Isolate): void
  /** The module cannot be loaded. */
  refused(isolate: Isolate, error: unknown): void
  /** A call has ended or went back. */
  callEnded(isolate: Isolate): void
  beat(isolate: Isolate): void
  /** Nothing of it runs any more. `calls` are those that had not ended. */
  gone(isolate: Isolate, from: IsolateState, ending: IsolateExit, calls: readonly Call[]): void
  /** The result of a run cannot be cloned. */
  unsent(run: Run, problem: string): void
}

export interface IsolateParts {
  readonly clock: Clock
  readonly opening: IsolateOpening
  readonly spawn: Spawn
  readonly graceMs: number
  readonly launcher: IsolatedBodiesHost & { readonly parked: boolean }
  readonly listener: IsolateListener
}

/** A run that was handed over. */
export class Call implements IsolatedBody {
  readonly run: Run
  readonly number: number
  started = false
  confirmed = false
  isAborted = false
  timer: Timer | undefined
  task: RemoteTask | undefined
  readonly #isolate: Isolate

  constructor(run: Run, number: number, isolate: Isolate) {
    this.run = run
    this.number = number
    this.#isolate = isolate
  }
  abort(reason: unknown): void {
    this.#isolate.abort(this, reason)
  }
}

/** A generator in an isolate. */
class RemoteTask implements PausableTask {
  readonly #post: (kind: 'park' | 'unpark') => void
  #pauses = 0
  /** How often the isolate was told to park it, and has answered. */
  #parks = 0
  #answers = 0
  #isParked = false

  constructor(post: (kind: 'park' | 'unpark') => void) {
    this.#post = post
  }
  get running(): boolean {
    return true
  }
  get paused(): boolean {
    return this.#pauses > 0
  }
  get parked(): boolean {
    return this.paused && this.#isParked
  }
  pause(): void {
    if (++this.#pauses > 1) return
    this.#isParked = false
    this.#parks++
    this.#post('park')
  }
  /** The isolate has stopped stepping it. The answer to an earlier pause says nothing: it was resumed since. */
  parkedThere(): void {
    this.#isParked = ++this.#answers === this.#parks
  }
  resume(): void {
    if (this.#pauses === 0) throw new NotPaused()
    if (--this.#pauses > 0) return
    this.#post('unpark')
  }
}

export class Isolate {
  readonly startedAt: number
  /** Takes no more calls, and ends once it has none. */
  isRetiring = false
  /** Started for one suspect, which runs in it alone. */
  readonly alone: boolean
  /** The suspect that runs in it. */
  suspect: Run | undefined
  memory = 0
  /** How many calls it has had. */
  jobs = 0
  /** Since when it has no calls. */
  idleSince: number
  readonly #parts: IsolateParts
  readonly #calls = new Map<number, Call>()
  #state: IsolateState = 'loading'
  #spawned: Spawned | undefined
  #unsent: ToIsolate[] = []
  #started = 0
  #confirmed = 0
  #loopDelay = 0
  #beatAt: number
  #endTimer: Timer | undefined

  constructor(parts: IsolateParts, alone: boolean) {
    const { clock } = parts
    this.#parts = parts
    this.alone = alone
    this.startedAt = clock.wall()
    this.idleSince = this.#beatAt = clock.now()
    // This may be called for a request of the application, whose async context must not stay in it.
    void inCleanContext(this.#start, this)
  }
  get id(): number {
    return this.#parts.opening.id
  }
  get kind(): 'thread' | 'process' {
    return this.#parts.opening.kind
  }
  get state(): IsolateState {
    return this.#state
  }
  get pid(): number | undefined {
    return this.#spawned?.pid
  }
  get underway(): number {
    return this.#calls.size
  }
  /** How long its loop was blocked at the last report, or has been blocked since. */
  get loopDelay(): number {
    return Math.max(this.#loopDelay, this.#parts.clock.now() - this.#beatAt - beatMs, 0)
  }
  /** Whether it may get another call. */
  get isUsable(): boolean {
    return (this.#state === 'loading' || this.#state === 'open') && !this.isRetiring && !this.alone
  }

  // Calls.

  call(run: Run, message: Omit<CallMessage, 'kind' | 'call'>): void {
    const call = new Call(run, ++this.jobs, this)
    this.#calls.set(call.number, call)
    run.handOver(call)
    this.#post({ kind: 'call', call: call.number, ...message })
  }
  /** Calls that have not started go back. */
  withdraw(): void {
    for (const call of this.#calls.values()) if (!call.started) return this.#post({ kind: 'withdraw' })
  }
  /** The module cannot be loaded, so no call has started. */
  returnCalls(): void {
    for (const { number } of [...this.#calls.values()]) this.#ends(number, run => this.#launcher.notLaunched(run))
  }
  abort(call: Call, reason: unknown): void {
    call.isAborted = true
    this.#post({ kind: 'abort', call: call.number, reason: toWireError(reason) })
    if (call.started) this.#watch(call)
  }
  /** The body must end within its grace. A stop waits for that (`waitMs` in lib/control/shutdown.ts). */
  #watch(call: Call): void {
    const { clock, graceMs } = this.#parts
    call.timer = clock.at(clock.now() + graceMs, () => {
      if (this.#calls.get(call.number) === call) this.#replace()
    })
    call.timer.unref()
  }

  // The end.

  /** A body does not end: the isolate is killed, and its other jobs go back. */
  #replace(): void {
    if (this.#state !== 'open') return
    this.#state = 'replaced'
    this.#spawned?.kill()
  }
  /** Ends it; it must have no calls. */
  end(): void {
    if (this.#state !== 'loading' && this.#state !== 'open') return
    this.#state = 'ending'
    this.#post({ kind: 'end' })
    const { clock } = this.#parts
    this.#endTimer = clock.at(clock.now() + endingMs, () => this.#spawned?.kill())
    this.#endTimer.unref()
  }
  kill(): void {
    if (this.#state === 'gone') return
    if (this.#state !== 'replaced') this.#state = 'ending'
    this.#spawned?.kill()
  }
  #gone(ending: IsolateExit): void {
    if (this.#state === 'gone') return
    const from = this.#state
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.#state = 'gone'
    this.#endTimer?.cancel()
    for (const call of calls) {
      call.timer?.cancel()
      this.#confirms(call)
    }
    this.#parts.listener.gone(this, from, ending, calls)
  }
  async #start(): Promise<void> {
    const { spawn, opening } = this.#parts
    try {
      const spawned = await spawn(opening, {
        message: batch => this.#receive(batch),
        ended: ending => this.#gone(ending),
      })
      this.#spawned = spawned
      // It was killed before it was there.
      if (this.#state === 'ending' && this.#unsent.length === 0) spawned.kill()
      this.#flush()
    } catch (error) {
      this.#gone({ exitCode: undefined, signal: undefined, error })
    }
  }

  // Messages.

  #post(message: ToIsolate): void {
    this.#unsent.push(message)
    if (this.#unsent.length === 1) void merged.then(() => this.#flush())
  }
  #flush(): void {
    const { state } = this
    if (!this.#spawned || this.#unsent.length === 0 || state === 'gone' || state === 'replaced') return
    const batch = this.#unsent
    this.#unsent = []
    try {
      this.#spawned.post(batch)
    } catch {
      for (const message of batch) this.#postAlone(message)
    }
  }
  #postAlone(message: ToIsolate): void {
    try {
      this.#spawned?.post([message])
    } catch (error) {
      const call = message.kind === 'call' ? this.#calls.get(message.call) : undefined
      if (!call) return
      const { launcher } = this.#parts
      this.#remove(call)
      launcher.launchedInIsolate(call.run)
      launcher.confirmedInIsolate(call.run)
      const problem = `cannot be cloned (${describeError(error)}), and the handler runs in a ${this.kind}; give plain data`
      launcher.failedInIsolate(call.run, new PayloadError('payload', problem, { cause: error }))
      this.#parts.listener.callEnded(this)
    }
  }
  #receive({ started, confirmed, items }: FromIsolateBatch): void {
    if (this.#state === 'gone') return
    // Calls that went back are not among those that have started.
    for (const item of items)
      if (item.kind === 'notStarted') this.#ends(item.call, run => this.#launcher.notLaunched(run))
    while (this.#started < started) this.#starts(this.#calls.get(++this.#started))
    while (this.#confirmed < confirmed) this.#confirms(this.#calls.get(++this.#confirmed))
    let hasProgress = false
    for (const item of items) {
      this.#take(item)
      if (item.kind === 'progress') hasProgress = true
    }
    if (hasProgress) this.#post({ kind: 'progressTaken' })
  }
  #starts(call: Call | undefined): void {
    if (!call) return
    call.started = true
    this.#launcher.launchedInIsolate(call.run)
    if (call.isAborted) this.#watch(call)
  }
  #confirms(call: Call | undefined): void {
    if (!call?.started || call.confirmed) return
    call.confirmed = true
    this.#launcher.confirmedInIsolate(call.run)
  }
  get #launcher(): IsolateParts['launcher'] {
    return this.#parts.launcher
  }
  #take(item: FromIsolate): void {
    const { listener } = this.#parts
    switch (item.kind) {
      case 'loaded':
        if (this.#state !== 'loading') return
        this.#state = 'open'
        this.#spawned?.unref()
        return listener.loaded(this)
      case 'refused':
        return listener.refused(this, fromWireError(item.error))
      case 'finished':
        return this.#ends(item.call, run => this.#launcher.finishedInIsolate(run, item.value))
      case 'failed':
        return this.#ends(item.call, run => this.#launcher.failedInIsolate(run, fromWireError(item.error)))
      case 'unsent':
        return this.#ends(item.call, run => {
          listener.unsent(run, item.problem)
          this.#launcher.finishedInIsolate(run, undefined)
        })
      case 'notStarted':
        return
      case 'task':
        return this.#hasTask(this.#calls.get(item.call))
      case 'parked': {
        this.#calls.get(item.call)?.task?.parkedThere()
        return listener.beat(this)
      }
      case 'progress': {
        const run = this.#openRun(item.call)
        return run && this.#launcher.progress(run, item.value)
      }
      case 'checkpoint':
        return void this.#checkpoint(item)
      case 'spent': {
        const run = this.#calls.get(item.call)?.run
        return run && this.#launcher.spent(run, item.cost)
      }
      case 'beat':
        this.memory = item.memory
        this.#loopDelay = item.loopDelay
        this.#beatAt = this.#parts.clock.now()
        return listener.beat(this)
      default:
        item satisfies never
    }
  }
  #openRun(number: number): Run | undefined {
    const run = this.#calls.get(number)?.run
    return run?.open ? run : undefined
  }
  async #checkpoint({ call, checkpoint, value }: FromIsolate & { kind: 'checkpoint' }): Promise<void> {
    const run = this.#openRun(call)
    const { id } = this.#calls.get(call)?.run.record ?? { id: '' }
    try {
      if (!run) throw new JobStateError('checkpoint', id, 'over', 'underway')
      await this.#launcher.checkpoint(run, value)
      this.#post({ kind: 'stored', checkpoint, error: undefined })
    } catch (error) {
      this.#post({ kind: 'stored', checkpoint, error: toWireError(error) })
    }
  }
  #hasTask(call: Call | undefined): void {
    if (!call) return
    call.task = new RemoteTask(kind => {
      if (this.#calls.get(call.number) === call) this.#post({ kind, call: call.number })
    })
    call.run.task = call.task
    if (this.#launcher.parked) call.task.pause()
  }
  #ends(number: number, end: (run: Run) => void): void {
    const call = this.#calls.get(number)
    if (!call) return
    this.#remove(call)
    this.#confirms(call)
    end(call.run)
    this.#parts.listener.callEnded(this)
  }
  #remove(call: Call): void {
    call.timer?.cancel()
    this.#calls.delete(call.number)
    if (this.suspect === call.run) this.suspect = undefined
    if (this.#calls.size === 0) this.idleSince = this.#parts.clock.now()
  }
}

/** Messages of one turn travel together. */
const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)
