/**
 * Jobs whose result somebody here waits for, and that may run in another process, or by another queue object of this one.
 *
 * Nobody tells of their endings: whenever the file has changed, some of them are looked up, and each when somebody begins
 * to wait for it, unless nothing has changed since it was put.
 */
import type { JobRecord } from '../../lib/job.ts'
import { clearedText } from './encode-commands.ts'
import { type IdentityMap, isAwaited } from './identity-map.ts'
import type { JobRow } from './store.ts'

/** One look asks for so many at most; the next goes on behind them. */
const maxLookups = 200

export interface RemoteEndingsParts {
  readonly identities: IdentityMap
  readonly works: boolean
  readonly keepsCancelled: boolean
  find(seq: number): Promise<JobRow | undefined>
  update(record: JobRecord, row: JobRow): void
  /** The job has ended, and its record says how. */
  ended(record: JobRecord): void
}

export class RemoteEndings {
  readonly #parts: RemoteEndingsParts
  readonly #clearing = new Set<JobRecord>()
  #looking = false
  /** The file has changed again during a look. */
  #changedDuringLook = false
  #lookedAt = 0
  /** The last that was put here, in the order of put: now, and when the file changed last. */
  #last = 0
  #changedAt = 0

  constructor(parts: RemoteEndingsParts) {
    this.#parts = parts
  }
  put(seq: number): void {
    this.#last = seq
  }
  /** Whoever begins to wait from now on may come late. */
  changed(): void {
    this.#changedAt = this.#last
  }
  /** Whether it runs here, or waits for a run here and no other process has changed the file since it was put. */
  isLive(record: JobRecord): boolean {
    const { identities, works } = this.#parts
    return identities.runsHere(record) || (works && record.seq > this.#changedAt)
  }
  /** It may have ended before anybody waited for it. */
  waitFor(record: JobRecord): void {
    const { identities } = this.#parts
    const isPicture = record.extras?.asOf !== undefined
    if (identities.runsHere(record) || (!isPicture && record.seq > this.#changedAt)) return
    // Where the file is in trouble, the next change looks again.
    this.#lookUp(record).catch(() => {})
  }
  /** Its run here was lost: how it ends is for another to say, and may be said already. */
  lost(record: JobRecord): void {
    if (!isAwaited(record)) return
    if (record.ended) this.#report(record, true)
    else this.#lookUp(record).catch(() => {})
  }
  /**
   * Those of them that a clear of here has cancelled, which were too many for their rows to be told. They are the caller's to
   * tell of from now on, and no look's that is under way.
   */
  async cleared(): Promise<readonly JobRecord[]> {
    const { identities, find, update, keepsCancelled } = this.#parts
    const waiting = identities.awaited().filter(record => !record.ended && !identities.runsHere(record))
    for (const record of waiting) this.#clearing.add(record)
    try {
      const cleared: JobRecord[] = []
      // Not all at once, for the thread has others to answer.
      for (let from = 0; from < waiting.length; from += maxLookups) {
        const some = waiting.slice(from, from + maxLookups)
        const rows = await Promise.all(some.map(({ seq }) => find(seq)))
        for (const [i, record] of some.entries()) {
          const row = rows[i]
          // It may have gone on meanwhile.
          if (record.ended || identities.runsHere(record)) continue
          // What is gone was cleared only where nothing of cancelled jobs is kept.
          const isCleared = row ? row.state === 'cancelled' && row.more?.error === clearedText : !keepsCancelled
          if (!isCleared) continue
          if (row) update(record, row)
          else Object.assign(record, { state: 'cancelled' })
          cleared.push(record)
        }
      }
      return cleared
    } catch {
      // It was made all the same. The file is in trouble, which turns tell of, and the next change looks.
      return []
    } finally {
      for (const record of waiting) this.#clearing.delete(record)
    }
  }
  /** Those that are waited for already are looked up. */
  async look(): Promise<void> {
    this.#changedDuringLook = true
    if (this.#looking) return
    this.#looking = true
    try {
      while (this.#changedDuringLook) {
        this.#changedDuringLook = false
        for (const record of this.#some()) await this.#lookUp(record)
      }
    } catch {
      // The file is in trouble, which turns tell of. The next change looks again.
    } finally {
      this.#looking = false
    }
  }
  async #lookUp(record: JobRecord): Promise<void> {
    const { identities, find, update } = this.#parts
    const row = await find(record.seq)
    // It may have ended, or have begun here, while its row was on the way.
    if (record.ended || identities.runsHere(record) || this.#clearing.has(record)) return
    if (row) update(record, row)
    // Finished and not kept, or taken out: how it ended is not known any more.
    else Object.assign(record, { state: 'finished', run: undefined })
    if (record.ended) this.#report(record, row !== undefined)
  }
  #report(record: JobRecord, kept: boolean): void {
    const { identities, ended } = this.#parts
    identities.end(record, kept)
    ended(record)
  }
  /** Each in its turn, in the order of put. */
  #some(): readonly JobRecord[] {
    const { identities } = this.#parts
    const found = identities.awaited().filter(record => !record.ended && !identities.runsHere(record))
    if (found.length <= maxLookups) return found
    const next = found.findIndex(({ seq }) => seq > this.#lookedAt)
    const from = Math.max(next, 0)
    const some = found.slice(from, from + maxLookups)
    this.#lookedAt = some[some.length - 1]?.seq ?? 0
    return some
  }
}
