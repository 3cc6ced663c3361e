/**
 * Stores the state of a rate in the file: a row for each grant, and its marks in the row of the queue.
 *
 * lib/rate/rate.ts is the only limiter. It is cached here as long as no other process has written, and restored from
 * the rows otherwise.
 */
import { Rate, type RateState } from '../../../lib/rate/rate.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'

/** The row of a queue, of a key or of a named rule, as far as it has a rate. */
export interface RateOwner {
  /** The number of its rate in rdq_rate_start. */
  readonly rateId: number
  readonly rateRules: readonly RateRule[]
  rateVersion: number
  marks: string | null
  dirty: boolean
}

/** How many rates of keys are cached. */
const maxCached = 10_000

export class RateStarts {
  readonly #rates = new Map<number, { readonly version: number; readonly rate: Rate }>()
  readonly #touched = new Set<RateOwner>()
  /** The factor by which graces are longer than usual. In memory only, because it adapts again within a few exchanges. */
  readonly #graceFactor = new Map<number, number>()
  readonly #read: SqliteStatement
  readonly #put: SqliteStatement
  readonly #remove: SqliteStatement
  readonly #clear: SqliteStatement
  readonly #newId: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#read = db
      .prepare(
        'select grant, granted_at, counts_at, costs from rdq_rate_start where rate = ? order by counts_at, grant',
      )
      .raw()
    this.#put = db.prepare(`
      insert into rdq_rate_start (rate, grant, granted_at, counts_at, costs) values (?, ?, ?, ?, ?)
      on conflict do update set counts_at = excluded.counts_at, granted_at = excluded.granted_at, costs = excluded.costs`)
    this.#remove = db.prepare('delete from rdq_rate_start where rate = ? and grant = ?')
    this.#clear = db.prepare('delete from rdq_rate_start where rate = ?')
    this.#newId = db
      .prepare(`
      insert into rdq_meta (key, value) values ('rate', 1)
      on conflict (key) do update set value = value + 1 returning value`)
      .pluck()
  }
  /** The number of a rate that belongs to no queue. */
  newId(): number {
    return -(this.#newId.get() as number)
  }
  /** The rate of the queue as stored in the file now. */
  of(owner: RateOwner): Rate {
    const cached = this.#rates.get(owner.rateId)
    if (cached?.version === owner.rateVersion) return cached.rate
    const marks = owner.marks === null ? undefined : (JSON.parse(owner.marks) as Omit<RateState, 'rules' | 'starts'>)
    let rate = new Rate(owner.rateRules)
    if (marks) {
      const rows = this.#read.all(owner.rateId) as [number, number, number, string | null][]
      const starts = rows.map(([grant, grantedAt, countsAt, costs]) => [
        ...[grant, grantedAt, countsAt],
        ...(costs === null ? [] : (JSON.parse(costs) as number[])),
      ])
      rate = Rate.from({ rules: owner.rateRules, ...marks, starts })
    }
    rate.track()
    this.#rates.set(owner.rateId, { version: owner.rateVersion, rate })
    return rate
  }
  /** The rate of the queue, for a change, which is written with the transaction. */
  changing(owner: RateOwner): Rate {
    this.#touched.add(owner)
    return this.of(owner)
  }
  /** By how much the graces of the queue are longer than usual. */
  graceFactor(queue: number): number {
    return this.#graceFactor.get(queue) ?? 1
  }
  setGraceFactor(queue: number, factor: number): void {
    if (factor > 1) this.#graceFactor.set(queue, factor)
    else this.#graceFactor.delete(queue)
  }
  /** Writes the changes since the last call. An expiry that only a query caused is not a change. */
  save(): void {
    for (const owner of this.#touched) this.#save(owner)
    this.#touched.clear()
    if (this.#rates.size > maxCached) this.#rates.clear()
  }
  #save(owner: RateOwner): void {
    const cached = this.#rates.get(owner.rateId)
    if (!cached) return
    const { rate } = cached
    const { cleared, starts, gone, marks } = rate.changes()
    if (cleared) this.#clear.run(owner.rateId)
    for (const [grant, grantedAt, countsAt, ...costs] of starts) {
      const costsText = costs.length > 0 ? JSON.stringify(costs) : null
      this.#put.run(owner.rateId, grant as number, grantedAt as number, countsAt as number, costsText)
    }
    for (const grant of gone) this.#remove.run(owner.rateId, grant)
    owner.marks = JSON.stringify(marks)
    owner.rateVersion++
    owner.dirty = true
    this.#rates.set(owner.rateId, { version: owner.rateVersion, rate })
  }
  /** Forgets a rate for good. */
  drop(owner: RateOwner): void {
    this.#clear.run(owner.rateId)
    this.#rates.delete(owner.rateId)
    this.#touched.delete(owner)
  }
  /** After a rollback the cached rates no longer match the file. */
  forget(): void {
    this.#rates.clear()
    this.#touched.clear()
  }
}
