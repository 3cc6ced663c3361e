/**
 * Crash recovery: what happens to jobs whose process died or gave them up, and who is notified.
 *
 * | outcome               | the job                                       | who is notified                                          |
 * | --------------------- | --------------------------------------------- | -------------------------------------------------------- |
 * | `waits`               | goes back, and its attempt counts as not used | by a crash report: the next queue with a handler         |
 * | `cancelled`, `failed` | ends                                          | the same; the report contains the job as it ended        |
 * | `asks`                | is underway here, with a raised fence         | the queue here: its next exchange asks for a verdict     |
 * | `leaves`              | is underway, held by worker 0                 | the next queue with a handler, which decides anew        |
 *
 * lib/rules/crash-outcome.ts decides the outcome of a job; tables/crash-reports.ts stores crash reports. Whether a
 * worker is dead is decided by the caller, who has found the worker's lock free.
 */
import { PoisonError } from '../../../lib/errors.ts'
import { crashOutcome } from '../../../lib/rules/crash-outcome.ts'
import { attemptAfter } from '../../../lib/rules/transitions.ts'
import type { JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { CrashReports } from '../tables/crash-reports.ts'
import { errorText, type JobRows } from '../tables/job.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import { awaitingVerdict, launchUnknown } from '../tables/schema.ts'
import type { Workers } from '../tables/worker.ts'

/** Worker 0 holds jobs for which no queue can give a verdict yet. */
const nobody = 0
/** How many jobs one transaction takes over, and one exchange takes from worker 0. */
export const maxRecovered = 500
/** How many verdicts one exchange requests. */
const maxVerdicts = 500

export interface RecoveryParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly workers: Workers
  readonly reports: CrashReports
  /** `undo` is called if the transaction is rolled back. */
  onRollback(undo: () => void): void
}

/** A row of rdq_underway. */
type Row = readonly [
  ...[queue: number, seq: number, attempt: number, fence: number, crashes: number, flags: number, start: number],
  ...[launched: number, alone: number],
]

export class Recovery {
  readonly #parts: RecoveryParts
  /** By queue with a handler here: the jobs for which its next exchange requests a verdict. */
  readonly #verdictsWanted = new Map<number, number[]>()
  /** Queues that a recovery has changed, whose caller has not received the reply yet. */
  readonly #changed = new Set<number>()
  readonly #heldBy: SqliteStatement
  readonly #heldOf: SqliteStatement
  readonly #awaitingOf: SqliteStatement
  readonly #drop: SqliteStatement
  readonly #hold: SqliteStatement
  readonly #takeCancel: SqliteStatement
  readonly #leaveCancel: SqliteStatement
  readonly #unasked: SqliteStatement
  readonly #markAsked: SqliteStatement
  readonly #askedAt: SqliteStatement

  constructor(parts: RecoveryParts) {
    const { db } = parts
    this.#parts = parts
    const row =
      'select queue, seq, attempt, fence, crashes, flags, start, launched, alone from rdq_underway where worker = ?'
    this.#heldBy = db.prepare(`${row} order by queue, seq ${limitParameter}`).raw()
    this.#heldOf = db.prepare(`${row} and queue = ? order by seq ${limitParameter}`).raw()
    this.#awaitingOf = db
      .prepare(`${row} and queue = ? and flags & ${awaitingVerdict} != 0 order by seq ${limitParameter}`)
      .raw()
    this.#drop = db.prepare('delete from rdq_underway where worker = ? and queue = ? and seq = ?')
    this.#hold = db.prepare(`
      insert into rdq_underway (worker, queue, seq, attempt, fence, crashes, flags, start, launched, alone, turn)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`)
    this.#takeCancel = db
      .prepare('delete from rdq_cancel_request where worker = ? and queue = ? and seq = ? returning reason')
      .raw()
    this.#leaveCancel = db.prepare(
      `update or replace rdq_cancel_request set worker = ${nobody} where worker = ? and queue = ? and seq = ?`,
    )
    const awaiting = `rdq_underway where worker = ? and queue = ? and turn = ? and flags & ${awaitingVerdict} != 0`
    this.#unasked = db.prepare(`select seq from ${awaiting.replace('turn = ?', 'turn = 0')}`).pluck()
    this.#markAsked = db.prepare('update rdq_underway set turn = ? where worker = ? and queue = ? and seq = ?')
    this.#askedAt = db.prepare(`select seq from ${awaiting}`).pluck()
  }

  // Whether this process has a queue with a handler for that name, so that it can be asked for verdicts.

  isWorked(queue: number): boolean {
    return this.#verdictsWanted.has(queue)
  }
  /** A restarted thread finds the verdicts that the thread before it was about to request. */
  begin(queue: QueueRow): void {
    const { queueId } = queue
    if (this.isWorked(queueId)) return
    this.#verdictsWanted.set(queueId, this.#unasked.all(this.#parts.worker, queueId) as number[])
    this.#parts.onRollback(() => void this.#verdictsWanted.delete(queueId))
  }
  /**
   * The queue is gone: its jobs go back, except those of bodies that it abandons, and its reports are left to the next
   * queue.
   */
  end(queue: QueueRow, acknowledged: number, abandons: boolean, now: number): void {
    const { reports, worker, onRollback } = this.#parts
    const wanted = this.#verdictsWanted.get(queue.queueId)
    if (wanted) onRollback(() => void this.#verdictsWanted.set(queue.queueId, wanted))
    this.#verdictsWanted.delete(queue.queueId)
    reports.acknowledge(queue, acknowledged)
    reports.free(queue)
    const held = abandons ? this.#awaitingOf : this.#heldOf
    for (;;) {
      const rows = held.all(worker, queue.queueId, maxRecovered) as Row[]
      for (const row of rows) this.#release(queue, row, now)
      if (rows.length < maxRecovered) return
    }
  }
  #release(queue: QueueRow, row: Row, now: number): void {
    const { worker } = this.#parts
    const [queueId, seq, attempt, fence, crashes, flags, ...claim] = row
    this.#drop.run(worker, queueId, seq)
    queue.dirty = true
    if ((flags & awaitingVerdict) === 0) return this.#wait(queue, { seq, attempt, fence, crashes, flags }, now)
    this.#hold.run(nobody, queueId, seq, attempt, fence, crashes, flags, ...claim)
    this.#leaveCancel.run(worker, queueId, seq)
    queue.orphans++
  }

  // Moving jobs from a dead worker.

  /**
   * Takes over some jobs of a dead worker, or of this one when it gives up everything it holds. Returns true while some
   * are left. A worker that holds nothing any more is unregistered, unless it is this one.
   *
   * @param mayAsk Whether queues with a handler here may be asked for verdicts.
   */
  takeOver(token: string, mayAsk: boolean, now: number): boolean {
    const { workers, queues, worker } = this.#parts
    const from = workers.number(token)
    if (from === undefined) return false
    const rows = this.#heldBy.all(from, maxRecovered) as Row[]
    for (const row of rows) {
      const queue = queues.get(row[0])
      if (!queue) throw new Error(`a job of queue ${row[0]} is underway, and this file has no such queue`)
      this.#decide(queue, from, row, mayAsk && this.isWorked(queue.queueId), now)
      this.#changed.add(queue.queueId)
    }
    if (rows.length === maxRecovered) return true
    if (from !== worker) this.strikeOff(from)
    return false
  }
  /** The queues that {@link takeOver} has changed since the last call. It may have been interrupted in between. */
  takeChanged(): readonly number[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }
  /** The worker is gone, or has nothing to do here any more. Reports that it did not acknowledge are left to others. */
  strikeOff(worker: number): void {
    this.#parts.reports.freeAll(this.#parts.queues, worker)
    this.#parts.workers.unregister(worker)
  }
  /**
   * Takes up the jobs of worker 0, for which there may be a queue that can give a verdict, or another policy by now.
   */
  takeUp(queue: QueueRow, now: number): void {
    if (queue.orphans === 0 || !this.isWorked(queue.queueId)) return
    for (const row of this.#heldOf.all(nobody, queue.queueId, maxRecovered) as Row[]) {
      this.#decide(queue, nobody, row, true, now)
    }
  }
  #decide(queue: QueueRow, from: number, row: Row, worksHere: boolean, now: number): void {
    const { worker, reports } = this.#parts
    const [queueId, seq, attempt, fence, crashed, flagged, start, launched, alone] = row
    this.#drop.run(from, queueId, seq)
    queue.dirty = true
    if (from === nobody) queue.orphans--
    const cancel = this.#takeCancel.get(from, queueId, seq) as [reason: string | null] | undefined
    const job = {
      ...{ crashes: crashed, launched: launched === 1, alone: alone === 1 },
      ...{ launchUnreported: (flagged & launchUnknown) !== 0, awaitingVerdict: (flagged & awaitingVerdict) !== 0 },
    }
    const { kind, crashes, launchUnreported } = crashOutcome(job, queue, {
      cancelRequested: cancel !== undefined,
      worksHere,
    })
    if (crashes > 0 && crashed === 0) queue.suspects++
    const flags = (flagged & ~awaitingVerdict) | (launchUnreported ? launchUnknown : 0)
    const carried = { seq, attempt, fence, crashes, flags }
    let ended: JobRow | undefined
    switch (kind) {
      case 'asks':
      case 'leaves': {
        const holder = kind === 'asks' ? worker : nobody
        const raised = kind === 'asks' ? fence + 1 : fence
        const ranAlone = alone === 1 ? 1 : 0
        this.#hold.run(
          holder,
          queueId,
          seq,
          attempt,
          raised,
          crashes,
          flags | awaitingVerdict,
          start,
          launched,
          ranAlone,
        )
        if (kind === 'asks') this.#wantVerdict(queueId, seq)
        else queue.orphans++
        return
      }
      case 'waits':
        this.#wait(queue, carried, now)
        break
      case 'cancelled':
      case 'failed':
        ended = this.#endJob(queue, carried, kind, cancel ? cancel[0] : errorText(new PoisonError(crashes)), now)
        break
      default:
        kind satisfies never
    }
    // Only this process can report the jobs that it gave up itself, as long as it lives.
    reports.add(queue, seq, ended, from === worker)
  }
  #wait(queue: QueueRow, job: Carried, now: number): void {
    const { locations } = this.#parts
    queue.counts.underway--
    // A job that awaited its verdict has run, so an attempt was counted.
    const attempt = Math.max(attemptAfter('interrupted', job.attempt), 0)
    locations.wait(queue, { ...job, attempt, priority: locations.priority(job.seq) }, now)
  }
  /** Ends a job. Returns it as it ended, because it may be forgotten at once. */
  #endJob(
    queue: QueueRow,
    job: Carried,
    state: 'cancelled' | 'failed',
    error: string | null,
    now: number,
  ): JobRow | undefined {
    const { locations, jobRows } = this.#parts
    queue.counts.underway--
    const ending = { state, startedWall: null, stoppedWall: null, error, value: null } as const
    const body = jobRows.body(queue, job.seq)
    const row = body && jobRows.rowOf(body, { ...job, priority: body.priority, state, ending })
    locations.end(queue, job, ending, now)
    return row
  }

  // Verdicts.

  #wantVerdict(queue: number, seq: number): void {
    const wanted = this.#verdictsWanted.get(queue)
    wanted?.push(seq)
    this.#parts.onRollback(() => void wanted?.pop())
  }
  /** The jobs for which this turn requests a verdict. This is recorded, in case the reply is lost. */
  askForVerdicts(queue: QueueRow, turn: number): JobRow[] {
    const { worker, onRollback } = this.#parts
    const wanted = this.#verdictsWanted.get(queue.queueId)
    const seqs = wanted?.splice(0, maxVerdicts) ?? []
    if (seqs.length === 0) return []
    onRollback(() => void wanted?.unshift(...seqs))
    for (const seq of seqs) this.#markAsked.run(turn, worker, queue.queueId, seq)
    queue.dirty = true
    return this.rows(queue, seqs)
  }
  /** The jobs for which an earlier turn requested a verdict. */
  askedAt(queue: QueueRow, turn: number): JobRow[] {
    return this.rows(queue, this.#askedAt.all(this.#parts.worker, queue.queueId, turn) as number[])
  }
  rows(queue: QueueRow, jobs: readonly (number | JobRow)[]): JobRow[] {
    return jobs.flatMap(job => (typeof job === 'number' ? (this.#parts.jobRows.row(queue, job) ?? []) : job))
  }
}

interface Carried {
  readonly seq: number
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly flags: number
}
