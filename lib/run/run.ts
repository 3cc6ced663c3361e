/**
 * One attempt at a job: the call of the handler, its body until that has really ended, its timeout and its signal.
 *
 * Settling and ending are separate. A cancelled job settles at once; its body may still run, and holds its slot until
 * it has ended. A run settles once; later results are ignored. A run that ended without complications is reused for
 * another job, so code that may hold a run longer than its body (a task, for example) checks `isOf` first. run-state.ts
 * lists the states and their transitions.
 */
import { AsyncResource } from 'node:async_hooks'
import { types } from 'node:util'
import { type Caution, type Grant, noCaution, type SettleKind, type Settlement } from '../backlog.ts'
import type { Clock, Timer } from '../clock.ts'
import type { CooperativeTask, Cooperator } from '../cooperate/cooperator.ts'
import { CancelledError, TimeoutError } from '../errors.ts'
import type { JobRecord, RetryPolicy, RunFacts } from '../job.ts'
import type { Cost } from '../rate/rules.ts'
import { settlementOfError } from '../settle/error-settlement.ts'
import { inCleanContext } from '../support/clean-context.ts'
import { Deferred } from '../support/deferred.ts'
import { isNativePromise, toNativePromise } from '../support/native-promise.ts'
import { keepShapeAlive } from '../support/shape-samples.ts'
import { cancelledBy } from '../support/signals.ts'
import type { IsolatedBody } from './isolated-body.ts'
import { type LaunchReportState, unreported } from './launch-report-state.ts'
import { PastRun } from './past-run.ts'
import type { PausableTask } from './pausable-task.ts'
import {
  abandoned,
  closed,
  closing,
  edges,
  ended,
  free,
  granted,
  interrupted,
  lost,
  open,
  over,
  type RunState,
  running,
  stateName,
} from './run-state.ts'
import { enterBody } from './self-waits.ts'
import { Task, type TaskHost } from './task.ts'

// biome-ignore lint/suspicious/noExplicitAny: what a generator is sent has no type of its own.
type Sent = any

/** A generator, or what a transpiler or a decorator turns one into. */
interface Steps<Result> {
  next(...sent: [] | [Sent]): IteratorResult<unknown, Result>
  [Symbol.iterator](): unknown
}
interface AsyncSteps<Result> {
  next(...sent: [] | [Sent]): PromiseLike<IteratorResult<unknown, Result>>
  [Symbol.asyncIterator](): unknown
}

/**
 * Does a job's work: a function, an async function, a generator function or an async generator function. A returned
 * object with `next` and `Symbol.iterator` or `Symbol.asyncIterator` is driven as a generator, whatever created it.
 */
export type Handler<Payload, Result> = (
  payload: Payload,
  task: Task,
) => Result | PromiseLike<Result> | Steps<Result> | AsyncSteps<Result>

/**
 * A body that still runs this long after the abort of its signal is reported as `stuck`, and fails if it had timed out.
 */
export const stuckAfterMs = 10_000

type Step = (value?: unknown) => unknown

export interface AnyIterator {
  readonly next: Step
  readonly throw?: Step
  readonly return?: Step
}

/**
 * Whether to drive the returned value as a generator. The output of transpilers and decorators is no generator object.
 */
export function isIterator(answer: unknown): answer is AnyIterator {
  if (typeof answer !== 'object' || answer === null || typeof (answer as AnyIterator).next !== 'function') return false
  return Symbol.iterator in answer || Symbol.asyncIterator in answer
}

/** The part of the launcher that a run uses. */
export interface RunHost {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly maxHoldMs: number
  /** The names of the queue's rules. */
  readonly ruleNames: () => readonly string[]
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly handler: (payload: unknown, task: Task) => unknown
  /** False in an isolate: the queue decides what a thrown error means for its job. */
  readonly judges?: boolean
  /** Tasks are parked at their next `yield`. */
  readonly parked: boolean
  /** The run has an ending for the backlog. */
  settled(run: Run): void
  /** The body has ended, so its slot is free. */
  released(run: Run): void
  /** The same for a body that was abandoned. */
  abandonedBodyEnded(run: Run): void
  progress(run: Run, value: unknown): void
  stuck(run: Run): void
  checkpoint(run: Run, value: unknown): Promise<void>
  spent(run: Run, cost: Cost): void
  breathe(): Promise<void>
  finishWithin(run: Run, transaction: unknown, value: unknown): void | Promise<void>
  /** Also called if the job of a body that was handed over ends before it is known whether the body was launched. */
  launchedInIsolate?(run: Run): void
}

/** State that few runs need. */
class RareParts {
  controller: AbortController | undefined = undefined
  aborted: unknown = undefined
  timedOut: TimeoutError | undefined = undefined
  timer: Timer | undefined = undefined
  bodyEnd: Deferred<void> | undefined = undefined
  returnCalled = false
  /** The job had to run alone, and went back because other bodies ran. */
  notAlone = false
}

const noRecord: JobRecord = undefined as unknown as JobRecord

export class Run implements Settlement, TaskHost, RunFacts {
  record: JobRecord = noRecord
  fence = 0
  /** The argument of the handler: the job's payload, or the backlog's copy of it. */
  payload: unknown = undefined
  grant: Grant = 0
  /** The launch must come before this instant. */
  graceUntil: number = Infinity
  /** The caution with which to launch, and the progress of the launch's report. */
  caution: Caution = noCaution
  launchReport: LaunchReportState = unreported
  /** `underway` was announced, and nothing since that ended the run: a loss of the job is announced too. */
  announced = false
  kind: SettleKind = 'notLaunched'
  value: unknown = undefined
  error: unknown = undefined
  text: string | undefined = undefined
  waitMs = 0
  heldKey: string | undefined = undefined
  heldRule: string | undefined = undefined
  startedAt: number | undefined = undefined
  stoppedAt: number | undefined = undefined
  /** The ending is part of a transaction of the handler's own. */
  within = false
  /** The body ended with its isolate: how many runs of the job have ended in this way, this one included. */
  crashes: number | undefined = undefined
  /** The body, if it was handed over to an isolate. */
  isolatedBody: IsolatedBody | undefined = undefined
  task: PausableTask | undefined = undefined
  /** The neighbours in the list of the queue's runs. */
  next: Run | undefined = undefined
  previous: Run | undefined = undefined
  readonly #host: RunHost
  #state: RunState = free
  #rare: RareParts | undefined = undefined
  /** The generator that runs here. */
  #generator: CooperativeTask<unknown> | undefined = undefined
  // Created once per run and not once per job: the end of a body is always reported to the run that called it.
  readonly #finished: (value: unknown) => void = value => this.#finish(value)
  readonly #failed: (error: unknown) => void = error => this.#fail(error)

  constructor(host: RunHost) {
    this.#host = host
  }
  /** Starts the run for a claimed job. */
  begin(record: JobRecord, payload: unknown, grant: Grant, graceUntil: number): void {
    this.record = record
    this.payload = payload
    this.fence = record.fence
    this.grant = grant
    this.graceUntil = graceUntil
    this.caution = noCaution
    this.launchReport = unreported
    this.announced = false
    this.kind = 'notLaunched'
    this.value = this.error = this.text = this.startedAt = this.stoppedAt = undefined
    this.waitMs = 0
    this.heldKey = this.heldRule = undefined
    this.within = false
    this.crashes = undefined
    this.isolatedBody = undefined
    this.#become(granted)
  }
  /**
   * Whether no other code ever got hold of the run, and no correction of its cost may follow, so that it can be reused.
   */
  get reusable(): boolean {
    return (
      (this.#state & (ended | closed)) !== 0 && this.#rare === undefined && this.task === undefined && this.grant === 0
    )
  }
  /** Returns to the pool, without a job: a task that is still held finds that its run is over. */
  reset(): void {
    this.#become(free)
    this.record = noRecord
    this.value = this.error = this.text = undefined
  }
  get state(): RunState {
    return this.#state
  }
  /** Whether the job has its ending from this run, or gets it from another one. */
  get settled(): boolean {
    return (this.#state & open) === 0
  }
  /** Whether the body was called. */
  get launched(): boolean {
    return this.startedAt !== undefined
  }
  /** Whether the body has ended, or nobody waits for it any more. */
  get bodyEnded(): boolean {
    return (this.#state & over) !== 0
  }
  /** The job has ended before its body. */
  get bodyContinues(): boolean {
    return this.#state === closing && this.launched
  }
  /** The job could not run alone, and goes back. */
  get notAlone(): boolean {
    return this.#rare?.notAlone === true
  }
  markNotAlone(): void {
    this.#ensureRare.notAlone = true
  }
  isOf(record: JobRecord, fence: number): boolean {
    return this.record === record && this.fence === fence
  }
  get open(): boolean {
    return (this.#state & open) !== 0
  }
  get signal(): AbortSignal {
    const rare = this.#ensureRare
    if (!rare.controller) {
      rare.controller = new AbortController()
      if (rare.aborted !== undefined) rare.controller.abort(rare.aborted)
    }
    return rare.controller.signal
  }
  get #ensureRare(): RareParts {
    this.#rare ??= new RareParts()
    return this.#rare
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
  finishWithin(transaction: unknown, value: unknown): void | Promise<void> {
    const recorded = this.#host.finishWithin(this, transaction, value)
    if (recorded) return this.#finishesLater(recorded, value)
    this.within = true
    this.value = value
  }
  async #finishesLater(recorded: Promise<void>, value: unknown): Promise<void> {
    const { record, fence } = this
    await recorded
    // Meanwhile the run may have ended, and may even belong to another job.
    if (this.record !== record || this.fence !== fence || this.settled) return
    this.within = true
    this.value = value
  }

  /** Calls the handler, in an async context that no other job's handler ever has. */
  launch(wall: number): void {
    this.#start(wall)
    const { record } = this
    const context = record.live?.context
    if (context) context(() => this.#call(record))
    else this.#call(record)
  }
  #start(wall: number): void {
    this.#become(running)
    this.startedAt = wall
    const timeoutMs = this.record.extras?.timeoutMs ?? this.#host.timeoutMs
    if (timeoutMs === Infinity) return
    const { clock } = this.#host
    this.#ensureRare.timer = clock.at(clock.now() + timeoutMs, () => this.#timeout(timeoutMs))
  }

  // A body in an isolate (isolated-body.ts).

  /** From here on the body may start in an isolate at any instant. */
  handOver(body: IsolatedBody): void {
    this.isolatedBody = body
    this.payload = undefined
  }
  /** The handler is called there. */
  launchInIsolate(wall: number): void {
    this.#start(wall)
  }
  finishInIsolate(value: unknown): void {
    this.#finish(value)
  }
  failInIsolate(error: unknown): void {
    this.#fail(error)
  }
  /**
   * The body was ended together with its isolate, because of another body. A body that had timed out was itself to end.
   */
  displace(): void {
    const before = this.#endBody()
    if ((before & open) !== 0) {
      const timedOut = this.#rare?.timedOut
      if (timedOut && before !== interrupted) this.#judge(timedOut)
      else this.#settle('interrupted')
    }
    if (before !== ended) this.#host.released(this)
  }
  /**
   * The isolate ended by itself. The job goes back, or fails with `error` if there is one, or stays underway without a
   * body until a verdict settles it.
   */
  crash(crashes: number, error: unknown, awaitsVerdict: boolean): void {
    const before = this.#endBody()
    if ((before & open) !== 0 && !awaitsVerdict) {
      this.crashes = crashes
      this.error = error
      this.#settle(error === undefined ? 'interrupted' : 'failed')
    }
    if (before !== ended) this.#host.released(this)
  }
  #call(record: JobRecord): void {
    const scope = new AsyncResource('DispatchQueueJob')
    const { payload } = this
    this.payload = undefined
    let answer: unknown
    try {
      enterBody(this)
      answer = scope.runInAsyncScope(this.#host.handler, undefined, payload, new Task(this, record))
      enterBody(undefined)
      if (typeof answer !== 'object' || answer === null) return this.#finish(answer)
      if (isNativePromise(answer)) return void answer.then(this.#finished, this.#failed)
      if (types.isGeneratorObject(answer)) return this.#drive(answer as unknown as AnyIterator, scope)
      if (typeof (answer as PromiseLike<unknown>).then !== 'function') {
        return isIterator(answer) ? this.#drive(answer, scope) : this.#finish(answer)
      }
    } catch (error) {
      enterBody(undefined)
      return this.#fail(error)
    }
    toNativePromise(answer as PromiseLike<unknown>).then(this.#finished, this.#failed)
  }
  /**
   * Each step of a generator runs in the async context of its own job, as the step before left it. The first step,
   * which contains the handler's first line, is part of the launch: the launch is recorded after it
   * (docs/design/rate.md).
   */
  #drive(generator: AnyIterator, scope: AsyncResource): void {
    let context = scope
    const step = (resume: Step, value: unknown): unknown => {
      enterBody(this)
      try {
        return resume.call(generator, value)
      } finally {
        enterBody(undefined)
        // A store that a step entered (`enterWith`) would be lost with its context where V8 keeps contexts: Node 24 and
        // later.
        context = new AsyncResource('DispatchQueueJob')
      }
    }
    const within =
      (resume: Step): Step =>
      value =>
        context.runInAsyncScope(step, undefined, resume, value)
    const { next, throw: thrown, return: returned } = generator
    const task = this.#host.cooperator.adopt({
      next: within(next),
      ...(thrown && { throw: within(thrown) }),
      ...(returned && { return: within(returned) }),
    } as Iterator<unknown, unknown, unknown>)
    this.task = this.#generator = task
    void task.whenDone().then(this.#finished, error => {
      if (!this.#rare?.returnCalled) this.#fail(error)
    })
    // The call that created the generator may have cancelled its own job, or stopped the queue: then the body never
    // starts.
    if (this.settled || this.#rare?.aborted !== undefined) this.#closeGenerator()
    else {
      task.begin()
      if (this.#host.parked && task.running && !task.parked) task.pause()
    }
  }
  /** Runs the generator's `finally`, whose end is the end of the body. */
  #closeGenerator(): void {
    const rare = this.#ensureRare
    if (!this.#generator || rare.returnCalled || this.bodyEnded) return
    rare.returnCalled = true
    void this.#generator.abandon(rare.aborted).then(() => this.#fail(rare.aborted))
  }

  #finish(value: unknown): void {
    const before = this.#endBody()
    if ((before & open) !== 0) {
      const timedOut = this.#rare?.timedOut
      if (timedOut) this.#judge(timedOut)
      else {
        if (!this.within) this.value = value
        this.#settle('finished')
      }
    }
    if (before !== ended) this.#host.released(this)
  }
  #fail(error: unknown): void {
    const before = this.#endBody()
    if ((before & open) !== 0) {
      this.error = error
      if (before === interrupted) this.#settle('interrupted')
      else this.#judge(this.#rare?.timedOut ?? error)
    }
    if (before !== ended) this.#host.released(this)
  }
  /** Returns the state before the end; {@link ended} if nobody waits for it. */
  #endBody(): RunState {
    const before = this.#state
    if (before === abandoned) {
      this.#become(ended)
      this.#host.abandonedBodyEnded(this)
      return ended
    }
    // A generator that is being closed may end twice: by its own step, and by its return().
    if ((before & over) !== 0) return ended
    this.#end(before === closing ? closed : ended)
    return before
  }
  /** From here on nobody waits for the body. */
  #end(to: typeof ended | typeof closed | typeof abandoned): void {
    this.#become(to)
    this.payload = undefined
    const rare = this.#rare
    if (!rare) return
    rare.timer?.cancel()
    rare.bodyEnd?.resolve()
  }
  /** The only method that changes the state. */
  #become(to: RunState): void {
    if ((edges[this.#state] & to) === 0) {
      throw new Error(`a run that is ${stateName(this.#state)} cannot become ${stateName(to)}`)
    }
    this.#state = to
  }
  /** Resolves when the body has ended. */
  whenBodyEnded(): Promise<void> {
    const rare = this.#ensureRare
    rare.bodyEnd ??= new Deferred<void>()
    if (this.bodyEnded) rare.bodyEnd.resolve()
    return rare.bodyEnd.promise
  }
  #judge(error: unknown): void {
    if (this.#host.judges === false) {
      this.error = error
      return this.#settle('failed')
    }
    const { maxHoldMs, ruleNames, clock, retry } = this.#host
    const { extras, attempt } = this.record
    const verdict = settlementOfError(error, {
      ...{ attempt, retry: extras?.retry ?? retry, maxHoldMs, ruleNames, key: extras?.key },
      ...{ chance: clock.random(), wall: clock.wall() },
    })
    this.waitMs = verdict.waitMs
    this.heldKey = verdict.heldKey
    this.heldRule = verdict.heldRule
    this.error = verdict.error
    this.#settle(verdict.kind)
  }
  #settle(kind: SettleKind): void {
    this.kind = kind
    this.#host.settled(this)
  }
  /** The job settles before its body has ended. */
  #settleFirst(kind: SettleKind): void {
    this.#become(closing)
    this.#settle(kind)
  }

  /**
   * The attempt has timed out. If no attempt is left, the job fails at once; otherwise the retry waits for the body to
   * end.
   */
  #timeout(timeoutMs: number): void {
    if (!this.open) return
    const error = new TimeoutError(timeoutMs)
    this.#ensureRare.timedOut = error
    const { extras, attempt } = this.record
    const retry = extras?.retry ?? this.#host.retry
    if (attempt >= retry.attempts) {
      this.error = error
      this.#settleFirst('failed')
    }
    this.abort(error)
  }
  /**
   * Checked before the launch: if the job's signal has aborted, the body never starts, however far the cancel itself
   * has come.
   */
  cancelIfAborted(): boolean {
    const signal = this.record.live?.signal
    return signal?.aborted === true && this.cancel(cancelledBy(signal))
  }
  /** Cancels the job at once, and aborts the signal of its body. */
  cancel(reason: unknown): boolean {
    if (this.settled) return false
    if (this.isolatedBody && !this.launched) this.#host.launchedInIsolate?.(this)
    const error = reason instanceof CancelledError ? reason : new CancelledError(reason)
    this.error = error
    this.#settleFirst('cancelled')
    this.abort(error)
    return true
  }
  /** The job went to another run: nothing that this run reports counts any more, and the signal of its body aborts. */
  lose(error: unknown): void {
    if (this.isolatedBody && !this.launched && this.open) this.#host.launchedInIsolate?.(this)
    if (this.open) this.#become(lost)
    this.abort(error)
  }
  /** Aborts the signal and closes a generator. */
  abort(reason: unknown): void {
    if (this.bodyEnded || !this.launched || this.#rare?.aborted !== undefined) return
    this.#ensureRare.aborted = reason
    // The caller of a cancel, such as a request, must not pass its async context to listeners of the signal.
    inCleanContext(this.#abort, this, this.#ensureRare)
  }
  #abort(rare: RareParts): void {
    rare.timer?.cancel()
    const { clock } = this.#host
    rare.timer = clock.at(clock.now() + stuckAfterMs, () => this.#stuck())
    rare.timer.unref()
    rare.controller?.abort(rare.aborted)
    if (this.isolatedBody) this.isolatedBody.abort(rare.aborted)
    else this.#closeGenerator()
  }
  /**
   * The body ignores its signal. If a retry was to follow, it cannot: it would run beside this body, or wait for ever.
   */
  #stuck(): void {
    this.#host.stuck(this)
    const { timedOut } = this.#ensureRare
    if (!timedOut || !this.open) return
    this.error = new TimeoutError(timedOut.timeoutMs, { stuck: true })
    this.#settleFirst('failed')
  }
  /** A stop interrupts the body. */
  interrupt(): void {
    if (this.#state === running) this.#become(interrupted)
  }
  /** The queue stops and no longer waits for the body. */
  abandon(): void {
    if (!this.bodyEnded) this.#end(abandoned)
  }
  /** Was never called: the job goes back as if it had not been claimed. */
  handBack(): void {
    this.kind = 'notLaunched'
    this.#end(ended)
  }
  /** Was settled before its call, so there is no body to wait for. */
  endUnrun(): void {
    this.#end(this.#state === closing ? closed : ended)
  }
}

keepShapeAlive(new PastRun(new Run(undefined as unknown as RunHost)))
