/** What everybody who hands requests to a store has to know of them: which go together, and which must not be refused. */
import type { NumberedRequest, Request } from './store.ts'

/**
 * The most jobs that one transaction takes in, about half of what a queue may have in flight: so the queue packs the next
 * puts while these are stored. What a single call put together is never divided.
 */
const maxJobsInTransaction = 1_000

/** How many of these requests, from the first, go into one transaction. */
export function batchLength(requests: readonly NumberedRequest[]): number {
  let jobs = 0
  let count = 0
  for (const [, request] of requests) {
    if (request.kind === 'put') jobs += request.ids.length
    if (count > 0 && jobs > maxJobsInTransaction) break
    count++
  }
  return count
}

/** Whether the request only reads. */
export function isQuery(kind: Request['kind']): boolean {
  return kind === 'find' || kind === 'list' || kind === 'explain'
}

/** Whether the request waits while the store is busy, however long: if it were refused, its queue would lose what it settles. */
export function isPatient([, { kind }]: NumberedRequest): boolean {
  return kind === 'turn' || kind === 'detach'
}
