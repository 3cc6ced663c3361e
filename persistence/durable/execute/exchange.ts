/**
 * One exchange of a queue: what its runs report, what comes due and what is forgotten, what the queue is notified of,
 * and then the claim.
 *
 * An exchange that was executed before is not executed again: its reply was lost, and the same reply is made again.
 */

import { type LimitingJobs, limitedBy } from '../../../lib/decisions/explain.ts'
import type { Demand } from '../../../lib/limits/named-rules.ts'
import type { ExchangeReply, ExchangeRequest, JobRow, RowRef } from '../store.ts'
import { confirmStarts, correctStarts } from './grants.ts'
import { keysNow } from './key-settings.ts'
import type { LimitStore } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'
import { noteDemand, settingsNow } from './rules.ts'
import { type RunNotices, type RunReportStore, reportCheckpoints, reportLaunches } from './run-reports.ts'
import { claimWithinSlots, type SlotStore } from './slots.ts'

type Notices = NonNullable<ExchangeReply['notices']>

/** The parts of a reply that nothing else in the store shows, to be kept until the reply is acknowledged. */
export interface LoggedReply extends Pick<Notices, 'lostRuns' | 'within' | 'cancelRequests'> {
  readonly endedUnrun: readonly JobRow[]
}
export const emptyReply: LoggedReply = { lostRuns: [], within: [], cancelRequests: [], endedUnrun: [] }

/** The crash reports of one exchange: jobs by seq, or as they ended; and how many older reports were dropped. */
export interface SentCrashReports {
  readonly recovered: readonly (number | JobRow)[]
  readonly dropped: number
  /** More may be left, so that nothing is claimed yet. */
  readonly fillsReply: boolean
}
export const noCrashReports: SentCrashReports = { recovered: [], dropped: 0, fillsReply: false }

/** The jobs that a claim has taken. */
export interface Claimed extends Pick<ExchangeReply, 'claimed' | 'grants' | 'graceUntil'> {
  /** The limit that the next job waits for. */
  readonly blocked: (LimitingJobs & { readonly until: number }) | undefined
  /** The next job, if the rate of the queue or one of its named rules refused it. */
  readonly demand?: Demand | undefined
  /** More jobs can be claimed at once. */
  readonly isPartial: boolean
  /** The next look because of a suspect that holds up waiting jobs. */
  readonly nextLookAt: number
}

export interface ExchangeStore<Queue> extends SlotStore<Queue>, RunReportStore<Queue> {
  readonly limits: LimitStore<Queue>
  /** The number of the last exchange of this worker and queue that was executed; 0 before the first. */
  lastExchange(queue: Queue): number
  // The reply to an earlier exchange: its claims that are still underway, the verdicts it requested, its reports.
  claimedIn(queue: Queue, exchange: number): Claimed
  verdictsRequestedIn(queue: Queue, exchange: number): readonly JobRow[]
  crashReportsIn(queue: Queue, exchange: number): SentCrashReports
  loggedIn(queue: Queue, exchange: number): LoggedReply

  // The reports of the queue's runs.
  settle(queue: Queue, settled: ExchangeRequest['settled'], now: number, notices: RunNotices): void
  endedBodies(seqs: readonly number[]): void
  /** The replies to all exchanges up to that one have arrived. */
  acknowledge(queue: Queue, exchange: number): void

  /** Recovers jobs without a worker, for which this process can give a verdict. */
  recoverUnowned(queue: Queue, now: number): void
  /** Forgets what is no longer kept; `ended` jobs ended in this exchange. */
  prune(queue: Queue, ended: number, now: number): void
  /** Makes jobs ready that came due, and those of keys whose hold has ended. Returns whether there are more. */
  makeReady(queue: Queue, now: number, wall: number): boolean
  /** When the next job comes due or the next hold ends. */
  nextLook(queue: Queue, now: number, wall: number): number

  // Notices for the queue. Crash reports and verdicts are marked as sent with this exchange.
  takeCrashReports(queue: Queue, exchange: number): SentCrashReports
  cancelsToReport(queue: Queue): LoggedReply['cancelRequests']
  requestVerdicts(queue: Queue, exchange: number): readonly JobRow[]

  /** Claims up to `room` jobs. Jobs that can never start end instead. */
  claim(queue: Queue, request: ExchangeRequest, room: number, endedUnrun: JobRow[]): Claimed
  logReply(queue: Queue, request: ExchangeRequest, reply: LoggedReply): void
  executed(queue: Queue, exchange: number): void
  row(queue: Queue, target: RowRef): JobRow | undefined
}

export function executeExchange<Queue extends QueueState>(
  store: ExchangeStore<Queue>,
  queue: Queue,
  request: ExchangeRequest,
): ExchangeReply {
  const { number, now, wall, works, settled } = request
  if (number <= store.lastExchange(queue)) {
    return replyOf(store, queue, request, {
      claimed: store.claimedIn(queue, number),
      logged: store.loggedIn(queue, number),
      crashReports: store.crashReportsIn(queue, number),
      needVerdict: store.verdictsRequestedIn(queue, number),
      // The next look of the first execution is not kept, so the queue looks again at once.
      nextLookAt: now,
    })
  }
  const notices: RunNotices = { lostRuns: new Set(), within: [], endedUnrun: [] }
  reportLaunches(store, queue, request.launchReports, notices)
  reportCheckpoints(store, queue, request.checkpoints, notices)
  correctRate(store.limits, queue, request)
  // Costs are corrected before endings, because an ending may refund the start.
  store.settle(queue, settled, now, notices)
  store.endedBodies(request.endedBodies)
  if (works) {
    store.acknowledge(queue, request.acknowledged)
    store.recoverUnowned(queue, now)
  }
  store.prune(queue, settled.seqs.length, now)
  const isBehind = store.makeReady(queue, now, wall)
  const crashReports = works ? store.takeCrashReports(queue, number) : noCrashReports
  // All crash reports are sent before any job is claimed.
  const room = crashReports.fillsReply ? 0 : request.room
  const claim = (most: number): Claimed => store.claim(queue, request, most, notices.endedUnrun)
  const claimed = queue.globalWidth < Infinity ? claimWithinSlots(store, queue, request, room, claim) : claim(room)
  noteDemand(store.limits, queue, request, room, claimed.demand)
  // Notices about runs are for the queue object that has them. There may be others of the name in this process.
  const cancelRequests = works ? store.cancelsToReport(queue) : []
  const needVerdict = works ? store.requestVerdicts(queue, number) : []
  const { lostRuns, within, endedUnrun } = notices
  let logged = emptyReply
  if (lostRuns.size + within.length + cancelRequests.length + endedUnrun.length > 0) {
    logged = { lostRuns: [...lostRuns], within, cancelRequests, endedUnrun }
    store.logReply(queue, request, logged)
  }
  store.executed(queue, number)
  const next = isBehind || crashReports.fillsReply || claimed.isPartial ? now : store.nextLook(queue, now, wall)
  const nextLookAt = Math.min(next, Math.max(claimed.nextLookAt, now))
  return replyOf(store, queue, request, { claimed, logged, crashReports, needVerdict, nextLookAt })
}

/** Moves each start to the instant of its launch, and replaces reserved costs by those that were spent. */
function correctRate<Queue>(store: LimitStore<Queue>, queue: Queue, request: ExchangeRequest): void {
  const { confirmed, furtherConfirmed = [], spent, now } = request
  for (let i = 0; i + 1 < confirmed.length; i += 2) {
    confirmStarts(store, queue, confirmed[i] as number, confirmed[i + 1] as number, now)
  }
  for (const [start, at] of furtherConfirmed) confirmStarts(store, queue, { start: 0, further: [start] }, at, now)
  for (const { grant, cost } of spent) correctStarts(store, queue, grant, cost, now)
}

/** The effects of an exchange, now or when it was executed first. */
interface Executed {
  readonly claimed: Claimed
  readonly logged: LoggedReply
  readonly crashReports: SentCrashReports
  readonly needVerdict: readonly JobRow[]
  /** When to look again, unless a limit lets the next job start before. */
  readonly nextLookAt: number
}

function replyOf<Queue extends QueueState>(
  store: ExchangeStore<Queue>,
  queue: Queue,
  { now, wall, keysVersion = 0 }: ExchangeRequest,
  executed: Executed,
): ExchangeReply {
  const { needVerdict, nextLookAt } = executed
  const { claimed, grants, graceUntil, blocked } = executed.claimed
  const { endedUnrun, ...logged } = executed.logged
  const { recovered, dropped } = executed.crashReports
  const { lostRuns, within, cancelRequests } = logged
  const lists = [lostRuns, within, cancelRequests, recovered, needVerdict]
  const notices = lists.some(list => list.length > 0) && {
    ...logged,
    needVerdict,
    droppedReports: dropped,
    recovered: recovered.flatMap(job => (typeof job === 'number' ? (store.row(queue, job) ?? []) : job)),
    endedByRecovery: recovered.flatMap(job => (typeof job === 'number' ? [] : job.seq)),
  }
  const nextLookExact = blocked !== undefined && blocked.until <= nextLookAt
  return {
    claimed,
    grants,
    graceUntil,
    endedUnrun,
    nextLookExact,
    nextLookAt: nextLookExact ? blocked.until : nextLookAt,
    limited: blocked && limitedBy(blocked, wall + blocked.until - now),
    sharedPaused: queue.sharedPaused,
    ...settingsNow(store.limits, queue),
    ...(keysVersion !== queue.keysVersion && { keys: keysNow(store.limits, queue) }),
    counts: store.counts(queue),
    notices: notices || undefined,
  }
}
