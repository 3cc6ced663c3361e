/** A claim from its beginning to its reply: how much it may take, and what it has taken so far. */
import type { Grant } from '../../../lib/backlog.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import type { Demand } from '../../../lib/limits/named-rules.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import { cautionOf } from '../../../lib/rules/crash-outcome.ts'
import { grantOf, startOfKey } from '../../../lib/rules/grants.ts'
import type { Claimed } from '../../durable/execute/exchange.ts'
import type { JobRow, JobRowExtras, Sparse } from '../../durable/store.ts'
import { extrasOf, type JobRows } from '../tables/job.ts'
import type { Start } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import { hasLastRun, launchUnknown } from '../tables/schema.ts'
import type { Row } from './claim-row.ts'

/** What a claim is for. */
export interface ClaimFacts {
  readonly queue: QueueRow
  /** The number of the exchange. */
  readonly exchange: number
  readonly now: number
  /** How many jobs it takes at most. */
  readonly most: number
  /** Whether a rule may refuse a job. If none may, nothing is charged. */
  readonly isRated: boolean
  /** How long a start counts at most before its launch is known. */
  readonly graceMs: number
  readonly jobRows: JobRows
  /** Receives the jobs that can never start, and so end. */
  readonly endedUnrun: JobRow[]
}

export class OpenClaim {
  readonly facts: ClaimFacts
  readonly #seqs: number[] = []
  readonly #ids: string[] = []
  readonly #payloads: string[] = []
  readonly #priorities: number[] = []
  readonly #attempts: number[] = []
  readonly #fences: number[] = []
  readonly #queuedAt: number[] = []
  readonly #more: (readonly [number, JobRowExtras])[] = []
  readonly #grants: Grant[] | undefined
  /** A limit of the queue, which ends the claim; or the key that may start a job first. */
  blocked: (Refusal & { readonly key?: string }) | undefined
  /** The job that a limit of the queue refused. */
  demand: Demand | undefined
  /** More jobs can be claimed at once. */
  isPartial = false
  /** When to look again because a suspect holds up waiting jobs. */
  nextLookAt: number = Infinity

  constructor(facts: ClaimFacts) {
    this.facts = facts
    this.#grants = facts.isRated ? [] : undefined
  }
  get taken(): number {
    return this.#seqs.length
  }
  /** How many jobs may still be taken. */
  get room(): number {
    return this.blocked ? 0 : this.facts.most - this.taken
  }
  /** A limit of the queue refuses that job, so no other one is claimed. */
  waits({ refusal, cost }: { readonly refusal: Refusal; readonly cost: Cost | undefined }): void {
    const { most, queue } = this.facts
    this.blocked = refusal
    this.demand = { cost, wants: Math.min(most - this.taken, queue.counts.pending) }
  }
  /** Adds a job that starts to the reply. */
  add(row: Omit<Row, 'isJson'>, { seq, attempt, fence, alone, grant, key, keyStart, ruleStarts }: Start): void {
    const more = this.#moreOf(row, alone)
    if (more) this.#more.push([this.#seqs.length, more])
    this.#grants?.push(grantOf(grant, [...startOfKey(key, keyStart), ...ruleStarts]))
    this.#seqs.push(seq)
    this.#ids.push(row.id as string)
    this.#payloads.push(row.payload)
    this.#priorities.push(row.priority)
    this.#attempts.push(attempt)
    this.#fences.push(fence)
    this.#queuedAt.push(row.queuedAt)
  }
  /** What most jobs do not have. */
  #moreOf(row: Omit<Row, 'isJson'>, alone: boolean): JobRowExtras | undefined {
    const { seq, key, more, fingerprint, crashes, flags } = row
    const ran = (flags & hasLastRun) !== 0
    const launchUnreported = (flags & launchUnknown) !== 0
    const isPlain = key === null && more === null && fingerprint === null && crashes === 0
    if (isPlain && !ran && !launchUnreported) return undefined
    const facts: { -readonly [K in keyof JobRowExtras]: JobRowExtras[K] } = { ...extrasOf(row) }
    if (key !== null) facts.key = key
    if (fingerprint !== null) facts.fingerprint = fingerprint
    if (ran) {
      const [, , error, checkpoint] = this.facts.jobRows.lastRunOf(seq)
      if (error !== null) facts.error = error
      if (checkpoint !== null) facts.checkpoint = checkpoint
    }
    if (crashes > 0) facts.crashes = crashes
    const caution = cautionOf({ crashes, launchUnreported, alone })
    if (caution !== undefined) facts.caution = caution
    return facts
  }
  /** @param countedUntil Until when the starts count at least, if no launch is reported. */
  reply(countedUntil: number): Claimed {
    const claimed = {
      ...{ seqs: this.#seqs, ids: this.#ids, payloads: this.#payloads, priorities: this.#priorities },
      ...{ attempts: this.#attempts, fences: this.#fences, queuedAt: this.#queuedAt },
      more: this.#more as Sparse<JobRowExtras>,
    }
    const { blocked, demand, isPartial, nextLookAt } = this
    return { claimed, grants: this.#grants, graceUntil: countedUntil, blocked, demand, isPartial, nextLookAt }
  }
}
