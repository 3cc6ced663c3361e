/** Limits and sharing by key in the naive store: everything is found by looking at all jobs. */
import type { KeyReport } from '../../lib/backlog.ts'
import {
  clockAfterStart,
  tagAfterChange,
  tagAfterReturn,
  tagAfterStart,
  tagOnArrival,
} from '../../lib/limits/fairness.ts'
import {
  type KeyOverride,
  type KeySettings,
  type KeysPolicy,
  keyless,
  noKeys,
  overridden,
  settingsOf,
  textOfKeys,
} from '../../lib/limits/keys.ts'
import { type Refusal, type Scope, unlimited } from '../../lib/limits/limit.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import { Rate, type RateState } from '../../lib/rate/rate.ts'
import { sameRules, withLearned } from '../../lib/rate/rules.ts'
import { inOrderOfStart } from '../../lib/rules/order.ts'
import type * as wire from '../../persistence/durable/store.ts'
import type { Job, NaiveData, Queue } from './naive-database.ts'

/** What a queue knows of its keys. */
export interface Keys {
  policy: KeysPolicy | undefined
  declared: string | undefined
  readonly overrides: Map<string, KeyOverride>
  /** The virtual clock, and the tags of keys that have jobs which wait. */
  clock: number
  readonly tags: Map<string, number>
  readonly rates: Map<string, RateState>
}

export const newKeys = (): Keys => ({
  ...{ policy: undefined, declared: undefined, overrides: new Map(), clock: 0 },
  ...{ tags: new Map(), rates: new Map() },
})
export const keyOf = ({ more }: Job): string => more.key ?? keyless
const settings = ({ keys }: Queue, key: string): KeySettings =>
  settingsOf(keys.policy ?? noKeys, keys.overrides.get(key), key)
const isFair = ({ keys }: Queue): boolean => keys.policy?.order === 'fair'

export function declare(queue: Queue, policy: KeysPolicy | undefined, now: number): void {
  const declared = policy && textOfKeys(policy)
  if (policy === undefined || declared === queue.keys.declared) return
  if (queue.keys.policy?.order !== policy.order) queue.keys.tags.clear()
  Object.assign(queue.keys, { policy, declared })
  queue.keysVersion++
  for (const key of new Set([...queue.keys.tags.keys(), ...queue.keys.rates.keys()])) changed(queue, key, now)
}
export function set(queue: Queue, key: string, change: KeyOverride, now: number): void {
  const override = overridden(queue.keys.overrides.get(key), change)
  if (override) queue.keys.overrides.set(key, override)
  else queue.keys.overrides.delete(key)
  changed(queue, key, now)
}
export function clearOverrides(queue: Queue, now: number): void {
  const keys = [...queue.keys.overrides.keys()]
  queue.keys.overrides.clear()
  for (const key of keys) changed(queue, key, now)
}
function changed(queue: Queue, key: string, now: number): void {
  const { tags, clock, rates } = queue.keys
  if (rates.has(key)) rates.set(key, rateOf(queue, key, now).state())
  const tag = tags.get(key)
  if (tag !== undefined) tags.set(key, tagAfterChange(clock, tag, settings(queue, key).weight))
}
export function keysNow({ keys, keysVersion }: Queue): wire.KeysNow {
  return { version: keysVersion, policy: keys.policy, overrides: [...keys.overrides] }
}
/** Whether keys limit or share. */
export function isSorted({ keysVersion }: Queue): boolean {
  return keysVersion > 0
}

// Rates.
export function rateOf(queue: Queue, key: string, now: number): Rate {
  const state = queue.keys.rates.get(key)
  const { rate: rules } = settings(queue, key)
  if (!state) return new Rate(rules)
  const rate = Rate.from(state)
  if (!sameRules(rate.rules, withLearned(rules, rate.rules))) rate.change(rules, now)
  return rate
}
export function changeRate<T>(queue: Queue, key: string, now: number, change: (rate: Rate) => T): T {
  const rate = rateOf(queue, key, now)
  const done = change(rate)
  queue.keys.rates.set(key, rate.state())
  return done
}
/** Whether a rule may refuse a job. */
export function isLimited(queue: Queue, rate: Rate): boolean {
  const { policy, overrides } = queue.keys
  return !rate.idle || (policy?.rate.length ?? 0) > 0 || [...overrides.values()].some(one => one.rate !== undefined)
}

// Limits.
export function scopeOf(data: NaiveData, queue: Queue, key: string, now: number): Scope {
  const { width, paused } = settings(queue, key)
  const claims = [...queue.jobs.values()].filter(job => job.state === 'underway' && keyOf(job) === key)
  const bodies = [...data.workers.values()].flatMap(worker => [...worker.bodies.values()])
  const underway = claims.length + bodies.filter(body => body.queueId === queue.queueId && body.key === key).length
  const heldUntil = queue.heldKeys.get(key) ?? -Infinity
  return { width, paused, underway, heldUntil, rate: rateOf(queue, key, now) }
}
export function refusal(
  data: NaiveData,
  queue: Queue,
  key: string,
  cost: Job['more']['cost'],
  now: number,
): Refusal | undefined {
  if (key === keyless || !isSorted(queue)) return undefined
  return refusalOf(scopeOf(data, queue, key, now), cost, now)
}

// Turns.

/** Keys that have got jobs since the last claim get a tag, and those without jobs lose theirs. */
export function arrive(queue: Queue, waiting: readonly Job[]): void {
  const { tags, clock } = queue.keys
  const keys = new Set(waiting.map(keyOf))
  for (const key of tags.keys()) if (!keys.has(key)) tags.delete(key)
  for (const key of keys) if (!tags.has(key)) tags.set(key, tagOnArrival(clock, settings(queue, key).weight))
}
/** The first of these jobs, each the next one of its key. */
export function next(queue: Queue, heads: readonly Job[]): Job | undefined {
  const { tags } = queue.keys
  const order = (a: Job, b: Job): number =>
    isFair(queue)
      ? (tags.get(keyOf(a)) as number) - (tags.get(keyOf(b)) as number) || a.seq - b.seq
      : a.priority - b.priority || a.seq - b.seq
  return [...heads].sort(order)[0]
}
export function started(queue: Queue, key: string): void {
  const { keys } = queue
  const tag = keys.tags.get(key) ?? keys.clock
  keys.tags.set(key, tagAfterStart(keys.clock, tag, settings(queue, key).weight))
  keys.clock = clockAfterStart(keys.clock, tag)
}
export function returned(queue: Queue, key: string): void {
  const { tags, clock } = queue.keys
  const tag = tags.get(key)
  tags.set(key, tag === undefined ? clock : tagAfterReturn(clock, tag, settings(queue, key).weight))
}

export function list(data: NaiveData, queue: Queue, { query, now }: wire.KeysRequest): wire.KeysReply {
  const { key, state, limit, after = '' } = query
  const jobs = [...queue.jobs.values()].filter(({ more, state }) => more.key !== undefined && state in counted)
  const names = new Set([...jobs.map(keyOf), ...queue.keys.overrides.keys()])
  const keys = [...names].filter(name => (key === undefined ? name > after : name === key)).sort()
  const reports = keys.map((name): KeyReport => {
    const of = (state: string): number => jobs.filter(job => job.state === state && keyOf(job) === name).length
    const [next] = jobs.filter(job => job.state === 'pending' && keyOf(job) === name).sort(inOrderOfStart)
    const held = { ...unlimited, heldUntil: queue.heldKeys.get(name) ?? -Infinity }
    const refused = refusalOf(isSorted(queue) ? scopeOf(data, queue, name, now) : held, next?.more.cost, now)
    const until = refused && refused.until < Infinity ? refused.until : undefined
    const counts = { pending: of('pending'), delayed: of('delayed'), underway: of('underway') }
    return { key: name, ...counts, why: refused?.why, until }
  })
  return { keys: reports.filter(report => state === undefined || report[state] > 0).slice(0, limit) }
}
const counted = { pending: true, delayed: true, underway: true }
