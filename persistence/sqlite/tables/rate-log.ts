/**
 * What a rate remembers, in the file: a row for each start, and its marks in the row of the name.
 *
 * lib/rate/rate.ts is the only limiter. Here it is held in memory as long as nobody else has written, and made again from the
 * rows when somebody has.
 */
import { Rate, type RateState } from '../../../lib/rate/rate.ts'
import { factorAfterLaunch, factorAfterReturn, graceMs } from '../../../lib/rules/grace.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Name } from './queue.ts'

export class Starts {
  readonly #held = new Map<number, { readonly version: number; readonly rate: Rate }>()
  readonly #touched = new Set<Name>()
  /** By how much graces are longer than they would be. Kept in memory: it is learnt anew in a few turns. */
  readonly #stretch = new Map<number, number>()
  readonly #read: SqliteStatement
  readonly #put: SqliteStatement
  readonly #remove: SqliteStatement
  readonly #clear: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#read = db
      .prepare('select start, granted_at, counts_at, costs from rdq_start where queue = ? order by counts_at, start')
      .raw()
    this.#put = db.prepare(`
      insert into rdq_start (queue, start, granted_at, counts_at, costs) values (?, ?, ?, ?, ?)
      on conflict do update set counts_at = excluded.counts_at, granted_at = excluded.granted_at, costs = excluded.costs`)
    this.#remove = db.prepare('delete from rdq_start where queue = ? and start = ?')
    this.#clear = db.prepare('delete from rdq_start where queue = ?')
  }
  /** The rate of the name as the file has it now. */
  of(name: Name): Rate {
    const held = this.#held.get(name.queue)
    if (held?.version === name.rateVersion) return held.rate
    const marks = name.marks === null ? undefined : (JSON.parse(name.marks) as Omit<RateState, 'rules' | 'starts'>)
    let rate = new Rate(name.rules)
    if (marks) {
      const rows = this.#read.all(name.queue) as [number, number, number, string | null][]
      const starts = rows.map(([start, grantedAt, countsAt, costs]) => [
        ...[start, grantedAt, countsAt],
        ...(costs === null ? [] : (JSON.parse(costs) as number[])),
      ])
      rate = Rate.from({ rules: name.rules, ...marks, starts })
    }
    rate.track()
    this.#held.set(name.queue, { version: name.rateVersion, rate })
    return rate
  }
  /** The rate of the name, to be changed: what changes is written down with the transaction. */
  changing(name: Name): Rate {
    this.#touched.add(name)
    return this.of(name)
  }
  /** How long a grant of the name counts at most before its launch is known. */
  graceMs(name: Name): number {
    return graceMs(this.of(name).rules, this.#stretch.get(name.queue))
  }
  /** A job is back that was not launched. Where its grace was over, the next ones get more, or none would ever start. */
  handedBack(name: Name, grant: number, now: number): void {
    const rate = this.changing(name)
    if ((rate.countsAt(grant) ?? Infinity) <= now) {
      this.#stretch.set(name.queue, factorAfterReturn(this.#stretch.get(name.queue) ?? 1, rate.rules))
    }
    rate.refund(grant)
  }
  /** A job was launched at that instant. */
  launched(name: Name, grant: number, at: number): void {
    this.changing(name).confirm(grant, at)
    const stretch = this.#stretch.get(name.queue)
    if (stretch === undefined) return
    const next = factorAfterLaunch(stretch)
    if (next > 1) this.#stretch.set(name.queue, next)
    else this.#stretch.delete(name.queue)
  }
  /** Writes down what has changed since it was last written. What a look alone has let pass is no change. */
  save(): void {
    for (const name of this.#touched) this.#save(name)
    this.#touched.clear()
  }
  #save(name: Name): void {
    const held = this.#held.get(name.queue)
    if (!held) return
    const { rate } = held
    const { cleared, starts, gone, marks } = rate.changes()
    if (cleared) this.#clear.run(name.queue)
    for (const [start, grantedAt, countsAt, ...costs] of starts) {
      const told = costs.length > 0 ? JSON.stringify(costs) : null
      this.#put.run(name.queue, start as number, grantedAt as number, countsAt as number, told)
    }
    for (const start of gone) this.#remove.run(name.queue, start)
    name.marks = JSON.stringify(marks)
    name.rateVersion++
    name.dirty = true
    this.#held.set(name.queue, { version: name.rateVersion, rate })
  }
  /** After a rollback the file does not know what we hold. */
  forget(): void {
    this.#held.clear()
    this.#touched.clear()
  }
}
