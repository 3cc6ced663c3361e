/**
 * Life and death of workers: an exclusive lock that the kernel drops when its holder's process ends, however it ends.
 *
 * Each worker holds one on a small file of its own beside the database. Whoever can take the lock of another one knows that
 * it is dead: no process id is read, and a process that is stopped or blocked still holds its lock.
 *
 * The file may be removed while its owner lives: cleaners of /tmp look for empty files that nobody writes. Removing it
 * removes only its name; the lock stays. So whoever has the file open goes on asking the lock itself. Whoever has not sees
 * no file, and waits for {@link missingMs} before it takes the worker for dead, while a living owner makes its file anew
 * every second.
 */
import { chmodSync, closeSync, openSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from './database.ts'
import type { SqliteLibrary } from './library.ts'

/** A worker whose file is missing is dead after so long: many times what a living one needs to make it anew. */
export const missingMs = 10_000
/** Time in which the looker itself stood still is not counted. */
const maxStepMs = 1_000
/** A file that is touched so often is never old enough for a cleaner. */
const touchMs = 600_000
/** Whoever could read a lock file could hold a shared lock on it, and its dead owner would seem alive for ever. */
const mode = 0o600

export function lockPath(database: string, worker: string): string {
  return `${database}-rdq-${worker}`
}

/** This worker's own lock, held until released. */
export class LifeLock {
  readonly #Library: SqliteLibrary
  readonly #path: string
  /** The lock on the file that has the name, behind those on files that lost it: others may have these open. */
  readonly #held: SqliteDatabase[] = []
  #file: bigint
  #touchedAt = -Infinity

  /** Throws the file's error where no file can be made beside the database, or no lock be held on it. */
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
  /** Makes the file anew where it was removed. Answers whether it had been. Throws what the file system says. */
  renew(wall: number): boolean {
    if (fileOf(this.#path) === this.#file) {
      this.#touch(wall)
      return false
    }
    // Locked before it has its name: a file that is there and not locked would be that of a dead worker.
    const nameless = `${this.#path}-new`
    rmSync(nameless, { force: true })
    makeFile(nameless)
    const file = this.#lock(nameless)
    try {
      renameSync(nameless, this.#path)
    } catch (error) {
      this.#held.pop()?.close()
      throw error
    }
    this.#file = file
    return true
  }
  /** @param keepsFile Its worker is still listed: found without its lock, it is dead at once; without its file, it is not. */
  release(keepsFile = false): void {
    for (const db of this.#held.splice(0)) db.close()
    if (!keepsFile) rmSync(this.#path, { force: true })
  }
  #touch(wall: number): void {
    if (Math.abs(wall - this.#touchedAt) < touchMs) return
    this.#touchedAt = wall
    try {
      utimesSync(this.#path, wall / 1_000, wall / 1_000)
    } catch {
      // Gone since the look: the next one sees it.
    }
  }
  /** Answers which file it has locked. */
  #lock(path: string): bigint {
    const file = fileOf(path)
    let db: SqliteDatabase | undefined
    try {
      db = new this.#Library(path, { timeout: 0, fileMustExist: true })
      hold(db)
    } catch (error) {
      db?.close()
      throw fileOf(path) === undefined ? wentMeanwhile() : error
    }
    // Who took over from the one before removes its file before it lets the lock go: this one may be on a file without a name.
    if (file === undefined || fileOf(path) !== file) {
      db.close()
      throw wentMeanwhile()
    }
    this.#held.push(db)
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
  #strangers: ReadonlySet<string> = new Set()
  #lookedAt = 0

  constructor(Library: SqliteLibrary, database: string) {
    this.#Library = Library
    this.#database = database
  }
  get size(): number {
    return this.#watched.size
  }
  /** These workers had another file open, of which this one is a copy: where they have no lock file here, they are dead. */
  estrange(workers: readonly string[]): void {
    this.#strangers = new Set(workers)
  }
  /**
   * Which of these workers are dead as of `now`. Every lock that was taken to find out is held until {@link forget}, so that
   * one process recovers.
   */
  dead(workers: readonly string[], now: number): string[] {
    for (const worker of this.#watched.keys()) if (!workers.includes(worker)) this.#close(worker)
    for (const worker of this.#missing.keys()) if (!workers.includes(worker)) this.#missing.delete(worker)
    const passedMs = Math.min(now - this.#lookedAt, maxStepMs)
    this.#lookedAt = now
    return workers.filter(worker => this.#isDead(worker, passedMs))
  }
  /** A dead worker is recovered: its file goes, and then the lock. The other way round, a new holder could lose its file. */
  forget(worker: string): void {
    if (!isToken(worker)) return
    const path = lockPath(this.#database, worker)
    try {
      for (const each of [path, `${path}-new`]) rmSync(each, { force: true })
    } catch {
      // Windows lets no file go that somebody has open. An empty one that stays behind harms nobody.
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
      // A file that has lost its name still has its lock.
      if (watched && file === undefined) return this.#isFree(watched.db)
      // One that began anew, or has made its file anew, has another file, and a lock on the old one tells nothing of it.
      if (watched && watched.file !== file) this.#close(worker)
      if (file === undefined) return this.#isMissed(worker, passedMs)
      this.#missing.delete(worker)
      return this.#isFree(this.#open(worker, path, file)) && fileOf(path) === file
    } catch (error) {
      if (faultOf(error) === 'busy') return false
      this.#close(worker)
      // It may have gone between two looks: the next look decides.
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
  /** Takes the lock, and throws where somebody has it. */
  #isFree(db: SqliteDatabase): boolean {
    if (!db.inTransaction) hold(db)
    return true
  }
  #isMissed(worker: string, passedMs: number): boolean {
    if (this.#strangers.has(worker)) return true
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

/** A lock file that is open, and which one it is. */
interface Watched {
  readonly db: SqliteDatabase
  readonly file: bigint
}

/** Another process is just removing the file of the worker that was here before: it is tried again. */
function wentMeanwhile(): Error {
  return Object.assign(new Error('the lock file was removed'), { code: 'SQLITE_BUSY' })
}

/** An empty file for its owner only, whatever the umask says. One that is there is of this worker's thread before, or older. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', mode))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error
  }
  chmodSync(path, mode)
}

/** Earlier versions made lock files that everybody may read. */
function tighten(path: string): void {
  try {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, mode)
  } catch {
    // Another user's, or gone: its owner sees to it.
  }
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
