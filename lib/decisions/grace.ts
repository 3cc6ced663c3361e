/**
 * How long a grant counts before its launch is known. A job that is not launched within its grace goes back.
 *
 * The grace is short, because an unused grant keeps others from starting. If grants arrive too late at their queue,
 * because of a slow disk, a short window or a busy loop, the store lengthens the grace by a factor. Otherwise no job
 * would ever start.
 */
import type { RateRule } from '../rate/rules.ts'

const maxMs = 250
/** A fraction of the shortest window. */
const shareOfWindow = 1 / 20
/** The longest grace, including the factor. */
const maxLongerMs = 5_000
const launchedInTime = 0.98

type Windows = readonly Pick<RateRule, 'perMs'>[]

/**
 * @param errorMs The possible error of the requesting process's clock. Its request, and its launch too, may be late by
 * that.
 */
export function graceMs(rules: Windows, factor = 1, errorMs = 0): number {
  let ms = maxMs
  for (const { perMs } of rules) ms = Math.min(ms, perMs * shareOfWindow)
  return Math.min(ms * factor, maxLongerMs) + 2 * errorMs
}

/** Whether a job that goes back was too late. A start that is not remembered any more was granted a window ago. */
export function isLate(countsAt: number | undefined, now: number): boolean {
  return countsAt === undefined || countsAt <= now
}

/** The factor once a job has come back because its grace was over. */
export function factorAfterReturn(factor: number, rules: Windows): number {
  return graceMs(rules, factor) < maxLongerMs ? factor * 2 : factor
}

/** The factor once a job was launched in time. */
export function factorAfterLaunch(factor: number): number {
  return Math.max(factor * launchedInTime, 1)
}
