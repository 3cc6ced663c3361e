/**
 * The rows of jobs whose process died or gave them up, and of the verdicts that are still missing.
 *
 * durable/execute/recovery.ts decides what happens to each job; tables/crash-reports.ts stores crash reports. Whether a
 * worker is dead is decided by the caller, who has found the worker's lock free.
 */
import { maxRecovered, maxVerdicts } from '../../../lib/decisions/bounds.ts'
import type { CrashOutcome } from '../../../lib/decisions/crash-outcome.ts'
import type { Ending } from '../../durable/execute/moves.ts'
import { type DetachStore, type LeftByCrash, recoverJob } from '../../durable/execute/recovery.ts'
import type { JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { CancelRequests } from '../tables/cancel-requests.ts'
import type { CrashReports } from '../tables/crash-reports.ts'
import type { JobRows } from '../tables/job.ts'
import type { JobLocations, MovingFields } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { RuleTable } from '../tables/rule.ts'
import { awaitingVerdict, noWorker, unreportedLaunch } from '../tables/schema.ts'
import type { Workers } from '../tables/worker.ts'
import type { Slots } from './slots.ts'
import type { Suspects } from './suspects.ts'

export interface RecoveryParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly workers: Workers
  readonly cancels: CancelRequests
  readonly reports: CrashReports
  readonly rules: RuleTable
  readonly suspects: Suspects
  readonly slots: Slots
  /** `undo` is called if the transaction is rolled back. */
  onRollback(undo: () => void): void
}

/** A row of rdq_underway. */
type Row = readonly [
  ...[queue: number, seq: number, attempt: number, fence: number, crashes: number, flags: number, grant: number],
  ...[launchReported: number, alone: number, key: string | null, keyStart: number],
]

/** A job that has left its worker. */
interface Left extends Mutable<LeftByCrash>, Omit<MovingFields, 'priority' | 'attempt' | 'crashes' | 'flags'> {
  readonly from: number
  readonly grant: number
  readonly key: string | null
  readonly keyStart: number
  flags: number
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export class Recovery implements DetachStore<QueueRow, Left> {
  readonly #parts: RecoveryParts
  /** By queue with a handler here: the jobs for which its next exchange requests a verdict. */
  readonly #verdictsToRequest = new Map<number, number[]>()
  /** Queues that a recovery has changed, whose caller has not received the reply yet. */
  readonly #changed = new Set<number>()
  readonly #underwayOf: SqliteStatement
  readonly #underwayIn: SqliteStatement
  readonly #awaitingOf: SqliteStatement
  readonly #drop: SqliteStatement
  readonly #insert: SqliteStatement
  readonly #unrequested: SqliteStatement
  readonly #markRequested: SqliteStatement
  readonly #requestedBy: SqliteStatement

  constructor(parts: RecoveryParts) {
    const { db } = parts
    this.#parts = parts
    const row =
      'select queue, seq, attempt, fence, crashes, flags, grant, launched, alone, key, key_start from rdq_underway where worker = ?'
    this.#underwayOf = db.prepare(`${row} order by queue, seq ${limitParameter}`).raw()
    this.#underwayIn = db.prepare(`${row} and queue = ? order by seq ${limitParameter}`).raw()
    this.#awaitingOf = db
      .prepare(`${row} and queue = ? and flags & ${awaitingVerdict} != 0 order by seq ${limitParameter}`)
      .raw()
    this.#drop = db.prepare('delete from rdq_underway where worker = ? and queue = ? and seq = ?')
    this.#insert = db.prepare(`
      insert into rdq_underway (worker, queue, seq, attempt, fence, crashes, flags, grant, launched, alone, key, key_start,
        exchange)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`)
    const awaitingSince = (exchange: '?' | 0): string => `
      select seq from rdq_underway
      where worker = ? and queue = ? and exchange = ${exchange} and flags & ${awaitingVerdict} != 0`
    this.#unrequested = db.prepare(awaitingSince(0)).pluck()
    this.#markRequested = db.prepare('update rdq_underway set exchange = ? where worker = ? and queue = ? and seq = ?')
    this.#requestedBy = db.prepare(awaitingSince('?')).pluck()
  }

  /** Whether this process has a queue with a handler for that name, which can give verdicts. */
  isWorked(queue: number): boolean {
    return this.#verdictsToRequest.has(queue)
  }
  /** A restarted thread finds the verdicts that the thread before it was about to request. */
  attach(queue: QueueRow): void {
    const { queueId } = queue
    if (this.isWorked(queueId)) return
    this.#verdictsToRequest.set(queueId, this.#unrequested.all(this.#parts.worker, queueId) as number[])
    this.#parts.onRollback(() => void this.#verdictsToRequest.delete(queueId))
  }

  // The operations of `detach`.
  stopWorking({ queueId }: QueueRow): void {
    const { suspects, slots, rules, worker, onRollback } = this.#parts
    suspects.line.stops(queueId)
    slots.dropSlotWait({ queueId }, worker)
    rules.forgetWaits(worker, queueId)
    const wanted = this.#verdictsToRequest.get(queueId)
    if (wanted) onRollback(() => void this.#verdictsToRequest.set(queueId, wanted))
    this.#verdictsToRequest.delete(queueId)
  }
  acknowledge(queue: QueueRow, exchange: number): void {
    this.#parts.reports.acknowledge(queue, exchange)
  }
  abandonBodies({ queueId }: QueueRow): void {
    this.#parts.suspects.abandon(queueId)
  }
  *takeUnderway(queue: QueueRow, onlyAwaiting: boolean): Generator<Left> {
    const { worker } = this.#parts
    const statement = onlyAwaiting ? this.#awaitingOf : this.#underwayIn
    for (;;) {
      const rows = statement.all(worker, queue.queueId, maxRecovered) as Row[]
      for (const row of rows) yield this.#leave(queue, worker, row)
      if (rows.length < maxRecovered) return
    }
  }
  freeCrashReports(queue: QueueRow): void {
    this.#parts.reports.free(queue)
  }

  // Moving jobs from a dead worker.

  /**
   * Takes over some jobs of a dead worker, or of this one when it gives up all its jobs. Returns true while some are
   * left. A worker without jobs is unregistered, unless it is this one.
   *
   * @param mayRequestVerdicts Whether queues with a handler here may give verdicts.
   */
  takeOver(token: string, mayRequestVerdicts: boolean, now: number): boolean {
    const { workers, queues, worker } = this.#parts
    const from = workers.number(token)
    if (from === undefined) return false
    const rows = this.#underwayOf.all(from, maxRecovered) as Row[]
    for (const row of rows) {
      const queue = queues.get(row[0])
      if (!queue) throw new Error(`a job of queue ${row[0]} is underway, and this file has no such queue`)
      this.#decide(queue, from, row, mayRequestVerdicts && this.isWorked(queue.queueId), now)
      this.#changed.add(queue.queueId)
    }
    if (rows.length === maxRecovered) return true
    if (from !== worker) this.unregister(from)
    return false
  }
  /** The queues that {@link takeOver} has changed since the last call. It may have been interrupted in between. */
  takeChanged(): readonly number[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }
  /** The worker is gone, or has nothing to do here any more. Reports that it did not acknowledge are left to others. */
  unregister(worker: number): void {
    this.#parts.reports.freeAll(this.#parts.queues, worker)
    this.#parts.rules.forgetWaits(worker)
    this.#parts.workers.unregister(worker)
  }
  /**
   * Recovers jobs without a worker, for which there may be a queue that can give a verdict, or another policy by now.
   */
  recoverUnowned(queue: QueueRow, now: number): void {
    if (queue.unowned === 0 || !this.isWorked(queue.queueId)) return
    for (const row of this.#underwayIn.all(noWorker, queue.queueId, maxRecovered) as Row[]) {
      this.#decide(queue, noWorker, row, true, now)
    }
  }
  #decide(queue: QueueRow, from: number, row: Row, worksHere: boolean, now: number): void {
    recoverJob(this, queue, this.#leave(queue, from, row), worksHere, now)
  }
  #leave(queue: QueueRow, from: number, row: Row): Left {
    const [queueId, seq, attempt, fence, crashes, flags, grant, launchReported, alone, key, keyStart] = row
    this.#drop.run(from, queueId, seq)
    queue.countMove('underway', undefined, 1)
    if (from === noWorker) queue.unowned--
    return {
      ...{
        from,
        seq,
        attempt,
        fence,
        crashes,
        grant,
        key,
        keyStart,
        launchReported: launchReported === 1,
        alone: alone === 1,
      },
      flags: flags & ~awaitingVerdict,
      launchUnreported: (flags & unreportedLaunch) !== 0,
      awaitingVerdict: (flags & awaitingVerdict) !== 0,
    }
  }

  // The operations of `recoverJob`.
  takeCancel(queue: QueueRow, { from, seq }: Left): { readonly reason: string | null } | undefined {
    return this.#parts.cancels.take(queue, from, seq)
  }
  countCrash(queue: QueueRow, job: Left, { crashes, launchUnreported }: CrashOutcome): void {
    if (crashes > 0 && job.crashes === 0) queue.suspects++
    job.crashes = crashes
    if (launchUnreported) job.flags |= unreportedLaunch
  }
  awaitVerdict(queue: QueueRow, job: Left, isOwned: boolean): void {
    const { from, seq, attempt, fence, crashes, flags, grant, launchReported, alone, key, keyStart } = job
    const holder = isOwned ? this.#parts.worker : noWorker
    const facts = [crashes, flags | awaitingVerdict, grant, launchReported ? 1 : 0, alone ? 1 : 0, key, keyStart]
    this.#insert.run(holder, queue.queueId, seq, attempt, isOwned ? fence + 1 : fence, ...facts)
    queue.countMove(undefined, 'underway', 1)
    this.#parts.cancels.give(queue, seq, from, holder)
    if (isOwned) this.#noteVerdict(queue.queueId, seq)
    else queue.unowned++
  }
  wait(queue: QueueRow, job: Left, now: number): void {
    const { locations } = this.#parts
    locations.wait(queue, { ...job, priority: locations.priority(job.seq) }, now)
  }
  endWithRow(queue: QueueRow, job: Left, ending: Ending, now: number): JobRow | undefined {
    return this.#parts.jobRows.endWithRow(queue, job, ending, now)
  }
  reportCrash(queue: QueueRow, { seq, from }: Left, ended: JobRow | undefined): void {
    const { reports, worker } = this.#parts
    // Only this process can report the jobs that it gave up itself, as long as it lives.
    reports.add(queue, seq, ended, from === worker)
  }

  // Verdicts.

  #noteVerdict(queue: number, seq: number): void {
    const wanted = this.#verdictsToRequest.get(queue)
    wanted?.push(seq)
    this.#parts.onRollback(() => void wanted?.pop())
  }
  /** The jobs for which this exchange requests a verdict. This is recorded, in case the reply is lost. */
  requestVerdicts(queue: QueueRow, exchange: number): JobRow[] {
    const { worker, onRollback } = this.#parts
    const wanted = this.#verdictsToRequest.get(queue.queueId)
    const seqs = wanted?.splice(0, maxVerdicts) ?? []
    if (seqs.length === 0) return []
    onRollback(() => void wanted?.unshift(...seqs))
    for (const seq of seqs) this.#markRequested.run(exchange, worker, queue.queueId, seq)
    queue.dirty = true
    return this.rows(queue, seqs)
  }
  /** The jobs for which an earlier exchange requested a verdict. */
  verdictsRequestedIn(queue: QueueRow, exchange: number): JobRow[] {
    return this.rows(queue, this.#requestedBy.all(this.#parts.worker, queue.queueId, exchange) as number[])
  }
  rows(queue: QueueRow, jobs: readonly (number | JobRow)[]): JobRow[] {
    return jobs.flatMap(job => (typeof job === 'number' ? (this.#parts.jobRows.row(queue, job) ?? []) : job))
  }
}
