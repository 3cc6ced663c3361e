/**
 * The stored facts of a job, for a store that keeps a job as one record, and what each move changes in them. A store that
 * keeps some facts in other tables, as SQLite does, writes the same facts by statements of its own.
 *
 * These functions only change the record. The store saves it, and counts the job in its new state.
 */
import type { Grant } from '../../../lib/backlog.ts'
import { cautionOf } from '../../../lib/decisions/crash-outcome.ts'
import { type Due, dueOf } from '../../../lib/decisions/due.ts'
import { keptMs } from '../../../lib/decisions/keep.ts'
import { resetByRetry } from '../../../lib/decisions/transitions.ts'
import type { ClaimedExtras } from '../execute/claim-reply.ts'
import type { Ending } from '../execute/moves.ts'
import type { QueueState } from '../execute/queue-state.ts'
import type { JobRow, JobRowExtras, PutRequest } from '../store.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
/** Fields that few jobs have. */
type Extras = { [K in Exclude<keyof JobRowExtras, 'crashes' | 'caution'>]: JobRowExtras[K] | undefined }

export interface StoredJob extends Mutable<Omit<JobRow, 'extras'>>, Mutable<Extras> {
  /** Since when it waits. */
  since: number
  /** A claim has passed it, because its key is held. */
  aside: boolean
  /** When it is forgotten, once it has ended. */
  forgetAt: number
  /** An earlier process died before it had reported the launch of this job. */
  launchUnreported: boolean
  // Of its last claim.
  /** Undefined: none, because no queue could give a verdict. */
  worker: string | undefined
  /** The exchange that claimed it, or requested a verdict; 0: none did yet. */
  exchange: number
  grant: Grant
  launchReported: boolean
  /** No other body runs beside it in its process. */
  alone: boolean
  /** Its queue stopped without waiting for the body. */
  abandoned: boolean
  awaitingVerdict: boolean
  cancel: { readonly reason: string | null; readonly notified: boolean } | undefined
}

/** The job of that index in a put. It waits nowhere yet. */
export function newJob(seq: number, request: Puts, i: number, extras: JobRowExtras | undefined): StoredJob {
  const { ids, payloads, queuedAt, priorities } = request
  return {
    ...noExtras,
    ...extras,
    ...{ seq, id: ids[i] as string, payload: payloads[i] as string, queuedAt: queuedAt[i] as number },
    ...{ priority: priorities?.[i] ?? 0, state: 'pending', attempt: 0, fence: 0, crashes: 0, startedAt: null },
    ...{
      stoppedAt: null,
      since: 0,
      aside: false,
      forgetAt: 0,
      launchUnreported: false,
      worker: undefined,
      exchange: 0,
    },
    ...{ grant: 0, launchReported: false, alone: false, abandoned: false, awaitingVerdict: false, cancel: undefined },
  }
}
const noExtras: Extras = {
  ...{ key: undefined, cost: undefined, retry: undefined, timeoutMs: undefined, dueAt: undefined, runAt: undefined },
  ...{ fingerprint: undefined, error: undefined, value: undefined, checkpoint: undefined },
}
type Puts = Pick<PutRequest, 'ids' | 'payloads' | 'queuedAt' | 'priorities'>
export function rowOfJob(job: StoredJob): JobRow {
  const { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt } = job
  const facts = { seq, id, payload, priority, state, attempt, fence, crashes, queuedAt, startedAt, stoppedAt }
  return { ...facts, extras: present(extrasOf(job)) }
}
/** The extras of the job in the reply to a claim. The reply has a column for its key. */
export function claimedExtras(job: StoredJob): ClaimedExtras | undefined {
  const { crashes } = job
  return present({
    ...extrasOf(job),
    key: undefined,
    crashes: crashes > 0 ? crashes : undefined,
    caution: cautionOf(job),
  })
}
function extrasOf(job: StoredJob): Extras {
  const { key, cost, retry, timeoutMs, dueAt, runAt, fingerprint, error, value, checkpoint } = job
  return { key, cost, retry, timeoutMs, dueAt, runAt, fingerprint, error, value, checkpoint }
}
function present(facts: { [K in keyof JobRowExtras]: JobRowExtras[K] | undefined }): JobRowExtras | undefined {
  const found = Object.entries(facts).filter(([, fact]) => fact !== undefined)
  return found.length > 0 ? Object.fromEntries(found) : undefined
}
/** When a delayed job comes due. */
export function dueOfJob({ state, dueAt, runAt }: StoredJob): Due | undefined {
  return state === 'delayed' ? dueOf({ dueAt, runAt }, -Infinity, -Infinity) : undefined
}

/** The job waits, and may start at once unless it is due later. */
export function waits(job: StoredJob, now: number, due?: Due): StoredJob {
  const later = due && { [due.clock === 'wall' ? 'runAt' : 'dueAt']: due.at }
  const state = due ? 'delayed' : 'pending'
  return Object.assign(job, { state, since: now, aside: false, runAt: undefined, dueAt: undefined, ...later })
}
/** A claim starts the job. */
export function becomesUnderway(
  job: StoredJob,
  claim: Pick<StoredJob, 'worker' | 'exchange' | 'grant' | 'alone'>,
): void {
  const facts = { launchReported: false, abandoned: false, awaitingVerdict: false, cancel: undefined }
  Object.assign(job, { state: 'underway', ...claim, ...facts, attempt: job.attempt + 1, fence: job.fence + 1 })
}
/** The job ends. Returns whether it is forgotten at once. */
export function ends(job: StoredJob, ending: Ending, keep: QueueState['keep'], now: number): boolean {
  const { state, startedWall, stoppedWall, error, value } = ending
  const texts = { error: error ?? job.error, value: keep.results ? (value ?? undefined) : undefined }
  const times = { startedAt: startedWall ?? job.startedAt, stoppedAt: stoppedWall ?? job.stoppedAt }
  const forgetAt = now + keptMs(keep, state)
  Object.assign(job, { state, ...texts, ...times, forgetAt, aside: false, dueAt: undefined, runAt: undefined })
  return !(forgetAt > now)
}
/** The job stays underway until a verdict. That worker requests one; undefined: none can. */
export function awaitsVerdict(job: StoredJob, worker: string | undefined): void {
  const fence = worker === undefined ? job.fence : job.fence + 1
  Object.assign(job, { fence, awaitingVerdict: true, worker, exchange: 0 })
}
/** A request to cancel its run is over. Returns it, if there was one. */
export function takeCancel(job: StoredJob): StoredJob['cancel'] {
  const { cancel } = job
  job.cancel = undefined
  return cancel
}
/** An ended job waits as if it had just been put. It keeps its priority, fence and checkpoint. */
export function waitsAnew(job: StoredJob, now: number): StoredJob {
  Object.assign(job, { ...resetByRetry, launchUnreported: false, startedAt: null, stoppedAt: null })
  return waits(job, now)
}
