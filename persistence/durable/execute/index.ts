/**
 * The entry for a store that does its work by the procedures of this folder: their operations as one interface, and the
 * procedures that its own operations call.
 */
import type { Scope } from '../../../lib/limits/limit.ts'
import type * as wire from '../store.ts'
import { type CommandedJob, type CommandStore, executeCommand } from './command.ts'
import { type ExchangeStore, executeExchange } from './exchange.ts'
import type { LimitStore } from './limit-store.ts'
import { type ExplainedJob, type ExplainStore, explain, type KeyReportStore, reportKeys } from './queries.ts'
import type { QueueState } from './queue-state.ts'
import { type DetachStore, detach, type LeftByCrash } from './recovery.ts'
import { type AttachStore, attach, type PutStore, put, type RequestStore } from './requests.ts'
import type { LeftByRun, SettleStore } from './settle.ts'

export { claimFacts } from './admission.ts'
export * from './all-jobs.ts'
export { type KeyedQueue, keyLimits, keyNow, rateOfKey } from './all-keys.ts'
export { ClaimReply } from './claim-reply.ts'
export { type Claimed, emptyReply, type LoggedReply } from './exchange.ts'
export { countedUntil } from './grants.ts'
export type { LimitStore, StoredRule } from './limit-store.ts'
export { unrun } from './moves.ts'
export { noCounts, type QueueState } from './queue-state.ts'
export { recoverJob } from './recovery.ts'
export * from './reported.ts'
export { execute, executeEach } from './requests.ts'
export { forgetWaits, namedRules } from './rules.ts'
export { settleEach } from './settle.ts'
export * from './stored-job.ts'

/** A job as the procedures see it. */
export type AnyJob = LeftByCrash & LeftByRun & CommandedJob & ExplainedJob

/** The operations of all procedures. */
export interface StoreOperations<Queue extends QueueState, Job extends AnyJob, Key extends Scope = Scope>
  extends AttachStore<Queue>,
    PutStore<Queue>,
    ExchangeStore<Queue>,
    SettleStore<Queue, Job>,
    DetachStore<Queue, Job>,
    CommandStore<Queue, Job>,
    ExplainStore<Queue, Job>,
    KeyReportStore<Queue> {
  readonly limits: LimitStore<Queue, Key>
  queue(number: number): Queue | undefined
  list(queue: Queue, request: wire.ListRequest): wire.ListReply
  /** Keeps the reply to a put of this process until a later put acknowledges it, and finds it again. */
  keepPutReply(request: wire.PutRequest, reply: wire.PutReplay): void
  putReply(number: number): wire.PutReplay | undefined
}

/** The requests, each executed by its procedure. */
export function requestsOn<Queue extends QueueState, Job extends AnyJob>(
  store: StoreOperations<Queue, Job>,
): RequestStore<Queue> {
  return {
    queue: number => store.queue(number),
    attach: request => attach(store, request),
    put: (queue, request) => {
      const reply = put(store, queue, request)
      store.keepPutReply(request, reply)
      return reply
    },
    exchange: (queue, request) => executeExchange(store, queue, request),
    command: (queue, request) => executeCommand(store, queue, request),
    detach: (queue, request) => detach(store, queue, request),
    find: (queue, { target }) => store.row(queue, target),
    list: (queue, request) => store.list(queue, request),
    explain: (queue, request) => explain(store, queue, request),
    keys: (queue, { query, now }) => ({ keys: reportKeys(store, queue, query, now) }),
    replay: ({ number }) => store.putReply(number),
  }
}
