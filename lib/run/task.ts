/** The task: a run as its handler sees it. */
import { JobStateError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { parseCost } from '../options/options.ts'
import type { Cost } from '../rate/rate.ts'
import { keepShapeAlive } from '../support/shape-samples.ts'
import { CheckpointValue } from './checkpoint-value.ts'

/** What a task asks of the run behind it, which may have gone on to another job. */
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
  /** How many earlier runs of the job ended with their process: side effects of these may be there already. 0 in memory. */
  readonly crashes: number
  readonly #run: TaskHost
  readonly #record: JobRecord
  readonly #fence: number
  /** Kept as it was stored until it is asked for. */
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
  get #held(): boolean {
    return this.#run.isOf(this.#record, this.#fence)
  }
  get #open(): boolean {
    return this.#held && this.#run.open
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
  /** Aborts when the job is cancelled, times out, or the queue stops and its grace is over. Made on first use. */
  get signal(): AbortSignal {
    this.#signal ??= this.#held ? this.#run.signal : new AbortController().signal
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
   * Resolves once a copy of `value` is stored: a later run finds it as `restored`. Rejects once the run is over, and with
   * PayloadError or StoreError where it cannot be stored. A rejection that nobody awaits ends no process.
   */
  checkpoint(value: unknown): Promise<void> {
    if (this.#open) return this.#run.checkpoint(value)
    const refused = Promise.reject(new JobStateError('checkpoint', this.id, 'over', 'underway'))
    refused.catch(() => {})
    return refused
  }
  /** Corrects the cost that was reserved at put to what was really used: `spent({ tokens: 731 })`. */
  spent(cost: Cost): void {
    const read = parseCost('spent', cost)
    if (this.#held) this.#run.spent(read)
  }
  /** In async functions: gives the loop a turn when the slice is used up, and is nearly free otherwise. */
  breathe(): Promise<void> {
    return this.#run.breathe()
  }
  /**
   * Records in a transaction of your own that this job finished, with `result`: what else the transaction writes to the same
   * database then happens exactly once. What a transaction is depends on the backlog, as does whether there is a promise to
   * await. Call it last, commit, and return. Throws JobStateError when the run is over, and what is wrong with the transaction.
   */
  finishWithin(transaction: unknown, result?: unknown): void | Promise<void> {
    if (!this.#open) throw new JobStateError('finish', this.id, 'over', 'underway')
    return this.#run.finishWithin(transaction, result)
  }
  /** In generators: `const n = yield* task.wait(promise)`. Waits without holding the slice; typed. */
  // biome-ignore lint/suspicious/noExplicitAny: what a generator is sent has no type of its own; this one is sent T.
  *wait<T>(promise: PromiseLike<T> | T): Generator<unknown, T, any> {
    return (yield Promise.resolve(promise)) as T
  }
}

keepShapeAlive(new Task({ fence: 0 } as TaskHost, { attempt: 0 } as JobRecord))
