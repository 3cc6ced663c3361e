/** A queue object as the link to its store sees it. */
import type { StateCounts } from '../../lib/backlog.ts'
import type { AttachReply, AttachRequest } from './store.ts'

/** What a link needs of each queue object that uses it. */
export interface LinkClient {
  readonly name: string
  readonly works: boolean
  /** The link brings the instants up to date. */
  readonly attachRequest: AttachRequest
  /** The store has taken up the name. */
  attached(reply: AttachReply): void
  /** Something changed for this name, or for any. */
  wake(): void
  /** The jobs under this name were counted anew. */
  counted(counts: StateCounts): void
  stalled(): void
  failed(error: unknown): void
  /** How many bodies of it run. */
  readonly running: number
}
