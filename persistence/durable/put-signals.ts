/**
 * The signals of jobs that were put in this process, for all its queue objects on one store. The queue object that
 * claims a job is often not the one that put it, and must still see whether the job's signal has aborted.
 */
import type { JobRecord } from '../../lib/job.ts'
import type { StoreIdentity } from './store-identity.ts'

/**
 * The most signals that are kept for puts whose outcome is unknown. Nothing reports when they are no longer needed, so
 * the oldest are dropped.
 */
const maxDoubtful = 1_024

/** The smallest number of signals at which a sweep looks for ended jobs. */
const minSweep = 1_024

/** By process and store: after a connection has failed for good, another link claims the jobs that were put over it. */
const ofProcesses = new WeakMap<object, Map<string, PutSignals>>()

export function putSignalsOf({ process, key }: StoreIdentity): PutSignals {
  let files = ofProcesses.get(process)
  if (!files) ofProcesses.set(process, (files = new Map()))
  let signals = files.get(key)
  if (!signals) files.set(key, (signals = new PutSignals()))
  return signals
}

/** The last queue has left the store. Its waiting puts were rejected, so their signals no longer apply. */
export function forgetPutSignals({ process, key }: StoreIdentity): void {
  ofProcesses.get(process)?.delete(key)
}

export class PutSignals {
  readonly #records = new Map<number, WeakRef<JobRecord>>()
  #sweepAt = minSweep
  /** By queue and id. */
  readonly #doubtful = new Map<string, { readonly signal: AbortSignal; readonly queuedAt: number }>()

  /** A job with a signal was accepted. */
  put(record: JobRecord): void {
    this.#records.set(record.seq, new WeakRef(record))
    if (this.#records.size >= this.#sweepAt) this.#sweep()
  }
  /** The outcome of the put is unknown. If one of its jobs is stored, it must not start once its signal has aborted. */
  doubt(queue: number, records: readonly JobRecord[]): void {
    for (const { id, queuedAt, live } of records) {
      if (live?.signal) this.#doubtful.set(`${queue} ${id}`, { signal: live.signal, queuedAt })
    }
    for (const id of this.#doubtful.keys()) {
      if (this.#doubtful.size <= maxDoubtful) break
      this.#doubtful.delete(id)
    }
  }
  /** Sets the signal of the put on claimed records that are other objects than the ones that were put. */
  give(queue: number, claimed: readonly JobRecord[]): void {
    if (this.#records.size === 0 && this.#doubtful.size === 0) return
    for (const record of claimed) {
      if (record.live?.signal) continue
      const put = this.#records.get(record.seq)?.deref()
      // The id is compared too, because the seq may belong to another store by now.
      const signal = put?.id === record.id ? put.live?.signal : this.#doubtfulOf(queue, record)
      if (signal) record.ensureLive().signal = signal
    }
  }
  #doubtfulOf(queue: number, { id, queuedAt }: JobRecord): AbortSignal | undefined {
    if (this.#doubtful.size === 0) return undefined
    const key = `${queue} ${id}`
    const found = this.#doubtful.get(key)
    if (found?.queuedAt !== queuedAt) return undefined
    // From here on the record has the signal, until its job has ended.
    this.#doubtful.delete(key)
    return found.signal
  }
  /** Drops records that have no signal any more, because their jobs have ended. */
  #sweep(): void {
    for (const [seq, record] of this.#records) if (!record.deref()?.live?.signal) this.#records.delete(seq)
    this.#sweepAt = Math.max(minSweep, 2 * this.#records.size)
  }
}
