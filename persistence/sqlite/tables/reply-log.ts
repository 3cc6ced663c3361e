/**
 * Logs the parts of replies besides their claims, as long as a reply may have to be sent again.
 *
 * If a reply is lost with its thread, the exchange is sent again. Nothing else in the file shows what the first reply
 * contained: rows that it took are gone, and a settle that was ignored looks like one that was applied. Such parts are
 * rare, so rows here are too.
 */

import type { ExchangeReply, JobRow } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

type News = NonNullable<ExchangeReply['notices']>

/** The notices of an exchange except crash reports (crash-reports.ts), and the jobs that ended in it without a run. */
export interface LoggedReply extends Pick<News, 'lostRuns' | 'within' | 'cancelRequests'> {
  readonly endedUnrun: readonly JobRow[]
}

export const emptyReply: LoggedReply = { lostRuns: [], within: [], cancelRequests: [], endedUnrun: [] }

export class ReplyLog {
  readonly #worker: number
  readonly #insert: SqliteStatement
  readonly #read: SqliteStatement
  readonly #acknowledge: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    this.#insert = db.prepare('insert into rdq_turn_reply (worker, queue, number, reply) values (?, ?, ?, ?)')
    this.#read = db.prepare('select reply from rdq_turn_reply where worker = ? and queue = ? and number = ?').pluck()
    this.#acknowledge = db.prepare('delete from rdq_turn_reply where worker = ? and queue = ? and number <= ?')
  }
  /** @param heard The last turn whose reply has arrived. Replies up to it are deleted. */
  keep(queue: QueueRow, number: number, heard: number, told: LoggedReply): void {
    this.#acknowledge.run(this.#worker, queue.queueId, heard)
    this.#insert.run(this.#worker, queue.queueId, number, JSON.stringify(told))
  }
  of(queue: QueueRow, number: number): LoggedReply {
    const text = this.#read.get(this.#worker, queue.queueId, number) as string | undefined
    return text === undefined ? emptyReply : (JSON.parse(text) as LoggedReply)
  }
}
