/** All kinds of limits, in the order in which they are named as the reason if several refuse for equally long. */
import type { Cost } from '../rate/rules.ts'
import { holdLimit } from './hold.ts'
import type { Limit, Refusal, Scope } from './limit.ts'
import { pauseLimit } from './pause.ts'
import { rateLimit } from './rate-limit.ts'
import { turnLimit } from './turn.ts'
import { widthLimit } from './width.ts'

export const limits: readonly Limit[] = [pauseLimit, widthLimit, holdLimit, rateLimit, turnLimit]

/**
 * The refusal that lasts longest; undefined if the job may start. A job that can never start is refused as such, however
 * long another limit lasts.
 */
export function refusalOf(scope: Scope, cost: Cost | undefined, now: number): Refusal | undefined {
  let longest: Refusal | undefined
  for (const limit of limits) {
    const refusal = limit.refuses(scope, cost, now)
    if (!refusal) continue
    if (refusal.never) return refusal
    if (longest === undefined || refusal.until > longest.until) longest = refusal
  }
  return longest
}

/** The refusal that lasts longest, of all scopes that a job belongs to. */
export function refusalAmong(scopes: readonly Scope[], cost: Cost | undefined, now: number): Refusal | undefined {
  let longest: Refusal | undefined
  for (const scope of scopes) {
    const refusal = refusalOf(scope, cost, now)
    if (refusal?.never) return refusal
    if (refusal && (longest === undefined || refusal.until > longest.until)) longest = refusal
  }
  return longest
}
