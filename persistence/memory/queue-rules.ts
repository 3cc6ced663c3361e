/** The rules of one queue in memory: those of its own, in its rate, and those that it shares by name with others. */
import type { FurtherStart } from '../../lib/backlog.ts'
import {
  clearRules,
  type Declared,
  declareRules,
  isRateSet,
  type RuleState,
  rulesAsLearned,
  setRules,
  unnamed,
} from '../../lib/decisions/rule-settings.ts'
import type { Refusal } from '../../lib/limits/limit.ts'
import {
  type Blocking,
  blockingByRules,
  chargeRules,
  type Demand,
  type NamedRule,
  noteWaits,
  refusalByRules,
} from '../../lib/limits/named-rules.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { Cost, RateRule } from '../../lib/rate/rules.ts'
import type { NamedRules, RuleUser } from './named-rules.ts'

export class QueueRules implements RuleUser, RuleState {
  readonly number: number
  /** The rate of the rules that have no name. */
  readonly rate: Rate = new Rate([])
  /** Something has changed that the queue objects of this name should see. */
  readonly wake: () => void
  readonly #all: NamedRules
  rules: readonly RateRule[] = []
  declared: Declared
  #named: readonly NamedRule[] = []

  constructor(all: NamedRules, wake: () => void) {
    this.#all = all
    this.number = all.next()
    this.wake = wake
  }
  get inForce(): readonly RateRule[] {
    return rulesAsLearned(this.rules, this.rate.rules, this.#all.book(0))
  }
  /** Whether the rules in force differ from what was declared. */
  get isSet(): boolean {
    return isRateSet(this, this.#all.book(0))
  }
  /** Whether some rules have names. */
  get isShared(): boolean {
    return this.#named.length > 0
  }
  /** The rules in force that have names. */
  get named(): readonly RateRule[] {
    return this.#named.flatMap(({ rate }) => rate.rules)
  }
  rulesChanged(): void {
    this.wake()
  }

  // Settings.

  /** Returns the rules that its names stood for until now, if that has changed. */
  declare(rules: readonly RateRule[] | undefined, now: number): readonly RateRule[] | undefined {
    const before = this.rules
    const replaced = declareRules(this, this.#all.book(now), rules)
    if (this.rules !== before) this.#use(now)
    return replaced
  }
  set(rules: readonly RateRule[], now: number): void {
    setRules(this, this.#all.book(now), rules)
    this.#use(now)
  }
  clear(now: number): void {
    clearRules(this, this.#all.book(now))
    this.#use(now)
  }
  #use(now: number): void {
    this.rate.change(unnamed(this.rules), now)
    this.#named = this.#all.use(this, this.rules, this.#named, now)
  }

  // Claims.

  /** Why a job may not start, by any of the rules. */
  refusal(cost: Cost | undefined, now: number): Refusal | undefined {
    return refusalByRules(this.rate, this.#named, this.number, cost, now)
  }
  /** Charges the named rules for a start that none of them refuses. */
  charge(cost: Cost | undefined, now: number, graceMs: number): readonly FurtherStart[] {
    return chargeRules(this.#named, this.number, cost, now, graceMs)
  }
  /** After a claim. `demand` is what the queue waits for, if it waits for its rules. */
  claimed(started: boolean, demand: Demand | undefined, now: number): void {
    const left = noteWaits(this.rate, this.#named, { queue: this.number, worker: 0 }, demand, now)
    if (started || left) this.#all.passTurn(this, this.#named, now)
  }
  /** Changes a start in a named rule. */
  change(name: string, now: number, act: (rate: Rate) => void): void {
    this.#all.recount(this, name, now, act)
  }
  /** Holds the rule for all queues that have it. Returns false if this one has not. */
  hold(name: string, until: number): boolean {
    const rule = this.#named.find(one => one.name === name)
    rule?.rate.hold(until)
    return rule !== undefined
  }
  blocking(cost: Cost | undefined, now: number): Blocking | undefined {
    return blockingByRules(this.rate, this.#named, cost, now)
  }
}
