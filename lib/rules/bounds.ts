/** How much one turn does at most, so that none takes long, and how often it looks at what no event announces. */

/** Jobs that one turn claims. */
export const maxClaimed = 1_000
/** Ended jobs that one turn forgets, besides as many as end in it; and remembered ids. */
export const maxPruned = 100
/** A wall clock may jump, so jobs that wait for it are looked at this often at least. */
export const wallLookMs = 60_000
