/** The charge of a claim for a job, as one value that the queue hands back. */
import type { FurtherStart, Grant } from '../backlog.ts'

const none: readonly FurtherStart[] = []

/** Most jobs count for the rate of their queue alone: then the grant is a number. */
export function grantOf(start: number, further: readonly FurtherStart[]): Grant {
  return further.length > 0 ? { start, further } : start
}
/** The start in the rate of the queue; 0: none. */
export function startOf(grant: Grant): number {
  return typeof grant === 'number' ? grant : grant.start
}
/** The starts in other rates. */
export function furtherOf(grant: Grant): readonly FurtherStart[] {
  return typeof grant === 'number' ? none : grant.further
}
/** The start of a key, as a list; an empty one if the key has no rate. */
export function startOfKey(name: string | null | undefined, start: number): readonly FurtherStart[] {
  return start > 0 && typeof name === 'string' ? [{ of: 'key', name, start }] : none
}
/**
 * The starts of which a `Throttled` says that the far end has refused them: all that were charged, because any of these
 * limits may have been the one; or if the handler names a key, a rule or both, the starts of these alone.
 */
export function refusedStarts(grant: Grant, heldKey: string | undefined, heldRule: string | undefined): Grant {
  if (heldKey === undefined && heldRule === undefined) return grant
  const named = furtherOf(grant).filter(({ of, name }) => name === (of === 'key' ? heldKey : heldRule))
  return grantOf(0, named)
}
