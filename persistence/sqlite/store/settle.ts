/**
 * How runs end or go back, as the gate of the queue hands them over, and what they leave for a later run.
 *
 * Each is a conditional write on the worker, the job and the fence of its claim. Where that finds no row the job has gone
 * on without this run: nothing changes, and the seq is told as lost.
 */
import type { SettleKind } from '../../../lib/backlog.ts'
import { dueOf } from '../../../lib/rules/due.ts'
import { attemptAfter, dueAfter, freesStart, transitionOf } from '../../../lib/rules/transitions.ts'
import type { ExchangeRequest, JobRow, SettleExtras } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Bodies } from '../tables/job.ts'
import type { Places } from '../tables/location.ts'
import type { Name } from '../tables/queue.ts'
import type { Starts } from '../tables/rate-log.ts'
import { inDoubt, noted } from '../tables/schema.ts'
import type { Suspects } from './suspects.ts'

/** From so many plain endings in a row on, one statement for all of them is cheaper than one for each. */
const leastRun = 3

export interface SettleParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly places: Places
  readonly bodies: Bodies
  readonly starts: Starts
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
  readonly #asked: SqliteStatement
  readonly #goOn: SqliteStatement
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
    this.#asked = db
      .prepare(`
      delete from rdq_cancel where worker = ? and queue = ? and seq = ? and fence = ? returning reason`)
      .raw()
    this.#goOn = db.prepare('insert or ignore into rdq_closing (seq, worker) values (?, ?)')
    this.#closed = db.prepare('delete from rdq_closing where seq = ? and worker = ?')
    this.#hold = db.prepare('insert into rdq_hold (queue, key, until_at) values (?, ?, ?)')
    this.#holdLonger = db.prepare('update rdq_hold set until_at = max(until_at, ?) where queue = ? and key = ?')
  }

  /** Bodies that run: from here on a crash counts against their jobs. Jobs that were claimed in a row take one statement. */
  begun(name: Name, { seqs, fences, first }: ExchangeRequest['launchReports'], lost: Set<number>): void {
    const { worker } = this.#parts
    for (let from = 0, to = 0; from < seqs.length; from = to) {
      const [seq, fence] = [seqs[from] as number, fences[from] as number]
      do to++
      while (!first[from] && !first[to] && seqs[to] === seq + to - from && fences[to] === fence)
      const last = seq + to - from - 1
      if (last > seq) this.#begunMany.run(worker, name.queue, seq, last, fence)
      else if (this.#begun.run(worker, name.queue, seq, fence).changes === 0 && first[from]) lost.add(seq)
    }
    if (seqs.length > 0) name.dirty = true
  }
  /** Their bodies have ended, which went on after their jobs had. */
  closed(seqs: readonly number[]): void {
    for (const seq of seqs) this.#closed.run(seq, this.#parts.worker)
  }
  /** Stores what runs want their successors to find. */
  checkpoints(name: Name, checkpoints: ExchangeRequest['checkpoints'], lost: Set<number>): void {
    const { worker, bodies } = this.#parts
    for (const { seq, fence, value } of checkpoints) {
      if (this.#mark.run(worker, name.queue, seq, fence).changes === 0) lost.add(seq)
      else {
        bodies.noteCheckpoint(seq, value)
        name.dirty = true
      }
    }
  }
  /**
   * Settles all in order. `ended` hears of those that went back and were asked to be cancelled meanwhile, `within` of those
   * whose handler had recorded the ending itself.
   */
  settle(
    name: Name,
    settled: ExchangeRequest['settled'],
    now: number,
    lost: Set<number>,
    within: number[],
    ended: JobRow[],
  ): void {
    const { seqs, fences, kinds, startedAt, stoppedAt } = settled
    const more = new Map(settled.more)
    const dropsFinished = !(name.keep.finishedMs > 0)
    if (kinds === undefined && more.size === 0 && dropsFinished && this.#finishAll(name, seqs, fences)) return
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
      // In order, for of two endings of one run the first counts.
      if (plain.length > 0) this.#finish(name, plain.splice(0), now, lost)
      const left = this.#take.get(this.#parts.worker, name.queue, seq, fence) as Left | undefined
      if (!left) {
        if (extra?.within && this.#finishedWithin(name, seq, fence)) within.push(seq)
        else lost.add(seq)
        continue
      }
      name.counts.underway--
      name.dirty = true
      const times = [startedAt[index] ?? null, stoppedAt[index] ?? null] as const
      const { end } = transitionOf(kind)
      if (end !== undefined) {
        const ending = { state: end, startedWall: times[0], stoppedWall: times[1] }
        const texts = { error: extra?.error ?? null, value: extra?.value ?? null }
        const [attempt, crashes, flags] = left
        if (extra?.grant !== undefined) this.#parts.starts.changing(name).refund(extra.grant)
        if (extra?.bodyContinues) this.#goOn.run(seq, this.#parts.worker)
        this.#parts.places.end(name, { seq, attempt, fence, crashes, flags }, { ...ending, ...texts }, now)
      } else this.#goBack(name, seq, fence, kind, left, extra ?? {}, times, now, ended)
    }
    if (plain.length > 0) this.#finish(name, plain, now, lost)
  }
  /** Whether the handler's own transaction, which may have been undone, has recorded the ending: nothing of it may be kept. */
  #finishedWithin(name: Name, seq: number, fence: number): boolean {
    const row = this.#parts.bodies.row(name, seq)
    return row === undefined || (row.state === 'finished' && row.fence === fence)
  }
  /** All are plain endings, and in the order of put without a gap, as they come where handlers are quick. */
  #finishAll(name: Name, seqs: readonly number[], fences: readonly number[]): boolean {
    const [first, fence] = [seqs[0], fences[0]]
    if (seqs.length < leastRun || first === undefined || fence === undefined) return false
    for (let i = 1; i < seqs.length; i++) if (seqs[i] !== first + i || fences[i] !== fence) return false
    return this.#finishRun(name, first, seqs.length, fence)
  }
  /** Finished ones of which nothing is kept: the most there are. Those that were put in a row mostly end in a row. */
  #finish(name: Name, plain: (readonly [number, number])[], now: number, lost: Set<number>): void {
    plain.sort(bySeq)
    for (let from = 0, to = 0; from < plain.length; from = to) {
      const [first, fence] = plain[from] as readonly [number, number]
      do to++
      while (to < plain.length && plain[to]?.[0] === first + to - from && plain[to]?.[1] === fence)
      if (to - from >= leastRun && this.#finishRun(name, first, to - from, fence)) continue
      for (let i = from; i < to; i++) this.#finishOne(name, first + i - from, fence, now, lost)
    }
  }
  #finishRun(name: Name, first: number, length: number, fence: number): boolean {
    const { worker } = this.#parts
    const last = first + length - 1
    if (this.#countRun.get(worker, name.queue, first, last, fence) !== length) return false
    this.#takeRun.run(worker, name.queue, first, last)
    this.#dropRun.run(first, last)
    name.counts.underway -= length
    name.counts.finished += length
    name.dirty = true
    return true
  }
  #finishOne(name: Name, seq: number, fence: number, now: number, lost: Set<number>): void {
    const { worker, places } = this.#parts
    const left = this.#take.get(worker, name.queue, seq, fence) as Left | undefined
    if (!left) {
      lost.add(seq)
      return
    }
    name.counts.underway--
    name.counts.finished++
    name.dirty = true
    if (left[1] > 0) name.suspects--
    places.drop(seq, left[2], 'finished', now, name.keep.idsMs)
  }
  #goBack(
    name: Name,
    seq: number,
    fence: number,
    kind: SettleKind,
    [attempt, crashes, flags, start]: Left,
    { waitMs = 0, heldKey, error, grant, notAlone }: SettleExtras,
    [startedWall, stoppedWall]: readonly [number | null, number | null],
    now: number,
    ended: JobRow[],
  ): void {
    const { worker, places, bodies, starts } = this.#parts
    const { keepsError, holdsRate } = transitionOf(kind)
    const job = { seq, attempt: attemptAfter(kind, attempt), fence, crashes, flags: flags & ~inDoubt }
    if (holdsRate) {
      if (heldKey === undefined) starts.changing(name).hold(now + waitMs)
      else this.holdKey(name, heldKey, now + waitMs)
    } else if (freesStart({ kind })) starts.handedBack(name, grant ?? start, now)
    if (notAlone) this.#parts.suspects.line.crowded(now)
    const carried = { ...job, priority: places.priority(seq) }
    const asked = this.#asked.get(worker, name.queue, seq, fence) as [string | null] | undefined
    if (asked) {
      const ending = { state: 'cancelled', startedWall, stoppedWall, error: asked[0], value: null } as const
      const body = bodies.body(name, seq)
      if (body) ended.push(bodies.rowOf(body, { ...carried, state: 'cancelled', ending }))
      return places.end(name, job, ending, now)
    }
    if (keepsError) {
      bodies.noteError(seq, startedWall, stoppedWall, error ?? null)
      carried.flags |= noted
    }
    places.wait(name, carried, now, dueOf({ dueAt: dueAfter(kind, waitMs, now) }, now, 0))
  }
  holdKey(name: Name, key: string, until: number): void {
    name.dirty = true
    if (this.#holdLonger.run(until, name.queue, key).changes > 0) return
    this.#hold.run(name.queue, key, until)
    name.holds++
  }
}

function bySeq(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0]
}
