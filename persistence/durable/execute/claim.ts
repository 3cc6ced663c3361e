/**
 * The order of a claim where there are suspects, in this queue or in another one of the process.
 *
 * `suspect-line.ts` decides what is claimed. This file gets the facts from the store, and has it claim in that order.
 */
import { aloneFrom, type Claimant, precedence, type Standing, type SuspectLine } from '../suspect-line.ts'

export interface ClaimStore<Suspect extends Standing> {
  readonly line: SuspectLine
  readonly claimant: Claimant
  /** How many jobs may still be claimed: no more than the room, and none once the rate blocks. */
  room(): number
  pending(): number
  /** Whether the queue would start jobs if it had room. */
  readonly mayLaunch: boolean
  readonly crashLimit: number
  /** Since when the oldest suspect with at least as many crashes waits. */
  waitsSince(crashes: number): number | undefined
  /** The first suspect that may start now, and whose number of crashes is in this range. */
  first(crashes: number, below: number): Suspect | undefined
  /** Whether the suspect comes before all other jobs, by priority and seq. */
  isBefore(suspect: Suspect): boolean
  claimSuspect(suspect: Suspect, alone: boolean): void
  /** Claims jobs that are no suspects. */
  claimOthers(): void
}

/** Returns the next look because of a suspect that holds up waiting jobs. */
export function claimAmongSuspects<Suspect extends Standing>(store: ClaimStore<Suspect>): number {
  const { line, claimant, mayLaunch } = store
  const { queue, now, running } = claimant
  const limit = aloneFrom(store.crashLimit)
  const isEmpty = store.pending() === 0
  const takes = store.room() > 0 && !isEmpty
  // The job that was to run alone was cancelled, say, or runs elsewhere.
  const isGone = (): boolean => line.waitsAlone(queue) && store.waitsSince(limit) === undefined
  if (!mayLaunch || isEmpty || (!takes && isGone())) line.leaves(queue)
  if (!takes) {
    line.passes(claimant)
    return Infinity
  }
  if (running?.alone) return line.nextLook(now)
  const lone = store.first(limit, Infinity)
  const first = store.first(1, limit)
  const plan = line.plan(claimant, { aloneSince: lone && store.waitsSince(limit), first })
  if (lone && plan.claims === 'alone') store.claimSuspect(lone, true)
  if (plan.claims !== 'others') return plan.nextLookAt
  const suspect = plan.withFirst ? first : undefined
  const order = suspect && precedence(suspect, now)
  const goesFirst = suspect && (order === 'first' || (order === 'inOrder' && store.isBefore(suspect)))
  if (suspect && goesFirst) store.claimSuspect(suspect, false)
  if (store.room() > 0) store.claimOthers()
  if (suspect && !goesFirst && store.room() > 0) store.claimSuspect(suspect, false)
  return plan.nextLookAt
}
