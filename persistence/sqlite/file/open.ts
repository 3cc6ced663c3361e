/**
 * The database file: finds the file at a path, creates it, opens it, and checks whether it still has its name.
 *
 * A file is identified by its device and number, not by its path. It is created for its owner only, and opened with our
 * pragmas in force. It is refused if two paths to it would mean two logs.
 */
import { type BigIntStats, statSync } from 'node:fs'
import { open, readlink, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { BacklogFileError, fileError, missingError } from '../errors.ts'
import type { SqliteDatabase } from './database.ts'
import type { Durability } from './file-to-open.ts'
import type { SqliteLibrary } from './library.ts'

export interface FileFound {
  readonly path: string
  /** The same for all names of one file. */
  readonly key: string
}

/** The number of symbolic links that Linux follows before it reports a loop. */
const maxSymlinks = 40

/**
 * Creates a missing file, readable by its owner only, and identifies it. An existing file is not opened here, because
 * closing it again would drop the locks that SQLite holds on it in this process.
 */
export async function findFile(path: string): Promise<FileFound> {
  try {
    const real = await targetOf(path)
    const made = await open(real, 'wx', 0o600).catch((error: { code?: string }) => {
      // For a directory Windows reports EPERM or EISDIR. The checks below find out what exists.
      if (error.code !== 'EEXIST' && error.code !== 'EISDIR') throw error
    })
    // The umask may have removed bits from the mode, even those of the owner.
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

/** Identifies the file at a path, like `key` of {@link findFile}; undefined if there is none. */
export function fileAt(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found && keyOf(found)
}

function keyOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`
}

/**
 * The absolute path of the file that `path` leads to, through symbolic links, even if the file does not exist yet.
 * Throws if a directory on the way is missing.
 */
async function targetOf(path: string): Promise<string> {
  let at = resolve(path)
  for (let links = 0; links <= maxSymlinks; links++) {
    const real = await realpath(at).catch((error: { code?: string }) => {
      if (error.code !== 'ENOENT') throw error
    })
    if (real !== undefined) return real
    // If its directory exists, it is a link to a missing file, or a missing file.
    const directory = await realpath(dirname(at)).catch((error: { code?: string }) => {
      // For a symbolic link this is the directory of its target, not the one that contains the link.
      throw error.code === 'ENOENT' ? missingError(path, dirname(at), String(error)) : error
    })
    const target = await readlink(join(directory, basename(at))).catch(() => undefined)
    if (target === undefined) return join(directory, basename(at))
    at = resolve(directory, target)
  }
  throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' })
}

/** Processes that open the file by different names use different logs. */
export function refuseHardLinks(path: string, { nlink }: BigIntStats): void {
  if (nlink <= 1n) return
  const remedy = `it has ${nlink} names (hard links), and SQLite keeps its log beside the name that it is opened by: processes that use different names would not see each other's jobs. Remove the other names, or make them symbolic links`
  throw new BacklogFileError(path, 'hard links', remedy)
}

/** better-sqlite3 trims the path, and would open another file. */
function refuseTrimmed(real: string): void {
  if (real.trim() === real) return
  throw new BacklogFileError(
    real,
    'unusable',
    'its path begins or ends with a space, which better-sqlite3 cuts off; rename it',
  )
}

/** Throws errors of SQLite unchanged, and BacklogFileError if a pragma is not in force. */
export function openDatabase(Library: SqliteLibrary, path: string, durability: Durability): SqliteDatabase {
  // No timeout for locks: waiting would block everything in this thread. The caller tries again.
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
    // A short log is overwritten again and again, which costs half as much as a growing one.
    db.pragma('wal_autocheckpoint = 1000')
    db.pragma(`journal_size_limit = ${64 * 2 ** 20}`)
    // A read, so that a file that is no database is found now.
    db.prepare('select count(*) from sqlite_schema').get()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}
