/** The progress of a launch's report. */
export const unreported = 0
export const seenRunning = 1
export const reported = 2
export type ReportProgress = typeof unreported | typeof seenRunning | typeof reported
