/**
 * Sends puts that the backlog may refuse: because of an id, a cost, a full queue, or data that it cannot store.
 *
 * A backlog accepts or refuses a batch as a whole. The puts of a refused batch are sent again one by one, so that each
 * gets its own reply, and only the one at fault is refused.
 */
import { types } from 'node:util'
import type { BacklogSession } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { codeOf } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import { type Existed, type PutEntry, type QueueBound, recordsOf, type WaitingEntry } from './entries.ts'

/** Answers the callers of puts. */
export interface PutReplyTarget {
  accept(entry: WaitingEntry, existed: Existed): void
  /** @param areRecords Each entry is the record of a single job. */
  acceptAll(
    entries: readonly WaitingEntry[],
    records: readonly JobRecord[],
    areRecords: boolean,
    existed: Existed,
  ): void
  refuseAll(entries: readonly PutEntry[], error: unknown): void
}

const { isPromise } = types

export class Refusals {
  readonly #clock: Clock
  readonly #bound: QueueBound
  readonly #replies: PutReplyTarget
  #session: BacklogSession | undefined

  constructor(clock: Clock, bound: QueueBound, replies: PutReplyTarget) {
    this.#clock = clock
    this.#bound = bound
    this.#replies = replies
  }
  open(session: BacklogSession): void {
    this.#session = session
  }
  /**
   * Sends puts together, and one by one if the backlog refuses them. Returns those for which there was no space.
   * @param areRecords Each entry is the record of a single job.
   */
  async send(entries: readonly WaitingEntry[], areRecords: boolean): Promise<readonly WaitingEntry[]> {
    const clock = this.#clock
    const session = this.#session as BacklogSession
    if (entries.length > 1 || !this.#bound.waits) {
      const records = areRecords ? (entries as JobRecord[]) : recordsOf(entries)
      try {
        const reply = session.put(records, clock.now(), clock.wall())
        this.#replies.acceptAll(entries, records, areRecords, isPromise(reply) ? await reply : reply)
        return []
      } catch (error) {
        // Puts that may be stored already must not be sent again.
        if (codeOf(error) === 'OUTCOME_UNKNOWN' || entries.length === 1) {
          this.#replies.refuseAll(entries, error)
          return []
        }
      }
    }
    for (const [i, entry] of entries.entries()) if (await this.#sendAlone(entry)) return entries.slice(i)
    return []
  }
  /** A batch was refused that was sent in the expectation that it would be accepted. */
  async refused(entries: readonly WaitingEntry[], error: unknown): Promise<void> {
    if (entries.length > 1 && codeOf(error) === 'STORE') for (const entry of entries) await this.#sendAlone(entry)
    else this.#replies.refuseAll(entries, error)
  }
  /** Returns true if the put has to wait for space, and so has every put after it. */
  async #sendAlone(entry: WaitingEntry): Promise<boolean> {
    const clock = this.#clock
    const { waits, size } = this.#bound
    const records = recordsOf([entry])
    try {
      const reply = (this.#session as BacklogSession).put(records, clock.now(), clock.wall())
      this.#replies.accept(entry, isPromise(reply) ? await reply : reply)
    } catch (error) {
      if (waits && codeOf(error) === 'QUEUE_FULL' && records.length <= size) return true
      this.#replies.refuseAll([entry], error)
    }
    return false
  }
}
