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
      update rdq_ready_range set jobs = jobs + ?
      where epoch = ? and seq = (select max(seq) from rdq_ready_range where epoch = ?) and seq + jobs = ?`)
    this.#add = db.prepare('insert into rdq_ready_range (epoch, seq, jobs) values (?, ?, ?)')
    this.#drop = db.prepare('delete from rdq_ready_range where epoch = ? and seq = ?')
    this.#first = db.prepare('select seq, jobs from rdq_ready_range where epoch = ? order by seq limit 1').raw()
    this.#around = db
      .prepare('select seq, jobs from rdq_ready_range where epoch = ? and seq <= ? order by seq desc limit 1')
      .raw()
    this.#before = db
      .prepare('select coalesce(sum(min(jobs, ? - seq)), 0) from rdq_ready_range where epoch = ? and seq < ?')
      .pluck()
    this.#toReady = db.prepare(`
      insert into rdq_ready (epoch, priority, seq, attempt, fence, crashes, flags)
      select ?, priority, seq, 0, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
  }

  add(epoch: number, seq: number, jobs: number): void {
    if (this.#longer.run(jobs, epoch, epoch, seq).changes === 0) this.#add.run(epoch, seq, jobs)
  }
  first(epoch: number): ReadyRange | undefined {
    return rangeOf(this.#first.get(epoch))
  }
  /** Removes the first `count` jobs of the first range of the epoch. */
  take(epoch: number, { seq, jobs }: ReadyRange, count: number): void {
    this.#drop.run(epoch, seq)
    if (jobs > count) this.#add.run(epoch, seq + count, jobs - count)
  }
  /** Where the first range begins that has jobs after that seq. */
  from(epoch: number, seq: number): number {
    return rangeOf(this.#around.get(epoch, seq))?.seq ?? seq
  }
  has(epoch: number, seq: number): boolean {
    return this.#of(epoch, seq) !== undefined
  }
  /** Removes a single job. */
  takeOne(epoch: number, seq: number): void {
    const around = this.#of(epoch, seq)
    if (!around) return
    this.#drop.run(epoch, around.seq)
    const before = seq - around.seq
    const after = around.jobs - before - 1
    if (before > 0) this.#add.run(epoch, around.seq, before)
    if (after > 0) this.#add.run(epoch, seq + 1, after)
  }
  #of(epoch: number, seq: number): ReadyRange | undefined {
    const around = rangeOf(this.#around.get(epoch, seq))
    return around && seq < around.seq + around.jobs ? around : undefined
  }
  /** How many jobs in ranges precede that seq. */
  before(epoch: number, seq: number): number {
    return this.#before.get(seq, epoch, seq) as number
  }
  /**
   * Gives the first `most` jobs rows of their own. Returns how many of them have no body, which only foreign code can
   * cause.
   */
  unroll(epoch: number, most: number): number {
    let missing = 0
    for (let left = most; left > 0; ) {
      const first = this.first(epoch)
      if (!first) break
      const count = Math.min(left, first.jobs)
      const { changes } = this.#toReady.run(epoch, first.seq, first.seq + count)
      this.take(epoch, first, count)
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
