/**
 * The entry for a store that keeps a job as one record: the operations of all procedures (../execute/) as one interface,
 * and what such a store needs to implement them.
 */
import type { Scope } from '../../../lib/limits/limit.ts'
import { type CommandedJob, type CommandStore, executeCommand } from '../execute/command.ts'
import { type ExchangeStore, executeExchange } from '../execute/exchange.ts'
import type { LimitStore } from '../execute/limit-store.ts'
import { type ExplainedJob, type ExplainStore, explain, type KeyReportStore, reportKeys } from '../execute/queries.ts'
import type { QueueState } from '../execute/queue-state.ts'
import { type DetachStore, detach, type LeftByCrash } from '../execute/recovery.ts'
import { type AttachStore, attach, type PutStore, put, type RequestStore } from '../execute/requests.ts'
import type { LeftByRun, SettleStore } from '../execute/settle.ts'
import type * as wire from '../store.ts'

export { claimFacts } from '../execute/admission.ts'
export { ClaimReply } from '../execute/claim-reply.ts'
export { type Claimed, emptyReply, type LoggedReply } from '../execute/exchange.ts'
export { countedUntil } from '../execute/grants.ts'
export type { LimitStore, StoredRule } from '../execute/limit-store.ts'
export { unrun } from '../execute/moves.ts'
export { noCounts, type QueueState } from '../execute/queue-state.ts'
export { recoverJob } from '../execute/recovery.ts'
export { execute, executeEach } from '../execute/requests.ts'
export { forgetWaits, namedRules } from '../execute/rules.ts'
export { settleEach } from '../execute/settle.ts'
export * from './all-jobs.ts'
export { type KeyedQueue, keyLimits, keyNow, rateOfKey } from './all-keys.ts'
export * from './reported.ts'
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
