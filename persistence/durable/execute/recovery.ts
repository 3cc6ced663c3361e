/**
 * Moves a job whose process died or gave it up, and reports it. lib/decisions/crash-outcome.ts decides.
 *
 * | outcome               | the job                                       | who is notified                                          |
 * | --------------------- | --------------------------------------------- | -------------------------------------------------------- |
 * | `waits`               | goes back, and its attempt counts as not used | by a crash report: the next queue with a handler         |
 * | `cancelled`, `failed` | ends                                          | the same; the report contains the job as it ended        |
 * | `awaitsVerdict`       | is underway here, with a raised fence         | the queue here: its next exchange requests a verdict     |
 * | `unowned`             | is underway, without a worker                 | the next queue with a handler, which decides anew        |
 */

import {
  type CrashedJob,
  type CrashOutcome,
  type CrashPolicy,
  crashOutcome,
} from '../../../lib/decisions/crash-outcome.ts'
import { attemptAfter } from '../../../lib/decisions/transitions.ts'
import { PoisonError } from '../../../lib/errors.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import type { DetachRequest, JobRow } from '../store.ts'
import { type Moves, unrun } from './moves.ts'

export interface LeftByCrash extends CrashedJob {
  attempt: number
}

export interface RecoveryStore<Queue, Job> extends Moves<Queue, Job> {
  countCrash(queue: Queue, job: Job, outcome: CrashOutcome): void
  /**
   * The job stays underway until a verdict. If `isOwned`, this worker owns it and requests one; otherwise nobody does.
   */
  awaitVerdict(queue: Queue, job: Job, isOwned: boolean): void
  /** Adds a crash report, with the job as it ended if it did. */
  reportCrash(queue: Queue, job: Job, ended: JobRow | undefined): void
}

/**
 * The job has left the dead worker, or the state in which it had none.
 *
 * @param worksHere Whether a queue of this worker can give a verdict.
 */
export function recoverJob<Queue extends CrashPolicy, Job extends LeftByCrash>(
  store: RecoveryStore<Queue, Job>,
  queue: Queue,
  job: Job,
  worksHere: boolean,
  now: number,
): void {
  const cancel = store.takeCancel(queue, job)
  const outcome = crashOutcome(job, queue, { cancelRequested: cancel !== undefined, worksHere })
  const { kind, crashes } = outcome
  store.countCrash(queue, job, outcome)
  switch (kind) {
    case 'awaitsVerdict':
    case 'unowned':
      return store.awaitVerdict(queue, job, kind === 'awaitsVerdict')
    case 'waits':
      returnJob(store, queue, job, now)
      return store.reportCrash(queue, job, undefined)
    case 'cancelled':
    case 'failed': {
      const error = cancel ? cancel.reason : errorToJson(new PoisonError(crashes), 'none')
      return store.reportCrash(queue, job, store.endWithRow(queue, job, unrun(kind, error), now))
    }
    default:
      kind satisfies never
  }
}

/**
 * The queue with a handler is gone. A job that awaits a verdict is left to the next one; any other goes back, or ends if
 * a cancel of it was requested.
 */
function releaseJob<Queue, Job extends LeftByCrash>(
  store: RecoveryStore<Queue, Job>,
  queue: Queue,
  job: Job,
  now: number,
): void {
  if (job.awaitingVerdict) return store.awaitVerdict(queue, job, false)
  const cancel = store.takeCancel(queue, job)
  if (!cancel) return returnJob(store, queue, job, now)
  store.reportCrash(queue, job, store.endWithRow(queue, job, unrun('cancelled', cancel.reason), now))
}

/** The operations on what a process keeps of a queue object with a handler. */
export interface DetachStore<Queue, Job> extends RecoveryStore<Queue, Job> {
  /** The replies to all exchanges up to that one have arrived. */
  acknowledge(queue: Queue, exchange: number): void
  /** The queue starts nothing here, and waits for no slot and no named rule. No verdict of it is awaited. */
  stopWorking(queue: Queue): void
  /** The bodies of its jobs run on, and nobody will notice their ends. */
  abandonBodies(queue: Queue): void
  /** Takes its jobs out of the state underway: all that are here, or those that await a verdict. */
  takeUnderway(queue: Queue, onlyAwaiting: boolean): Iterable<Job>
  /** Reports that it did not acknowledge are left to the next queue object with a handler. */
  freeCrashReports(queue: Queue): void
}

/** The queue object with a handler is gone. */
export function detach<Queue, Job extends LeftByCrash>(
  store: DetachStore<Queue, Job>,
  queue: Queue,
  { keepLeases, acknowledged = 0, now }: DetachRequest,
): void {
  store.stopWorking(queue)
  store.acknowledge(queue, acknowledged)
  if (keepLeases) store.abandonBodies(queue)
  for (const job of store.takeUnderway(queue, keepLeases)) releaseJob(store, queue, job, now)
  store.freeCrashReports(queue)
}

/** Its attempt counts as not used. A job that awaited a verdict has run, so an attempt was counted. */
function returnJob<Queue, Job extends LeftByCrash>(
  store: Moves<Queue, Job>,
  queue: Queue,
  job: Job,
  now: number,
): void {
  job.attempt = Math.max(attemptAfter('interrupted', job.attempt), 0)
  store.wait(queue, job, now)
}
