/**
 * Executes the requests of one transaction, in their order. Both the store contract and this folder call a request
 * executed once its effects are part of the transaction.
 *
 * The procedures of this folder are what every store does in the same way. They call a few primitive operations, which
 * each store implements, and lib/decisions/ for each decision. They read no clock; all instants are of the store's clock.
 */
import type { StateCounts } from '../../../lib/backlog.ts'
import { type IdLookup, jobOfId, refuseCost, refuseOverfull } from '../../../lib/decisions/puts.ts'
import { declareRules } from '../../../lib/decisions/rule-settings.ts'
import { DispatchError } from '../../../lib/errors.ts'
import type { JobState } from '../../../lib/job.ts'
import { noKeys, settingsOf } from '../../../lib/limits/keys.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import { toWire } from '../errors.ts'
import type * as wire from '../store.ts'
import type { JobRow, PutReply, PutRequest, RowRef } from '../store.ts'
import { declareKeys, keysNow } from './key-settings.ts'
import type { LimitStore } from './limit-store.ts'
import { noCounts, type QueueState } from './queue-state.ts'
import { namedRulesInForce, ruleBook, settingsNow, useRules } from './rules.ts'

export interface RequestStore<Queue> {
  /** The queue of that number; undefined if there is none. */
  queue(number: number): Queue | undefined
  attach(request: wire.AttachRequest): wire.AttachReply
  put(queue: Queue, request: wire.PutRequest): wire.PutReply
  exchange(queue: Queue, request: wire.ExchangeRequest): wire.ExchangeReply
  command(queue: Queue, request: wire.CommandRequest): wire.CommandReply
  detach(queue: Queue, request: wire.DetachRequest): void
  find(queue: Queue, request: wire.FindRequest): wire.JobRow | undefined
  list(queue: Queue, request: wire.ListRequest): wire.ListReply
  explain(queue: Queue, request: wire.ExplainRequest): wire.ExplainReply | undefined
  keys(queue: Queue, request: wire.KeysRequest): wire.KeysReply
  replay(request: wire.ReplayRequest): wire.PutReplay | undefined
}

/** A request that is refused fails alone. */
export function executeEach<Queue>(
  store: RequestStore<Queue>,
  requests: readonly wire.Request[],
): wire.RequestResult[] {
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
    case 'command':
      return store.command(queue, request)
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

export interface AttachStore<Queue> {
  readonly limits: LimitStore<Queue>
  named(name: string): Queue | undefined
  create(request: wire.AttachRequest): Queue
  /** This process has a queue object with a handler for the name. */
  registerWorker(queue: Queue): void
  counts(queue: Queue): StateCounts
}

export function attach<Queue extends QueueState>(
  store: AttachStore<Queue>,
  request: wire.AttachRequest,
): wire.AttachReply {
  const { name, works, onlyIfExists, rate, keys, globalWidth, keep, size, afterCrash, crashLimit, now } = request
  const known = store.named(name)
  if (!known && onlyIfExists) return { queue: 0, rules: [], counts: noCounts, sharedPaused: false }
  const queue = known ?? store.create(request)
  if (works) {
    Object.assign(queue, { keep, size, afterCrash, crashLimit })
    store.registerWorker(queue)
  }
  const { limits } = store
  const before = queue.rules
  const replaced = declareRules(queue, ruleBook(limits, now), rate)
  if (queue.rules !== before) useRules(limits, queue, before, now)
  if (keys) declareKeys(limits, queue, keys, now)
  if (globalWidth !== undefined && globalWidth !== queue.declaredGlobalWidth) {
    Object.assign(queue, { globalWidth, declaredGlobalWidth: globalWidth })
  }
  if (!onlyIfExists) limits.saveSettings(queue)
  const { queueId, sharedPaused } = queue
  const ofKeys = queue.keysVersion > 0 && { keys: keysNow(limits, queue) }
  const settings = { ...settingsNow(limits, queue), ...(replaced && { replaced }) }
  return { queue: queueId, ...settings, counts: store.counts(queue), sharedPaused, ...ofKeys }
}

// Puts: which jobs exist already, by their given ids, and why a put is refused.

/** The jobs of a put. Those of `putWithin` belong to no worker, so no worker requests the reply. */
export type PutJobs = Omit<PutRequest, 'number' | 'acknowledged'>

export interface PutStore<Queue> {
  readonly limits: LimitStore<Queue>
  row(queue: Queue, target: RowRef): JobRow | undefined
  /** An ended job that is forgotten, whose id is remembered. */
  remembered(queue: Queue, id: string, now: number): { fingerprint: string; state: JobState } | undefined
  /** Stores the jobs, except those that existed, and returns the seq of the first. The others follow in order. */
  addJobs(queue: Queue, request: PutJobs, existed: Existed): number
  counts(queue: Queue): StateCounts
}

/** By the index in the request: a job that exists, or the index of an earlier job of the same request. */
export type Existed = Map<number, JobRow | number>

/** A job that exists, the index of an earlier one of the request, or the state of one that is forgotten. */
interface Known {
  readonly existing: JobRow | number | JobState
  readonly fingerprint: string | undefined
}

/** Accepts all jobs of a request, in order, or none: every reason for a refusal is checked before anything is stored. */
export function put<Queue extends QueueState>(store: PutStore<Queue>, queue: Queue, request: PutJobs): PutReply {
  const { ids, size } = request
  const existed = existing(store, queue, request)
  const { pending, delayed } = store.counts(queue)
  refuseOverfull(ids.length - existed.size, size, pending + delayed)
  const first = store.addJobs(queue, request, existed)
  const rowOf = (known: JobRow | number): JobRow =>
    typeof known === 'number' ? (store.row(queue, ids[known] as string) as JobRow) : known
  return { first, existed: [...existed].map(([i, known]) => [i, rowOf(known)]), counts: store.counts(queue) }
}

/** Finds the jobs of given ids that exist. Refuses an id of another payload, and a cost that no limit allows. */
function existing<Queue extends QueueState>(store: PutStore<Queue>, queue: Queue, request: PutJobs): Existed {
  const { ids, now, extras } = request
  const existed: Existed = new Map()
  /** The first job of the request with an id: its index, and its fingerprint. */
  const firstOf = new Map<string, Known>()
  const lookup: IdLookup<Known> = {
    inPut: id => firstOf.get(id),
    kept: id => {
      const row = store.row(queue, id)
      return row && { existing: row, fingerprint: row.extras?.fingerprint }
    },
    remembered: id => {
      const gone = store.remembered(queue, id, now)
      return gone && { existing: gone.state, fingerprint: gone.fingerprint }
    },
    fingerprintOf: known => known.fingerprint,
  }
  for (const [index, { cost, fingerprint, key }] of extras) {
    if (fingerprint !== undefined) {
      const id = ids[index] as string
      const known = jobOfId(id, fingerprint, lookup)?.existing
      if (known !== undefined) {
        existed.set(index, typeof known === 'string' ? forgotten(request, index, known, fingerprint) : known)
        continue
      }
      firstOf.set(id, { existing: index, fingerprint })
    }
    if (cost) {
      const { limits } = store
      refuseCost(cost, limits.rate(queue), furtherRules(limits, queue, key), queue.keys?.rate)
    }
  }
  return existed
}

/** Other rules that a job counts for: those of its key, and those that the queue shares by name. */
function furtherRules<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  key: string | undefined,
): readonly RateRule[] {
  const shared = namedRulesInForce(store, queue)
  if (key === undefined || queue.keysVersion === 0) return shared
  return [...settingsOf(queue.keys ?? noKeys, store.override(queue, key), key).rate, ...shared]
}

/** Nothing is left of the job but its id and its payload, which the request repeats, and its state. */
function forgotten(
  { ids, payloads, priorities, queuedAt }: PutJobs,
  index: number,
  state: JobState,
  fingerprint: string,
): JobRow {
  return {
    ...{ seq: 0, id: ids[index] as string, payload: payloads[index] as string, priority: priorities?.[index] ?? 0 },
    ...{ state, attempt: 0, fence: 0, crashes: 0, queuedAt: queuedAt[index] as number },
    ...{ startedAt: null, stoppedAt: null, extras: { fingerprint } },
  }
}
