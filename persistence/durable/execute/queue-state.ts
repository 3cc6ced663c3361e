/** The state of a queue's name that the procedures of this folder read and write, whatever else a store keeps of it. */
import type { KeepPolicy, StateCounts } from '../../../lib/backlog.ts'
import type { CrashPolicy } from '../../../lib/decisions/crash-outcome.ts'
import type { NameSettings } from '../../../lib/decisions/settings.ts'
import type { KeysPolicy } from '../../../lib/limits/keys.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export interface QueueState extends Mutable<NameSettings> {
  readonly queueId: number
  sharedPaused: boolean
  /** The declaration for all keys that is in force, and the last declaration that took effect, as text. */
  keys: KeysPolicy | undefined
  declaredKeys: string | null
  /** Grows with each change of what holds for keys; 0: nothing was ever declared or set. */
  keysVersion: number
  // As the last queue object with a handler has set them.
  keep: KeepPolicy
  size: number
  afterCrash: CrashPolicy['afterCrash']
  crashLimit: number
}

export const noCounts: Readonly<StateCounts> = Object.freeze({
  ...{ pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 },
})
