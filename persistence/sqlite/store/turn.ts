/**
 * One exchange of a queue: applies settles, launches and costs, lets jobs come due, and then claims jobs.
 *
 * An exchange that was executed before is not executed again: its reply was lost, and the same reply is sent again
 * (tables/reply-log.ts).
 */

import type { ExchangeReply, ExchangeRequest, JobRow } from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { type CrashReports, noReports, type Reports } from '../tables/crash-reports.ts'
import type { GeneratedIds } from '../tables/generated-ids.ts'
import type { JobRows } from '../tables/job.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import { emptyReply, type LoggedReply, ReplyLog } from '../tables/reply-log.ts'
import { Claims } from './claim.ts'
import { type ClaimColumns, claimColumnsOnWire } from './claim-columns.ts'
import type { Recovery } from './recovery.ts'
import { Retention } from './retention.ts'
import { Settles } from './settle.ts'
import type { Suspects } from './suspects.ts'
import { Upkeep } from './upkeep.ts'

/** How many cancel requests one exchange reports. */
const maxCancels = 500

export interface TurnParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly generatedIds: GeneratedIds
  readonly rateLog: RateLog
  readonly readyRanges: ReadyRanges
  readonly fileClock: FileClock
  readonly recovery: Recovery
  readonly reports: CrashReports
  readonly suspects: Suspects
  isWorked(queue: number): boolean
}

export class Turns {
  readonly upkeep: Upkeep
  readonly retention: Retention
  readonly #parts: TurnParts
  readonly #claims: Claims
  readonly #settles: Settles
  readonly #replyLog: ReplyLog
  readonly #lastDone: SqliteStatement
  readonly #done: SqliteStatement
  readonly #cancels: SqliteStatement
  readonly #delivered: SqliteStatement
  readonly #dropCancel: SqliteStatement

  constructor(parts: TurnParts) {
    const { db, worker, queues, locations, jobRows, generatedIds, readyRanges } = parts
    this.#parts = parts
    this.#replyLog = new ReplyLog(db, worker)
    this.retention = new Retention(db, locations)
    this.upkeep = new Upkeep(db, queues, locations, jobRows, generatedIds, readyRanges)
    this.#claims = new Claims(parts)
    this.#settles = new Settles(parts)
    this.#lastDone = db.prepare('select number from rdq_turn where worker = ? and queue = ?').pluck()
    this.#done = db.prepare('insert or replace into rdq_turn (worker, queue, number) values (?, ?, ?)')
    this.#cancels = db
      .prepare(`
        select c.seq, c.reason, u.fence = c.fence as runs from rdq_cancel_request c
        left join rdq_underway u on u.worker = c.worker and u.queue = c.queue and u.seq = c.seq
        where c.worker = ? and c.queue = ? and (c.reported = 0 or runs is not 1) limit ${maxCancels}`)
      .raw()
    this.#delivered = db.prepare(
      'update rdq_cancel_request set reported = 1 where worker = ? and queue = ? and seq = ?',
    )
    this.#dropCancel = db.prepare('delete from rdq_cancel_request where worker = ? and queue = ? and seq = ?')
  }

  turn(queue: QueueRow, request: ExchangeRequest): ExchangeReply {
    const { worker, fileClock, recovery, rateLog, reports: crashReports } = this.#parts
    const now = fileClock.toFile(request.now)
    const { wall, number, works } = request
    const last = (this.#lastDone.get(worker, queue.queueId) as number | undefined) ?? 0
    if (number <= last) {
      const before = this.#claims.claimedAt(queue, number)
      const inDoubt = recovery.askedAt(queue, number)
      const told = this.#replyLog.of(queue, number)
      return this.#answer(
        queue,
        before,
        before.countedUntil,
        now,
        now,
        wall,
        told,
        crashReports.at(queue, number),
        inDoubt,
      )
    }
    const lost = new Set<number>()
    const within: number[] = []
    const endedUnrun: JobRow[] = []
    this.#settles.launchReports(queue, request.launchReports, lost)
    this.#settles.checkpoints(queue, request.checkpoints, lost)
    this.#settles.settle(queue, request.settled, now, lost, within, endedUnrun)
    this.#settles.endedBodies(request.endedBodies)
    const { launched, spent } = request
    if (launched.length + spent.length > 0) {
      const rate = rateLog.changing(queue)
      for (let i = 0; i + 1 < launched.length; i += 2) {
        rateLog.launched(queue, launched[i] as number, fileClock.toFile(launched[i + 1] as number))
      }
      for (const { grant, cost } of spent) rate.correct(grant, cost)
    }
    if (works) {
      this.#replyLog.acknowledge(queue, request.acknowledged)
      crashReports.acknowledge(queue, request.acknowledged)
      recovery.takeUp(queue, now)
    }
    this.retention.prune(queue, request.settled.seqs.length, now)
    const more = this.upkeep.ripen(queue, now, wall)
    this.upkeep.sweep(queue)
    this.upkeep.pruneMade(queue, request.settled.seqs.length, now)
    const reports = works ? crashReports.take(queue, number) : noReports
    // All crash reports are sent before any job is claimed.
    const room = reports.full ? 0 : request.room
    const { mayLaunch, errorMs } = request
    const claimed = this.#claims.claim(queue, { room, mayLaunch, turn: number, now, errorMs }, endedUnrun)
    // Notices about runs are for the queue object that has them. There may be others of the name in this process.
    const cancelRequests = works ? this.#takeCancels(queue) : []
    const inDoubt = works ? recovery.askForVerdicts(queue, number) : []
    let told = emptyReply
    if (lost.size + within.length + cancelRequests.length + endedUnrun.length > 0) {
      told = { lostRuns: [...lost], within, cancelRequests, endedUnrun }
      this.#replyLog.keep(queue, number, request.acknowledged, told)
      queue.dirty = true
    }
    if (queue.dirty) this.#done.run(worker, queue.queueId, number)
    const graceUntil = claimed.grants ? now + claimed.graceMs : Infinity
    const next = more || reports.full || claimed.isPartial ? now : this.upkeep.nextLook(queue, now, wall)
    const again = Math.min(next, Math.max(claimed.lookAt, now))
    return this.#answer(queue, claimed, graceUntil, again, now, wall, told, reports, inDoubt)
  }
  #answer(
    queue: QueueRow,
    claimed: ClaimColumns,
    graceUntil: number,
    next: number,
    now: number,
    wall: number,
    told: LoggedReply,
    { recovered, dropped }: Reports,
    inDoubt: readonly JobRow[],
  ): ExchangeReply {
    const { fileClock, recovery } = this.#parts
    const { blocked, grants } = claimed
    const nextLookExact = blocked !== undefined && blocked.until <= next
    const { lostRuns, within, cancelRequests, endedUnrun } = told
    const some = lostRuns.length + within.length + cancelRequests.length + recovered.length + inDoubt.length > 0
    const news = some && {
      ...{ lostRuns, within, cancelRequests, needVerdict: inDoubt, droppedReports: dropped },
      recovered: recovery.rows(queue, recovered),
      endedByRecovery: recovered.flatMap(job => (typeof job === 'number' ? [] : job.seq)),
    }
    return {
      claimed: claimColumnsOnWire(claimed),
      grants,
      endedUnrun,
      graceUntil: fileClock.fromFile(graceUntil),
      nextLookAt: fileClock.fromFile(nextLookExact && blocked ? blocked.until : next),
      nextLookExact,
      limited: blocked && { rule: blocked.rule, until: wall + blocked.until - now },
      sharedPaused: queue.sharedPaused,
      rules: queue.rules,
      counts: queue.count(),
      notices: news || undefined,
    }
  }
  /** Runs of this worker that should be cancelled and have not been notified. */
  #takeCancels(queue: QueueRow): LoggedReply['cancelRequests'] {
    const { worker } = this.#parts
    const cancels: LoggedReply['cancelRequests'][number][] = []
    for (const [seq, reason, runs] of this.#cancels.all(worker, queue.queueId) as [
      number,
      string | null,
      number | null,
    ][]) {
      queue.dirty = true
      // Keep the request until the run ends: a run that is just being returned, or awaits `afterCrash`, will not see
      // this delivery.
      if (runs === 1) cancels.push({ seq, reason: reason ?? undefined })
      ;(runs === 1 ? this.#delivered : this.#dropCancel).run(worker, queue.queueId, seq)
    }
    return cancels
  }
}
