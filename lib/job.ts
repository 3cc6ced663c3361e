/**
 * A job: what the backlog keeps of it (JobRecord) and what a user holds of it (Job).
 *
 * A record is data; the parts that only mean something in this process hang on it as `live` and never travel.
 */

import { makeId } from './put/id.ts'
import type { RateRule } from './rate/rate.ts'
import type { CheckpointValue } from './run/checkpoint-value.ts'
import type { Deferred } from './support/deferred.ts'
import { keepShapeAlive } from './support/shape-samples.ts'

/** The six states. `delayed`: not due yet, put with a delay or waiting out a backoff. */
export type JobState = 'pending' | 'delayed' | 'underway' | 'finished' | 'failed' | 'cancelled'

/** How often a job is attempted, parsed. */
export interface RetryPolicy {
  readonly attempts: number
  readonly delayMs: number
  readonly factor: number
  readonly maxMs: number
  readonly jitter: boolean
}

/** What few jobs have, kept apart so that a plain pending job stays small. */
export class JobExtras {
  /** The label by which limits and sharing apply. */
  key: string | undefined = undefined
  cost: Readonly<Record<string, number>> | undefined = undefined
  retry: RetryPolicy | undefined = undefined
  timeoutMs: number | undefined = undefined
  /** Not before this instant of the steady clock. */
  dueAt: number | undefined = undefined
  /** Not before this instant of the wall clock. */
  runAt: number | undefined = undefined
  /** The digest of the payload, of a job whose id was given. */
  fingerprint: string | undefined = undefined
  /** Why it ended or was put back, where that is an error. */
  error: unknown = undefined
  /** The value a finished job returned, where `keep.results` holds it. */
  value: unknown = undefined
  resultKept = false
  checkpoint: CheckpointValue | undefined = undefined
  /** How many runs of it ended with their process. */
  crashes = 0
  /** The instant of the steady clock at which a kept, ended job is forgotten. */
  forgetAt = 0
  /** When this was read from its backlog, by the wall clock, of a job that is not followed here. */
  asOf: number | undefined = undefined
}

/** What only this process knows of a job, and of few jobs. */
export class LiveParts {
  /** The promise of `job.result`, once it was asked for. */
  result: Deferred<unknown> | undefined = undefined
  /** It has settled. */
  isSettled = false
  /** Runs a function in the putter's async context (`context: 'put'`). */
  context: (<R>(run: () => R) => R) | undefined = undefined
  /** What the job was put with: it does not start once this has aborted. */
  signal: AbortSignal | undefined = undefined
  /** Lets go of the signal: the job has ended, was refused, or waits here no more. */
  unlisten: (() => void) | undefined = undefined
}

/** What a job shows of its last attempt. */
export interface RunFacts {
  readonly startedAt: number | undefined
  readonly stoppedAt: number | undefined
}

/**
 * What a queue and its backlog know of a job.
 *
 * | fields | written by |
 * | --- | --- |
 * | id, payload, text, priority, queuedAt, and of the extras key, cost, retry, timeoutMs, dueAt, runAt, fingerprint | the queue, before it puts the job |
 * | seq, state, attempt, fence, and of the extras error, value, resultKept, checkpoint, crashes, dueAt, runAt | the backlog, from the put on (rule B9 in backlog.ts) |
 * | priority, when the job is reprioritized | the backlog |
 * | text, once it has stored that; asOf, of a snapshot | the backlog |
 * | memorySlot, and forgetAt of the extras | the backlog in memory, for itself |
 * | live, answer, run, handle | the queue: they mean something in this process alone, and never travel |
 *
 * The queue writes an error once more: after `clear`, where each job is to have the error that its caller is told of.
 */
export class JobRecord {
  /** The order of put, within its backlog; 0 until accepted. */
  seq = 0
  payload: unknown
  /** The payload as it was at the put, where its backlog stores it as text; until that has stored it. */
  text: string | undefined = undefined
  priority: number
  state: JobState = 'pending'
  attempt = 0
  /** Which claim of the job this is: it only grows, while an attempt may be given back. Settles name it. */
  fence = 0
  /** Wall clock, for people. Begins as no number, so that jobs of one batch share one, and each has not a box of its own. */
  queuedAt: number = undefined as unknown as number
  /** Where it waits in the order of the ready or due jobs; -1 while it does not. */
  memorySlot = -1
  extras: JobExtras | undefined
  live: LiveParts | undefined = undefined
  /** Resolves the promise that `run()` gave; a rejected promise makes that one reject. */
  answer: ((value: unknown) => void) | undefined = undefined
  /** The last attempt in this process. */
  run: RunFacts | undefined = undefined
  /** The one handle that users see, once one was asked for. */
  handle: Job | undefined = undefined
  /** Empty where none was given; or the number of the order of put of which it is made when somebody asks. */
  #id: string | number

  constructor(id: string, payload: unknown, priority: number, queuedAt: number, extras?: JobExtras) {
    this.#id = id
    this.payload = payload
    this.priority = priority
    this.queuedAt = queuedAt
    this.extras = extras
  }
  /** The given id, or one made when it is first asked for: most jobs are never asked. */
  get id(): string {
    if (typeof this.#id === 'number' || this.#id === '') this.#id = makeId(this.queuedAt, this.#id || this.seq)
    return this.#id
  }
  /** Its id before its seq is known: unless one was given or made, it is made of that number of the order of put. */
  idOf(serial: number): string {
    if (this.#id === '') this.#id = serial
    return typeof this.#id === 'number' ? makeId(this.queuedAt, this.#id) : this.#id
  }
  /**
   * Put anew, it shows nothing of how it ended. A result that was asked for and has not settled is that of the new run: its
   * ending was stored, and not told in time. For its backlog, in the step that puts it anew: it may be claimed in the next.
   */
  renew(): void {
    if (!this.live?.result || this.live.isSettled) this.live = undefined
    else this.live.signal = undefined
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

/** What a {@link Job} asks of its queue. */
export interface JobHost {
  resultOf(record: JobRecord): Promise<unknown>
  asOf(record: JobRecord): number | undefined
  cancel(job: Job<unknown, unknown>, reason?: unknown): Promise<boolean>
  pauseTask(record: JobRecord): void
  resumeTask(record: JobRecord): void
}

/** A job as a user holds it: live while it was put or is underway here. */
export class Job<Payload = unknown, Result = unknown> {
  /** Whether the put found this id remembered, and put nothing. */
  readonly existed: boolean
  readonly #host: JobHost
  readonly #record: JobRecord

  constructor(host: JobHost, record: JobRecord, existed = false) {
    this.#host = host
    this.#record = record
    this.existed = existed
  }
  /** 1 to 200 characters; a made one is unique over processes and restarts and sorts by the time of put. */
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
   * How many runs of the job ended with their process, as far as it is proven that they had begun. 0 in memory, and anew after
   * `queue.retry(job)`.
   */
  get crashes(): number {
    return this.#record.extras?.crashes ?? 0
  }
  /** Milliseconds since the epoch, as are the two below: for people, nothing is decided by them. */
  get queuedAt(): number {
    return this.#record.queuedAt
  }
  /** Of the last attempt. */
  get startedAt(): number | undefined {
    return this.#record.run?.startedAt
  }
  get stoppedAt(): number | undefined {
    return this.#record.run?.stoppedAt
  }
  /**
   * Undefined while this process follows the job. Else this is a snapshot, as of this instant by the wall clock: of a job that
   * was looked up, was put by a queue without a handler on a file, or waits in a file that other processes change.
   */
  get asOf(): number | undefined {
    return this.#record.extras?.asOf ?? this.#host.asOf(this.#record)
  }
  /** What the last attempt threw, or why the job was cancelled. */
  get error(): unknown {
    return this.#record.extras?.error
  }
  /**
   * Settles once: with what the handler returned, or rejects with what it threw, `TimeoutError`, `CancelledError`,
   * `QueueStoppedError`, `PoisonError` or `ResultNotKeptError`. Never by itself an unhandled rejection.
   */
  get result(): Promise<Result> {
    return this.#host.resultOf(this.#record) as Promise<Result>
  }
  /** As `queue.cancel(job, reason)`. */
  cancel(reason?: unknown): Promise<boolean> {
    return this.#host.cancel(this, reason)
  }
  /** Parks the generator task at its next `yield`; it keeps its slot. Nests. Throws JobStateError unless it runs one. */
  pause(): void {
    this.#host.pauseTask(this.#record)
  }
  /** Takes back one `pause()`. */
  resume(): void {
    this.#host.resumeTask(this.#record)
  }
  /** @internal */
  static recordOf(job: Job): JobRecord {
    return job.#record
  }
}

/** A rule that holds jobs back, and until when by the wall clock. `rule` is undefined for a hold by `Throttled`. */
export interface Limited {
  readonly rule: RateRule | undefined
  readonly until: number
}

const sample = new JobRecord('', undefined, 0, 0)
keepShapeAlive(new Job(undefined as unknown as JobHost, sample))
