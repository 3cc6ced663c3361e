/**
 * The runs of a queue that hold a slot, in the order of their claim.
 *
 * Linked through the runs themselves: one leaves from the middle without a search. Runs that ended plainly are used again,
 * for what a run allocates is most of what a short job costs.
 */
import type { JobRecord } from '../job.ts'
import { Run, type RunHost } from './run.ts'

/** Spare runs that are kept at most. */
const maxSpare = 1_000

export class Runs {
  readonly #host: RunHost
  readonly #spare: Run[] = []
  #first: Run | undefined
  #last: Run | undefined

  constructor(host: RunHost) {
    this.#host = host
  }
  /** A run for the claimed job, the last of all. */
  add(record: JobRecord, payload: unknown, grant: number, graceUntil: number): Run {
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
  /** Nobody will ask this run anything any more. */
  reuse(run: Run): void {
    if (!run.reusable || this.#spare.length >= maxSpare) return
    run.reset()
    this.#spare.push(run)
  }
  /** The run of that job, settled or not. */
  of(record: JobRecord): Run | undefined {
    // Most often it is the last one, and nobody need search among a great many.
    const last = record.run as Run | undefined
    if (last?.record === record && !last.bodyEnded) return last
    for (let run = this.#first; run; run = run.next) if (run.record === record) return run
    return undefined
  }
  /**
   * One of that job whose body goes on: it was cancelled or lost here, and the job put anew from elsewhere. `closing` says
   * whether there are any that have settled before their bodies ended; most often there are none, and nobody looks.
   */
  bodyOf(record: JobRecord, closing: boolean): Run | undefined {
    const last = record.run as Run | undefined
    if (last?.launched && !last.bodyEnded && last.record === record) return last
    for (let run = closing ? this.#first : undefined; run; run = run.next) {
      if (run.record.seq === record.seq && run.launched && !run.bodyEnded) return run
    }
    return undefined
  }
  byId(id: string): Run | undefined {
    for (let run = this.#first; run; run = run.next) if (run.record.id === id) return run
    return undefined
  }
  /** A copy, so that those who walk it may end runs. */
  [Symbol.iterator](): IterableIterator<Run> {
    const all: Run[] = []
    for (let run = this.#first; run; run = run.next) all.push(run)
    return all.values()
  }
}
