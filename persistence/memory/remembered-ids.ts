/**
 * The ids of forgotten jobs, in memory: each is kept for its time, and there is a maximum beyond which the oldest are
 * dropped.
 *
 * A map alone would be too slow, because finding its first entry walks over all entries deleted before it.
 */
import type { JobState } from '../../lib/job.ts'

/** The id of a job that is gone. */
export interface Remembered {
  readonly id: string
  readonly fingerprint: string
  readonly state: JobState
  readonly forgetAt: number
}

/** Fewer gaps in the order than this are not worth closing. */
const minGaps = 1_024

export class RememberedIds {
  readonly #byId = new Map<string, Remembered>()
  /**
   * In the order of expiry, which is that of addition, because all are kept equally long. Some are deleted; those
   * before the head are gone.
   */
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
  /** Frees the id. Returns whether it was remembered. */
  forget(id: string, now: number): boolean {
    return this.recall(id, now) !== undefined && this.#byId.delete(id)
  }
  /** Forgets at most `count` ids: the expired ones, and those beyond `most`. */
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
