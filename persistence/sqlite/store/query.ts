/** Queries: one job, a page of jobs, and why a job does not run. They only read, and never many jobs at once. */

import type { KeyReport } from '../../../lib/backlog.ts'
import { JobUnknownError } from '../../../lib/errors.ts'
import type { JobState } from '../../../lib/job.ts'
import { freeSlots } from '../../../lib/limits/global-width.ts'
import { heldUntil } from '../../../lib/limits/hold.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import { blockingByRules } from '../../../lib/limits/named-rules.ts'
import { isWaiting } from '../../../lib/rules/commands.ts'
import { explainWait } from '../../../lib/rules/explain.ts'
import type {
  ExplainReply,
  ExplainRequest,
  JobRow,
  KeysReply,
  KeysRequest,
  ListCursor,
  ListReply,
  ListRequest,
} from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { extrasOf, type JobRows } from '../tables/job.ts'
import type { KeyTable } from '../tables/key.ts'
import { dueAt, type JobLocations, type LocatedJob } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import type { RuleTable } from '../tables/rule.ts'
import type { KeyState, KeyTurns } from './key-turns.ts'
import type { Slots } from './slots.ts'
import type { Suspects } from './suspects.ts'

/** How many jobs one step of a list reads. Meanwhile claims and settles wait, and dead processes go unnoticed. */
export const maxRowsInStep = 1_000

/** Positions before all waiting jobs, and before the latest one. */
const first: ListCursor = { priority: -Infinity, seq: 0 }
const latest: ListCursor = { priority: 0, seq: Infinity }

export interface JobQueriesParts {
  readonly db: SqliteDatabase
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly rateLog: RateLog
  readonly readyRanges: ReadyRanges
  readonly fileClock: FileClock
  readonly suspects: Suspects
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly slots: Slots
  readonly rules: RuleTable
}

export class JobQueries {
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
  readonly #heldJobsBefore: SqliteStatement
  readonly #readyOfKeyBefore: SqliteStatement
  readonly #nextKey: SqliteStatement
  readonly #countsOf: SqliteStatement

  constructor(parts: JobQueriesParts) {
    const { db } = parts
    this.#parts = parts
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
    // Pending jobs are in four tables: ready jobs, ready ranges, held jobs, and suspects.
    this.#pending = merged(pageOf('rdq_ready'), pageOf('rdq_held'), pageOf('rdq_suspect'), inRanges)
    // A job with a key is never in a range, and the held jobs of a key are adjacent.
    this.#pendingOf = merged(pageOf('rdq_ready'), pageOf('rdq_suspect'), pageOf('rdq_held', ' and key = ?'))
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
    this.#heldJobsBefore = db
      .prepare('select count(*) from rdq_held where epoch = ? and key = ? and (priority, seq) < (?, ?)')
      .pluck()
    this.#readyOfKeyBefore = db
      .prepare(`
        select count(*) from rdq_ready r cross join rdq_job j on j.seq = r.seq
        where r.epoch = ? and (r.priority, r.seq) < (?, ?) and j.key is ?`)
      .pluck()
    this.#nextKey = db
      .prepare(`
        select min(key) from (
          select min(key) as key from rdq_job where queue = ? and key is not null and key > ?
          union all select min(key) from rdq_key where queue = ? and override is not null and key > ?)`)
      .pluck()
    const jobsOfKey = 'select count(*) from rdq_job j where j.queue = ? and j.key = ?'
    const within = (table: string): string =>
      `exists (select 1 from ${table} w where w.epoch = ? and w.priority = j.priority and w.seq = j.seq)`
    this.#countsOf = db
      .prepare(`
        select (select count(*) from rdq_held where epoch = ? and key = ?) +
            (${jobsOfKey} and (${within('rdq_ready')} or ${within('rdq_suspect')})),
          (${jobsOfKey} and ${within('rdq_delayed')}),
          (${jobsOfKey} and exists (select 1 from rdq_underway u
            where u.worker in (select worker from rdq_worker) and u.queue = j.queue and u.seq = j.seq))`)
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
        const next = nextPlain(priority, seq)
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

  explain(queue: QueueRow, { target, now: hostNow, wall }: ExplainRequest): ExplainReply | undefined {
    const { jobRows, rateLog, readyRanges, suspects, slots, fileClock } = this.#parts
    const job = jobRows.find(queue, target)
    if (!job) return undefined
    const { body, found } = job
    const now = fileClock.toFile(hostNow)
    const { cost } = extrasOf(body)
    const { key } = body
    const keyHeldUntil = key === null || queue.sorted ? undefined : this.#holdOf(queue, key, now)?.until
    const refusal =
      key !== null && queue.sorted ? this.#parts.keyTurns.refusal(this.#keyState(queue, key), cost, now) : undefined
    const blocking = blockingByRules(rateLog.of(queue), this.#parts.rules.of(queue), cost, now)
    const isFull = queue.globalWidth < Infinity && freeSlots(queue.globalWidth, slots.bodies(queue)) === 0
    const bounds = { due: dueAt(found), keyHeldUntil, blocking, refusal, isFull }
    const { notBefore, why, rule, ofKey } = explainWait(bounds, now, wall)
    const { epoch = 0, priority, seq, crashes } = found
    const isPending = found.state === 'pending'
    const before = (): number => {
      if (found.since !== undefined) return this.#suspectsBefore.get(epoch, crashes, priority, seq) as number
      if (queue.sorted) return this.#beforeInKey(queue, found, key)
      const inRanges = readyRanges.before(epoch, nextPlain(priority, seq - 1))
      return (this.#before.get(epoch, priority, seq) as number) + inRanges
    }
    const waitsForSuspect = isPending && (crashes > 0 || suspects.holdsUp)
    return {
      row: jobRows.rowOf(body, found),
      position: isPending ? before() : undefined,
      notBefore: fileClock.fromFile(notBefore),
      why: why ?? (waitsForSuspect ? 'suspect' : undefined),
      rule,
      ...(ofKey && { key: key as string }),
    }
  }
  #holdOf({ queueId }: QueueRow, key: string, now: number): Refusal | undefined {
    const until = this.#heldUntil.get(queueId, key) as number | undefined
    return until !== undefined && until > now ? heldUntil(until) : undefined
  }
  #keyState(queue: QueueRow, key: string): KeyState {
    const { keys, keyTurns } = this.#parts
    return keyTurns.state(queue, keys.of(queue, key))
  }
  /** How many jobs of its key start before the job, whether they are sorted already or not. */
  #beforeInKey({ epoch }: QueueRow, { priority, seq }: LocatedJob, key: string | null): number {
    const sorted = this.#heldJobsBefore.get(epoch, key ?? keyless, priority, seq) as number
    const ready = this.#readyOfKeyBefore.get(epoch, priority, seq, key) as number
    const inRanges = key === null ? this.#parts.readyRanges.before(epoch, nextPlain(priority, seq - 1)) : 0
    return sorted + ready + inRanges
  }

  /** Keys that have jobs which wait or run, a pause or an override, in order of key. */
  keys(queue: QueueRow, { query, now: hostNow }: KeysRequest): KeysReply {
    const { fileClock, keyTurns } = this.#parts
    const { key, state, limit, after = '' } = query
    const now = fileClock.toFile(hostNow)
    const found: KeyReport[] = []
    let last = after
    while (found.length < limit) {
      const name = key ?? (this.#nextKey.get(queue.queueId, last, queue.queueId, last) as string | null)
      if (name === null) break
      last = name
      const { queueId, epoch } = queue
      const jobs = [queueId, name]
      const row = this.#countsOf.get(epoch, name, ...jobs, epoch, epoch, ...jobs, epoch, ...jobs) as [
        number,
        number,
        number,
      ]
      const [pending, delayed, underway] = row
      const ofKey = this.#keyState(queue, name)
      const counts = { pending, delayed, underway }
      const isListed = pending + delayed + underway > 0 || ofKey.row.override !== undefined
      if (isListed && (state === undefined || counts[state] > 0)) {
        const refusal = queue.sorted ? keyTurns.refusalOfNext(queue, ofKey, now) : this.#holdOf(queue, name, now)
        const until = refusal && refusal.until < Infinity ? fileClock.fromFile(refusal.until) : undefined
        found.push({ key: name, ...counts, why: refusal?.why, until })
      }
      if (key !== undefined) break
    }
    return { keys: found }
  }
}

function cursorsOf(rows: unknown[]): readonly ListCursor[] {
  return (rows as [number, number][]).map(([priority, seq]) => ({ priority, seq }))
}
function bySeq(seqs: unknown[]): readonly ListCursor[] {
  return (seqs as number[]).map(seq => ({ priority: 0, seq }))
}

/** The first seq after that position in the order of start, among jobs of priority 0. */
function nextPlain(priority: number, seq: number): number {
  if (priority === 0) return seq + 1
  return priority < 0 ? 0 : Infinity
}
