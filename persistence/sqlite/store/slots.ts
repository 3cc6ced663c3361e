/** The slots of the global width: how many bodies run in all processes, and which processes wait for a slot. */
import type { StateCounts } from '../../../lib/backlog.ts'
import type { SlotWait } from '../../../lib/limits/global-width.ts'
import type { SlotStore } from '../../durable/execute/slots.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from '../tables/queue.ts'
import { awaitingVerdict } from '../tables/schema.ts'

export class Slots implements SlotStore<QueueRow> {
  readonly worker: number
  readonly #continuing: SqliteStatement
  readonly #awaiting: SqliteStatement
  readonly #waits: SqliteStatement
  readonly #saveWait: SqliteStatement
  readonly #dropWait: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.worker = worker
    this.#continuing = db.prepare('select count(*) from rdq_continuing_body where queue = ?').pluck()
    this.#awaiting = db
      .prepare(`select count(*) from rdq_underway where queue = ? and flags & ${awaitingVerdict} != 0`)
      .pluck()
    this.#waits = db.prepare('select worker, since, kept_since from rdq_slot_wait where queue = ?').raw()
    this.#saveWait = db.prepare(`
      insert or replace into rdq_slot_wait (queue, worker, since, kept_since) values (?, ?, ?, ?)`)
    this.#dropWait = db.prepare('delete from rdq_slot_wait where queue = ? and worker = ?')
  }
  bodies({ queueId, counts }: QueueRow): number {
    const continuing = this.#continuing.get(queueId) as number
    // A job that awaits a verdict is underway, and its body ended with its process.
    return counts.underway + continuing - (this.#awaiting.get(queueId) as number)
  }
  slotWaits({ queueId }: QueueRow): readonly SlotWait[] {
    const rows = this.#waits.all(queueId) as [number, number, number | null][]
    return rows.map(([worker, since, keptSince]) => ({ worker, since, keptSince: keptSince ?? undefined }))
  }
  saveSlotWait({ queueId }: QueueRow, { worker, since, keptSince }: SlotWait): void {
    this.#saveWait.run(queueId, worker as number, since, keptSince ?? null)
  }
  dropSlotWait({ queueId }: Pick<QueueRow, 'queueId'>, worker: SlotWait['worker']): void {
    this.#dropWait.run(queueId, worker as number)
  }
  counts(queue: QueueRow): StateCounts {
    return queue.count()
  }
}
