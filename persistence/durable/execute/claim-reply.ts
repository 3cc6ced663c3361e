/** A claim from its beginning to its reply: how much it may take, and what it has taken so far. */
import type { Grant } from '../../../lib/backlog.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import type { Demand } from '../../../lib/limits/named-rules.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import type { JobRow, JobRowExtras } from '../store.ts'
import type { Claimed } from './exchange.ts'

/** The bounds within which a claim charges and takes jobs. */
export interface ClaimFacts {
  readonly now: number
  /** How many jobs it takes at most. */
  readonly most: number
  /** Whether a rule may refuse a job. If none may, nothing is charged. */
  readonly isRated: boolean
  /** How long a start counts at most before its launch is known. */
  readonly graceMs: number
}

/** The optional fields of a claimed job, but for its key, which has a column of its own. */
export type ClaimedExtras = Omit<JobRowExtras, 'key'>

export class ClaimReply<Facts extends ClaimFacts = ClaimFacts> {
  readonly facts: Facts
  readonly #seqs: number[] = []
  readonly #ids: string[] = []
  readonly #payloads: string[] = []
  readonly #priorities: number[] = []
  readonly #attempts: number[] = []
  readonly #fences: number[] = []
  readonly #queuedAt: number[] = []
  readonly #keys: (string | null)[] = []
  readonly #extras: (readonly [number, ClaimedExtras])[] = []
  readonly #grants: Grant[] | undefined
  #hasKeys = false
  /** A limit of the queue, which ends the claim; or the key that may start a job first. */
  blocked: (Refusal & { readonly key?: string }) | undefined
  /** The job that a limit of the queue refused. */
  demand: Demand | undefined
  /** More jobs can be claimed at once. */
  isPartial = false
  /** When to look again because a suspect holds up waiting jobs. */
  nextLookAt: number = Infinity

  constructor(facts: Facts) {
    this.facts = facts
    this.#grants = facts.isRated ? [] : undefined
  }
  get taken(): number {
    return this.#seqs.length
  }
  /**
   * How many jobs may still be taken: 0 as soon as a limit of the queue has refused one, which ends every loop that
   * claims while there is room.
   */
  get room(): number {
    return this.blocked ? 0 : this.facts.most - this.taken
  }
  /** A limit of the queue refuses a job of that cost, so no other one is claimed. `pending`: how many jobs wait. */
  refuse({ refusal, cost }: { readonly refusal: Refusal; readonly cost: Cost | undefined }, pending: number): void {
    this.blocked = refusal
    this.demand = { cost, wants: Math.min(this.facts.most - this.taken, pending) }
  }
  /** Adds a job that starts, with its new attempt and fence, and what it was charged. */
  take(
    { id, payload, priority, queuedAt }: Pick<JobRow, 'id' | 'payload' | 'priority' | 'queuedAt'>,
    { seq, attempt, fence }: Pick<JobRow, 'seq' | 'attempt' | 'fence'>,
    key: string | null,
    extras: ClaimedExtras | undefined,
    grant: Grant,
  ): void {
    this.#grants?.push(grant)
    if (extras) this.#extras.push([this.#seqs.length, extras])
    this.#seqs.push(seq)
    this.#ids.push(id)
    this.#payloads.push(payload)
    this.#priorities.push(priority)
    this.#attempts.push(attempt)
    this.#fences.push(fence)
    this.#queuedAt.push(queuedAt)
    this.#keys.push(key)
    this.#hasKeys ||= key !== null
  }
  /** @param countedUntil Until when the starts count at least, if no launch is reported. */
  reply(countedUntil: number): Claimed {
    const claimed = {
      ...{ seqs: this.#seqs, ids: this.#ids, payloads: this.#payloads, priorities: this.#priorities },
      ...{ attempts: this.#attempts, fences: this.#fences, queuedAt: this.#queuedAt },
      ...{ keys: this.#hasKeys ? this.#keys : undefined, extras: this.#extras },
    }
    const { blocked, demand, isPartial, nextLookAt } = this
    return { claimed, grants: this.#grants, graceUntil: countedUntil, blocked, demand, isPartial, nextLookAt }
  }
}
