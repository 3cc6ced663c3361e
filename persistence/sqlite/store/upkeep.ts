/**
 * The housekeeping of each exchange, a bounded amount at a time: lets jobs come due and held keys expire, and sweeps out
 * cleared jobs.
 */

import { maxMadeReady, maxPruned, maxSwept } from '../../../lib/decisions/bounds.ts'
import { dueCheckAt } from '../../../lib/decisions/due.ts'
import type { JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement, type SqliteValue } from '../file/database.ts'
import type { GeneratedIds } from '../tables/generated-ids.ts'
import type { JobRows } from '../tables/job.ts'
import { dated, type JobLocations, type MovingFields, steady } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'

/** The delay until the next step, if jobs are left that are to be swept out. */
const sweepIntervalMs = 10

export interface UpkeepParts {
  readonly db: SqliteDatabase
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly generatedIds: GeneratedIds
  readonly readyRanges: ReadyRanges
}

type Row = readonly [
  ...[priority: number, seq: number, attempt: number, fence: number, crashes: number, flags: number],
  ...position: SqliteValue[],
]

export class Upkeep {
  readonly #locations: JobLocations
  readonly #jobRows: JobRows
  readonly #queues: QueueTable
  readonly #generatedIds: GeneratedIds
  readonly #readyRanges: ReadyRanges
  readonly #dueToReady: SqliteStatement
  readonly #leaveDelayed: SqliteStatement
  readonly #dueToSuspects: SqliteStatement
  readonly #leaveDelayedSuspects: SqliteStatement
  readonly #byKeyToSuspects: SqliteStatement
  readonly #leaveByKeySuspects: SqliteStatement
  readonly #firstDue: SqliteStatement
  readonly #expiredHolds: SqliteStatement
  readonly #byKeyToReady: SqliteStatement
  readonly #firstByKey: SqliteStatement
  readonly #leaveByKey: SqliteStatement
  readonly #dropHold: SqliteStatement
  readonly #nextHold: SqliteStatement
  readonly #oldEpochs: SqliteStatement
  readonly #inEpoch: readonly { readonly read: SqliteStatement; readonly leave: SqliteStatement }[]
  readonly #addCleared: SqliteStatement
  readonly #dropCleared: SqliteStatement

  constructor({ db, queues, locations, jobRows, generatedIds, readyRanges }: UpkeepParts) {
    this.#queues = queues
    this.#readyRanges = readyRanges
    this.#generatedIds = generatedIds
    this.#locations = locations
    this.#jobRows = jobRows
    const job = 'priority, seq, attempt, fence, crashes, flags'
    const dueJobs = (only = ''): string =>
      `rdq_delayed where epoch = ? and clock = ? and due <= ?${only} order by due, seq ${limitParameter}`
    const due = dueJobs()
    const dueSuspects = dueJobs(' and crashes > 0')
    this.#dueToReady = db.prepare(`insert into rdq_ready (epoch, ${job}) select epoch, ${job} from ${due}`)
    this.#leaveDelayed = db.prepare(`delete from rdq_delayed where seq in (select seq from ${due})`)
    const toSuspects = `insert into rdq_suspect (seq, epoch, since, priority, attempt, fence, crashes, flags)
      select seq, epoch, ?, priority, attempt, fence, crashes, flags`
    this.#dueToSuspects = db.prepare(`${toSuspects} from ${dueSuspects}`)
    this.#leaveDelayedSuspects = db.prepare(`delete from rdq_delayed where seq in (select seq from ${dueSuspects})`)
    this.#firstDue = db.prepare('select min(due) from rdq_delayed where epoch = ? and clock = ?').pluck()
    this.#expiredHolds = db
      .prepare(`select key from rdq_key_hold where queue = ? and until_at <= ? ${limitParameter}`)
      .pluck()
    const pendingByKey = 'rdq_pending_by_key where epoch = ? and key = ?'
    this.#firstByKey = db
      .prepare(`select priority, seq from ${pendingByKey} order by priority, seq limit 1 offset ?`)
      .raw()
    this.#byKeyToReady = db.prepare(`
      insert into rdq_ready (epoch, ${job}) select epoch, ${job} from ${pendingByKey} order by priority, seq ${limitParameter}`)
    this.#byKeyToSuspects = db.prepare(`${toSuspects} from ${pendingByKey} and crashes > 0`)
    this.#leaveByKeySuspects = db.prepare(`delete from ${pendingByKey} and crashes > 0`)
    this.#leaveByKey = db.prepare(`delete from ${pendingByKey} and (priority, seq) < (?, ?)`)
    this.#dropHold = db.prepare('delete from rdq_key_hold where queue = ? and key = ?')
    this.#nextHold = db
      .prepare(`select min(until_at) from rdq_key_hold h where queue = ? and until_at > ?
        and exists (select 1 from rdq_pending_by_key j where j.epoch = ? and j.key = h.key)`)
      .pluck()
    this.#oldEpochs = db
      .prepare('select epoch, cleared_at, cleared_wall, reason from rdq_cleared_epoch where queue = ? order by epoch')
      .raw()
    this.#inEpoch = [
      ['rdq_ready', 'priority, seq'],
      ['rdq_pending_by_key', 'key, priority, seq'],
      ['rdq_delayed', 'clock, due, seq'],
      ['rdq_suspect', 'crashes, priority, seq'],
    ].map(([table, order = '']) => ({
      read: db
        .prepare(`select ${job}, ${order} from ${table} where epoch = ? order by ${order} ${limitParameter}`)
        .raw(),
      // A range of the table's key, so that sweeping costs the same however much is left.
      leave: db.prepare(`
        delete from ${table} where epoch = ? and (${order}) <= (${parametersFor(order)})`),
    }))
    this.#addCleared = db.prepare(`
      insert into rdq_cleared_epoch (epoch, queue, cleared_at, cleared_wall, reason) values (?, ?, ?, ?, ?)`)
    this.#dropCleared = db.prepare('delete from rdq_cleared_epoch where epoch = ?')
  }

  /** Makes ready the jobs that came due, and those of keys no longer held. Returns whether more of a key are left. */
  makeReady(queue: QueueRow, now: number, wall: number): boolean {
    const { counts, epoch } = queue
    for (const [clock, at] of [
      [steady, now],
      [dated, wall],
    ] as const) {
      if (counts.delayed === 0) break
      if (queue.suspects > 0) this.#makeSuspectsReady(queue, clock, at, now)
      const { changes } = this.#dueToReady.run(epoch, clock, at, maxMadeReady)
      if (changes === 0) continue
      this.#leaveDelayed.run(epoch, clock, at, maxMadeReady)
      queue.countMove('delayed', 'pending', changes)
    }
    return this.#endHolds(queue, now)
  }
  #makeSuspectsReady(queue: QueueRow, clock: number, at: number, now: number): void {
    const { changes } = this.#dueToSuspects.run(now, queue.epoch, clock, at, maxMadeReady)
    if (changes === 0) return
    this.#leaveDelayedSuspects.run(queue.epoch, clock, at, maxMadeReady)
    queue.countMove('delayed', 'pending', changes)
  }
  #endHolds(queue: QueueRow, now: number): boolean {
    if (queue.holds === 0) return false
    const { queueId, epoch } = queue
    let remaining = maxMadeReady
    const keys = this.#expiredHolds.all(queueId, now, maxMadeReady) as string[]
    for (const key of keys) {
      if (remaining <= 0) return true
      // The jobs of a sorted queue wait by key anyway, and the next claim looks at this key again.
      if (queue.sorted) {
        this.#dropHold.run(queueId, key)
        queue.holds--
        queue.dirty = true
        continue
      }
      if (queue.suspects > 0 && this.#byKeyToSuspects.run(now, epoch, key).changes > 0) {
        this.#leaveByKeySuspects.run(epoch, key)
      }
      const { changes } = this.#byKeyToReady.run(epoch, key, remaining)
      const rest = this.#firstByKey.get(epoch, key, changes) as [number, number] | undefined
      if (changes > 0) this.#leaveByKey.run(epoch, key, ...(rest ?? ([Infinity, 0] as const)))
      remaining -= changes
      queue.dirty = true
      if (rest) return true
      this.#dropHold.run(queueId, key)
      queue.holds--
    }
    return keys.length === maxMadeReady
  }
  /** Forgets the locations of generated ids whose jobs are gone. */
  pruneGeneratedIds(queue: QueueRow, ended: number, now: number): void {
    if (this.#generatedIds.prune(queue, maxPruned + ended, now)) queue.dirty = true
  }
  /** When the next job comes due or a key's hold ends. */
  nextLook(queue: QueueRow, now: number, wall: number): number {
    let next = Infinity
    if (queue.counts.delayed > 0) {
      next = (this.#firstDue.get(queue.epoch, steady) as number | null) ?? Infinity
      const first = this.#firstDue.get(queue.epoch, dated) as number | null
      if (first !== null) next = Math.min(next, dueCheckAt({ clock: 'wall', at: first }, now, wall))
    }
    if (queue.holds > 0) {
      next = Math.min(next, (this.#nextHold.get(queue.queueId, now, queue.epoch) as number | null) ?? Infinity)
    }
    if (queue.cleared > 0) next = Math.min(next, now + sweepIntervalMs)
    return next
  }

  /**
   * Cancels all waiting jobs at once, however many: the queue gets a new epoch, and jobs of the old one count as
   * cancelled from now on. Names the jobs if they are not too many.
   */
  clear(
    queue: QueueRow,
    reason: string | null,
    now: number,
    wall: number,
  ): { count: number; changed: readonly JobRow[] } {
    const { counts, epoch, queueId } = queue
    const few = counts.pending + counts.delayed <= maxMadeReady
    if (few) queue.countMove('pending', undefined, this.#readyRanges.unroll(epoch, maxMadeReady))
    const count = counts.pending + counts.delayed
    if (count === 0) return { count, changed: [] }
    const seqs = few ? this.#inOrder(epoch).map(([, seq]) => seq) : []
    queue.epoch = this.#queues.newEpoch()
    queue.cleared++
    queue.countMove('pending', 'cancelled', counts.pending)
    queue.countMove('delayed', 'cancelled', counts.delayed)
    this.#addCleared.run(epoch, queueId, now, wall, reason)
    const changed = seqs.flatMap(seq => this.#jobRows.row(queue, seq) ?? [])
    if (few) this.sweep(queue, maxMadeReady)
    return { count, changed }
  }
  #inOrder(epoch: number): Row[] {
    const rows = this.#inEpoch.flatMap(({ read }) => read.all(epoch, maxMadeReady) as Row[])
    return rows.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  }
  /** Writes the endings of cleared jobs, which count as cancelled already. */
  sweep(queue: QueueRow, most: number = maxSwept): void {
    if (queue.cleared === 0) return
    let remaining = most
    for (const [epoch, at, stoppedWall, error] of this.#oldEpochs.all(queue.queueId) as [
      number,
      number,
      number,
      string | null,
    ][]) {
      const ending = { state: 'cancelled', startedWall: null, stoppedWall, error, value: null } as const
      queue.countMove('cancelled', undefined, this.#readyRanges.unroll(epoch, remaining))
      for (const { read, leave } of this.#inEpoch) {
        if (remaining <= 0) return
        const rows = read.all(epoch, remaining) as Row[]
        if (rows.length === 0) continue
        leave.run(epoch, ...positionOf(rows.at(-1) as Row))
        // They were counted when they were cleared.
        queue.countMove('cancelled', undefined, rows.length)
        for (const row of rows) this.#locations.end(queue, movingFieldsOf(row), ending, at)
        remaining -= rows.length
      }
      if (remaining <= 0) return
      this.#dropCleared.run(epoch)
      queue.cleared--
      queue.dirty = true
    }
  }
}

/** One parameter for each of these columns. */
function parametersFor(columns: string): string {
  return columns
    .split(', ')
    .map(() => '?')
    .join(', ')
}
/** The position of a row in the order of its table. */
function positionOf([, , , , , , ...position]: Row): SqliteValue[] {
  return position
}
function movingFieldsOf([priority, seq, attempt, fence, crashes, flags]: Row): MovingFields {
  return { seq, priority, attempt, fence, crashes, flags }
}
