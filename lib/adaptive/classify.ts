/** Judges the service that a handler calls by the end of a run, unless the caller of `adapt` does. */
import type { Job } from '../job.ts'

export type Outcome = 'ok' | 'overload' | 'ignore'

/** A run that ended by itself. Runs that were cancelled, or cut short by a stop, are never classified. */
export interface ClassifiedRun<Payload = unknown, Result = unknown> {
  readonly job: Job<Payload, Result>
  /** The thrown value; undefined if the run finished. */
  readonly error: unknown
  /** The key whose width is adapted; undefined if that of the queue is. */
  readonly key?: string | undefined
  /** How long the handler ran, in milliseconds. The job's wait in the queue is not part of it. */
  readonly runMs: number
}

/** The statuses by which HTTP services refuse work that they have no capacity for. 529 is Anthropic's. */
const overloadedStatuses: readonly unknown[] = [429, 503, 529]

/**
 * A finished run is ok. `Throttled`, `TimeoutError`, and an error with the `status` or `statusCode` 429, 503 or 529 (its
 * own, or that of its `response`) are overloads. Any other error may have many causes, and is ignored. So is a
 * `Throttled` for a key, unless the width of that key is adapted.
 */
export function classifyByDefault({ error, job, key }: ClassifiedRun): Outcome {
  if (error === undefined) return 'ok'
  try {
    return isOverload(error, job, key) ? 'overload' : 'ignore'
  } catch {
    // A thrown proxy may throw when it is read.
    return 'ignore'
  }
}

interface Fields {
  readonly code?: unknown
  readonly key?: unknown
  readonly status?: unknown
  readonly statusCode?: unknown
  readonly response?: Fields | null
}

function isOverload(error: unknown, job: Pick<Job, 'key'> | undefined, adaptedKey: string | undefined): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, key, status, statusCode, response } = error as Fields
  if (code === 'THROTTLED' && 'after' in error) {
    const heldKey = key === true ? job?.key : key
    return heldKey === undefined || heldKey === adaptedKey
  }
  if (code === 'TIMEOUT') return true
  return [status, statusCode, response?.status, response?.statusCode].some(value => overloadedStatuses.includes(value))
}
