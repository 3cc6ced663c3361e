/** When a waiting job may start: at once, at an instant of the steady clock, or at one of the wall clock. */
import type { DueTime } from '../backlog.ts'

/** A wall clock may jump, so jobs that wait for an instant of it are checked at least this often. */
export const wallLookMs = 60_000

export interface Due {
  readonly clock: 'steady' | 'wall'
  readonly at: number
}

/** Undefined means at once. For a job with a `runAt` only the wall clock counts. */
export function dueOf(
  { dueAt, runAt }: { readonly dueAt?: number | undefined; readonly runAt?: number | undefined },
  now: number,
  wall: number,
): Due | undefined {
  if (runAt !== undefined) return runAt > wall ? { clock: 'wall', at: runAt } : undefined
  return dueAt !== undefined && dueAt > now ? { clock: 'steady', at: dueAt } : undefined
}

/** When to look whether a job has come due. */
export function dueCheckAt(due: Due, now: number, wall: number): number {
  return due.clock === 'wall' ? now + Math.min(due.at - wall, wallLookMs) : due.at
}

/** When a job may start that a command reschedules. */
export function dueOfCommand({ waitMs = 0, runAt }: DueTime, now: number, wall: number): Due | undefined {
  return dueOf({ dueAt: now + waitMs, runAt }, now, wall)
}
