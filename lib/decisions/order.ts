/** The order of jobs. */
import type { JobState } from '../job.ts'
import { isWaiting } from './command-states.ts'

/** The order of start: by priority, most important first, then by the order of the puts. */
export interface Ordered {
  readonly priority: number
  readonly seq: number
}

export function inOrderOfStart(a: Ordered, b: Ordered): number {
  return a.priority - b.priority || a.seq - b.seq
}

/** The order of a list of jobs in that state: waiting jobs as they start, all others latest first. */
export function listOrder(state: JobState | undefined): (a: Ordered, b: Ordered) => number {
  return state !== undefined && isWaiting(state) ? inOrderOfStart : latestFirst
}
function latestFirst(a: Ordered, b: Ordered): number {
  return b.seq - a.seq
}
