/** The named rules of the naive store: each is read as a whole and written as a whole. */
import type { Demand, NamedRule } from '../../lib/limits/named-rules.ts'
import { chargeRules, noteWaits } from '../../lib/limits/named-rules.ts'
import { RuleTurns, type RuleWait } from '../../lib/limits/rule-turns.ts'
import { Rate, type RateState } from '../../lib/rate/rate.ts'
import type { Cost, RateRule } from '../../lib/rate/rules.ts'
import {
  type NamedRuleBook,
  type NamedSettings,
  named,
  namedInForce,
  rulesInForce,
} from '../../lib/rules/rule-settings.ts'
import type { NaiveData, Queue } from './naive-database.ts'

export interface StoredRule {
  settings: NamedSettings
  rate: RateState
  clock: number
  waits: RuleWait[]
}

export function bookOf({ rules }: NaiveData, now: number): NamedRuleBook {
  return {
    settings: name => rules.get(name)?.settings,
    rule: name => {
      const stored = rules.get(name)
      return stored && Rate.from(stored.rate).rules[0]
    },
    change: (name, settings) => {
      const rule = namedInForce(settings)
      const { rate = new Rate([]).state(), clock = 0, waits = [] } = rules.get(name) ?? {}
      const changed = Rate.from(rate)
      changed.change(rule ? [rule] : [], now)
      rules.set(name, { settings, rate: changed.state(), clock, waits })
    },
  }
}
/** The rules in force that the queue shares. */
export function namedOf(data: NaiveData, queue: Queue): readonly RateRule[] {
  return named(rulesInForce(queue.rules, bookOf(data, 0)))
}
/** The named rules of the queue, to ask them. What is changed in them is lost. */
export function read(data: NaiveData, queue: Queue): NamedRule[] {
  return named(queue.rules).flatMap(({ name }) => {
    const stored = data.rules.get(name)
    if (!stored) return []
    const turns = new RuleTurns(
      stored.clock,
      stored.waits.map(wait => ({ ...wait })),
    )
    return { name, rate: Rate.from(stored.rate), turns }
  })
}
/** The same, for a change. */
function change<T>(data: NaiveData, queue: Queue, act: (rules: NamedRule[]) => T): T {
  const rules = read(data, queue)
  const done = act(rules)
  for (const { name, rate, turns } of rules) {
    Object.assign(data.rules.get(name) as StoredRule, { rate: rate.state(), clock: turns.clock, waits: turns.waits })
  }
  return done
}
export function charge(
  data: NaiveData,
  queue: Queue,
  cost: Cost | undefined,
  now: number,
  graceMs: number,
): ReturnType<typeof chargeRules> {
  return change(data, queue, rules => chargeRules(rules, queue.queueId, cost, now, graceMs))
}
export function changeStart(data: NaiveData, name: string, act: (rate: Rate) => void): void {
  const stored = data.rules.get(name)
  if (!stored) return
  const rate = Rate.from(stored.rate)
  act(rate)
  stored.rate = rate.state()
}
export function rateOf({ rules }: NaiveData, name: string): Rate {
  return Rate.from((rules.get(name) as StoredRule).rate)
}
/** Returns whether the queue gave up waiting. */
export function wait(
  data: NaiveData,
  queue: Queue,
  asker: string,
  own: Rate,
  demand: Demand | undefined,
  now: number,
): boolean {
  return change(data, queue, rules => noteWaits(own, rules, { queue: queue.queueId, asker }, demand, now))
}
/** The worker is gone, or one of its queues. */
export function forgetWaits({ rules }: NaiveData, asker: string, queue?: number): void {
  for (const stored of rules.values()) {
    stored.waits = stored.waits.filter(wait => wait.asker !== asker || wait.queue !== (queue ?? wait.queue))
  }
}
