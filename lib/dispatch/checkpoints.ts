/** Checkpoints on their way: whoever stores one hears when it is stored, or that it never will be. */
import type { Exchange, Notices } from '../backlog.ts'
import { LeaseLostError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { CheckpointValue } from '../run/checkpoint-value.ts'

type CheckpointRequest = Exchange['checkpoints'][number]

export class Checkpoints {
  /** Answered, and not stored: why. Until whoever stored it has heard. */
  readonly #notStored = new Map<CheckpointRequest, Error>()

  /**
   * Hands a copy of `value` to the exchange; `flush` resolves when what was handed over has been answered. Rejects with
   * PayloadError, with LeaseLostError where the job has gone on without the run, and with StoreError.
   */
  store(
    { record, fence }: { readonly record: JobRecord; readonly fence: number },
    value: unknown,
    strict: boolean,
    exchange: Exchange,
    flush: () => Promise<void>,
  ): Promise<void> {
    const stored = this.#stored({ record, fence }, value, strict, exchange, flush)
    // Nobody need wait for it: a rejection that nobody handles would end the process, and all other jobs with it.
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
  /** Calls `tell` of those that the answered turn has stored. */
  answered(
    { checkpoints }: Exchange,
    notices: Notices | undefined,
    tell: (record: JobRecord, value: CheckpointValue) => void,
  ): void {
    for (const asked of checkpoints) {
      const { record, fence, value } = asked
      if (notices?.lostRuns.includes(record) || notices?.ignoredCheckpoints.includes(asked))
        this.#notStored.set(asked, new LeaseLostError(record.id))
      // The job may have gone on in the very turn that has stored it: then nobody is told of it here.
      else if (record.fence === fence) tell(record, value)
    }
  }
}
