/**
 * One turn of a queue: what settled, what was launched and spent, what has become due, and then what may be launched.
 *
 * A turn that was done already is not done again: its answer was lost, and it is told what it told then (tables/reply-log.ts).
 */

import type { ExchangeReply, ExchangeRequest, JobRow } from '../../durable/store.ts'
import type { Timeline } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { noReports, type Reports, type Untold } from '../tables/crash-reports.ts'
import type { Made } from '../tables/generated-ids.ts'
import type { Bodies } from '../tables/job.ts'
import type { Places } from '../tables/location.ts'
import type { Name, Names } from '../tables/queue.ts'
import type { Starts } from '../tables/rate-log.ts'
import type { Stretches } from '../tables/ready-range.ts'
import { nothingTold, Tellings, type Told } from '../tables/reply-log.ts'
import type { Workers } from '../tables/worker.ts'
import { Claims } from './claim.ts'
import { type Claimed, claimedOnWire } from './claim-columns.ts'
import { Keeping } from './retention.ts'
import { Settles } from './settle.ts'
import type { Suspects } from './suspects.ts'
import { Upkeep } from './upkeep.ts'

/** How many of the news of a kind are told in one turn. */
const newsMost = 500

export interface TurnParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly names: Names
  readonly places: Places
  readonly bodies: Bodies
  readonly made: Made
  readonly starts: Starts
  readonly stretches: Stretches
  readonly timeline: Timeline
  readonly workers: Workers
  readonly untold: Untold
  readonly suspects: Suspects
  isWorked(queue: number): boolean
}

/** What a queue object here is to be asked in its next turn: jobs of dead workers, by seq. */
export type InDoubt = number[]

const nothingNew = { cancelRequests: [], inDoubt: [] }

export type Undoing = (undo: () => void) => void

export class Turns {
  readonly upkeep: Upkeep
  readonly keeping: Keeping
  readonly #parts: TurnParts
  readonly #claims: Claims
  readonly #settles: Settles
  readonly #tellings: Tellings
  readonly #lastDone: SqliteStatement
  readonly #done: SqliteStatement
  readonly #cancels: SqliteStatement
  readonly #delivered: SqliteStatement
  readonly #dropCancel: SqliteStatement

  constructor(parts: TurnParts) {
    const { db, worker, names, places, bodies, made, stretches } = parts
    this.#parts = parts
    this.#tellings = new Tellings(db, worker)
    this.keeping = new Keeping(db, places)
    this.upkeep = new Upkeep(db, names, places, bodies, made, stretches)
    this.#claims = new Claims(parts)
    this.#settles = new Settles(parts)
    this.#lastDone = db.prepare('select number from rdq_turn where worker = ? and queue = ?').pluck()
    this.#done = db.prepare('insert or replace into rdq_turn (worker, queue, number) values (?, ?, ?)')
    this.#cancels = db
      .prepare(`
        select c.seq, c.reason, u.fence = c.fence as runs from rdq_cancel c
        left join rdq_underway u on u.worker = c.worker and u.queue = c.queue and u.seq = c.seq
        where c.worker = ? and c.queue = ? and (c.told = 0 or runs is not 1) limit ${newsMost}`)
      .raw()
    this.#delivered = db.prepare('update rdq_cancel set told = 1 where worker = ? and queue = ? and seq = ?')
    this.#dropCancel = db.prepare('delete from rdq_cancel where worker = ? and queue = ? and seq = ?')
  }

  /** `doubts` is there for a queue object that works; what is given to `undoing` is called if all this is undone. */
  turn(name: Name, request: ExchangeRequest, doubts: InDoubt | undefined, undoing: Undoing): ExchangeReply {
    const { worker, timeline, workers, starts, untold } = this.#parts
    const now = timeline.toFile(request.now)
    const { wall, number, works } = request
    const last = (this.#lastDone.get(worker, name.queue) as number | undefined) ?? 0
    if (number <= last) {
      const before = this.#claims.claimedAt(name, number)
      const inDoubt = workers.doubtedAt(name, worker, number)
      const told = this.#tellings.of(name, number)
      return this.#answer(name, before, before.countedUntil, now, now, wall, told, untold.at(name, number), inDoubt)
    }
    const lost = new Set<number>()
    const within: number[] = []
    const impossible: JobRow[] = []
    this.#settles.begun(name, request.launchReports, lost)
    this.#settles.checkpoints(name, request.checkpoints, lost)
    this.#settles.settle(name, request.settled, now, lost, within, impossible)
    this.#settles.closed(request.endedBodies)
    const { launched, spent } = request
    if (launched.length + spent.length > 0) {
      const rate = starts.changing(name)
      for (let i = 0; i + 1 < launched.length; i += 2) {
        starts.launched(name, launched[i] as number, timeline.toFile(launched[i + 1] as number))
      }
      for (const { grant, cost } of spent) rate.correct(grant, cost)
    }
    if (works) untold.acknowledge(name, request.acknowledged, undoing)
    if (doubts && works && name.orphans > 0) this.#takeOrphans(name, doubts, now, undoing)
    this.keeping.prune(name, request.settled.seqs.length, now)
    const more = this.upkeep.ripen(name, now, wall)
    this.upkeep.sweep(name)
    this.upkeep.pruneMade(name, request.settled.seqs.length, now)
    const reports = works ? untold.take(name, number, undoing) : noReports
    // All of them are reported before anything new begins.
    const room = reports.full ? 0 : request.room
    const claimed = this.#claims.claim(name, { room, admits: request.mayLaunch, turn: number, now }, impossible)
    // What concerns runs is for the queue object that has them, and there may be others of this process under the name.
    const { cancelRequests, inDoubt } = works ? this.#news(name, doubts, undoing) : nothingNew
    const doubted = workers.tellDoubted(name, worker, number, inDoubt)
    let told = nothingTold
    if (lost.size + within.length + cancelRequests.length + impossible.length > 0) {
      told = { lostRuns: [...lost], within, cancelRequests, impossible }
      this.#tellings.keep(name, number, request.acknowledged, told)
      name.dirty = true
    }
    if (name.dirty) this.#done.run(worker, name.queue, number)
    const graceUntil = claimed.grants ? now + claimed.graceMs : Infinity
    const next = more || reports.full || claimed.again ? now : this.upkeep.nextLook(name, now, wall)
    const again = Math.min(next, Math.max(claimed.lookAt, now))
    return this.#answer(name, claimed, graceUntil, again, now, wall, told, reports, doubted)
  }
  #answer(
    name: Name,
    claimed: Claimed,
    graceUntil: number,
    next: number,
    now: number,
    wall: number,
    told: Told,
    { recovered, missed }: Reports,
    inDoubt: readonly JobRow[],
  ): ExchangeReply {
    const { timeline, workers } = this.#parts
    const { blocked, grants } = claimed
    const nextLookExact = blocked !== undefined && blocked.until <= next
    const { lostRuns, within, cancelRequests, impossible: endedUnrun } = told
    const some = lostRuns.length + within.length + cancelRequests.length + recovered.length + inDoubt.length > 0
    const news = some && {
      ...{ lostRuns, within, cancelRequests, needVerdict: inDoubt, droppedReports: missed },
      recovered: workers.rows(name, recovered),
      endedByRecovery: recovered.flatMap(job => (typeof job === 'number' ? [] : job.seq)),
    }
    return {
      claimed: claimedOnWire(claimed),
      grants,
      endedUnrun,
      graceUntil: timeline.fromFile(graceUntil),
      nextLookAt: timeline.fromFile(nextLookExact && blocked ? blocked.until : next),
      nextLookExact,
      limited: blocked && { rule: blocked.rule, until: wall + blocked.until - now },
      sharedPaused: name.held,
      rules: name.rules,
      counts: name.count(),
      notices: news || undefined,
    }
  }
  /** Jobs that nobody could be asked about find a queue object that can, or another policy by now. */
  #takeOrphans(name: Name, doubts: InDoubt, now: number, undoing: Undoing): void {
    const { workers, worker, untold } = this.#parts
    for (const row of workers.orphansOf(name)) {
      const { seq, asked, ended } = workers.takeOver(name, 0, row, worker, now)
      if (asked) ask(doubts, seq, undoing)
      else untold.add(name, seq, ended, false)
    }
  }
  /** What there is to tell besides, taken from where it was kept. */
  #news(
    name: Name,
    doubts: InDoubt | undefined,
    undoing: Undoing,
  ): Pick<Told, 'cancelRequests'> & { readonly inDoubt: readonly number[] } {
    const { worker } = this.#parts
    const cancelRequests: Told['cancelRequests'][number][] = []
    for (const [seq, reason, runs] of this.#cancels.all(worker, name.queue) as [
      number,
      string | null,
      number | null,
    ][]) {
      name.dirty = true
      // It stays for as long as the run: one that is about to go back, or of which somebody is asked, does not hear of it.
      if (runs === 1) cancelRequests.push({ seq, reason: reason ?? undefined })
      ;(runs === 1 ? this.#delivered : this.#dropCancel).run(worker, name.queue, seq)
    }
    const inDoubt = doubts?.splice(0, newsMost) ?? []
    if (inDoubt.length > 0) undoing(() => void doubts?.unshift(...inDoubt))
    return { cancelRequests, inDoubt }
  }
}

/** The next turn of the queue object that has these doubts asks about that job. */
export function ask(doubts: InDoubt, seq: number, undoing: Undoing): void {
  doubts.push(seq)
  undoing(() => void doubts.pop())
}
