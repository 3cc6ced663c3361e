/**
 * The dispatch queue: put, run, width, rate, pause, resume, stop, events, queries and commands.
 *
 * It only connects its parts: put/intake.ts accepts puts, dispatch/dispatch.ts claims and launches, the backlog stores,
 * announce/results.ts settles promises, control/queries.ts and control/commands.ts serve callers, and control/shutdown.ts
 * ends the queue. Mechanisms belong into the parts.
 */
import { MemoryBacklog } from '../persistence/memory/backlog.ts'
import { Announcer, forgetSignal } from './announce/announcer.ts'
import { Results } from './announce/results.ts'
import { type Backlog, type BacklogSession, type StateCounts, synchronousTransport } from './backlog.ts'
import type { Clock } from './clock.ts'
import { Aborts } from './control/aborts.ts'
import { Commands, parseWhen } from './control/commands.ts'
import { Pauses } from './control/pauses.ts'
import { type Counts, type Explanation, type JobsQuery, Queries, targetOf } from './control/queries.ts'
import { Shutdown } from './control/shutdown.ts'
import { Waiters } from './control/waiters.ts'
import { Cooperator } from './cooperate/cooperator.ts'
import { Dispatch, type TurnListener } from './dispatch/dispatch.ts'
import { NoticeHandler } from './dispatch/notice-handler.ts'
import { describe, isArray, JobStateError, OptionError, PayloadError, QueueStoppedError } from './errors.ts'
import { EventStream, type EventsOptions } from './events/event-stream.ts'
import { type QueueEventName, type QueueEvents, SafeEmitter } from './events/events.ts'
import type { Job, JobHost, JobRecord } from './job.ts'
import { Lifecycle } from './lifecycle.ts'
import { takeName } from './options/name-taken.ts'
import { plainPause, refuseWithoutHandler, withoutHandler } from './options/no-handler.ts'
import {
  type AfterCrash,
  checkBoolean,
  type ParsedOptions,
  type PutOptions,
  parseQueueOptions,
  parseWidth,
  type QueueOptions,
} from './options/options.ts'
import { type Duration, durationMs } from './parse/duration.ts'
import { optionsOf } from './parse/option-names.ts'
import { Arrivals } from './put/arrivals.ts'
import { Intake } from './put/intake.ts'
import type { PutCall } from './put/requests.ts'
import { parseRate, type RateRule, type Rule } from './rate/rules.ts'
import type { Handler, Run } from './run/run.ts'
import { SelfWaits } from './run/self-waits.ts'
import type { Task } from './run/task.ts'
import { withCallSite } from './support/call-site.ts'
import { inCleanContext } from './support/clean-context.ts'
import { cancelledBy, Signals, type Unlisten } from './support/signals.ts'

/** The most jobs in one `putMany`. */
export const maxPutMany = 50_000

export interface StopOptions {
  /** Whether the signals of underway jobs abort at once; false. */
  cancelUnderway?: boolean | undefined
  /** How long underway jobs may continue before their signals abort; without limit by default. */
  grace?: Duration | undefined
}

/** A payload and options. Both may be omitted if the handler takes no payload, or one that may be undefined. */
export type PutArguments<Payload> = [payload: Payload, options?: PutOptions] | (undefined extends Payload ? [] : never)

export interface Stopped<Payload, Result> {
  /**
   * Memory only: all jobs that did not run to their end: first the interrupted ones, then the others, most important
   * first.
   */
  readonly returned: Job<Payload, Result>[]
  /** Durable backlogs only: how many jobs stay. */
  readonly left: number
  /** The jobs whose bodies had not ended when the queue stopped waiting for them. */
  readonly abandoned: Job<Payload, Result>[]
}

type Answer = (value: unknown) => void

const noCounts: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

export class DispatchQueue<Payload = unknown, Result = unknown> extends SafeEmitter<Payload, Result> {
  readonly #options: ParsedOptions
  readonly #clock: Clock
  readonly #name: string
  readonly #working: boolean
  readonly #durable: boolean
  readonly #intake: Intake
  readonly #lifecycle: Lifecycle
  readonly #dispatch: Dispatch
  readonly #results: Results
  readonly #waiters: Waiters
  readonly #queries: Queries
  readonly #commands: Commands
  readonly #pauses: Pauses
  readonly #noticeHandler: NoticeHandler
  readonly #opened: Promise<BacklogSession>
  #openingReported = false
  readonly #host: JobHost = {
    resultOf: record => this.#results.of(record),
    asOf: record => this.#session?.asOf?.(record),
    cancel: (job, reason) => this.cancel(job as Job<Payload, Result>, reason),
    pauseTask: record => this.#taskOf(record, 'pause').pause(),
    resumeTask: record => this.#taskOf(record, 'resume').resume(),
  }
  readonly #announcer: Announcer
  readonly #arrivals: Arrivals
  readonly #aborts: Aborts
  readonly #selfWaits: SelfWaits
  readonly #signals = new Signals(callAll, false)
  readonly #streamSignals = new Signals(callAll, true)
  readonly #giveUpName: (() => void) | undefined
  #unlisten: Unlisten | undefined
  #session: BacklogSession | undefined
  /** The rules that were set and that the backlog has not confirmed yet. */
  #requestedRules: readonly RateRule[] | undefined
  #shutdown: Shutdown | undefined
  #stopping: Promise<Stopped<Payload, Result>> | undefined

  /**
   * @param handler Does a job's work. Null makes a queue that only puts, queries and changes jobs. The constructor does
   * no I/O and launches nothing in its own tick. Throws OptionError for illegal options, and QueueNameTakenError if a
   * queue of this process has a handler for the same name on the same backlog object.
   */
  constructor(handler: Handler<Payload, Result> | null, options: QueueOptions<Payload, Result> = {}) {
    if (handler !== null && typeof handler !== 'function') throw noHandler(handler)
    const parsed = parseQueueOptions(options as QueueOptions<never, never>)
    if (handler === null) refuseWithoutHandler(options, parsed.backlog)
    super(parsed.name ?? 'queue', parsed.clock)
    const { clock, backlog = new MemoryBacklog(), width, paused, retry, timeoutMs, maxHoldMs, signal } = parsed
    const emitter = this as unknown as SafeEmitter<unknown, unknown>
    const turns: TurnListener = { turnOver: () => this.#turned() }
    this.#options = parsed
    this.#clock = clock
    this.#name = parsed.name ?? 'queue'
    this.#working = handler !== null
    this.#durable = backlog.durable
    const { transport = synchronousTransport }: Backlog = backlog
    const lifecycle = new Lifecycle(this.#working, paused)
    this.#lifecycle = lifecycle
    this.#results = new Results(backlog.durable, lifecycle, record => this.#session?.follow?.(record) ?? record)
    const results = this.#results
    const announcer = new Announcer({ emitter, results, host: this.#host, keep: parsed.keep })
    this.#announcer = announcer
    this.#intake = new Intake({
      clock,
      lifecycle,
      strict: backlog.strict,
      transport,
      waits: parsed.waits,
      size: parsed.size,
      context: parsed.context,
    })
    this.#dispatch = new Dispatch(
      {
        clock,
        lifecycle,
        cooperator: new Cooperator({ slice: parsed.slice, clock }),
        emitter,
        strict: backlog.strict,
        durable: backlog.durable,
        maxInFlight: transport.inFlight,
        keepsResults: parsed.keep.results && parsed.keep.finishedMs > 0,
        reports: !backlog.durable ? 'never' : parsed.afterCrash === 'fail' ? 'first' : 'lazily',
        handler: handler as ((payload: unknown, task: Task) => unknown) | null,
        retry,
        timeoutMs,
        maxHoldMs,
        announcer,
        results,
        turns,
      },
      width,
    )
    const dispatch = this.#dispatch
    this.#waiters = new Waiters({
      bodies: () => dispatch.launcher.slotsTaken,
      runs: dispatch.launcher.runs,
      isIdle: () => this.#isIdle(),
      becameIdle: () => this.announce('idle'),
    })
    this.#noticeHandler = new NoticeHandler({
      dispatch,
      emitter,
      afterCrash: parsed.afterCrash as AfterCrash<unknown, unknown>,
      announcer,
    })
    if (handler !== null && parsed.backlog) this.#giveUpName = takeName(parsed.backlog, this.#name, this)
    // The opening may create a thread and timers, which must not keep the async context of a request.
    this.#opened = inCleanContext(this.#open, this, backlog)
    this.#opened.catch(() => this.#giveUpName?.())
    this.#queries = new Queries(() => this.#whenOpen(), dispatch, lifecycle, clock)
    this.#commands = new Commands({
      clock,
      dispatch,
      intake: this.#intake,
      durable: backlog.durable,
      lifecycle,
      announcer,
      results,
      turns,
    })
    this.#pauses = new Pauses({
      lifecycle,
      dispatch,
      commands: this.#commands,
      waiters: this.#waiters,
      emitter,
      opened: this.#opened,
    })
    this.#selfWaits = new SelfWaits({
      clock,
      queue: this.#name,
      owns: run => dispatch.launcher.runs.of(run.record) === run,
    })
    this.#aborts = new Aborts({ intake: this.#intake, commands: this.#commands, dispatch })
    this.#arrivals = new Arrivals({
      emitter,
      announcer,
      results,
      host: this.#host,
      signals: this.#aborts,
      waiters: this.#waiters,
      loop: dispatch,
    })
    this.#intake.listen(this.#arrivals)
    this.#commands.listen(this.#arrivals)
    dispatch.listen(this.#noticeHandler, this.#pauses)
    if (signal) this.#unlisten = this.#signals.listen(signal, () => void this.stop({ cancelUnderway: true }))
  }
  async #open(backlog: NonNullable<ParsedOptions['backlog']>): Promise<BacklogSession> {
    const { rate, size, keep, afterCrash, crashLimit } = this.#options
    try {
      const session = await backlog.attach({
        name: this.#name,
        works: this.#working,
        clock: this.#clock,
        rate,
        size,
        keep,
        afterCrash: typeof afterCrash === 'function' ? 'ask' : afterCrash,
        crashLimit,
        wake: () => this.#dispatch.wake(),
        endedElsewhere: record => {
          this.#results.settle(record)
          forgetSignal(record)
        },
        stalled: () => this.announce('stalled'),
        failed: error => this.report(error, {}),
        runningBodies: () => this.#dispatch.launcher.running,
      })
      this.#session = session
      this.#arrivals.open(session)
      this.#intake.open(session)
      this.#dispatch.open(session)
      return session
    } catch (error) {
      this.#intake.fail(error)
      if (this.hasListener('error')) this.report(error, {})
      else this.#clock.soon(() => this.#warnOfOpening(error))
      throw error
    }
  }
  /** For callers to whom a rejection reports why the backlog cannot be opened. */
  #whenOpen(): Promise<BacklogSession> {
    this.#openingReported = true
    return withCallSite(this.#opened)
  }
  /** Warns only if no caller got the rejection. */
  #warnOfOpening(error: unknown): void {
    if (!this.#openingReported && !this.#intake.failureReported) this.report(error, {})
  }

  get name(): string {
    return this.#name
  }
  /** Whether a pause is in force, of this object or a shared one. */
  get paused(): boolean {
    return this.#lifecycle.paused
  }
  /** Whether `stop()` was called. */
  get stopped(): boolean {
    return this.#lifecycle.stopping
  }
  /** Resolves once the backlog is open; rejects if it cannot be opened. */
  async ready(): Promise<void> {
    await this.#whenOpen()
  }

  /**
   * Puts a job. Resolves once the backlog has accepted it. Rejects with OptionError, PayloadError, QueueFullError,
   * IdConflictError, CostError or QueueStoppedError.
   */
  put(...args: PutArguments<Payload>): Promise<Job<Payload, Result>>
  put(payload?: unknown, options?: PutOptions): Promise<Job<Payload, Result>> {
    return new Promise((resolve, reject) => {
      const record = this.#take('put', payload as Payload, options, reject)
      if (!record) return
      const call = this.#arrivals.single(record, resolve as Answer)
      if (record.live?.signal) this.#listen(record, record.live.signal, call)
      this.#intake.take(call)
    })
  }
  /** Puts up to 50,000 jobs, all or none, in one transaction of the backlog. */
  async putMany(
    payloads: readonly Payload[],
    options?: PutOptions | ((payload: Payload, i: number) => PutOptions),
  ): Promise<Job<Payload, Result>[]> {
    if (!isArray(payloads)) throw new OptionError('payloads', payloads, `must be an array, got ${describe(payloads)}`)
    if (payloads.length > maxPutMany) {
      throw new OptionError(
        'payloads',
        payloads,
        `must be at most ${maxPutMany} at a time, got ${payloads.length}; put them in parts`,
      )
    }
    if (this.#lifecycle.stopping) throw new QueueStoppedError('cannot put')
    const records: JobRecord[] = []
    for (let i = 0; i < payloads.length; i++) {
      if (!(i in payloads)) {
        throw new OptionError(`payloads[${i}]`, undefined, 'is a hole in the array; fill it, or leave it out')
      }
      const payload = payloads[i] as Payload
      records.push(this.#recordAt(payload, typeof options === 'function' ? options(payload, i) : options, i))
    }
    if (records.length === 0) return []
    // The options and payloads of later jobs may be code that aborts the signals of earlier ones.
    for (const { live } of records) if (live?.signal?.aborted) throw cancelledBy(live.signal)
    return new Promise(resolve => {
      const call = this.#arrivals.many(records, resolve as Answer)
      for (const record of records) if (record.live?.signal) this.#listen(record, record.live.signal, call)
      this.#intake.take(call)
    })
  }
  /**
   * Puts a job and resolves with the handler's result: the fast way if you need the result. Rejects like `put` and like
   * `job.result`.
   */
  run(...args: PutArguments<Payload>): Promise<Result>
  run(payload?: unknown, options?: PutOptions): Promise<Result> {
    const result = new Promise<Result>((resolve, reject) => {
      // Most runs have no options. An error thrown here rejects the promise.
      if (options === undefined && !this.#lifecycle.stopping && this.#intake.takePlain(payload, resolve as Answer))
        return
      const record = this.#take('run', payload as Payload, options, reject)
      if (!record) return
      record.answer = resolve as Answer
      if (record.live?.signal) this.#listen(record, record.live.signal, record)
      this.#intake.takeOne(record)
    })
    if (this.#selfWaits.concerns('run')) this.#selfWaits.watch('run', result, () => this.#isFull())
    return result
  }

  /**
   * How many jobs may be underway. Reading returns the target at once; a lower width never interrupts jobs. Setting
   * throws OptionError, and QueueStoppedError after `stop`.
   */
  get width(): number {
    return this.#dispatch.launcher.width
  }
  set width(width: number) {
    if (this.#lifecycle.stopping) throw new QueueStoppedError('cannot set width')
    if (!this.#working) throw withoutHandler('width', width)
    const before = this.#dispatch.launcher.width
    const now = parseWidth(width)
    if (now === before) return
    this.#dispatch.launcher.width = now
    this.announce('width', now, before)
    this.#dispatch.wake()
  }
  /** The rules in force. Setting re-times waiting jobs at once; undefined removes all limits. Throws like `width`. */
  get rate(): readonly RateRule[] {
    return this.#requestedRules ?? this.#session?.rules ?? this.#options.rate ?? []
  }
  set rate(rate: Rule | readonly Rule[] | readonly RateRule[] | undefined) {
    if (this.#lifecycle.stopping) throw new QueueStoppedError('cannot set rate')
    const before = this.rate
    const rules = parseRate('rate', rate)
    this.#requestedRules = rules
    this.announce('rate', rules, before)
    const retiming = this.#dispatch.suspendLaunches()
    const confirmed = (): void => {
      if (this.#requestedRules === rules) this.#requestedRules = undefined
      retiming.over()
    }
    this.#commands.control({ kind: 'rate', rules }, confirmed).catch(error => {
      confirmed()
      this.report(error, {})
    })
  }

  /**
   * No job starts from now on. Resolves true when nothing is underway, false when superseded by `resume` or `stop`.
   * @param options `tasks` parks generator tasks at their next `yield`; they keep their slots, and the pause resolves
   * when all are parked or ended. `shared` pauses the name in every process, until a shared resume.
   */
  pause(options: { tasks?: boolean | undefined; shared?: boolean | undefined } = {}): Promise<boolean> {
    let tasks: boolean
    let shared: boolean
    try {
      const read = optionsOf('pause.', options, ['tasks', 'shared'])
      tasks = checkBoolean('pause.tasks', read.tasks ?? false)
      shared = checkBoolean('pause.shared', read.shared ?? false)
    } catch (error) {
      return Promise.reject(error)
    }
    if (!shared && !this.#working) return Promise.reject(plainPause())
    if (this.#lifecycle.stopping) return Promise.resolve(false)
    const done = this.#pauses.pause(tasks, shared)
    if (!tasks) this.#selfWaits.watch('pause', done)
    return done
  }
  /** Lets jobs start again. Has no effect if not paused. Throws OptionError, and QueueStoppedError after `stop`. */
  resume(options?: number | { width?: number | undefined; shared?: boolean | undefined }): void {
    if (this.#lifecycle.stopping) throw new QueueStoppedError('cannot resume')
    const read =
      options === undefined || (typeof options === 'object' && options !== null)
        ? optionsOf('resume.', options, ['width', 'shared'])
        : { width: options }
    const shared = checkBoolean('resume.shared', read.shared ?? false)
    if (read.width !== undefined) this.width = read.width as number
    if (shared) this.#pauses.resumeShared()
    this.#pauses.resume()
  }

  /**
   * Ends the queue for good. No job starts after the call. A later, harsher call escalates. Every call returns the same
   * promise.
   */
  stop(options: StopOptions = {}): Promise<Stopped<Payload, Result>> {
    let graceMs: number
    try {
      const { cancelUnderway = false, grace } = optionsOf('stop.', options, ['cancelUnderway', 'grace'])
      graceMs = grace === undefined ? Infinity : durationMs('stop.grace', grace)
      if (checkBoolean('stop.cancelUnderway', cancelUnderway)) graceMs = 0
    } catch (error) {
      return Promise.reject(error)
    }
    if (!this.#stopping) {
      this.#lifecycle.stop()
      this.#shutdown = new Shutdown(this.#dispatch, this.#lifecycle, this.#clock)
      this.#pauses.stop()
      this.#stopping = inCleanContext(this.#stop, this, this.#shutdown)
    }
    if (graceMs !== Infinity) (this.#shutdown as Shutdown).within(graceMs)
    this.#selfWaits.watch('stop', this.#stopping)
    return this.#stopping
  }
  async #stop(shutdown: Shutdown): Promise<Stopped<Payload, Result>> {
    const { returned, left, abandoned } = await shutdown.end({
      intake: this.#intake,
      opened: this.#opened,
      results: this.#results,
      durable: this.#durable,
      abandoned: record => this.announce('abandoned', this.#jobOf(record)),
      whenReported: () => this.#commands.whenReported(),
      ending: left => this.#waiters.stop(left),
      over: () => this.#unlisten?.(),
    })
    this.#giveUpName?.()
    this.finish()
    const jobsOf = (records: readonly JobRecord[]): Job<Payload, Result>[] => records.map(record => this.#jobOf(record))
    return { returned: jobsOf(returned), left, abandoned: jobsOf(abandoned) }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /**
   * The number of jobs in each of the six states, and of bodies that are closing. Ended jobs stay counted when they are
   * forgotten, until `remove`.
   */
  get counts(): Counts {
    return {
      ...(this.#session?.counts ?? noCounts),
      closing: this.#dispatch.launcher.closing,
      asOf: this.#clock.wall(),
    }
  }
  /** The jobs whose bodies run in this process, in the order of launch: a copy. */
  underway(): Job<Payload, Result>[] {
    return [...this.#dispatch.launcher.runs]
      .filter(run => run.launched && !run.bodyEnded)
      .map(run => this.#jobOf(run.record))
  }
  /** The job of that id; undefined if none is kept. */
  async get(id: string): Promise<Job<Payload, Result> | undefined> {
    const record = await this.#queries.get(id)
    return record && this.#jobOf(record)
  }
  /**
   * The kept jobs: waiting ones most important first, others newest first. Rejects with JobUnknownError if the id in
   * `after` is not kept.
   */
  async jobs(query: JobsQuery<Payload, Result> = {}): Promise<Job<Payload, Result>[]> {
    return (await this.#queries.jobs(query as JobsQuery<never, never>)).map(record => this.#jobOf(record))
  }
  /**
   * Resolves when nothing is pending, delayed or underway under this name. Rejects with QueueStoppedError if a stop
   * comes first and leaves or returns jobs. Its rejection never counts as unhandled.
   */
  idle(): Promise<void> {
    const idle = this.#whenOpen().then(() => this.#waiters.idle())
    idle.catch(() => {})
    this.#selfWaits.watch('idle', idle)
    return idle
  }
  /** Why a job is not running, its position, and a true lower bound of its start. Rejects with JobUnknownError. */
  async explain(target: Job<Payload, Result> | string): Promise<Explanation> {
    return this.#queries.explain(targetOf(target as Job))
  }
  /**
   * The events of that name from now on: `for await (const [job] of queue.events('finished', { signal }))`. Ends with
   * `stop`, with `signal`, and when its listener is removed. Rejects with EventsLostError if more than `most` events
   * were unread.
   */
  events<E extends QueueEventName>(
    event: E,
    options: EventsOptions = {},
  ): AsyncGenerator<QueueEvents<Payload, Result>[E], void> {
    const emitter = this as unknown as SafeEmitter<unknown, unknown>
    return new EventStream(emitter, event, options, (signal, call) => this.#streamSignals.listen(signal, call))
  }

  /**
   * Cancels a job, or the put of that id that waits for room. Resolves true if that changed anything, or if the process
   * that runs the job was asked to cancel it. The job settles at once; a running body keeps its slot until it ends.
   */
  async cancel(target: Job<Payload, Result> | string, reason?: unknown): Promise<boolean> {
    return this.#commands.cancel(targetOf(target as Job), reason)
  }
  /**
   * Puts a failed or cancelled job again, with its attempts counted from 1, once a body that still runs has ended.
   * Rejects with JobStateError or JobUnknownError.
   */
  async retry(target: Job<Payload, Result> | string): Promise<Job<Payload, Result>> {
    return this.#jobOf(await this.#commands.retry(targetOf(target as Job)))
  }
  /** Removes a job that is not underway from the backlog, and frees its id. Resolves true if either existed. */
  async remove(target: Job<Payload, Result> | string): Promise<boolean> {
    return this.#commands.remove(targetOf(target as Job))
  }
  /**
   * Changes the priority of a waiting job. Among equals it keeps its order of put. Rejects with JobStateError unless
   * pending or delayed.
   */
  async reprioritize(target: Job<Payload, Result> | string, priority: number): Promise<void> {
    await this.#commands.reprioritize(targetOf(target as Job), priority)
  }
  /**
   * Changes the time at which a waiting job comes due, whatever it waited for: `when` is a duration from now, or a
   * Date. The job keeps its priority and its order of put. Rejects with JobStateError unless pending or delayed.
   */
  async reschedule(target: Job<Payload, Result> | string, when: Duration | Date): Promise<void> {
    await this.#commands.reschedule(targetOf(target as Job), 'reschedule', parseWhen(when))
  }
  /**
   * Makes a delayed job due at once. Has no effect on a pending one. Rejects with JobStateError unless pending or
   * delayed.
   */
  async promote(target: Job<Payload, Result> | string): Promise<void> {
    await this.#commands.reschedule(targetOf(target as Job), 'promote', {})
  }
  /** Cancels all waiting jobs. Resolves with their number. */
  clear(): Promise<number> {
    return this.#commands.clear()
  }

  #taskOf(record: JobRecord, command: string): NonNullable<Run['task']> {
    const run = this.#dispatch.launcher.runs.of(record)
    if (run?.task && !run.bodyEnded) return run.task
    throw new JobStateError(command, record.id, record.state, 'underway in a generator here')
  }

  #take(
    verb: 'put' | 'run',
    payload: Payload,
    options: PutOptions | undefined,
    reject: (error: unknown) => void,
  ): JobRecord | undefined {
    try {
      if (this.#lifecycle.stopping) throw new QueueStoppedError(`cannot ${verb}`)
      return this.#intake.record(payload, options)
    } catch (error) {
      reject(error)
      return undefined
    }
  }
  /** For one of many payloads: an error names its index. */
  #recordAt(payload: Payload, options: PutOptions | undefined, i: number): JobRecord {
    try {
      return this.#intake.record(payload, options)
    } catch (error) {
      throw error instanceof PayloadError ? error.at(`payloads[${i}]`) : error
    }
  }
  /** From now on the abort of `signal` cancels the job; before the put is sent, it withdraws `call`. */
  #listen(record: JobRecord, signal: AbortSignal, call: PutCall | JobRecord): void {
    this.#intake.makeWithdrawable(record, call)
    this.#aborts.listen(record, signal)
  }
  #jobOf(record: JobRecord): Job<Payload, Result> {
    return this.#announcer.jobOf(record) as Job<Payload, Result>
  }
  #isFull(): boolean {
    const { slotsTaken, width } = this.#dispatch.launcher
    return slotsTaken >= width
  }
  #turned(): void {
    this.#intake.roomFreed()
    this.#shutdown?.check()
    this.#waiters.check()
  }
  #isIdle(): boolean {
    const counts = this.#session?.counts
    if (!counts || !this.#intake.empty || !this.#dispatch.noneInFlight || this.#commands.reporting) return false
    return counts.pending + counts.delayed + counts.underway === 0
  }
}

function callAll(_: AbortSignal, calls: Iterable<() => void>): void {
  for (const call of calls) call()
}

function noHandler(handler: unknown): OptionError {
  const hint = typeof handler === 'object' ? '; the handler comes first: new DispatchQueue(handler, { width: 5 })' : ''
  const problem = `must be a function, or null for a queue that only puts, got ${describe(handler)}${hint}`
  return new OptionError('handler', handler, problem)
}
