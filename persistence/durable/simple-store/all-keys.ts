/**
 * The keys of a queue, in a store that has all of them at hand: the settings of each, its rate, and its tag among the
 * turns. A store with a row for each key writes the same facts by statements of its own.
 */
import type { FurtherStart } from '../../../lib/backlog.ts'
import { tagAfterChange, tagAfterReturn } from '../../../lib/limits/fairness.ts'
import { type KeyOverride, type KeySettings, noKeys, settingsOf } from '../../../lib/limits/keys.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import { sameRules, withLearned } from '../../../lib/rate/rules.ts'
import type { LimitStore } from '../execute/limit-store.ts'
import type { ClaimedQueue, KeyNow } from './all-jobs.ts'

export interface KeyedQueue extends ClaimedQueue {
  readonly overrides: Map<string, KeyOverride>
  readonly keyRates: Map<string, Rate>
}

/** Of the operations on limits, those on keys. */
type KeyLimits<Queue> = Pick<
  LimitStore<Queue, KeyNow>,
  'rateToCharge' | 'returnTurn' | 'overridesRates' | 'overrides' | 'override' | 'setOverride' | 'keysDeclared'
>

/** The settings and facts of the key, of which so many bodies run. */
export function keyNow(queue: KeyedQueue, name: string, bodies: number): KeyNow {
  const heldUntil = queue.heldKeys.get(name) ?? -Infinity
  return { ...settings(queue, name), name, bodies, heldUntil, rate: rateOfKey(queue, { name }) }
}
export function rateOfKey(queue: KeyedQueue, { name }: Pick<FurtherStart, 'name'>): Rate {
  const rate = queue.keyRates.get(name) ?? new Rate(settings(queue, name).rate)
  queue.keyRates.set(name, rate)
  return rate
}
export function keyLimits<Queue extends KeyedQueue>(): KeyLimits<Queue> {
  return {
    rateToCharge: (_queue, { rate }) => rate,
    returnTurn: (queue, key) => {
      if (!queue.tags.has(key)) queue.tags.set(key, queue.keyClock)
      retag(queue, key, tagAfterReturn)
    },
    overridesRates: ({ overrides }) => [...overrides.values()].some(({ rate }) => rate !== undefined),
    overrides: ({ overrides }) => [...overrides],
    override: ({ overrides }, key) => overrides.get(key),
    setOverride: (queue, key, override, now) => {
      if (override) queue.overrides.set(key, override)
      else queue.overrides.delete(key)
      changed(queue, key, now)
    },
    keysDeclared: (queue, reorders, now) => {
      if (reorders) queue.tags.clear()
      for (const key of [...queue.tags.keys(), ...queue.keyRates.keys()]) changed(queue, key, now)
    },
  }
}

function settings({ keys, overrides }: KeyedQueue, key: string): KeySettings {
  return settingsOf(keys ?? noKeys, overrides.get(key), key)
}
/** Other settings hold for the key. Its rules are applied at once, while the starts that count are known. */
function changed(queue: KeyedQueue, name: string, now: number): void {
  const rate = rateOfKey(queue, { name })
  const { rate: rules } = settings(queue, name)
  if (!sameRules(rate.rules, withLearned(rules, rate.rules))) rate.change(rules, now)
  retag(queue, name, tagAfterChange)
}
function retag(queue: KeyedQueue, key: string, tagOf: typeof tagAfterReturn): void {
  const tag = queue.tags.get(key)
  if (tag !== undefined) queue.tags.set(key, tagOf(queue.keyClock, tag, settings(queue, key).weight))
}
