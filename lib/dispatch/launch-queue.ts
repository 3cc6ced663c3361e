/** Runs whose jobs are claimed and that wait to be called, in the order of the claim. */
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
  /** Removes the first run. */
  next(): Run | undefined {
    const run = this.#runs[this.#head]
    if (!run) return undefined
    this.#runs[this.#head++] = undefined as never
    if (!this.any) this.#runs.length = this.#head = 0
    return run
  }
  /** Removes the runs that were not called within their grace. */
  takeExpired(now: number): readonly Run[] {
    // They are in the order of their claims: if the first is in time, mostly all are.
    if (!this.any || now < (this.#runs[this.#head] as Run).graceUntil) return none
    const waiting = this.#runs.splice(0).slice(this.#head)
    this.#head = 0
    for (const run of waiting) if (now < run.graceUntil) this.#runs.push(run)
    return waiting.filter(run => now >= run.graceUntil)
  }
  /** Revokes the grants of all runs: none may be called any more. */
  revoke(): void {
    for (let i = this.#head; i < this.#runs.length; i++) (this.#runs[i] as Run).graceUntil = -Infinity
  }
}

const none: readonly Run[] = []
