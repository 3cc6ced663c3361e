/**
 * better-sqlite3 for one simulated thread: the real library on real files. Connections of the thread are closed when it
 * dies, as the kernel would close them. Its write transactions pass points at which a test may make them fail, or kill
 * the thread.
 */
import type { SqliteDatabase, SqliteStatement, SqliteValue } from '../../persistence/sqlite/file/database.ts'
import type { SqliteLibrary } from '../../persistence/sqlite/file/library.ts'

export interface Transactions {
  /** Called before a transaction begins. An error that this throws counts as SQLite's. */
  begin(): void
  /** Called before the commit. */
  commit(): void
  committed(): void
}

/**
 * @param path The database; other files, such as those of locks, have no points.
 * @param opened Receives functions that close the open connections once the thread has died.
 */
export function libraryOf(
  Real: SqliteLibrary,
  path: string,
  opened: Set<() => unknown>,
  isDead: () => boolean,
  transactions: Transactions,
): SqliteLibrary {
  const refuseDead = (): void => {
    if (isDead()) throw new Error('the thread is dead')
  }
  return new Proxy(Real, {
    construct(_, [at, options]: ConstructorParameters<SqliteLibrary>) {
      refuseDead()
      const db = new Real(at, options)
      const close = db.close.bind(db)
      opened.add(close)
      db.close = () => {
        // A dead thread cleans nothing up: the steps after the close, of a lock for example, are not done either.
        refuseDead()
        opened.delete(close)
        return close()
      }
      return at === path ? new PointedDatabase(db, transactions) : db
    },
  })
}

class PointedDatabase implements SqliteDatabase {
  readonly #db: SqliteDatabase
  readonly #transactions: Transactions
  /** A write transaction that `exec` began is open. */
  #writes = false
  /** The value that `synchronous` reads as. Files of a simulation live only as long as it does, and need no sync. */
  #synchronous = 2

  constructor(db: SqliteDatabase, transactions: Transactions) {
    this.#db = db
    this.#transactions = transactions
  }
  get open(): boolean {
    return this.#db.open
  }
  get inTransaction(): boolean {
    return this.#db.inTransaction
  }
  prepare(sql: string): SqliteStatement {
    const statement = this.#db.prepare(sql)
    if (sql !== 'begin immediate' && sql !== 'commit') return statement
    const run = statement.run.bind(statement)
    statement.run = (...values: readonly (SqliteValue | readonly SqliteValue[])[]) =>
      this.#through(sql, () => run(...values))
    return statement
  }
  exec(sql: string): unknown {
    // A read transaction also ends with a commit, but has no points.
    if (sql === 'begin immediate') this.#writes = true
    const points = this.#writes && (sql === 'begin immediate' || sql === 'commit')
    if (sql === 'commit' || sql === 'rollback') this.#writes = false
    return points ? this.#through(sql, () => this.#db.exec(sql)) : this.#db.exec(sql)
  }
  pragma(source: string, options?: { readonly simple?: boolean }): unknown {
    const [, level] = /^synchronous(?: = (\d))?$/.exec(source) ?? []
    if (level !== undefined) {
      this.#synchronous = Number(level)
      return this.#db.pragma('synchronous = 0')
    }
    if (source === 'synchronous') return this.#synchronous
    return options === undefined ? this.#db.pragma(source) : this.#db.pragma(source, options)
  }
  close(): unknown {
    return this.#db.close()
  }
  #through<T>(sql: string, run: () => T): T {
    const { begin, commit, committed } = this.#transactions
    if (sql === 'begin immediate') {
      begin()
      return run()
    }
    commit()
    const answer = run()
    committed()
    return answer
  }
}
