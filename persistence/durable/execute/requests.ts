/**
 * Executes the requests of one transaction, in their order. Both the store contract and this folder call a request
 * executed once its effects are part of the transaction.
 *
 * The procedures of this folder are what every store does in the same way. They call a few primitive operations, which
 * each store implements, and lib/rules/ for each decision. They read no clock; all instants are of the store's clock.
 */
import type { StateCounts } from '../../../lib/backlog.ts'
import { DispatchError } from '../../../lib/errors.ts'
import type { KeysPolicy } from '../../../lib/limits/keys.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import { declareRules } from '../../../lib/rules/rule-settings.ts'
import { toWire } from '../errors.ts'
import type * as wire from '../store.ts'
import { noCounts, type QueueState, settingsNow } from './queue-state.ts'
import { type RuleStore, useRules } from './rules.ts'

export interface RequestStore<Queue> {
  /** The queue of that number; undefined if there is none. */
  queue(number: number): Queue | undefined
  attach(request: wire.AttachRequest): wire.AttachReply
  put(queue: Queue, request: wire.PutRequest): wire.PutReply
  exchange(queue: Queue, request: wire.ExchangeRequest): wire.ExchangeReply
  control(queue: Queue, request: wire.CommandRequest): wire.CommandReply
  detach(queue: Queue, request: wire.DetachRequest): void
  find(queue: Queue, request: wire.FindRequest): wire.JobRow | undefined
  list(queue: Queue, request: wire.ListRequest): wire.ListReply
  explain(queue: Queue, request: wire.ExplainRequest): wire.ExplainReply | undefined
  keys(queue: Queue, request: wire.KeysRequest): wire.KeysReply
  replay(request: wire.ReplayRequest): wire.PutReplay | undefined
}

/** A request that is refused fails alone. */
export function executeEach<Queue>(store: RequestStore<Queue>, requests: readonly wire.Request[]): wire.Answered[] {
  return requests.map(request => {
    try {
      return { ok: execute(store, request) }
    } catch (error) {
      // A request checks every reason for a refusal before its first write, so nothing of it needs to be undone. A
      // savepoint for each request would cost two statements more; the store contract tests each refusal instead.
      if (error instanceof DispatchError) return { error: toWire(error) }
      throw error
    }
  })
}

export function execute<Queue>(store: RequestStore<Queue>, request: wire.Request): unknown {
  if (request.kind === 'attach') return store.attach(request)
  const queue = store.queue(request.queue)
  if (!queue) throw new Error(`no queue has the number ${request.queue} in this store: was it attached?`)
  switch (request.kind) {
    case 'put':
      return store.put(queue, request)
    case 'exchange':
      return store.exchange(queue, request)
    case 'control':
      return store.control(queue, request)
    case 'detach':
      // A queue object without a handler has no runs.
      return request.works ? store.detach(queue, request) : undefined
    case 'find':
      return store.find(queue, request)
    case 'list':
      return store.list(queue, request)
    case 'explain':
      return store.explain(queue, request)
    case 'keys':
      return store.keys(queue, request)
    case 'replay':
      return store.replay(request)
    default:
      return request satisfies never
  }
}

export interface AttachStore<Queue> extends RuleStore<Queue> {
  named(name: string): Queue | undefined
  create(request: wire.AttachRequest): Queue
  /** This process has a queue object with a handler for the name. */
  works(queue: Queue): void
  /** The rules of the queue alone, with what they have learned. */
  ownRules(queue: Queue): readonly RateRule[]
  counts(queue: Queue): StateCounts
  /** Limits and sharing by key are declared, and differ from the last declaration. */
  declareKeys(queue: Queue, policy: KeysPolicy, now: number): void
  keysNow(queue: Queue): wire.KeysNow
}

export function attach<Queue extends QueueState>(
  store: AttachStore<Queue>,
  request: wire.AttachRequest,
): wire.AttachReply {
  const { name, works, looks, rate, keys, globalWidth, keep, size, afterCrash, crashLimit, now } = request
  const known = store.named(name)
  if (!known && looks) return { queue: 0, rules: [], counts: noCounts, sharedPaused: false }
  const queue = known ?? store.create(request)
  if (works) {
    Object.assign(queue, { keep, size, afterCrash, crashLimit })
    store.works(queue)
  }
  const book = store.ruleBook(now)
  const before = queue.rules
  const replaced = declareRules(queue, book, rate)
  if (queue.rules !== before) useRules(store, queue, now)
  if (keys) store.declareKeys(queue, keys, now)
  if (globalWidth !== undefined && globalWidth !== queue.declaredGlobalWidth) {
    Object.assign(queue, { globalWidth, declaredGlobalWidth: globalWidth })
  }
  if (!looks) store.saveSettings(queue)
  const { queueId, sharedPaused } = queue
  const keysNow = queue.keysVersion > 0 && { keys: store.keysNow(queue) }
  const settings = { ...settingsNow(queue, book, store.ownRules(queue)), ...(replaced && { replaced }) }
  return { queue: queueId, ...settings, counts: store.counts(queue), sharedPaused, ...keysNow }
}
