/**
 * Applies the report of a run to its job: lib/decisions/transitions.ts decides, and this file keeps the order of the steps.
 */
import type { Grant, SettleKind } from '../../../lib/backlog.ts'
import { dueOf } from '../../../lib/decisions/due.ts'
import { refusedStarts } from '../../../lib/decisions/grants.ts'
import { type Holds, hold } from '../../../lib/decisions/holds.ts'
import { attemptAfter, dueAfter, freesStart, transitionOf } from '../../../lib/decisions/transitions.ts'
import { keyless } from '../../../lib/limits/keys.ts'
import type { ExchangeRequest, SettleExtras } from '../store.ts'
import { refundStarts, refuseStarts, returnStarts } from './grants.ts'
import type { LimitStore } from './limit-store.ts'
import type { Ending, Moves } from './moves.ts'
import type { QueueState } from './queue-state.ts'
import { holdRule } from './rules.ts'
import type { RunNotices } from './run-reports.ts'

export interface SettledRun {
  readonly seq: number
  readonly fence: number
  readonly kind: SettleKind
  readonly startedWall: number | null
  readonly stoppedWall: number | null
  readonly extras: SettleExtras | undefined
}

/** A job that its run has left. */
export interface LeftByRun {
  attempt: number
  /** The charge of its claim; 0: nothing. */
  readonly grant: Grant
  readonly key: string | null | undefined
}

export interface SettleStore<Queue, Job extends LeftByRun> extends Moves<Queue, Job> {
  readonly limits: LimitStore<Queue>
  /** The job leaves the state underway, if this worker holds it and this was its last claim. */
  take(queue: Queue, seq: number, fence: number): Job | undefined
  /** As `endWithRow`, where nobody needs the job as it ended. */
  end(queue: Queue, job: Job, ending: Ending, now: number): void
  /** Whether the handler's own transaction has recorded the ending. */
  isFinished(queue: Queue, seq: number, fence: number): boolean
  /** The body of the job runs on, here. */
  bodyContinues(queue: Queue, job: Job): void
  endedBodies(seqs: readonly number[]): void
  holdKey(queue: Queue, key: string, until: number): void
  /** A job that was to run alone has found other bodies here. */
  crowded(now: number): void
  /** The job has had so many crashes by now. If it waits, it is a suspect. */
  crashed(queue: Queue, job: Job, crashes: number): void
  /** The error and the times of a run are kept while its job waits. */
  keepError(queue: Queue, job: Job, run: SettledRun): void
}

/**
 * Settles runs in their order, because of two endings of one run the first counts. A store may have a loop of its own
 * that settles many runs at once, as the SQLite store has (sqlite/store/settle.ts); then both must change together.
 */
export function settleEach<Queue extends QueueState, Job extends LeftByRun>(
  store: SettleStore<Queue, Job>,
  queue: Queue,
  settled: ExchangeRequest['settled'],
  now: number,
  notices: RunNotices,
): void {
  const { seqs, fences, kinds, startedAt, stoppedAt } = settled
  const extrasAt = new Map(settled.extras)
  for (const [i, seq] of seqs.entries()) {
    const [fence, kind] = [fences[i] as number, kinds?.[i] ?? 'finished']
    const [startedWall, stoppedWall] = [startedAt[i] ?? null, stoppedAt[i] ?? null]
    settleRun(store, queue, { seq, fence, kind, startedWall, stoppedWall, extras: extrasAt.get(i) }, now, notices)
  }
}

export function settleRun<Queue extends QueueState, Job extends LeftByRun>(
  store: SettleStore<Queue, Job>,
  queue: Queue,
  run: SettledRun,
  now: number,
  notices: RunNotices,
): void {
  const { seq, fence, kind, startedWall, stoppedWall, extras = none } = run
  const { waitMs = 0, heldKey, heldRule, error = null, value = null, grant, bodyContinues, notAlone, within } = extras
  const job = store.take(queue, seq, fence)
  if (!job) {
    // The handler's own transaction ended the job before its body, which has ended now.
    if (within && !bodyContinues) store.endedBodies([seq])
    if (within && store.isFinished(queue, seq, fence)) notices.within.push(seq)
    else notices.lostRuns.add(seq)
    return
  }
  if (extras.crashes !== undefined) store.crashed(queue, job, extras.crashes)
  const { limits } = store
  const { end, keepsError, holdsRate } = transitionOf(kind)
  if (end !== undefined) {
    if (grant !== undefined) refundStarts(limits, queue, grant, now)
    if (bodyContinues) store.bodyContinues(queue, job)
    return store.end(queue, job, { state: end, startedWall, stoppedWall, error, value }, now)
  }
  if (holdsRate) {
    refuseStarts(limits, queue, refusedStarts(job.grant, heldKey, heldRule), now)
    hold(holdsOf(store, queue), { heldKey, heldRule }, now + waitMs)
  } else if (freesStart({ kind })) {
    returnStarts(limits, queue, grant ?? job.grant, now)
    if (queue.keysVersion > 0) limits.returnTurn(queue, job.key ?? keyless)
  }
  if (notAlone) store.crowded(now)
  job.attempt = attemptAfter(kind, job.attempt)
  const cancel = store.takeCancel(queue, job)
  if (cancel) {
    const ending = { state: 'cancelled', startedWall, stoppedWall, error: cancel.reason, value: null } as const
    const row = store.endWithRow(queue, job, ending, now)
    if (row) notices.endedUnrun.push(row)
    return
  }
  if (keepsError) store.keepError(queue, job, run)
  store.wait(queue, job, now, dueOf({ dueAt: dueAfter(kind, waitMs, now) }, now, 0))
}

function holdsOf<Queue extends QueueState, Job extends LeftByRun>(store: SettleStore<Queue, Job>, queue: Queue): Holds {
  return {
    queue: until => store.limits.rateToChange(queue).hold(until),
    key: (key, until) => store.holdKey(queue, key, until),
    rule: (name, until) => holdRule(store.limits, queue, name, until),
  }
}

const none: SettleExtras = Object.freeze({})
