/**
 * What turns told besides their claims, for as long as it may have to be told again.
 *
 * A turn whose answer was lost with its thread is asked again, and nothing else says what it had found: what it took from
 * the tables is gone, and a settle that found nothing looks like one that was done. It is seldom anything, so this is too.
 */

import type { ExchangeReply, JobRow } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'

type News = NonNullable<ExchangeReply['notices']>

/** The news of a turn, but for reports of crashes (crash-reports.ts); and what ended in it by itself. */
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
    this.#insert = db.prepare('insert into rdq_told (worker, queue, number, told) values (?, ?, ?, ?)')
    this.#read = db.prepare('select told from rdq_told where worker = ? and queue = ? and number = ?').pluck()
    this.#acknowledge = db.prepare('delete from rdq_told where worker = ? and queue = ? and number <= ?')
  }
  /** @param heard The last turn whose answer has arrived: what was told up to it is let go. */
  keep(queue: QueueRow, number: number, heard: number, told: LoggedReply): void {
    this.#acknowledge.run(this.#worker, queue.queueId, heard)
    this.#insert.run(this.#worker, queue.queueId, number, JSON.stringify(told))
  }
  of(queue: QueueRow, number: number): LoggedReply {
    const text = this.#read.get(this.#worker, queue.queueId, number) as string | undefined
    return text === undefined ? emptyReply : (JSON.parse(text) as LoggedReply)
  }
}
