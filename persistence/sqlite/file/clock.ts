/**
 * The file's own steady clock. All instants in the file use it, except those of the wall clock.
 *
 * A host's steady clock starts again at each boot, so the file continues from its last instant. Within one boot its
 * clock advances with the host's, however the wall clock jumps; over a reboot it advances by the elapsed wall time, and
 * never goes back. So no row has to be converted, and neither delays nor the starts that a rate remembers are lost or
 * counted twice.
 */
import type { SqliteDatabase, SqliteStatement } from './database.ts'

export class FileClock {
  readonly #boot: string
  readonly #read: SqliteStatement
  readonly #write: SqliteStatement
  readonly #last: SqliteStatement
  #aheadMs = 0
  #aligned = false

  constructor(db: SqliteDatabase, boot: string) {
    this.#boot = boot
    this.#read = db.prepare('select value from rdq_meta where key = ?').pluck()
    this.#write = db.prepare('insert or replace into rdq_meta (key, value) values (?, ?)')
    this.#last = db.prepare('select seen_at, seen_wall from rdq_queue order by seen_at desc limit 1').raw()
  }
  /** Call this within the write transaction, before its first instant is converted. */
  align(now: number, wall: number): void {
    if (this.#aligned) return
    if (this.#read.get('boot') === this.#boot) this.#aheadMs = Number(this.#read.get('ahead_ms'))
    else {
      const last = this.#last.get() as [number, number] | undefined
      // Whole milliseconds, rounded down: jobs may wait a little longer, and conversions stay exact.
      if (last) this.#aheadMs = Math.floor(last[0] + Math.max(0, wall - last[1]) - now)
      this.#write.run('boot', this.#boot)
      this.#write.run('ahead_ms', this.#aheadMs)
    }
    this.#aligned = true
  }
  /** After a rollback the values that `align` wrote are gone. */
  forget(): void {
    this.#aligned = false
    this.#aheadMs = 0
  }
  toFile(now: number): number {
    return now + this.#aheadMs
  }
  fromFile(at: number): number {
    return at - this.#aheadMs
  }
}
