/**
 * Detects dead workers by an exclusive lock that the kernel releases when its holder's process ends, however it ends.
 *
 * Each worker holds a lock on a small file of its own beside the database. If another worker can take that lock, the
 * owner is dead. No process id is read, and a process that is suspended or blocked still holds its lock.
 *
 * The file may be removed while its owner lives, because cleaners of /tmp look for empty files that nobody writes. That
 * removes only the name; the lock stays. So a process that has the file open continues to test the lock itself. A
 * process that has not sees no file, and waits for {@link missingMs} before it takes the worker for dead; a living
 * owner creates its file again within a second of its removal.
 */
import { chmodSync, closeSync, openSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from './database.ts'
import type { SqliteLibrary } from './library.ts'

/**
 * After this time a worker without a file is dead. It is many times what a living one needs to create its file again.
 */
export const missingMs = 10_000
/** Time in which the observer itself was suspended does not count. */
const maxStepMs = 1_000
/** A file touched this often never gets old enough for a cleaner. */
const touchMs = 600_000
/** With read access to a lock file one could hold a shared lock on it, and its dead owner would seem alive for ever. */
const mode = 0o600

export function lockPath(database: string, worker: string): string {
  return `${database}-rdq-${worker}`
}

/** This worker's own lock, held until released. */
export class LifeLock {
  readonly #Library: SqliteLibrary
  readonly #path: string
  /**
   * The lock on the file that has the name comes last. Before it stand those on files that lost the name, because
   * others may have these open.
   */
  readonly #locks: SqliteDatabase[] = []
  #file: bigint
  #touchedAt = -Infinity

  /** Throws the file's error if no file can be created beside the database, or if it cannot be locked. */
  constructor(Library: SqliteLibrary, database: string, worker: string) {
    this.#Library = Library
    this.#path = lockPath(database, worker)
    try {
      makeFile(this.#path)
      this.#file = this.#lock(this.#path)
    } catch (error) {
      throw faultOf(error) === 'busy' ? error : fileError(this.#path, error)
    }
  }
  /** Creates the file again if it was removed. Returns whether it had been. Throws the error of the file system. */
  renew(wall: number): boolean {
    if (fileOf(this.#path) === this.#file) {
      this.#touch(wall)
      return false
    }
    // The file is locked before it gets its name, because a named file without a lock would be that of a dead worker.
    const nameless = `${this.#path}-new`
    rmSync(nameless, { force: true })
    makeFile(nameless)
    const file = this.#lock(nameless)
    try {
      renameSync(nameless, this.#path)
    } catch (error) {
      this.#locks.pop()?.close()
      throw error
    }
    this.#file = file
    return true
  }
  /**
   * @param keepsFile Set if the worker is still registered: a file without its lock shows that it is dead at once, but
   * a missing file does not.
   */
  release(keepsFile = false): void {
    for (const db of this.#locks.splice(0)) db.close()
    if (!keepsFile) rmSync(this.#path, { force: true })
  }
  #touch(wall: number): void {
    if (Math.abs(wall - this.#touchedAt) < touchMs) return
    this.#touchedAt = wall
    try {
      utimesSync(this.#path, wall / 1_000, wall / 1_000)
    } catch {
      // The file is gone since the check; the next check sees it.
    }
  }
  /** Returns the number of the file that it has locked. */
  #lock(path: string): bigint {
    const file = fileOf(path)
    let db: SqliteDatabase | undefined
    try {
      db = new this.#Library(path, { timeout: 0, fileMustExist: true })
      lockExclusively(db)
    } catch (error) {
      db?.close()
      throw fileOf(path) === undefined ? wentMeanwhile() : error
    }
    // A process that recovers a dead worker removes the file before it releases the lock, so this file may have no name
    // any more.
    if (file === undefined || fileOf(path) !== file) {
      db.close()
      throw wentMeanwhile()
    }
    this.#locks.push(db)
    return file
  }
}

/** The locks of other workers, kept open while they are watched. */
export class Watch {
  readonly #Library: SqliteLibrary
  readonly #database: string
  readonly #watched = new Map<string, Watched>()
  /** Workers without a file, and for how long they have had none. */
  readonly #missing = new Map<string, number>()
  #workersOfOriginal: ReadonlySet<string> = new Set()
  #checkedAt = 0

  constructor(Library: SqliteLibrary, database: string) {
    this.#Library = Library
    this.#database = database
  }
  get size(): number {
    return this.#watched.size
  }
  /** These workers had another file open, of which this one is a copy. Without a lock file here they are dead. */
  setWorkersOfOriginal(workers: readonly string[]): void {
    this.#workersOfOriginal = new Set(workers)
  }
  /**
   * Finds the workers that are dead as of `now`. Every lock that was taken to find out is held until {@link forget}, so
   * that only one process recovers a worker.
   */
  takeDead(workers: readonly string[], now: number): string[] {
    for (const worker of this.#watched.keys()) if (!workers.includes(worker)) this.#close(worker)
    for (const worker of this.#missing.keys()) if (!workers.includes(worker)) this.#missing.delete(worker)
    const passedMs = Math.min(now - this.#checkedAt, maxStepMs)
    this.#checkedAt = now
    return workers.filter(worker => this.#isDead(worker, passedMs))
  }
  /**
   * A dead worker is recovered: removes its file first and releases the lock then. In the other order a new owner could
   * lose its file.
   */
  forget(worker: string): void {
    if (!isToken(worker)) return
    const path = lockPath(this.#database, worker)
    try {
      for (const each of [path, `${path}-new`]) rmSync(each, { force: true })
    } catch {
      // Windows does not remove a file that somebody has open. An empty file that stays behind does no harm.
    }
    this.#close(worker)
  }
  close(): void {
    for (const worker of [...this.#watched.keys()]) this.#close(worker)
  }
  #isDead(worker: string, passedMs: number): boolean {
    if (!isToken(worker)) return true
    const path = lockPath(this.#database, worker)
    try {
      const file = fileOf(path)
      const watched = this.#watched.get(worker)
      // A file that has lost its name still has its lock. That lock is free if the worker is dead. It is also free if the
      // worker's thread was restarted, and its new file has lost its name too: then it creates the file again soon.
      if (watched && file === undefined) {
        const isMissed = this.#countsAsMissed(worker, passedMs)
        return this.#takeLock(watched.db) && isMissed
      }
      // A worker that restarted, or created its file again, has another file, so a lock on the old one proves nothing.
      if (watched && watched.file !== file) this.#close(worker)
      if (file === undefined) return this.#countsAsMissed(worker, passedMs)
      this.#missing.delete(worker)
      return this.#takeLock(this.#open(worker, path, file)) && fileOf(path) === file
    } catch (error) {
      if (faultOf(error) === 'busy') return false
      this.#close(worker)
      // The file may have gone between two checks: the next check decides.
      return false
    }
  }
  #open(worker: string, path: string, file: bigint): SqliteDatabase {
    const watched = this.#watched.get(worker)
    if (watched) return watched.db
    tighten(path)
    const db = new this.#Library(path, { timeout: 0, fileMustExist: true })
    this.#watched.set(worker, { db, file })
    return db
  }
  /** Takes the lock, and returns true; throws if somebody else holds it. */
  #takeLock(db: SqliteDatabase): true {
    if (!db.inTransaction) lockExclusively(db)
    return true
  }
  #countsAsMissed(worker: string, passedMs: number): boolean {
    if (this.#workersOfOriginal.has(worker)) return true
    const before = this.#missing.get(worker)
    const missedMs = before === undefined ? 0 : before + passedMs
    this.#missing.set(worker, missedMs)
    return missedMs >= missingMs
  }
  #close(worker: string): void {
    try {
      this.#watched.get(worker)?.db.close()
    } finally {
      this.#watched.delete(worker)
    }
  }
}

/** An open lock file, and its number. */
interface Watched {
  readonly db: SqliteDatabase
  readonly file: bigint
}

/** Another process is just removing the file of the previous worker, so this one tries again. */
function wentMeanwhile(): Error {
  return Object.assign(new Error('the lock file was removed'), { code: 'SQLITE_BUSY' })
}

/**
 * Creates an empty file for its owner only, regardless of the umask. An existing file belongs to this worker's previous
 * thread, or is older.
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', mode))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error
  }
  chmodSync(path, mode)
}

/** Earlier versions created lock files that everybody may read. */
function tighten(path: string): void {
  try {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, mode)
  } catch {
    // The file belongs to another user, or is gone: its owner takes care of it.
  }
}

/**
 * The number of the file with that name; undefined if there is none. As long as somebody has the file open, no other
 * file gets its number.
 */
function fileOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}

/** The token in a tampered row must not name a file anywhere else. */
function isToken(worker: string): boolean {
  return /^[\w-]{1,64}$/.test(worker)
}

/** The lock is on the file itself, which stays empty. No journal is needed, because nothing is written. */
function lockExclusively(db: SqliteDatabase): void {
  db.exec('pragma journal_mode = memory; begin exclusive')
}
