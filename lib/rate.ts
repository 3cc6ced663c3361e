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
import { type Duration, durationMs } from './duration.ts'
import { describe, OptionError } from './errors.ts'

/** A rule as users write it: `{ limit: 60, per: '1m' }` is at most sixty starts in any minute. */
export interface Rule {
  /** How much any window may hold: a whole number of starts, or with `of` any finite number of units. More than 0. */
  limit: number
  /** The length of the window; more than 0. A start exactly so long ago is outside. */
  per: Duration
  /** The unit of cost that is counted, as in `put(payload, { cost: { tokens: 500 } })`. Starts, unless given. */
  of?: string
  /** Keeps starts `per / limit` apart; with `of`, that times the cost of the earlier one. False by default. */
  spread?: boolean
  /**
   * So many starts, or units, at once, and then evenly, `per / limit` each: from 1 up to `limit`, which is the default.
   * A single cost above it waits until the burst is there in full. Not together with `spread`.
   */
  burst?: number
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

const ruleKeys: readonly string[] = ['limit', 'per', 'of', 'spread', 'burst']

/** The rules that `value` means: one, several or, for undefined, none. Throws an {@link OptionError} with the path. */
export function parseRate(option: string, value: unknown): readonly RateRule[] {
  if (value === undefined) return Object.freeze([])
  if (!Array.isArray(value)) return Object.freeze([parseRule(option, value)])
  return Object.freeze(Array.from(value, (rule, index) => parseRule(`${option}[${index}]`, rule)))
}

function parseRule(option: string, value: unknown): RateRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OptionError(option, value, `must be a rule such as { limit: 60, per: '1m' }, got ${describe(value)}`)
  }
  const rule = value as Record<string, unknown>
  const { limit, per, of: unit, spread, burst } = rule
  const check = (key: string, fits: boolean, allowed: string): void => {
    const problem = `must be ${allowed}, got ${describe(rule[key])}`
    if (!fits) throw new OptionError(`${option}.${key}`, rule[key], problem)
  }
  for (const key of Object.keys(rule)) {
    const problem = `is not part of a rule, which has ${ruleKeys.join(', ')}`
    if (!ruleKeys.includes(key)) throw new OptionError(`${option}.${key}`, rule[key], problem)
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

/** What may start when. Numbers in, numbers out: whoever owns it gives the instants and keeps the grants. */
export class Rate {
  #rules: readonly RateRule[] = []
  #windows: readonly Window[] = []
  #longest: Window | undefined
  #log = new Log(0)
  #heldUntil = -Infinity

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
    if (this.#log.full && this.#log.size >= costlessMost) this.#forgetCostless()
    const grant = this.#log.add(now, Math.min(now + (graceMs > 0 ? graceMs : 0), Number.MAX_VALUE), cost)
    this.#enter(grant)
    return grant
  }
  /** The real instant of the launch; not before the grant. Told again, it can only become later. */
  confirm(grant: number, at: number): void {
    if (!this.#log.has(grant) || !Number.isFinite(at)) return
    this.#leave(grant)
    this.#log.move(grant, at)
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
    if (rules.length === 0) this.#log = new Log(this.#log.last)
    this.#watch(rules)
  }

  state(): RateState {
    const log = this.#log
    const starts: number[][] = []
    for (let grant = log.oldest; grant !== 0; grant = log.newer(grant)) starts.push(log.row(grant))
    const windows = this.#windows.map(({ passedAt, freeAt }) => ({
      passedAt: orNull(passedAt),
      freeAt: orNull(freeAt),
    }))
    return { rules: this.#rules, last: log.last, heldUntil: orNull(this.#heldUntil), windows, units: log.units, starts }
  }
  static from(state: RateState): Rate {
    // JSON has left out what was undefined.
    const rules = state.rules.map(({ limit, perMs, unit, burst }) => Object.freeze({ limit, perMs, unit, burst }))
    const rate = new Rate([])
    rate.#heldUntil = state.heldUntil ?? -Infinity
    rate.#log = new Log(state.last)
    rate.#log.relay(leastSlots, state.units)
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

/** One rule over the log: what its window holds and, where it has a burst, when there is room in that. */
class Window {
  readonly rule: RateRule
  /** The earliest start that counts, 0 for none. Later ones all count. */
  cursor = 0
  /** When the latest of those that no longer count left the window. */
  passedAt: number
  /** When the spread of all that was forgotten is over. */
  freeAt: number
  readonly #log: Log
  readonly #unit: number
  /** Costs are added as whole steps: so sums are exact, and nothing is left over when the window is empty. */
  readonly #scale: number
  readonly #limit: number
  readonly #most: number
  readonly #stepMs: number
  #sum = 0
  /** When the spread of each start is over, by slot: right up to the start `#replayed`, 0 for none. */
  #spreads = new Float64Array(0)
  #replayed = 0

  constructor(rule: RateRule, log: Log, passedAt: number | null = null, freeAt: number | null = null) {
    const { limit, unit, perMs } = rule
    this.rule = rule
    this.passedAt = passedAt ?? -Infinity
    this.freeAt = freeAt ?? -Infinity
    this.#log = log
    this.#unit = unit === undefined ? -1 : log.units.indexOf(unit)
    // The limit has fourteen digits of steps, so that a sum is exact up to ninety limits. Rounding may make six sixths
    // more than a whole; the slack forgives that, and is too little for one whole unit too many.
    this.#scale = unit === undefined ? 1 : 10 ** Math.min(14 - Math.ceil(Math.log10(limit)), 300)
    this.#limit = Math.round(limit * this.#scale)
    this.#most = this.#limit + Math.min(64, Math.floor(this.#scale / 2))
    this.#stepMs = perMs / limit / this.#scale
  }
  used(now: number): number {
    let sum = this.#sum
    for (let grant = this.cursor; grant !== 0 && this.#overAt(grant) <= now; grant = this.#log.newer(grant)) {
      sum -= this.#stepsOf(grant)
    }
    return sum / this.#scale
  }
  /** Whether the start costs nothing here, as far as is known. */
  free(grant: number): boolean {
    return this.#stepsOf(grant) === 0
  }
  /** Whether there is room at `now`, up to which the window was passed. */
  admits(cost: Cost | undefined, now: number): boolean {
    const steps = this.#steps(cost)
    if (this.#sum + steps > this.#most || !(now >= this.passedAt)) return false
    return this.rule.burst === undefined || now >= this.#shapedAt(steps, this.rule.burst, now)
  }
  next(cost: Cost | undefined): number {
    const steps = this.#steps(cost)
    if (steps > this.#most) return Infinity
    let excess = this.#sum + steps - this.#most
    let until = this.passedAt
    for (let grant = this.cursor; grant !== 0 && excess > 0; grant = this.#log.newer(grant)) {
      excess -= this.#stepsOf(grant)
      until = this.#overAt(grant)
    }
    return this.rule.burst === undefined ? until : Math.max(until, this.#shapedAt(steps, this.rule.burst))
  }
  pass(now: number): void {
    for (; this.cursor !== 0; this.cursor = this.#log.newer(this.cursor)) {
      const overAt = this.#overAt(this.cursor)
      if (!(overAt <= now)) return
      this.#sum -= this.#stepsOf(this.cursor)
      this.passedAt = overAt
    }
    this.#sum = 0
  }
  /** The start is in the log, with its instant and cost. */
  enter(grant: number): void {
    const log = this.#log
    if (this.#overAt(grant) > this.passedAt) {
      this.#sum += this.#stepsOf(grant)
      if (log.newer(grant) === this.cursor) this.cursor = grant
    }
    if (this.#replayed !== 0 && log.at(this.#replayed) > log.at(grant)) this.#replayed = log.older(grant)
  }
  /** The start is about to be taken from the log, or to be changed. */
  leave(grant: number): void {
    const log = this.#log
    if (this.#overAt(grant) > this.passedAt) {
      this.#sum -= this.#stepsOf(grant)
      if (this.cursor === grant) this.cursor = log.newer(grant)
    }
    while (this.#replayed !== 0 && log.at(this.#replayed) >= log.at(grant)) this.#replayed = log.older(this.#replayed)
  }
  /** The earliest start is about to be forgotten; what it means for the spread stays. */
  drop(grant: number): void {
    if (this.rule.burst !== undefined) this.freeAt = this.#spread(this.freeAt, grant)
    if (this.#replayed === grant) this.#replayed = 0
  }

  /**
   * When the burst has room for so many steps more. GCRA keeps the instant at which all starts, spread evenly, would be
   * over, and admits another from `burst`, less its own cost, before that. The latest starts that together fit into so
   * much are left out: they may come at once with this one, even where they count at an instant that is still ahead.
   */
  #shapedAt(steps: number, burst: number, now = -Infinity): number {
    const log = this.#log
    if (this.#spreads.length !== log.slots) {
      this.#spreads = new Float64Array(log.slots)
      this.#replayed = 0
    }
    let grant = this.#replayed === 0 ? log.oldest : log.newer(this.#replayed)
    for (; grant !== 0; grant = log.newer(grant)) {
      this.#spreads[log.slot(grant)] = this.#spread(this.#spreadUntil(this.#replayed), grant)
      this.#replayed = grant
    }
    const tolerance = Math.max(burst * this.#scale - steps, 0)
    // By far the most often none has to be left out.
    const allAt = this.#spreadUntil(log.newest) - tolerance * this.#stepMs
    if (allAt <= now) return allAt
    let beside = 0
    for (grant = log.newest; grant !== 0; grant = log.older(grant)) {
      const more = beside + this.#spreadSteps(grant)
      if (more > tolerance + this.#most - this.#limit) break
      beside = more
    }
    return this.#spreadUntil(grant) + (beside - tolerance) * this.#stepMs
  }
  #spreadUntil(grant: number): number {
    return grant === 0 ? this.freeAt : (this.#spreads[this.#log.slot(grant)] as number)
  }
  #spread(until: number, grant: number): number {
    return Math.max(until, this.#log.at(grant)) + this.#spreadSteps(grant) * this.#stepMs
  }
  /** A debt holds up the spread for one window, as it does the window itself. */
  #spreadSteps(grant: number): number {
    return Math.min(this.#stepsOf(grant), this.#limit)
  }
  #overAt(grant: number): number {
    return this.#log.at(grant) + this.rule.perMs
  }
  #stepsOf(grant: number): number {
    return this.#unit < 0 ? 1 : this.#toSteps(this.#log.read(grant, firstCost + this.#unit))
  }
  #steps(cost: Cost | undefined): number {
    return this.rule.unit === undefined ? 1 : this.#toSteps(amountOf(cost, this.rule.unit))
  }
  #toSteps(amount: number): number {
    return Math.min(Math.round(amount * this.#scale), 10 * this.#most)
  }
}

// What a row of the log holds, in this order; then the cost in each unit.
const own = 0
const countedAt = 1
const grantedAt = 2
const olderOne = 3
const newerOne = 4
const firstCost = 5

const leastSlots = 8
const mostUnits = 16

/** From so many starts on, those that cost nothing make room before the log grows. */
const costlessMost = 65_536

/**
 * The starts that are remembered, a row of numbers each. The low bits of a start's own number are its slot, so that it
 * is found at once; a number whose slot is taken is never given. They are linked in order of the instant they count at.
 * 0 is no start.
 */
class Log {
  size = 0
  /** The number given last. */
  last: number
  oldest = 0
  newest = 0
  units: readonly string[] = []
  /** A power of two, or 0 before the first start. */
  slots = 0
  #width = firstCost
  #cells = new Float64Array(0)
  /** The start moved last. The next goes near it, for confirmations come in nearly the order of their instants. */
  #moved = 0

  constructor(last: number) {
    this.last = last
  }
  /** At most half of the slots are taken, so that a free one is near. */
  get full(): boolean {
    return this.size * 2 >= this.slots
  }
  slot(grant: number): number {
    return grant & (this.slots - 1)
  }
  read(grant: number, column: number): number {
    return this.#cells[this.slot(grant) * this.#width + column] as number
  }
  has(grant: number): boolean {
    return grant > 0 && this.read(grant, own) === grant
  }
  at(grant: number): number {
    return this.read(grant, countedAt)
  }
  older(grant: number): number {
    return this.read(grant, olderOne)
  }
  newer(grant: number): number {
    return this.read(grant, newerOne)
  }
  /** A start as {@link RateState} has it. */
  row(grant: number): number[] {
    const costs = this.units.map((_, unit) => this.read(grant, firstCost + unit))
    return [grant, this.read(grant, grantedAt), this.at(grant), ...costs]
  }

  add(now: number, at: number, cost: Cost | undefined): number {
    const { slots, size, last } = this
    if (this.full) this.relay(Math.max(slots * 2, leastSlots), this.units)
    // After a rush, the slots become fewer again as the numbers come round.
    else if (slots > leastSlots && size * 8 <= slots && (size === 0 || this.slot(last) === 0)) {
      this.relay(slots / 2, this.units)
    }
    this.#meet(cost)
    let grant = last + 1
    while (this.read(grant, own) !== 0) grant++
    this.last = grant
    for (let unit = 0; unit < this.units.length; unit++) {
      this.#write(grant, firstCost + unit, amountOf(cost, this.units[unit] as string))
    }
    this.#put(grant, now, at, this.newest)
    return grant
  }
  /** Puts back a start that `row` gave. */
  restore(row: readonly number[]): void {
    const [grant, now, at] = row as [number, number, number]
    while (this.full || this.read(grant, own) !== 0) this.relay(this.slots * 2, this.units)
    for (let unit = 0; unit < this.units.length; unit++) this.#write(grant, firstCost + unit, row[3 + unit] ?? 0)
    this.#put(grant, now, at, this.newest)
  }
  move(grant: number, at: number): void {
    const real = Math.max(at, this.read(grant, grantedAt))
    this.remove(grant)
    this.#put(grant, real, real, this.has(this.#moved) ? this.#moved : this.newest)
    this.#moved = grant
  }
  correct(grant: number, cost: Cost): void {
    this.#meet(cost)
    for (const [index, unit] of this.units.entries()) {
      const amount = cost[unit]
      if (amount !== undefined && amount >= 0) this.#write(grant, firstCost + index, amountOf(cost, unit))
    }
  }
  remove(grant: number): void {
    const older = this.older(grant)
    const newer = this.newer(grant)
    this.#link(older, newer)
    this.#write(grant, own, 0)
    this.size--
  }
  /** Remembers the cost in these units too. */
  name(units: readonly string[]): void {
    this.relay(this.slots, [...new Set([...this.units, ...units])])
  }
  /** Gives the rows so many slots and these units. Does nothing where two of them would share a slot. */
  relay(slots: number, units: readonly string[]): void {
    const width = firstCost + units.length
    const cells = new Float64Array(slots * width)
    const from = units.map(unit => this.units.indexOf(unit))
    for (let grant = this.oldest; grant !== 0; grant = this.newer(grant)) {
      const row = (grant & (slots - 1)) * width
      if (cells[row] !== 0) return
      for (let column = 0; column < firstCost; column++) cells[row + column] = this.read(grant, column)
      from.forEach((known, unit) => {
        if (known >= 0) cells[row + firstCost + unit] = this.read(grant, firstCost + known)
      })
    }
    this.slots = slots
    this.units = units
    this.#width = width
    this.#cells = cells
  }
  /** A later rule may ask for a unit that none asks for now; but jobs must not make the rows ever wider. */
  #meet(cost: Cost | undefined): void {
    for (const unit in cost) if (!this.units.includes(unit) && this.units.length < mostUnits) this.name([unit])
  }
  #put(grant: number, now: number, at: number, near: number): void {
    let older = near
    while (older !== 0 && this.at(older) > at) older = this.older(older)
    let newer = older === 0 ? this.oldest : this.newer(older)
    while (newer !== 0 && this.at(newer) <= at) {
      older = newer
      newer = this.newer(newer)
    }
    this.#write(grant, own, grant)
    this.#write(grant, countedAt, at)
    this.#write(grant, grantedAt, now)
    this.#link(older, grant)
    this.#link(grant, newer)
    this.size++
  }
  #link(older: number, newer: number): void {
    if (older === 0) this.oldest = newer
    else this.#write(older, newerOne, newer)
    if (newer === 0) this.newest = older
    else this.#write(newer, olderOne, older)
  }
  #write(grant: number, column: number, value: number): void {
    this.#cells[this.slot(grant) * this.#width + column] = value
  }
}

/** Not a number and less than nothing are refused where a job is put; here they are nothing. */
function amountOf(cost: Cost | undefined, unit: string): number {
  const amount = cost?.[unit]
  return amount !== undefined && amount > 0 ? Math.min(amount, Number.MAX_VALUE) : 0
}

function orNull(instant: number): number | null {
  return instant === -Infinity ? null : instant
}
