/**
 * For whoever has a lot to do at once: when to let the event loop have a turn, within the slices of a queue's cooperator.
 *
 * Handlers take breath by `task.breathe()`; a cancel of very many jobs and a stop of very many bodies do by this.
 */
import type { Clock } from '../clock.ts'
import type { Cooperator } from './cooperator.ts'

const atOnce = Promise.resolve()

/** Steps between two turns of the loop, at most: what waits for their outcome goes on behind them, and has work to do too. */
const maxSteps = 128

export class YieldPoint {
  readonly #cooperator: Cooperator
  readonly #clock: Clock
  #steps = 0
  #waiting: (() => void)[] = []

  constructor(cooperator: Cooperator, clock: Clock) {
    this.#cooperator = cooperator
    this.#clock = clock
  }
  /** For work that a user's call begins: it may go on for a slice from now on. */
  open(): void {
    if (!this.#cooperator.open) this.#cooperator.openSlice()
  }
  /** A step is done: whether to take breath before the next. */
  step(): boolean {
    this.#steps++
    return this.#steps >= maxSteps || !this.#cooperator.open
  }
  /** Resolves in a later turn of the loop when the slice is used up, and else at once. Those who wait for it share its slice. */
  take(): Promise<void> {
    if (this.#cooperator.open && this.#steps < maxSteps) return atOnce
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) this.#clock.soon(this.#wake)
    })
  }
  readonly #wake = async (): Promise<void> => {
    const waiting = this.#waiting
    this.#waiting = []
    this.#steps = 0
    this.open()
    let next = 0
    do {
      waiting[next++]?.()
      // Whoever it was goes on in a microtask, and does its step there.
      await undefined
      await undefined
    } while (next < waiting.length && this.#cooperator.open)
    if (next === waiting.length) return
    if (this.#waiting.length === 0) this.#clock.soon(this.#wake)
    this.#waiting = [...waiting.slice(next), ...this.#waiting]
  }
}
