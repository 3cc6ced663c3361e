/**
 * Handles the abort of a signal: cancels each job that was put with it, wherever the job is by then.
 *
 * One signal may belong to very many jobs, so they are cancelled a slice at a time. No such job starts in the meantime,
 * because a launch checks the job's signal itself (`Run.cancelIfAborted`).
 */

import type { Dispatch } from '../dispatch/dispatch.ts'
import type { CancelledError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { JobSignals } from '../put/arrivals.ts'
import type { Intake } from '../put/intake.ts'
import { cancelledBy, Signals } from '../support/signals.ts'
import type { Commands } from './commands.ts'

/** The most jobs that one request to the backlog cancels. */
const maxTogether = 128

export interface AbortsParts {
  readonly intake: Intake
  readonly commands: Commands
  readonly dispatch: Dispatch
}

interface Aborted {
  readonly signal: AbortSignal
  readonly records: Set<JobRecord>
  readonly error: CancelledError
}

export class Aborts implements JobSignals {
  readonly #parts: AbortsParts
  readonly #signals: Signals<JobRecord> = new Signals((signal, records) => this.#add(records, signal), true)
  readonly #due: Aborted[] = []
  #busy = false

  constructor(parts: AbortsParts) {
    this.#parts = parts
  }
  /** From now on the abort of `signal` cancels the job, wherever it is, until the job has ended. */
  listen(record: JobRecord, signal: AbortSignal): void {
    const live = record.ensureLive()
    const forget = this.#signals.listen(signal, record)
    live.signal = signal
    live.unlisten = () => {
      forget()
      live.signal = undefined
    }
  }
  /**
   * The job has reached the backlog. If its signal aborted on the way, the abort did not find the job, so it is
   * cancelled now.
   */
  arrived(record: JobRecord): void {
    const signal = record.live?.signal
    if (!signal?.aborted) return
    // Most often many such jobs arrive together and are cancelled together.
    const last = this.#due[this.#due.length - 1]
    if (last?.signal === signal) last.records.add(record)
    else this.#add(new Set([record]), signal)
  }
  #add(records: Set<JobRecord>, signal: AbortSignal): void {
    this.#due.push({ signal, records, error: cancelledBy(signal) })
    if (!this.#busy) void this.#cancelAll()
  }
  async #cancelAll(): Promise<void> {
    const { intake, commands, dispatch } = this.#parts
    this.#busy = true
    dispatch.yieldPoint.open()
    for (let aborted = this.#due.shift(); aborted; aborted = this.#due.shift()) {
      const { records, error } = aborted
      let accepted: JobRecord[] = []
      for (const record of records) {
        // A job on its way to the backlog is checked when it is accepted.
        if (!intake.withdraw(record, error) && record.seq > 0) accepted.push(record)
        if (accepted.length >= maxTogether) {
          await commands.cancelAll(accepted, error)
          accepted = []
        }
        if (dispatch.yieldPoint.shouldYield()) await dispatch.yieldPoint.nextTurn()
      }
      if (accepted.length > 0) await commands.cancelAll(accepted, error)
      // A put that waited for space behind the withdrawn ones may fit now.
      intake.spaceFreed()
    }
    this.#busy = false
  }
}
