/**
 * The rows of rdq_cancel_request: runs that are to be cancelled, until they end. The worker of a run is the one that
 * must be notified.
 */
import { maxCancelRequests } from '../../../lib/decisions/bounds.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

interface CancelRequest {
  readonly seq: number
  readonly reason: string | undefined
}

export class CancelRequests {
  readonly #worker: number
  readonly #add: SqliteStatement
  readonly #take: SqliteStatement
  readonly #takeOfRun: SqliteStatement
  readonly #give: SqliteStatement
  readonly #unreported: SqliteStatement
  readonly #markReported: SqliteStatement
  readonly #drop: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    this.#add = db.prepare(
      'insert or replace into rdq_cancel_request (worker, queue, seq, fence, reason) values (?, ?, ?, ?, ?)',
    )
    const one = 'rdq_cancel_request where worker = ? and queue = ? and seq = ?'
    this.#take = db.prepare(`delete from ${one} returning reason`).raw()
    this.#takeOfRun = db.prepare(`delete from ${one} and fence = ? returning reason`).raw()
    this.#give = db.prepare(
      'update or replace rdq_cancel_request set worker = ? where worker = ? and queue = ? and seq = ?',
    )
    this.#unreported = db
      .prepare(`
        select c.seq, c.reason, u.fence = c.fence as runs from rdq_cancel_request c
        left join rdq_underway u on u.worker = c.worker and u.queue = c.queue and u.seq = c.seq
        where c.worker = ? and c.queue = ? and (c.reported = 0 or runs is not 1) limit ${maxCancelRequests}`)
      .raw()
    this.#markReported = db.prepare(
      'update rdq_cancel_request set reported = 1 where worker = ? and queue = ? and seq = ?',
    )
    this.#drop = db.prepare(`delete from ${one}`)
  }
  add(queue: QueueRow, worker: number, seq: number, fence: number, reason: string | undefined): void {
    this.#add.run(worker, queue.queueId, seq, fence, reason ?? null)
    queue.dirty = true
  }
  /** Removes the request for that run of this worker, if there is one. */
  takeOfRun({ queueId }: QueueRow, seq: number, fence: number): { readonly reason: string | null } | undefined {
    const row = this.#takeOfRun.get(this.#worker, queueId, seq, fence) as [string | null] | undefined
    return row && { reason: row[0] }
  }
  /** The same for the last run of a job, of any worker. */
  take({ queueId }: QueueRow, worker: number, seq: number): { readonly reason: string | null } | undefined {
    const row = this.#take.get(worker, queueId, seq) as [string | null] | undefined
    return row && { reason: row[0] }
  }
  /** Another worker holds the job from now on. */
  give({ queueId }: QueueRow, seq: number, from: number, to: number): void {
    this.#give.run(to, from, queueId, seq)
  }
  /** Runs of this worker that should be cancelled and of which its queue has not been notified. */
  report(queue: QueueRow): CancelRequest[] {
    const cancels: CancelRequest[] = []
    for (const [seq, reason, runs] of this.#unreported.all(this.#worker, queue.queueId) as [
      number,
      string | null,
      number | null,
    ][]) {
      queue.dirty = true
      // Keep the request until the run ends: a run that is just being returned, or awaits `afterCrash`, will not see
      // this notice.
      if (runs === 1) cancels.push({ seq, reason: reason ?? undefined })
      ;(runs === 1 ? this.#markReported : this.#drop).run(this.#worker, queue.queueId, seq)
    }
    return cancels
  }
}
