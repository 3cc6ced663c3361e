/** Of a job that waits, two things are told: that it was put, and that it came back. */
import type { Entry } from '../entry.ts'
import { found, isWaiting } from './judge.ts'

/** Calls that are about one job in one process and are not answered, and how many of them were told. */
interface Owed {
  readonly calls: Set<number>
  told: number
}

/** Tells them apart: each put is told once, in the process that asked, before its answer, and perhaps after its start. */
export class Announcements {
  readonly #owed = new Map<string, Owed>()
  readonly #ofCall = new Map<number, Owed[]>()

  /** Whether this entry tells of a put, of a retry by hand or of another time to start, that this process asked for and has not heard of yet. */
  ofPut(entry: Entry): boolean {
    if (isTeller(entry) && entry.job !== undefined) {
      const owed = found(this.#owed, `${entry.process} ${entry.job}`, () => ({ calls: new Set<number>(), told: 0 }))
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
    if (!owed || owed.told === owed.calls.size) return false
    owed.told++
    return true
  }
}

/** The call is answered: what was put was told before, and what was not is told by nothing. */
function close(owed: Owed, call: number, put: boolean): void {
  if (!owed.calls.delete(call)) return
  owed.told = Math.min(put ? Math.max(owed.told - 1, 0) : owed.told, owed.calls.size)
}

/** Whether it asks for something by which the job waits anew, and of which that is told. */
function isTeller(entry: Entry): entry is Entry<'put'> | Entry<'cancel'> {
  return ['put', 'retry', 'reschedule', 'promote'].includes(entry.kind)
}
