/**
 * Withdrawn puts: a put whose signal aborts, or whose waiting job is cancelled by its id, is refused while it has not
 * been sent.
 *
 * A withdrawn put has its answer at once, but keeps its place among the others until its turn to be sent comes; there it
 * is passed over. Once a put is sent it can no longer be withdrawn: its job has to be cancelled in the backlog.
 */
import type { JobRecord } from '../job.ts'
import { type BufferEntry, CommandEntry, type PutEntry, recordsOf, type WaitingEntry } from './entries.ts'
import { PlainJobs } from './plain-jobs.ts'

export class Withdrawals {
  /** Puts that are not sent, by the jobs whose signals may withdraw them. */
  readonly #withdrawable = new Map<JobRecord, WaitingEntry>()
  /** Withdrawn puts that have not been passed over. */
  readonly #withdrawn = new Set<PutEntry>()

  /** How many withdrawn puts still have a place among the others. */
  get count(): number {
    return this.#withdrawn.size
  }
  /** From now on, until the put is sent, the signal of this job may withdraw it. */
  allow(record: JobRecord, entry: WaitingEntry): void {
    this.#withdrawable.set(record, entry)
  }
  /** The put that the signal of this job may withdraw; undefined if it was sent, or withdrawn before. */
  find(record: JobRecord): WaitingEntry | undefined {
    return this.#withdrawable.get(record)
  }
  /** Marks a put as withdrawn. The caller refuses it. */
  withdraw(entry: WaitingEntry): void {
    this.#forbid(entry)
    this.#withdrawn.add(entry)
  }
  /** The puts that were not withdrawn, and the commands. They are about to be sent, so none can be withdrawn any more. */
  remaining<E extends BufferEntry>(entries: E[]): E[] {
    if (this.#withdrawn.size === 0 && this.#withdrawable.size === 0) return entries
    const remaining = entries.filter(entry => entry instanceof CommandEntry || !this.#withdrawn.delete(entry))
    for (const entry of remaining) if (!(entry instanceof CommandEntry)) this.#forbid(entry)
    return remaining
  }
  #forbid(entry: PutEntry): void {
    if (this.#withdrawable.size === 0 || entry instanceof PlainJobs) return
    for (const record of recordsOf([entry])) this.#withdrawable.delete(record)
  }
}
