/** With which caution a run is launched, and how far the report of its launch has got. */

/**
 * The caution that a backlog requires for a launch: none, a report before the body begins, or that no other body runs
 * beside it.
 */
export const noCaution = 0
export const reportedFirst = 1
export const launchAlone = 2
export type Caution = typeof noCaution | typeof reportedFirst | typeof launchAlone

/** The progress of a launch's report. */
export const unreported = 0
export const seenRunning = 1
export const reported = 2
export type Report = typeof unreported | typeof seenRunning | typeof reported
