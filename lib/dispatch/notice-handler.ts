/**
 * Handles notices of a shared backlog: jobs of a process that died, jobs that await a verdict, lost runs, and requests
 * of another process to cancel runs. In memory there are only such requests, from another queue object.
 */

import type { Announcer } from '../announce/announcer.ts'
import type { Notices, SettleKind, Settlement } from '../backlog.ts'
import { describe, LeaseLostError, OptionError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { JobRecord } from '../job.ts'
import type { AfterCrash } from '../options/options.ts'
import type { Dispatch, NoticeListener } from './dispatch.ts'

export interface NoticeHandlerParts {
  readonly dispatch: Dispatch
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly afterCrash: AfterCrash<unknown, unknown>
  readonly announcer: Announcer
}

/** An ending that belongs to no run of this process: the verdict on a run that a crash ended. */
class VerdictSettlement implements Settlement {
  readonly grant = 0
  readonly value: undefined
  readonly waitMs = 0
  readonly heldKey: undefined
  readonly within = false
  // The fields that the dispatch reads from runs that it may reuse. This one is not reused.
  readonly bodyEnded = false
  stoppedAt: number | undefined = undefined
  readonly record: JobRecord
  readonly fence: number
  readonly kind: SettleKind
  readonly error: unknown
  constructor(record: JobRecord, kind: SettleKind, error: unknown) {
    this.record = record
    this.fence = record.fence
    this.kind = kind
    this.error = error
  }
}

export class NoticeHandler implements NoticeListener {
  readonly #parts: NoticeHandlerParts

  constructor(parts: NoticeHandlerParts) {
    this.#parts = parts
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
      void this.#askForVerdict(record)
    }
    if (cancelRequests.length > 0) void this.#cancel(cancelRequests)
  }
  /** A slice at a time, because each cancel calls the listeners of its body's signal. */
  async #cancel(cancels: Notices['cancelRequests']): Promise<void> {
    const { yieldPoint, launcher } = this.#parts.dispatch
    for (const { record, reason } of cancels) {
      launcher.runs.of(record)?.cancel(reason)
      if (yieldPoint.step()) await yieldPoint.take()
    }
  }
  #loseRun(record: JobRecord): void {
    const { dispatch, announcer } = this.#parts
    // A caller that awaits the result waits for the run that counts: the backlog reports when the job has ended.
    dispatch.launcher.runs.of(record)?.lose(new LeaseLostError(record.id))
    announcer.emit('lost', record)
  }
  /**
   * Asks `afterCrash` for a verdict on the former run. If the answer is invalid, the job runs again rather than being
   * lost.
   */
  async #askForVerdict(record: JobRecord): Promise<void> {
    const { dispatch, emitter, afterCrash, announcer } = this.#parts
    const job = announcer.jobOf(record)
    const settle = (kind: SettleKind, error?: unknown): void =>
      dispatch.settle(new VerdictSettlement(record, kind, error))
    try {
      const answer = typeof afterCrash === 'function' ? await afterCrash(job) : 'again'
      if (answer === 'again') return settle('snooze')
      if (answer === 'finished') return settle('finished')
      if (answer === 'failed')
        return settle('failed', new Error('the process died while the job ran; afterCrash says it failed'))
      throw new OptionError(
        'afterCrash',
        answer,
        `must answer 'again', 'finished' or 'failed', got ${describe(answer)}`,
      )
    } catch (error) {
      emitter.report(error, { event: 'recovered', job })
      settle('snooze')
    }
  }
}
