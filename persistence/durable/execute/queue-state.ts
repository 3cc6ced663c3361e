/** The state of a queue's name that the procedures of this folder read and write, whatever else a store keeps of it. */
import type { KeepPolicy, StateCounts } from '../../../lib/backlog.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { CrashPolicy } from '../../../lib/rules/crash-outcome.ts'
import { isRateSet, type NamedRuleBook, rulesAsLearned } from '../../../lib/rules/rule-settings.ts'
import { type NameSettings, overriddenOf } from '../../../lib/rules/settings.ts'
import type { SettingsNow } from '../store.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export interface QueueState extends Mutable<NameSettings> {
  readonly queueId: number
  sharedPaused: boolean
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

/**
 * What holds for the name, as replies report it.
 *
 * @param own The rules of the queue alone, with what they have learned.
 */
export function settingsNow(queue: QueueState, book: NamedRuleBook, own: readonly RateRule[]): SettingsNow {
  const { globalWidth } = queue
  const rules = rulesAsLearned(queue.rules, own, book)
  const overridden = overriddenOf(queue, isRateSet(queue, book))
  return { rules, ...(globalWidth < Infinity && { globalWidth }), ...(overridden && { overridden }) }
}
