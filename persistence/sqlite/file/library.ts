/**
 * Loads better-sqlite3 when a file is first opened, so that a missing package is an error with its remedy instead of a
 * crash at import.
 */
import { createRequire } from 'node:module'
import { SqliteMissingError, SqliteTooOldError } from '../errors.ts'
import type { SqliteDatabase } from './database.ts'

export interface SqliteOptions {
  readonly timeout?: number
  readonly fileMustExist?: boolean
}
export type SqliteLibrary = new (path: string, options?: SqliteOptions) => SqliteDatabase

/** The first SQLite without the race between a write and a checkpoint of two connections. */
export const minSqliteVersion = '3.51.3'

let loaded: SqliteLibrary | undefined

/** Throws SqliteMissingError or SqliteTooOldError. */
export function loadSqlite(): SqliteLibrary {
  if (loaded) return loaded
  let library: SqliteLibrary
  let version: string
  try {
    // In a CommonJS bundle some bundlers leave `import.meta.url` undefined.
    const here: string | undefined = import.meta.url
    if (here === undefined) throw new Error('rdq was bundled: mark rdq and better-sqlite3 as external')
    library = createRequire(here)('better-sqlite3') as SqliteLibrary
    const db = new library(':memory:')
    version = String(db.prepare('select sqlite_version()').pluck().get())
    db.close()
  } catch (error) {
    throw new SqliteMissingError(String((error as Error)?.message ?? error).split('\n', 1)[0] as string)
  }
  checkVersion(version)
  loaded = library
  return library
}

export function checkVersion(version: string): void {
  const [have, least] = [version, minSqliteVersion].map(text => text.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < least.length; i++) {
    const [a = 0, b = 0] = [have[i], least[i]]
    if (a > b) return
    if (a < b) throw new SqliteTooOldError(version, minSqliteVersion)
  }
}
