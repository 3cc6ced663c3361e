/** Distinguishes the two events by which a job is announced as waiting: that it was put, and that it went back. */
import type { Entry } from '../entry.ts'
import { found, isWaiting } from './judge.ts'

/** Unanswered calls about one job in one process, and how many of them were announced. */
interface Owed {
  readonly calls: Set<number>
  announced: number
}

/** Each put is announced once, in the process that made it, before its reply, and perhaps after the job's start. */
export class Announcements {
  readonly #owed = new Map<string, Owed>()
  readonly #ofCall = new Map<number, Owed[]>()

  /**
   * Whether this entry announces a put, a manual retry or a new due time that this process requested and that was not
   * announced yet.
   */
  ofPut(entry: Entry): boolean {
    if (isAnnounced(entry) && entry.job !== undefined) {
      const owed = found(this.#owed, `${entry.process} ${entry.job}`, () => ({
        calls: new Set<number>(),
        announced: 0,
      }))
      owed.calls.add(entry.call)
      found(this.#ofCall, entry.call, () => []).push(owed)
    } else if (entry.kind === 'accepted') {
      const owed = this.#owed.get(`${entry.process} ${entry.job}`)
      if (owed) close(owed, entry.call, !entry.existed)
    } else if (entry.kind === 'answered' || entry.kind === 'refused' || entry.kind === 'settled') {
      for (const owed of this.#ofCall.get(entry.call) ?? []) close(owed, entry.call, entry.kind !== 'refused')
    }
    if (!isWaiting(entry) || entry.job === undefined) return false
    const owed = this.#owed.get(`${entry.process} ${entry.job}`)
    if (!owed || owed.announced === owed.calls.size) return false
    owed.announced++
    return true
  }
}

/** The call is answered: a put was announced before its reply, and anything else is not announced. */
function close(owed: Owed, call: number, put: boolean): void {
  if (!owed.calls.delete(call)) return
  owed.announced = Math.min(put ? Math.max(owed.announced - 1, 0) : owed.announced, owed.calls.size)
}

/** Whether the entry is a request that makes the job wait, which an event announces. */
function isAnnounced(entry: Entry): entry is Entry<'put'> | Entry<'cancel'> {
  return ['put', 'retry', 'reschedule', 'promote'].includes(entry.kind)
}
