/** Runs whose jobs are claimed and that wait to be called, in the order of the claim. */
import type { Run } from '../run/run.ts'
import { Fifo } from '../support/fifo.ts'

export class LaunchQueue {
  readonly #runs = new Fifo<Run>()

  get any(): boolean {
    return this.#runs.length > 0
  }
  push(run: Run): void {
    this.#runs.push(run)
  }
  /** Removes the first run. */
  next(): Run | undefined {
    return this.#runs.shift()
  }
  /** Removes the runs that were not called within their grace. */
  takeExpired(now: number): readonly Run[] {
    // They are in the order of their claims: if the first is in time, mostly all are.
    const { first } = this.#runs
    if (!first || now < first.graceUntil) return none
    const waiting = this.#runs.takeAll()
    for (const run of waiting) if (now < run.graceUntil) this.#runs.push(run)
    return waiting.filter(run => now >= run.graceUntil)
  }
  /** Revokes the grants of all runs: none may be called any more. */
  revoke(): void {
    for (const run of this.#runs) run.graceUntil = -Infinity
  }
}

const none: readonly Run[] = []
