/**
 * Where jobs are whose ids were made, not given: nearly all of them.
 *
 * An index of them would be a third of what a job costs, and hardly anybody asks. But a made id ends with a number that counts
 * up in its process, and jobs that are put in a row get seqs in a row: so one narrow row says for all of such a row where they
 * begin. What is found by it is looked at, for only the job itself knows its id.
 */
import { splitId } from '../../../lib/put/id.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

/** Rows grow to so many jobs, so that what is forgotten is forgotten before long. */
const maxJobsInRow = 4_096
/** When all rows of a name were looked at, they rest for so long, while it has jobs to do. */
const restMs = 1_000

/** How far the rows of a name were looked at for what can be forgotten. */
interface Cursor {
  processTag: string
  serial: number
  restsUntil: number
}

export class GeneratedIds {
  readonly #cursors = new Map<number, Cursor>()
  readonly #before: SqliteStatement
  readonly #longer: SqliteStatement
  readonly #add: SqliteStatement
  readonly #next: SqliteStatement
  readonly #isThere: SqliteStatement
  readonly #drop: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#before = db
      .prepare(`
        select serial, seq, jobs from rdq_made where queue = ? and maker = ? and serial <= ?
        order by serial desc limit 1`)
      .raw()
    this.#longer = db.prepare(`
      update rdq_made set jobs = jobs + ?
      where queue = ? and maker = ?
        and serial = (select max(serial) from rdq_made where queue = ? and maker = ?)
        and serial + jobs = ? and seq + jobs = ? and jobs + ? <= ${maxJobsInRow}`)
    this.#add = db.prepare('insert or replace into rdq_made (queue, maker, serial, seq, jobs) values (?, ?, ?, ?, ?)')
    this.#next = db
      .prepare(`
        select maker, serial, seq, jobs from rdq_made where queue = ? and (maker, serial) > (?, ?)
        order by maker, serial ${limitParameter}`)
      .raw()
    this.#isThere = db.prepare('select 1 from rdq_job where seq >= ? and seq < ? limit 1')
    this.#drop = db.prepare('delete from rdq_made where queue = ? and maker = ? and serial = ?')
  }

  /** The jobs of `ids`, all of them made, have the seqs from `seq` on. */
  add(queue: QueueRow, ids: readonly string[], seq: number): void {
    let from = 0
    for (let to = 1; from < ids.length; from = to) {
      to = endOfRow(ids, from)
      const { maker, serial } = splitId(ids[from] as string)
      const [who, jobs, first] = [[queue.queueId, maker] as const, to - from, seq + from]
      if (this.#longer.run(jobs, ...who, ...who, serial, first, jobs).changes > 0) continue
      this.#add.run(...who, serial, first, jobs)
    }
  }
  /** Whether any job of these has been here, from one that counts up to the other: rows do not overlap. */
  hasAny(queue: QueueRow, from: string, to: string): boolean {
    const { maker, serial } = splitId(to)
    const row = this.#before.get(queue.queueId, maker, serial) as [number, number, number] | undefined
    return row !== undefined && row[0] + row[2] > splitId(from).serial
  }
  /** Where the job of that id is, if there is one and the id was made. */
  find(queue: QueueRow, id: string): number | undefined {
    const { maker, serial } = splitId(id)
    const row = this.#before.get(queue.queueId, maker, serial) as [number, number, number] | undefined
    if (!row) return undefined
    const [first, seq, jobs] = row
    return serial < first + jobs ? seq + serial - first : undefined
  }
  /** Forgets rows of which no job is left, and looks at `most` for that. Answers whether it forgot any. */
  prune(queue: QueueRow, most: number, now: number): boolean {
    const { queueId } = queue
    let cursor = this.#cursors.get(queueId)
    if (!cursor) this.#cursors.set(queueId, (cursor = { processTag: '', serial: -1, restsUntil: 0 }))
    const { pending, delayed, underway } = queue.counts
    // Where nothing is left to do there may be no later turn.
    const rests = pending + delayed + underway > 0 && now < cursor.restsUntil
    if (rests) return false
    const rows = this.#next.all(queueId, cursor.processTag, cursor.serial, most) as [string, number, number, number][]
    let dropped = false
    for (const [maker, serial, seq, jobs] of rows) {
      Object.assign(cursor, { maker, serial })
      if (this.#isThere.get(seq, seq + jobs)) continue
      this.#drop.run(queueId, maker, serial)
      dropped = true
    }
    if (rows.length < most) Object.assign(cursor, { maker: '', serial: -1, restsUntil: now + restMs })
    return dropped
  }
}

/** Up to where ids count up by one from that at `from`. */
export function endOfRow(ids: readonly string[], from: number): number {
  const first = splitId(ids[from] as string)
  const counts = (index: number): boolean => {
    const { maker, serial } = splitId(ids[index] as string)
    return maker === first.maker && serial === first.serial + index - from
  }
  // Made one after another, they count up without a gap: so the last tells for all.
  if (counts(ids.length - 1)) return ids.length
  let to = from + 1
  while (to < ids.length && counts(to)) to++
  return to
}
