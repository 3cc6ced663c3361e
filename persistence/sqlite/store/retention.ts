/**
 * Forgets ended jobs and remembered ids, a bounded number a turn: those whose time is over, and those that are more than
 * `keep.most`.
 *
 * What is too much is found without a count: from the newest on, `most` rows are passed, and all behind them goes. That is
 * looked at anew after a share of `most` has ended, so that each ending pays for a bounded number of rows.
 */
import { maxPruned } from '../../../lib/rules/bounds.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'

/** After so large a share of `most` has come, it is looked for too much of it. */
const lookShare = 1 / 64

/** What a name kept when it was last looked for too much. */
interface Look {
  readonly most: number
  readonly came: number
  /** All up to this row, in the order in which they are forgotten, is too much. */
  readonly upTo: readonly [forgetAt: number, row: number | string] | undefined
}

/** What is kept in one table. */
class KeptTable {
  readonly #looks = new Map<number, Look>()
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
  /** At most `count` that are to be forgotten by now. `came` grows by one at least for each that came to be kept. */
  toForget(
    { queueId, keep: { most } }: QueueRow,
    count: number,
    now: number,
    came: number,
  ): readonly (readonly unknown[])[] {
    const upTo = most === Infinity ? undefined : this.#upTo(queueId, most, came)
    if (!upTo || upTo[0] <= now) return this.#over.all(queueId, now, count) as unknown[][]
    const rows = this.#tooMuch.all(queueId, ...upTo, count) as unknown[][]
    if (rows.length < count) this.#looks.set(queueId, { ...(this.#looks.get(queueId) as Look), upTo: undefined })
    return rows
  }
  #upTo(queue: number, most: number, came: number): Look['upTo'] {
    let look = this.#looks.get(queue)
    if (!look || look.most !== most || came > look.came + most * lookShare) {
      const upTo = this.#beyond.get(queue, 1, most) as [number, number | string] | undefined
      this.#looks.set(queue, (look = { most, came, upTo }))
    }
    return look.upTo
  }
  forget(): void {
    this.#looks.clear()
  }
}

export class Retention {
  readonly #locations: JobLocations
  readonly #ended: KeptTable
  readonly #ids: KeptTable
  readonly #leaveEnded: SqliteStatement
  readonly #dropId: SqliteStatement
  /** How many ended jobs were forgotten here: ids come to be remembered by that too. */
  #dropped = 0

  constructor(db: SqliteDatabase, locations: JobLocations) {
    this.#locations = locations
    this.#ended = new KeptTable(db, 'rdq_ended', 'seq', 'seq, state, flags')
    this.#ids = new KeptTable(db, 'rdq_id', 'id', 'id')
    this.#leaveEnded = db.prepare('delete from rdq_ended where seq = ?')
    this.#dropId = db.prepare('delete from rdq_id where queue = ? and id = ?')
  }
  /** After a turn in which so many ended. */
  prune(queue: QueueRow, ended: number, now: number): void {
    const { finished, failed, cancelled } = queue.counts
    const count = maxPruned + ended
    const came = finished + failed + cancelled
    const jobs = this.#ended.toForget(queue, count, now, came) as readonly (readonly [number, 'failed', number])[]
    for (const [seq, state, flags] of jobs) {
      this.#locations.drop(seq, flags, state, now, queue.keep.idsMs)
      this.#leaveEnded.run(seq)
    }
    this.#dropped += jobs.length
    const ids = this.#ids.toForget(queue, count, now, came + this.#dropped) as readonly (readonly [string])[]
    for (const [id] of ids) this.#dropId.run(queue.queueId, id)
    if (jobs.length + ids.length > 0) queue.dirty = true
  }
  /** After a rollback, what was looked at may be gone. */
  forget(): void {
    this.#ended.forget()
    this.#ids.forget()
  }
}
