/**
 * A file that many runs use one after the other. Its connections stay open and its statements prepared, because making
 * them takes longer than most runs. All rows are deleted between two runs.
 */
import type { SqliteDatabase, SqliteStatement } from '../../persistence/sqlite/file/database.ts'
import { loadSqlite, type SqliteLibrary, type SqliteOptions } from '../../persistence/sqlite/file/library.ts'
import { migrate } from '../../persistence/sqlite/tables/schema.ts'

export class PooledFile {
  readonly path: string
  /** The SQLite library for threads that open this file. */
  readonly library: SqliteLibrary
  readonly #Real: SqliteLibrary = loadSqlite()
  readonly #idle: Connection[] = []
  #own: SqliteDatabase | undefined
  #rebooted = false

  constructor(path: string) {
    this.path = path
    // The first run finds the file as all others do.
    this.own.pragma('journal_mode = wal')
    migrate(this.own)
    this.library = new Proxy(this.#Real, {
      construct: (Real, [at, options]: [string, SqliteOptions?]) =>
        at === path ? this.#open(options) : new Real(at, options),
    })
  }
  #open(options?: SqliteOptions): SqliteDatabase {
    const connection = this.#idle.pop() ?? new Connection(new this.#Real(this.path, options))
    return new Lent(connection, () => void this.#idle.push(connection))
  }
  /** The handle of the user. */
  get own(): SqliteDatabase {
    this.#own ??= new this.#Real(this.path)
    return this.#own
  }
  /** The machine has been rebooted, so all earlier handles are gone. */
  reboot(): void {
    this.#own?.close()
    this.#own = undefined
    this.#rebooted = true
  }
  /** Deletes all rows except those of a new file. No thread may have the file open. */
  wipe(): void {
    const db = this.own
    const tables = db.prepare(`select name from sqlite_schema where type = 'table' and name like 'rdq_%'`).pluck()
    db.exec('begin immediate')
    for (const table of tables.all() as string[]) {
      if (table === 'rdq_meta') db.exec(`delete from rdq_meta where key not in ('format', 'min_reader', 'min_writer')`)
      else if (table === 'rdq_worker') db.exec('delete from rdq_worker where worker != 0')
      else db.exec(`delete from ${table}`)
    }
    db.exec('commit')
    if (this.#rebooted) this.reboot()
    this.#rebooted = false
  }
  close(): void {
    for (const { db } of this.#idle.splice(0)) db.close()
    this.#own?.close()
    this.#own = undefined
  }
}

/** A connection and its prepared statements, by text and by the number of earlier statements of the same text. */
class Connection {
  readonly db: SqliteDatabase
  readonly statements: Map<string, Prepared> = new Map()
  constructor(db: SqliteDatabase) {
    this.db = db
  }
}
interface Prepared {
  readonly statement: SqliteStatement
  readonly run: SqliteStatement['run']
}

/** Pragmas that stay set on a connection. */
const kept = /^(?:journal_mode|synchronous|mmap_size|wal_autocheckpoint|journal_size_limit)\b/

/** A connection while one thread uses it. */
class Lent implements SqliteDatabase {
  readonly #connection: Connection
  readonly #back: () => void
  readonly #counts = new Map<string, number>()
  open = true

  constructor(connection: Connection, back: () => void) {
    this.#connection = connection
    this.#back = back
  }
  get inTransaction(): boolean {
    return this.open && this.#connection.db.inTransaction
  }
  prepare(sql: string): SqliteStatement {
    this.#refuseClosed()
    const { db, statements } = this.#connection
    const before = this.#counts.get(sql) ?? 0
    this.#counts.set(sql, before + 1)
    const key = `${before} ${sql}`
    let prepared = statements.get(key)
    if (!prepared) {
      const statement = db.prepare(sql)
      statements.set(key, (prepared = { statement, run: statement.run.bind(statement) }))
    }
    // An earlier user may have replaced it.
    prepared.statement.run = prepared.run
    return prepared.statement
  }
  exec(sql: string): unknown {
    this.#refuseClosed()
    return this.#connection.db.exec(sql)
  }
  pragma(source: string, options?: { readonly simple?: boolean }): unknown {
    this.#refuseClosed()
    const { db, statements } = this.#connection
    if (statements.size > 0 && kept.test(source)) return source.startsWith('journal_mode') ? 'wal' : undefined
    return options === undefined ? db.pragma(source) : db.pragma(source, options)
  }
  close(): void {
    if (!this.open) return
    this.open = false
    const { db } = this.#connection
    if (db.inTransaction) db.exec('rollback')
    this.#back()
  }
  #refuseClosed(): void {
    if (!this.open) throw new TypeError('The database connection is not open')
  }
}
