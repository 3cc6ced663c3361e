/** Why a waiting job does not start, and the earliest instant at which it can: the latest of all that holds it up. */
import type { WaitReason } from '../backlog.ts'
import type { Rate } from '../rate/rate.ts'
import type { Due } from './due.ts'

export interface WaitBounds {
  /** When the job comes due. */
  readonly due: Due | undefined
  /** Until when the rate of its key is held. */
  readonly keyHeldUntil: number | undefined
  /** The limit that the rate reports for the job's cost. */
  readonly blocking: ReturnType<Rate['blocking']>
}

export function explainWait(
  { due, keyHeldUntil = -Infinity, blocking }: WaitBounds,
  now: number,
  wall: number,
): Pick<WaitReason, 'notBefore' | 'rule'> & { readonly why: 'delay' | 'key' | 'rate' | undefined } {
  const dueAt = due === undefined ? now : due.clock === 'wall' ? now + due.at - wall : due.at
  const rateUntil = blocking?.until ?? -Infinity
  const notBefore = Math.max(now, dueAt, keyHeldUntil, rateUntil)
  // If two end at the same instant, the first is named.
  const why =
    notBefore === now ? undefined : notBefore === dueAt ? 'delay' : notBefore === keyHeldUntil ? 'key' : 'rate'
  return { notBefore, why, rule: why === 'rate' ? blocking?.rule : undefined }
}
