/**
 * Rules with a name, which all queues of a backlog share that declare them: what a claim checks and notes.
 *
 * Each named rule is a scope of its own: its rate has one rule, and remembers the starts of all its queues. A backlog
 * keeps the rates and the turns; the decisions are here.
 */
import type { Rate } from '../rate/rate.ts'
import { type Cost, type RateRule, windowMs } from '../rate/rules.ts'
import { amountOf } from '../rate/start-log.ts'
import { type FurtherStart, type Refusal, type Scope, unlimited } from './limit.ts'
import { refusalAmong, refusalOf } from './limits.ts'
import { isActive, patienceMs, type RuleTurns, type RuleWait } from './rule-turns.ts'

/** A named rule of a backlog. */
export interface NamedRule {
  readonly name: string
  readonly rate: Rate
  readonly turns: RuleTurns
}

/** The queue, by its number, and the session or process of it that requests starts. */
export type Requester = Pick<RuleWait, 'queue' | 'worker'>

/** The next job that a queue could not start, and how many it would start at most. */
export interface Demand {
  readonly cost: Cost | undefined
  readonly wants: number
}

/** The facts about a named rule by which a job of that queue may start. */
export function scopeOf({ rate, turns }: NamedRule, queue: number, now: number): Scope {
  return { ...unlimited, rate, rule: rate.rules[0], ahead: turns.ahead(queue, now) }
}

/** Why a job of that queue may not start, by the rate of the queue or by one of its named rules. */
export function refusalByRules(
  own: Rate,
  rules: readonly NamedRule[],
  queue: number,
  cost: Cost | undefined,
  now: number,
): Refusal | undefined {
  const scopes = rules.map(rule => scopeOf(rule, queue, now))
  return refusalAmong([{ ...unlimited, rate: own }, ...scopes], cost, now)
}

/** The limit that keeps a job from starting: a rule, or the hold of a queue (without `rule`) or of a named rule. */
export interface Blocking {
  readonly why: 'rate' | 'hold'
  readonly rule: RateRule | undefined
  readonly until: number
}

/** The rule or the hold that ends last. Turns are left out, because those of other queues may end at any instant. */
export function blockingByRules(
  own: Rate,
  rules: readonly NamedRule[],
  cost: Cost | undefined,
  now: number,
): Blocking | undefined {
  let longest = blockingOf(own, undefined, cost, now)
  for (const { rate } of rules) {
    const blocking = blockingOf(rate, rate.rules[0], cost, now)
    if (blocking && !(longest && longest.until >= blocking.until)) longest = blocking
  }
  return longest
}
function blockingOf(
  rate: Rate,
  heldRule: RateRule | undefined,
  cost: Cost | undefined,
  now: number,
): Blocking | undefined {
  const blocking = rate.blocking(cost, now)
  if (!blocking) return undefined
  const { rule, until } = blocking
  return { why: rule ? 'rate' : 'hold', rule: rule ?? heldRule, until }
}

/** Charges each rule for a start that none of them refuses. */
export function chargeRules(
  rules: readonly NamedRule[],
  queue: number,
  cost: Cost | undefined,
  now: number,
  graceMs: number,
): readonly FurtherStart[] {
  return rules.map(({ name, rate, turns }) => {
    if (takes(rate, cost) > 0) turns.started(queue, now)
    return { of: 'rule', name, start: rate.grant(cost, now, graceMs) }
  })
}

/**
 * Notes after a claim whether the queue waits for its named rules. Returns whether it gave up waiting, so that another
 * queue may start earlier.
 *
 * A job that several limits hold up needs capacity in all of them at the same instant. So in each rule capacity is left
 * for it from one window before that instant on. Otherwise other queues could take the capacity of one rule while it
 * waits for another, over and over. Capacity is not left any earlier, because others can use it until then.
 *
 * @param demand Undefined: the queue would not start another job now, whatever its rules say.
 */
export function noteWaits(
  own: Rate,
  rules: readonly NamedRule[],
  requester: Requester,
  demand: Demand | undefined,
  now: number,
): boolean {
  const nextRequestAt = demand && refusalByRules(own, rules, requester.queue, demand.cost, now)?.until
  const isRefused = rules.some(rule => demand && refusalOf(scopeOf(rule, requester.queue, now), demand.cost, now))
  let left = false
  if (!demand || nextRequestAt === undefined || !isRefused) {
    for (const { turns } of rules) left = turns.leave(requester.queue, requester.worker) || left
    return left
  }
  const { cost, wants } = demand
  // Turns of others are left out, because they may end at any instant.
  const admitsAt = (rate: Rate): number => rate.blocking(cost, now)?.until ?? now
  const ownAdmitsAt = admitsAt(own)
  const limits = rules.map(rule => ({ rule, admitsAt: admitsAt(rule.rate) }))
  for (const { rule } of limits) {
    const { rate, turns } = rule
    const amount = takes(rate, cost)
    if (amount === 0) {
      left = turns.leave(requester.queue, requester.worker) || left
      continue
    }
    const others = limits.filter(other => other.rule !== rule)
    const othersAdmitAt = Math.max(ownAdmitsAt, ...others.map(other => other.admitsAt))
    turns.wait({ ...requester, wants, amount, from: othersAdmitAt - windowOf(rate), until: nextRequestAt + patienceMs })
  }
  return left
}

/**
 * The waits of queues that should make an exchange because the rule may have more capacity: the first in turn, and those
 * behind it that may take what is left. The first may wait for another limit, so it may not be able to pass the turn on.
 */
export function nextInTurn({ rate, turns }: NamedRule, now: number): readonly RuleWait[] {
  if (turns.waits.length === 0) return noWaits
  const [first, ...others] = turns.inOrder(now)
  if (!first || rate.heldUntil > now) return first ? [first] : noWaits
  const next = [first]
  let ahead = isActive(first, now) ? first.amount : 0
  for (const wait of others) {
    if (rate.nextBehind(ahead, costOf(rate, wait.amount), now) > now) {
      // The waits behind it leave this capacity to it.
      if (isActive(wait, now)) break
      continue
    }
    next.push(wait)
    if (isActive(wait, now)) ahead += wait.amount
  }
  return next
}
const noWaits: readonly RuleWait[] = []

/** How much of the rule a job takes. */
function takes({ rules: [rule] }: Rate, cost: Cost | undefined): number {
  if (!rule) return 0
  return rule.unit === undefined ? 1 : amountOf(cost, rule.unit)
}
/** A cost that takes so much of the rule. */
function costOf({ rules: [rule] }: Rate, amount: number): Cost | undefined {
  return rule?.unit === undefined ? undefined : { [rule.unit]: amount }
}
function windowOf({ rules: [rule] }: Rate): number {
  return rule ? windowMs(rule) : 0
}
