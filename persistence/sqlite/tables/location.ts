/**
 * Where a job can be, and how it gets from one place to another: waiting (ready, delayed, aside), underway, or ended.
 *
 * A job's body stays where it was put. What changes with it is a narrow row that goes from table to table.
 */
import type { JobState } from '../../../lib/job.ts'
import type { Due } from '../../../lib/rules/due.ts'
import { keptMs } from '../../../lib/rules/keep.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Name } from './queue.ts'
import type { Stretches } from './ready-range.ts'
import { givenId, noted } from './schema.ts'

/** The clocks by which a delayed job comes due, as rdq_delayed has them. */
export const steady = 0
export const dated = 1

export function clockOf({ clock }: Due): number {
  return clock === 'wall' ? dated : steady
}
/** When a delayed job comes due. */
export function dueAt({ state, clock, due }: Found): Due | undefined {
  return state === 'delayed' && due !== undefined ? { clock: clock === dated ? 'wall' : 'steady', at: due } : undefined
}

/** What goes with a job from place to place. */
export interface Carried {
  readonly seq: number
  readonly priority: number
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly flags: number
  /** Of a suspect that waits: since when, by the file's clock. */
  readonly since?: number
}

export interface Ending {
  readonly state: 'finished' | 'failed' | 'cancelled'
  readonly startedWall: number | null
  readonly stoppedWall: number | null
  readonly error: string | null
  readonly value: string | null
}

/** A job where it is. */
export interface Found extends Carried {
  readonly state: JobState
  /** Of one that is underway: whose it is, 0 being nobody's. */
  readonly worker?: number
  /** The lane of one that waits. One that was cleared has a lane too, and is cancelled. */
  readonly lane?: number
  readonly aside?: true
  /** It waits in a stretch. */
  readonly inStretch?: true
  readonly clock?: number
  readonly due?: number
  readonly ending?: Ending
}

export class Places {
  readonly #stretches: Stretches
  readonly #outOf: Readonly<Record<'underway' | 'ended' | 'delayed' | 'aside' | 'suspect' | 'ready', SqliteStatement>>
  readonly #toReady: SqliteStatement
  readonly #toDelayed: SqliteStatement
  readonly #toAside: SqliteStatement
  readonly #toSuspects: SqliteStatement
  readonly #toEnded: SqliteStatement
  readonly #dropBody: SqliteStatement
  readonly #dropNote: SqliteStatement
  readonly #remember: SqliteStatement
  readonly #inUnderway: SqliteStatement
  readonly #inEnded: SqliteStatement
  readonly #inDelayed: SqliteStatement
  readonly #inReady: SqliteStatement
  readonly #inAside: SqliteStatement
  readonly #inSuspects: SqliteStatement
  readonly #cleared: SqliteStatement
  readonly #priority: SqliteStatement

  constructor(db: SqliteDatabase, stretches: Stretches) {
    this.#stretches = stretches
    this.#outOf = {
      underway: db.prepare('delete from rdq_underway where worker = ? and queue = ? and seq = ?'),
      ended: db.prepare('delete from rdq_ended where seq = ?'),
      delayed: db.prepare('delete from rdq_delayed where seq = ?'),
      suspect: db.prepare('delete from rdq_suspect where seq = ?'),
      aside: db.prepare('delete from rdq_aside where lane = ? and key = ? and priority = ? and seq = ?'),
      ready: db.prepare('delete from rdq_ready where lane = ? and priority = ? and seq = ?'),
    }
    this.#toReady = db.prepare(`
      insert into rdq_ready (lane, priority, seq, attempt, fence, crashes, flags) values (?, ?, ?, ?, ?, ?, ?)`)
    this.#toDelayed = db.prepare(`
      insert into rdq_delayed (seq, lane, clock, due, priority, attempt, fence, crashes, flags)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#toAside = db.prepare(`
      insert into rdq_aside (lane, key, priority, seq, attempt, fence, crashes, flags) values (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#toSuspects = db.prepare(`
      insert into rdq_suspect (seq, lane, since, priority, attempt, fence, crashes, flags) values (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#toEnded = db.prepare(`
      insert into rdq_ended (seq, queue, state, attempt, fence, crashes, flags, started_wall, stopped_wall, forget_at,
        error, value) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#dropBody = db.prepare('delete from rdq_job where seq = ?')
    this.#dropNote = db.prepare('delete from rdq_note where seq = ?')
    this.#remember = db.prepare(`
      insert or replace into rdq_id (queue, id, fingerprint, state, forget_at)
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
      select attempt, fence, crashes, flags, lane, clock, due from rdq_delayed where seq = ?`)
      .raw()
    this.#inReady = db
      .prepare(`
      select attempt, fence, crashes, flags from rdq_ready where lane = ? and priority = ? and seq = ?`)
      .raw()
    this.#inAside = db
      .prepare(`
      select attempt, fence, crashes, flags from rdq_aside where lane = ? and key = ? and priority = ? and seq = ?`)
      .raw()
    this.#inSuspects = db
      .prepare('select attempt, fence, crashes, flags, lane, since from rdq_suspect where seq = ?')
      .raw()
    this.#cleared = db
      .prepare(`
      select lane, cleared_wall, reason from rdq_cleared where queue = ? order by lane`)
      .raw()
    this.#priority = db.prepare('select priority from rdq_job where seq = ?').pluck()
  }

  /** To its place among those that may start, or those that are not due. Counts it. Suspects wait in a line of their own. */
  wait(name: Name, job: Carried, now: number, due?: Due): void {
    const { seq, priority, attempt, fence, crashes, flags } = job
    if (due) {
      this.#toDelayed.run(seq, name.lane, clockOf(due), due.at, priority, attempt, fence, crashes, flags)
      name.counts.delayed++
    } else if (crashes > 0) {
      this.suspect(name, job, now)
      name.counts.pending++
    } else {
      this.#toReady.run(name.lane, priority, seq, attempt, fence, crashes, flags)
      name.counts.pending++
    }
    name.dirty = true
  }
  /** Into the line of suspects; it is pending there. */
  suspect(name: Name, job: Carried, now: number): void {
    const { seq, priority, attempt, fence, crashes, flags, since = now } = job
    this.#toSuspects.run(seq, name.lane, since, priority, attempt, fence, crashes, flags)
  }
  /** From the ready ones, which it has left already, to those of a held key: it stays pending. */
  putAside(name: Name, key: string, job: Carried): void {
    const { seq, priority, attempt, fence, crashes, flags } = job
    this.#toAside.run(name.lane, key, priority, seq, attempt, fence, crashes, flags)
  }
  /** Records an ending. The job has left its place; the count of the state that it leaves is the caller's. */
  end(name: Name, job: Omit<Carried, 'priority'>, ending: Ending, now: number): void {
    const { state, startedWall, stoppedWall, error, value } = ending
    const { keep } = name
    const forMs = keptMs(keep, state)
    name.counts[state]++
    name.dirty = true
    if (job.crashes > 0) name.suspects--
    if (!(forMs > 0)) return this.drop(job.seq, job.flags, state, now, keep.idsMs)
    const { seq, attempt, fence, crashes, flags } = job
    const kept = keep.results ? value : null
    this.#toEnded.run(
      ...[seq, name.queue, state, attempt, fence, crashes, flags, startedWall, stoppedWall, now + forMs, error, kept],
    )
  }
  /** Forgets a job; its id, if it was given, is remembered for `idsMs` longer. */
  drop(seq: number, flags: number, state: JobState, now: number, idsMs: number): void {
    if ((flags & givenId) !== 0 && idsMs > 0) this.#remember.run(state, now + idsMs, seq)
    if ((flags & noted) !== 0) this.#dropNote.run(seq)
    this.#dropBody.run(seq)
  }
  priority(seq: number): number {
    return (this.#priority.get(seq) as number | undefined) ?? 0
  }

  /** Where the job is. Undefined when it is nowhere, which only a stranger can bring about. */
  locate(name: Name, seq: number, priority: number, key: string | null): Found | undefined {
    const { queue, lane } = name
    const underway = this.#inUnderway.get(queue, seq) as number[] | undefined
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
      const [, , , , delayedLane, clock, due] = delayed as [number, number, number, number, number, number, number]
      const found = { ...carriedOf(seq, priority, delayed), lane: delayedLane, clock, due }
      return delayedLane === lane ? { ...found, state: 'delayed' } : this.#clearedOne(name, found)
    }
    const suspect = name.suspects > 0 ? (this.#inSuspects.get(seq) as number[] | undefined) : undefined
    if (suspect) {
      const [, , , , suspectLane, since] = suspect as [number, number, number, number, number, number]
      const found = { ...carriedOf(seq, priority, suspect), lane: suspectLane, since }
      return suspectLane === lane ? { ...found, state: 'pending' } : this.#clearedOne(name, found)
    }
    const waiting = this.#inLane(lane, seq, priority, key)
    if (waiting) return { ...waiting, state: 'pending' }
    if (name.cleared === 0) return undefined
    for (const [clearedLane] of this.#cleared.all(queue) as [number][]) {
      const found = this.#inLane(clearedLane, seq, priority, key)
      if (found) return this.#clearedOne(name, found)
    }
    return undefined
  }
  #inLane(lane: number, seq: number, priority: number, key: string | null): Omit<Found, 'state'> | undefined {
    const ready = this.#inReady.get(lane, priority, seq) as number[] | undefined
    if (ready) return { ...carriedOf(seq, priority, ready), lane }
    if (key === null) {
      if (priority !== 0 || !this.#stretches.has(lane, seq)) return undefined
      return { ...carriedOf(seq, priority, []), lane, inStretch: true }
    }
    const aside = this.#inAside.get(lane, key, priority, seq) as number[] | undefined
    return aside && { ...carriedOf(seq, priority, aside), lane, aside: true }
  }
  /** What was cleared is cancelled, though it has not been swept out yet. */
  #clearedOne(name: Name, found: Omit<Found, 'state'>): Found {
    const rows = this.#cleared.all(name.queue) as [number, number, string | null][]
    const [, stoppedWall = null, error = null] = rows.find(([lane]) => lane === found.lane) ?? []
    const ending: Ending = { state: 'cancelled', startedWall: null, stoppedWall, error, value: null }
    return { ...found, state: 'cancelled', ending }
  }
  /** Out of wherever it is; its count is the caller's. */
  leave(name: Name, found: Found, key: string | null): void {
    const { seq, lane, priority } = found
    if (found.worker !== undefined) this.#outOf.underway.run(found.worker, name.queue, seq)
    else if (lane === undefined) this.#outOf.ended.run(seq)
    else if (found.due !== undefined) this.#outOf.delayed.run(seq)
    else if (found.since !== undefined) this.#outOf.suspect.run(seq)
    else if (found.inStretch) this.#stretches.takeOne(lane, seq)
    else if (found.aside) this.#outOf.aside.run(lane, key, priority, seq)
    else this.#outOf.ready.run(lane, priority, seq)
  }
}

function carriedOf(seq: number, priority: number, row: readonly number[]): Carried {
  const [attempt = 0, fence = 0, crashes = 0, flags = 0] = row
  return { seq, priority, attempt, fence, crashes, flags }
}
