/** The columns of a claim, as it grows. */
import type { Grant } from '../../../lib/backlog.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { Claimed } from '../../durable/execute/turn.ts'
import type { JobRowExtras, Sparse } from '../../durable/store.ts'

export interface ClaimColumns {
  readonly seqs: number[]
  readonly ids: string[]
  readonly payloads: string[]
  readonly priorities: number[]
  readonly attempts: number[]
  readonly fences: number[]
  readonly queuedAt: number[]
  readonly more: (readonly [number, JobRowExtras])[]
  readonly grants: Grant[] | undefined
  readonly graceMs: number
  limited: { readonly rule: RateRule | undefined; readonly key?: string; readonly until: number } | undefined
  /** More jobs can be claimed at once. */
  isPartial: boolean
  /** When to look again because a suspect holds up waiting jobs. */
  lookAt: number
}

/** @param isLimited Whether a rule of the queue or of a key may apply. */
export function emptyClaim(isLimited: boolean, graceMs: number): ClaimColumns {
  const columns = { seqs: [], ids: [], payloads: [], priorities: [], attempts: [], fences: [], queuedAt: [], more: [] }
  return {
    ...columns,
    grants: isLimited ? [] : undefined,
    graceMs,
    limited: undefined,
    isPartial: false,
    lookAt: Infinity,
  }
}
/** The claim as the reply needs it. */
export function claimedOf(columns: ClaimColumns, graceUntil: number): Claimed {
  const { seqs, ids, payloads, priorities, attempts, fences, queuedAt } = columns
  const { grants, limited, isPartial, lookAt } = columns
  const more = columns.more as Sparse<JobRowExtras>
  const claimed = { seqs, ids, payloads, priorities, attempts, fences, queuedAt, more }
  return { claimed, grants, graceUntil, blocked: limited, isPartial, lookAt }
}
