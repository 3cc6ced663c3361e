/**
 * Checks that the files of this worker still have their names: the database, and the lock file that shows that the
 * worker lives.
 *
 * SQLite continues to write to a file that was deleted, replaced or moved, where nobody will ever read it. So the path
 * is checked twice a second, even while the thread is busy; a check costs some microseconds.
 */
import { BacklogGoneError, faultOf, fileError } from '../errors.ts'
import type { FileToOpen } from './file-to-open.ts'
import type { LifeLock } from './lock.ts'
import { fileAt } from './open.ts'

const checkIntervalMs = 450

export interface FileGuardParts {
  readonly opening: FileToOpen
  readonly lock: LifeLock
  wall(): number
  /** The lock file was removed and cannot be created again. */
  trouble(error: unknown): void
}

export class FileGuard {
  readonly #parts: FileGuardParts
  #checkedAt = -Infinity

  constructor(parts: FileGuardParts) {
    this.#parts = parts
  }
  /**
   * The error that says what happened to the database, if it is no longer at its path. Checks only when a check is due.
   */
  checkIfDue(now: number): BacklogGoneError | undefined {
    if (now - this.#checkedAt < checkIntervalMs) return undefined
    return this.checkNow(now)
  }
  checkNow(now: number): BacklogGoneError | undefined {
    const { path, file } = this.#parts.opening
    this.#checkedAt = now
    const found = this.#fileAt(path)
    if (found !== file) return new BacklogGoneError(path, found === undefined ? 'nothing' : 'another file')
    this.#renewLock(path)
    return undefined
  }
  /** If the path cannot be read, the disk is at fault, and nothing is known about the file. */
  #fileAt(path: string): string | undefined {
    try {
      return fileAt(path)
    } catch {
      return this.#parts.opening.file
    }
  }
  #renewLock(path: string): void {
    const { lock, wall, trouble } = this.#parts
    try {
      lock.renew(wall())
    } catch (error) {
      if (faultOf(error) !== 'busy') trouble(fileError(path, error))
    }
  }
}
