/**
 * Gives jobs out: walks the ready ones in their order, asks the rate, and makes those that may start underway.
 *
 * All that a claim has looked at leaves the ready table, so it never walks over the same row twice, and costs the same
 * however many wait behind. The body is read of those alone that are given out.
 */
import { CostError } from '../../lib/errors.ts'
import type { Rate, RateRule } from '../../lib/rate.ts'
import { type Bodies, type BodyMore, errorText, moreOf, unreadable } from './bodies.ts'
import { atMost, type SqliteDatabase, type SqliteStatement } from './database.ts'
import type { Name } from './names.ts'
import type { Carried, Places } from './places.ts'
import { PlainWalk } from './plain.ts'
import { inDoubt, noted } from './schema.ts'
import type { Starts } from './starts.ts'
import type { Stretches } from './stretches.ts'
import type { JobMore, JobRow, PlainClaimed, Sparse, TurnDone } from './wire.ts'

/** What a turn claims at most, however wide the queue; and how many it passes over for a held key, or because they fail. */
const claimMost = 1_000
const passMost = 1_000
/** Where a rate may say no after the first, so many are looked at to begin with. */
const firstLook = 8

export interface ClaimParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly places: Places
  readonly bodies: Bodies
  readonly starts: Starts
  readonly stretches: Stretches
}

/** What the walk has given out so far. Columns, as the wire has them. */
export interface Claimed {
  readonly seqs: number[]
  readonly ids: string[]
  readonly payloads: string[]
  readonly priorities: number[]
  readonly attempts: number[]
  readonly fences: number[]
  readonly queuedAt: number[]
  readonly more: (readonly [number, JobMore])[]
  plain: PlainClaimed | undefined
  readonly grants: number[] | undefined
  readonly graceMs: number
  blocked: { readonly rule: RateRule | undefined; readonly until: number } | undefined
  /** More may be had at once. */
  again: boolean
}

type Row = readonly [
  ...[priority: number, seq: number, attempt: number, fence: number, crashes: number, flags: number],
  ...[id: string | null, payload: string, queuedAt: number, key: string | null, more: string | null],
  ...[fingerprint: string | null, valid: number],
]

export class Claims {
  readonly #parts: ClaimParts
  readonly #plain: PlainWalk
  readonly #walk: SqliteStatement
  readonly #isBefore: SqliteStatement
  readonly #leaveReady: SqliteStatement
  readonly #take: SqliteStatement
  readonly #takeMany: SqliteStatement
  readonly #takeStretch: SqliteStatement
  readonly #heldKeys: SqliteStatement
  readonly #ofTurn: SqliteStatement

  constructor(parts: ClaimParts) {
    const { db } = parts
    this.#parts = parts
    this.#plain = new PlainWalk(db)
    this.#walk = db
      .prepare(`
      select r.priority, r.seq, r.attempt, r.fence, r.crashes, r.flags, j.id, j.payload, j.queued_wall, j.key, j.more,
        j.fingerprint, json_valid(j.payload)
      from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.lane = ? order by r.priority, r.seq ${atMost}`)
      .raw()
    this.#isBefore = db.prepare('select 1 from rdq_ready where lane = ? and (priority, seq) < (0, ?) limit 1')
    const upTo = 'rdq_ready where lane = ? and (priority, seq) <= (?, ?)'
    this.#leaveReady = db.prepare(`delete from ${upTo}`)
    const columns = 'worker, queue, seq, attempt, fence, crashes, flags, start, turn'
    this.#take = db.prepare(`insert into rdq_underway (${columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#takeMany = db.prepare(`
      insert into rdq_underway (${columns}) 
      select ?, ?, seq, attempt + 1, fence + 1, crashes, flags, (seq - ?) * ?, ? from ${upTo}`)
    this.#takeStretch = db.prepare(`
      insert into rdq_underway (${columns})
      select ?, ?, seq, 1, 1, 0, 0, 0, ? from rdq_job where seq >= ? and seq < ?`)
    this.#heldKeys = db.prepare('select key from rdq_hold where queue = ? and until_at > ?').pluck()
    this.#ofTurn = db
      .prepare(`
      select j.priority, u.seq, u.attempt, u.fence, u.crashes, u.flags, j.id, j.payload, j.queued_wall, j.key, j.more,
        j.fingerprint, 1, u.start
      from rdq_underway u join rdq_job j on j.seq = u.seq
      where u.worker = ? and u.queue = ? and u.turn = ? order by j.priority, u.seq`)
      .raw()
  }

  claim(name: Name, room: number, turn: number, now: number, impossible: JobRow[]): Claimed {
    const rate = this.#parts.starts.of(name)
    const out = emptyClaim(rate, this.#parts.starts.graceMs(name))
    const most = name.held ? 0 : Math.min(room, claimMost)
    if (most <= 0 || name.counts.pending === 0) return out
    if (!out.grants && this.#givePlain(name, most, turn, out)) return out
    const heldKeys = name.holds > 0 ? new Set(this.#heldKeys.all(name.queue, now) as string[]) : undefined
    let look = out.grants ? firstLook : most
    let passed = 0
    while (out.seqs.length < most && passed < passMost) {
      const wanted = Math.min(look, most - out.seqs.length)
      const rows = this.#ahead(name, wanted)
      const before = out.seqs.length
      const walked = this.#give(name, rows, out, { rate, heldKeys, turn, now, impossible })
      passed += walked - (out.seqs.length - before)
      if (out.blocked || rows.length < wanted) break
      look *= 2
    }
    out.again = !out.blocked && (out.seqs.length === claimMost || passed >= passMost) && name.counts.pending > 0
    if (out.grants && out.grants.length > 0) this.#parts.starts.changing(name)
    return out
  }
  /** Without a rate to ask, and where those that come first are a stretch: all at once, or none. */
  #givePlain(name: Name, most: number, turn: number, out: Claimed): boolean {
    const { stretches, worker } = this.#parts
    const { lane, queue, counts } = name
    const first = stretches.first(lane)
    // A short one alone does not fill the room, unless there are no others.
    if (!first || (first.jobs < most && first.jobs < counts.pending)) return false
    if (this.#isBefore.get(lane, first.seq)) return false
    const count = Math.min(most, first.jobs)
    const plain = this.#plain.read(first.seq, count)
    if (!plain) return false
    this.#takeStretch.run(worker, queue, turn, first.seq, first.seq + count)
    stretches.take(lane, first, count)
    this.#gave(name, count)
    out.plain = plain
    out.again = count === claimMost && name.counts.pending > 0
    return true
  }
  /** The first that wait, up to `most`, each as a row. */
  #ahead(name: Name, most: number): Row[] {
    const { stretches } = this.#parts
    const { lane } = name
    const rows = this.#walk.all(lane, most) as Row[]
    const first = stretches.first(lane)
    if (!first) return rows
    const last = rows[most - 1]
    if (last && (last[0] < 0 || (last[0] === 0 && last[1] < first.seq))) return rows
    const missing = stretches.unroll(lane, most)
    name.counts.pending -= missing
    if (missing > 0) name.dirty = true
    return this.#walk.all(lane, most) as Row[]
  }
  #gave(name: Name, count: number): void {
    name.counts.pending -= count
    name.counts.underway += count
    name.dirty = true
  }
  /** Gives out the rows, up to the first that the rate holds up. Answers how many have left the ready table. */
  #give(
    name: Name,
    rows: readonly Row[],
    out: Claimed,
    by: {
      readonly rate: Rate
      readonly heldKeys: ReadonlySet<string> | undefined
      readonly turn: number
      readonly now: number
      readonly impossible: JobRow[]
    },
  ): number {
    const { worker } = this.#parts
    const { rate, heldKeys, turn, now } = by
    const first = out.seqs.length
    const aside: (readonly [string, Carried])[] = []
    const ending: (readonly [Row, string])[] = []
    const rest: number[] = []
    let walked = 0
    for (const row of rows) {
      const key = row[9]
      if (key !== null && heldKeys?.has(key)) aside.push([key, carriedOf(row)])
      else {
        const problem = row[6] === null || row[12] === 1 ? undefined : unreadable(row[6], row[7], row[10])
        const { cost } = row[10] === null ? none : moreOf({ more: row[10] })
        let grant = 0
        if (row[6] !== null && !problem && out.grants) {
          grant = rate.grant(cost, now, out.graceMs)
          if (grant < 0) {
            const blocked = rate.blocking(cost, now)
            if (blocked?.until !== Infinity) {
              out.blocked = blocked
              break
            }
          } else out.grants.push(grant)
        }
        if (row[6] === null) name.counts.pending--
        else if (problem) ending.push([row, errorText(problem)])
        else if (grant < 0) ending.push([row, errorText(neverStarts(rate, cost))])
        else {
          rest.push(grant)
          this.#tell(out, row, row[2] + 1, row[3] + 1)
        }
      }
      walked++
    }
    const given = out.seqs.length - first
    const last = rows[walked - 1]
    if (!last) return 0
    // Mostly jobs that were put in a row get starts in a row, so that one statement can number them.
    const offset = (rows[0]?.[1] as number) - (rest[0] ?? 0)
    const inRow = rest.every((grant, i) => grant === 0 || rows[i]?.[1] === grant + offset)
    if (given === walked && (!out.grants || inRow)) {
      const numbered = rest[0] ? 1 : 0
      this.#takeMany.run(worker, name.queue, offset, numbered, turn, name.lane, last[0], last[1])
    } else {
      const taken = new Map(out.seqs.slice(first).map((seq, i) => [seq, rest[i] as number]))
      for (const [, seq, attempt, fence, crashes, flags] of rows.slice(0, walked)) {
        const grant = taken.get(seq)
        if (grant === undefined) continue
        this.#take.run(worker, name.queue, seq, attempt + 1, fence + 1, crashes, flags, grant, turn)
      }
    }
    this.#leaveReady.run(name.lane, last[0], last[1])
    for (const [key, job] of aside) this.#parts.places.putAside(name, key, job)
    for (const [row, error] of ending) this.#fail(name, row, error, now, by.impossible)
    this.#gave(name, given)
    return walked
  }
  #fail(name: Name, row: Row, error: string, now: number, impossible: JobRow[]): void {
    const { places, bodies } = this.#parts
    const job = carriedOf(row)
    const ending = { state: 'failed', startedWall: null, stoppedWall: null, error, value: null } as const
    const body = bodies.body(name, job.seq)
    // What is no JSON must not cross as if it were.
    const payload = row[12] === 1 ? row[7] : 'null'
    if (body) impossible.push(bodies.rowOf({ ...body, payload }, { ...job, state: 'failed', ending }))
    name.counts.pending--
    places.end(name, job, ending, now)
  }
  #tell(out: Claimed, row: Row, attempt: number, fence: number): void {
    const [priority, seq, , , , flags, id, payload, queuedAt, key, more, fingerprint] = row
    if (key !== null || more !== null || fingerprint !== null || (flags & noted) !== 0) {
      const facts: { -readonly [K in keyof JobMore]: JobMore[K] } = more === null ? {} : { ...moreOf({ more }) }
      if (key !== null) facts.key = key
      if (fingerprint !== null) facts.fingerprint = fingerprint
      if ((flags & noted) !== 0) {
        const [, , error, checkpoint] = this.#parts.bodies.noteOf(seq)
        if (error !== null) facts.error = error
        if (checkpoint !== null) facts.checkpoint = checkpoint
      }
      out.more.push([out.seqs.length, facts])
    }
    out.seqs.push(seq)
    out.ids.push(id as string)
    out.payloads.push(payload)
    out.priorities.push(priority)
    out.attempts.push(attempt)
    out.fences.push(fence)
    out.queuedAt.push(queuedAt)
  }
  /** What the turn of that number claimed and has not been settled since, for an answer that was lost. */
  claimedAt(name: Name, turn: number): Claimed & { readonly countedUntil: number } {
    const rate = this.#parts.starts.of(name)
    const out = emptyClaim(rate, this.#parts.starts.graceMs(name))
    const rows = this.#ofTurn.all(this.#parts.worker, name.queue, turn) as unknown as [...Row, number][]
    let countedUntil = Infinity
    for (const row of rows) {
      if ((row[5] & inDoubt) !== 0) continue
      const start = row[13] as number
      this.#tell(out, row as unknown as Row, row[2], row[3])
      out.grants?.push(start)
      if (start > 0) countedUntil = Math.min(countedUntil, rate.countsAt(start) ?? -Infinity)
    }
    return { ...out, countedUntil }
  }
}

const none: BodyMore = Object.freeze({})

function emptyClaim(rate: Rate, graceMs: number): Claimed {
  const columns = { seqs: [], ids: [], payloads: [], priorities: [], attempts: [], fences: [], queuedAt: [], more: [] }
  return { ...columns, grants: rate.idle ? undefined : [], graceMs, plain: undefined, blocked: undefined, again: false }
}
function carriedOf([priority, seq, attempt, fence, crashes, flags]: Row): Carried {
  return { seq, priority, attempt, fence, crashes, flags }
}
/** The limit was lowered below what the job costs. */
function neverStarts(rate: Rate, cost: BodyMore['cost']): CostError {
  const never = rate.impossible(cost) ?? { unit: 'starts', cost: 1, limit: 0 }
  return new CostError(never.unit, never.cost, never.limit)
}

/** As the wire has it, without what only the store needs. */
export function claimedOnWire(claimed: Claimed): TurnDone['claimed'] {
  const { seqs, ids, payloads, priorities, attempts, fences, queuedAt, plain } = claimed
  const more = claimed.more as Sparse<JobMore>
  return { seqs, ids, payloads, priorities, attempts, fences, queuedAt, more, plain }
}
