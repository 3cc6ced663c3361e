/**
 * Ready ranges: runs of successive jobs that wait, stored as one row each.
 *
 * A range holds only jobs that were never started, have priority 0 and nothing but a payload. If many jobs wait, most
 * are of this kind, and one row for all is cheaper than one for each. An operation on a single job removes it from the
 * range, or unrolls the first ones into rows of their own in rdq_ready. A job of priority 0 has the same position in
 * the order of start in either table.
 */
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'

export interface ReadyRange {
  /** The seq of the first job. */
  readonly seq: number
  readonly jobs: number
}

export class ReadyRanges {
  readonly #longer: SqliteStatement
  readonly #add: SqliteStatement
  readonly #drop: SqliteStatement
  readonly #first: SqliteStatement
  readonly #around: SqliteStatement
  readonly #before: SqliteStatement
  readonly #toReady: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#longer = db.prepare(`
      update rdq_stretch set jobs = jobs + ?
      where lane = ? and seq = (select max(seq) from rdq_stretch where lane = ?) and seq + jobs = ?`)
    this.#add = db.prepare('insert into rdq_stretch (lane, seq, jobs) values (?, ?, ?)')
    this.#drop = db.prepare('delete from rdq_stretch where lane = ? and seq = ?')
    this.#first = db.prepare('select seq, jobs from rdq_stretch where lane = ? order by seq limit 1').raw()
    this.#around = db
      .prepare('select seq, jobs from rdq_stretch where lane = ? and seq <= ? order by seq desc limit 1')
      .raw()
    this.#before = db
      .prepare('select coalesce(sum(min(jobs, ? - seq)), 0) from rdq_stretch where lane = ? and seq < ?')
      .pluck()
    this.#toReady = db.prepare(`
      insert into rdq_ready (lane, priority, seq, attempt, fence, crashes, flags)
      select ?, priority, seq, 0, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
  }

  add(lane: number, seq: number, jobs: number): void {
    if (this.#longer.run(jobs, lane, lane, seq).changes === 0) this.#add.run(lane, seq, jobs)
  }
  first(lane: number): ReadyRange | undefined {
    return rangeOf(this.#first.get(lane))
  }
  /** Removes the first `count` jobs of the first range of the epoch. */
  take(lane: number, { seq, jobs }: ReadyRange, count: number): void {
    this.#drop.run(lane, seq)
    if (jobs > count) this.#add.run(lane, seq + count, jobs - count)
  }
  /** Where the first range begins that has jobs after that seq. */
  from(lane: number, seq: number): number {
    return rangeOf(this.#around.get(lane, seq))?.seq ?? seq
  }
  has(lane: number, seq: number): boolean {
    return this.#of(lane, seq) !== undefined
  }
  /** Removes a single job. */
  takeOne(lane: number, seq: number): void {
    const around = this.#of(lane, seq)
    if (!around) return
    this.#drop.run(lane, around.seq)
    const before = seq - around.seq
    const after = around.jobs - before - 1
    if (before > 0) this.#add.run(lane, around.seq, before)
    if (after > 0) this.#add.run(lane, seq + 1, after)
  }
  #of(lane: number, seq: number): ReadyRange | undefined {
    const around = rangeOf(this.#around.get(lane, seq))
    return around && seq < around.seq + around.jobs ? around : undefined
  }
  /** How many jobs in ranges precede that seq. */
  before(lane: number, seq: number): number {
    return this.#before.get(seq, lane, seq) as number
  }
  /**
   * Gives the first `most` jobs rows of their own. Returns how many of them have no body, which only foreign code can
   * cause.
   */
  unroll(lane: number, most: number): number {
    let missing = 0
    for (let left = most; left > 0; ) {
      const first = this.first(lane)
      if (!first) break
      const count = Math.min(left, first.jobs)
      const { changes } = this.#toReady.run(lane, first.seq, first.seq + count)
      this.take(lane, first, count)
      missing += count - changes
      left -= changes
    }
    return missing
  }
}

function rangeOf(row: unknown): ReadyRange | undefined {
  const [seq, jobs] = (row as [number, number] | undefined) ?? []
  return seq === undefined || jobs === undefined ? undefined : { seq, jobs }
}
