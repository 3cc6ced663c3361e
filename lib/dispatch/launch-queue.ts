/** Runs whose jobs were claimed and which wait to be called, in the order of the claim. */
import type { Run } from '../run/run.ts'

export class LaunchQueue {
  readonly #runs: Run[] = []
  #head = 0

  get any(): boolean {
    return this.#head < this.#runs.length
  }
  push(run: Run): void {
    this.#runs.push(run)
  }
  /** Takes out the first. */
  next(): Run | undefined {
    const run = this.#runs[this.#head]
    if (!run) return undefined
    this.#runs[this.#head++] = undefined as never
    if (!this.any) this.#runs.length = this.#head = 0
    return run
  }
  /** Takes out those that were not called within their grace. */
  takeExpired(now: number): readonly Run[] {
    // One claim after the other: where the first is in time, so mostly are all.
    if (!this.any || now < (this.#runs[this.#head] as Run).graceUntil) return none
    const waiting = this.#runs.splice(0).slice(this.#head)
    this.#head = 0
    for (const run of waiting) if (now < run.graceUntil) this.#runs.push(run)
    return waiting.filter(run => now >= run.graceUntil)
  }
  /** None of them may be called any more by what it was granted. */
  revoke(): void {
    for (let i = this.#head; i < this.#runs.length; i++) (this.#runs[i] as Run).graceUntil = -Infinity
  }
}

const none: readonly Run[] = []
