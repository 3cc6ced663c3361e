/**
 * Bounds on the work of one turn, so that none takes long, and the interval of the checks for what no event announces.
 */

/** The most jobs that one turn claims. */
export const maxClaimed = 1_000
/** The most ended jobs, besides as many as end in it, and the most remembered ids that one turn forgets. */
export const maxPruned = 100
/** A wall clock may jump, so waiting jobs are checked at least this often. */
export const wallLookMs = 60_000
