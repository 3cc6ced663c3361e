/** Looks: one job, a page of jobs, and why a job does not run. Reads only, and never more than what is asked for. */
import { JobUnknownError } from '../../lib/errors.ts'
import type { JobState } from '../../lib/job.ts'
import { type Bodies, moreOf } from './bodies.ts'
import { atMost, type SqliteDatabase, type SqliteStatement } from './database.ts'
import type { Name, Names } from './names.ts'
import { dated, type Places } from './places.ts'
import type { Starts } from './starts.ts'
import type { Stretches } from './stretches.ts'
import type { Timeline } from './timeline.ts'
import type { ExplainDone, ExplainRequest, JobRow, ListRequest, Place } from './wire.ts'

/** A list by key looks at so many jobs at once, to find those of the key among them. */
const pageMost = 1_000

/** Before all that wait, and before the latest. */
const first: Place = { priority: -Infinity, seq: 0 }
const latest: Place = { priority: 0, seq: Infinity }

export interface LookParts {
  readonly db: SqliteDatabase
  readonly names: Names
  readonly places: Places
  readonly bodies: Bodies
  readonly starts: Starts
  readonly stretches: Stretches
  readonly timeline: Timeline
}

export class Look {
  readonly #parts: LookParts
  readonly #all: SqliteStatement
  readonly #ended: SqliteStatement
  readonly #underway: SqliteStatement
  readonly #waiting: Readonly<Record<'pending' | 'delayed', SqliteStatement>>
  readonly #before: SqliteStatement
  readonly #heldUntil: SqliteStatement

  constructor(parts: LookParts) {
    const { db } = parts
    this.#parts = parts
    // All jobs of a name stand together, in few ranges of seqs that are its alone.
    this.#all = db
      .prepare(`
        select seq from rdq_range cross join rdq_job
          on seq > range * 4294967296 and seq <= (range + 1) * 4294967296 and seq < ?
        where rdq_range.queue = ? and (? is null or key = ?)
        order by range desc, seq desc ${atMost}`)
      .pluck()
    this.#ended = db
      .prepare(`select seq from rdq_ended where queue = ? and state = ? and seq < ? order by seq desc ${atMost}`)
      .pluck()
    this.#underway = db
      .prepare(`
        select seq from rdq_underway where worker in (select worker from rdq_worker) and queue = ? and seq < ?
        order by seq desc ${atMost}`)
      .pluck()
    const pageOf = (table: string): string => `
      select priority, seq from ${table} where lane = ? and (priority, seq) > (?, ?) order by priority, seq ${atMost}`
    const stretched = `
      select 0 as priority, j.seq from rdq_stretch s cross join rdq_job j on j.seq >= max(s.seq, ?) and j.seq < s.seq + s.jobs
      where s.lane = ? and s.seq >= ? order by s.seq, j.seq ${atMost}`
    this.#waiting = {
      pending: db
        .prepare(`
          select priority, seq from (
            select * from (${pageOf('rdq_ready')}) union all select * from (${pageOf('rdq_aside')})
            union all select * from (${stretched}))
          order by priority, seq ${atMost}`)
        .raw(),
      delayed: db.prepare(pageOf('rdq_delayed')).raw(),
    }
    this.#before = db.prepare('select count(*) from rdq_ready where lane = ? and (priority, seq) < (?, ?)').pluck()
    this.#heldUntil = db.prepare('select until_at from rdq_hold where queue = ? and key = ?').pluck()
  }

  /** What waits in the order of start, anything else the latest first. */
  list(name: Name, { state, key, limit, after }: ListRequest): JobRow[] {
    const { bodies } = this.#parts
    const rows: JobRow[] = []
    const waits = state === 'pending' || state === 'delayed'
    let place = typeof after === 'string' ? this.#placeOf(name, after) : (after ?? (waits ? first : latest))
    for (;;) {
      const wanted = key === undefined || state === undefined ? limit - rows.length : pageMost
      const page = this.#page(name, state, key, place, wanted)
      for (const { priority, seq } of page) {
        place = { priority, seq }
        const row = bodies.row(name, seq)
        if (row && (key === undefined || row.more?.key === key)) rows.push(row)
        if (rows.length === limit) return rows
      }
      if (page.length < wanted) return rows
    }
  }
  #placeOf(name: Name, id: string): Place {
    const body = this.#parts.bodies.body(name, id)
    if (!body) throw new JobUnknownError(id)
    return body
  }
  #page(
    name: Name,
    state: JobState | undefined,
    key: string | undefined,
    { priority, seq }: Place,
    limit: number,
  ): readonly Place[] {
    const bySeq = (seqs: unknown[]): Place[] => (seqs as number[]).map(found => ({ priority: 0, seq: found }))
    switch (state) {
      case 'pending':
      case 'delayed': {
        const from = [name.lane, priority, seq, limit]
        // Pending are those that are ready and those put aside for their key: three tables, each in this order.
        const next = nextPlain(priority, seq)
        const stretch = [next, name.lane, this.#parts.stretches.from(name.lane, next), limit]
        const values = state === 'pending' ? [...from, ...from, ...stretch, limit] : from
        const rows = this.#waiting[state].all(...values) as [number, number][]
        return rows.map(([found, at]) => ({ priority: found, seq: at }))
      }
      case 'underway':
        return bySeq(this.#underway.all(name.queue, seq, limit))
      case undefined:
        return bySeq(this.#all.all(seq, name.queue, key ?? null, key ?? null, limit))
      default:
        return bySeq(this.#ended.all(name.queue, state, seq, limit))
    }
  }

  explain(name: Name, { target, now: hostNow, wall }: ExplainRequest): ExplainDone | undefined {
    const { bodies, starts, stretches, timeline } = this.#parts
    const job = bodies.find(name, target)
    if (!job) return undefined
    const { body, found } = job
    const now = timeline.toFile(hostNow)
    const held = body.key === null ? undefined : (this.#heldUntil.get(name.queue, body.key) as number | undefined)
    const blocking = starts.of(name).blocking(moreOf(body).cost, now)
    const due = found.state === 'delayed' ? (found.due as number) : now
    const bounds: readonly (readonly [ExplainDone['why'], number])[] = [
      ['delay', found.clock === dated ? now + due - wall : due],
      ['key', held ?? now],
      ['rate', blocking?.until ?? now],
    ]
    const [why, notBefore] = bounds.reduce((latest, bound) => (bound[1] > latest[1] ? bound : latest))
    const waits = notBefore > now
    const { lane = 0, priority, seq } = found
    const inStretches = stretches.before(lane, nextPlain(priority, seq - 1))
    return {
      row: bodies.rowOf(body, found),
      position: found.state === 'pending' ? (this.#before.get(lane, priority, seq) as number) + inStretches : undefined,
      notBefore: timeline.fromFile(notBefore),
      why: waits ? why : undefined,
      rule: waits && why === 'rate' ? blocking?.rule : undefined,
    }
  }
}

/** The first seq that is after that place in the order of start, of jobs with priority 0. */
function nextPlain(priority: number, seq: number): number {
  if (priority === 0) return seq + 1
  return priority < 0 ? 0 : Infinity
}
