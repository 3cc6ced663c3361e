/**
 * Life and death of workers: an exclusive lock that the kernel drops when its holder's process ends, however it ends.
 *
 * Each worker holds one on a small file of its own beside the database. Who can take the lock of another one knows that it
 * is dead: no process id is read, no time decides, and a process that is stopped or blocked still holds its lock.
 */
import { existsSync, rmSync, statSync } from 'node:fs'
import type { SqliteDatabase } from './database.ts'
import { faultOf, fileError } from './errors.ts'
import type { SqliteLibrary } from './library.ts'

export function lockPath(database: string, worker: string): string {
  return `${database}-rdq-${worker}`
}

/** This worker's own lock, held until released. */
export class LifeLock {
  readonly #path: string
  readonly #db: SqliteDatabase

  /** Throws the file's error where no file can be made beside the database, or no lock be held on it. */
  constructor(Library: SqliteLibrary, database: string, worker: string) {
    this.#path = lockPath(database, worker)
    let db: SqliteDatabase | undefined
    try {
      db = new Library(this.#path, { timeout: 0 })
      hold(db)
      // Who took over from the one before lets its file go before its lock: this one may be on a file without a name.
      if (!existsSync(this.#path)) throw Object.assign(new Error('the file went'), { code: 'SQLITE_BUSY' })
    } catch (error) {
      db?.close()
      throw faultOf(error) === 'busy' ? error : fileError(this.#path, error)
    }
    this.#db = db
  }
  release(): void {
    this.#db.close()
    rmSync(this.#path, { force: true })
  }
}

/** The locks of other workers, kept open while they are watched. */
export class Watch {
  readonly #Library: SqliteLibrary
  readonly #database: string
  readonly #watched = new Map<string, Watched>()

  constructor(Library: SqliteLibrary, database: string) {
    this.#Library = Library
    this.#database = database
  }
  get size(): number {
    return this.#watched.size
  }
  /**
   * Which of these workers are dead. One without a file is: a worker locks its file before it signs in, and signs off before
   * the file goes. Every lock that was taken to find out is held until {@link forget}, so that one process recovers.
   */
  dead(workers: readonly string[]): string[] {
    for (const worker of this.#watched.keys()) if (!workers.includes(worker)) this.#close(worker)
    return workers.filter(worker => this.#isDead(worker))
  }
  /** A dead worker is recovered: its file goes, and then the lock. The other way round, a new holder could lose its file. */
  forget(worker: string): void {
    if (!isToken(worker)) return
    try {
      rmSync(lockPath(this.#database, worker), { force: true })
    } catch {
      // Windows lets no file go that somebody has open. An empty one that stays behind harms nobody.
    }
    this.#close(worker)
  }
  close(): void {
    for (const worker of [...this.#watched.keys()]) this.#close(worker)
  }
  #isDead(worker: string): boolean {
    if (!isToken(worker)) return true
    const path = lockPath(this.#database, worker)
    try {
      const file = fileOf(path)
      if (file === undefined) return true
      // One that began anew under its old name has another file, and a lock on the old one tells nothing of it.
      if (this.#watched.get(worker)?.file !== file) this.#close(worker)
      let watched = this.#watched.get(worker)
      if (!watched) {
        watched = { db: new this.#Library(path, { timeout: 0, fileMustExist: true }), file }
        this.#watched.set(worker, watched)
      }
      if (!watched.db.inTransaction) hold(watched.db)
      return fileOf(path) === file
    } catch (error) {
      if (faultOf(error) === 'busy') return false
      this.#close(worker)
      // Gone between the two looks: let go. Whatever else it is, another look decides.
      return !existsSync(path)
    }
  }
  #close(worker: string): void {
    try {
      this.#watched.get(worker)?.db.close()
    } finally {
      this.#watched.delete(worker)
    }
  }
}

/** A lock file that is open, and which one it is. */
interface Watched {
  readonly db: SqliteDatabase
  readonly file: bigint
}

/** Which file has that name; undefined where none has. While somebody has it open no other one can be that. */
function fileOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}

/** What a tampered row holds must not name a file anywhere else. */
function isToken(worker: string): boolean {
  return /^[\w-]{1,64}$/.test(worker)
}

/** The lock lies on the file itself, which stays empty; no journal is needed for what is never written. */
function hold(db: SqliteDatabase): void {
  db.exec('pragma journal_mode = memory; begin exclusive')
}
