/** The file itself: made for its owner's eyes alone, known by what it is rather than by its name, and opened with our pragmas in force. */
import { open, realpath, stat } from 'node:fs/promises'
import type { SqliteDatabase } from './database.ts'
import { BacklogFileError, fileError } from './errors.ts'
import type { SqliteLibrary } from './library.ts'
import type { Durability } from './messages.ts'

export interface FileFound {
  readonly path: string
  /** The same for all names of one file. */
  readonly key: string
}

/**
 * Makes the file where it is missing, readable by its owner only, and finds out which one it is. A file that is there is
 * not opened: closing it again would drop the locks that SQLite holds on it in this process.
 */
export async function findFile(path: string): Promise<FileFound> {
  try {
    const made = await open(path, 'wx', 0o600).catch((error: { code?: string }) => {
      // Windows says EPERM or EISDIR of a directory. What is there is looked at below.
      if (error.code !== 'EEXIST' && error.code !== 'EISDIR') throw error
    })
    await made?.close()
    const real = await realpath(path)
    const found = await stat(real, { bigint: true })
    if (!found.isFile()) throw new BacklogFileError(path, 'not a file', 'it is no plain file; name one')
    return { path: real, key: `${found.dev}:${found.ino}` }
  } catch (error) {
    throw fileError(path, error)
  }
}

/** Throws what SQLite says as it says it, and BacklogFileError where a pragma is not in force. */
export function openDatabase(Library: SqliteLibrary, path: string, durability: Durability): SqliteDatabase {
  // No time to wait for a lock: that would hold up all that waits in this thread. Who calls tries again.
  const db = new Library(path, { timeout: 0, fileMustExist: true })
  try {
    const mode = db.pragma('journal_mode = wal', { simple: true })
    if (mode !== 'wal') {
      throw new BacklogFileError(
        path,
        'not in WAL',
        `its journal mode stays '${mode}' where WAL is needed; use a local disk`,
      )
    }
    if (process.platform === 'darwin') {
      db.pragma('fullfsync = 1')
      db.pragma('checkpoint_fullfsync = 1')
    }
    const level = durability === 'power' ? 2 : 1
    db.pragma(`synchronous = ${level}`)
    const inForce = db.pragma('synchronous', { simple: true })
    if (inForce !== level) {
      throw new BacklogFileError(path, 'unusable', `synchronous is ${inForce} where ${level} was asked for`)
    }
    db.pragma('mmap_size = 0')
    // A log that is short is written over again and again, which costs half of what it costs to make it longer.
    db.pragma('wal_autocheckpoint = 1000')
    db.pragma(`journal_size_limit = ${64 * 2 ** 20}`)
    // A read, so that a file which is none shows now.
    db.prepare('select count(*) from sqlite_schema').get()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}
