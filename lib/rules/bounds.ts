/** Bounds on the work of one turn, so that none takes long. */

/** The most jobs that one turn claims. */
export const maxClaimed = 1_000
/** The most ended jobs, besides as many as end in it, and the most remembered ids that one turn forgets. */
export const maxPruned = 100
/** The most jobs that one claim passes over: jobs that end, or whose keys are held up. */
export const maxPassed = 1_000
