/** The declaration for all keys of a queue and the overrides of single ones, as far as a history shows them. */
import type { KeysPolicy } from '../../lib/limits/keys.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import type { Entry } from '../entry.ts'
import { found } from './judge.ts'
import { Requested } from './requested.ts'

/** Without a declaration keys neither share nor limit. */
const undeclared: KeysPolicy = { width: Infinity, rate: [], weight: 1, order: 'priority' }

/** The limits of one key. */
interface KeyLimits {
  readonly width: number
  readonly rate: readonly RateRule[]
  readonly paused: boolean
}

/** The override of one key. Undefined: as declared. */
class KeyRequests {
  readonly width: Requested<number | undefined> = new Requested<number | undefined>(undefined)
  readonly rate: Requested<readonly RateRule[] | undefined> = new Requested<readonly RateRule[] | undefined>(undefined)
  readonly weight: Requested<number | undefined> = new Requested<number | undefined>(undefined)
  readonly paused: Requested<boolean> = new Requested<boolean>(false)

  get all(): readonly { take(entry: Entry): void; readonly settledAt: number }[] {
    return [this.width, this.rate, this.weight, this.paused]
  }
  clear(by: Entry, call: number): void {
    for (const each of [this.width, this.rate, this.weight]) each.note(by, undefined, call)
    this.paused.note(by, false, call)
  }
}

export class KeySettings {
  readonly policy: Requested<KeysPolicy> = new Requested(undeclared)
  readonly #keys = new Map<string, KeyRequests>()
  /** Requests to clear all overrides, which may also clear one that is set later by another process. */
  readonly #clears: Entry<'clearOverrides'>[] = []

  take(entry: Entry): void {
    if (entry.kind === 'opened' && entry.keys) this.policy.note(entry, entry.keys, undefined)
    if (entry.kind === 'key') {
      const { width, rate, weight, paused, call } = entry
      const key = this.#of(entry.key)
      if (width !== undefined) key.width.note(entry, width ?? undefined, call)
      if (rate !== undefined) key.rate.note(entry, rate ?? undefined, call)
      if (weight !== undefined) key.weight.note(entry, weight ?? undefined, call)
      if (paused !== undefined) key.paused.note(entry, paused, call)
    }
    if (entry.kind === 'clearOverrides' && (entry.only ?? 'keys') === 'keys') {
      this.#clears.push(entry)
      for (const key of this.#keys.values()) key.clear(entry, entry.call)
    }
    this.policy.take(entry)
    for (const key of this.#keys.values()) for (const each of key.all) each.take(entry)
  }
  #of(key: string): KeyRequests {
    return found(this.#keys, key, () => {
      const made = new KeyRequests()
      for (const clear of this.#clears) made.clear(clear, clear.call)
      return made
    })
  }
  /** Whether keys share by weight for the job that starts at this entry; undefined if that is unknown. */
  isFair(at: Entry, slackMs: number): boolean | undefined {
    const orders = new Set(this.policy.possible(at, slackMs).map(({ order }) => order))
    return orders.size > 1 ? undefined : orders.has('fair')
  }
  /** The widths, rules, weights and pauses of which one was in force for the key when such a job was granted. */
  widths(key: string, at: Entry, slackMs: number): number[] {
    return this.#possible(this.#of(key).width, this.policy, ({ width }) => width, at, slackMs)
  }
  rates(key: string, at: Entry, slackMs: number): (readonly RateRule[])[] {
    return this.#possible(this.#of(key).rate, this.policy, ({ rate }) => rate, at, slackMs)
  }
  weights(key: string, at: Entry, slackMs: number): number[] {
    return this.#possible(this.#of(key).weight, this.policy, ({ weight }) => weight, at, slackMs)
  }
  pauses(key: string, at: Entry, slackMs: number): boolean[] {
    return this.#of(key).paused.possible(at, slackMs)
  }
  #possible<T>(
    set: Requested<T | undefined>,
    policy: Requested<KeysPolicy>,
    declared: (policy: KeysPolicy) => T,
    at: Entry,
    slackMs: number,
  ): T[] {
    const policies = policy.possible(at, slackMs)
    const values = set
      .possible(at, slackMs)
      .flatMap(value => (value === undefined ? policies.map(policy => declared(policy)) : [value]))
    return [...new Set(values)]
  }
  /** The last request for the key. */
  latest(key: string): KeyLimits {
    const { width, rate, paused } = this.#of(key)
    const { latest } = this.policy
    return { width: width.latest ?? latest.width, rate: rate.latest ?? latest.rate, paused: paused.latest }
  }
  /** Whether nothing was ever requested that may hold the key up. */
  wasNeverLimited(key: string): boolean {
    const { width, rate, paused } = this.#of(key)
    const widths = [...width.all, ...this.policy.all.map(({ width }) => width)]
    const rates = [...rate.all, ...this.policy.all.map(({ rate }) => rate)]
    return (
      widths.every(width => (width ?? Infinity) === Infinity) &&
      rates.every(rules => (rules ?? []).length === 0) &&
      !paused.all.includes(true)
    )
  }
  /** Since when all that was requested last for the key certainly holds; Infinity: something else may. */
  settledAt(key: string): number {
    return Math.max(this.policy.settledAt, ...this.#of(key).all.map(({ settledAt }) => settledAt))
  }
}
