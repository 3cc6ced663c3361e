/** Checkpoints on their way: each caller is notified when its checkpoint is stored, or never will be. */
import type { Exchange, Notices } from '../backlog.ts'
import { LeaseLostError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { CheckpointValue } from '../text/checkpoint-value.ts'

type CheckpointRequest = Exchange['checkpoints'][number]

export class Checkpoints {
  /** Checkpoints that were answered and not stored, with the reason, until their callers were notified. */
  readonly #notStored = new Map<CheckpointRequest, Error>()

  /**
   * Adds a copy of `value` to the exchange; `flush` resolves when the exchange has been answered. Rejects with
   * PayloadError, with LeaseLostError if the run has lost its job, and with StoreError.
   */
  store(
    { record, fence }: { readonly record: JobRecord; readonly fence: number },
    value: unknown,
    strict: boolean,
    exchange: Exchange,
    flush: () => Promise<void>,
  ): Promise<void> {
    const stored = this.#stored({ record, fence }, value, strict, exchange, flush)
    // The caller need not await it: an unhandled rejection would end the process, and all other jobs with it.
    stored.catch(() => {})
    return stored
  }
  async #stored(
    { record, fence }: { readonly record: JobRecord; readonly fence: number },
    value: unknown,
    strict: boolean,
    exchange: Exchange,
    flush: () => Promise<void>,
  ): Promise<void> {
    const request: CheckpointRequest = { record, fence, value: CheckpointValue.of(value, strict) }
    exchange.checkpoints.push(request)
    await flush()
    const error = this.#notStored.get(request)
    this.#notStored.delete(request)
    if (error) throw error
  }
  /** The backlog will never store it. */
  refused(request: CheckpointRequest, error: Error): void {
    this.#notStored.set(request, error)
  }
  /** Calls `stored` for the checkpoints that the answered exchange has stored. */
  answered(
    { checkpoints }: Exchange,
    notices: Notices | undefined,
    stored: (record: JobRecord, value: CheckpointValue) => void,
  ): void {
    for (const request of checkpoints) {
      const { record, fence, value } = request
      if (notices?.lostRuns.includes(record) || notices?.ignoredCheckpoints.includes(request))
        this.#notStored.set(request, new LeaseLostError(record.id))
      // The run may have lost its job in the very exchange that stored it: then nobody is notified here.
      else if (record.fence === fence) stored(record, value)
    }
  }
}
