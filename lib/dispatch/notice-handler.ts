/**
 * Handles notices of a shared backlog: jobs of a process that died, jobs that await a verdict, lost runs, and requests
 * of another process to cancel runs. In memory there are only such requests, from another queue object.
 */

import type { Notices } from '../backlog.ts'
import type { JobRecord } from '../job.ts'
import { CrashVerdicts, type CrashVerdictsParts } from './crash-verdicts.ts'
import type { NoticeListener } from './dispatch.ts'

export type NoticeHandlerParts = CrashVerdictsParts

export class NoticeHandler implements NoticeListener {
  readonly #parts: NoticeHandlerParts
  readonly #verdicts: CrashVerdicts

  constructor(parts: NoticeHandlerParts) {
    this.#parts = parts
    this.#verdicts = new CrashVerdicts(parts)
  }
  take({ lostRuns, recovered, endedByRecovery, needVerdict, cancelRequests }: Notices): void {
    const { announcer } = this.#parts
    for (const record of lostRuns) this.#loseRun(record)
    for (const record of recovered) {
      announcer.emit('recovered', record)
      if (endedByRecovery.includes(record)) announcer.ended(record)
    }
    for (const record of needVerdict) {
      announcer.emit('recovered', record)
      void this.#verdicts.request(record, 'process')
    }
    if (cancelRequests.length > 0) void this.#cancel(cancelRequests)
  }
  requestVerdict(record: JobRecord): void {
    this.#parts.announcer.emit('recovered', record)
    void this.#verdicts.request(record, 'isolate')
  }
  /** A slice at a time, because each cancel calls the listeners of its body's signal. */
  async #cancel(cancels: Notices['cancelRequests']): Promise<void> {
    const { yieldPoint, launcher } = this.#parts.dispatch
    for (const { record, reason } of cancels) {
      launcher.runs.of(record)?.cancel(reason)
      if (yieldPoint.shouldYield()) await yieldPoint.nextTurn()
    }
  }
  #loseRun(record: JobRecord): void {
    const { dispatch, announcer } = this.#parts
    // A caller that awaits the result waits for the run that counts: the backlog reports when the job has ended.
    if (dispatch.launcher.runs.lose(record)) announcer.emit('lost', record)
  }
}
