/**
 * One attempt at a job: the call of the handler, its body until that has really ended, its timeout and its signal.
 *
 * Settling and ending are two things. A cancelled job settles at once; its body may go on, and holds its slot until it has
 * ended. A run settles once; whatever comes later is ignored.
 */
import { AsyncResource } from 'node:async_hooks'
import { types } from 'node:util'
import type { Settled, SettleKind } from './backlog.ts'
import type { Clock, Timer } from './clock.ts'
import type { CooperativeTask, Cooperator } from './cooperator.ts'
import { Deferred } from './deferred.ts'
import { CancelledError, TimeoutError } from './errors.ts'
import type { JobRecord, RetryPolicy, RunFacts } from './job.ts'
import type { Cost } from './rate.ts'
import { verdictOn } from './settlement.ts'
import { Task, type TaskHost } from './task.ts'

// biome-ignore lint/suspicious/noExplicitAny: what a generator is sent has no type of its own.
type Sent = any

/** What does a job's work: a function, an async function, a generator function or an async generator function. */
export type Handler<Payload, Result> = (
  payload: Payload,
  task: Task,
) => Result | PromiseLike<Result> | Generator<unknown, Result, Sent> | AsyncGenerator<unknown, Result, Sent>

/** After the abort of its signal a body that goes on for so long is reported as `stuck`. */
export const stuckAfterMs = 10_000

/** What a run asks of the dispatch that it is part of. */
export interface RunHost {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly maxHoldMs: number
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  handler(payload: unknown, task: Task): unknown
  /** The run has an ending for the backlog. */
  settled(run: Run): void
  /** The body has ended: its slot is free. */
  released(run: Run): void
  progress(run: Run, value: unknown): void
  stuck(run: Run): void
  checkpoint(run: Run, value: unknown): Promise<void>
  spent(run: Run, cost: Cost): void
  breathe(): Promise<void>
}

export class Run implements Settled, TaskHost, RunFacts {
  readonly record: JobRecord
  readonly attempt: number
  readonly grant: number
  readonly fence: number
  /** A launch must come before this instant. */
  readonly graceUntil: number
  kind: SettleKind = 'unlaunched'
  value: unknown = undefined
  error: unknown = undefined
  waitMs = 0
  heldKey: string | undefined = undefined
  startedAt: number | undefined = undefined
  stoppedAt: number | undefined = undefined
  /** It has passed the gate. */
  done = false
  /** The body has been called. */
  launched = false
  /** The body has ended. */
  ended = false
  /** It has settled, and its body goes on. */
  closing = false
  /** Cut short by stop(): a body that throws goes back instead of failing. */
  cut = false
  task: CooperativeTask<unknown> | undefined = undefined
  #host: RunHost
  #controller: AbortController | undefined = undefined
  #aborted: unknown = undefined
  #timedOut: TimeoutError | undefined = undefined
  #timer: Timer | undefined = undefined

  constructor(host: RunHost, record: JobRecord, grant: number, graceUntil: number) {
    this.#host = host
    this.record = record
    this.attempt = record.attempt
    this.grant = grant
    this.fence = record.fence
    this.graceUntil = graceUntil
  }
  get open(): boolean {
    return !this.done && !this.ended
  }
  get restored(): unknown {
    return this.record.extras?.checkpoint
  }
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    }
    return this.#controller.signal
  }
  progress(value: unknown): void {
    this.#host.progress(this, value)
  }
  checkpoint(value: unknown): Promise<void> {
    return this.#host.checkpoint(this, value)
  }
  spent(cost: Cost): void {
    this.#host.spent(this, cost)
  }
  breathe(): Promise<void> {
    return this.#host.breathe()
  }

  /** Calls the handler, in an async context that no other job's handler ever has. */
  launch(wall: number): void {
    this.launched = true
    this.startedAt = wall
    const timeoutMs = this.record.extras?.timeoutMs ?? this.#host.timeoutMs
    if (timeoutMs !== Infinity) {
      const { clock } = this.#host
      this.#timer = clock.at(clock.now() + timeoutMs, () => this.#timeout(timeoutMs))
    }
    const context = this.record.live?.context
    if (context) context(() => this.#call())
    else this.#call()
  }
  #call(): void {
    const scope = new AsyncResource('DispatchQueueJob')
    let answer: unknown
    try {
      answer = scope.runInAsyncScope(this.#host.handler, undefined, this.record.payload, new Task(this))
      if (typeof answer !== 'object' || answer === null) return this.#finish(answer)
      if (types.isGeneratorObject(answer)) return this.#drive(answer as Generator, scope)
      if (typeof (answer as PromiseLike<unknown>).then !== 'function') return this.#finish(answer)
    } catch (error) {
      return this.#fail(error)
    }
    const finish = (value: unknown): void => this.#finish(value)
    const fail = (error: unknown): void => this.#fail(error)
    if (types.isPromise(answer)) answer.then(finish, fail)
    else Promise.resolve(answer).then(finish, fail)
  }
  /** Each step of a generator runs in the context of its own job. */
  #drive(generator: Generator, scope: AsyncResource): void {
    const within = {
      next: (value?: unknown) => scope.runInAsyncScope(generator.next, generator, value),
      throw: (error: unknown) => scope.runInAsyncScope(generator.throw, generator, error),
      return: (value: unknown) => scope.runInAsyncScope(generator.return, generator, value),
    }
    this.task = this.#host.cooperator.cooperate(within as Iterator<unknown, unknown, unknown>)
    if (this.done) return this.#close()
    void this.task.whenDone().then(
      value => this.#finish(value),
      error => {
        if (!this.#closing) this.#fail(error)
      },
    )
  }
  #closing = false
  /** Runs the generator's `finally`; the body has ended when that has. */
  #close(): void {
    if (!this.task || this.#closing || this.ended) return
    this.#closing = true
    void this.task.abandon(this.#aborted).then(() => this.#fail(this.#aborted))
  }

  #finish(value: unknown): void {
    if (this.ended) return
    this.#end()
    if (!this.done) {
      if (this.#timedOut) this.#judge(this.#timedOut)
      else this.#settle('finished', value, undefined)
    }
    this.#host.released(this)
  }
  #fail(error: unknown): void {
    if (this.ended) return
    this.#end()
    if (!this.done) {
      if (this.cut) this.#settle('returned', undefined, error)
      else this.#judge(this.#timedOut ?? error)
    }
    this.#host.released(this)
  }
  #end(): void {
    this.ended = true
    this.#timer?.cancel()
    this.#over?.resolve()
  }
  #over: Deferred<void> | undefined = undefined
  /** Resolves when the body has ended. */
  over(): Promise<void> {
    this.#over ??= new Deferred<void>()
    if (this.ended) this.#over.resolve()
    return this.#over.promise
  }
  #judge(error: unknown): void {
    const { maxHoldMs, clock } = this.#host
    const retry = this.record.extras?.retry ?? this.#host.retry
    const verdict = verdictOn(error, this.attempt, retry, maxHoldMs, clock.random())
    this.waitMs = verdict.waitMs
    this.heldKey = verdict.heldKey
    this.#settle(verdict.kind, undefined, verdict.error)
  }
  #settle(kind: SettleKind, value: unknown, error: unknown): void {
    this.done = true
    this.kind = kind
    this.value = value
    this.error = error
    this.stoppedAt = this.#host.clock.wall()
    this.#host.settled(this)
  }

  /** The attempt is over its time. With none left the job fails at once; else the retry waits for the body to end. */
  #timeout(timeoutMs: number): void {
    if (this.ended || this.done) return
    const error = new TimeoutError(timeoutMs)
    this.#timedOut = error
    const retry = this.record.extras?.retry ?? this.#host.retry
    if (this.attempt >= retry.attempts) this.#settle('failed', undefined, error)
    this.abort(error)
  }
  /** The job is cancelled at once; its body is asked to end. */
  cancel(reason: unknown): boolean {
    if (this.done) return false
    const error = reason instanceof CancelledError ? reason : new CancelledError(reason)
    this.#settle('cancelled', undefined, error)
    this.abort(error)
    return true
  }
  /** Aborts the signal and closes a generator. */
  abort(reason: unknown): void {
    if (this.ended || !this.launched || this.#aborted !== undefined) return
    this.#aborted = reason
    this.#timer?.cancel()
    const { clock } = this.#host
    this.#timer = clock.at(clock.now() + stuckAfterMs, () => this.#host.stuck(this))
    this.#timer.unref()
    this.#controller?.abort(reason)
    this.#close()
  }
  /** The queue stops and does not wait any longer for the body. */
  abandon(): void {
    this.done = true
    this.#end()
  }
  /** Was never called: it goes back as if it had not been claimed. */
  handBack(): void {
    this.done = true
    this.ended = true
    this.kind = 'unlaunched'
  }
}
