/**
 * The limits of queues, as a store keeps them: their rates and rules, the rules that they share by name, and the
 * settings of their keys. The procedures of this folder check, charge and change it; lib/limits/ and lib/decisions/ decide.
 *
 * The change that a `changing…` or `charging…` method allows must be stored with the transaction.
 */
import type { FurtherStart } from '../../../lib/backlog.ts'
import type { NamedSettings } from '../../../lib/decisions/rule-settings.ts'
import type { KeyOverride } from '../../../lib/limits/keys.ts'
import type { Scope } from '../../../lib/limits/limit.ts'
import type { Demand, NamedRule } from '../../../lib/limits/named-rules.ts'
import type { Rate } from '../../../lib/rate/rate.ts'

/** A named rule as a store keeps it: its settings, its rate, and the queues that wait for it. */
export interface StoredRule extends NamedRule {
  settings: NamedSettings
}

/** `Key`: what holds for one key at an instant. */
export interface LimitStore<Queue, Key extends Scope = Scope> {
  /** The rate of the rules that the queue does not share, for reading. */
  rate(queue: Queue): Rate
  /** The same, for a change. */
  rateToChange(queue: Queue): Rate
  saveSettings(queue: Queue): void
  /** By how much the graces of the queue are longer than usual (lib/decisions/grace.ts). */
  graceFactor(queue: Queue): number
  setGraceFactor(queue: Queue, factor: number): void

  // Starts in other rates than that of the queue.
  /**
   * The rate of the key or of the named rule that has charged this start, for a change. Undefined if it was forgotten.
   */
  furtherRate(queue: Queue, start: FurtherStart): Rate | undefined
  /** This start counts otherwise now, so its key, or another queue that shares its rule, may have capacity earlier. */
  recounted(queue: Queue, start: FurtherStart, now: number): void

  // Named rules.
  namedRule(name: string): StoredRule | undefined
  /** A rule of that name, which nobody has declared so far. */
  addNamedRule(name: string): StoredRule
  /** The settings and the rate of the rule, or its turns, are about to be changed: all its queues may start earlier. */
  ruleToChange(rule: StoredRule): void
  /** Starts in these rules are about to be charged. */
  rulesToCharge(rules: readonly NamedRule[]): void
  /** Notes in the named rules of the queue whether it waits for them (lib/limits/named-rules.ts). */
  noteWaits(queue: Queue, demand: Demand | undefined, now: number): void

  // Keys.
  keyNow(queue: Queue, key: string, now: number): Key
  /** The rate of the key, for a start that is about to be charged. Undefined if the key has no rules. */
  rateToCharge(queue: Queue, key: Key, now: number): Rate | undefined
  /** A job of the key was claimed and not launched: the key gets its turn back. */
  returnTurn(queue: Queue, key: string): void
  /** Whether the rules of a key may be otherwise than declared. */
  overridesRates(queue: Queue): boolean
  /** The overrides of single keys. */
  overrides(queue: Queue): readonly (readonly [key: string, override: KeyOverride])[]
  override(queue: Queue, key: string): KeyOverride | undefined
  /** Stores what is set for the key from now on. Its turn and what holds it up may be others. */
  setOverride(queue: Queue, key: string, override: KeyOverride | undefined, now: number): void
  /** The queue has another policy for its keys. `reorders`: keys take their turns in another order. */
  keysDeclared(queue: Queue, reorders: boolean, now: number): void
}
