/** The few members of better-sqlite3 that rdq calls, as a type of our own, so that users need not install its types. */

export type SqliteValue = string | number | bigint | Uint8Array | null

export interface SqliteStatement {
  /** An array stands for its items. */
  run(...values: readonly (SqliteValue | readonly SqliteValue[])[]): { readonly changes: number }
  get(...values: readonly SqliteValue[]): unknown
  all(...values: readonly SqliteValue[]): unknown[]
  /** Rows are returned as arrays instead of objects. */
  raw(on?: boolean): SqliteStatement
  /** A row is returned as its first column. */
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
 * A limit given as a parameter of the call. SQLite reads a bare parameter while it plans a statement, and so plans the
 * statement again for each call, which can cost more than the call. It does not read the parameter in a sum.
 */
export const limitParameter = 'limit 0 + ?'
