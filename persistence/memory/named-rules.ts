/** The named rules of a backlog in memory: what holds for each, the starts that it remembers, and who waits for it. */

import { type NamedRuleBook, type NamedSettings, named, namedInForce } from '../../lib/decisions/rule-settings.ts'
import { type NamedRule, nextInTurn } from '../../lib/limits/named-rules.ts'
import { RuleTurns } from '../../lib/limits/rule-turns.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { RateRule } from '../../lib/rate/rules.ts'

/** A queue that has named rules. */
export interface RuleUser {
  readonly number: number
  /** Another rule is in force under one of its names. */
  rulesChanged(): void
  /** It may start a job earlier than its last reply said. */
  wake(): void
}

class Shared implements NamedRule {
  readonly name: string
  readonly rate: Rate = new Rate([])
  readonly turns: RuleTurns = new RuleTurns()
  readonly users: Map<number, RuleUser> = new Map()
  settings: NamedSettings | undefined

  constructor(name: string) {
    this.name = name
  }
  /** Wakes the queue whose turn it is, and those that may take what it leaves. */
  wakeNext(but: RuleUser, now: number): void {
    for (const { queue } of nextInTurn(this, now)) if (queue !== but.number) this.users.get(queue)?.wake()
  }
}

export class NamedRules {
  readonly #rules = new Map<string, Shared>()
  #queues = 0

  /** A number for a queue. */
  next(): number {
    return ++this.#queues
  }
  settings(name: string): NamedSettings | undefined {
    return this.#rules.get(name)?.settings
  }
  change(name: string, settings: NamedSettings, now: number): void {
    const shared = this.#of(name)
    const rule = namedInForce(settings)
    shared.settings = settings
    shared.rate.change(rule ? [rule] : [], now)
    for (const user of shared.users.values()) user.rulesChanged()
  }
  /** To read and change settings at an instant. */
  book(now: number): NamedRuleBook {
    return {
      settings: name => this.settings(name),
      rule: name => this.#rules.get(name)?.rate.rules[0],
      change: (name, settings) => this.change(name, settings, now),
    }
  }
  /** The named rules among these, which the queue uses from now on, and no others. */
  use(user: RuleUser, rules: readonly RateRule[], before: readonly NamedRule[], now: number): readonly NamedRule[] {
    const used = named(rules).map(({ name }) => this.#of(name))
    for (const shared of before as readonly Shared[]) {
      if (used.includes(shared)) continue
      shared.users.delete(user.number)
      if (shared.turns.leave(user.number, 0)) shared.wakeNext(user, now)
    }
    for (const shared of used) shared.users.set(user.number, user)
    return used
  }
  /** Changes a start of that rule, which may free capacity for another queue. */
  recount(user: RuleUser, name: string, now: number, change: (rate: Rate) => void): void {
    const shared = this.#rules.get(name)
    if (!shared) return
    change(shared.rate)
    shared.wakeNext(user, now)
  }
  /** The turn is another queue's: the queue has started jobs, or waits no more. */
  passTurn(user: RuleUser, rules: readonly NamedRule[], now: number): void {
    for (const shared of rules as readonly Shared[]) shared.wakeNext(user, now)
  }
  #of(name: string): Shared {
    let shared = this.#rules.get(name)
    if (!shared) this.#rules.set(name, (shared = new Shared(name)))
    return shared
  }
}
