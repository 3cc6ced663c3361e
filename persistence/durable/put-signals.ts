/**
 * The signals of jobs that were put in this process, for all queue objects of the process that are on the file: the one that
 * claims a job is often not the one that put it, and must see all the same whether the job's signal has aborted.
 */
import type { JobRecord } from '../../lib/job.ts'
import type { StoreIdentity } from './store-identity.ts'

/** Signals of puts whose outcome is not known: nobody says when they are needed no more, so the oldest go. */
const maxDoubtful = 1_024

/** So many are kept before those are looked for whose jobs have ended. */
const minSweep = 1_024

/** By process and store: where a connection has failed for good, another link claims the jobs that were put over it. */
const ofProcesses = new WeakMap<object, Map<string, PutSignals>>()

export function putSignalsOf({ process, key }: StoreIdentity): PutSignals {
  let files = ofProcesses.get(process)
  if (!files) ofProcesses.set(process, (files = new Map()))
  let signals = files.get(key)
  if (!signals) files.set(key, (signals = new PutSignals()))
  return signals
}

/** The last queue has left the store: whoever put a job was told that it runs later, whatever its signal does. */
export function forgetPutSignals({ process, key }: StoreIdentity): void {
  ofProcesses.get(process)?.delete(key)
}

export class PutSignals {
  readonly #records = new Map<number, WeakRef<JobRecord>>()
  #sweepAt = minSweep
  /** By queue and id. */
  readonly #doubtful = new Map<string, { readonly signal: AbortSignal; readonly queuedAt: number }>()

  /** Accepted, with a signal. */
  put(record: JobRecord): void {
    this.#records.set(record.seq, new WeakRef(record))
    if (this.#records.size >= this.#sweepAt) this.#sweep()
  }
  /** The put was refused because its outcome is not known. If a job of it is stored, it must not begin once its signal has aborted. */
  doubt(queue: number, records: readonly JobRecord[]): void {
    for (const { id, queuedAt, live } of records) {
      if (live?.signal) this.#doubtful.set(`${queue} ${id}`, { signal: live.signal, queuedAt })
    }
    for (const id of this.#doubtful.keys()) {
      if (this.#doubtful.size <= maxDoubtful) break
      this.#doubtful.delete(id)
    }
  }
  /** Gives records that were claimed, and are not those that were put, the signal of the put. */
  give(queue: number, claimed: readonly JobRecord[]): void {
    if (this.#records.size === 0 && this.#doubtful.size === 0) return
    for (const record of claimed) {
      if (record.live?.signal) continue
      const put = this.#records.get(record.seq)?.deref()
      // By its id too, for the file may be another one by now.
      const signal = put?.id === record.id ? put.live?.signal : this.#doubtfulOf(queue, record)
      if (signal) record.ensureLive().signal = signal
    }
  }
  #doubtfulOf(queue: number, { id, queuedAt }: JobRecord): AbortSignal | undefined {
    if (this.#doubtful.size === 0) return undefined
    const key = `${queue} ${id}`
    const found = this.#doubtful.get(key)
    if (found?.queuedAt !== queuedAt) return undefined
    // From here on the record has it, until its job has ended.
    this.#doubtful.delete(key)
    return found.signal
  }
  /** A record has its signal until its job has ended. */
  #sweep(): void {
    for (const [seq, record] of this.#records) if (!record.deref()?.live?.signal) this.#records.delete(seq)
    this.#sweepAt = Math.max(minSweep, 2 * this.#records.size)
  }
}
