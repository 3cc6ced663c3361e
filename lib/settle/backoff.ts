/** How long a job waits before its next attempt. The defaults of `retry` are in options/options.ts. */
import type { RetryPolicy } from '../job.ts'

/**
 * The wait where a server did not say how long. Never 0, because the job would then retry in a tight loop without using
 * attempts.
 */
export function defaultWaitMs(retry: RetryPolicy): number {
  return retry.delayMs || 1_000
}

/**
 * The wait after the `attempt`th attempt: `delay * factor ** (attempt - 1)`, capped by `max`. Jitter takes a random
 * point of the upper half ("equal jitter"), so the wait is at least half of the configured one and jobs do not come
 * back all at once.
 */
export function backoffMs(attempt: number, retry: RetryPolicy, chance: number): number {
  // The power overflows after enough attempts, and 0 times Infinity is NaN.
  const waitMs = retry.delayMs === 0 ? 0 : Math.min(retry.delayMs * retry.factor ** (attempt - 1), retry.maxMs)
  return retry.jitter ? waitMs / 2 + (waitMs / 2) * chance : waitMs
}
