/**
 * Statements that take the values of many rows at once. A call costs about as much as what it does to one row, so rows
 * that are written together are cheaper.
 */
import type { SqliteDatabase, SqliteStatement, SqliteValue } from './database.ts'

/** How many rows one call takes, the most first. Each number is a statement of its own. */
const sizes = [32, 8, 1] as const

export class ManyRows {
  readonly #statements: readonly SqliteStatement[]
  readonly #columns: number

  /** @param sqlOf The statement, given a row of parameters for each row such as `(?, ?), (?, ?)`. */
  constructor(db: SqliteDatabase, columns: number, sqlOf: (rows: string) => string) {
    const row = `(${Array(columns).fill('?').join(', ')})`
    this.#columns = columns
    this.#statements = sizes.map(size => db.prepare(sqlOf(Array(size).fill(row).join(', '))))
  }
  /** @param values Those of all rows, one row after the other. */
  run(values: readonly SqliteValue[]): void {
    let at = 0
    for (const [index, size] of sizes.entries()) {
      const length = size * this.#columns
      const statement = this.#statements[index] as SqliteStatement
      for (; values.length - at >= length; at += length) statement.run(values.slice(at, at + length))
    }
  }
}
