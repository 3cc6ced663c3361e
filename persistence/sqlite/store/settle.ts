/**
 * Ends runs, or returns their jobs, as the queue has decided, and stores what they leave for a later run.
 *
 * Each settle is a conditional write on the worker, the job and the fence of its claim. If it matches no row, the run
 * has lost its job: nothing changes, and the seq is reported as lost.
 */
import type { SettleKind } from '../../../lib/backlog.ts'
import type { Due } from '../../../lib/decisions/due.ts'
import { grantOf, startOfKey } from '../../../lib/decisions/grants.ts'
import type { Ending } from '../../durable/execute/moves.ts'
import type { RunNotices } from '../../durable/execute/run-reports.ts'
import { type LeftByRun, type SettledRun, type SettleStore, settleRun } from '../../durable/execute/settle.ts'
import type { ExchangeRequest, JobRow } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { CancelRequests } from '../tables/cancel-requests.ts'
import type { JobRows } from '../tables/job.ts'
import { type JobLocations, type MovingFields, startsFromText } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import { awaitingVerdict, hasLastRun } from '../tables/schema.ts'
import type { Limits } from './limits.ts'
import type { Suspects } from './suspects.ts'

/**
 * From this length of a range of plain endings on, one statement for all of them is cheaper than one for each. Without
 * it a job costs a third more.
 */
const minRangeLength = 3

export interface SettleParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly cancels: CancelRequests
  readonly suspects: Suspects
  readonly limits: Limits
}
type TakenRow = readonly [
  ...[attempt: number, crashes: number, flags: number, grant: number],
  ...[key: string | null, keyStart: number, ruleStarts: string | null],
]
interface Taken extends LeftByRun, Omit<MovingFields, 'priority' | 'attempt' | 'flags' | 'crashes'> {
  flags: number
  crashes: number
  readonly key: string | null
}

export class Settles implements SettleStore<QueueRow, Taken> {
  readonly limits: Limits
  readonly #parts: SettleParts
  readonly #take: SqliteStatement
  readonly #countRange: SqliteStatement
  readonly #takeRange: SqliteStatement
  readonly #dropRange: SqliteStatement
  readonly #markReported: SqliteStatement
  readonly #markReportedRange: SqliteStatement
  readonly #markCheckpoint: SqliteStatement
  readonly #addContinuingBody: SqliteStatement
  readonly #dropContinuingBody: SqliteStatement
  readonly #insertHold: SqliteStatement
  readonly #extendHold: SqliteStatement

  constructor(parts: SettleParts) {
    const { db } = parts
    this.#parts = parts
    this.limits = parts.limits
    this.#take = db
      .prepare(`
      delete from rdq_underway where worker = ? and queue = ? and seq = ? and fence = ?
      returning attempt, crashes, flags, grant, key, key_start, rule_starts`)
      .raw()
    const range = 'rdq_underway where worker = ? and queue = ? and seq between ? and ?'
    this.#countRange = db.prepare(`select count(*) from ${range} and fence = ? and flags = 0 and crashes = 0`).pluck()
    this.#takeRange = db.prepare(`delete from ${range}`)
    this.#dropRange = db.prepare('delete from rdq_job where seq between ? and ?')
    this.#markReported = db.prepare(`
      update rdq_underway set launched = 1 where worker = ? and queue = ? and seq = ? and fence = ?`)
    this.#markReportedRange = db.prepare(`
      update rdq_underway set launched = 1 where worker = ? and queue = ? and seq between ? and ? and fence = ?`)
    this.#markCheckpoint = db.prepare(`
      update rdq_underway set flags = flags | ${hasLastRun} where worker = ? and queue = ? and seq = ? and fence = ?`)
    this.#addContinuingBody = db.prepare(
      'insert or ignore into rdq_continuing_body (seq, worker, queue, key) values (?, ?, ?, ?)',
    )
    this.#dropContinuingBody = db.prepare('delete from rdq_continuing_body where seq = ? and worker = ?')
    this.#insertHold = db.prepare('insert into rdq_key_hold (queue, key, until_at) values (?, ?, ?)')
    this.#extendHold = db.prepare('update rdq_key_hold set until_at = max(until_at, ?) where queue = ? and key = ?')
  }

  /** Jobs that were claimed in succession take one statement. */
  markLaunchReported(queue: QueueRow, first: number, last: number, fence: number): number {
    const { worker } = this.#parts
    queue.dirty = true
    if (last > first) return this.#markReportedRange.run(worker, queue.queueId, first, last, fence).changes
    return this.#markReported.run(worker, queue.queueId, first, fence).changes
  }
  /** Bodies that outlived their jobs have ended. */
  endedBodies(seqs: readonly number[]): void {
    for (const seq of seqs) this.#dropContinuingBody.run(seq, this.#parts.worker)
  }
  saveCheckpoint(queue: QueueRow, seq: number, fence: number, value: string): boolean {
    const { worker, jobRows } = this.#parts
    if (this.#markCheckpoint.run(worker, queue.queueId, seq, fence).changes === 0) return false
    jobRows.saveCheckpoint(seq, value)
    queue.dirty = true
    return true
  }
  /** Settles all, in order. Plain endings take one statement for those of jobs in succession. */
  settle(queue: QueueRow, settled: ExchangeRequest['settled'], now: number, notices: RunNotices): void {
    const { seqs, fences, kinds, startedAt, stoppedAt } = settled
    const extrasAt = new Map(settled.extras)
    const dropsFinished = !(queue.keep.finishedMs > 0)
    const dropped: (readonly [seq: number, fence: number])[] = []
    for (let index = 0; index < seqs.length; index++) {
      const kind = kinds === undefined ? 'finished' : (kinds[index] as SettleKind)
      const seq = seqs[index] as number
      const fence = fences[index] as number
      const extras = extrasAt.size > 0 ? extrasAt.get(index) : undefined
      if (dropsFinished && extras === undefined && kind === 'finished') {
        dropped.push([seq, fence])
        continue
      }
      // Order matters, because of two endings of one run the first counts.
      if (dropped.length > 0) this.#finish(queue, dropped.splice(0), now, notices.lostRuns)
      const [startedWall, stoppedWall] = [startedAt[index] ?? null, stoppedAt[index] ?? null]
      settleRun(this, queue, { seq, fence, kind, startedWall, stoppedWall, extras }, now, notices)
    }
    if (dropped.length > 0) this.#finish(queue, dropped, now, notices.lostRuns)
  }

  // The operations of `settleRun`.
  take(queue: QueueRow, seq: number, fence: number): Taken | undefined {
    const row = this.#take.get(this.#parts.worker, queue.queueId, seq, fence) as TakenRow | undefined
    if (!row) return undefined
    queue.countMove('underway', undefined, 1)
    const [attempt, crashes, flags, start, key, keyStart, ruleStarts] = row
    const grant = grantOf(start, [...startOfKey(key, keyStart), ...startsFromText(ruleStarts)])
    return { seq, fence, attempt, crashes, flags: flags & ~awaitingVerdict, grant, key }
  }
  /** The handler's transaction may have been rolled back, so nothing may be cached. */
  isFinished(queue: QueueRow, seq: number, fence: number): boolean {
    const row = this.#parts.jobRows.row(queue, seq)
    return row === undefined || (row.state === 'finished' && row.fence === fence)
  }
  bodyContinues({ queueId }: QueueRow, { seq, key }: Taken): void {
    this.#addContinuingBody.run(seq, this.#parts.worker, queueId, key)
  }
  holdKey(queue: QueueRow, key: string, until: number): void {
    queue.dirty = true
    if (this.#extendHold.run(until, queue.queueId, key).changes > 0) return
    this.#insertHold.run(queue.queueId, key, until)
    queue.holds++
  }
  crashed(queue: QueueRow, job: Taken, crashes: number): void {
    if (job.crashes === 0 && crashes > 0) queue.suspects++
    job.crashes = crashes
  }
  crowded(now: number): void {
    this.#parts.suspects.line.crowded(now)
  }
  takeCancel(queue: QueueRow, { seq, fence }: Taken): { readonly reason: string | null } | undefined {
    return this.#parts.cancels.takeOfRun(queue, seq, fence)
  }
  keepError(_queue: QueueRow, job: Taken, { startedWall, stoppedWall, extras }: SettledRun): void {
    this.#parts.jobRows.saveError(job.seq, startedWall, stoppedWall, extras?.error ?? null)
    job.flags |= hasLastRun
  }
  wait(queue: QueueRow, job: Taken, now: number, due?: Due): void {
    const { locations } = this.#parts
    locations.wait(queue, { ...job, priority: locations.priority(job.seq) }, now, due)
  }
  end(queue: QueueRow, job: Taken, ending: Ending, now: number): void {
    this.#parts.locations.end(queue, job, ending, now)
  }
  endWithRow(queue: QueueRow, job: Taken, ending: Ending, now: number): JobRow | undefined {
    return this.#parts.jobRows.endWithRow(queue, job, ending, now)
  }

  // Plain endings: of finished jobs that are not kept.
  /**
   * Finished jobs that are not kept: the most common kind. Jobs that were put in succession mostly end in succession.
   */
  #finish(queue: QueueRow, dropped: (readonly [number, number])[], now: number, lost: Set<number>): void {
    dropped.sort(bySeq)
    for (let from = 0, to = 0; from < dropped.length; from = to) {
      const [first, fence] = dropped[from] as readonly [number, number]
      do to++
      while (to < dropped.length && dropped[to]?.[0] === first + to - from && dropped[to]?.[1] === fence)
      if (to - from >= minRangeLength && this.#finishRange(queue, first, to - from, fence)) continue
      for (let i = from; i < to; i++) this.#finishOne(queue, first + i - from, fence, now, lost)
    }
  }
  #finishRange(queue: QueueRow, first: number, length: number, fence: number): boolean {
    const { worker } = this.#parts
    const last = first + length - 1
    if (this.#countRange.get(worker, queue.queueId, first, last, fence) !== length) return false
    this.#takeRange.run(worker, queue.queueId, first, last)
    this.#dropRange.run(first, last)
    queue.countMove('underway', 'finished', length)
    return true
  }
  #finishOne(queue: QueueRow, seq: number, fence: number, now: number, lost: Set<number>): void {
    const { worker, locations } = this.#parts
    const row = this.#take.get(worker, queue.queueId, seq, fence) as TakenRow | undefined
    if (!row) {
      lost.add(seq)
      return
    }
    const [, crashes, flags] = row
    queue.countMove('underway', 'finished', 1)
    if (crashes > 0) queue.suspects--
    locations.drop(seq, flags, 'finished', now, queue.keep.idsMs)
  }
}

function bySeq(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0]
}
