/**
 * Finds the endings of awaited jobs that ran in another process, or in another queue object of this one.
 *
 * The store does not report such endings. So awaited jobs are looked up whenever the store reports a change, and a job
 * is looked up when its result is first awaited, unless nothing has changed since it was put.
 */
import type { SessionOptions } from '../../lib/backlog.ts'
import type { JobRecord } from '../../lib/job.ts'
import { clearedText } from './encode.ts'
import { type IdentityMap, isAwaited } from './identity-map.ts'
import type { JobRow } from './store.ts'

/** How many jobs one lookup covers; the next one continues behind them. */
const maxLookups = 200

/** Finds the row of a job in the store, and writes it to a record. */
export interface JobLookup {
  find(seq: number): Promise<JobRow | undefined>
  update(record: JobRecord, row: JobRow): void
}

export class RemoteEndings {
  readonly #identities: IdentityMap
  readonly #lookups: JobLookup
  readonly #options: Pick<SessionOptions, 'works' | 'keep' | 'endedElsewhere'>
  readonly #clearing = new Set<JobRecord>()
  #isLookingUp = false
  /** The store reported another change during a lookup. */
  #changedMeanwhile = false
  #lookedUpTo = 0
  /** The highest seq that was put here: now, and when the store last reported a change. */
  #last = 0
  #changedAt = 0

  /** @param options How the session was attached. Its listener is notified of each ending. */
  constructor(
    identities: IdentityMap,
    lookups: JobLookup,
    options: Pick<SessionOptions, 'works' | 'keep' | 'endedElsewhere'>,
  ) {
    this.#identities = identities
    this.#lookups = lookups
    this.#options = options
  }
  put(seq: number): void {
    this.#last = seq
  }
  /** The store reported a change: jobs that were put before it may have ended. */
  changed(): void {
    this.#changedAt = this.#last
  }
  /** Whether the job runs here, or waits and no other process has changed the store since it was put. */
  isCurrent(record: JobRecord): boolean {
    return this.#identities.runsHere(record) || (this.#options.works && record.seq > this.#changedAt)
  }
  /** The result of the job is now awaited. The job may have ended before. */
  waitFor(record: JobRecord): void {
    const isSnapshot = record.extras?.asOf !== undefined
    if (this.#identities.runsHere(record) || (!isSnapshot && record.seq > this.#changedAt)) return
    // If the lookup fails, the next change triggers another.
    this.#lookup(record).catch(() => {})
  }
  /** The run here lost the job. Another run ends it, or has ended it already. */
  lostRun(record: JobRecord): void {
    if (!isAwaited(record)) return
    if (record.ended) this.#report(record, true)
    else this.#lookup(record).catch(() => {})
  }
  /**
   * Awaited jobs cancelled by our own `clear()` when it was too large to list them. The caller reports them; a
   * concurrent lookup must not.
   */
  async cleared(): Promise<readonly JobRecord[]> {
    const identities = this.#identities
    const lookups = this.#lookups
    const keepsCancelled = this.#options.keep.cancelledMs > 0
    const waiting = identities.awaited().filter(record => !record.ended && !identities.runsHere(record))
    for (const record of waiting) this.#clearing.add(record)
    try {
      const cleared: JobRecord[] = []
      // In steps, so that other requests are answered in between.
      for (let from = 0; from < waiting.length; from += maxLookups) {
        const some = waiting.slice(from, from + maxLookups)
        const rows = await Promise.all(some.map(({ seq }) => lookups.find(seq)))
        for (const [i, record] of some.entries()) {
          const row = rows[i]
          // The job may have changed while its row was on the way.
          if (record.ended || identities.runsHere(record)) continue
          // A job without a row was cleared only if cancelled jobs are not kept.
          const isCleared = row ? row.state === 'cancelled' && row.extras?.error === clearedText : !keepsCancelled
          if (!isCleared) continue
          if (row) lookups.update(record, row)
          else Object.assign(record, { state: 'cancelled' })
          cleared.push(record)
        }
      }
      return cleared
    } catch {
      // The clear itself succeeded. Exchanges report the trouble of the store, and the next change triggers another
      // lookup.
      return []
    } finally {
      for (const record of waiting) this.#clearing.delete(record)
    }
  }
  /** Looks up the awaited jobs. */
  async lookupAwaited(): Promise<void> {
    this.#changedMeanwhile = true
    if (this.#isLookingUp) return
    this.#isLookingUp = true
    try {
      while (this.#changedMeanwhile) {
        this.#changedMeanwhile = false
        for (const record of this.#some()) await this.#lookup(record)
      }
    } catch {
      // Exchanges report the trouble of the store. The next change triggers another lookup.
    } finally {
      this.#isLookingUp = false
    }
  }
  async #lookup(record: JobRecord): Promise<void> {
    const row = await this.#lookups.find(record.seq)
    // The job may have ended, or started here, while its row was on the way.
    if (record.ended || this.#identities.runsHere(record) || this.#clearing.has(record)) return
    if (row) this.#lookups.update(record, row)
    // The job finished and was not kept, or was removed: how it ended cannot be known any more.
    else Object.assign(record, { state: 'finished', run: undefined })
    if (record.ended) this.#report(record, row !== undefined)
  }
  #report(record: JobRecord, kept: boolean): void {
    this.#identities.end(record, kept)
    this.#options.endedElsewhere(record)
  }
  /** The next awaited jobs, in the order of put, so that each gets its turn. */
  #some(): readonly JobRecord[] {
    const identities = this.#identities
    const found = identities.awaited().filter(record => !record.ended && !identities.runsHere(record))
    if (found.length <= maxLookups) return found
    const next = found.findIndex(({ seq }) => seq > this.#lookedUpTo)
    const from = Math.max(next, 0)
    const some = found.slice(from, from + maxLookups)
    this.#lookedUpTo = some[some.length - 1]?.seq ?? 0
    return some
  }
}
