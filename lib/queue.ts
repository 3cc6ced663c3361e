/**
 * The dispatch queue: put, run, width, rate, pause, resume, stop, on; looking and changing.
 *
 * It conducts: intake.ts takes puts in, dispatch.ts decides and launches, the backlog remembers, shutdown.ts ends it. It
 * holds these parts and owns no mechanism.
 */
import { MemoryBacklog } from '../persistence/memory.ts'
import type { Changed, Command, Shelf, StateCounts } from './backlog.ts'
import type { Clock } from './clock.ts'
import { Cooperator } from './cooperator.ts'
import { type Deferred, Settler } from './deferred.ts'
import { Dispatch } from './dispatch.ts'
import { type Duration, durationMs } from './duration.ts'
import {
  CancelledError,
  describe,
  JobStateError,
  JobUnknownError,
  OptionError,
  QueueStoppedError,
  ResultNotKeptError,
} from './errors.ts'
import { eventsOf, type QueueEventName, type QueueEvents, SafeEmitter } from './events.ts'
import { deferredResult, Intake, liveParts } from './intake.ts'
import { Job, type JobHost, type JobRecord, type JobState } from './job.ts'
import {
  checkPriority,
  checkWhole,
  type ParsedOptions,
  type PutOptions,
  parseQueueOptions,
  parseWidth,
  type QueueOptions,
  refuseUnknown,
} from './options.ts'
import { parseRate, type RateRule, type Rule } from './rate.ts'
import type { Handler, Run } from './run.ts'
import { Shutdown } from './shutdown.ts'
import type { Task } from './task.ts'

/** How many jobs one `putMany` may hold. */
export const putManyMost = 50_000

/** The six states, and what a count cannot say by itself. */
export interface Counts extends Readonly<StateCounts> {
  /** Bodies whose job has settled and that go on: each holds a slot. */
  readonly closing: number
  /** When this was so, by the wall clock. */
  readonly asOf: number
}

export interface StopOptions {
  /** Aborts the signals of underway jobs at once; false. */
  cancelUnderway?: boolean
  /** How long underway jobs may go on before their signals abort; for ever. */
  grace?: Duration
}

export interface Stopped<Payload, Result> {
  /** In memory: all that had not run to its end, cut-short ones first, then most important first. */
  readonly returned: Job<Payload, Result>[]
  /** In a durable backlog: how many stay. */
  readonly left: number
  /** Bodies that had not ended when the queue gave up waiting for them. */
  readonly abandoned: Job<Payload, Result>[]
}

/** Why a job is not running. */
export interface Explanation {
  readonly state: JobState
  /** What holds it; undefined when it is its turn, underway, or ended. */
  readonly why: 'paused' | 'shared pause' | 'stopped' | 'width' | 'rate' | 'key' | 'delay' | 'behind others' | undefined
  readonly rule: RateRule | undefined
  /** How many ready jobs come before it; undefined unless pending. */
  readonly position: number | undefined
  /** It does not start before this, by the wall clock: a true lower bound. Undefined unless it waits. */
  readonly notBefore: number | undefined
}

interface PauseWait {
  readonly tasks: boolean
  settle(drained: boolean): void
}

export class DispatchQueue<Payload = unknown, Result = unknown> extends SafeEmitter<Payload, Result> {
  readonly #options: ParsedOptions
  readonly #clock: Clock
  readonly #name: string
  readonly #intake: Intake
  readonly #dispatch: Dispatch
  readonly #opened: Promise<Shelf>
  readonly #pauses: PauseWait[] = []
  readonly #idles: { resolve(): void; reject(error: unknown): void }[] = []
  readonly #working: boolean
  readonly #durable: boolean
  readonly #host: JobHost = {
    resultOf: record => this.#resultOf(record),
    cancel: (job, reason) => this.cancel(job as Job<Payload, Result>, reason),
    pauseTask: record => this.#taskOf(record, 'pause').pause(),
    resumeTask: record => this.#taskOf(record, 'resume').resume(),
  }
  #shelf: Shelf | undefined
  #rules: readonly RateRule[]
  #parked = false
  #wasIdle = true
  #shutdown: Shutdown | undefined
  #stopping: Promise<Stopped<Payload, Result>> | undefined
  #stopped = false

  /**
   * @param handler What does a job's work; null for a queue that only puts, looks and changes.
   * Does no I/O and launches nothing in its own tick. Throws OptionError for what is not legal.
   */
  constructor(handler: Handler<Payload, Result> | null, options: QueueOptions<Payload, Result> = {}) {
    if (handler !== null && typeof handler !== 'function') {
      throw new OptionError(
        'handler',
        handler,
        `must be a function, or null for a queue that only puts, got ${describe(handler)}`,
      )
    }
    const parsed = parseQueueOptions(options as QueueOptions<never, never>)
    super(parsed.name ?? 'queue', parsed.clock)
    const { clock, backlog = new MemoryBacklog(), width, paused, retry, timeoutMs, maxHoldMs } = parsed
    this.#options = parsed
    this.#clock = clock
    this.#name = parsed.name ?? 'queue'
    this.#working = handler !== null
    this.#durable = backlog.durable
    this.#rules = parsed.rate ?? []
    this.#intake = new Intake({
      clock,
      strict: backlog.strict,
      one: (record, known) => this.#acceptOne(record, known),
      refused: (record, error) => this.#settleResult(record, undefined, error),
      waits: parsed.waits,
      size: parsed.size,
      context: parsed.context,
    })
    const emitter = this as unknown as SafeEmitter<unknown, unknown>
    this.#dispatch = new Dispatch(
      {
        clock,
        cooperator: new Cooperator({ slice: parsed.slice, clock }),
        emitter,
        strict: backlog.strict,
        handler: handler as ((payload: unknown, task: Task) => unknown) | null,
        retry,
        timeoutMs,
        maxHoldMs,
        jobOf: record => this.#jobOf(record) as Job,
        ended: record => this.#ended(record),
        turned: () => this.#turned(),
      },
      width,
      paused,
    )
    this.#opened = this.#open(backlog)
    this.#opened.catch(() => {})
    const { signal } = parsed
    if (signal?.aborted) void this.stop({ cancelUnderway: true })
    else signal?.addEventListener('abort', () => void this.stop({ cancelUnderway: true }), { once: true })
  }
  async #open(backlog: NonNullable<ParsedOptions['backlog']>): Promise<Shelf> {
    const { rate, size, keep, afterCrash, crashLimit } = this.#options
    try {
      const shelf = await backlog.attach({
        name: this.#name,
        works: this.#working,
        clock: this.#clock,
        rate,
        size,
        keep,
        afterCrash: typeof afterCrash === 'function' ? 'ask' : afterCrash,
        crashLimit,
        wake: () => this.#dispatch.wake(),
        stalled: () => this.announce('stalled'),
        failed: error => this.report(error, {}),
      })
      this.#shelf = shelf
      this.#rules = shelf.rules
      this.#intake.open(shelf)
      this.#dispatch.open(shelf)
      return shelf
    } catch (error) {
      this.#intake.fail(error)
      this.report(error, {})
      throw error
    }
  }

  get name(): string {
    return this.#name
  }
  /** Whether a pause holds, this object's or a shared one. */
  get paused(): boolean {
    return this.#dispatch.paused || this.#dispatch.held
  }
  /** Whether `stop()` was called. */
  get stopped(): boolean {
    return this.#stopping !== undefined
  }
  /** Resolves once the backlog is open; rejects when it cannot be opened. */
  async ready(): Promise<void> {
    await this.#opened
  }

  /** Puts a job. Resolves once the backlog has accepted it. Rejects with OptionError, PayloadError, QueueFullError, IdConflictError, CostError or QueueStoppedError. */
  put(payload: Payload, options?: PutOptions): Promise<Job<Payload, Result>> {
    return new Promise((resolve, reject) => {
      const record = this.#take(payload, options, reject)
      if (!record) return
      this.#intake.take({
        records: [record],
        accepted: existed => resolve(this.#accept(record, existed?.get(record), options)),
        refused: reject,
      })
    })
  }
  /** Puts up to 50,000 jobs, all or none, in one transaction of the backlog. */
  async putMany(
    payloads: readonly Payload[],
    options?: PutOptions | ((payload: Payload, i: number) => PutOptions),
  ): Promise<Job<Payload, Result>[]> {
    if (!Array.isArray(payloads))
      throw new OptionError('payloads', payloads, `must be an array, got ${describe(payloads)}`)
    if (payloads.length > putManyMost) {
      throw new OptionError(
        'payloads',
        payloads,
        `must be at most ${putManyMost} at a time, got ${payloads.length}; put them in parts`,
      )
    }
    if (this.#stopping) throw new QueueStoppedError('cannot put')
    const optionsAt = (i: number): PutOptions | undefined =>
      typeof options === 'function' ? options(payloads[i] as Payload, i) : options
    const each = payloads.map((_, i) => optionsAt(i))
    const records = payloads.map((payload, i) => this.#intake.record(payload, each[i]))
    if (records.length === 0) return []
    return new Promise((resolve, reject) => {
      this.#intake.take({
        records,
        accepted: existed => resolve(records.map((record, i) => this.#accept(record, existed?.get(record), each[i]))),
        refused: reject,
      })
    })
  }
  /** Puts a job and resolves with what the handler returned: the fast way when the result is wanted. Rejects as `put` and as `job.result`. */
  run(payload: Payload, options?: PutOptions): Promise<Result> {
    return new Promise((resolve, reject) => {
      const record = this.#take(payload, options, reject)
      if (!record) return
      // Asked for before it can end, so that the one promise of the caller is the result.
      liveParts(record).result = new Settler(resolve as (value: unknown) => void, reject) as Deferred<unknown>
      const signal = options?.signal
      if (signal) this.#listen(record, signal)
      this.#intake.takeOne(record)
    })
  }
  #acceptOne(record: JobRecord, known: JobRecord | undefined): void {
    if (!known) return this.#waits(record)
    const result = record.live?.result as Deferred<unknown>
    this.#resultOf(known).then(result.resolve, result.reject)
  }

  /** How many jobs may be underway. Reads as the target at once; narrower never interrupts. Setting throws OptionError, and QueueStoppedError after `stop`. */
  get width(): number {
    return this.#dispatch.width
  }
  set width(width: number) {
    if (this.#stopping) throw new QueueStoppedError('cannot set width')
    const before = this.#dispatch.width
    const now = parseWidth(width)
    if (now === before) return
    this.#dispatch.width = now
    this.announce('width', now, before)
    this.#dispatch.wake()
  }
  /** The rules in force. Setting re-times what waits at once; undefined limits nothing. Throws as `width` does. */
  get rate(): readonly RateRule[] {
    return this.#rules
  }
  set rate(rate: Rule | readonly Rule[] | readonly RateRule[] | undefined) {
    if (this.#stopping) throw new QueueStoppedError('cannot set rate')
    const before = this.#rules
    const rules = parseRate('rate', rate)
    this.#rules = rules
    this.announce('rate', rules, before)
    void this.#control({ kind: 'rate', rules }).then(
      () => this.#dispatch.wake(),
      error => this.report(error, {}),
    )
  }

  /**
   * Nothing starts from now on. Resolves true when nothing is underway, false when superseded by `resume` or `stop`.
   * @param options `tasks` parks generator tasks at their next `yield`, slots kept, and resolves when all are parked or
   * ended. `shared` holds the name in every process, until a shared resume.
   */
  pause(options: { tasks?: boolean; shared?: boolean } = {}): Promise<boolean> {
    try {
      refuseUnknown('pause.', options, ['tasks', 'shared'])
    } catch (error) {
      return Promise.reject(error)
    }
    if (this.#stopping) return Promise.resolve(false)
    const { tasks = false, shared = false } = options
    if (!this.#dispatch.paused) {
      this.#dispatch.paused = true
      this.#dispatch.rearm()
      this.announce('paused')
    }
    if (tasks && !this.#parked) {
      this.#parked = true
      for (const run of this.#dispatch.runs) if (run.task && !run.ended) run.task.pause()
    }
    const shares = shared ? this.#control({ kind: 'pause', held: true }) : Promise.resolve()
    const drained = new Promise<boolean>(settle => this.#pauses.push({ tasks, settle }))
    this.#dispatch.wake()
    return shares.then(() => drained)
  }
  /** Lets jobs start again; harmless when not paused. Throws OptionError, and QueueStoppedError after `stop`. */
  resume(options?: number | { width?: number; shared?: boolean }): void {
    if (this.#stopping) throw new QueueStoppedError('cannot resume')
    const { width, shared = false } = typeof options === 'number' ? { width: options } : (options ?? {})
    if (width !== undefined) this.width = width
    if (shared)
      void this.#control({ kind: 'pause', held: false }).then(
        () => this.#dispatch.wake(),
        error => this.report(error, {}),
      )
    if (!this.#dispatch.paused) return
    this.#dispatch.paused = false
    if (this.#parked) for (const run of this.#dispatch.runs) if (run.task?.parked && !run.ended) run.task.resume()
    this.#parked = false
    for (const pause of this.#pauses.splice(0)) pause.settle(false)
    this.#dispatch.rearm()
    this.announce('resumed')
    this.#dispatch.wake()
  }

  /** Ends the queue for good. Nothing starts after the call; a later, harsher call escalates; the same promise each time. */
  stop(options: StopOptions = {}): Promise<Stopped<Payload, Result>> {
    let graceMs: number
    try {
      refuseUnknown('stop.', options, ['cancelUnderway', 'grace'])
      graceMs = options.cancelUnderway
        ? 0
        : options.grace === undefined
          ? Infinity
          : durationMs('stop.grace', options.grace)
    } catch (error) {
      return Promise.reject(error)
    }
    if (!this.#stopping) {
      this.#dispatch.stopping = true
      this.#shutdown = new Shutdown(this.#dispatch, this.#clock)
      if (this.#parked) this.resume()
      for (const pause of this.#pauses.splice(0)) pause.settle(false)
      this.#stopping = this.#stop(this.#shutdown)
    }
    if (graceMs !== Infinity) (this.#shutdown as Shutdown).within(graceMs)
    return this.#stopping
  }
  async #stop(shutdown: Shutdown): Promise<Stopped<Payload, Result>> {
    this.#intake.stop()
    const shelf = await this.#opened.catch(() => undefined)
    const returned: JobRecord[] = []
    if (shelf) {
      await this.#intake.drained()
      // Jobs that were claimed and not called go back in this turn.
      await this.#dispatch.flush()
      await shutdown.bodies()
      await this.#dispatch.flush()
      const cut = shutdown.cut.filter(run => run.kind === 'returned').map(run => run.record)
      const out = this.#durable
        ? []
        : (await shelf.control({ kind: 'return' }, this.#clock.now(), this.#clock.wall())).changed
      returned.push(...cut.filter(record => out.includes(record)), ...out.filter(record => !cut.includes(record)))
      for (const record of returned) this.#settleResult(record, undefined, new QueueStoppedError('the job did not run'))
      for (const { record } of shutdown.abandoned) {
        this.#settleResult(record, undefined, new QueueStoppedError('the job was abandoned'))
        this.announce('abandoned', this.#jobOf(record))
      }
    }
    const left = this.#durable && shelf ? shelf.counts.pending + shelf.counts.delayed : 0
    const error = new QueueStoppedError('the queue will not be idle')
    this.#lookIdle()
    for (const waiting of this.#idles.splice(0)) waiting.reject(error)
    this.#dispatch.close()
    await shelf?.close()
    this.#stopped = true
    this.announce('stopped')
    const abandoned = shutdown.abandoned.map(run => this.#jobOf(run.record))
    return { returned: returned.map(record => this.#jobOf(record)), left, abandoned }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** The six states, and bodies that are closing. Ended jobs stay counted when they are forgotten, until `remove`. */
  get counts(): Counts {
    const none: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
    return { ...(this.#shelf?.counts ?? none), closing: this.#dispatch.closing, asOf: this.#clock.wall() }
  }
  /** The jobs whose bodies run here, in the order of launch: a copy. */
  underway(): Job<Payload, Result>[] {
    return [...this.#dispatch.runs].filter(run => run.launched && !run.ended).map(run => this.#jobOf(run.record))
  }
  /** The job of that id; undefined when none is kept. */
  async get(id: string): Promise<Job<Payload, Result> | undefined> {
    if (typeof id !== 'string') throw new OptionError('id', id, `must be a string, got ${describe(id)}`)
    const record = await (await this.#opened).find(id)
    return record && this.#jobOf(record)
  }
  /**
   * Jobs that are kept: waiting ones most important first, others newest first.
   * @param query `limit`: 100, at most 10,000. `after`: the last job of the page before.
   */
  async jobs(
    query: { state?: JobState; key?: string; limit?: number; after?: Job<Payload, Result> | string } = {},
  ): Promise<Job<Payload, Result>[]> {
    refuseUnknown('jobs.', query, ['state', 'key', 'limit', 'after'])
    const { state, key, limit = 100, after } = query
    const states: readonly (string | undefined)[] = [
      undefined,
      'pending',
      'delayed',
      'underway',
      'finished',
      'failed',
      'cancelled',
    ]
    if (!states.includes(state))
      throw new OptionError('jobs.state', state, `must be one of the six states, got ${describe(state)}`)
    if (checkWhole('jobs.limit', limit, 1) > 10_000)
      throw new OptionError('jobs.limit', limit, `must be at most 10000, got ${limit}`)
    const records = await (await this.#opened).list({
      state,
      key,
      limit,
      after: after instanceof Job ? Job.recordOf(after as Job) : after,
    })
    return records.map(record => this.#jobOf(record))
  }
  /** Resolves when nothing is pending, delayed or underway under this name. Rejects with QueueStoppedError when stopped before. */
  async idle(): Promise<void> {
    await this.#opened
    if (this.#isIdle()) return
    if (this.#stopped) throw new QueueStoppedError('the queue will not be idle')
    await new Promise<void>((resolve, reject) => this.#idles.push({ resolve, reject }))
  }
  /** Why a job is not running, its position, and a true lower bound of its start. Rejects with JobUnknownError. */
  async explain(target: Job<Payload, Result> | string): Promise<Explanation> {
    const shelf = await this.#opened
    const now = this.#clock.now()
    const wall = this.#clock.wall()
    const found = await shelf.explain(this.#target(target), now, wall)
    if (!found) throw new JobUnknownError(typeof target === 'string' ? target : target.id)
    const { record, position, notBefore, rule } = found
    const waits = record.state === 'pending' || record.state === 'delayed'
    return {
      state: record.state,
      why: waits ? this.#holder(found.why, position) : undefined,
      rule,
      position,
      notBefore: waits ? Math.max(wall, wall + notBefore - now) : undefined,
    }
  }
  #holder(why: Explanation['why'], position: number | undefined): Explanation['why'] {
    const { paused, held, stopping, bodies, width } = this.#dispatch
    if (stopping) return 'stopped'
    if (paused) return 'paused'
    if (held) return 'shared pause'
    if (why === 'delay' || why === 'key') return why
    if (bodies >= width) return 'width'
    return why ?? (position ? 'behind others' : undefined)
  }
  /** The events of that name as they come: `for await (const [job] of queue.events('finished', { signal }))`. Ends with `stop`. */
  events<E extends QueueEventName>(
    event: E,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<QueueEvents<Payload, Result>[E], void> {
    return eventsOf(this, event, options.signal)
  }

  /** Cancels a job. True if that changed anything or asked the process that runs it. The job settles at once; a body that runs keeps its slot until it ends. */
  async cancel(target: Job<Payload, Result> | string, reason?: unknown): Promise<boolean> {
    const { changed, found } = await this.#control({
      kind: 'cancel',
      target: this.#target(target),
      reason: new CancelledError(reason),
    })
    for (const record of changed) this.#ended(record)
    if (changed.length > 0) this.#turned()
    if (found?.state !== 'underway') return changed.length > 0
    for (const run of this.#dispatch.runs) {
      if (run.record !== found || !run.cancel(reason)) continue
      await this.#dispatch.flush()
      return true
    }
    return false
  }
  /** Puts a failed or cancelled job anew, with its attempts counted from 1, once a body that still runs has ended. Rejects with JobStateError or JobUnknownError. */
  async retry(target: Job<Payload, Result> | string): Promise<Job<Payload, Result>> {
    const asked = this.#target(target)
    const before = typeof asked === 'string' ? await (await this.#opened).find(asked) : asked
    // A cancelled body may go on: the job must not run beside itself.
    for (const run of this.#dispatch.runs) if (run.record === before && run.done) await run.over()
    const { found } = await this.#control({ kind: 'retry', target: asked })
    const record = found as JobRecord
    record.live = undefined
    record.run = undefined
    this.#waits(record)
    return this.#jobOf(record)
  }
  /** Takes a job that is not underway out of the backlog. True if it was there. */
  async remove(target: Job<Payload, Result> | string): Promise<boolean> {
    const { changed } = await this.#control({ kind: 'remove', target: this.#target(target) })
    for (const record of changed) this.#settleResult(record, undefined, new CancelledError('removed'))
    this.#turned()
    return changed.length > 0
  }
  /** Gives a waiting job another priority; it keeps its order of put. Rejects with JobStateError unless pending or delayed. */
  async reprioritize(target: Job<Payload, Result> | string, priority: number): Promise<void> {
    await this.#control({ kind: 'reprioritize', target: this.#target(target), priority: checkPriority(priority) })
  }
  /** Cancels all that waits. Resolves with how many that were. */
  async clear(): Promise<number> {
    const { changed } = await this.#control({ kind: 'clear' })
    for (const record of changed) {
      record.more.error = new CancelledError('cleared')
      this.#ended(record)
    }
    this.#turned()
    return changed.length
  }

  /** The promise of a job's result. */
  #resultOf(record: JobRecord): Promise<unknown> {
    const live = record.live?.result
    if (live?.promise) return live.promise
    const deferred = deferredResult(record)
    if (record.ended || this.#stopped) this.#settleEnded(record)
    return deferred.promise
  }
  #taskOf(record: JobRecord, command: string): NonNullable<Run['task']> {
    for (const run of this.#dispatch.runs) if (run.record === record && run.task && !run.ended) return run.task
    throw new JobStateError(command, record.id, record.state, 'underway in a generator here')
  }

  #take(payload: Payload, options: PutOptions | undefined, reject: (error: unknown) => void): JobRecord | undefined {
    try {
      if (this.#stopping) throw new QueueStoppedError('cannot put')
      return this.#intake.record(payload, options)
    } catch (error) {
      reject(error)
      return undefined
    }
  }
  #accept(record: JobRecord, known: JobRecord | undefined, options: PutOptions | undefined): Job<Payload, Result> {
    if (known) return new Job(this.#host, known, true)
    if (options?.signal) this.#listen(record, options.signal)
    this.#waits(record)
    return this.#jobOf(record)
  }
  /** Cancels the job when `signal` aborts, and takes the listener off when the job ends. */
  #listen(record: JobRecord, signal: AbortSignal): void {
    const cancel = (): void => void this.cancel(this.#jobOf(record), signal.reason).catch(() => {})
    liveParts(record).unlisten = () => signal.removeEventListener('abort', cancel)
    if (signal.aborted) cancel()
    else signal.addEventListener('abort', cancel, { once: true })
  }
  #waits(record: JobRecord): void {
    const event = record.state === 'delayed' ? 'delayed' : 'pending'
    if (this.hears(event)) this.announce(event, this.#jobOf(record))
    this.#fresh()
  }
  #fresh(): void {
    this.#wasIdle = false
    this.#dispatch.wake()
  }
  #jobOf(record: JobRecord): Job<Payload, Result> {
    record.handle ??= new Job(this.#host, record)
    return record.handle as Job<Payload, Result>
  }
  #target(target: Job<Payload, Result> | string): JobRecord | string {
    if (target instanceof Job) return Job.recordOf(target as Job)
    if (typeof target === 'string') return target
    throw new OptionError('job', target, `must be a job or its id, got ${describe(target)}`)
  }
  async #control(command: Command): Promise<Changed> {
    if (this.#stopping) throw new QueueStoppedError(`cannot ${command.kind}`)
    const shelf = await this.#opened
    // What was put before in program order is there before it is changed.
    await this.#intake.drained()
    const changed = await shelf.control(command, this.#clock.now(), this.#clock.wall())
    this.#intake.roomAgain()
    return changed
  }
  /** An ending that is stored: listeners first, then the result. */
  #ended(record: JobRecord): void {
    record.live?.unlisten?.()
    const { state } = record
    if (state !== 'finished' && state !== 'failed' && state !== 'cancelled') return
    const heard = record.live?.result !== undefined
    if (this.hears(state)) this.announce(state, this.#jobOf(record))
    else if (state === 'failed' && !heard && !this.hears('settled')) this.unheardFailure(record.extras?.error)
    if (this.hears('settled')) this.announce('settled', this.#jobOf(record))
    if (record.live?.result) this.#settleEnded(record)
    // Nobody can ask for it any more. What hangs on a long-lived record would outlive many collections of the young heap.
    if (record.handle === undefined && state === 'finished' && this.#options.keep.finishedMs === 0) {
      record.run = record.live = undefined
    }
  }
  #settleEnded(record: JobRecord): void {
    const run = record.run as Run | undefined
    if (record.state === 'finished') {
      if (run?.kind === 'finished') this.#settleResult(record, run.value, undefined)
      else if (record.extras?.kept) this.#settleResult(record, record.extras.value, undefined)
      else this.#settleResult(record, undefined, new ResultNotKeptError(record.id))
      return
    }
    const fallback = this.#stopped ? new QueueStoppedError('the job did not run') : new ResultNotKeptError(record.id)
    const failed =
      record.ended &&
      record.extras &&
      'error' in record.extras &&
      (run !== undefined || record.extras.error !== undefined)
    this.#settleResult(record, undefined, failed ? record.extras?.error : fallback, true)
  }
  #settleResult(record: JobRecord, value: unknown, error: unknown, failed = error !== undefined): void {
    record.live?.unlisten?.()
    const result = record.live?.result
    if (!result) return
    if (failed) result.fail(error)
    else result.resolve(value)
  }
  #turned(): void {
    this.#intake.roomAgain()
    this.#shutdown?.look()
    if (this.#pauses.length > 0) this.#lookPaused()
    this.#lookIdle()
  }
  #lookPaused(): void {
    const { bodies, runs } = this.#dispatch
    const parked = bodies === 0 || [...runs].every(run => run.ended || run.task?.parked)
    for (const pause of this.#pauses.splice(0)) {
      if (pause.tasks ? parked : bodies === 0) pause.settle(true)
      else this.#pauses.push(pause)
    }
  }
  #isIdle(): boolean {
    const counts = this.#shelf?.counts
    return (
      counts !== undefined &&
      this.#intake.empty &&
      this.#dispatch.bodies === 0 &&
      counts.pending + counts.delayed + counts.underway === 0
    )
  }
  #lookIdle(): void {
    const idle = this.#isIdle()
    if (idle) for (const waiting of this.#idles.splice(0)) waiting.resolve()
    if (idle && !this.#wasIdle) this.announce('idle')
    this.#wasIdle = idle
  }
}
