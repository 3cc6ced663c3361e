/**
 * Whether the files of this worker still have their names: the database, and the lock file that says that it lives.
 *
 * SQLite goes on with a file that was deleted, replaced or moved, and stores what nobody will ever read. So the path is
 * looked at twice a second, also while the thread is busy; the look costs some microseconds.
 */
import { BacklogGoneError, faultOf, fileError } from '../errors.ts'
import type { Opening } from '../thread/messages.ts'
import type { LifeLock } from './lock.ts'
import { fileAt } from './open.ts'

const lookMs = 450

export interface FileGuardParts {
  readonly opening: Opening
  readonly lock: LifeLock
  wall(): number
  /** The lock file was removed and cannot be made anew. */
  trouble(error: unknown): void
}

export class FileGuard {
  readonly #parts: FileGuardParts
  #lookedAt = -Infinity

  constructor(parts: FileGuardParts) {
    this.#parts = parts
  }
  /** The error that says what became of the database, if it is not at its path any more. Looks only when it is time to. */
  look(now: number): BacklogGoneError | undefined {
    if (now - this.#lookedAt < lookMs) return undefined
    return this.lookNow(now)
  }
  lookNow(now: number): BacklogGoneError | undefined {
    const { path, file } = this.#parts.opening
    this.#lookedAt = now
    const found = this.#fileAt(path)
    if (found !== file) return new BacklogGoneError(path, found === undefined ? 'nothing' : 'another file')
    this.#renewLock(path)
    return undefined
  }
  /** Where the path cannot be looked at, it is the disk that is in trouble, and nothing is known of the file. */
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
