/**
 * Rate: in any half-open window of length `per`, at most `limit` starts or units of cost; and `spread` or `burst` besides.
 *
 * Holds no timer and reads no clock: every instant is handed in, as milliseconds of one steady clock. A backlog calls it
 * in the step that gives jobs out, be that in memory or within a transaction of SQLite, and it can be written down.
 *
 * The window is an exact sliding log: each start is remembered until the longest rule is over it, in order of instant,
 * and each rule has a cursor and a running sum over that log. Spread and burst are the generic cell rate algorithm
 * (ITU-T I.371), replayed over the same log, so that what is learnt later about a start corrects both.
 */

import { describe, numberHint, OptionError } from '../errors.ts'
import { type Duration, durationMs } from '../options/duration.ts'
import { meantBy, optionsOf, unreadable } from '../options/option-names.ts'
import { amountOf, minSlots, StartLog } from './start-log.ts'
import { Window } from './window.ts'

/** A rule as users write it: `{ limit: 60, per: '1m' }` is at most sixty starts in any minute. */
export interface Rule {
  /** How much any window may hold: a whole number of starts, or with `of` any finite number of units. More than 0. */
  limit: number
  /** The length of the window; more than 0. A start exactly so long ago is outside. */
  per: Duration
  /** The unit of cost that is counted, as in `put(payload, { cost: { tokens: 500 } })`. Starts, unless given. */
  of?: string | undefined
  /** Keeps starts `per / limit` apart; with `of`, that times the cost of the earlier one. False by default. */
  spread?: boolean | undefined
  /**
   * So many starts, or units, at once, and then evenly, `per / limit` each: from 1 up to `limit`, which is the default.
   * A single cost above it waits until the burst is there in full. Not together with `spread`.
   */
  burst?: number | undefined
}

/** A rule as it was parsed. */
export interface RateRule {
  readonly limit: number
  readonly perMs: number
  /** The unit of cost that is counted; undefined counts starts. */
  readonly unit: string | undefined
  /** What may come at once. Of a spread rule it is 1, or 0 with a unit: nothing but the one start, whatever it costs. */
  readonly burst: number | undefined
}

/** What a start takes, by unit. A unit that is not named costs 0. */
export type Cost = Readonly<Record<string, number>>

/** All that a rate remembers, as plain data for JSON. Instants are of the clock that was handed in; null is never. */
export interface RateState {
  readonly rules: readonly RateRule[]
  /** The number granted last. */
  readonly last: number
  readonly heldUntil: number | null
  /** For each rule: up to when windows have passed, and from when its spread is free of the starts forgotten. */
  readonly windows: readonly { readonly passedAt: number | null; readonly freeAt: number | null }[]
  readonly units: readonly string[]
  /** For each start, earliest first: its number, its earliest instant, the one it counts at, its cost in each unit. */
  readonly starts: readonly (readonly number[])[]
}

/** What of a rate's state has changed, so that a start is written down for itself and not with all others. */
export interface RateChanges {
  /** All starts that were there before are forgotten. */
  readonly cleared: boolean
  /** Starts that are new or have changed, as rows of {@link RateState}; and the numbers of those that are gone. */
  readonly starts: readonly (readonly number[])[]
  readonly gone: readonly number[]
  readonly marks: Omit<RateState, 'rules' | 'starts'>
}

const ruleKeys: readonly string[] = ['limit', 'per', 'of', 'spread', 'burst']

/** The rules that `value` means: one, several or, for undefined, none. Throws an {@link OptionError} with the path. */
export function parseRate(option: string, value: unknown): readonly RateRule[] {
  if (value === undefined) return Object.freeze([])
  try {
    if (!Array.isArray(value)) return Object.freeze([parseRule(option, value)])
    return Object.freeze(Array.from(value, (rule, index) => parseRule(`${option}[${index}]`, rule)))
  } catch (error) {
    throw error instanceof OptionError ? error : unreadable(option, error)
  }
}

function parseRule(option: string, value: unknown): RateRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(option, value, `must be a rule such as { limit: 60, per: '1m' }, got ${describe(value)}`)
  }
  const rule = optionsOf(`${option}.`, 'perMs' in value ? ruleOf(value as Partial<RateRule>) : value, ruleKeys)
  const { limit, per, of: unit, spread, burst } = rule
  const check = (key: string, fits: boolean, allowed: string): void => {
    const hint = key === 'limit' || key === 'burst' ? numberHint(rule[key]) : ''
    const problem = `must be ${allowed}, got ${describe(rule[key])}${hint}`
    if (!fits) throw new OptionError(`${option}.${key}`, rule[key], problem)
  }
  const units = unit !== undefined
  check('of', !units || (typeof unit === 'string' && unit !== ''), `the name of a unit of cost such as 'tokens'`)
  const most = typeof limit === 'number' && limit > 0 && (units ? limit < Infinity : Number.isSafeInteger(limit))
  check('limit', most, units ? 'a finite number more than 0' : 'a whole number of 1 or more')
  const perMs = durationMs(`${option}.per`, per, 'more')
  check('spread', spread === undefined || typeof spread === 'boolean', 'true or false')
  if (burst === undefined) {
    const alone = units ? 0 : 1
    return Object.freeze({ limit: limit as number, perMs, unit: unit as string, burst: spread ? alone : undefined })
  }
  check('burst', typeof burst === 'number' && burst >= 1 && burst <= (limit as number), `from 1 to the limit, ${limit}`)
  check('burst', spread !== true, 'left out where spread is true, which is a burst of one start')
  return Object.freeze({ limit: limit as number, perMs, unit: unit as string, burst: burst as number })
}

/** A rule that was parsed before, as users write one: `queue.rate = queue.rate` must not be an error. */
function ruleOf({ limit, perMs, unit, burst, ...rest }: Partial<RateRule>): object {
  const spread = burst === (unit === undefined ? 1 : 0)
  return { limit, per: perMs, of: unit, ...(spread ? { spread } : { burst }), ...rest }
}

/** Refuses a cost in a unit that no rule counts, where any rule counts units: misspelt, it would be free. */
export function refuseUnknownUnits(option: string, cost: Cost, rules: readonly RateRule[]): void {
  const problem = unknownUnit(option, cost, rules)
  if (problem) throw problem
}

/** What is wrong with the units of `cost`; undefined where nothing is. */
export function unknownUnit(option: string, cost: Cost, rules: readonly RateRule[]): OptionError | undefined {
  const units = rules.flatMap(rule => rule.unit ?? [])
  if (units.length === 0) return undefined
  const unknown = Object.keys(cost).find(unit => !units.includes(unit))
  if (unknown === undefined) return undefined
  const meant = meantBy(unknown, units)
  const hint = meant === undefined ? '' : `; did you mean ${option}.${meant}?`
  const problem = `is not a unit that the rate counts, which are ${[...new Set(units)].join(', ')}${hint}`
  return new OptionError(`${option}.${unknown}`, cost[unknown], problem)
}

/** What may start when. Numbers in, numbers out: whoever owns it gives the instants and keeps the grants. */
export class Rate {
  #rules: readonly RateRule[] = []
  #windows: readonly Window[] = []
  #longest: Window | undefined
  #log = new StartLog(0)
  #heldUntil = -Infinity
  #cleared = false

  constructor(rules: readonly RateRule[]) {
    this.change(rules, 0)
  }
  get rules(): readonly RateRule[] {
    return this.#rules
  }
  /** Nothing limits: every grant says yes and records nothing. */
  get idle(): boolean {
    return this.#windows.length === 0 && this.#heldUntil === -Infinity
  }
  /** The end of the hold; -Infinity once a grant has passed it. */
  get heldUntil(): number {
    return this.#heldUntil
  }

  /**
   * The earliest instant at which `grant(cost)` could succeed if nothing else happens: `now` or less if it can at once,
   * Infinity if it never can. Walks over as many starts as must leave the window for it.
   */
  next(cost: Cost | undefined, now: number): number {
    return this.blocking(cost, now)?.until ?? now
  }
  /** What refuses longest, a rule or (undefined) a hold, and until when; undefined when a grant would succeed. */
  blocking(cost: Cost | undefined, now: number): { rule: RateRule | undefined; until: number } | undefined {
    let rule: RateRule | undefined
    let until = this.#heldUntil
    for (const window of this.#windows) {
      const next = window.next(cost)
      if (next <= until) continue
      until = next
      rule = window.rule
    }
    return until > now ? { rule, until } : undefined
  }
  /** The first unit of which `cost` is more than a whole window holds, so that it can never start. */
  impossible(cost: Cost | undefined): { unit: string; cost: number; limit: number } | undefined {
    const { unit, limit } = this.#windows.find(window => window.next(cost) === Infinity)?.rule ?? {}
    return unit === undefined || limit === undefined ? undefined : { unit, cost: amountOf(cost, unit), limit }
  }
  /** How much of each rule's window is taken; after a correction it may be more than the limit. */
  used(now: number): readonly { rule: RateRule; used: number }[] {
    return this.#windows.map(window => ({ rule: window.rule, used: window.used(now) }))
  }

  /**
   * Asks all rules and then charges all of them. A number of 0 or more names the grant, each above the one before; 0
   * alone was not recorded. -1 refuses, and nothing was charged.
   *
   * The start counts at `now + graceMs`, its last possible instant, until `confirm` tells the real one. A window that is
   * over its limit, by a correction or a change, refuses also what costs nothing. An instant before one that a window
   * has passed is refused, for starts that would still count there are forgotten: a clock set back can only hold up.
   */
  grant(cost: Cost | undefined, now: number, graceMs: number): number {
    if (now < this.#heldUntil) return -1
    this.#heldUntil = -Infinity
    if (this.#windows.length === 0) return 0
    this.#forget(now)
    for (const window of this.#windows) if (!window.admits(cost, now)) return -1
    if (this.#log.full && this.#log.size >= maxCostless) this.#forgetCostless()
    const grant = this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)
    this.#enter(grant)
    return grant
  }
  /**
   * The real instant of the launch; not before the grant. Told again, it can only become later. A launch may be reported so
   * late that its start was forgotten, a window after the end of its grace: then it is remembered anew, and costs no unit
   * until `correct` names one.
   */
  confirm(grant: number, at: number): void {
    if (!Number.isFinite(at)) return
    if (this.#log.has(grant)) {
      this.#leave(grant)
      this.#log.move(grant, at)
    } else {
      const given = Number.isSafeInteger(grant) && grant > 0 && grant <= this.#log.last
      if (!given || this.#windows.length === 0) return
      this.#log.restore([grant, at, at])
    }
    this.#enter(grant)
  }
  /** The job was provably not launched: as if the grant had never been. */
  refund(grant: number): void {
    if (!this.#log.has(grant)) return
    this.#leave(grant)
    this.#log.remove(grant)
  }
  /**
   * The real cost, in the units it names, replaces the reserved one at the instant of the start: more, even above the
   * limit (beyond ten limits it counts as ten), or less. Too late once the start has left the longest window.
   */
  correct(grant: number, cost: Cost): void {
    if (!this.#log.has(grant)) return
    this.#leave(grant)
    this.#log.correct(grant, cost)
    this.#enter(grant)
  }
  /** Nothing is granted before `until`, nor before the end of an earlier hold. */
  hold(until: number): void {
    if (until > this.#heldUntil) this.#heldUntil = Math.min(until, Number.MAX_VALUE)
  }
  /**
   * From now on every window obeys the new rules, for all starts that the old rules still remember, also by a unit that
   * no old rule named. Without rules everything is forgotten.
   */
  change(rules: readonly RateRule[], now: number): void {
    this.#forget(now)
    if (rules.length === 0) {
      const { last, touched } = this.#log
      this.#log = new StartLog(last)
      if (touched) this.#log.touched = new Set()
      this.#cleared = true
    }
    this.#watch(rules)
  }

  state(): RateState {
    const log = this.#log
    const starts: number[][] = []
    for (let grant = log.oldest; grant !== 0; grant = log.newer(grant)) starts.push(log.row(grant))
    return { rules: this.#rules, starts, ...this.#marks() }
  }
  /** Begins to note which starts change, for `changes`. */
  track(): void {
    this.#log.touched = new Set()
    this.#cleared = false
  }
  /** What has changed since it was last asked, or since `track`. */
  changes(): RateChanges {
    const log = this.#log
    const cleared = this.#cleared
    const starts: number[][] = []
    const gone: number[] = []
    for (const grant of log.touched ?? []) {
      if (log.has(grant)) starts.push(log.row(grant))
      else gone.push(grant)
    }
    this.track()
    return { cleared, starts, gone, marks: this.#marks() }
  }
  /** The instant at which a start counts; undefined when it is no longer remembered. */
  countsAt(grant: number): number | undefined {
    return this.#log.has(grant) ? this.#log.at(grant) : undefined
  }
  #marks(): RateChanges['marks'] {
    const log = this.#log
    const windows = this.#windows.map(({ passedAt, freeAt }) => ({
      passedAt: orNull(passedAt),
      freeAt: orNull(freeAt),
    }))
    return { last: log.last, heldUntil: orNull(this.#heldUntil), windows, units: log.units }
  }
  static from(state: RateState): Rate {
    // JSON has left out what was undefined.
    const rules = state.rules.map(({ limit, perMs, unit, burst }) => Object.freeze({ limit, perMs, unit, burst }))
    const rate = new Rate([])
    rate.#heldUntil = state.heldUntil ?? -Infinity
    rate.#log = new StartLog(state.last)
    rate.#log.relay(minSlots, state.units)
    for (const row of state.starts) rate.#log.restore(row)
    rate.#watch(Object.freeze(rules), state.windows)
    return rate
  }

  #enter(grant: number): void {
    for (const window of this.#windows) window.enter(grant)
  }
  #leave(grant: number): void {
    for (const window of this.#windows) window.leave(grant)
  }
  /** Passes what is over for each rule, and forgets what is over for the longest and therefore for all. */
  #forget(now: number): void {
    for (const window of this.#windows) window.pass(now)
    const log = this.#log
    while (log.oldest !== 0 && log.oldest !== this.#longest?.cursor) {
      for (const window of this.#windows) window.drop(log.oldest)
      log.remove(log.oldest)
    }
  }
  /** Starts that cost nothing are remembered for a correction alone. No limit bounds them, so the older ones must go. */
  #forgetCostless(): void {
    const log = this.#log
    let grant = log.oldest
    for (let left = log.size >> 1; left > 0; left--) {
      const newer = log.newer(grant)
      if (this.#windows.every(window => window.free(grant))) this.refund(grant)
      grant = newer
    }
    if (log.size * 8 > log.slots * 3) log.relay(log.slots * 2, log.units)
  }
  /** Makes windows of the rules, over all starts that are remembered. */
  #watch(rules: readonly RateRule[], marks: RateState['windows'] = []): void {
    this.#rules = rules
    this.#log.name(rules.flatMap(rule => rule.unit ?? []))
    this.#windows = rules.map((rule, i) => new Window(rule, this.#log, marks[i]?.passedAt, marks[i]?.freeAt))
    const longestMs = Math.max(...rules.map(rule => rule.perMs))
    this.#longest = this.#windows.find(window => window.rule.perMs === longestMs)
    for (let grant = this.#log.newest; grant !== 0; grant = this.#log.older(grant)) this.#enter(grant)
  }
}

/** From so many starts on, those that cost nothing make room before the log grows. */
const maxCostless = 65_536

function orNull(instant: number): number | null {
  return instant === -Infinity ? null : instant
}
