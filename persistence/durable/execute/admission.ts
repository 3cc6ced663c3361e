/**
 * Whether a waiting job may start: the one place where a claim of a durable store checks the limits (lib/limits/), and
 * the one where it charges them. However a claim chooses its jobs, the same limits apply.
 *
 * All limits are checked before any is charged.
 */
import type { FurtherStart, Grant } from '../../../lib/backlog.ts'
import { graceMs } from '../../../lib/decisions/grace.ts'
import { grantOf, startOfKey } from '../../../lib/decisions/grants.ts'
import { neverStarts } from '../../../lib/decisions/puts.ts'
import { type Refusal, type Scope, unlimited } from '../../../lib/limits/limit.ts'
import { refusalAmong, refusalOf } from '../../../lib/limits/limits.ts'
import { chargeRules, type NamedRule, scopeOf } from '../../../lib/limits/named-rules.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import type { ExchangeRequest } from '../store.ts'
import type { ClaimFacts } from './claim-reply.ts'
import type { LimitStore } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'
import { namedRules } from './rules.ts'

/** Why a waiting job does not start. */
export type Obstacle =
  /** A limit of the queue refuses it, so no job starts. */
  | { readonly kind: 'queueWaits'; readonly refusal: Refusal; readonly cost: Cost | undefined }
  /** A limit of its key refuses it, or `Throttled` holds the key. */
  | { readonly kind: 'keyWaits'; readonly refusal: Refusal }
  /** It can never start, and so ends with this error. */
  | { readonly kind: 'fails'; readonly error: string }
  /** It waits in the line of suspects. */
  | { readonly kind: 'suspect' }
  /** It has no body, which only foreign code can cause. */
  | { readonly kind: 'gone' }

/** The charges for a job that starts, in each rate that it counts for. */
export interface Charges {
  /** The number of its start in the rate of the queue; 0: nothing was charged. */
  readonly grant: number
  /** The same in the rate of its key. */
  readonly keyStart: number
  /** Its starts in the named rules of the queue. */
  readonly ruleStarts: readonly FurtherStart[]
}
export const noCharges: Charges = Object.freeze({ grant: 0, keyStart: 0, ruleStarts: [] })

/** The facts of a claim of at most that many jobs. */
export function claimFacts<Queue extends QueueState, Key extends Scope>(
  store: LimitStore<Queue, Key>,
  queue: Queue,
  { now, errorMs }: Pick<ExchangeRequest, 'now' | 'errorMs'>,
  most: number,
): ClaimFacts {
  const ofKeys = queue.keys?.rate ?? []
  const shared = namedRules(store, queue).flatMap(({ rate }) => rate.rules)
  const own = store.rate(queue)
  const isRated = !own.limitsNothing || ofKeys.length > 0 || store.overridesRates(queue) || shared.length > 0
  const isAlone = ofKeys.length + shared.length === 0
  const rules = isAlone ? own.rules : [...own.rules, ...ofKeys, ...shared]
  return { now, most, isRated, graceMs: graceMs(rules, store.graceFactor(queue), errorMs) }
}

/** The admission of one claim. */
export class Admission<Queue extends QueueState, Key extends Scope> {
  readonly #store: LimitStore<Queue, Key>
  readonly #queue: Queue
  readonly #facts: ClaimFacts
  /** The scope of the queue, to which every job of it belongs, and the rules that it shares. */
  readonly #ofQueue: readonly Scope[]
  readonly #named: readonly NamedRule[]
  /** Until when keys are held, in a queue that is not sorted by key. */
  readonly #heldKeys: ReadonlyMap<string, number> | undefined

  constructor(
    store: LimitStore<Queue, Key>,
    queue: Queue,
    facts: ClaimFacts,
    heldKeys: ReadonlyMap<string, number> | undefined,
  ) {
    this.#store = store
    this.#queue = queue
    this.#facts = facts
    this.#heldKeys = heldKeys
    const rate = store.rate(queue)
    this.#ofQueue = rate.limitsNothing ? [] : [{ ...unlimited, rate }]
    this.#named = namedRules(store, queue)
  }

  /**
   * Why the job does not start; undefined: it may.
   *
   * @param ofKey What holds for its key, in a queue that is sorted by key.
   */
  obstacle(key: string | undefined, cost: Cost | undefined, ofKey?: Key): Obstacle | undefined {
    const byKey = this.#refusalOfKey(key, ofKey, cost)
    const refusal = byKey ?? refusalAmong(this.#scopes(), cost, this.#facts.now)
    if (!refusal) return undefined
    if (refusal.never) return { kind: 'fails', error: errorToJson(neverStarts(cost, refusal.rule), 'none') }
    return byKey ? { kind: 'keyWaits', refusal } : { kind: 'queueWaits', refusal, cost }
  }
  #scopes(): readonly Scope[] {
    if (this.#named.length === 0) return this.#ofQueue
    const { queueId } = this.#queue
    return [...this.#ofQueue, ...this.#named.map(rule => scopeOf(rule, queueId, this.#facts.now))]
  }
  #refusalOfKey(key: string | undefined, ofKey: Key | undefined, cost: Cost | undefined): Refusal | undefined {
    const { now } = this.#facts
    if (ofKey) return refusalOf(ofKey, cost, now)
    const heldUntil = key === undefined ? undefined : this.#heldKeys?.get(key)
    return heldUntil === undefined ? undefined : refusalOf({ ...unlimited, heldUntil }, cost, now)
  }
  /** Charges the limits of a job that may start. */
  charge(cost: Cost | undefined, ofKey?: Key): Charges {
    const { now, isRated, graceMs } = this.#facts
    if (!isRated) return noCharges
    const queue = this.#queue
    const grant = this.#store.rateToChange(queue).grant(cost, now, graceMs)
    const keyStart = (ofKey && this.#store.rateToCharge(queue, ofKey, now)?.grant(cost, now, graceMs)) ?? 0
    if (this.#named.length === 0) return { grant, keyStart, ruleStarts: [] }
    this.#store.rulesToCharge(this.#named)
    return { grant, keyStart, ruleStarts: chargeRules(this.#named, queue.queueId, cost, now, graceMs) }
  }
}

/** As one value that the queue hands back. */
export function grantOfCharges(key: string | null | undefined, { grant, keyStart, ruleStarts }: Charges): Grant {
  return grantOf(grant, [...startOfKey(key, keyStart), ...ruleStarts])
}
