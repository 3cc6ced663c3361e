/**
 * The workers of a file: one for each process that has it open. Worker 0 stands for no worker (`noWorker`).
 *
 * Whether a worker lives is decided by the caller, who has found the worker's lock free.
 */
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { noWorker } from './schema.ts'

export class Workers {
  readonly #number: SqliteStatement
  readonly #isRegistered: SqliteStatement
  readonly #fileKey: SqliteStatement
  readonly #setFile: SqliteStatement
  readonly #add: SqliteStatement
  readonly #unregister: readonly SqliteStatement[]
  readonly #others: SqliteStatement
  readonly #holds: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#number = db.prepare('select worker from rdq_worker where token = ?').pluck()
    this.#isRegistered = db.prepare('select 1 from rdq_worker where worker = ?').pluck()
    this.#fileKey = db.prepare(`select value from rdq_meta where key = 'file'`).pluck()
    this.#setFile = db.prepare(`insert or replace into rdq_meta (key, value) values ('file', ?)`)
    // Numbers of workers must not be used again, because a late settle would match another worker's claim.
    this.#add = db
      .prepare(`
        insert into rdq_meta (key, value) values ('worker', 1)
        on conflict (key) do update set value = value + 1 returning value`)
      .pluck()
    this.#insert = db.prepare('insert into rdq_worker (worker, token) values (?, ?)')
    this.#unregister = [
      'rdq_worker',
      'rdq_last_exchange',
      'rdq_exchange_reply',
      'rdq_cancel_request',
      'rdq_continuing_body',
      'rdq_slot_wait',
    ].map(table => db.prepare(`delete from ${table} where worker = ?`))
    this.#others = db.prepare(`select token from rdq_worker where worker not in (${noWorker}, ?)`).pluck()
    this.#holds = db.prepare('select 1 from rdq_underway where worker = ? limit 1')
  }
  readonly #insert: SqliteStatement

  /**
   * Registers the worker. `file` identifies the file of the database. If it differs from the recorded one, this file is
   * a copy, such as a backup, and the workers registered in it had the original open.
   */
  register(
    token: string,
    file: string | undefined,
  ): { readonly worker: number; readonly workersOfOriginal: readonly string[] } {
    const worker = this.#numberOf(token)
    if (file === undefined || this.#fileKey.get() === file) return { worker, workersOfOriginal: [] }
    this.#setFile.run(file)
    return { worker, workersOfOriginal: this.others(worker) }
  }
  /** Registers the worker again under its number, if it was unregistered. */
  stay(worker: number, token: string): void {
    if (this.#isRegistered.get(worker) === undefined) this.#insert.run(worker, token)
  }
  /** The number under which the worker is registered; without one it gets the next. */
  #numberOf(token: string): number {
    const known = this.number(token)
    if (known !== undefined) return known
    const worker = this.#add.get() as number
    this.#insert.run(worker, token)
    return worker
  }
  number(token: string): number | undefined {
    return this.#number.get(token) as number | undefined
  }
  others(worker: number): readonly string[] {
    return this.#others.all(worker) as string[]
  }
  holds(worker: number): boolean {
    return this.#holds.get(worker) !== undefined
  }
  unregister(worker: number): void {
    for (const statement of this.#unregister) statement.run(worker)
  }
}
