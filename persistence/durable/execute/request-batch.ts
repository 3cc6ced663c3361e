/**
 * Facts about requests that every connection to a store needs: how many share a transaction, and which must not be
 * refused.
 */
import { maxJobsInTransaction } from '../../../lib/decisions/bounds.ts'
import type { NumberedRequest, QueryRequest, Request } from '../store.ts'

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

/** The compiler asks here for each kind of query. */
const queries: Readonly<Record<QueryRequest['kind'], true>> = {
  ...{ find: true, list: true, explain: true, keys: true, replay: true },
}

/** Whether the request only reads, so that it needs no write transaction and no lock. */
export function isQuery(kind: Request['kind']): kind is QueryRequest['kind'] {
  return Object.hasOwn(queries, kind)
}

/** Whether the request waits however long the store is busy, because a refusal would lose the settles of its queue. */
export function isPatient([, { kind }]: NumberedRequest): boolean {
  return kind === 'exchange' || kind === 'detach'
}
