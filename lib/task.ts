/** The task: a run as its handler sees it. */
import { checkCost } from './options.ts'
import type { Cost } from './rate.ts'

/** What a task asks of the run behind it. */
export interface TaskHost {
  readonly record: { readonly id: string; readonly extras: { readonly key: string | undefined } | undefined }
  readonly attempt: number
  readonly open: boolean
  readonly restored: unknown
  readonly signal: AbortSignal
  progress(value: unknown): void
  checkpoint(value: unknown): Promise<void>
  spent(cost: Cost): void
  breathe(): Promise<void>
}

export class Task {
  readonly #run: TaskHost
  constructor(run: TaskHost) {
    this.#run = run
  }
  /** The job's id. */
  get id(): string {
    return this.#run.record.id
  }
  /** 1 for the first run, then 2, … */
  get attempt(): number {
    return this.#run.attempt
  }
  get key(): string | undefined {
    return this.#run.record.extras?.key
  }
  /** Stable over attempts and restarts: an idempotency key for the service that the handler calls. */
  get token(): string {
    return this.#run.record.id
  }
  /** Aborts when the job is cancelled, times out, or the queue stops and its grace is over. Made on first use. */
  get signal(): AbortSignal {
    return this.#run.signal
  }
  /** The value of the last checkpoint of an earlier run; undefined if there was none. */
  get restored(): unknown {
    return this.#run.restored
  }
  /** Emits `progress`. Ignored once the run is over. */
  progress(value: unknown): void {
    if (this.#run.open) this.#run.progress(value)
  }
  /** Resolves once `value` is stored: a later run finds it as `restored`. Rejects once the run is over. */
  checkpoint(value: unknown): Promise<void> {
    return this.#run.checkpoint(value)
  }
  /** Corrects the cost that was reserved at put to what was really used: `spent({ tokens: 731 })`. */
  spent(cost: Cost): void {
    checkCost('spent', cost)
    this.#run.spent(cost)
  }
  /** In async functions: gives the loop a turn when the slice is used up, and is nearly free otherwise. */
  breathe(): Promise<void> {
    return this.#run.breathe()
  }
  /** In generators: `const n = yield* task.wait(promise)`. Waits without holding the slice; typed. */
  // biome-ignore lint/suspicious/noExplicitAny: what a generator is sent has no type of its own; this one is sent T.
  *wait<T>(promise: PromiseLike<T> | T): Generator<unknown, T, any> {
    return (yield promise) as T
  }
}
