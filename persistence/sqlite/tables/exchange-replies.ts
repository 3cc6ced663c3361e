/**
 * Which exchanges of this worker were executed, and the parts of their replies besides their claims, as long as a reply
 * may have to be sent again.
 *
 * If a reply is lost with its thread, the exchange is sent again. Nothing else in the file shows what the first reply
 * contained: rows that it took are gone, and a settle that was ignored looks like one that was applied. Such parts are
 * rare, so rows here are too.
 */

import { emptyReply, type LoggedReply } from '../../durable/execute/exchange.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

export class ExchangeReplies {
  readonly #worker: number
  readonly #last: SqliteStatement
  readonly #executed: SqliteStatement
  readonly #insert: SqliteStatement
  readonly #read: SqliteStatement
  readonly #delete: SqliteStatement
  /**
   * By queue: the number of the last logged reply. A thread that restarted does not know it; its next reply clears up.
   */
  readonly #lastLogged = new Map<number, number>()

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    this.#last = db.prepare('select number from rdq_last_exchange where worker = ? and queue = ?').pluck()
    this.#executed = db.prepare('insert or replace into rdq_last_exchange (worker, queue, number) values (?, ?, ?)')
    this.#insert = db.prepare('insert into rdq_exchange_reply (worker, queue, number, reply) values (?, ?, ?, ?)')
    this.#read = db
      .prepare('select reply from rdq_exchange_reply where worker = ? and queue = ? and number = ?')
      .pluck()
    this.#delete = db.prepare('delete from rdq_exchange_reply where worker = ? and queue = ? and number <= ?')
  }
  /** The number of the last exchange that was executed; 0 before the first. */
  last({ queueId }: QueueRow): number {
    return (this.#last.get(this.#worker, queueId) as number | undefined) ?? 0
  }
  /** An exchange that changed nothing may be executed again. */
  executed({ queueId, dirty }: QueueRow, number: number): void {
    if (dirty) this.#executed.run(this.#worker, queueId, number)
  }
  /** @param acknowledged The last exchange whose reply has arrived. Replies up to it are deleted. */
  keep(queue: QueueRow, number: number, acknowledged: number, reply: LoggedReply): void {
    const { queueId } = queue
    queue.dirty = true
    this.#delete.run(this.#worker, queueId, acknowledged)
    this.#insert.run(this.#worker, queueId, number, JSON.stringify(reply))
    this.#lastLogged.set(queueId, number)
  }
  /** Deletes the logged replies once the last of them has arrived. Otherwise it would stay until the next notice. */
  acknowledge({ queueId }: QueueRow, acknowledged: number): void {
    const last = this.#lastLogged.get(queueId)
    if (last === undefined || last > acknowledged) return
    this.#delete.run(this.#worker, queueId, acknowledged)
    this.#lastLogged.delete(queueId)
  }
  of(queue: QueueRow, number: number): LoggedReply {
    const text = this.#read.get(this.#worker, queue.queueId, number) as string | undefined
    return text === undefined ? emptyReply : (JSON.parse(text) as LoggedReply)
  }
}
