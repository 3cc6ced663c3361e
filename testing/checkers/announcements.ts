/** Of a job that waits, two things are told: that it was put, and that it came back. */
import type { Entry } from '../entry.ts'
import { isWaiting } from './judge.ts'

/** Tells them apart: each put is told once, in the process that asked, and not always before its job starts. */
export class Announcements {
  readonly #owed = new Map<string, number>()
  /** Whether this entry tells of a put, or of a retry by hand, that this process asked for and has not heard of yet. */
  ofPut(entry: Entry): boolean {
    if ((entry.kind === 'put' || entry.kind === 'retry') && entry.job !== undefined)
      this.#add(entry.process, entry.job, 1)
    if (!isWaiting(entry) || entry.job === undefined) return false
    const owed = this.#owed.get(`${entry.process} ${entry.job}`) ?? 0
    if (owed > 0) this.#add(entry.process, entry.job, -1)
    return owed > 0
  }
  #add(process: string, job: string, by: number): void {
    const key = `${process} ${job}`
    this.#owed.set(key, (this.#owed.get(key) ?? 0) + by)
  }
}
