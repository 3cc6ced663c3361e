/**
 * The dispatch queue: put, run, width, rate, pause, resume, stop, events, queries and commands.
 *
 * It creates its parts, connects them, and passes each call to one of them. put/intake.ts accepts puts,
 * dispatch/dispatch.ts claims and launches, the backlog stores, announce/ emits events and settles promises, and each
 * file of control/ serves some calls: settings, pauses, commands, queries, the opening of the backlog, the stop.
 * Mechanisms belong into the parts.
 */
import { MemoryBacklog } from '../persistence/memory/backlog.ts'
import { Announcer } from './announce/announcer.ts'
import { Results } from './announce/results.ts'
import { type Backlog, type Overridable, synchronousTransport } from './backlog.ts'
import { Aborts } from './control/aborts.ts'
import { Commands, parseWhen } from './control/commands.ts'
import { Idleness } from './control/idleness.ts'
import { JobOperations } from './control/job-operations.ts'
import { type Key, type KeyInfo, type KeyInfoQuery, Keys } from './control/keys.ts'
import { Opening } from './control/opening.ts'
import { Pauses } from './control/pauses.ts'
import { type Counts, type Explanation, type JobsQuery, Queries, targetOf } from './control/queries.ts'
import { type Overrides, Settings } from './control/settings.ts'
import { Shutdown } from './control/shutdown.ts'
import { Steering } from './control/steering.ts'
import { Waiters } from './control/waiters.ts'
import { Cooperator } from './cooperate/cooperator.ts'
import { namesOf } from './decisions/rule-settings.ts'
import { Dispatch, type WaitingCallers } from './dispatch/dispatch.ts'
import { NoticeHandler } from './dispatch/notice-handler.ts'
import { describe, isArray, OptionError, PayloadError, QueueStoppedError } from './errors.ts'
import { EventStream, type EventsOptions } from './events/event-stream.ts'
import { type QueueEventName, type QueueEvents, SafeEmitter } from './events/events.ts'
import type { IsolateInfo, Isolates } from './isolate/isolates.ts'
import { isolatesOf } from './isolate/isolates-of-queue.ts'
import { payloadCloner } from './isolate/payload.ts'
import type { Job, JobRecord } from './job.ts'
import { Lifecycle } from './lifecycle.ts'
import { checkPlacement, type HandlerUrl, isHandlerUrl, parseIsolateCount } from './options/isolate.ts'
import { takeName } from './options/name-taken.ts'
import { noHandler, pauseWithoutHandler, refuseWithoutHandler, withoutHandler } from './options/no-handler.ts'
import {
  type AfterCrash,
  checkBoolean,
  type PutOptions,
  parseQueueOptions,
  type QueueOptions,
} from './options/options.ts'
import { type Duration, durationMs } from './parse/duration.ts'
import { optionsOf } from './parse/option-names.ts'
import { Arrivals } from './put/arrivals.ts'
import type { PutCall } from './put/entries.ts'
import { Intake } from './put/intake.ts'
import type { RateRule, Rule } from './rate/rules.ts'
import type { Handler } from './run/run.ts'
import { SelfWaits } from './run/self-waits.ts'
import type { Task } from './run/task.ts'
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
   * first. Empty for a queue without a handler while another one has its jobs.
   */
  readonly returned: Job<Payload, Result>[]
  /** How many jobs stay in the backlog: of a durable one, or of one in memory that another queue has too. */
  readonly left: number
  /** The jobs whose bodies had not ended when the queue stopped waiting for them. */
  readonly abandoned: Job<Payload, Result>[]
}

type Answer = (value: unknown) => void

export class DispatchQueue<Payload = unknown, Result = unknown> extends SafeEmitter<Payload, Result> {
  readonly #name: string
  /** Whether the queue has a handler. */
  readonly #works: boolean
  readonly #intake: Intake
  readonly #lifecycle: Lifecycle
  readonly #dispatch: Dispatch
  readonly #waiters: Waiters
  readonly #queries: Queries
  readonly #commands: Commands
  readonly #keys: Keys
  readonly #pauses: Pauses
  readonly #opening: Opening
  readonly #settings: Settings
  readonly #shutdown: Shutdown
  readonly #announcer: Announcer
  readonly #arrivals: Arrivals
  readonly #aborts: Aborts
  readonly #selfWaits: SelfWaits
  readonly #signals = new Signals(callAll, false)
  readonly #streamSignals = new Signals(callAll, true)
  readonly #giveUpName: (() => void) | undefined
  #unlisten: Unlisten | undefined
  #stopping: Promise<Stopped<Payload, Result>> | undefined

  readonly #isolates: Isolates | undefined

  /**
   * @param handler Does a job's work. A URL is that of a module whose default export is called in a thread or a process
   * (`isolate`); `url as HandlerUrl<typeof import('./resize.js')>` gives the queue its types. Null makes a queue that
   * only puts, queries and changes jobs. The constructor does no I/O and launches nothing in its own tick. Throws
   * OptionError for illegal options, and QueueNameTakenError if a queue of this process has a handler for the same name
   * on the same backlog object.
   */
  constructor(
    handler: Handler<Payload, Result> | HandlerUrl<{ readonly default: Handler<Payload, Result> }> | null,
    options: QueueOptions<Payload, Result> = {},
  ) {
    const url = isHandlerUrl(handler) ? handler : undefined
    if (handler !== null && !url && typeof handler !== 'function') throw noHandler(handler)
    const parsed = parseQueueOptions(options as QueueOptions<never, never>)
    if (handler === null) refuseWithoutHandler(options, parsed.backlog)
    checkPlacement(handler, parsed.isolate, options.context)
    super(parsed.name ?? 'queue', parsed.clock)
    const { clock, backlog = new MemoryBacklog(), width, paused, retry, timeoutMs, maxHoldMs, signal } = parsed
    const emitter = this as unknown as SafeEmitter<unknown, unknown>
    const name = parsed.name ?? 'queue'
    const works = handler !== null
    const { durable, strict, transport = synchronousTransport }: Backlog = backlog
    this.#name = name
    this.#works = works

    // Each part gets those that it calls. A part that is called from below is connected further down.
    const callers: WaitingCallers = { check: () => this.#checkCallers() }
    const operations = new JobOperations()
    const lifecycle = new Lifecycle(works, paused)
    const results = new Results(durable, lifecycle, record => opening.session?.follow?.(record) ?? record)
    const announcer = new Announcer({ emitter, results, host: operations, keep: parsed.keep })
    const { waits, size, context, cost } = parsed
    const clone = parsed.isolate && !strict ? payloadCloner(parsed.isolate.kind) : undefined
    const intake = new Intake({ clock, lifecycle, strict, transport, waits, size, context, cost, clone })
    const dispatch = new Dispatch(
      {
        clock,
        lifecycle,
        cooperator: new Cooperator({ slice: parsed.slice, clock }),
        emitter,
        strict,
        durable,
        maxExchangesInFlight: transport.exchangesInFlight,
        keepsResults: parsed.keep.results && parsed.keep.finishedMs > 0,
        reports: !durable ? 'never' : parsed.afterCrash === 'fail' ? 'first' : 'lazily',
        handler: url ? null : (handler as ((payload: unknown, task: Task) => unknown) | null),
        crashPolicy: {
          crashLimit: parsed.crashLimit,
          afterCrash: typeof parsed.afterCrash === 'function' ? 'ask' : parsed.afterCrash,
        },
        retry,
        timeoutMs,
        maxHoldMs,
        ruleNames: () => namesOf([...(parsed.rate ?? []), ...(opening.session?.rules ?? [])]),
        announcer,
        results,
        callers: callers,
      },
      width,
    )
    const isolates = url && isolatesOf(url, parsed, { name, durable, strict, dispatch, emitter, announcer })
    const opening = new Opening({ options: parsed, name, works, clock, emitter, intake, dispatch, results })
    const commands = new Commands({ clock, dispatch, intake, durable, lifecycle, announcer, results, callers: callers })
    const declared = { rules: parsed.rate ?? [], globalWidth: parsed.globalWidth ?? Infinity }
    const settings = new Settings({ lifecycle, dispatch, commands, opening, emitter, works, declared })
    const keys = new Keys({ clock, commands, dispatch, lifecycle, policy: parsed.keys, opening, emitter })
    const idleness = new Idleness({ opening, intake, dispatch, commands })
    const waiters = new Waiters(dispatch.launcher, idleness, emitter)
    const pauses = new Pauses({ lifecycle, dispatch, commands, waiters, emitter, opening })
    const aborts = new Aborts({ intake, commands, dispatch })
    const arrivals = new Arrivals({
      emitter,
      announcer,
      results,
      host: operations,
      signals: aborts,
      waiters,
      loop: dispatch,
    })
    const { afterCrash } = parsed as { readonly afterCrash: AfterCrash<unknown, unknown> }
    const noticeHandler = new NoticeHandler({ dispatch, emitter, afterCrash, announcer })
    operations.connect({ results, opening, dispatch, queue: this as unknown as DispatchQueue })
    intake.listen(arrivals)
    commands.listen(arrivals)
    dispatch.listen(noticeHandler, pauses, settings)

    this.#isolates = isolates
    this.#lifecycle = lifecycle
    this.#announcer = announcer
    this.#intake = intake
    this.#dispatch = dispatch
    this.#opening = opening
    this.#settings = settings
    this.#keys = keys
    this.#waiters = waiters
    this.#pauses = pauses
    this.#aborts = aborts
    this.#arrivals = arrivals
    this.#commands = commands
    this.#queries = new Queries(opening, dispatch, lifecycle, clock)
    this.#selfWaits = new SelfWaits({ clock, queue: name, owns: run => dispatch.launcher.runs.of(run.record) === run })
    this.#shutdown = new Shutdown({
      ...{ clock, lifecycle, dispatch, intake, opening, results, announcer, commands, waiters, durable },
      isolates,
    })

    if (works && parsed.backlog) this.#giveUpName = takeName(parsed.backlog, name, this)
    opening.begin(backlog, [arrivals, intake, dispatch])
    opening.opened.catch(() => this.#giveUpName?.())
    if (signal) this.#unlisten = this.#signals.listen(signal, () => void this.stop({ cancelUnderway: true }))
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
  /**
   * Resolves once the backlog is open, and a handler that runs in isolates has been loaded in one. Rejects if either
   * fails, with HandlerLoadError for the module of a handler.
   */
  async ready(): Promise<void> {
    await this.#opening.whenOpen()
    await this.#isolates?.ready()
  }

  /**
   * Puts a job. Resolves once the backlog has accepted it. Rejects with OptionError, PayloadError, QueueFullError,
   * IdConflictError, CostError or QueueStoppedError.
   */
  put(...args: PutArguments<Payload>): Promise<Job<Payload, Result>>
  put(payload?: unknown, options?: PutOptions): Promise<Job<Payload, Result>> {
    return new Promise((resolve, reject) => {
      const record = this.#newRecord('put', payload as Payload, options, reject)
      if (!record) return
      const call = this.#arrivals.putCall(record, resolve as Answer)
      if (record.live?.signal) this.#listen(record, record.live.signal, call)
      this.#intake.add(call)
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
      this.#intake.add(call)
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
      if (options === undefined && !this.#lifecycle.stopping && this.#intake.addPlain(payload, resolve as Answer))
        return
      const record = this.#newRecord('run', payload as Payload, options, reject)
      if (!record) return
      record.answer = resolve as Answer
      if (record.live?.signal) this.#listen(record, record.live.signal, record)
      this.#intake.addOne(record)
    })
    if (this.#selfWaits.concerns('run')) this.#selfWaits.watch('run', result, () => this.#isFull())
    return result
  }

  /**
   * How many jobs may be underway. Reading returns the target at once; a lower width never interrupts jobs. Setting
   * throws OptionError, and QueueStoppedError after `stop`.
   */
  get width(): number {
    return this.#settings.width
  }
  set width(width: number) {
    this.#settings.setWidth(width)
  }
  /**
   * The access of a controller of the width (lib/adaptive/).
   * @internal
   */
  static steering(queue: DispatchQueue<never, never>, key: string | undefined): Steering {
    if (queue.#lifecycle.stopping) throw new QueueStoppedError('cannot adapt width')
    if (!queue.#works) throw withoutHandler('width', undefined)
    return new Steering(key, {
      settings: queue.#settings,
      keys: queue.#keys,
      launcher: queue.#dispatch.launcher,
      lifecycle: queue.#lifecycle,
      emitter: queue as unknown as SafeEmitter<unknown, unknown>,
      announcer: queue.#announcer,
    })
  }
  /**
   * How many jobs of this name may be underway in all processes together; Infinity: no limit. In force is the smaller of
   * both widths. The value is stored and holds in every process, over restarts, until a constructor declares another
   * one or `clearOverrides` is called. A lower one never interrupts jobs. Works without a handler too. Throws
   * OptionError, and QueueStoppedError after `stop`; if it cannot be stored, `error` is emitted.
   */
  get globalWidth(): number {
    return this.#settings.globalWidth
  }
  set globalWidth(width: number) {
    this.#settings.setGlobalWidth(width)
  }
  /** The rules in force. Setting re-times waiting jobs at once; undefined removes all limits. Throws like `width`. */
  get rate(): readonly RateRule[] {
    return this.#settings.rules
  }
  set rate(rate: Rule | readonly Rule[] | readonly RateRule[] | undefined) {
    this.#settings.setRate(rate)
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
    if (!shared && !this.#works) return Promise.reject(pauseWithoutHandler())
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
      this.#pauses.stop()
      this.#stopping = inCleanContext(this.#stop, this)
    }
    this.#shutdown.interruptAfter(graceMs)
    this.#selfWaits.watch('stop', this.#stopping)
    return this.#stopping
  }
  async #stop(): Promise<Stopped<Payload, Result>> {
    const { returned, left, abandoned } = await this.#shutdown.end().finally(() => this.#unlisten?.())
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
    return this.#queries.counts
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
    const idle = this.#opening.whenOpen().then(() => this.#waiters.idle())
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
   * Cancels a job, or the put of that id that waits for space. Resolves true if that changed anything, or if the cancel
   * was requested from another process that runs the job. A job that waits or runs here settles at once; a running body
   * keeps its slot until it ends.
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
  /**
   * How many isolates take jobs at most, if the handler runs in isolates; else 0. Setting ends idle ones first, and
   * interrupts no job. Throws OptionError, and QueueStoppedError after `stop`.
   */
  get isolateCount(): number {
    return this.#isolates?.count ?? 0
  }
  set isolateCount(count: number) {
    if (this.#lifecycle.stopping) throw new QueueStoppedError('cannot set isolateCount')
    if (!this.#isolates) throw new OptionError('isolateCount', count, 'needs a queue with the option isolate')
    this.#isolates.count = parseIsolateCount('isolateCount', count)
  }
  /** The isolates that exist at present, in the order of their start; none if the handler runs in this thread. */
  isolates(): IsolateInfo[] {
    return this.#isolates?.list() ?? []
  }
  /** Cancels all waiting jobs. Resolves with their number. */
  clear(): Promise<number> {
    return this.#commands.clear()
  }

  /** One key of this name, with what holds for it. Works without a handler too. */
  key(name: string): Key {
    return this.#keys.key(name)
  }
  /** The keys that have waiting or running jobs, a pause or an override, in order of key. */
  async keys(query?: KeyInfoQuery): Promise<KeyInfo[]> {
    return this.#keys.list(query)
  }
  /** The overrides of this name, made here or in another process, as far as they are stored. */
  overrides(): Overrides {
    return this.#settings.overrides
  }
  /**
   * Goes back to what was declared last: one of these settings, or all of them without an argument. Resolves once that
   * is stored. Rejects with OptionError, and with QueueStoppedError after `stop`.
   */
  async clearOverrides(of?: Overridable): Promise<void> {
    await this.#settings.clearOverrides(of)
  }

  #newRecord(
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
  #checkCallers(): void {
    this.#intake.spaceFreed()
    this.#shutdown.check()
    this.#waiters.check()
  }
}

function callAll(_: AbortSignal, calls: Iterable<() => void>): void {
  for (const call of calls) call()
}
