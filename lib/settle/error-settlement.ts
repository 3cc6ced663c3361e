/** Decides what an error that a handler threw means for its job: another attempt, a wait, a held rate, or a failure. */
import type { SettleKind } from '../backlog.ts'
import type { RetryPolicy } from '../job.ts'
import { backoffMs, defaultWaitMs } from './backoff.ts'
import { controlOf } from './control-errors.ts'

/** How the job settles: the kind, the error, how long it waits, and the key whose rate is held. */
export interface ErrorSettlement {
  readonly kind: SettleKind
  readonly error: unknown
  readonly waitMs: number
  readonly heldKey: string | undefined
}

/**
 * The settlement of a job whose handler threw `error` in its `attempt`th run. `chance` is random; `wall` is the present
 * instant of the wall clock; `key` is the key of the job. An invalid control error (a foreign one: ours are refused when they are created) fails the
 * job with the OptionError that says so, because the handler is at fault and another attempt would not help.
 */
export function settlementOfError(
  error: unknown,
  attempt: number,
  retry: RetryPolicy,
  maxHoldMs: number,
  chance: number,
  wall: number,
  key: string | undefined,
): ErrorSettlement {
  const settlement = (kind: SettleKind, waitMs = 0, heldKey?: string): ErrorSettlement => ({
    kind,
    error,
    waitMs,
    heldKey,
  })
  try {
    const control = controlOf(error, wall)
    if (control?.kind === 'later') return settlement('snooze', control.afterMs ?? defaultWaitMs(retry))
    if (control?.kind === 'throttled') {
      const heldKey = control.key === true ? key : control.key
      return settlement('throttled', Math.min(control.afterMs ?? defaultWaitMs(retry), maxHoldMs), heldKey)
    }
    if (control?.kind === 'never') return settlement('failed')
  } catch (problem) {
    return { ...settlement('failed'), error: problem }
  }
  return attempt >= retry.attempts ? settlement('failed') : settlement('retry', backoffMs(attempt, retry, chance))
}
