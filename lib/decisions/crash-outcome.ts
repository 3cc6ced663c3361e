/**
 * Decides the fate of a job whose process died while the job was underway, or whose process gave it up.
 *
 * | condition, first match wins                                                           | outcome         |
 * | ------------------------------------------------------------------------------------- | --------------- |
 * | its cancel was requested                                                              | `cancelled`     |
 * | its launch was reported, and `afterCrash` is `fail`                                   | `failed`        |
 * | its launch was reported, `crashLimit` is reached, and it ran alone or the limit is 1  | `failed`        |
 * | `afterCrash` is `ask`, its body may have started, a queue works here                  | `awaitsVerdict` |
 * | `afterCrash` is `ask`, its body may have started, no queue works here                 | `unowned`       |
 * | anything else                                                                         | `waits`         |
 */
import { type Caution, launchAlone, reportedFirst } from '../backlog.ts'

/** The facts that a store has of the job. */
export interface CrashedJob {
  /** How many runs of it ended with their process before this one. */
  readonly crashes: number
  /** The launch of its body was reported. */
  readonly launchReported: boolean
  /** No other body ran beside it in its process. */
  readonly alone: boolean
  /** An earlier process died before it had reported the launch of this job. */
  readonly launchUnreported: boolean
  /** Its crash has been counted, and the verdict of a queue is still missing. */
  readonly awaitingVerdict: boolean
}

export interface CrashPolicy {
  readonly afterCrash: 'again' | 'fail' | 'ask'
  readonly crashLimit: number
}

export interface CrashSituation {
  readonly cancelRequested: boolean
  /** Whether this worker has a queue with a handler for the job's queue, so that it can request a verdict. */
  readonly worksHere: boolean
}

export interface CrashOutcome {
  /**
   * `cancelled`, `failed`: the job ends, with a PoisonError if it failed. `awaitsVerdict`: this worker holds the job,
   * with a raised fence, until its queue gives a verdict. `unowned`: no worker holds the job, until a queue that can
   * give a verdict takes it up. `waits`: the job goes back, and the attempt counts as not used.
   */
  readonly kind: 'cancelled' | 'failed' | 'awaitsVerdict' | 'unowned' | 'waits'
  /** The job's crashes from now on. */
  readonly crashes: number
  readonly launchUnreported: boolean
}

export function crashOutcome(
  job: CrashedJob,
  policy: CrashPolicy,
  { cancelRequested, worksHere }: CrashSituation,
): CrashOutcome {
  const { launchReported, awaitingVerdict } = job
  // A job that awaits its verdict was counted when its process died, and nothing has run since.
  const crashes = launchReported && !awaitingVerdict ? job.crashes + 1 : job.crashes
  const kind = cancelRequested
    ? 'cancelled'
    : launchReported && isPoisoned(job, crashes, policy)
      ? 'failed'
      : policy.afterCrash === 'ask' && mayHaveStarted(job)
        ? worksHere
          ? 'awaitsVerdict'
          : 'unowned'
        : 'waits'
  return { kind, crashes, launchUnreported: !launchReported || job.launchUnreported }
}

/** Only a job that ran alone is proven to be the cause. A limit of 1 requires no proof. */
function isPoisoned({ alone }: CrashedJob, crashes: number, { afterCrash, crashLimit }: CrashPolicy): boolean {
  return afterCrash === 'fail' || ((alone || crashLimit === 1) && crashes >= crashLimit)
}

/** A job that has been in a crash is reported before its body begins: without that report the body did not begin. */
function mayHaveStarted({ crashes, launchReported, launchUnreported, awaitingVerdict }: CrashedJob): boolean {
  return launchReported || awaitingVerdict || (crashes === 0 && !launchUnreported)
}

/** The caution with which a claimed job must be launched. `alone`: it was claimed to be the only body of its process. */
export function cautionOf({
  crashes,
  launchUnreported,
  alone,
}: Pick<CrashedJob, 'crashes' | 'launchUnreported' | 'alone'>): Caution | undefined {
  if (alone) return launchAlone
  return crashes > 0 || launchUnreported ? reportedFirst : undefined
}
