/** How a queue's rules change in a store, and what is noted after a claim about the rules that it shares. */
import type { Demand } from '../../../lib/limits/named-rules.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import { type NamedRuleBook, named, unnamed } from '../../../lib/rules/rule-settings.ts'
import type { ExchangeRequest } from '../store.ts'
import type { QueueState } from './queue-state.ts'

export interface RuleStore<Queue> {
  /** The rate of the rules that the queue does not share, for a change. */
  rate(queue: Queue): Rate
  /** The settings of named rules. A rule is changed as of that instant. */
  ruleBook(now: number): NamedRuleBook
  saveSettings(queue: Queue): void
}

/** The queue has other rules. */
export function useRules<Queue extends QueueState>(store: RuleStore<Queue>, queue: Queue, now: number): void {
  store.rate(queue).change(unnamed(queue.rules), now)
  store.saveSettings(queue)
}

export interface WaitStore<Queue> {
  /** Notes in the named rules of the queue whether it waits for them (lib/limits/named-rules.ts). */
  noteWaits(queue: Queue, demand: Demand | undefined, now: number): void
}

/** After a claim. `demand` is the next job, if a rule of the queue refused it. */
export function noteDemand<Queue extends QueueState>(
  store: WaitStore<Queue>,
  queue: Queue,
  { room, mayLaunch, now }: ExchangeRequest,
  demand: Demand | undefined,
): void {
  // A queue that may launch and has no room at present has asked for it already, and still waits.
  if (named(queue.rules).length === 0 || (room === 0 && mayLaunch && !queue.sharedPaused)) return
  store.noteWaits(queue, demand, now)
}
