/**
 * Gives jobs out: walks the ready ones in their order, asks the rate, and makes those that may start underway.
 *
 * All that a claim has looked at leaves the ready table, so it never walks over the same row twice, and costs the same
 * however many wait behind. The body is read of those alone that are given out.
 */
import type { Rate } from '../../../lib/rate/rate.ts'
import { maxClaimed } from '../../../lib/rules/bounds.ts'
import { neverStarts } from '../../../lib/rules/puts.ts'
import type { JobRow, JobRowExtras } from '../../durable/store.ts'
import { aloneFrom, precedence, type Standing, type SuspectTurn } from '../../durable/suspect-line.ts'
import { atMost, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { type Bodies, type BodyMore, errorText, moreOf, unreadable } from '../tables/job.ts'
import type { Carried, Places } from '../tables/location.ts'
import type { Name } from '../tables/queue.ts'
import type { Starts } from '../tables/rate-log.ts'
import type { Stretches } from '../tables/ready-range.ts'
import { inDoubt, noted, unsure } from '../tables/schema.ts'
import { type Claimed, emptyClaim, holdUp } from './claim-columns.ts'
import { PlainWalk } from './plain-walk.ts'
import { cautionOf, type Suspects } from './suspects.ts'

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
  readonly suspects: Suspects
  /** Whether a queue object of this process works that name. */
  isWorked(queue: number): boolean
}

/** What a queue asks for. */
export interface Wanted {
  readonly room: number
  readonly admits: boolean
  readonly turn: number
  readonly now: number
}

type Row = readonly [
  ...[priority: number, seq: number, attempt: number, fence: number, crashes: number, flags: number],
  ...[id: string | null, payload: string, queuedAt: number, key: string | null, more: string | null],
  ...[fingerprint: string | null, valid: number],
]

/** The same, and since when it waits. */
type SuspectRow = readonly [...Row, since: number]
/** More crashes than any job has. */
const crashesMost = Number.MAX_SAFE_INTEGER

/** By what jobs are given out in a turn. */
interface By {
  readonly rate: Rate
  readonly heldKeys: ReadonlySet<string> | undefined
  readonly turn: number
  readonly now: number
  readonly impossible: JobRow[]
}

export class Claims {
  readonly #parts: ClaimParts
  readonly #plain: PlainWalk
  readonly #walk: SqliteStatement
  readonly #isBefore: SqliteStatement
  readonly #leaveReady: SqliteStatement
  readonly #take: SqliteStatement
  readonly #takeMany: SqliteStatement
  readonly #takeStretch: SqliteStatement
  readonly #suspectsFrom: SqliteStatement
  readonly #since: SqliteStatement
  readonly #leaveSuspects: SqliteStatement
  readonly #firstReady: SqliteStatement
  readonly #heldKeys: SqliteStatement
  readonly #ofTurn: SqliteStatement

  constructor(parts: ClaimParts) {
    const { db } = parts
    this.#parts = parts
    this.#plain = new PlainWalk(db)
    const row = `select r.priority, r.seq, r.attempt, r.fence, r.crashes, r.flags, j.id, j.payload, j.queued_wall, j.key, j.more,
        j.fingerprint, json_valid(j.payload)`
    this.#walk = db
      .prepare(`
      ${row} from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.lane = ? order by r.priority, r.seq ${atMost}`)
      .raw()
    this.#suspectsFrom = db
      .prepare(`
      ${row}, r.since from rdq_suspect r left join rdq_job j on j.seq = r.seq
      where r.lane = ? and r.crashes >= ? and r.crashes < ? order by r.crashes, r.priority, r.seq ${atMost}`)
      .raw()
    this.#since = db.prepare('select min(since) from rdq_suspect where lane = ? and crashes >= ?').pluck()
    this.#leaveSuspects = db.prepare('delete from rdq_suspect where seq = ?')
    this.#firstReady = db
      .prepare('select priority, seq from rdq_ready where lane = ? order by priority, seq limit 1')
      .raw()
    this.#isBefore = db.prepare('select 1 from rdq_ready where lane = ? and (priority, seq) < (0, ?) limit 1')
    const upTo = 'rdq_ready where lane = ? and (priority, seq) <= (?, ?)'
    this.#leaveReady = db.prepare(`delete from ${upTo}`)
    const columns = 'worker, queue, seq, attempt, fence, crashes, flags, start, turn'
    this.#take = db.prepare(`insert into rdq_underway (${columns}, alone) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
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
        j.fingerprint, 1, u.start, u.alone
      from rdq_underway u join rdq_job j on j.seq = u.seq
      where u.worker = ? and u.queue = ? and u.turn = ? order by j.priority, u.seq`)
      .raw()
  }

  claim(name: Name, wanted: Wanted, impossible: JobRow[]): Claimed {
    const { starts, suspects } = this.#parts
    const { turn, now } = wanted
    const rate = starts.of(name)
    const out = emptyClaim(rate, starts.graceMs(name))
    const most = name.held ? 0 : Math.min(wanted.room, maxClaimed)
    if (suspects.quiet(name)) {
      if (most > 0 && name.counts.pending > 0)
        this.#giveOthers(name, most, out, this.#by(name, rate, turn, now, impossible))
      return out
    }
    this.#giveAll(name, most, wanted.admits && !name.held, out, this.#by(name, rate, turn, now, impossible))
    return out
  }
  #by(name: Name, rate: Rate, turn: number, now: number, impossible: JobRow[]): By {
    const heldKeys = name.holds > 0 ? new Set(this.#heldKeys.all(name.queue, now) as string[]) : undefined
    return { rate, heldKeys, turn, now, impossible }
  }
  /** Where there are suspects, in this queue or another of the process. */
  #giveAll(name: Name, most: number, admits: boolean, out: Claimed, by: By): void {
    const { suspects, isWorked } = this.#parts
    const { line } = suspects
    const { now } = by
    // Looked up first, because its end is to be noticed also by a queue that takes nothing.
    const { underway: running } = suspects
    const turn: SuspectTurn = {
      ...{ queue: name.queue, now, running },
      isIdle: () => suspects.empty,
      canBeIdle: () => suspects.canEmpty(isWorked),
    }
    const takes = most > 0 && name.counts.pending > 0
    if (!admits || name.counts.pending === 0 || (!takes && this.#isGone(name))) line.leaves(name.queue)
    if (!takes) return line.passes(turn)
    if (running?.alone) return holdUp(out, line.lookAgain(now))
    const limit = aloneFrom(name.crashLimit)
    const lone = name.suspects > 0 ? this.#suspect(name, limit, Infinity, out, by) : undefined
    const first = name.suspects > 0 ? this.#suspect(name, 1, limit, out, by) : undefined
    const aloneSince = lone && (this.#since.get(name.lane, limit) as number)
    const plan = line.plan(turn, { aloneSince, first: first && standingOf(first) })
    holdUp(out, plan.lookAt)
    if (plan.starts === 'alone') return this.#giveSuspect(name, lone as SuspectRow, true, out, by)
    if (plan.starts === 'nothing') return
    let left = most
    const suspect = plan.withFirst ? first : undefined
    if (suspect && this.#goesFirst(name, suspect, now)) {
      this.#giveSuspect(name, suspect, false, out, by)
      left--
    }
    if (left > 0 && !out.blocked) this.#giveOthers(name, left, out, by)
    if (suspect && left === most && out.seqs.length < most && !out.plain && !out.blocked) {
      this.#giveSuspect(name, suspect, false, out, by)
    }
  }
  /** Whether the worker waits in vain for a job of this queue that was to run alone: it was cancelled, say, or runs elsewhere. */
  #isGone(name: Name): boolean {
    const { line } = this.#parts.suspects
    return line.waitsAlone(name.queue) && this.#since.get(name.lane, aloneFrom(name.crashLimit)) === null
  }
  /** The first of the suspects that could start now, of those with so many crashes. Those whose key is held are put aside. */
  #suspect(name: Name, from: number, below: number, out: Claimed, by: By): SuspectRow | undefined {
    const { places } = this.#parts
    const { rate, heldKeys, now } = by
    for (;;) {
      const [row] = this.#suspectsFrom.all(name.lane, from, Math.min(below, crashesMost), 1) as SuspectRow[]
      if (!row) return undefined
      const [, seq, , , , , id, payload, , key, more] = row
      const gone = id === null
      const problem = gone ? undefined : row[12] === 1 ? unreadable(id, 'null', more) : unreadable(id, payload, more)
      const cost = more === null || problem ? undefined : moreOf({ more }).cost
      const blocked = problem || gone || !out.grants ? undefined : rate.blocking(cost, now)
      if (key !== null && heldKeys?.has(key)) places.putAside(name, key, carriedOf(row))
      else if (gone) {
        name.counts.pending--
        name.suspects--
      } else if (problem) this.#fail(name, row, errorText(problem), now, by.impossible)
      else if (blocked?.until === Infinity)
        this.#fail(name, row, errorText(neverStarts(cost, rate)), now, by.impossible)
      else {
        if (!blocked) return row
        if (!out.blocked || blocked.until < out.blocked.until) out.blocked = blocked
        return undefined
      }
      this.#leaveSuspects.run(seq)
      name.dirty = true
    }
  }
  /** Whether it comes before the other jobs of its queue: by its place, or because it has waited for so long. */
  #goesFirst(name: Name, row: SuspectRow, now: number): boolean {
    const order = precedence(standingOf(row), now)
    if (order !== 'place') return order === 'first'
    const [priority, seq] = row
    const ready = this.#firstReady.get(name.lane) as [number, number] | undefined
    const stretch = this.#parts.stretches.first(name.lane)
    const isBefore = (otherPriority: number, otherSeq: number): boolean =>
      priority < otherPriority || (priority === otherPriority && seq < otherSeq)
    return (!ready || isBefore(...ready)) && (!stretch || isBefore(0, stretch.seq))
  }
  #giveSuspect(name: Name, row: SuspectRow, alone: boolean, out: Claimed, by: By): void {
    const { worker, suspects } = this.#parts
    const [, seq, attempt, fence, crashes, flags] = row
    const { cost } = row[10] === null ? none : moreOf({ more: row[10] })
    const grant = out.grants ? by.rate.grant(cost, by.now, out.graceMs) : 0
    if (grant < 0) {
      out.blocked = by.rate.blocking(cost, by.now)
      return
    }
    out.grants?.push(grant)
    if (out.grants) this.#parts.starts.changing(name)
    this.#leaveSuspects.run(seq)
    const [run, claim] = [attempt + 1, fence + 1]
    this.#take.run(worker, name.queue, seq, run, claim, crashes, flags, grant, by.turn, alone ? 1 : 0)
    this.#tell(out, row, run, claim, alone)
    suspects.took({ queue: name.queue, seq, fence: claim, alone })
    this.#gave(name, 1)
  }
  /** Those that are no suspects, up to `room`. */
  #giveOthers(name: Name, room: number, out: Claimed, by: By): void {
    const { turn } = by
    const most = out.seqs.length + room
    if (!out.grants && out.seqs.length === 0 && this.#givePlain(name, room, turn, out)) return
    let look = out.grants ? firstLook : most
    let passed = 0
    while (out.seqs.length < most && passed < passMost) {
      const wanted = Math.min(look, most - out.seqs.length)
      const rows = this.#ahead(name, wanted)
      const before = out.seqs.length
      const walked = this.#give(name, rows, out, by)
      passed += walked - (out.seqs.length - before)
      if (out.blocked || rows.length < wanted) break
      look *= 2
    }
    out.again = !out.blocked && (out.seqs.length === maxClaimed || passed >= passMost) && name.counts.pending > 0
    if (out.grants && out.grants.length > 0) this.#parts.starts.changing(name)
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
    out.again = count === maxClaimed && name.counts.pending > 0
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
  #give(name: Name, rows: readonly Row[], out: Claimed, by: By): number {
    const { worker } = this.#parts
    const { rate, heldKeys, turn, now } = by
    const first = out.seqs.length
    const aside: (readonly [string, Carried])[] = []
    const suspected: Carried[] = []
    const ending: (readonly [Row, string])[] = []
    const rest: number[] = []
    let walked = 0
    for (const row of rows) {
      const key = row[9]
      if (key !== null && heldKeys?.has(key)) aside.push([key, carriedOf(row)])
      else if (row[4] > 0 && row[6] !== null) suspected.push(carriedOf(row))
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
        else if (grant < 0) ending.push([row, errorText(neverStarts(cost, rate))])
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
        this.#take.run(worker, name.queue, seq, attempt + 1, fence + 1, crashes, flags, grant, turn, 0)
      }
    }
    this.#leaveReady.run(name.lane, last[0], last[1])
    for (const [key, job] of aside) this.#parts.places.putAside(name, key, job)
    // More than one turn lets come due at once.
    for (const job of suspected) this.#parts.places.suspect(name, job, now)
    for (const [row, error] of ending) this.#fail(name, row, error, now, by.impossible)
    this.#gave(name, given)
    return walked
  }
  #fail(name: Name, row: Row | SuspectRow, error: string, now: number, impossible: JobRow[]): void {
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
  #tell(out: Claimed, row: Row | SuspectRow, attempt: number, fence: number, alone = false): void {
    const [priority, seq, , , crashes, flags, id, payload, queuedAt, key, more, fingerprint] = row
    if (key !== null || more !== null || fingerprint !== null || crashes > 0 || (flags & (noted | unsure)) !== 0) {
      const facts: { -readonly [K in keyof JobRowExtras]: JobRowExtras[K] } =
        more === null ? {} : { ...moreOf({ more }) }
      if (key !== null) facts.key = key
      if (fingerprint !== null) facts.fingerprint = fingerprint
      if ((flags & noted) !== 0) {
        const [, , error, checkpoint] = this.#parts.bodies.noteOf(seq)
        if (error !== null) facts.error = error
        if (checkpoint !== null) facts.checkpoint = checkpoint
      }
      if (crashes > 0) facts.crashes = crashes
      const caution = cautionOf(crashes, flags, alone)
      if (caution !== undefined) facts.caution = caution
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
    const rows = this.#ofTurn.all(this.#parts.worker, name.queue, turn) as unknown as [...Row, number, number][]
    let countedUntil = Infinity
    for (const row of rows) {
      if ((row[5] & inDoubt) !== 0) continue
      const start = row[13] as number
      this.#tell(out, row as unknown as Row, row[2], row[3], row[14] === 1)
      out.grants?.push(start)
      if (start > 0) countedUntil = Math.min(countedUntil, rate.countsAt(start) ?? -Infinity)
    }
    return { ...out, countedUntil }
  }
}

const none: BodyMore = Object.freeze({})

function standingOf(row: SuspectRow): Standing {
  return { crashes: row[4], since: row[13] }
}
function carriedOf([priority, seq, attempt, fence, crashes, flags]: Row | SuspectRow): Carried {
  return { seq, priority, attempt, fence, crashes, flags }
}
/** The limit was lowered below what the job costs. */
