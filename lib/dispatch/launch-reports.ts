/**
 * Reports to a durable backlog which bodies run: a crash of the process counts only against jobs whose launch was reported.
 *
 * A launch is reported once its body has run for a while, so that short jobs cost nothing. Some jobs must be reported before
 * their body begins: {@link LaunchReports.reportFirst} holds these back until the backlog has stored the report.
 */
import type { Exchange } from '../backlog.ts'
import type { Clock, Timer } from '../clock.ts'
import type { JobRecord } from '../job.ts'
import type { Run } from '../run/run.ts'

/** How often running bodies are looked at. A body that was running at the look before is reported. */
const lookMs = 50

/** What a backlog asks for the launch of a job: nothing, a report before its body begins, or that no other body runs beside it. */
export const noCaution = 0
export const reportedFirst = 1
export const launchAlone = 2
export type Caution = typeof noCaution | typeof reportedFirst | typeof launchAlone

/** How far the report of a launch has come. */
export const unreported = 0
export const seenRunning = 1
export const reported = 2
export type Report = typeof unreported | typeof seenRunning | typeof reported

export interface LaunchReportsParts {
  readonly clock: Clock
  readonly runs: Iterable<Run>
  /** Something is to be reported. */
  wake(): void
  /** The report of a run that was held back is stored, or its job has ended meanwhile. */
  ready(run: Run): void
}

/** One entry of a report. `run` is the one that waits for the reply, if any does. */
class LaunchReport {
  readonly record: JobRecord
  readonly fence: number
  readonly run: Run | undefined
  constructor({ record, fence }: Run, run: Run | undefined) {
    this.record = record
    this.fence = fence
    this.run = run
  }
  get first(): boolean {
    return this.run !== undefined
  }
}

export class LaunchReports {
  readonly #parts: LaunchReportsParts
  readonly #due: Run[] = []
  readonly #heldBack = new Set<Run>()
  #timer: Timer | undefined

  constructor(parts: LaunchReportsParts) {
    this.#parts = parts
  }
  /** A body was called and goes on. */
  watch(): void {
    this.#timer ??= this.#lookLater()
  }
  /** The same of one whose exchange sets out at once for another reason. */
  report(run: Run): void {
    run.report = reported
    this.#due.push(run)
  }
  /** Holds the run back until its launch is stored. */
  reportFirst(run: Run): void {
    this.#heldBack.add(run)
    this.report(run)
    this.#parts.wake()
  }
  /** What was granted to runs that are held back is not theirs any more. */
  revoke(): void {
    for (const run of this.#heldBack) run.graceUntil = -Infinity
  }
  /** Adds what is to be reported to the exchange that sets out. */
  moveInto(begun: Exchange['launchReports'][number][]): void {
    if (this.#due.length === 0) return
    for (const run of this.#due) {
      const isHeldBack = this.#heldBack.has(run)
      // A run that has settled needs no report: it settles in this exchange, or did in one before.
      if (isHeldBack || !run.settled) begun.push(new LaunchReport(run, isHeldBack ? run : undefined))
    }
    this.#due.length = 0
  }
  /** The exchange is stored. */
  stored(begun: Exchange['launchReports']): void {
    for (const one of begun) {
      const run = (one as LaunchReport).run
      if (run && this.#heldBack.delete(run)) this.#parts.ready(run)
    }
  }
  /** It will not be stored. Answers whether a run was held back for it: that one goes back instead of beginning. */
  refused(one: Exchange['launchReports'][number]): boolean {
    const { run } = one as LaunchReport
    if (!run || !this.#heldBack.has(run)) return false
    run.graceUntil = -Infinity
    this.stored([one])
    return true
  }
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
  #lookLater(): Timer {
    const { clock } = this.#parts
    const timer = clock.at(clock.now() + lookMs, this.#look)
    timer.unref()
    return timer
  }
  readonly #look = (): void => {
    let again = false
    for (const run of this.#parts.runs) {
      if (!run.launched || run.settled || run.report === reported) continue
      if (run.report === seenRunning) this.report(run)
      else {
        run.report = seenRunning
        again = true
      }
    }
    this.#timer = again ? this.#lookLater() : undefined
    if (this.#due.length > 0) this.#parts.wake()
  }
}
