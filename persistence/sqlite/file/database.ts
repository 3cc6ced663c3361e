/** The few members of better-sqlite3 that we call: our own type of them, so that nobody needs its types. */

export type SqliteValue = string | number | bigint | Uint8Array | null

export interface SqliteStatement {
  /** An array stands for its items. */
  run(...values: readonly (SqliteValue | readonly SqliteValue[])[]): { readonly changes: number }
  get(...values: readonly SqliteValue[]): unknown
  all(...values: readonly SqliteValue[]): unknown[]
  /** Rows come as arrays instead of objects. */
  raw(on?: boolean): SqliteStatement
  /** A row comes as its first column. */
  pluck(on?: boolean): SqliteStatement
}

export interface SqliteDatabase {
  readonly open: boolean
  readonly inTransaction: boolean
  prepare(sql: string): SqliteStatement
  exec(sql: string): unknown
  pragma(source: string, options?: { readonly simple?: boolean }): unknown
  close(): unknown
}

/**
 * A limit that is given with the call. SQLite looks at one that is nothing but a parameter while it plans a statement, and so
 * plans the statement anew with each call, which can cost more than the call; at a sum it does not look.
 */
export const limitParameter = 'limit 0 + ?'
