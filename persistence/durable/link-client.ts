/** A queue object as the link to its store sees it. */
import type { StateCounts } from '../../lib/backlog.ts'
import type { AttachReply, AttachRequest } from './store.ts'

/** A queue object, as the link uses it. */
export interface LinkClient {
  readonly name: string
  readonly works: boolean
  /** Its number in the store; 0 before it is known. */
  readonly queue: number
  /** The link updates the instants in it. */
  readonly attachRequest: AttachRequest
  /** The store has opened the name. */
  attached(reply: AttachReply): void
  /** Something changed for this name, or for any. */
  wake(): void
  /** It should make an exchange, though nothing changed for it. */
  makeExchange(): void
  /** The jobs of this name were counted again. */
  counted(counts: StateCounts): void
  stalled(): void
  failed(error: unknown): void
  /** How many of its bodies run. */
  readonly running: number
}
