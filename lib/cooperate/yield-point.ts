/**
 * For long loops: says when to let the event loop have a turn, within the slices of a queue's cooperator.
 *
 * Handlers use `task.breathe()`. Internal loops, such as the cancel of very many jobs or the stop of very many bodies,
 * use this.
 */
import type { Clock } from '../clock.ts'
import type { Cooperator } from './cooperator.ts'

const atOnce = Promise.resolve()

/**
 * The most steps between two turns of the loop. The code that awaits their outcome runs after them and has work to do,
 * too.
 */
const maxStepsInTurn = 128

export class YieldPoint {
  readonly #cooperator: Cooperator
  readonly #clock: Clock
  #steps = 0
  /** `fits` has begun a slice in this turn of the loop. */
  #sliceOpened = false
  #waiting: (() => void)[] = []

  constructor(cooperator: Cooperator, clock: Clock) {
    this.#cooperator = cooperator
    this.#clock = clock
  }
  /** For work that a call of the user begins: opens a slice unless one is open. */
  open(): void {
    if (!this.#cooperator.open) this.#cooperator.openSlice()
  }
  /**
   * For steps that come one by one, each from a call of its own: whether the next one fits into this turn of the loop. If
   * it does not, the caller awaits `nextTurn()` before it. The first of them in a turn of the event loop begins a slice.
   */
  fits(): boolean {
    if (!this.#sliceOpened) {
      this.#sliceOpened = true
      this.#steps = 0
      this.open()
      this.#clock.soon(() => {
        this.#sliceOpened = false
      })
    }
    return this.#steps++ < maxStepsInTurn && this.#cooperator.open
  }
  /** Counts a step. Returns whether to yield before the next one. */
  shouldYield(): boolean {
    this.#steps++
    return this.#steps >= maxStepsInTurn || !this.#cooperator.open
  }
  /**
   * Resolves in a later turn of the loop if the slice is used up, and otherwise at once. All who wait share that turn's
   * slice.
   */
  nextTurn(): Promise<void> {
    if (this.#cooperator.open && this.#steps < maxStepsInTurn) return atOnce
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
      // The resumed waiter continues in a microtask and takes its step there.
      await undefined
      await undefined
    } while (next < waiting.length && this.#cooperator.open)
    if (next === waiting.length) return
    if (this.#waiting.length === 0) this.#clock.soon(this.#wake)
    this.#waiting = [...waiting.slice(next), ...this.#waiting]
  }
}
