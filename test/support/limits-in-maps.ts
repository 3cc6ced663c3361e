/** The limits of one queue on plain maps, for tests of the procedures that ask, charge and change them. */
import { noteWaits } from '../../lib/limits/named-rules.ts'
import { RuleTurns } from '../../lib/limits/rule-turns.ts'
import { defaultDurableKeep } from '../../lib/options/options.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import type { LimitStore, StoredRule } from '../../persistence/durable/execute/limit-store.ts'
import { namedRules } from '../../persistence/durable/execute/rules.ts'
import type { KeyNow } from '../../persistence/durable/simple-store/all-jobs.ts'
import { type KeyedQueue, keyLimits, keyNow, rateOfKey } from '../../persistence/durable/simple-store/all-keys.ts'

export interface MapQueue extends KeyedQueue {
  readonly rate: Rate
  readonly heldKeys: Map<string, number>
  graceFactor: number
}

/** A queue whose rules without a name are its own, and whose other rules are shared. */
export function mapQueue(...rules: readonly RateRule[]): MapQueue {
  return {
    ...{
      queueId: 1,
      sharedPaused: false,
      keep: defaultDurableKeep(),
      size: Infinity,
      afterCrash: 'again',
      crashLimit: 3,
    },
    ...{ rules, declared: undefined, globalWidth: Infinity, declaredGlobalWidth: undefined },
    ...{ keys: undefined, declaredKeys: null, keysVersion: 0, keyClock: 0, tags: new Map(), heldKeys: new Map() },
    ...{ overrides: new Map(), keyRates: new Map(), graceFactor: 1 },
    rate: new Rate(rules.filter(({ name }) => name === undefined)),
  }
}

export class LimitsInMaps {
  readonly rules: Map<string, StoredRule> = new Map()
  /** How many bodies of each key run. */
  readonly bodies: Map<string, number> = new Map()
  /** The keys and rules of which a start counts otherwise. */
  readonly recounted: string[] = []
  readonly store: LimitStore<MapQueue, KeyNow>

  constructor(...shared: readonly RateRule[]) {
    const { rules, recounted, bodies } = this
    for (const rule of shared) this.#add(rule.name as string, [rule])
    const store: LimitStore<MapQueue, KeyNow> = {
      ...keyLimits<MapQueue>(),
      rate: ({ rate }) => rate,
      rateToChange: ({ rate }) => rate,
      saveSettings: () => {},
      graceFactor: ({ graceFactor }) => graceFactor,
      setGraceFactor: (queue, graceFactor) => void Object.assign(queue, { graceFactor }),
      furtherRate: (queue, start) => (start.of === 'rule' ? rules.get(start.name)?.rate : rateOfKey(queue, start)),
      recounted: (_queue, { name }) => void recounted.push(name),
      namedRule: name => rules.get(name),
      addNamedRule: name => this.#add(name, []),
      ruleToChange: () => {},
      rulesToCharge: () => {},
      noteWaits: (queue, demand, now) =>
        void noteWaits(queue.rate, namedRules(store, queue), { queue: queue.queueId, worker: 1 }, demand, now),
      keyNow: (queue, name) => keyNow(queue, name, bodies.get(name) ?? 0),
    }
    this.store = store
  }
  #add(name: string, rules: readonly RateRule[]): StoredRule {
    const settings = { declared: undefined, set: undefined }
    const rule: StoredRule = { name, settings, rate: new Rate(rules), turns: new RuleTurns() }
    this.rules.set(name, rule)
    return rule
  }
}
