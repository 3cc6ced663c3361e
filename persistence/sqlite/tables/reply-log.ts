/**
 * What turns told besides their claims, for as long as it may have to be told again.
 *
 * A turn whose answer was lost with its thread is asked again, and nothing else says what it had found: what it took from
 * the tables is gone, and a settle that found nothing looks like one that was done. It is seldom anything, so this is too.
 */

import type { ExchangeReply, JobRow } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Name } from './queue.ts'

type News = NonNullable<ExchangeReply['notices']>

/** The news of a turn, but for reports of crashes (crash-reports.ts); and what ended in it by itself. */
export interface Told extends Pick<News, 'lostRuns' | 'within' | 'cancelRequests'> {
  readonly impossible: readonly JobRow[]
}

export const nothingTold: Told = { lostRuns: [], within: [], cancelRequests: [], impossible: [] }

export class Tellings {
  readonly #worker: number
  readonly #insert: SqliteStatement
  readonly #read: SqliteStatement
  readonly #heard: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    this.#insert = db.prepare('insert into rdq_told (worker, queue, number, told) values (?, ?, ?, ?)')
    this.#read = db.prepare('select told from rdq_told where worker = ? and queue = ? and number = ?').pluck()
    this.#heard = db.prepare('delete from rdq_told where worker = ? and queue = ? and number <= ?')
  }
  /** @param heard The last turn whose answer has arrived: what was told up to it is let go. */
  keep(name: Name, number: number, heard: number, told: Told): void {
    this.#heard.run(this.#worker, name.queue, heard)
    this.#insert.run(this.#worker, name.queue, number, JSON.stringify(told))
  }
  of(name: Name, number: number): Told {
    const text = this.#read.get(this.#worker, name.queue, number) as string | undefined
    return text === undefined ? nothingTold : (JSON.parse(text) as Told)
  }
}
