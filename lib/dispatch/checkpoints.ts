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
    const asked: CheckpointRequest = { record, fence, value: CheckpointValue.of(value, strict) }
    exchange.checkpoints.push(asked)
    await flush()
    const error = this.#notStored.get(asked)
    this.#notStored.delete(asked)
    if (error) throw error
  }
  /** The backlog will never store it. */
  refused(asked: CheckpointRequest, error: Error): void {
    this.#notStored.set(asked, error)
  }
  /** Calls `tell` for the checkpoints that the answered exchange has stored. */
  answered(
    { checkpoints }: Exchange,
    notices: Notices | undefined,
    tell: (record: JobRecord, value: CheckpointValue) => void,
  ): void {
    for (const asked of checkpoints) {
      const { record, fence, value } = asked
      if (notices?.lostRuns.includes(record) || notices?.ignoredCheckpoints.includes(asked))
        this.#notStored.set(asked, new LeaseLostError(record.id))
      // The run may have lost its job in the very exchange that stored it: then nobody is notified here.
      else if (record.fence === fence) tell(record, value)
    }
  }
}
