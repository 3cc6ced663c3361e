/** Why a waiting job does not start, and the earliest instant at which it can: the latest of all that holds it up. */
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
}

export interface WaitExplanation {
  readonly notBefore: number
  readonly why: WaitReason['why']
  readonly rule: RateRule | undefined
  /** Whether it is a limit of the job's key. */
  readonly ofKey?: true
}

export function explainWait(
  { due, keyHeldUntil = -Infinity, blocking, refusal, noFreeSlot = false }: WaitBounds,
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
  if (notBefore === now) return { notBefore, why: undefined, rule: undefined }
  if (notBefore === dueAt) return { notBefore, why: 'delay', rule: undefined }
  if (notBefore === keyHeldUntil) return { notBefore, why: 'hold', rule: undefined, ofKey: true }
  return { notBefore, why: blocking?.why, rule: blocking?.rule }
}

/** What the event `limited` reports of the limit that holds jobs back. `until` is an instant of the wall clock. */
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
