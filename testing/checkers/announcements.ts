/** Of a job that waits, two things are told: that it was put, and that it came back. */
import type { Entry } from '../entry.ts'
import { found, isWaiting } from './judge.ts'

/** Tells them apart: each put is told once, in the process that asked, before its answer, and perhaps after its start. */
export class Announcements {
  /** Calls that are still to be told, by the jobs that they are about. */
  readonly #owed = new Map<string, Set<number>>()
  readonly #ofCall = new Map<number, Set<number>[]>()

  /** Whether this entry tells of a put, or of a retry by hand, that this process asked for and has not heard of yet. */
  ofPut(entry: Entry): boolean {
    if ((entry.kind === 'put' || entry.kind === 'retry') && entry.job !== undefined) {
      const calls = found(this.#owed, `${entry.process} ${entry.job}`, () => new Set()).add(entry.call)
      found(this.#ofCall, entry.call, () => []).push(calls)
    } else if (entry.kind === 'accepted') this.#owed.get(`${entry.process} ${entry.job}`)?.delete(entry.call)
    else if (entry.kind === 'answered' || entry.kind === 'refused' || entry.kind === 'settled') {
      for (const calls of this.#ofCall.get(entry.call) ?? []) calls.delete(entry.call)
    }
    if (!isWaiting(entry) || entry.job === undefined) return false
    const calls = this.#owed.get(`${entry.process} ${entry.job}`)
    const [first] = calls ?? []
    return first !== undefined && (calls?.delete(first) ?? false)
  }
}
