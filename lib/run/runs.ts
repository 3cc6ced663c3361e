/**
 * The runs of a queue that hold a slot, in the order of their claim.
 *
 * They form a linked list, so that a run in the middle is removed without a search. Runs that ended without
 * complications are reused, because the allocations of a run are most of the cost of a short job.
 */
import type { Grant } from '../backlog.ts'
import { LeaseLostError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { Run, type RunHost } from './run.ts'

/** The most spare runs that are kept. */
const maxSpare = 1_000

export class Runs {
  readonly #host: RunHost
  readonly #spare: Run[] = []
  #first: Run | undefined
  #last: Run | undefined

  constructor(host: RunHost) {
    this.#host = host
  }
  /** Adds a run for the claimed job at the end. */
  add(record: JobRecord, payload: unknown, grant: Grant, graceUntil: number): Run {
    const run = this.#spare.pop() ?? new Run(this.#host)
    run.begin(record, payload, grant, graceUntil)
    const last = this.#last
    run.previous = last
    if (last) last.next = run
    else this.#first = run
    this.#last = run
    return run
  }
  /** The run's body has ended, or was never called. */
  remove(run: Run): void {
    const { previous, next } = run
    if (previous) previous.next = next
    else this.#first = next
    if (next) next.previous = previous
    else this.#last = previous
    run.previous = run.next = undefined
  }
  /**
   * The job went to another run, or was removed. Returns whether listeners take it to be underway here: a job may be
   * lost before it is launched, or while it awaits a verdict without a run.
   */
  lose(record: JobRecord): boolean {
    const run = this.of(record) ?? record.run
    if (!(run instanceof Run)) return false
    run.lose(new LeaseLostError(record.id))
    const { announced } = run
    run.announced = false
    return announced
  }
  /** Nothing refers to this run any more. */
  reuse(run: Run): void {
    if (!run.reusable || this.#spare.length >= maxSpare) return
    run.reset()
    this.#spare.push(run)
  }
  /** The run of that job, settled or not. */
  of(record: JobRecord): Run | undefined {
    // Most often it is the job's last run, which needs no search.
    const last = record.run as Run | undefined
    if (last?.record === record && !last.bodyEnded) return last
    for (let run = this.#first; run; run = run.next) if (run.record === record) return run
    return undefined
  }
  /**
   * A run of that job whose body still runs: the job was cancelled or lost here, and put again from elsewhere.
   * `closing` says whether any run has settled before its body ended; mostly none has, and the search is skipped.
   */
  bodyOf(record: JobRecord, anyClosing: boolean): Run | undefined {
    const last = record.run as Run | undefined
    if (last?.launched && !last.bodyEnded && last.record === record) return last
    for (let run = anyClosing ? this.#first : undefined; run; run = run.next) {
      if (run.record.seq === record.seq && run.launched && !run.bodyEnded) return run
    }
    return undefined
  }
  byId(id: string): Run | undefined {
    for (let run = this.#first; run; run = run.next) if (run.record.id === id) return run
    return undefined
  }
  /** Iterates over a copy, so that the caller may end runs. */
  [Symbol.iterator](): IterableIterator<Run> {
    const all: Run[] = []
    for (let run = this.#first; run; run = run.next) all.push(run)
    return all.values()
  }
}
