/**
 * The effect of each kind of settle on its job. Every backlog follows these rules, and stores the result in its own
 * way.
 */
import type { SettleKind, Settlement } from '../backlog.ts'
import type { JobRecord } from '../job.ts'

export interface Transition {
  /** The state in which the job ends. Undefined: the job goes back and waits. */
  readonly end: 'finished' | 'failed' | 'cancelled' | undefined
  /** Whether the attempt counted by the claim stays counted. */
  readonly usesAttempt: boolean
  /** Whether the error of the settle becomes the error of the job. */
  readonly keepsError: boolean
  /** Whether the job waits for `waitMs`; otherwise it may start at once. */
  readonly delays: boolean
  /** Whether the rate, of the queue or of a key, is held for `waitMs`. */
  readonly holdsRate: boolean
}

const goesBack: Transition = { end: undefined, usesAttempt: false, keepsError: false, delays: false, holdsRate: false }
const finished: Transition = { ...goesBack, end: 'finished', usesAttempt: true }
const failed: Transition = { ...finished, end: 'failed', keepsError: true }
const cancelled: Transition = { ...failed, end: 'cancelled' }
const retried: Transition = { ...goesBack, usesAttempt: true, keepsError: true, delays: true }
const snoozed: Transition = { ...goesBack, delays: true }
const throttled: Transition = { ...goesBack, holdsRate: true }

export function transitionOf(kind: SettleKind): Transition {
  switch (kind) {
    case 'finished':
      return finished
    case 'failed':
      return failed
    case 'cancelled':
      return cancelled
    case 'retry':
      return retried
    case 'snooze':
      return snoozed
    case 'throttled':
      return throttled
    case 'interrupted':
    case 'notLaunched':
      return goesBack
    default:
      return kind satisfies never
  }
}

/** Whether the start that was granted is free again: the body was never called. */
export function freesStart({ kind, launched }: Pick<Settlement, 'kind' | 'launched'>): boolean {
  return kind === 'notLaunched' || launched === false
}

/** When a job that goes back may start; undefined: at once. */
export function dueAfter(kind: SettleKind, waitMs: number, now: number): number | undefined {
  return waitMs > 0 && transitionOf(kind).delays ? now + waitMs : undefined
}

/** The attempts of a job once it has settled. */
export function attemptAfter(kind: SettleKind, attempt: number): number {
  return transitionOf(kind).usesAttempt ? attempt : attempt - 1
}

/** Applies what the run leaves to the record of a job that goes back. */
export function goBack({ record, kind, error, waitMs }: Settlement, now: number): void {
  const { keepsError, usesAttempt, delays } = transitionOf(kind)
  if (keepsError) record.ensureExtras().error = error
  if (!usesAttempt) record.attempt--
  if (record.extras) record.extras.runAt = undefined
  if (delays) record.ensureExtras().dueAt = dueAfter(kind, waitMs, now)
}

/**
 * The fields of a failed or cancelled job that the command `retry` resets: attempts and crashes count anew, and its
 * error is gone. The job may start at once, whatever it waited for before. It keeps its order of put, its priority, its
 * fence and its checkpoint.
 */
export const resetByRetry: { readonly attempt: 0; readonly crashes: 0; readonly error: undefined } = {
  attempt: 0,
  crashes: 0,
  error: undefined,
}

/** Applies `retry` to the record of a job, in the step that puts it anew. */
export function putAnew(record: JobRecord): void {
  const { attempt, crashes, error } = resetByRetry
  record.attempt = attempt
  record.renew()
  Object.assign(record.ensureExtras(), { crashes, error, dueAt: undefined, runAt: undefined })
}
