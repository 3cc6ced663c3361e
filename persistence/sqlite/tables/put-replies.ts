/**
 * Keeps the reply to each put, written in the put's own transaction, until a later put acknowledges it.
 *
 * If a reply is lost with its thread, nothing else shows for certain whether the put was committed: its jobs may be gone
 * by now, and a job with a given id may be that of another put.
 *
 * Rows belong to the token of the worker, not to its number. While the thread of a process is restarted, another process
 * may find its lock free and recover its worker, which then gets another number.
 */
import type { PutReplay, PutRequest } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'

/** A process does not reopen its file after a minute without it, so the rows of a dead worker are useless then. */
const keptMs = 600_000
/** Acknowledged rows are deleted so many at a time, because a statement for each put costs more. */
const deletedAtOnce = 64

export class PutReplies {
  readonly #token: string
  readonly #insert: SqliteStatement
  readonly #read: SqliteStatement
  readonly #acknowledge: SqliteStatement
  readonly #clear: SqliteStatement
  readonly #prune: SqliteStatement
  #deletedTo = 0

  constructor(db: SqliteDatabase, token: string) {
    this.#token = token
    this.#insert = db.prepare(
      'insert into rdq_put_reply (token, number, first, existed, put_at) values (?, ?, ?, ?, ?)',
    )
    this.#read = db.prepare('select first, existed from rdq_put_reply where token = ? and number = ?').raw()
    this.#acknowledge = db.prepare('delete from rdq_put_reply where token = ? and number <= ?')
    this.#clear = db.prepare('delete from rdq_put_reply where token = ?')
    this.#prune = db.prepare(
      'delete from rdq_put_reply where put_at < ? and token not in (select token from rdq_worker)',
    )
  }
  keep({ number, acknowledged }: PutRequest, { first, existed }: PutReplay, now: number): void {
    if (acknowledged >= this.#deletedTo + deletedAtOnce) {
      this.#acknowledge.run(this.#token, acknowledged)
      this.#deletedTo = acknowledged
    }
    this.#insert.run(this.#token, number, first, existed.length > 0 ? JSON.stringify(existed) : null, now)
  }
  /** The reply to that put; undefined if it was not committed. */
  of(number: number): PutReplay | undefined {
    const row = this.#read.get(this.#token, number) as [first: number, existed: string | null] | undefined
    return row && { first: row[0], existed: row[1] === null ? [] : JSON.parse(row[1]) }
  }
  /** The worker leaves the file: all its puts are answered. */
  clear(): void {
    this.#clear.run(this.#token)
  }
  /** Deletes what dead workers left behind. */
  prune(now: number): void {
    this.#prune.run(now - keptMs)
  }
}
