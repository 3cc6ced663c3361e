/** The one gate that every ending passes, once: what a body's end means for its job. */
import type { SettleKind } from '../backlog.ts'
import type { RetryPolicy } from '../job.ts'
import { controlOf } from './control-errors.ts'

/** What an error means: the kind of ending, how long the job waits, and whose rate is held. */
export interface Verdict {
  readonly kind: SettleKind
  readonly error: unknown
  readonly waitMs: number
  readonly heldKey: string | undefined
}

/**
 * The meaning of what a handler threw at its `attempt`th run. `chance` is random; `wall` is the present instant of the wall
 * clock. A control error that asks for what cannot be (a foreign one: ours are refused when they are made) fails the job
 * with the OptionError that says so: its handler is at fault, and an attempt more would not change that.
 */
export function verdictOn(
  error: unknown,
  attempt: number,
  retry: RetryPolicy,
  maxHoldMs: number,
  chance: number,
  wall: number,
): Verdict {
  const verdict = (kind: SettleKind, waitMs = 0, heldKey?: string): Verdict => ({ kind, error, waitMs, heldKey })
  try {
    const control = controlOf(error, wall)
    if (control?.kind === 'later') return verdict('snooze', control.afterMs ?? defaultWaitMs(retry))
    if (control?.kind === 'throttled') {
      return verdict('throttled', Math.min(control.afterMs ?? defaultWaitMs(retry), maxHoldMs), control.key)
    }
    if (control?.kind === 'never') return verdict('failed')
  } catch (problem) {
    return { ...verdict('failed'), error: problem }
  }
  return attempt >= retry.attempts ? verdict('failed') : verdict('retry', backoffMs(attempt, retry, chance))
}

/** The wait where a server did not say how long. Never 0: that would ask it again and again, and use no attempt. */
function defaultWaitMs(retry: RetryPolicy): number {
  return retry.delayMs || 1_000
}

/**
 * The wait before the attempt after the `attempt`th: `delay * factor ** (attempt - 1)`, capped by `max`. Jitter takes a
 * random point of the upper half ("equal jitter"): never sooner than half of what was asked, and never all at once.
 */
export function backoffMs(attempt: number, retry: RetryPolicy, chance: number): number {
  // The power overflows after enough attempts, and 0 times Infinity is no number.
  const fullMs = retry.delayMs === 0 ? 0 : Math.min(retry.delayMs * retry.factor ** (attempt - 1), retry.maxMs)
  return retry.jitter ? fullMs / 2 + (fullMs / 2) * chance : fullMs
}
