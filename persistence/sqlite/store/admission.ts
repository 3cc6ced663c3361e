/**
 * Whether a waiting job may start: the one place where a claim asks the limits (lib/limits/), and the one where it
 * charges them. However a claim chooses its jobs, the same limits apply.
 *
 * All limits are asked before any is charged.
 */
import { type FurtherStart, type Refusal, type Scope, unlimited } from '../../../lib/limits/limit.ts'
import { refusalAmong, refusalOf } from '../../../lib/limits/limits.ts'
import { chargeRules, type NamedRule, scopeOf } from '../../../lib/limits/named-rules.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import { neverStarts } from '../../../lib/rules/puts.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import { extrasOf, unreadable } from '../tables/job.ts'
import type { Start } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { RuleTable } from '../tables/rule.ts'
import type { Row } from './claim-row.ts'
import type { KeyState, KeyTurns } from './key-turns.ts'
import type { OpenClaim } from './open-claim.ts'

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

export interface AdmissionParts {
  readonly rateLog: RateLog
  readonly keyTurns: KeyTurns
  readonly rules: RuleTable
}

/** The admission of one claim. */
export class Admission {
  readonly #queue: QueueRow
  readonly #now: number
  readonly #isRated: boolean
  readonly #graceMs: number
  readonly #parts: AdmissionParts
  /** The scope of the queue, to which every job of it belongs, and the rules that it shares. */
  readonly #ofQueue: readonly Scope[]
  readonly #named: readonly NamedRule[]
  /** Until when keys are held, in a queue that is not sorted by key. */
  readonly #heldKeys: ReadonlyMap<string, number> | undefined

  constructor(
    parts: AdmissionParts,
    { queue, now, isRated, graceMs }: OpenClaim['facts'],
    heldKeys: ReadonlyMap<string, number> | undefined,
  ) {
    this.#parts = parts
    this.#queue = queue
    this.#now = now
    this.#isRated = isRated
    this.#graceMs = graceMs
    this.#heldKeys = heldKeys
    const rate = parts.rateLog.of(queue)
    this.#ofQueue = rate.idle ? [] : [{ ...unlimited, rate }]
    this.#named = parts.rules.of(queue)
  }

  /**
   * Why the job does not start; undefined: it may.
   *
   * @param ofKey Its key, in a queue that is sorted by key.
   */
  obstacle(row: Row, ofKey?: KeyState): Obstacle | undefined {
    return row.id !== null && row.crashes > 0 ? suspect : this.obstacleOfSuspect(row, ofKey)
  }
  /** The same for a job that waits in the line of suspects already. */
  obstacleOfSuspect(row: Row, ofKey?: KeyState): Obstacle | undefined {
    const { id, payload, more, isJson } = row
    if (id === null) return gone
    const problem = isJson ? undefined : unreadable(id, payload, more)
    if (problem) return { kind: 'fails', error: errorToJson(problem, 'none') }
    const { cost } = extrasOf(row)
    const byKey = this.#refusalOfKey(row.key, ofKey, cost)
    const refusal = byKey ?? refusalAmong(this.#scopes(), cost, this.#now)
    if (!refusal) return undefined
    if (refusal.never) return { kind: 'fails', error: errorToJson(neverStarts(cost, refusal.rule), 'none') }
    return byKey ? { kind: 'keyWaits', refusal } : { kind: 'queueWaits', refusal, cost }
  }
  #scopes(): readonly Scope[] {
    if (this.#named.length === 0) return this.#ofQueue
    const { queueId } = this.#queue
    return [...this.#ofQueue, ...this.#named.map(rule => scopeOf(rule, queueId, this.#now))]
  }
  #refusalOfKey(key: string | null, ofKey: KeyState | undefined, cost: Cost | undefined): Refusal | undefined {
    if (ofKey) return refusalOf(ofKey, cost, this.#now)
    const heldUntil = key === null ? undefined : this.#heldKeys?.get(key)
    return heldUntil === undefined ? undefined : refusalOf({ ...unlimited, heldUntil }, cost, this.#now)
  }
  #chargeNamed(cost: Cost | undefined): readonly FurtherStart[] {
    const named = this.#named
    if (named.length === 0) return []
    this.#parts.rules.charging(named)
    return chargeRules(named, this.#queue.queueId, cost, this.#now, this.#graceMs)
  }
  /** Charges the limits of a job that may start. */
  start(row: Row, ofKey?: KeyState, alone = false): Start {
    const { seq, attempt, fence, crashes, flags } = row
    const { rateLog, keyTurns } = this.#parts
    const key = this.#queue.sorted ? row.key : null
    const start = { seq, attempt: attempt + 1, fence: fence + 1, crashes, flags, key, alone }
    if (!this.#isRated) return { ...start, grant: 0, keyStart: 0, ruleStarts: [] }
    const { cost } = extrasOf(row)
    const grant = rateLog.changing(this.#queue).grant(cost, this.#now, this.#graceMs)
    const keyStart = ofKey && key !== null ? keyTurns.charge(ofKey, cost, this.#now, this.#graceMs) : 0
    return { ...start, grant, keyStart, ruleStarts: this.#chargeNamed(cost) }
  }
}

const gone: Obstacle = { kind: 'gone' }
const suspect: Obstacle = { kind: 'suspect' }
