/** The columns of a claim, as it grows and as it is sent to the queue. */
import type { Rate } from '../../../lib/rate/rate.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { ExchangeReply, JobRowExtras, PlainClaimed, Sparse } from '../../durable/store.ts'

export interface ClaimColumns {
  readonly seqs: number[]
  readonly ids: string[]
  readonly payloads: string[]
  readonly priorities: number[]
  readonly attempts: number[]
  readonly fences: number[]
  readonly queuedAt: number[]
  readonly more: (readonly [number, JobRowExtras])[]
  plain: PlainClaimed | undefined
  readonly grants: number[] | undefined
  readonly graceMs: number
  blocked: { readonly rule: RateRule | undefined; readonly until: number } | undefined
  /** More jobs can be claimed at once. */
  isPartial: boolean
  /** When to look again because a suspect holds up waiting jobs. */
  lookAt: number
}

export function emptyClaim(rate: Rate, graceMs: number): ClaimColumns {
  const columns = { seqs: [], ids: [], payloads: [], priorities: [], attempts: [], fences: [], queuedAt: [], more: [] }
  return {
    ...columns,
    grants: rate.idle ? undefined : [],
    graceMs,
    plain: undefined,
    blocked: undefined,
    isPartial: false,
    lookAt: Infinity,
  }
}
/** A suspect holds up waiting jobs, at the latest until that instant. */
export function holdUp(out: ClaimColumns, until: number): void {
  out.lookAt = Math.min(out.lookAt, until)
}

/** The columns as sent to the queue, without those that only the store needs. */
export function claimColumnsOnWire(claimed: ClaimColumns): ExchangeReply['claimed'] {
  const { seqs, ids, payloads, priorities, attempts, fences, queuedAt, plain } = claimed
  const more = claimed.more as Sparse<JobRowExtras>
  return { seqs, ids, payloads, priorities, attempts, fences, queuedAt, more, plain }
}
