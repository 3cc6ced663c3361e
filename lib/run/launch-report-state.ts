/**
 * How far the launch report of a run has come: its launch is unreported, the body was seen running once, or the report
 * was made.
 */
export const unreported = 0
export const seenRunning = 1
export const reported = 2
export type LaunchReportState = typeof unreported | typeof seenRunning | typeof reported
