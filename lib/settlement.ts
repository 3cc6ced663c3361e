/** The one gate that every ending passes, once: what a body's end means for its job. */
import type { SettleKind } from './backlog.ts'
import { durationMs } from './duration.ts'
import { RetryLater, Throttled, Unrecoverable } from './errors.ts'
import type { RetryPolicy } from './job.ts'

/** What an error means: the kind of ending, how long the job waits, and whose rate is held. */
export interface Verdict {
  readonly kind: SettleKind
  readonly error: unknown
  readonly waitMs: number
  readonly heldKey: string | undefined
}

/**
 * The meaning of what a handler threw at its `attempt`th run. An `after` that is no duration makes the job fail with the
 * OptionError that says so: the handler is at fault, and holding its job for ever would hide that.
 */
export function verdictOn(
  error: unknown,
  attempt: number,
  retry: RetryPolicy,
  maxHoldMs: number,
  chance: number,
): Verdict {
  const verdict = (kind: SettleKind, waitMs = 0, heldKey?: string): Verdict => ({ kind, error, waitMs, heldKey })
  try {
    if (error instanceof RetryLater) return verdict('back', durationMs('after', error.after))
    if (error instanceof Throttled) {
      return verdict('throttled', Math.min(durationMs('after', error.after), maxHoldMs), error.key)
    }
  } catch (problem) {
    return { ...verdict('failed'), error: problem }
  }
  if (error instanceof Unrecoverable || attempt >= retry.attempts) return verdict('failed')
  return verdict('again', backoffMs(attempt, retry, chance))
}

/**
 * The wait before the attempt after the `attempt`th: `delay * factor ** (attempt - 1)`, capped by `max`. Jitter takes a
 * random point of the upper half ("equal jitter"): never sooner than half of what was asked, and never all at once.
 */
export function backoffMs(attempt: number, retry: RetryPolicy, chance: number): number {
  const fullMs = Math.min(retry.delayMs * retry.factor ** (attempt - 1), retry.maxMs)
  return retry.jitter ? fullMs / 2 + (fullMs / 2) * chance : fullMs
}
