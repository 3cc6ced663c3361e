/**
 * The global width: how many jobs of a name may be underway in all processes together. A body that goes on after its job
 * has ended counts until it ends.
 *
 * It is the limit of width (width.ts) for the name as a scope. The answer is the same for all jobs of the name, so a
 * claim asks once, how many slots are free, and not for each job.
 */

/** How many more bodies may run. None if the width was lowered below those that run. */
export function freeSlots(width: number, underway: number): number {
  return Math.max(width - underway, 0)
}
