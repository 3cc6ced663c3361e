/** The slots of the global width: how many bodies run in all processes. */
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from '../tables/queue.ts'
import { awaitingVerdict } from '../tables/schema.ts'

export class Slots {
  readonly #continuing: SqliteStatement
  readonly #awaiting: SqliteStatement

  constructor(db: SqliteDatabase) {
    this.#continuing = db.prepare('select count(*) from rdq_continuing_body where queue = ?').pluck()
    this.#awaiting = db
      .prepare(`select count(*) from rdq_underway where queue = ? and flags & ${awaitingVerdict} != 0`)
      .pluck()
  }
  /** How many bodies of the queue's jobs run in all processes, including those whose jobs have ended. */
  bodies({ queueId, counts }: QueueRow): number {
    const continuing = this.#continuing.get(queueId) as number
    // A job that awaits a verdict is underway, and its body ended with its process.
    return counts.underway + continuing - (this.#awaiting.get(queueId) as number)
  }
}
