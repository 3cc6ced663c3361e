/**
 * Forgets ended jobs and remembered ids, a bounded number in each exchange: expired ones, and those beyond `keep.most`.
 *
 * The excess is found without a count: from the newest on, `most` rows are skipped, and all rows behind them go. This
 * is repeated after a fraction of `most` has ended, so that each ending pays for a bounded number of rows.
 */
import { maxPruned } from '../../../lib/decisions/bounds.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'

/** The excess is looked for again once this fraction of `most` has been added. */
const searchShare = 1 / 64

/** The result of the last search for the excess of a name. */
interface Search {
  readonly most: number
  readonly added: number
  /** All rows up to this one, in the order of expiry, are in excess. */
  readonly upTo: readonly [forgetAt: number, row: number | string] | undefined
}

/** The kept rows of one table. */
class KeptTable {
  readonly #searches = new Map<number, Search>()
  readonly #beyond: SqliteStatement
  readonly #over: SqliteStatement
  readonly #tooMuch: SqliteStatement

  constructor(db: SqliteDatabase, table: string, row: string, columns: string) {
    this.#beyond = db
      .prepare(`
        select forget_at, ${row} from ${table} where queue = ?
        order by forget_at desc, ${row} desc ${limitParameter} offset 0 + ?`)
      .raw()
    this.#over = db
      .prepare(
        `select ${columns} from ${table} where queue = ? and forget_at <= ? order by forget_at ${limitParameter}`,
      )
      .raw()
    this.#tooMuch = db
      .prepare(`
        select ${columns} from ${table} where queue = ? and (forget_at, ${row}) <= (?, ?)
        order by forget_at, ${row} ${limitParameter}`)
      .raw()
  }
  /** At most `count` rows to forget now. `added` grows by at least one for each row that was added. */
  toForget(
    { queueId, keep: { most } }: QueueRow,
    count: number,
    now: number,
    added: number,
  ): readonly (readonly unknown[])[] {
    const upTo = most === Infinity ? undefined : this.#upTo(queueId, most, added)
    if (!upTo || upTo[0] <= now) return this.#over.all(queueId, now, count) as unknown[][]
    const rows = this.#tooMuch.all(queueId, ...upTo, count) as unknown[][]
    if (rows.length < count)
      this.#searches.set(queueId, { ...(this.#searches.get(queueId) as Search), upTo: undefined })
    return rows
  }
  #upTo(queue: number, most: number, added: number): Search['upTo'] {
    let search = this.#searches.get(queue)
    if (!search || search.most !== most || added > search.added + most * searchShare) {
      const upTo = this.#beyond.get(queue, 1, most) as [number, number | string] | undefined
      this.#searches.set(queue, (search = { most, added, upTo }))
    }
    return search.upTo
  }
  forget(): void {
    this.#searches.clear()
  }
}

export class Retention {
  readonly #locations: JobLocations
  readonly #ended: KeptTable
  readonly #ids: KeptTable
  readonly #leaveEnded: SqliteStatement
  readonly #dropId: SqliteStatement
  /** How many ended jobs were forgotten here, which adds remembered ids. */
  #dropped = 0

  constructor(db: SqliteDatabase, locations: JobLocations) {
    this.#locations = locations
    this.#ended = new KeptTable(db, 'rdq_ended', 'seq', 'seq, state, flags')
    this.#ids = new KeptTable(db, 'rdq_remembered_id', 'id', 'id')
    this.#leaveEnded = db.prepare('delete from rdq_ended where seq = ?')
    this.#dropId = db.prepare('delete from rdq_remembered_id where queue = ? and id = ?')
  }
  /** Called in an exchange in which `ended` jobs ended. */
  prune(queue: QueueRow, ended: number, now: number): void {
    const { finished, failed, cancelled } = queue.counts
    const count = maxPruned + ended
    const added = finished + failed + cancelled
    const jobs = this.#ended.toForget(queue, count, now, added) as readonly (readonly [number, 'failed', number])[]
    for (const [seq, state, flags] of jobs) {
      this.#locations.drop(seq, flags, state, now, queue.keep.idsMs)
      this.#leaveEnded.run(seq)
    }
    this.#dropped += jobs.length
    const ids = this.#ids.toForget(queue, count, now, added + this.#dropped) as readonly (readonly [string])[]
    for (const [id] of ids) this.#dropId.run(queue.queueId, id)
    if (jobs.length + ids.length > 0) queue.dirty = true
  }
  /** After a rollback the rows that were found may not exist. */
  forget(): void {
    this.#ended.forget()
    this.#ids.forget()
  }
}
