/**
 * What each turn does besides, a bounded number at a time: lets jobs come due and held keys go, and sweeps out what was
 * cleared.
 */

import { maxPruned, wallLookMs } from '../../../lib/rules/bounds.ts'
import type { JobRow } from '../../durable/store.ts'
import { atMost, type SqliteDatabase, type SqliteStatement, type SqliteValue } from '../file/database.ts'
import type { Made } from '../tables/generated-ids.ts'
import type { Bodies } from '../tables/job.ts'
import { type Carried, dated, type Places, steady } from '../tables/location.ts'
import type { Name, Names } from '../tables/queue.ts'
import type { Stretches } from '../tables/ready-range.ts'

/** What becomes due in a turn at most, of each clock and key. */
const ripenMost = 1_000
/** What is swept out in a turn at most, and how soon the next look is when some is left. */
const sweepMost = 500
const sweepAgainMs = 10

type Row = readonly [
  ...[priority: number, seq: number, attempt: number, fence: number, crashes: number, flags: number],
  ...place: SqliteValue[],
]

export class Upkeep {
  readonly #places: Places
  readonly #bodies: Bodies
  readonly #names: Names
  readonly #made: Made
  readonly #stretches: Stretches
  readonly #ripe: SqliteStatement
  readonly #leaveDelayed: SqliteStatement
  readonly #ripeSuspects: SqliteStatement
  readonly #leaveDelayedSuspects: SqliteStatement
  readonly #letGoSuspects: SqliteStatement
  readonly #leaveAsideSuspects: SqliteStatement
  readonly #firstDue: SqliteStatement
  readonly #over: SqliteStatement
  readonly #letGo: SqliteStatement
  readonly #firstAside: SqliteStatement
  readonly #leaveAside: SqliteStatement
  readonly #dropHold: SqliteStatement
  readonly #nextHold: SqliteStatement
  readonly #oldLanes: SqliteStatement
  readonly #inLane: readonly { readonly read: SqliteStatement; readonly leave: SqliteStatement }[]
  readonly #addCleared: SqliteStatement
  readonly #dropCleared: SqliteStatement

  constructor(db: SqliteDatabase, names: Names, places: Places, bodies: Bodies, made: Made, stretches: Stretches) {
    this.#names = names
    this.#stretches = stretches
    this.#made = made
    this.#places = places
    this.#bodies = bodies
    const job = 'priority, seq, attempt, fence, crashes, flags'
    const ripe = `rdq_delayed where lane = ? and clock = ? and due <= ? order by due, seq ${atMost}`
    this.#ripe = db.prepare(`insert into rdq_ready (lane, ${job}) select lane, ${job} from ${ripe}`)
    this.#leaveDelayed = db.prepare(`delete from rdq_delayed where seq in (select seq from ${ripe})`)
    const suspects = ripe.replace('due <= ?', 'due <= ? and crashes > 0')
    const toSuspects = `insert into rdq_suspect (seq, lane, since, priority, attempt, fence, crashes, flags)
      select seq, lane, ?, priority, attempt, fence, crashes, flags`
    this.#ripeSuspects = db.prepare(`${toSuspects} from ${suspects}`)
    this.#leaveDelayedSuspects = db.prepare(`delete from rdq_delayed where seq in (select seq from ${suspects})`)
    this.#firstDue = db.prepare('select min(due) from rdq_delayed where lane = ? and clock = ?').pluck()
    this.#over = db.prepare(`select key from rdq_hold where queue = ? and until_at <= ? ${atMost}`).pluck()
    const aside = 'rdq_aside where lane = ? and key = ?'
    this.#firstAside = db.prepare(`select priority, seq from ${aside} order by priority, seq limit 1 offset ?`).raw()
    this.#letGo = db.prepare(`
      insert into rdq_ready (lane, ${job}) select lane, ${job} from ${aside} order by priority, seq ${atMost}`)
    this.#letGoSuspects = db.prepare(`${toSuspects} from ${aside} and crashes > 0`)
    this.#leaveAsideSuspects = db.prepare(`delete from ${aside} and crashes > 0`)
    this.#leaveAside = db.prepare(`delete from ${aside} and (priority, seq) < (?, ?)`)
    this.#dropHold = db.prepare('delete from rdq_hold where queue = ? and key = ?')
    this.#nextHold = db
      .prepare(`select min(until_at) from rdq_hold h where queue = ? and until_at > ?
        and exists (select 1 from rdq_aside a where a.lane = ? and a.key = h.key)`)
      .pluck()
    this.#oldLanes = db
      .prepare('select lane, cleared_at, cleared_wall, reason from rdq_cleared where queue = ? order by lane')
      .raw()
    this.#inLane = [
      ['rdq_ready', 'priority, seq'],
      ['rdq_aside', 'key, priority, seq'],
      ['rdq_delayed', 'clock, due, seq'],
      ['rdq_suspect', 'crashes, priority, seq'],
    ].map(([table, order = '']) => ({
      read: db.prepare(`select ${job}, ${order} from ${table} where lane = ? order by ${order} ${atMost}`).raw(),
      // A range of the key of the table, so that sweeping costs the same however much is left.
      leave: db.prepare(`
        delete from ${table} where lane = ? and (${order}) <= (${order.replace(/\w+/g, '?')})`),
    }))
    this.#addCleared = db.prepare(`
      insert into rdq_cleared (lane, queue, cleared_at, cleared_wall, reason) values (?, ?, ?, ?, ?)`)
    this.#dropCleared = db.prepare('delete from rdq_cleared where lane = ?')
  }

  /** Lets those that came due, and those of keys no longer held, take their places. Answers whether more of a key could. */
  ripen(name: Name, now: number, wall: number): boolean {
    const { counts, lane } = name
    for (const [clock, at] of [
      [steady, now],
      [dated, wall],
    ] as const) {
      if (counts.delayed === 0) break
      if (name.suspects > 0) this.#ripenSuspects(name, clock, at, now)
      const { changes } = this.#ripe.run(lane, clock, at, ripenMost)
      if (changes === 0) continue
      this.#leaveDelayed.run(lane, clock, at, ripenMost)
      counts.delayed -= changes
      counts.pending += changes
      name.dirty = true
    }
    return this.#release(name, now)
  }
  #ripenSuspects(name: Name, clock: number, at: number, now: number): void {
    const { changes } = this.#ripeSuspects.run(now, name.lane, clock, at, ripenMost)
    if (changes === 0) return
    this.#leaveDelayedSuspects.run(name.lane, clock, at, ripenMost)
    name.counts.delayed -= changes
    name.counts.pending += changes
    name.dirty = true
  }
  #release(name: Name, now: number): boolean {
    if (name.holds === 0) return false
    const { queue, lane } = name
    let left = ripenMost
    const keys = this.#over.all(queue, now, ripenMost) as string[]
    for (const key of keys) {
      if (left <= 0) return true
      if (name.suspects > 0 && this.#letGoSuspects.run(now, lane, key).changes > 0) {
        this.#leaveAsideSuspects.run(lane, key)
      }
      const { changes } = this.#letGo.run(lane, key, left)
      const rest = this.#firstAside.get(lane, key, changes) as [number, number] | undefined
      if (changes > 0) this.#leaveAside.run(lane, key, ...(rest ?? ([Infinity, 0] as const)))
      left -= changes
      name.dirty = true
      if (rest) return true
      this.#dropHold.run(queue, key)
      name.holds--
    }
    return keys.length === ripenMost
  }
  /** Forgets where the jobs of made ids were, once they are gone. */
  pruneMade(name: Name, ended: number, now: number): void {
    if (this.#made.prune(name, maxPruned + ended, now)) name.dirty = true
  }
  /** When the next job comes due or a key is let go. */
  nextLook(name: Name, now: number, wall: number): number {
    let next = Infinity
    if (name.counts.delayed > 0) {
      next = (this.#firstDue.get(name.lane, steady) as number | null) ?? Infinity
      const first = this.#firstDue.get(name.lane, dated) as number | null
      if (first !== null) next = Math.min(next, now + Math.min(first - wall, wallLookMs))
    }
    if (name.holds > 0) {
      next = Math.min(next, (this.#nextHold.get(name.queue, now, name.lane) as number | null) ?? Infinity)
    }
    if (name.cleared > 0) next = Math.min(next, now + sweepAgainMs)
    return next
  }

  /**
   * Cancels all that waits at once, however much it is: the queue gets a new lane, and what is in the old one counts as
   * cancelled from now on. Names the jobs where they are not too many.
   */
  clear(name: Name, reason: string | null, now: number, wall: number): { count: number; changed: readonly JobRow[] } {
    const { counts, lane, queue } = name
    const few = counts.pending + counts.delayed <= ripenMost
    if (few) {
      counts.pending -= this.#stretches.unroll(lane, ripenMost)
      name.dirty = true
    }
    const count = counts.pending + counts.delayed
    if (count === 0) return { count, changed: [] }
    const seqs = few ? this.#inOrder(lane).map(([, seq]) => seq) : []
    name.lane = this.#names.lane()
    name.cleared++
    counts.cancelled += count
    counts.pending = counts.delayed = 0
    name.dirty = true
    this.#addCleared.run(lane, queue, now, wall, reason)
    const changed = seqs.flatMap(seq => this.#bodies.row(name, seq) ?? [])
    if (few) this.sweep(name, ripenMost)
    return { count, changed }
  }
  #inOrder(lane: number): Row[] {
    const rows = this.#inLane.flatMap(({ read }) => read.all(lane, ripenMost) as Row[])
    return rows.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  }
  /** Gives what was cleared the ending that it has already. */
  sweep(name: Name, most: number = sweepMost): void {
    if (name.cleared === 0) return
    let left = most
    for (const [lane, at, stoppedWall, error] of this.#oldLanes.all(name.queue) as [
      number,
      number,
      number,
      string | null,
    ][]) {
      const ending = { state: 'cancelled', startedWall: null, stoppedWall, error, value: null } as const
      const missing = this.#stretches.unroll(lane, left)
      name.counts.cancelled -= missing
      if (missing > 0) name.dirty = true
      for (const { read, leave } of this.#inLane) {
        if (left <= 0) return
        const rows = read.all(lane, left) as Row[]
        if (rows.length === 0) continue
        leave.run(lane, ...placeOf(rows.at(-1) as Row))
        // They were counted when they were cleared.
        name.counts.cancelled -= rows.length
        for (const row of rows) this.#places.end(name, carriedOf(row), ending, at)
        left -= rows.length
      }
      if (left <= 0) return
      this.#dropCleared.run(lane)
      name.cleared--
      name.dirty = true
    }
  }
}

/** Where it stands in the order of its table. */
function placeOf([, , , , , , ...place]: Row): SqliteValue[] {
  return place
}
function carriedOf([priority, seq, attempt, fence, crashes, flags]: Row): Carried {
  return { seq, priority, attempt, fence, crashes, flags }
}
