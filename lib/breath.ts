/**
 * For whoever has a lot to do at once: when to let the event loop have a turn, within the slices of a queue's cooperator.
 *
 * Handlers take breath by `task.breathe()`; a cancel of very many jobs and a stop of very many bodies do by this.
 */
import type { Clock } from './clock.ts'
import type { Cooperator } from './cooperator.ts'

const atOnce = Promise.resolve()

export class Breath {
  readonly #cooperator: Cooperator
  readonly #clock: Clock

  constructor(cooperator: Cooperator, clock: Clock) {
    this.#cooperator = cooperator
    this.#clock = clock
  }
  /** For work that a user's call begins: it may go on for a slice from now on. */
  open(): void {
    if (!this.#cooperator.open) this.#cooperator.openSlice()
  }
  /** Asked after each step. */
  get isDue(): boolean {
    return !this.#cooperator.open
  }
  /** Resolves in a later turn of the loop when the slice is used up, and else at once. */
  take(): Promise<void> {
    if (this.#cooperator.open) return atOnce
    return new Promise(resolve => {
      this.#clock.soon(() => {
        if (!this.#cooperator.open) this.#cooperator.openSlice()
        resolve()
      })
    })
  }
}
