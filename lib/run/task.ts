/** The task: a run as its handler sees it. */
import { JobStateError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { parseCost } from '../options/cost.ts'
import type { Cost } from '../rate/rules.ts'
import { keepShapeAlive } from '../support/shape-samples.ts'
import { CheckpointValue } from '../text/checkpoint-value.ts'

/** The part of a run that its task uses. The run may belong to another job by now. */
export interface TaskHost {
  readonly fence: number
  readonly open: boolean
  readonly signal: AbortSignal
  isOf(record: JobRecord, fence: number): boolean
  progress(value: unknown): void
  checkpoint(value: unknown): Promise<void>
  spent(cost: Cost): void
  breathe(): Promise<void>
  finishWithin(transaction: unknown, value: unknown): void | Promise<void>
}

export class Task {
  /** 1 for the first run, then 2, … */
  readonly attempt: number
  /**
   * How many earlier runs of the job ended with their process, so that their side effects may exist already. 0 in
   * memory.
   */
  readonly crashes: number
  readonly #run: TaskHost
  readonly #record: JobRecord
  readonly #fence: number
  /** Kept in its stored form until first use. */
  #restored: unknown
  #signal: AbortSignal | undefined

  constructor(run: TaskHost, record: JobRecord) {
    this.attempt = record.attempt
    this.crashes = record.extras?.crashes ?? 0
    this.#run = run
    this.#record = record
    this.#fence = run.fence
    this.#restored = record.extras?.checkpoint
  }
  get #isCurrent(): boolean {
    return this.#run.isOf(this.#record, this.#fence)
  }
  get #open(): boolean {
    return this.#isCurrent && this.#run.open
  }
  /** The job's id. */
  get id(): string {
    return this.#record.id
  }
  get key(): string | undefined {
    return this.#record.extras?.key
  }
  /** Stable over attempts and restarts: an idempotency key for the service that the handler calls. */
  get token(): string {
    return this.#record.id
  }
  /** Aborts when the job is cancelled, times out, or the queue stops and its grace is over. Created on first use. */
  get signal(): AbortSignal {
    this.#signal ??= this.#isCurrent ? this.#run.signal : new AbortController().signal
    return this.#signal
  }
  /** The value of the last checkpoint of an earlier run, a copy for this run alone; undefined if there was none. */
  get restored(): unknown {
    if (this.#restored instanceof CheckpointValue) this.#restored = this.#restored.read()
    return this.#restored
  }
  /** Emits `progress`. Ignored once the run is over. */
  progress(value: unknown): void {
    if (this.#open) this.#run.progress(value)
  }
  /**
   * Resolves once a copy of `value` is stored, which a later run gets as `restored`. Rejects once the run is over, and
   * with PayloadError or StoreError if the value cannot be stored. A rejection that is not handled does not end the
   * process.
   */
  checkpoint(value: unknown): Promise<void> {
    if (this.#open) return this.#run.checkpoint(value)
    const refused = Promise.reject(new JobStateError('checkpoint', this.id, 'over', 'underway'))
    refused.catch(() => {})
    return refused
  }
  /** Corrects the cost reserved by the put to the real one: `spent({ tokens: 731 })`. */
  spent(cost: Cost): void {
    const read = parseCost('spent', cost)
    if (this.#isCurrent) this.#run.spent(read)
  }
  /** For async functions: gives the event loop a turn when the slice is used up, and costs almost nothing otherwise. */
  breathe(): Promise<void> {
    return this.#run.breathe()
  }
  /**
   * Records in a transaction of your own that this job finished, with `result`: the other writes of the transaction to
   * the same database then happen exactly once. The backlog decides what a transaction is, and whether there is a
   * promise to await. Call it last, commit, and return. Throws JobStateError when the run is over, and an error of the
   * backlog for an unsuitable transaction.
   */
  finishWithin(transaction: unknown, result?: unknown): void | Promise<void> {
    if (!this.#open) throw new JobStateError('finish', this.id, 'over', 'underway')
    return this.#run.finishWithin(transaction, result)
  }
  /**
   * For generators: `const n = yield* task.wait(promise)`. Waits without holding the slice, with the type of the
   * promise.
   */
  // biome-ignore lint/suspicious/noExplicitAny: what a generator is sent has no type of its own; this one is sent T.
  *wait<T>(promise: PromiseLike<T> | T): Generator<unknown, T, any> {
    return (yield Promise.resolve(promise)) as T
  }
}

keepShapeAlive(new Task({ fence: 0 } as TaskHost, { attempt: 0 } as JobRecord))
