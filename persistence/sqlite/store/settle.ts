/**
 * Ends runs, or returns their jobs, as the queue has decided, and stores what they leave for a later run.
 *
 * Each settle is a conditional write on the worker, the job and the fence of its claim. If it matches no row, the run
 * has lost its job: nothing changes, and the seq is reported as lost.
 */
import type { SettleKind } from '../../../lib/backlog.ts'
import { dueOf } from '../../../lib/rules/due.ts'
import { attemptAfter, dueAfter, freesStart, transitionOf } from '../../../lib/rules/transitions.ts'
import type { ExchangeRequest, JobRow, SettleExtras } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { JobRows } from '../tables/job.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import { awaitingVerdict, noted } from '../tables/schema.ts'
import type { Suspects } from './suspects.ts'

/** From this length of a run of plain endings on, one statement for all of them is cheaper than one for each. */
const minRunLength = 3

export interface SettleParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly rateLog: RateLog
  readonly suspects: Suspects
}
type Left = readonly [attempt: number, crashes: number, flags: number, start: number]

export class Settles {
  readonly #parts: SettleParts
  readonly #take: SqliteStatement
  readonly #countRun: SqliteStatement
  readonly #takeRun: SqliteStatement
  readonly #dropRun: SqliteStatement
  readonly #begun: SqliteStatement
  readonly #begunMany: SqliteStatement
  readonly #mark: SqliteStatement
  readonly #takeCancelRequest: SqliteStatement
  readonly #addContinuingBody: SqliteStatement
  readonly #closed: SqliteStatement
  readonly #hold: SqliteStatement
  readonly #holdLonger: SqliteStatement

  constructor(parts: SettleParts) {
    const { db } = parts
    this.#parts = parts
    this.#take = db
      .prepare(`
      delete from rdq_underway where worker = ? and queue = ? and seq = ? and fence = ?
      returning attempt, crashes, flags, start`)
      .raw()
    const run = 'rdq_underway where worker = ? and queue = ? and seq between ? and ?'
    this.#countRun = db.prepare(`select count(*) from ${run} and fence = ? and flags = 0 and crashes = 0`).pluck()
    this.#takeRun = db.prepare(`delete from ${run}`)
    this.#dropRun = db.prepare('delete from rdq_job where seq between ? and ?')
    this.#begun = db.prepare(`
      update rdq_underway set launched = 1 where worker = ? and queue = ? and seq = ? and fence = ?`)
    this.#begunMany = db.prepare(`
      update rdq_underway set launched = 1 where worker = ? and queue = ? and seq between ? and ? and fence = ?`)
    this.#mark = db.prepare(`
      update rdq_underway set flags = flags | ${noted} where worker = ? and queue = ? and seq = ? and fence = ?`)
    this.#takeCancelRequest = db
      .prepare(`
      delete from rdq_cancel_request where worker = ? and queue = ? and seq = ? and fence = ? returning reason`)
      .raw()
    this.#addContinuingBody = db.prepare('insert or ignore into rdq_continuing_body (seq, worker) values (?, ?)')
    this.#closed = db.prepare('delete from rdq_continuing_body where seq = ? and worker = ?')
    this.#hold = db.prepare('insert into rdq_key_hold (queue, key, until_at) values (?, ?, ?)')
    this.#holdLonger = db.prepare('update rdq_key_hold set until_at = max(until_at, ?) where queue = ? and key = ?')
  }

  /**
   * Launched bodies: from here on a crash counts against their jobs. Jobs that were claimed in succession take one
   * statement.
   */
  launchReports(queue: QueueRow, { seqs, fences, first }: ExchangeRequest['launchReports'], lost: Set<number>): void {
    const { worker } = this.#parts
    for (let from = 0, to = 0; from < seqs.length; from = to) {
      const [seq, fence] = [seqs[from] as number, fences[from] as number]
      do to++
      while (!first[from] && !first[to] && seqs[to] === seq + to - from && fences[to] === fence)
      const last = seq + to - from - 1
      if (last > seq) this.#begunMany.run(worker, queue.queueId, seq, last, fence)
      else if (this.#begun.run(worker, queue.queueId, seq, fence).changes === 0 && first[from]) lost.add(seq)
    }
    if (seqs.length > 0) queue.dirty = true
  }
  /** Bodies that outlived their jobs have ended. */
  endedBodies(seqs: readonly number[]): void {
    for (const seq of seqs) this.#closed.run(seq, this.#parts.worker)
  }
  /** Stores the checkpoints of runs for later runs. */
  checkpoints(queue: QueueRow, checkpoints: ExchangeRequest['checkpoints'], lost: Set<number>): void {
    const { worker, jobRows } = this.#parts
    for (const { seq, fence, value } of checkpoints) {
      if (this.#mark.run(worker, queue.queueId, seq, fence).changes === 0) lost.add(seq)
      else {
        jobRows.noteCheckpoint(seq, value)
        queue.dirty = true
      }
    }
  }
  /**
   * Settles all, in order. `ended` receives the jobs that went back but whose cancel had been requested; `within` those
   * whose handler had recorded the ending itself.
   */
  settle(
    queue: QueueRow,
    settled: ExchangeRequest['settled'],
    now: number,
    lost: Set<number>,
    within: number[],
    ended: JobRow[],
  ): void {
    const { seqs, fences, kinds, startedAt, stoppedAt } = settled
    const more = new Map(settled.more)
    const dropsFinished = !(queue.keep.finishedMs > 0)
    if (kinds === undefined && more.size === 0 && dropsFinished && this.#finishAll(queue, seqs, fences)) return
    const plain: (readonly [seq: number, fence: number])[] = []
    for (let index = 0; index < seqs.length; index++) {
      const kind = kinds === undefined ? 'finished' : (kinds[index] as SettleKind)
      const seq = seqs[index] as number
      const fence = fences[index] as number
      const extra = more.size > 0 ? more.get(index) : undefined
      if (dropsFinished && extra === undefined && kind === 'finished') {
        plain.push([seq, fence])
        continue
      }
      // Order matters, because of two endings of one run the first counts.
      if (plain.length > 0) this.#finish(queue, plain.splice(0), now, lost)
      const left = this.#take.get(this.#parts.worker, queue.queueId, seq, fence) as Left | undefined
      if (!left) {
        if (extra?.within && this.#finishedWithin(queue, seq, fence)) within.push(seq)
        else lost.add(seq)
        continue
      }
      queue.counts.underway--
      queue.dirty = true
      const times = [startedAt[index] ?? null, stoppedAt[index] ?? null] as const
      const { end } = transitionOf(kind)
      if (end !== undefined) {
        const ending = { state: end, startedWall: times[0], stoppedWall: times[1] }
        const texts = { error: extra?.error ?? null, value: extra?.value ?? null }
        const [attempt, crashes, flags] = left
        if (extra?.grant !== undefined) this.#parts.rateLog.changing(queue).refund(extra.grant)
        if (extra?.bodyContinues) this.#addContinuingBody.run(seq, this.#parts.worker)
        this.#parts.locations.end(queue, { seq, attempt, fence, crashes, flags }, { ...ending, ...texts }, now)
      } else this.#goBack(queue, seq, fence, kind, left, extra ?? {}, times, now, ended)
    }
    if (plain.length > 0) this.#finish(queue, plain, now, lost)
  }
  /**
   * Whether the handler's own transaction has recorded the ending. It may have been rolled back, so nothing may be
   * cached.
   */
  #finishedWithin(queue: QueueRow, seq: number, fence: number): boolean {
    const row = this.#parts.jobRows.row(queue, seq)
    return row === undefined || (row.state === 'finished' && row.fence === fence)
  }
  /** All are plain endings whose seqs have no gap, as with quick handlers. */
  #finishAll(queue: QueueRow, seqs: readonly number[], fences: readonly number[]): boolean {
    const [first, fence] = [seqs[0], fences[0]]
    if (seqs.length < minRunLength || first === undefined || fence === undefined) return false
    for (let i = 1; i < seqs.length; i++) if (seqs[i] !== first + i || fences[i] !== fence) return false
    return this.#finishRun(queue, first, seqs.length, fence)
  }
  /**
   * Finished jobs that are not kept: the most common kind. Jobs that were put in succession mostly end in succession.
   */
  #finish(queue: QueueRow, plain: (readonly [number, number])[], now: number, lost: Set<number>): void {
    plain.sort(bySeq)
    for (let from = 0, to = 0; from < plain.length; from = to) {
      const [first, fence] = plain[from] as readonly [number, number]
      do to++
      while (to < plain.length && plain[to]?.[0] === first + to - from && plain[to]?.[1] === fence)
      if (to - from >= minRunLength && this.#finishRun(queue, first, to - from, fence)) continue
      for (let i = from; i < to; i++) this.#finishOne(queue, first + i - from, fence, now, lost)
    }
  }
  #finishRun(queue: QueueRow, first: number, length: number, fence: number): boolean {
    const { worker } = this.#parts
    const last = first + length - 1
    if (this.#countRun.get(worker, queue.queueId, first, last, fence) !== length) return false
    this.#takeRun.run(worker, queue.queueId, first, last)
    this.#dropRun.run(first, last)
    queue.counts.underway -= length
    queue.counts.finished += length
    queue.dirty = true
    return true
  }
  #finishOne(queue: QueueRow, seq: number, fence: number, now: number, lost: Set<number>): void {
    const { worker, locations } = this.#parts
    const left = this.#take.get(worker, queue.queueId, seq, fence) as Left | undefined
    if (!left) {
      lost.add(seq)
      return
    }
    queue.counts.underway--
    queue.counts.finished++
    queue.dirty = true
    if (left[1] > 0) queue.suspects--
    locations.drop(seq, left[2], 'finished', now, queue.keep.idsMs)
  }
  #goBack(
    queue: QueueRow,
    seq: number,
    fence: number,
    kind: SettleKind,
    [attempt, crashes, flags, start]: Left,
    { waitMs = 0, heldKey, error, grant, notAlone }: SettleExtras,
    [startedWall, stoppedWall]: readonly [number | null, number | null],
    now: number,
    ended: JobRow[],
  ): void {
    const { worker, locations, jobRows, rateLog } = this.#parts
    const { keepsError, holdsRate } = transitionOf(kind)
    const job = { seq, attempt: attemptAfter(kind, attempt), fence, crashes, flags: flags & ~awaitingVerdict }
    if (holdsRate) {
      if (heldKey === undefined) rateLog.changing(queue).hold(now + waitMs)
      else this.holdKey(queue, heldKey, now + waitMs)
    } else if (freesStart({ kind })) rateLog.handedBack(queue, grant ?? start, now)
    if (notAlone) this.#parts.suspects.line.crowded(now)
    const carried = { ...job, priority: locations.priority(seq) }
    const asked = this.#takeCancelRequest.get(worker, queue.queueId, seq, fence) as [string | null] | undefined
    if (asked) {
      const ending = { state: 'cancelled', startedWall, stoppedWall, error: asked[0], value: null } as const
      const body = jobRows.body(queue, seq)
      if (body) ended.push(jobRows.rowOf(body, { ...carried, state: 'cancelled', ending }))
      return locations.end(queue, job, ending, now)
    }
    if (keepsError) {
      jobRows.noteError(seq, startedWall, stoppedWall, error ?? null)
      carried.flags |= noted
    }
    locations.wait(queue, carried, now, dueOf({ dueAt: dueAfter(kind, waitMs, now) }, now, 0))
  }
  holdKey(queue: QueueRow, key: string, until: number): void {
    queue.dirty = true
    if (this.#holdLonger.run(until, queue.queueId, key).changes > 0) return
    this.#hold.run(queue.queueId, key, until)
    queue.holds++
  }
}

function bySeq(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0]
}
