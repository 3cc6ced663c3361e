/** Checkpoints on their way: whoever stores one hears when it is stored, or that it never will be. */
import type { Exchange, News } from './backlog.ts'
import { LeaseLostError } from './errors.ts'
import type { JobRecord } from './job.ts'
import { checkPayload } from './payload.ts'

type Asked = Exchange['checkpoints'][number]

export class Checkpoints {
  /** Answered, and not stored: their runs had lost their jobs. */
  readonly #lost = new Set<Asked>()

  /**
   * Hands `asked` to the exchange; `flush` resolves when what was handed over has been answered. Rejects with PayloadError,
   * and with LeaseLostError where the job has gone on without the run.
   */
  store(asked: Asked, strict: boolean, exchange: Exchange, flush: () => Promise<void>): Promise<void> {
    try {
      checkPayload(asked.value, strict)
    } catch (error) {
      return Promise.reject(error)
    }
    exchange.checkpoints.push(asked)
    const stored = flush().then(() => {
      if (this.#lost.delete(asked)) throw new LeaseLostError(asked.record.id)
    })
    // Who does not wait for it is told by the signal of its run, and has made no mistake.
    stored.catch(() => {})
    return stored
  }
  /** Calls `tell` of those that the answered turn has stored. */
  answered({ checkpoints }: Exchange, news: News | undefined, tell: (record: JobRecord, value: unknown) => void): void {
    for (const asked of checkpoints) {
      const { record, fence, value } = asked
      if (news?.lost.includes(record) || news?.unstored.includes(asked)) this.#lost.add(asked)
      // The job may have gone on in the very turn that has stored it: then nobody is told of it here.
      else if (record.fence === fence) tell(record, value)
    }
  }
}
