/**
 * What the abort of a signal does to the jobs that were put with it: each is cancelled where it is by then.
 *
 * One signal may be that of very many jobs, so they are cancelled a slice at a time. Nothing starts meanwhile that should
 * not: a launch looks at the job's signal itself (dispatch/dispatch.ts).
 */

import type { Dispatch } from '../dispatch/dispatch.ts'
import type { CancelledError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Intake } from '../put/intake.ts'
import { cancelledBy, Signals } from '../support/signals.ts'
import type { Commands } from './commands.ts'

/** Jobs that are cancelled by one question to the backlog, at most. */
const maxTogether = 128

export interface AbortsParts {
  readonly intake: Intake
  readonly commands: Commands
  readonly dispatch: Dispatch
}

/** The job has ended: put anew, it is no concern of the signal any more. */
export function forgetSignal({ live }: JobRecord): void {
  if (!live) return
  live.unlisten?.()
  live.signal = undefined
}

interface Aborted {
  readonly signal: AbortSignal
  readonly records: Set<JobRecord>
  readonly error: CancelledError
}

export class Aborts {
  readonly #parts: AbortsParts
  readonly #signals: Signals<JobRecord> = new Signals((signal, records) => this.#add(records, signal), true)
  readonly #due: Aborted[] = []
  #busy = false

  constructor(parts: AbortsParts) {
    this.#parts = parts
  }
  /** From now on the abort of `signal` cancels the job, wherever it is, until that has ended. */
  listen(record: JobRecord, signal: AbortSignal): void {
    const live = record.ensureLive()
    const forget = this.#signals.listen(signal, record)
    live.signal = signal
    live.unlisten = () => {
      forget()
      live.signal = undefined
    }
  }
  /** No longer on its way to the backlog, where a signal that aborted meanwhile found it nowhere. */
  arrived(record: JobRecord): void {
    const signal = record.live?.signal
    if (!signal?.aborted) return
    // Most often with many others, which are cancelled together.
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
        // One that is on its way to the backlog is looked at when it is accepted.
        if (!intake.withdraw(record, error) && record.seq > 0) accepted.push(record)
        if (accepted.length >= maxTogether) {
          await commands.cancelAll(accepted, error)
          accepted = []
        }
        if (dispatch.yieldPoint.step()) await dispatch.yieldPoint.take()
      }
      if (accepted.length > 0) await commands.cancelAll(accepted, error)
      // What waits for room behind those that were withdrawn may fit where it did not.
      intake.roomAgain()
    }
    this.#busy = false
  }
}
