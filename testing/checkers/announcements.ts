/** Of a job that waits, two things are told: that it was put, and that it came back. */
import type { Entry } from '../entry.ts'
import { found, isWaiting } from './judge.ts'

/**
 * Tells them apart: each put is told once, in the process that asked, and not always before its job starts. One that was
 * refused, or found its id remembered, is not told at all.
 */
export class Announcements {
  readonly #owed = new Map<string, number>()
  readonly #asked = new Map<number, Set<string>>()
  /** Whether this entry tells of a put, or of a retry by hand, that this process asked for and has not heard of yet. */
  ofPut(entry: Entry): boolean {
    if ((entry.kind === 'put' || entry.kind === 'retry') && entry.job !== undefined) {
      const key = `${entry.process} ${entry.job}`
      this.#add(key, 1)
      found(this.#asked, entry.call, () => new Set()).add(key)
    }
    if (entry.kind === 'refused') for (const key of this.#asked.get(entry.call) ?? []) this.#add(key, -1)
    if (entry.kind === 'accepted' && entry.existed) this.#add(`${entry.process} ${entry.job}`, -1)
    if (!isWaiting(entry) || entry.job === undefined) return false
    const key = `${entry.process} ${entry.job}`
    const owed = this.#owed.get(key) ?? 0
    if (owed > 0) this.#add(key, -1)
    return owed > 0
  }
  #add(key: string, by: number): void {
    this.#owed.set(key, Math.max((this.#owed.get(key) ?? 0) + by, 0))
  }
}
