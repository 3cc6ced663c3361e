/** The reasons for refusing a put. Every backlog checks a whole batch before it stores any of it. */
import { CostError, IdConflictError, QueueFullError } from '../errors.ts'
import type { Rate } from '../rate/rate.ts'
import { type Cost, type RateRule, refuseUnknownUnits } from '../rate/rules.ts'
import { amountOf } from '../rate/start-log.ts'
import { impossible } from '../rate/window.ts'

/** A given id stands for one payload. A stored job without a fingerprint has a generated id, which no put repeats. */
export function refuseOtherPayload(id: string, fingerprint: string, stored: string | null | undefined): void {
  if (typeof stored === 'string' && stored !== fingerprint) throw new IdConflictError(id)
}

/** The state of a given id in a backlog. */
export interface IdLookup<Known> {
  /** An earlier job of the same put. */
  inPut(id: string): Known | undefined
  /** A job that waits, runs or is kept. */
  kept(id: string): Known | undefined
  /** An ended job that is forgotten, whose id is remembered. */
  remembered(id: string): Known | undefined
  fingerprintOf(known: Known): string | null | undefined
}
/** The job for which a given id stands already; undefined if it is new. Refuses another payload. */
export function jobOfId<Known>(id: string, fingerprint: string, lookup: IdLookup<Known>): Known | undefined {
  const known = lookup.inPut(id) ?? lookup.kept(id) ?? lookup.remembered(id)
  if (known !== undefined) refuseOtherPayload(id, fingerprint, lookup.fingerprintOf(known))
  return known
}

/**
 * For a new job: its cost must be in units that rules count, and fit into each limit.
 *
 * @param further Other rules that are in force for the job: those of its key, and those that its queue shares by name.
 * @param ofKeys The rules for keys in general. Jobs to which they do not apply may name their units too, because one
 * `cost` serves all jobs of a queue.
 */
export function refuseCost(
  cost: Cost | undefined,
  rate: Rate,
  further: readonly RateRule[] = noRules,
  ofKeys: readonly RateRule[] = noRules,
): void {
  if (cost === undefined) return
  refuseUnknownUnits('cost', cost, [...rate.rules, ...further, ...ofKeys])
  const never = rate.impossible(cost) ?? impossible(further, cost)
  if (never) throw new CostError(never.unit, never.cost, never.limit)
}
const noRules: readonly RateRule[] = []

/** The error of a job that this rule never lets start, because its limit was lowered below the job's cost. */
export function neverStarts(cost: Cost | undefined, rule: RateRule | undefined): CostError {
  const { unit, limit = 0 } = rule ?? {}
  return unit === undefined ? new CostError('starts', 1, limit) : new CostError(unit, amountOf(cost, unit), limit)
}

/** @param fresh How many of the jobs are new; the others exist already and take no space. */
export function refuseOverfull(fresh: number, size: number, waiting: number): void {
  if (fresh > 0 && waiting + fresh > size) throw new QueueFullError(fresh, size, waiting)
}
