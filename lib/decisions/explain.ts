/**
 * Why a waiting job does not start, and the earliest instant at which it can: the latest of all that holds it up.
 *
 * If several limits hold a job, `explain` names the first of these:
 *
 * 1. the queue object is stopped, paused, or its name is paused ({@link reasonInQueue})
 * 2. a limit of the job's key, if it lasts longest ({@link explainWait}); of several, the one that lasts longest, and of
 *    those the first in limits.ts (`limits`)
 * 3. the width of the queue object, unless the job is not due, its key is held or it waits for a suspect
 * 4. the global width, unless the job is not due or its key is held
 * 5. the latest of its time, the hold of its key and the rules, in this order if they end at the same instant; of several
 *    rules the one that lasts longest (`blockingByRules` in named-rules.ts)
 * 6. a suspect that runs alone, or the line of suspects
 * 7. the jobs before it
 */
import type { WaitReason } from '../backlog.ts'
import type { Limited } from '../job.ts'
import type { Refusal } from '../limits/limit.ts'
import type { Blocking } from '../limits/named-rules.ts'
import type { RateRule } from '../rate/rules.ts'
import type { Due } from './due.ts'

export interface WaitBounds {
  /** When the job comes due. */
  readonly due: Due | undefined
  /** Until when the rate of its key is held. */
  readonly keyHeldUntil: number | undefined
  /** The rule or the hold, of the queue or of a named rule, that the job's cost meets. */
  readonly blocking: Blocking | undefined
  /** The refusal by a limit of the job's key. */
  readonly refusal?: Refusal | undefined
  /** Whether the global width leaves no slot. */
  readonly noFreeSlot?: boolean
  /** Whether the job waits in the line of suspects, or for a suspect that runs alone. */
  readonly waitsForSuspect?: boolean
}

export interface WaitExplanation {
  readonly notBefore: number
  readonly why: WaitReason['why']
  readonly rule: RateRule | undefined
  /** Whether it is a limit of the job's key. */
  readonly ofKey?: true
}

export function explainWait(
  { due, keyHeldUntil = -Infinity, blocking, refusal, noFreeSlot = false, waitsForSuspect = false }: WaitBounds,
  now: number,
  wall: number,
): WaitExplanation {
  const dueAt = due === undefined ? now : due.clock === 'wall' ? now + due.at - wall : due.at
  const rateUntil = blocking?.until ?? -Infinity
  // An event ends the refusal, at an instant that is not known: it bounds nothing, but it may last longest.
  const waitsForEvent = refusal?.until === Infinity
  const refusedUntil = waitsForEvent ? -Infinity : (refusal?.until ?? -Infinity)
  const notBefore = Math.max(now, dueAt, keyHeldUntil, rateUntil, refusedUntil)
  if (refusal && (waitsForEvent || (notBefore === refusedUntil && notBefore > Math.max(now, dueAt)))) {
    return { notBefore, why: refusal.why, rule: refusal.rule, ofKey: true }
  }
  // The end of a body frees a slot, and nobody knows when. A job that is not due waits for its time first.
  if (noFreeSlot && Math.max(dueAt, keyHeldUntil) <= now) return { notBefore, why: 'globalWidth', rule: undefined }
  // If two end at the same instant, the first is named.
  if (notBefore === now) return { notBefore, why: waitsForSuspect ? 'suspect' : undefined, rule: undefined }
  if (notBefore === dueAt) return { notBefore, why: 'delay', rule: undefined }
  if (notBefore === keyHeldUntil) return { notBefore, why: 'hold', rule: undefined, ofKey: true }
  return { notBefore, why: blocking?.why, rule: blocking?.rule }
}

/** The state of a queue object in which it starts no job. */
export interface QueueFacts {
  readonly stopping: boolean
  readonly pausedHere: boolean
  readonly sharedPaused: boolean
  /** Whether its width leaves no slot. */
  readonly isFull: boolean
}

/** The reason that is named, when that of the job and the state of the queue object are known. */
export function reasonInQueue(
  { why, key }: Pick<WaitReason, 'why' | 'key'>,
  position: number | undefined,
  { stopping, pausedHere, sharedPaused, isFull }: QueueFacts,
): WaitReason['why'] | 'stopped' | 'paused' | 'shared pause' | 'width' | 'behind others' {
  if (stopping) return 'stopped'
  if (pausedHere) return 'paused'
  if (sharedPaused) return 'shared pause'
  if (key !== undefined || why === 'delay' || why === 'suspect') return why
  if (isFull) return 'width'
  return why ?? (position ? 'behind others' : undefined)
}

/** The facts that the event `limited` reports of the limit that holds jobs back. `until` is an instant of the wall clock. */
export function limitedBy({ why, rule, key }: LimitingJobs, until: number): Limited {
  return {
    rule,
    ...(key !== undefined && { key }),
    until,
    ...(why === 'hold' && rule !== undefined && { hold: true }),
  }
}

export interface LimitingJobs {
  readonly why?: WaitReason['why']
  readonly rule: RateRule | undefined
  readonly key?: string | undefined
}
