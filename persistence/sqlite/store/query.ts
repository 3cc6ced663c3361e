/** Queries: one job, a page of jobs, and why a job does not run. They only read, and never many jobs at once. */

import type { KeyReport } from '../../../lib/backlog.ts'
import { isWaiting } from '../../../lib/decisions/command-states.ts'
import type { Due } from '../../../lib/decisions/due.ts'
import { JobUnknownError } from '../../../lib/errors.ts'
import type { JobState } from '../../../lib/job.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import type { ExplainStore, KeyReportStore } from '../../durable/execute/queries.ts'
import type { JobRow, ListCursor, ListReply, ListRequest, RowRef } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { extrasOf, type JobBody, type JobRows } from '../tables/job.ts'
import { dueAt, type LocatedJob } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import type { KeyTurns } from './key-turns.ts'
import type { Limits } from './limits.ts'
import type { Slots } from './slots.ts'
import type { Suspects } from './suspects.ts'

/** How many jobs one step of a list reads. Meanwhile claims and settles wait, and dead processes go unnoticed. */
export const maxRowsInStep = 1_000

/** Positions before all waiting jobs, and before the latest one. */
const first: ListCursor = { priority: -Infinity, seq: 0 }
const latest: ListCursor = { priority: 0, seq: Infinity }

export interface JobQueriesParts {
  readonly db: SqliteDatabase
  readonly jobRows: JobRows
  readonly readyRanges: ReadyRanges
  readonly suspects: Suspects
  readonly keyTurns: KeyTurns
  readonly slots: Slots
  readonly limits: Limits
}

interface FoundJob {
  readonly body: JobBody
  readonly found: LocatedJob
  readonly state: JobState
  readonly key: string | undefined
  readonly cost: Cost | undefined
  readonly crashes: number
}

export class JobQueries implements ExplainStore<QueueRow, FoundJob>, KeyReportStore<QueueRow> {
  readonly limits: Limits
  readonly #parts: JobQueriesParts
  readonly #all: SqliteStatement
  readonly #ended: SqliteStatement
  readonly #underway: SqliteStatement
  readonly #pending: SqliteStatement
  readonly #pendingOf: SqliteStatement
  readonly #delayed: SqliteStatement
  readonly #delayedOf: SqliteStatement
  readonly #keyOf: SqliteStatement
  readonly #before: SqliteStatement
  readonly #suspectsBefore: SqliteStatement
  readonly #heldUntil: SqliteStatement
  readonly #byKeyBefore: SqliteStatement
  readonly #readyOfKeyBefore: SqliteStatement
  readonly #nextKey: SqliteStatement
  readonly #countsOf: SqliteStatement

  constructor(parts: JobQueriesParts) {
    const { db } = parts
    this.#parts = parts
    this.limits = parts.limits
    // All jobs of a name are in few ranges of seqs that belong to it alone.
    this.#all = db
      .prepare(`
        select seq from rdq_seq_range cross join rdq_job
          on seq > range * 4294967296 and seq < min((range + 1) * 4294967296 + 1, ?)
        where rdq_seq_range.queue = ?
        order by range desc, seq desc ${limitParameter}`)
      .pluck()
    this.#ended = db
      .prepare(
        `select seq from rdq_ended where queue = ? and state = ? and seq < ? order by seq desc ${limitParameter}`,
      )
      .pluck()
    this.#underway = db
      .prepare(`
        select seq from rdq_underway where worker in (select worker from rdq_worker) and queue = ? and seq < ?
        order by seq desc ${limitParameter}`)
      .pluck()
    const pageOf = (table: string, key = ''): string => `
      select * from (
        select priority, seq from ${table} where epoch = ?${key} and (priority, seq) > (?, ?)
        order by priority, seq ${limitParameter})`
    const inRanges = `
      select * from (
        select 0 as priority, j.seq from rdq_ready_range s cross join rdq_job j on j.seq >= max(s.seq, ?) and j.seq < s.seq + s.jobs
        where s.epoch = ? and s.seq >= ? order by s.seq, j.seq ${limitParameter})`
    const merged = (...pages: string[]): SqliteStatement =>
      db
        .prepare(`select priority, seq from (${pages.join(' union all ')}) order by priority, seq ${limitParameter}`)
        .raw()
    // Pending jobs are in four tables: ready jobs, ready ranges, jobs by key, and suspects.
    this.#pending = merged(pageOf('rdq_ready'), pageOf('rdq_pending_by_key'), pageOf('rdq_suspect'), inRanges)
    // A job with a key is never in a range, and the pending jobs of a key are adjacent.
    this.#pendingOf = merged(pageOf('rdq_ready'), pageOf('rdq_suspect'), pageOf('rdq_pending_by_key', ' and key = ?'))
    this.#delayed = db.prepare(pageOf('rdq_delayed')).raw()
    // A plain page would walk all delayed jobs in each step, however few it returns. This join checks the key on the way.
    this.#delayedOf = db
      .prepare(`
        select d.priority, d.seq from rdq_delayed d cross join rdq_job j on j.seq = d.seq
        where d.epoch = ? and (d.priority, d.seq) > (?, ?) and j.key = ? order by d.priority, d.seq ${limitParameter}`)
      .raw()
    this.#keyOf = db.prepare('select key from rdq_job where seq = ?').pluck()
    this.#before = db.prepare('select count(*) from rdq_ready where epoch = ? and (priority, seq) < (?, ?)').pluck()
    this.#suspectsBefore = db
      .prepare('select count(*) from rdq_suspect where epoch = ? and (crashes, priority, seq) < (?, ?, ?)')
      .pluck()
    this.#byKeyBefore = db
      .prepare('select count(*) from rdq_pending_by_key where epoch = ? and key = ? and (priority, seq) < (?, ?)')
      .pluck()
    this.#readyOfKeyBefore = db
      .prepare(`
        select count(*) from rdq_ready r cross join rdq_job j on j.seq = r.seq
        where r.epoch = ? and (r.priority, r.seq) < (?, ?) and j.key is ?`)
      .pluck()
    this.#nextKey = db
      .prepare(`
        select min(key) from (
          select min(key) as key from rdq_job where queue = ? and listed = 1 and key > ?
          union all select min(key) from rdq_pending_by_key where epoch = ? and key > ?
          union all select min(key) from rdq_underway where queue = ? and key > ?
          union all select min(key) from rdq_key where queue = ? and override is not null and key > ?)`)
      .pluck()
    const jobsOfKey = 'select count(*) from rdq_job j where j.queue = ? and j.key = ? and j.listed = 1'
    const within = (table: string): string =>
      `exists (select 1 from ${table} w where w.epoch = ? and w.priority = j.priority and w.seq = j.seq)`
    this.#countsOf = db
      .prepare(`
        select (select count(*) from rdq_pending_by_key where epoch = ? and key = ?) +
            (${jobsOfKey} and (${within('rdq_ready')} or ${within('rdq_suspect')})),
          (${jobsOfKey} and ${within('rdq_delayed')}),
          (select count(*) from rdq_underway where queue = ? and key = ?) +
            (${jobsOfKey} and exists (select 1 from rdq_underway u
              where u.worker in (select worker from rdq_worker) and u.queue = j.queue and u.seq = j.seq and u.key is null))`)
      .raw()
    this.#heldUntil = db.prepare('select until_at from rdq_key_hold where queue = ? and key = ?').pluck()
  }

  /** One step of a list: waiting jobs in the order of start, all others latest first. */
  list(queue: QueueRow, { state, key, limit, after }: ListRequest): ListReply {
    const { jobRows } = this.#parts
    const waits = state !== undefined && isWaiting(state)
    const from = typeof after === 'string' ? this.#cursorOf(queue, after) : (after ?? (waits ? first : latest))
    const most = key === undefined ? Math.min(limit, maxRowsInStep) : maxRowsInStep
    const page = this.#page(queue, state, key, from, most)
    const rows: JobRow[] = []
    for (const at of page) {
      const { seq } = at
      if (key !== undefined && this.#keyOf.get(seq) !== key) continue
      const row = jobRows.row(queue, seq)
      if (row) rows.push(row)
      if (rows.length === limit) return { rows, next: at }
    }
    return { rows, next: page.length < most ? undefined : page[page.length - 1] }
  }
  #cursorOf(queue: QueueRow, id: string): ListCursor {
    const body = this.#parts.jobRows.body(queue, id)
    if (!body) throw new JobUnknownError(id)
    return body
  }
  #page(
    queue: QueueRow,
    state: JobState | undefined,
    key: string | undefined,
    { priority, seq }: ListCursor,
    limit: number,
  ): readonly ListCursor[] {
    const { epoch, queueId } = queue
    const from = [priority, seq]
    switch (state) {
      case 'pending': {
        const ready = [epoch, ...from, limit]
        if (key !== undefined) {
          return cursorsOf(this.#pendingOf.all(...ready, ...ready, epoch, key, ...from, limit, limit))
        }
        const next = nextInRanges(priority, seq)
        const range = [next, epoch, this.#parts.readyRanges.from(epoch, next), limit]
        return cursorsOf(this.#pending.all(...ready, ...ready, ...ready, ...range, limit))
      }
      case 'delayed':
        if (key !== undefined) return cursorsOf(this.#delayedOf.all(epoch, ...from, key, limit))
        return cursorsOf(this.#delayed.all(epoch, ...from, limit))
      case 'underway':
        return bySeq(this.#underway.all(queueId, seq, limit))
      case undefined:
        return bySeq(this.#all.all(seq, queueId, limit))
      default:
        return bySeq(this.#ended.all(queueId, state, seq, limit))
    }
  }

  // The operations of `explain`.
  locate(queue: QueueRow, target: RowRef): FoundJob | undefined {
    const job = this.#parts.jobRows.find(queue, target)
    if (!job) return undefined
    const { state, crashes } = job.found
    return { ...job, state, crashes, key: job.body.key ?? undefined, cost: extrasOf(job.body).cost }
  }
  rowOf(_queue: QueueRow, { body, found }: FoundJob): JobRow {
    return this.#parts.jobRows.rowOf(body, found)
  }
  dueOf({ found }: FoundJob): Due | undefined {
    return dueAt(found)
  }
  heldUntil({ queueId }: QueueRow, key: string): number | undefined {
    return this.#heldUntil.get(queueId, key) as number | undefined
  }
  bodies(queue: QueueRow): number {
    return this.#parts.slots.bodies(queue)
  }
  runsAlone(): boolean {
    return this.#parts.suspects.holdsUp
  }
  startBefore(queue: QueueRow, { body, found }: FoundJob): number {
    const { epoch = 0, priority, seq, crashes } = found
    if (found.since !== undefined) return this.#suspectsBefore.get(epoch, crashes, priority, seq) as number
    if (queue.sorted) return this.#beforeInKey(queue, found, body.key)
    const inRanges = this.#parts.readyRanges.before(epoch, nextInRanges(priority, seq - 1))
    return (this.#before.get(epoch, priority, seq) as number) + inRanges
  }
  /** How many jobs of its key start before the job, whether they are sorted already or not. */
  #beforeInKey({ epoch }: QueueRow, { priority, seq }: LocatedJob, key: string | null): number {
    const sorted = this.#byKeyBefore.get(epoch, key ?? keyless, priority, seq) as number
    const ready = this.#readyOfKeyBefore.get(epoch, priority, seq, key) as number
    const inRanges = key === null ? this.#parts.readyRanges.before(epoch, nextInRanges(priority, seq - 1)) : 0
    return sorted + ready + inRanges
  }

  // The operations of `reportKeys`.
  nextKey({ queueId, epoch }: QueueRow, after: string): string | undefined {
    const from = [queueId, after, epoch, after, queueId, after, queueId, after]
    return (this.#nextKey.get(...from) as string | null) ?? undefined
  }
  countsOfKey({ queueId, epoch }: QueueRow, key: string): Pick<KeyReport, 'pending' | 'delayed' | 'underway'> {
    const jobs = [queueId, key]
    const counts = this.#countsOf.get(epoch, key, ...jobs, epoch, epoch, ...jobs, epoch, ...jobs, ...jobs)
    const [pending, delayed, underway] = counts as [number, number, number]
    return { pending, delayed, underway }
  }
  refusalOfNext(queue: QueueRow, key: string, now: number): Refusal | undefined {
    const { limits, keyTurns } = this.#parts
    return keyTurns.refusalOfNext(queue, limits.keyNow(queue, key), now)
  }
}

function cursorsOf(rows: unknown[]): readonly ListCursor[] {
  return (rows as [number, number][]).map(([priority, seq]) => ({ priority, seq }))
}
function bySeq(seqs: unknown[]): readonly ListCursor[] {
  return (seqs as number[]).map(seq => ({ priority: 0, seq }))
}

/** The first seq after that position in the order of start, among jobs of priority 0. */
function nextInRanges(priority: number, seq: number): number {
  if (priority === 0) return seq + 1
  return priority < 0 ? 0 : Infinity
}
