/**
 * Ids whose jobs are gone, in memory: each for its time, and no more than so many, the oldest go first.
 *
 * A map alone would do, but to take out the first of a map again and again walks over all that were taken out before.
 */
import type { JobState } from '../../lib/job.ts'

/** An id whose job is gone. */
export interface Remembered {
  readonly id: string
  readonly fingerprint: string
  readonly state: JobState
  readonly forgetAt: number
}

/** So many gaps in the order are no reason to close them. */
const minGaps = 1_024

export class RememberedIds {
  readonly #byId = new Map<string, Remembered>()
  /** In the order in which they are forgotten, for all are remembered equally long. Some are gone; all are before the head. */
  #order: Remembered[] = []
  #head = 0

  get size(): number {
    return this.#byId.size
  }
  add(remembered: Remembered, most: number): void {
    this.#byId.set(remembered.id, remembered)
    this.#order.push(remembered)
    while (this.#byId.size > most) this.#dropFirst()
    if (this.#order.length > 2 * this.#byId.size + minGaps) {
      this.#order = this.#order.slice(this.#head).filter(one => this.#isThere(one))
      this.#head = 0
    }
  }
  recall(id: string, now: number): Remembered | undefined {
    const remembered = this.#byId.get(id)
    return remembered && remembered.forgetAt > now ? remembered : undefined
  }
  /** The id is free again. True if it was remembered. */
  forget(id: string, now: number): boolean {
    return this.recall(id, now) !== undefined && this.#byId.delete(id)
  }
  /** Forgets at most `count` ids: those whose time is over, and those that are more than `most`. */
  prune(now: number, count: number, most: number): void {
    for (let left = count; left > 0 && this.#head < this.#order.length; left--) {
      const first = this.#order[this.#head] as Remembered
      if (this.#isThere(first) && first.forgetAt > now && this.#byId.size <= most) return
      this.#dropFirst()
    }
  }
  #isThere(remembered: Remembered): boolean {
    return this.#byId.get(remembered.id) === remembered
  }
  #dropFirst(): void {
    const first = this.#order[this.#head] as Remembered
    this.#order[this.#head++] = undefined as never
    if (this.#isThere(first)) this.#byId.delete(first.id)
    if (this.#head === this.#order.length) this.#order.length = this.#head = 0
  }
}
