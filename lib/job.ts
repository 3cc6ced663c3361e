/**
 * A job: the record that the backlog keeps (JobRecord) and the handle that a user holds (Job).
 *
 * A record is data. Parts that have a meaning only in this process are in `live` and never leave it.
 */

import { makeId } from './job-id.ts'
import type { RateRule } from './rate/rules.ts'
import type { Deferred } from './support/deferred.ts'
import { keepShapeAlive } from './support/shape-samples.ts'
import type { CheckpointValue } from './text/checkpoint-value.ts'

/** The six states. `delayed` means not due yet: put with a delay, or waiting before its next attempt. */
export type JobState = 'pending' | 'delayed' | 'underway' | 'finished' | 'failed' | 'cancelled'

/** The parsed `retry`: how often a job is attempted, and how long it waits between attempts. */
export interface RetryPolicy {
  readonly attempts: number
  readonly delayMs: number
  readonly factor: number
  readonly maxMs: number
  readonly jitter: boolean
}

/** Fields that few jobs have, kept apart so that a plain pending job stays small. */
export class JobExtras {
  // The fields that each run reads come first, so that they share one or two lines of the processor's cache.

  /** The label to which per-key limits apply. */
  key: string | undefined = undefined
  /** The memory backlog's entry for the key, while the job waits or runs. */
  keyEntry: unknown = undefined
  cost: Readonly<Record<string, number>> | undefined = undefined
  timeoutMs: number | undefined = undefined
  /** How many runs of the job ended with their process. */
  crashes = 0
  checkpoint: CheckpointValue | undefined = undefined
  /** The digest of the payload, for a job whose id was given. */
  fingerprint: string | undefined = undefined
  resultKept = false
  /** The handler's result of a finished job, if `keep.results` keeps it. */
  value: unknown = undefined
  /** The error with which the job ended or went back, if any. */
  error: unknown = undefined
  retry: RetryPolicy | undefined = undefined
  /** The earliest start, by the steady clock. */
  dueAt: number | undefined = undefined
  /** The earliest start, by the wall clock. */
  runAt: number | undefined = undefined
  /** The instant of the steady clock at which an ended job is forgotten. */
  forgetAt = 0
  /** When this was read from the backlog, by the wall clock, for a job that this process does not follow. */
  asOf: number | undefined = undefined
}

/** Fields that only this process knows, and that few jobs have. */
export class LiveParts {
  /** The promise of `job.result`, created on first use. */
  result: Deferred<unknown> | undefined = undefined
  /** Whether that promise has settled. */
  isSettled = false
  /** Runs a function in the async context of the put (`context: 'put'`). */
  context: (<R>(run: () => R) => R) | undefined = undefined
  /** The signal given with the put. The job does not start once it has aborted. */
  signal: AbortSignal | undefined = undefined
  /** Stops listening to the signal: the job has ended, was refused, or no longer waits here. */
  unlisten: (() => void) | undefined = undefined
}

/** The facts of its last attempt that a job shows. */
export interface RunFacts {
  readonly startedAt: number | undefined
  readonly stoppedAt: number | undefined
}

/**
 * The record of a job, shared by a queue and its backlog.
 *
 * | fields | written by |
 * | --- | --- |
 * | id, payload, text, priority, queuedAt, and of the extras key, cost, retry, timeoutMs, dueAt, runAt, fingerprint | the queue, before it puts the job |
 * | seq, state, attempt, fence, and of the extras error, value, resultKept, checkpoint, crashes, dueAt, runAt | the backlog, from the put on (rule B9 in backlog.ts) |
 * | priority, when the job is reprioritized | the backlog |
 * | text, once it has stored that; asOf, of a snapshot | the backlog |
 * | memorySlot, and forgetAt and keyEntry of the extras | the backlog in memory, for itself |
 * | live, answer, run, handle | the queue: they have a meaning only in this process, and never leave it |
 *
 * The queue writes an error in one more case: after `clear` each job gets the error that its caller receives.
 */
export class JobRecord {
  /** The order of put, within its backlog; 0 until accepted. */
  seq = 0
  payload: unknown
  /** The payload as it was at the put, if the backlog stores text; dropped once stored. */
  text: string | undefined = undefined
  priority: number
  state: JobState = 'pending'
  attempt = 0
  /**
   * The number of the job's claims. It only grows, whereas an attempt may be taken back. A settle names the fence of
   * its claim.
   */
  fence = 0
  /**
   * By the wall clock, for people. Initialised to `undefined` on purpose: V8 then stores the batch's boxed double by
   * reference instead of allocating one per record.
   */
  queuedAt: number = undefined as unknown as number
  /** The job's index in the memory backlog's order of ready or due jobs; -1 if it is in none, or alone in one. */
  memorySlot = -1
  extras: JobExtras | undefined
  live: LiveParts | undefined = undefined
  /** Resolves the promise returned by `run()`; given a rejected promise, it rejects that promise. */
  answer: ((value: unknown) => void) | undefined = undefined
  /** The last attempt in this process. */
  run: RunFacts | undefined = undefined
  /** The one handle that users see, created on first use. */
  handle: Job | undefined = undefined
  /** Empty if no id was given; or the serial number from which the id is generated on first use. */
  #id: string | number

  constructor(id: string, payload: unknown, priority: number, queuedAt: number, extras?: JobExtras) {
    this.#id = id
    this.payload = payload
    this.priority = priority
    this.queuedAt = queuedAt
    this.extras = extras
  }
  /** The given id, or one generated on first use: most ids are never read. */
  get id(): string {
    if (typeof this.#id === 'number' || this.#id === '') this.#id = makeId(this.queuedAt, this.#id || this.seq)
    return this.#id
  }
  /**
   * The id of a job whose seq is not known yet. Unless one was given or generated, it will be generated from `serial`.
   */
  idOf(serial: number): string {
    if (this.#id === '') this.#id = serial
    return typeof this.#id === 'number' ? makeId(this.queuedAt, this.#id) : this.#id
  }
  /**
   * Resets a job that is put again, so that it shows nothing of its former ending. A requested result that has not
   * settled becomes that of the new run: the former ending was stored but not announced in time. The backlog calls this
   * in the step that puts the job again, because the job may be claimed in the next.
   */
  renew(): void {
    const { live } = this
    live?.unlisten?.()
    if (!live?.result || live.isSettled) this.live = undefined
    else live.signal = live.unlisten = undefined
    this.run = undefined
  }
  ensureExtras(): JobExtras {
    this.extras ??= new JobExtras()
    return this.extras
  }
  ensureLive(): LiveParts {
    this.live ??= new LiveParts()
    return this.live
  }
  get ended(): boolean {
    return this.state === 'finished' || this.state === 'failed' || this.state === 'cancelled'
  }
}

/** The operations of the queue that a {@link Job} uses. */
export interface JobHost {
  resultOf(record: JobRecord): Promise<unknown>
  asOf(record: JobRecord): number | undefined
  cancel(job: Job<unknown, unknown>, reason?: unknown): Promise<boolean>
  pauseTask(record: JobRecord): void
  resumeTask(record: JobRecord): void
}

/** A job as a user holds it. Its fields are live while it was put or is underway in this process. */
export class Job<Payload = unknown, Result = unknown> {
  /** Whether the put found the id remembered, so that it added no job. */
  readonly existed: boolean
  readonly #host: JobHost
  readonly #record: JobRecord

  constructor(host: JobHost, record: JobRecord, existed = false) {
    this.#host = host
    this.#record = record
    this.existed = existed
  }
  /** 1 to 200 characters. A generated id is unique over processes and restarts, and ids sort by the time of put. */
  get id(): string {
    return this.#record.id
  }
  get payload(): Payload {
    return this.#record.payload as Payload
  }
  /** Lower is more important. */
  get priority(): number {
    return this.#record.priority
  }
  get key(): string | undefined {
    return this.#record.extras?.key
  }
  get state(): JobState {
    return this.#record.state
  }
  /** 0 before the first run, then 1, 2, … */
  get attempt(): number {
    return this.#record.attempt
  }
  /**
   * How many runs of the job ended with their process, if it is proven that they had begun. 0 in memory, and reset by
   * `queue.retry(job)`.
   */
  get crashes(): number {
    return this.#record.extras?.crashes ?? 0
  }
  /** Milliseconds since the epoch, like the two below. For people: rdq decides nothing by them. */
  get queuedAt(): number {
    return this.#record.queuedAt
  }
  /** The start of the last attempt. */
  get startedAt(): number | undefined {
    return this.#record.run?.startedAt
  }
  get stoppedAt(): number | undefined {
    return this.#record.run?.stoppedAt
  }
  /**
   * Undefined while this process follows the job. Otherwise this is a snapshot from this instant, by the wall clock: of
   * a job that was looked up, was put on a file by a queue without a handler, or waits in a file that other processes
   * change.
   */
  get asOf(): number | undefined {
    return this.#record.extras?.asOf ?? this.#host.asOf(this.#record)
  }
  /** The value that the last attempt threw, or the reason of the cancel. */
  get error(): unknown {
    return this.#record.extras?.error
  }
  /**
   * Settles once: with the handler's result, or rejects with the value it threw, `TimeoutError`, `CancelledError`,
   * `QueueStoppedError`, `PoisonError` or `ResultNotKeptError`. Its rejection never counts as unhandled.
   */
  get result(): Promise<Result> {
    return this.#host.resultOf(this.#record) as Promise<Result>
  }
  /** Same as `queue.cancel(job, reason)`. */
  cancel(reason?: unknown): Promise<boolean> {
    return this.#host.cancel(this, reason)
  }
  /**
   * Parks the generator task at its next `yield`; it keeps its slot. Calls nest. Throws JobStateError unless the job
   * runs a generator.
   */
  pause(): void {
    this.#host.pauseTask(this.#record)
  }
  /** Undoes one `pause()`. */
  resume(): void {
    this.#host.resumeTask(this.#record)
  }
  /** @internal */
  static recordOf(job: Job): JobRecord {
    return job.#record
  }
}

/**
 * The rule that holds jobs back, and until when by the wall clock. `rule` is undefined for a hold by `Throttled` of the
 * queue or of a key.
 */
export interface Limited {
  readonly rule: RateRule | undefined
  /** The key whose rule or hold it is. */
  readonly key?: string
  readonly until: number
  /** Present if a `Throttled` holds the named rule: the rule itself would let jobs start. */
  readonly hold?: true
}

const sample = new JobRecord('', undefined, 0, 0, new JobExtras())
keepShapeAlive(new Job(undefined as unknown as JobHost, sample))
