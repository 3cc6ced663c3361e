/**
 * The database file: which file a path leads to, how it is made, and whether it still has its name.
 *
 * A file is known by its device and number, not by its path. It is made for its owner only, opened with our pragmas in
 * force, and refused where two paths to it would mean two logs.
 */
import { type BigIntStats, statSync } from 'node:fs'
import { open, readlink, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { BacklogFileError, fileError, missingError } from '../errors.ts'
import type { Durability } from '../thread/messages.ts'
import type { SqliteDatabase } from './database.ts'
import type { SqliteLibrary } from './library.ts'

export interface FileFound {
  readonly path: string
  /** The same for all names of one file. */
  readonly key: string
}

/** Linux follows as many symbolic links before it says that they form a loop. */
const maxSymlinks = 40

/**
 * Makes the file where it is missing, readable by its owner only, and finds out which one it is. An existing file is not
 * opened here: closing it again would drop the locks that SQLite holds on it in this process.
 */
export async function findFile(path: string): Promise<FileFound> {
  try {
    const real = await targetOf(path)
    const made = await open(real, 'wx', 0o600).catch((error: { code?: string }) => {
      // Windows says EPERM or EISDIR of a directory. What is there is looked at below.
      if (error.code !== 'EEXIST' && error.code !== 'EISDIR') throw error
    })
    // The umask may have taken bits from the mode, also those of the owner.
    await made?.chmod(0o600)
    await made?.close()
    const found = await stat(real, { bigint: true })
    if (!found.isFile()) throw new BacklogFileError(path, 'not a file', 'it is no plain file; name one')
    refuseHardLinks(path, found)
    refuseTrimmed(real)
    return { path: real, key: keyOf(found) }
  } catch (error) {
    throw fileError(path, error)
  }
}

/** Which file has that path: as `key` of {@link findFile} says it, or undefined where no file has it. */
export function fileAt(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found && keyOf(found)
}

function keyOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`
}

/**
 * The absolute path of the file that `path` leads to, through symbolic links also where the file is still to be made. Throws
 * where a directory on the way is missing.
 */
async function targetOf(path: string): Promise<string> {
  let at = resolve(path)
  for (let links = 0; links <= maxSymlinks; links++) {
    const real = await realpath(at).catch((error: { code?: string }) => {
      if (error.code !== 'ENOENT') throw error
    })
    if (real !== undefined) return real
    // Its directory must exist; then it is a link to a file that does not exist, or no file at all.
    const directory = await realpath(dirname(at)).catch((error: { code?: string }) => {
      // Of a symbolic link this is the directory that it leads to, not the one that it is in.
      throw error.code === 'ENOENT' ? missingError(path, dirname(at), String(error)) : error
    })
    const target = await readlink(join(directory, basename(at))).catch(() => undefined)
    if (target === undefined) return join(directory, basename(at))
    at = resolve(directory, target)
  }
  throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' })
}

/** Processes that open it by different names have different logs. */
export function refuseHardLinks(path: string, { nlink }: BigIntStats): void {
  if (nlink <= 1n) return
  const remedy = `it has ${nlink} names (hard links), and SQLite keeps its log beside the name that it is opened by: processes that use different names would not see each other's jobs. Remove the other names, or make them symbolic links`
  throw new BacklogFileError(path, 'hard links', remedy)
}

/** better-sqlite3 trims what it is given, and would open another file. */
function refuseTrimmed(real: string): void {
  if (real.trim() === real) return
  throw new BacklogFileError(
    real,
    'unusable',
    'its path begins or ends with a space, which better-sqlite3 cuts off; rename it',
  )
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
