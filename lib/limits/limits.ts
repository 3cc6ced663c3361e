/** All kinds of limits, in the order in which they are named as the reason if several refuse for equally long. */
import type { Cost } from '../rate/rules.ts'
import { holdLimit } from './hold.ts'
import type { Refusal, Scope } from './limit.ts'
import { pauseLimit } from './pause.ts'
import { rateLimit } from './rate-limit.ts'
import { turnLimit } from './turn.ts'
import { widthLimit } from './width.ts'

/**
 * The refusal that lasts longest; undefined if the job may start. A job that can never start is refused as such, however
 * long another limit lasts.
 *
 * The limits are called one by one, and not in a loop, so that they can be inlined: a claim with keys asks them for each
 * job.
 */
export function refusalOf(scope: Scope, cost: Cost | undefined, now: number): Refusal | undefined {
  let longest = pauseLimit.refuses(scope, cost, now)
  longest = longer(longest, widthLimit.refuses(scope, cost, now))
  longest = longer(longest, holdLimit.refuses(scope, cost, now))
  longest = longer(longest, rateLimit.refuses(scope, cost, now))
  longest = longer(longest, turnLimit.refuses(scope, cost, now))
  return longest
}

/** The refusal that lasts longest, of all scopes that a job belongs to. */
export function refusalAmong(scopes: readonly Scope[], cost: Cost | undefined, now: number): Refusal | undefined {
  let longest: Refusal | undefined
  for (const scope of scopes) longest = longer(longest, refusalOf(scope, cost, now))
  return longest
}

/** Of two that last equally long, the first. */
function longer(first: Refusal | undefined, second: Refusal | undefined): Refusal | undefined {
  if (first === undefined || second === undefined) return first ?? second
  if (first.never) return first
  return second.never || second.until > first.until ? second : first
}
