/**
 * The signals of jobs that were put in this process, for all queue objects of the process that are on the file: the one that
 * claims a job is often not the one that put it, and must see all the same whether the job's signal has aborted.
 */
import type { JobRecord } from '../../lib/job.ts'

/** So many are kept before those are looked for whose jobs have ended. */
const leastSweep = 1_024

const ofChannels = new WeakMap<object, PutSignals>()

/** Those of a channel: of one file in this process. */
export function putSignalsOf(channel: object): PutSignals {
  let signals = ofChannels.get(channel)
  if (!signals) ofChannels.set(channel, (signals = new PutSignals()))
  return signals
}

export class PutSignals {
  readonly #records = new Map<number, WeakRef<JobRecord>>()
  #sweepAt = leastSweep

  /** Accepted, with a signal. */
  put(record: JobRecord): void {
    this.#records.set(record.seq, new WeakRef(record))
    if (this.#records.size >= this.#sweepAt) this.#sweep()
  }
  /** Gives records that were claimed, and are not those that were put, the signal of the put. */
  give(claimed: readonly JobRecord[]): void {
    if (this.#records.size === 0) return
    for (const record of claimed) {
      const signal = this.#records.get(record.seq)?.deref()?.live?.signal
      if (signal && !record.live?.signal) record.here.signal = signal
    }
  }
  /** A record has its signal until its job has ended. */
  #sweep(): void {
    for (const [seq, record] of this.#records) if (!record.deref()?.live?.signal) this.#records.delete(seq)
    this.#sweepAt = Math.max(leastSweep, 2 * this.#records.size)
  }
}
