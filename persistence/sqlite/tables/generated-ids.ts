/**
 * Finds jobs by generated ids, which nearly all jobs have.
 *
 * An index of these ids would be a third of the cost of a job, and is rarely needed. But a generated id ends with a
 * number that counts up in its process, and jobs put in succession get successive seqs. So one narrow row records where
 * such a run of jobs begins. A job found through it is checked, because only the job itself has its id.
 */
import { splitId } from '../../../lib/job-id.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

/** The most jobs in one row, so that rows of forgotten jobs are dropped before long. */
const maxJobsInRow = 4_096
/** The pause after all rows of a name were checked, as long as the name has jobs that wait or run. */
const restMs = 1_000

/** How far the rows of a name were checked for rows to drop. */
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
        select serial, seq, jobs from rdq_generated_ids where queue = ? and process_tag = ? and serial <= ?
        order by serial desc limit 1`)
      .raw()
    this.#longer = db.prepare(`
      update rdq_generated_ids set jobs = jobs + ?
      where queue = ? and process_tag = ?
        and serial = (select max(serial) from rdq_generated_ids where queue = ? and process_tag = ?)
        and serial + jobs = ? and seq + jobs = ? and jobs + ? <= ${maxJobsInRow}`)
    this.#add = db.prepare(
      'insert or replace into rdq_generated_ids (queue, process_tag, serial, seq, jobs) values (?, ?, ?, ?, ?)',
    )
    this.#next = db
      .prepare(`
        select process_tag, serial, seq, jobs from rdq_generated_ids where queue = ? and (process_tag, serial) > (?, ?)
        order by process_tag, serial ${limitParameter}`)
      .raw()
    this.#isThere = db.prepare('select 1 from rdq_job where seq >= ? and seq < ? limit 1')
    this.#drop = db.prepare('delete from rdq_generated_ids where queue = ? and process_tag = ? and serial = ?')
  }

  /** Adds the jobs of `ids`, all generated, whose seqs start at `seq`. */
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
  /** The seq of the job with that id, if the id was generated and there is one. */
  find(queue: QueueRow, id: string): number | undefined {
    const { maker, serial } = splitId(id)
    const row = this.#before.get(queue.queueId, maker, serial) as [number, number, number] | undefined
    if (!row) return undefined
    const [first, seq, jobs] = row
    return serial < first + jobs ? seq + serial - first : undefined
  }
  /** Drops rows that have no job left, checking `most` rows. Returns whether it dropped any. */
  prune(queue: QueueRow, most: number, now: number): boolean {
    const { queueId } = queue
    let cursor = this.#cursors.get(queueId)
    if (!cursor) this.#cursors.set(queueId, (cursor = { processTag: '', serial: -1, restsUntil: 0 }))
    const { pending, delayed, underway } = queue.counts
    // If no jobs are left to do, there may be no later exchange.
    const rests = pending + delayed + underway > 0 && now < cursor.restsUntil
    if (rests) return false
    const rows = this.#next.all(queueId, cursor.processTag, cursor.serial, most) as [string, number, number, number][]
    let dropped = false
    for (const [processTag, serial, seq, jobs] of rows) {
      cursor.processTag = processTag
      cursor.serial = serial
      if (this.#isThere.get(seq, seq + jobs)) continue
      this.#drop.run(queueId, processTag, serial)
      dropped = true
    }
    if (rows.length < most) this.#cursors.set(queueId, { processTag: '', serial: -1, restsUntil: now + restMs })
    return dropped
  }
}

/** The end of the run of ids that count up by one from the one at `from`. */
function endOfRow(ids: readonly string[], from: number): number {
  const first = splitId(ids[from] as string)
  const counts = (index: number): boolean => {
    const { maker, serial } = splitId(ids[index] as string)
    return maker === first.maker && serial === first.serial + index - from
  }
  // Ids generated in one go count up without a gap, so checking the last one is enough.
  if (counts(ids.length - 1)) return ids.length
  let to = from + 1
  while (to < ids.length && counts(to)) to++
  return to
}
