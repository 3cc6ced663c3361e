/** The one gate that every ending passes, once: decides what the end of a body means for its job. */
import type { SettleKind } from '../backlog.ts'
import type { RetryPolicy } from '../job.ts'
import { controlOf } from './control-errors.ts'

/** The meaning of an error: the kind of ending, how long the job waits, and which rate is held. */
export interface ErrorSettlement {
  readonly kind: SettleKind
  readonly error: unknown
  readonly waitMs: number
  readonly heldKey: string | undefined
}

/**
 * The meaning of the value that a handler threw in its `attempt`th run. `chance` is random; `wall` is the present
 * instant of the wall clock. An invalid control error (a foreign one: ours are refused when they are created) fails the
 * job with the OptionError that says so, because the handler is at fault and another attempt would not help.
 */
export function settlementOfError(
  error: unknown,
  attempt: number,
  retry: RetryPolicy,
  maxHoldMs: number,
  chance: number,
  wall: number,
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
      return settlement('throttled', Math.min(control.afterMs ?? defaultWaitMs(retry), maxHoldMs), control.key)
    }
    if (control?.kind === 'never') return settlement('failed')
  } catch (problem) {
    return { ...settlement('failed'), error: problem }
  }
  return attempt >= retry.attempts ? settlement('failed') : settlement('retry', backoffMs(attempt, retry, chance))
}

/**
 * The wait where a server did not say how long. Never 0, because the job would then retry in a tight loop without using
 * attempts.
 */
function defaultWaitMs(retry: RetryPolicy): number {
  return retry.delayMs || 1_000
}

/**
 * The wait after the `attempt`th attempt: `delay * factor ** (attempt - 1)`, capped by `max`. Jitter takes a random
 * point of the upper half ("equal jitter"), so the wait is at least half of the configured one and jobs do not come
 * back all at once.
 */
export function backoffMs(attempt: number, retry: RetryPolicy, chance: number): number {
  // The power overflows after enough attempts, and 0 times Infinity is NaN.
  const fullMs = retry.delayMs === 0 ? 0 : Math.min(retry.delayMs * retry.factor ** (attempt - 1), retry.maxMs)
  return retry.jitter ? fullMs / 2 + (fullMs / 2) * chance : fullMs
}
