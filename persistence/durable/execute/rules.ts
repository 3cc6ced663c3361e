/**
 * The rules of a queue in a store: which are in force, how they change, and what is noted after a claim about those that
 * it shares by name. lib/decisions/rule-settings.ts and lib/limits/named-rules.ts decide.
 */

import {
  isRateSet,
  type NamedRuleBook,
  named,
  namedInForce,
  rulesAsLearned,
  rulesInForce,
  unnamed,
} from '../../../lib/decisions/rule-settings.ts'
import { overriddenOf } from '../../../lib/decisions/settings.ts'
import { keepsWaits } from '../../../lib/decisions/waits.ts'
import type { Demand, NamedRule } from '../../../lib/limits/named-rules.ts'
import type { RuleWait } from '../../../lib/limits/rule-turns.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { ExchangeRequest, SettingsNow } from '../store.ts'
import type { LimitStore, StoredRule } from './limit-store.ts'
import type { QueueState } from './queue-state.ts'

/** The named rules of a store. */
type RuleStore = Pick<LimitStore<never>, 'namedRule' | 'addNamedRule' | 'ruleToChange'>

/** The settings of named rules. A rule is changed as of that instant. */
export function ruleBook(store: RuleStore, now: number): NamedRuleBook {
  return {
    settings: name => store.namedRule(name)?.settings,
    rule: name => store.namedRule(name)?.rate.rules[0],
    change: (name, settings) => {
      const stored = store.namedRule(name) ?? store.addNamedRule(name)
      store.ruleToChange(stored)
      stored.settings = settings
      const rule = namedInForce(settings)
      stored.rate.change(rule ? [rule] : [], now)
    },
  }
}
/** The named rules of the queue. */
export function namedRules(store: RuleStore, { rules }: QueueState): readonly StoredRule[] {
  if (rules.length === 0) return none
  return named(rules).flatMap(({ name }) => store.namedRule(name) ?? [])
}
const none: readonly StoredRule[] = []
/** The rules in force under the names that the queue shares. */
export function namedRulesInForce(store: RuleStore, { rules }: QueueState): readonly RateRule[] {
  return named(rulesInForce(rules, ruleBook(store, 0)))
}

/** The settings of the name, as replies report them. */
export function settingsNow<Queue extends QueueState>(store: LimitStore<Queue>, queue: Queue): SettingsNow {
  const { globalWidth } = queue
  const book = ruleBook(store, 0)
  const rules = rulesAsLearned(queue.rules, store.rate(queue).rules, book)
  const overridden = overriddenOf(queue, isRateSet(queue, book))
  return { rules, ...(globalWidth < Infinity && { globalWidth }), ...(overridden && { overridden }) }
}

/** Holds the named rule for all queues that have it. Returns false if this one has not. */
export function holdRule<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  name: string,
  until: number,
): boolean {
  if (!queue.rules.some(rule => rule.name === name)) return false
  const rate = store.furtherRate(queue, { of: 'rule', name, start: 0 })
  rate?.hold(until)
  return rate !== undefined
}

/** The queue has other rules than these. It waits no more for those that it has lost, in any process. */
export function useRules<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  before: readonly RateRule[],
  now: number,
): void {
  store.rateToChange(queue).change(unnamed(queue.rules), now)
  for (const { name } of named(before)) {
    const rule = queue.rules.some(other => other.name === name) ? undefined : store.namedRule(name)
    const waits = rule?.turns.waits.filter(wait => wait.queue === queue.queueId) ?? []
    // The rule itself does not change, but all queues that wait for it should look again.
    if (rule && waits.length > 0) store.ruleToChange(rule)
    for (const { worker } of waits) rule?.turns.leave(queue.queueId, worker)
  }
  store.saveSettings(queue)
}

/** After a claim of that room. `demand` is the next job, if a rule of the queue refused it. */
export function noteDemand<Queue extends QueueState>(
  store: LimitStore<Queue>,
  queue: Queue,
  request: Pick<ExchangeRequest, 'now' | 'mayLaunch' | 'isFull'>,
  room: number,
  demand: Demand | undefined,
): void {
  if (named(queue.rules).length === 0 || (keepsWaits({ ...request, room }) && !queue.sharedPaused)) return
  store.noteWaits(queue, demand, request.now)
}

/** The worker is gone, or one of its queues: it waits for these rules no more. Returns those for which it did. */
export function forgetWaits<Rule extends NamedRule>(
  rules: Iterable<Rule>,
  worker: RuleWait['worker'],
  queue?: number,
): readonly Rule[] {
  return [...rules].filter(({ turns }) => {
    const waits = turns.waits.filter(wait => wait.worker === worker && (queue ?? wait.queue) === wait.queue)
    for (const wait of waits) turns.leave(wait.queue, worker)
    return waits.length > 0
  })
}
