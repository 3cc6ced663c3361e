/** A queue as the channel of its file sees it. */
import type { StateCounts } from '../../lib/backlog.ts'
import type { Attached, AttachRequest } from './store.ts'

/** What a channel needs of each queue that is on it. */
export interface Member {
  readonly name: string
  readonly works: boolean
  readonly attach: AttachRequest
  /** The name is taken up in the file. */
  taken(attached: Attached): void
  /** Something changed for this name, or for any. */
  wake(): void
  /** What is under this name was counted anew. */
  counted(counts: StateCounts): void
  stalled(): void
  failed(error: unknown): void
  /** How many bodies of it run. */
  readonly running: number
}
