/**
 * Where a job can be, and how it moves from one place to another: waiting (ready, delayed, by key), underway, or ended.
 *
 * A job's body stays where it was inserted. Its changing fields are in a narrow row that moves from table to table.
 */

import type { Due } from '../../../lib/decisions/due.ts'
import { keptMs } from '../../../lib/decisions/keep.ts'
import type { JobState } from '../../../lib/job.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import type { FurtherStart } from '../../../lib/limits/limit.ts'
import type { Ending } from '../../durable/execute/moves.ts'
import type { SqliteDatabase, SqliteStatement, SqliteValue } from '../file/database.ts'
import { ManyRows } from '../file/many-rows.ts'
import type { QueueRow } from './queue.ts'
import type { ReadyRanges } from './ready-range.ts'
import { givenId, hasLastRun } from './schema.ts'

/** The clocks by which a delayed job comes due, as stored in rdq_delayed. */
export const steady = 0
export const dated = 1

export function clockOf({ clock }: Due): number {
  return clock === 'wall' ? dated : steady
}
/** When a delayed job comes due. */
export function dueAt({ state, clock, due }: LocatedJob): Due | undefined {
  return state === 'delayed' && due !== undefined ? { clock: clock === dated ? 'wall' : 'steady', at: due } : undefined
}

/** The fields that move with a job from table to table. */
export interface MovingFields {
  readonly seq: number
  readonly priority: number
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly flags: number
  /** For a waiting suspect: since when, by the file's clock. */
  readonly since?: number
}

/** A job with its location. */
export interface LocatedJob extends MovingFields {
  readonly state: JobState
  /** For a job underway: its worker; 0 means none. */
  readonly worker?: number
  /** For a waiting job: its epoch. A cleared job still has its old epoch, and counts as cancelled. */
  readonly epoch?: number
  readonly isByKey?: true
  /** The job waits in a ready range. */
  readonly inRange?: true
  readonly clock?: number
  readonly due?: number
  readonly ending?: Ending
}

/** A job that a claim starts, with its new attempt and fence. */
export interface StartedJob {
  readonly seq: number
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly flags: number
  /** The number of its start in the rate of the queue; 0: nothing was charged. */
  readonly grant: number
  /** Its key, in a queue that is sorted by key. */
  readonly key: string | null
  /** The same as `grant`, in the rate of the key. */
  readonly keyStart: number
  /** Its starts in the named rules of the queue. */
  readonly ruleStarts: readonly FurtherStart[]
  readonly alone: boolean
}
/** The column of {@link StartedJob.ruleStarts}. */
export function textOfStarts(starts: readonly FurtherStart[]): string | null {
  return starts.length > 0 ? JSON.stringify(starts.map(({ name, start }) => [name, start])) : null
}
export function startsFromText(text: string | null): readonly FurtherStart[] {
  if (text === null) return noStarts
  return (JSON.parse(text) as [string, number][]).map(([name, start]) => ({ of: 'rule', name, start }))
}
const noStarts: readonly FurtherStart[] = []
/** The last of the jobs that one statement takes. */
export interface UpTo {
  readonly priority: number
  readonly seq: number
}

export class JobLocations {
  readonly #readyRanges: ReadyRanges
  readonly #outOf: Readonly<
    Record<'underway' | 'ended' | 'delayed' | 'pendingByKey' | 'suspect' | 'ready', SqliteStatement>
  >
  readonly #released: SqliteStatement
  readonly #listOne: SqliteStatement
  readonly #toReady: SqliteStatement
  readonly #toDelayed: SqliteStatement
  readonly #toPendingByKey: ManyRows
  readonly #toSuspects: SqliteStatement
  readonly #toEnded: SqliteStatement
  readonly #dropBody: SqliteStatement
  readonly #dropLastRun: SqliteStatement
  readonly #remember: SqliteStatement
  readonly #inUnderway: SqliteStatement
  readonly #inEnded: SqliteStatement
  readonly #inDelayed: SqliteStatement
  readonly #inReady: SqliteStatement
  readonly #inPendingByKey: SqliteStatement
  readonly #inSuspects: SqliteStatement
  readonly #cleared: SqliteStatement
  readonly #priority: SqliteStatement

  constructor(db: SqliteDatabase, readyRanges: ReadyRanges) {
    this.#readyRanges = readyRanges
    this.#outOf = {
      underway: db.prepare('delete from rdq_underway where worker = ? and queue = ? and seq = ?'),
      ended: db.prepare('delete from rdq_ended where seq = ?'),
      delayed: db.prepare('delete from rdq_delayed where seq = ?'),
      suspect: db.prepare('delete from rdq_suspect where seq = ?'),
      pendingByKey: db.prepare(
        'delete from rdq_pending_by_key where epoch = ? and key = ? and priority = ? and seq = ?',
      ),
      ready: db.prepare('delete from rdq_ready where epoch = ? and priority = ? and seq = ?'),
    }
    this.#released = db.prepare('insert or ignore into rdq_key_released (queue, key) values (?, ?)')
    this.#listOne = db.prepare('update rdq_job set listed = 1 where seq = ? and key is not null and listed = 0')
    this.#toReady = db.prepare(`
      insert into rdq_ready (epoch, priority, seq, attempt, fence, crashes, flags) values (?, ?, ?, ?, ?, ?, ?)`)
    this.#toDelayed = db.prepare(`
      insert into rdq_delayed (seq, epoch, clock, due, priority, attempt, fence, crashes, flags)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    const pendingByKey = 'rdq_pending_by_key (epoch, key, priority, seq, attempt, fence, crashes, flags)'
    this.#toPendingByKey = new ManyRows(db, 8, rows => `insert into ${pendingByKey} values ${rows}`)
    this.#toSuspects = db.prepare(`
      insert into rdq_suspect (seq, epoch, since, priority, attempt, fence, crashes, flags) values (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#toEnded = db.prepare(`
      insert into rdq_ended (seq, queue, state, attempt, fence, crashes, flags, started_wall, stopped_wall, forget_at,
        error, value) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#dropBody = db.prepare('delete from rdq_job where seq = ?')
    this.#dropLastRun = db.prepare('delete from rdq_last_run where seq = ?')
    this.#remember = db.prepare(`
      insert or replace into rdq_remembered_id (queue, id, fingerprint, state, forget_at)
      select queue, id, fingerprint, ?, ? from rdq_job where seq = ? and fingerprint is not null`)
    this.#inUnderway = db
      .prepare(`
      select worker, attempt, fence, crashes, flags from rdq_underway
      where worker in (select worker from rdq_worker) and queue = ? and seq = ?`)
      .raw()
    this.#inEnded = db
      .prepare(`
      select state, attempt, fence, crashes, flags, started_wall, stopped_wall, error, value from rdq_ended
      where seq = ?`)
      .raw()
    this.#inDelayed = db
      .prepare(`
      select attempt, fence, crashes, flags, epoch, clock, due from rdq_delayed where seq = ?`)
      .raw()
    this.#inReady = db
      .prepare(`
      select attempt, fence, crashes, flags from rdq_ready where epoch = ? and priority = ? and seq = ?`)
      .raw()
    this.#inPendingByKey = db
      .prepare(`
      select attempt, fence, crashes, flags from rdq_pending_by_key where epoch = ? and key = ? and priority = ? and seq = ?`)
      .raw()
    this.#inSuspects = db
      .prepare('select attempt, fence, crashes, flags, epoch, since from rdq_suspect where seq = ?')
      .raw()
    this.#cleared = db
      .prepare(`
      select epoch, cleared_wall, reason from rdq_cleared_epoch where queue = ? order by epoch`)
      .raw()
    this.#priority = db.prepare('select priority from rdq_job where seq = ?').pluck()
  }

  /** A job that was put before waits again. */
  wait(queue: QueueRow, job: MovingFields, now: number, due?: Due): void {
    this.#list(queue, job)
    this.add(queue, job, now, due)
  }
  /**
   * Puts a job among those that may start, or among those not due, and counts it. Suspects wait in a line of their own.
   */
  add(queue: QueueRow, job: MovingFields, now: number, due?: Due): void {
    const { seq, priority, attempt, fence, crashes, flags } = job
    if (due) {
      this.#toDelayed.run(seq, queue.epoch, clockOf(due), due.at, priority, attempt, fence, crashes, flags)
      queue.countMove(undefined, 'delayed', 1)
    } else if (crashes > 0) {
      this.#addSuspect(queue, job, now)
      queue.countMove(undefined, 'pending', 1)
    } else {
      this.#toReady.run(queue.epoch, priority, seq, attempt, fence, crashes, flags)
      queue.countMove(undefined, 'pending', 1)
    }
  }
  /** Adds the job to the line of suspects, where it is pending. */
  suspect(queue: QueueRow, job: MovingFields, now: number): void {
    this.#list(queue, job)
    this.#addSuspect(queue, job, now)
  }
  /**
   * Its key finds the job from now on wherever it is. In a queue that is not sorted by key that is so from its put on.
   */
  #list({ sorted }: QueueRow, { seq }: MovingFields): void {
    if (sorted) this.#listOne.run(seq)
  }
  #addSuspect(queue: QueueRow, job: MovingFields, now: number): void {
    const { seq, priority, attempt, fence, crashes, flags, since = now } = job
    this.#toSuspects.run(seq, queue.epoch, since, priority, attempt, fence, crashes, flags)
  }
  /**
   * Adds a job to the pending jobs of its key, because its key is held. In a queue that is sorted by key all jobs that
   * may start are there. The caller has removed it from the ready jobs.
   */
  addByKey(queue: QueueRow, key: string, job: MovingFields): void {
    this.#toPendingByKey.run(this.#rowByKey(queue, key, job))
  }
  /** The same for many, each with its key. */
  addAllByKey(queue: QueueRow, jobs: readonly (readonly [key: string, MovingFields])[]): void {
    this.#toPendingByKey.run(jobs.flatMap(([key, job]) => this.#rowByKey(queue, key, job)))
  }
  #rowByKey({ epoch }: QueueRow, key: string, job: MovingFields): SqliteValue[] {
    const { seq, priority, attempt, fence, crashes, flags } = job
    return [epoch, key, priority, seq, attempt, fence, crashes, flags]
  }
  /** Records an ending. The caller has removed the job from its table and updates the count of its former state. */
  end(queue: QueueRow, job: Omit<MovingFields, 'priority'>, ending: Ending, now: number): void {
    const { state, startedWall, stoppedWall, error, value } = ending
    const { keep } = queue
    const forMs = keptMs(keep, state)
    queue.countMove(undefined, state, 1)
    if (job.crashes > 0) queue.suspects--
    if (!(forMs > 0)) return this.drop(job.seq, job.flags, state, now, keep.idsMs)
    const { seq, attempt, fence, crashes, flags } = job
    const kept = keep.results ? value : null
    this.#toEnded.run(
      ...[
        seq,
        queue.queueId,
        state,
        attempt,
        fence,
        crashes,
        flags,
        startedWall,
        stoppedWall,
        now + forMs,
        error,
        kept,
      ],
    )
  }
  /** Forgets a job. A given id is remembered for `idsMs` longer. */
  drop(seq: number, flags: number, state: JobState, now: number, idsMs: number): void {
    if ((flags & givenId) !== 0 && idsMs > 0) this.#remember.run(state, now + idsMs, seq)
    if ((flags & hasLastRun) !== 0) this.#dropLastRun.run(seq)
    this.#dropBody.run(seq)
  }
  priority(seq: number): number {
    return (this.#priority.get(seq) as number | undefined) ?? 0
  }

  /** Finds a job. Returns undefined if it is nowhere, which only foreign code can cause. */
  locate(queue: QueueRow, seq: number, priority: number, key: string | null): LocatedJob | undefined {
    const { queueId, epoch } = queue
    const underway = this.#inUnderway.get(queueId, seq) as number[] | undefined
    if (underway) {
      const [worker, ...carried] = underway as [number, ...number[]]
      return { ...carriedOf(seq, priority, carried), state: 'underway', worker }
    }
    const ended = this.#inEnded.get(seq) as unknown[] | undefined
    if (ended) {
      const [state, attempt, fence, crashes, flags, startedWall, stoppedWall, error, value] = ended
      const ending = { state, startedWall, stoppedWall, error, value } as Ending
      const carried = [attempt, fence, crashes, flags] as number[]
      return { ...carriedOf(seq, priority, carried), state: ending.state, ending }
    }
    const delayed = this.#inDelayed.get(seq) as number[] | undefined
    if (delayed) {
      const [, , , , delayedEpoch, clock, due] = delayed as [number, number, number, number, number, number, number]
      const found = { ...carriedOf(seq, priority, delayed), epoch: delayedEpoch, clock, due }
      return delayedEpoch === epoch ? { ...found, state: 'delayed' } : this.#clearedOne(queue, found)
    }
    const suspect = queue.suspects > 0 ? (this.#inSuspects.get(seq) as number[] | undefined) : undefined
    if (suspect) {
      const [, , , , suspectEpoch, since] = suspect as [number, number, number, number, number, number]
      const found = { ...carriedOf(seq, priority, suspect), epoch: suspectEpoch, since }
      return suspectEpoch === epoch ? { ...found, state: 'pending' } : this.#clearedOne(queue, found)
    }
    const waiting = this.#inEpoch(epoch, seq, priority, key)
    if (waiting) return { ...waiting, state: 'pending' }
    if (queue.cleared === 0) return undefined
    for (const [clearedEpoch] of this.#cleared.all(queueId) as [number][]) {
      const found = this.#inEpoch(clearedEpoch, seq, priority, key)
      if (found) return this.#clearedOne(queue, found)
    }
    return undefined
  }
  #inEpoch(epoch: number, seq: number, priority: number, key: string | null): Omit<LocatedJob, 'state'> | undefined {
    const ready = this.#inReady.get(epoch, priority, seq) as number[] | undefined
    if (ready) return { ...carriedOf(seq, priority, ready), epoch }
    if (key === null && priority === 0 && this.#readyRanges.has(epoch, seq)) {
      return { ...carriedOf(seq, priority, []), epoch, inRange: true }
    }
    const pendingByKey = this.#inPendingByKey.get(epoch, key ?? keyless, priority, seq) as number[] | undefined
    return pendingByKey && { ...carriedOf(seq, priority, pendingByKey), epoch, isByKey: true }
  }
  /** A cleared job is cancelled, even if it has not been swept out yet. */
  #clearedOne(queue: QueueRow, found: Omit<LocatedJob, 'state'>): LocatedJob {
    const rows = this.#cleared.all(queue.queueId) as [number, number, string | null][]
    const [, stoppedWall = null, error = null] = rows.find(([epoch]) => epoch === found.epoch) ?? []
    const ending: Ending = { state: 'cancelled', startedWall: null, stoppedWall, error, value: null }
    return { ...found, state: 'cancelled', ending }
  }
  /** Removes a job from wherever it is. The caller updates the count. */
  leave(queue: QueueRow, found: LocatedJob, key: string | null): void {
    const { seq, epoch, priority } = found
    if (found.worker !== undefined) this.#outOf.underway.run(found.worker, queue.queueId, seq)
    else if (epoch === undefined) this.#outOf.ended.run(seq)
    else if (found.due !== undefined) this.#outOf.delayed.run(seq)
    else if (found.since !== undefined) this.#outOf.suspect.run(seq)
    else if (found.inRange) this.#readyRanges.takeOne(epoch, seq)
    else if (found.isByKey) {
      this.#outOf.pendingByKey.run(epoch, key ?? keyless, priority, seq)
      // The next job of the key may cost less than this one, which may have had no capacity.
      if (queue.sorted && key !== null) this.#released.run(queue.queueId, key)
    } else this.#outOf.ready.run(epoch, priority, seq)
  }
}

function carriedOf(seq: number, priority: number, row: readonly number[]): MovingFields {
  const [attempt = 0, fence = 0, crashes = 0, flags = 0] = row
  return { seq, priority, attempt, fence, crashes, flags }
}

/**
 * The rows of jobs underway as claims write them: which worker has which job, by which exchange, and what was charged.
 * The caller removes the jobs from where they waited.
 */
export class UnderwayRows {
  readonly #worker: number
  readonly #each: ManyRows
  readonly #ready: SqliteStatement
  readonly #range: SqliteStatement
  readonly #ofKey: SqliteStatement

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    const columns = 'worker, queue, exchange, seq, attempt, fence, crashes, flags, grant'
    const next = 'seq, attempt + 1, fence + 1, crashes, flags'
    const all = `${columns}, alone, key, key_start, rule_starts`
    this.#each = new ManyRows(db, 13, rows => `insert into rdq_underway (${all}) values ${rows}`)
    this.#ready = db.prepare(`
      insert into rdq_underway (${columns}) select ?, ?, ?, ${next}, (seq - ?) * ?
      from rdq_ready where epoch = ? and (priority, seq) <= (?, ?)`)
    this.#range = db.prepare(`
      insert into rdq_underway (${columns}) select ?, ?, ?, seq, 1, 1, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
    this.#ofKey = db.prepare(`
      insert into rdq_underway (${columns}, key) select ?, ?, ?, ${next}, 0, ?
      from rdq_pending_by_key where epoch = ? and key = ? and (priority, seq) <= (?, ?)`)
  }

  add({ queueId }: QueueRow, exchange: number, starts: readonly StartedJob[]): void {
    const values: SqliteValue[] = []
    for (const { seq, attempt, fence, crashes, flags, grant, alone, key, keyStart, ruleStarts } of starts) {
      values.push(this.#worker, queueId, exchange, seq, attempt, fence, crashes, flags, grant)
      values.push(alone ? 1 : 0, key, keyStart, textOfStarts(ruleStarts))
    }
    this.#each.run(values)
  }
  /**
   * Adds all ready jobs up to that one, in one statement if it can number their starts: jobs that were put in succession
   * mostly get successive starts.
   */
  addReady(
    { queueId, epoch }: QueueRow,
    exchange: number,
    starts: readonly StartedJob[],
    { priority, seq }: UpTo,
  ): boolean {
    const [first] = starts
    const numbered = first && first.grant > 0 ? 1 : 0
    const offset = first ? first.seq - first.grant : 0
    const isNumbered = ({ seq, grant, ruleStarts }: StartedJob): boolean =>
      ruleStarts.length === 0 && grant === (seq - offset) * numbered
    if (!starts.every(isNumbered)) return false
    this.#ready.run(this.#worker, queueId, exchange, offset, numbered, epoch, priority, seq)
    return true
  }
  /** Adds all pending jobs of the key up to that one; nothing is charged for them. */
  addOfKey({ queueId, epoch }: QueueRow, exchange: number, key: string, { priority, seq }: UpTo): void {
    this.#ofKey.run(this.#worker, queueId, exchange, key === keyless ? null : key, epoch, key, priority, seq)
  }
  /** Adds successive jobs that were never started, from `from` up to `to`, which is not included. */
  addRange({ queueId }: QueueRow, exchange: number, from: number, to: number): void {
    this.#range.run(this.#worker, queueId, exchange, from, to)
  }
}
