/**
 * Reports running bodies to a durable backlog: a crash of the process counts only against jobs whose launch was
 * reported.
 *
 * A launch is reported once its body has run for a while, so that short jobs cost nothing. Some jobs must be reported
 * before their body begins: {@link LaunchReports.reportFirst} holds these back until the backlog has stored the report.
 */
import type { Exchange } from '../backlog.ts'
import type { Clock, Timer } from '../clock.ts'
import type { JobRecord } from '../job.ts'
import { reported, seenRunning } from '../run/launch-report-state.ts'
import type { Run } from '../run/run.ts'

/** How often running bodies are checked. A body that was running at the previous check is reported. */
const checkIntervalMs = 50

/** The loop, as the launcher and its reports use it. */
export interface Wakeable {
  /** There is something to report, or a slot is free. */
  wake(): void
}
/** The runs of a queue, with those that wait for their reports. */
export interface ReportedRuns {
  readonly runs: Iterable<Run>
  /** The report of a waiting run is stored, or its job has ended meanwhile: the run may be launched. */
  queueLaunch(run: Run): void
}

/** One entry of a report. `run` is the run that waits for the reply, if any. */
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
  readonly #clock: Clock
  readonly #loop: Wakeable
  readonly #launcher: ReportedRuns
  readonly #due: Run[] = []
  readonly #awaitingReport = new Set<Run>()
  #timer: Timer | undefined

  constructor(clock: Clock, loop: Wakeable, launcher: ReportedRuns) {
    this.#clock = clock
    this.#loop = loop
    this.#launcher = launcher
  }
  /** A body was called and still runs. */
  watch(): void {
    this.#timer ??= this.#checkLater()
  }
  /** The same for a body whose exchange is sent at once for another reason. */
  report(run: Run): void {
    run.launchReport = reported
    this.#due.push(run)
  }
  /** Holds the run back until its launch is stored. */
  reportFirst(run: Run): void {
    this.#awaitingReport.add(run)
    this.report(run)
    this.#loop.wake()
  }
  /** Revokes the grants of runs that are held back. */
  revoke(): void {
    for (const run of this.#awaitingReport) run.graceUntil = -Infinity
  }
  /** Adds the launches to be reported to the exchange that is about to be sent. */
  moveInto(reports: Exchange['launchReports'][number][]): void {
    if (this.#due.length === 0) return
    for (const run of this.#due) {
      const isAwaited = this.#awaitingReport.has(run)
      // A run that has settled needs no report, because its settle is in this exchange or an earlier one.
      if (isAwaited || !run.settled) reports.push(new LaunchReport(run, isAwaited ? run : undefined))
    }
    this.#due.length = 0
  }
  /** The exchange is stored. */
  stored(reports: Exchange['launchReports']): void {
    for (const one of reports) {
      const run = (one as LaunchReport).run
      if (run && this.#awaitingReport.delete(run)) this.#launcher.queueLaunch(run)
    }
  }
  /** The report will not be stored. Returns whether a run was held back for it; that run's job goes back instead. */
  refused(one: Exchange['launchReports'][number]): boolean {
    const { run } = one as LaunchReport
    if (!run || !this.#awaitingReport.has(run)) return false
    run.graceUntil = -Infinity
    this.stored([one])
    return true
  }
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
  #checkLater(): Timer {
    const timer = this.#clock.at(this.#clock.now() + checkIntervalMs, this.#check)
    timer.unref()
    return timer
  }
  readonly #check = (): void => {
    let remain = false
    for (const run of this.#launcher.runs) {
      if (!run.launched || run.settled || run.launchReport === reported) continue
      if (run.launchReport === seenRunning) this.report(run)
      else {
        run.launchReport = seenRunning
        remain = true
      }
    }
    this.#timer = remain ? this.#checkLater() : undefined
    if (this.#due.length > 0) this.#loop.wake()
  }
}
