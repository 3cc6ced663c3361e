/**
 * The errors of a queue and its file: a class for each case that a caller would handle differently, and the translation
 * of SQLite's errors into them.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { DispatchError } from '../../lib/errors.ts'
import { registerErrors } from '../durable/errors.ts'

/** better-sqlite3 is not installed, or its binary does not fit this Node. */
export class SqliteMissingError extends DispatchError {
  static override readonly name: string = 'SqliteMissingError'
  readonly code = 'SQLITE_MISSING'
  constructor(problem: string) {
    super(`rdq/sqlite needs better-sqlite3, which cannot be loaded (${problem}); type: npm install better-sqlite3`)
  }
}

/** This SQLite has the race that loses committed transactions when one process writes and another one checkpoints. */
export class SqliteTooOldError extends DispatchError {
  static override readonly name: string = 'SqliteTooOldError'
  readonly code = 'SQLITE_TOO_OLD'
  readonly version: string
  constructor(version: string, least: string) {
    super(
      `SQLite ${version} can lose committed data when several processes use one file; ${least} or later is needed, type: npm install better-sqlite3@latest`,
    )
    this.version = version
  }
}

/** Two copies of SQLite in one process drop each other's locks on a file, and then lose committed data. */
export class SecondSqliteError extends DispatchError {
  static override readonly name: string = 'SecondSqliteError'
  readonly code = 'SECOND_SQLITE'
  constructor(what: string) {
    super(
      `${what} needs a database made by the same better-sqlite3 that rdq imports: two copies of SQLite in one process drop each other's locks; see npm ls better-sqlite3, and npm dedupe`,
    )
  }
}

/**
 * The file was written by a version of rdq beside which this one must not write. Install that version, or use another
 * file.
 */
export class SchemaError extends DispatchError {
  static override readonly name: string = 'SchemaError'
  readonly code = 'SCHEMA'
  /** The format of the file, and the newest one that this rdq knows. */
  readonly format: number
  readonly known: number
  constructor(format: number, minWriter: number, known: number) {
    super(
      `the file has format ${format} and asks for an rdq that knows format ${minWriter} or later; this one knows up to ${known}: install a newer rdq here, or use another file`,
    )
    this.format = format
    this.known = known
  }
}

export type FileProblem =
  | 'no directory'
  | 'not a file'
  | 'hard links'
  | 'not a database'
  | 'not writable'
  | 'not in WAL'
  | 'unusable'

/** The file cannot be used as it is: its path, its permissions or its contents must change first. */
export class BacklogFileError extends DispatchError {
  static override readonly name: string = 'BacklogFileError'
  readonly code = 'BACKLOG_FILE'
  readonly path: string
  readonly problem: FileProblem
  constructor(path: string, problem: FileProblem, remedy: string) {
    super(`cannot use '${path}' as a backlog: ${remedy}`)
    this.path = path
    this.problem = problem
  }
}

/**
 * The file was deleted, replaced or moved while it was open. Nothing is claimed or stored any more. Stop the queue and
 * create a new one, which opens the file at the path then.
 */
export class BacklogGoneError extends DispatchError {
  static override readonly name: string = 'BacklogGoneError'
  readonly code = 'BACKLOG_GONE'
  readonly path: string
  /** The state of the path now. */
  readonly found: 'nothing' | 'another file'
  constructor(path: string, found: 'nothing' | 'another file') {
    const what = found === 'nothing' ? 'deleted or moved' : 'replaced by another file'
    super(
      `the backlog '${path}' was ${what} while it was open; nothing more is put, started or stored here, and the endings of jobs underway are lost: stop this queue and create a new one, which opens the file at the path then`,
    )
    this.path = path
    this.found = found
  }
}

/** The file is damaged. Nothing more is written to it, and it is left as it is. */
export class BacklogCorruptError extends DispatchError {
  static override readonly name: string = 'BacklogCorruptError'
  readonly code = 'BACKLOG_CORRUPT'
  readonly path: string
  constructor(path: string, said: string) {
    super(
      `the backlog '${path}' is damaged (${said}); nothing more is written to it: copy it with its -wal, check it with "pragma integrity_check", and recover it with the .recover command of the sqlite3 shell`,
    )
    this.path = path
  }
}

/** Another program holds the file exclusively, and did not release it in time. */
export class BacklogBusyError extends DispatchError {
  static override readonly name: string = 'BacklogBusyError'
  readonly code = 'BACKLOG_BUSY'
  readonly path: string
  constructor(path: string, waitedMs: number) {
    super(
      `the backlog '${path}' has been locked by another program for ${Math.round(waitedMs / 1_000)} s; end its transaction, or its locking_mode=exclusive, and try again`,
    )
    this.path = path
  }
}

/** The disk has no room, or max_page_count is reached. Nothing was stored; the job may be put again later. */
export class BacklogFullError extends DispatchError {
  static override readonly name: string = 'BacklogFullError'
  readonly code = 'DISK_FULL'
  readonly path: string
  constructor(path: string) {
    super(`the backlog '${path}' cannot grow: the disk, or its max_page_count, is full; make room and put again`)
    this.path = path
  }
}

/** The disk, or a layer between it and SQLite, failed. */
export class BacklogDiskError extends DispatchError {
  static override readonly name: string = 'BacklogDiskError'
  readonly code = 'BACKLOG_DISK'
  readonly path: string
  constructor(path: string, said: string) {
    super(
      `the backlog '${path}' cannot be read or written (${said}); check the disk: jobs underway then continue by themselves, and a refused call may be repeated`,
    )
    this.path = path
  }
}

/** The thread that holds the file died, was restarted, and died again. */
export class BacklogThreadError extends DispatchError {
  static override readonly name: string = 'BacklogThreadError'
  readonly code = 'BACKLOG_THREAD'
  readonly path: string
  constructor(path: string, options?: ErrorOptions) {
    super(
      `the thread that holds the backlog '${path}' died again after a restart${because(options?.cause)}; restart the process: everything stored is in the file`,
      options,
    )
    this.path = path
  }
}

/** A file that the thread runs or imports is missing, most often because a bundler has left it out. */
export class ThreadFileError extends DispatchError {
  static override readonly name: string = 'ThreadFileError'
  readonly code = 'THREAD_FILE'
  readonly path: string
  constructor(path: string, options?: ErrorOptions) {
    super(
      `the backlog '${path}' needs a thread whose file was not found${because(options?.cause)}; in a bundled application, mark rdq and better-sqlite3 as external (esbuild: --external:rdq --external:better-sqlite3; webpack: externals: [/^rdq(\\/|$)/, 'better-sqlite3']; rolldown: external: [/^rdq(\\/|$)/, 'better-sqlite3']) and install both where it runs; in any other application, reinstall rdq`,
      options,
    )
    this.path = path
  }
}

/** Whether a thread died because a file that it runs or imports is missing. A restart would not find it either. */
export function isMissingFile(cause: unknown): boolean {
  const { code } = cause as { code?: unknown }
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
}

function because(cause: unknown): string {
  const message = (cause as { message?: unknown } | undefined)?.message
  return typeof message === 'string' ? ` (${message.split('\n', 1)[0]})` : ''
}

/** The kind of reaction that an error of SQLite calls for. */
export type Fault = 'busy' | 'diskFull' | 'disk' | 'broken' | 'other'

export function faultOf(error: unknown): Fault {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return 'other'
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'busy'
  if (code.startsWith('SQLITE_FULL')) return 'diskFull'
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) return 'broken'
  if (/^SQLITE_(IOERR|CANTOPEN|READONLY|PROTOCOL|NOMEM)/.test(code)) return 'disk'
  return 'other'
}

/** Translates an error of SQLite, or of the file system, about a file that is open or being opened. */
export function fileError(path: string, error: unknown): unknown {
  const { code = '', message = String(error) } = (error ?? {}) as { code?: string; message?: string }
  // The message of a file system error contains its code already.
  const said = message.startsWith(code) ? message : `${code}: ${message}`
  if (error instanceof DispatchError) return error
  if (code.startsWith('SQLITE_NOTADB'))
    return new BacklogFileError(path, 'not a database', 'it is not an SQLite database; name another file')
  if (code.startsWith('SQLITE_CORRUPT')) return new BacklogCorruptError(path, said)
  if (code.startsWith('SQLITE_FULL')) return new BacklogFullError(path)
  if (code === 'ENOTDIR')
    return new BacklogFileError(path, 'no directory', 'a part of its path is a file where a directory is needed')
  if (code === 'ENOENT' || /directory does not exist/.test(message)) return missingError(path, dirname(path), said)
  if (code === 'ENAMETOOLONG')
    return new BacklogFileError(path, 'unusable', 'its path is too long for the file system; shorten it')
  if (code === 'ELOOP')
    return new BacklogFileError(path, 'unusable', 'its symbolic links form a loop, or are too many; fix them')
  if (/^(SQLITE_READONLY|SQLITE_PERM|SQLITE_AUTH|EACCES|EPERM|EROFS)/.test(code))
    return new BacklogFileError(
      path,
      'not writable',
      `it, or its directory, cannot be written (${said}); allow that to this user`,
    )
  if (code.startsWith('SQLITE_CANTOPEN'))
    return new BacklogFileError(
      path,
      'not writable',
      `it cannot be opened for writing, or no files can be made beside it (${said}); allow that to this user`,
    )
  if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_')) return new BacklogDiskError(path, said)
  return error
}

/**
 * The file was not found, and could not be created. Most often its directory is missing; but a file system without new
 * files, such as /proc, also reports ENOENT.
 */
export function missingError(path: string, directory: string, said: string): BacklogFileError {
  if (!existsSync(directory))
    return new BacklogFileError(path, 'no directory', `the directory '${directory}' does not exist; make it first`)
  return new BacklogFileError(
    path,
    'not writable',
    `the directory '${directory}' exists, but no file can be made in it (${said}); name a file in another directory`,
  )
}

registerErrors({
  SqliteMissingError,
  SqliteTooOldError,
  SecondSqliteError,
  BacklogFileError,
  BacklogGoneError,
  BacklogCorruptError,
  BacklogBusyError,
  BacklogFullError,
  BacklogDiskError,
  BacklogThreadError,
  ThreadFileError,
  SchemaError,
})
