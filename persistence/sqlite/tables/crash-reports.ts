/**
 * Reports on jobs whose process died. A queue with a handler of the same name takes them and emits them as events.
 *
 * The process that detects a death writes the reports, in the transaction that takes over the jobs, because it may have
 * no such queue itself. The next exchange of such a queue takes them, in any process and at any later time. They stay
 * until the reply to that exchange is acknowledged, so that the next worker gets them if this one dies before.
 */
import { maxReportsInExchange } from '../../../lib/decisions/bounds.ts'
import { noCrashReports, type SentCrashReports } from '../../durable/execute/exchange.ts'
import { type JobRow, maxReports } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow, QueueTable } from './queue.ts'
import { noWorker } from './schema.ts'

/** The newest reports of each name are kept. Dropped ones are counted, and the count is reported. */
export const maxUnreported: number = maxReports

type Row = readonly [number: number, seq: number | null, job: string | null, dropped: number]

export class CrashReports {
  readonly #worker: number
  readonly #onRollback: (undo: () => void) => void
  readonly #add: SqliteStatement
  readonly #dropOldest: SqliteStatement
  readonly #next: SqliteStatement
  readonly #take: SqliteStatement
  readonly #addDropped: SqliteStatement
  readonly #at: SqliteStatement
  readonly #drop: SqliteStatement
  readonly #droppedOf: SqliteStatement
  readonly #clearDropped: SqliteStatement
  readonly #queuesOf: SqliteStatement
  readonly #freeReported: SqliteStatement
  readonly #freeOwn: SqliteStatement
  /** By the number of the queue: the last exchange whose reports are not acknowledged. */
  readonly #unacknowledged: Map<number, number>

  /** @param onRollback Takes a function to call if the transaction is rolled back. */
  constructor(db: SqliteDatabase, worker: number, onRollback: (undo: () => void) => void) {
    this.#worker = worker
    this.#onRollback = onRollback
    this.#add = db.prepare('insert into rdq_crash_report (worker, queue, exchange, seq, job) values (?, ?, 0, ?, ?)')
    this.#dropOldest = db.prepare(`
      delete from rdq_crash_report
      where number = (select min(number) from rdq_crash_report where worker = ${noWorker} and queue = ? and exchange = 0)`)
    const row = 'select number, seq, job, dropped from rdq_crash_report'
    this.#next = db
      .prepare(`${row} where worker = ? and queue = ? and exchange = 0 order by number limit ${maxReportsInExchange}`)
      .raw()
    this.#take = db.prepare('update rdq_crash_report set worker = ?, exchange = ? where number = ?')
    this.#addDropped = db.prepare('insert into rdq_crash_report (worker, queue, exchange, dropped) values (?, ?, ?, ?)')
    this.#at = db.prepare(`${row} where worker = ? and queue = ? and exchange = ? order by number`).raw()
    this.#drop = db.prepare('delete from rdq_crash_report where worker = ? and queue = ? and exchange between 1 and ?')
    const drops = 'rdq_crash_report where worker = ? and queue = ? and seq is null'
    this.#droppedOf = db.prepare(`select coalesce(sum(dropped), 0) from ${drops}`).pluck()
    this.#clearDropped = db.prepare(`delete from ${drops}`)
    this.#queuesOf = db
      .prepare('select queue, max(exchange) from rdq_crash_report where worker = ? group by queue')
      .raw()
    const free = `update rdq_crash_report set worker = ${noWorker}, exchange = 0 where worker = ? and queue = ?`
    this.#freeReported = db.prepare(`${free} and exchange > 0`)
    this.#freeOwn = db.prepare(`${free} and exchange = 0`)
    // The reports that a dead thread of this worker had sent, if this thread continues for it.
    this.#unacknowledged = new Map(this.#queuesOf.all(worker) as [number, number][])
  }
  /**
   * @param ended The job as it ended, because it may be forgotten at once.
   * @param own Only a queue of this process may take the report while this process lives, because it gave up the run
   * itself.
   */
  add(queue: QueueRow, seq: number, ended: JobRow | undefined, own: boolean): void {
    this.#add.run(own ? this.#worker : noWorker, queue.queueId, seq, ended ? JSON.stringify(ended) : null)
    queue.unreported++
    queue.dirty = true
    this.#bound(queue)
  }
  #bound(queue: QueueRow): void {
    while (queue.unreported > maxUnreported) {
      const { changes } = this.#dropOldest.run(queue.queueId)
      // Reports for one process alone are bounded by the jobs it had underway.
      if (changes === 0) return
      queue.unreported -= changes
      queue.droppedReports += changes
    }
  }
  /** Takes the oldest reports, for the queue with a handler here, and marks them as reported by that exchange. */
  take(queue: QueueRow, exchange: number): SentCrashReports {
    if (queue.unreported === 0) return noCrashReports
    // Reports of this process are few and are sent in an exchange of their own.
    let rows = this.#next.all(this.#worker, queue.queueId) as Row[]
    const own = rows.length > 0
    if (!own) rows = this.#next.all(noWorker, queue.queueId) as Row[]
    if (rows.length === 0) return noCrashReports
    for (const [number] of rows) this.#take.run(this.#worker, exchange, number)
    queue.unreported -= rows.length
    const { droppedReports } = queue
    if (droppedReports > 0) this.#addDropped.run(this.#worker, queue.queueId, exchange, droppedReports)
    queue.droppedReports = 0
    queue.dirty = true
    this.#record(queue.queueId, exchange)
    return {
      recovered: reported(rows),
      dropped: droppedReports,
      fillsReply: own || rows.length === maxReportsInExchange,
    }
  }
  #record(queue: number, exchange: number): void {
    const before = this.#unacknowledged.get(queue)
    this.#unacknowledged.set(queue, exchange)
    this.#onRollback(() => {
      if (before === undefined) this.#unacknowledged.delete(queue)
      else this.#unacknowledged.set(queue, before)
    })
  }
  /** The reports that were sent with that exchange. */
  at(queue: QueueRow, exchange: number): SentCrashReports {
    const rows = this.#at.all(this.#worker, queue.queueId, exchange) as Row[]
    const dropped = rows.reduce((sum, [, , , count]) => sum + count, 0)
    return { recovered: reported(rows), dropped, fillsReply: false }
  }
  /** The replies to all exchanges up to `acknowledged` have arrived. */
  acknowledge(queue: QueueRow, acknowledged: number): void {
    const last = this.#unacknowledged.get(queue.queueId)
    if (last === undefined) return
    this.#drop.run(this.#worker, queue.queueId, acknowledged)
    if (acknowledged < last) return
    this.#unacknowledged.delete(queue.queueId)
    this.#onRollback(() => void this.#unacknowledged.set(queue.queueId, last))
  }
  /** The queue with a handler in that process is gone: reports that it did not acknowledge go to the next one. */
  free(queue: QueueRow, worker: number = this.#worker): void {
    const dropped = this.#droppedOf.get(worker, queue.queueId) as number
    if (dropped > 0) this.#clearDropped.run(worker, queue.queueId)
    const freed = this.#freeReported.run(worker, queue.queueId).changes
    this.#freeOwn.run(worker, queue.queueId)
    if (dropped + freed === 0) return
    queue.droppedReports += dropped
    queue.unreported += freed
    queue.dirty = true
    this.#bound(queue)
  }
  /** Does the same for all names of a dead worker. */
  freeAll(queues: QueueTable, worker: number): void {
    for (const [queue] of this.#queuesOf.all(worker) as [number][]) {
      const row = queues.get(queue)
      if (row) this.free(row, worker)
    }
  }
}

function reported(rows: readonly Row[]): (number | JobRow)[] {
  return rows.flatMap(([, seq, job]) => (job !== null ? (JSON.parse(job) as JobRow) : (seq ?? [])))
}
