/**
 * better-sqlite3 as one simulated thread has it: the real one, on real files. What the thread has opened is closed when it
 * dies, as the kernel would; and its write transactions pass points at which a test may let them fail, or it die.
 */
import type { SqliteDatabase, SqliteStatement, SqliteValue } from '../../persistence/sqlite/file/database.ts'
import type { SqliteLibrary } from '../../persistence/sqlite/file/library.ts'

export interface Transactions {
  /** Before it begins. What this throws, SQLite has thrown. */
  begin(): void
  /** Before it is committed. */
  commit(): void
  committed(): void
}

/**
 * @param path The database; other files, of locks say, have no points.
 * @param opened What closes each connection that is open, when the thread has died.
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
        // Who is dead tidies nothing up: what comes after the closing, of a lock say, is not done either.
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
  /** What `synchronous` reads as. Files that a simulation makes live as long as it does, and need no sync. */
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
    // A read transaction ends with a commit too, and has no points.
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
