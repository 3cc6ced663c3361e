/**
 * Rate limits: at most `limit` starts, or units of cost, in any half-open window of length `per`. Each rule may add
 * `spread` or `burst`.
 *
 * The rate holds no timer and reads no clock. Callers pass every instant, in milliseconds of one steady clock. A
 * backlog calls the rate in the step that claims jobs, in memory or within a transaction of a database, and can store its
 * state.
 *
 * The window is an exact sliding log: the starts are kept in order of instant until the longest rule no longer counts
 * them, and each rule has a cursor and a running sum over that log. Spread and burst are the generic cell rate
 * algorithm (ITU-T I.371), replayed over the same log. A later correction of a start therefore corrects both.
 */

import { type Learned, rememberedMs } from './jitter.ts'
import { type Cost, learns, type RateRule, ruleFromJson, windowMs, withLearned } from './rules.ts'
import { minSlots, StartLog } from './start-log.ts'
import { type ImpossibleCost, impossible, Window, type WindowMarks } from './window.ts'

/** The whole state of a rate, as plain data for JSON. Instants belong to the caller's clock; null means never. */
export interface RateState {
  readonly rules: readonly RateRule[]
  /** The number of the latest grant. */
  readonly last: number
  readonly heldUntil: number | null
  /** For each rule. */
  readonly windows: readonly WindowMarks[]
  readonly units: readonly string[]
  /**
   * For each start, earliest first: its number, its earliest instant, the instant at which it counts, its cost in each
   * unit.
   */
  readonly starts: readonly (readonly number[])[]
}

/** The changes to a rate's state, so that a store can write one start without writing all others. */
export interface RateChanges {
  /** All earlier starts are forgotten. */
  readonly cleared: boolean
  /** New and changed starts, as rows of {@link RateState}, and the numbers of removed starts. */
  readonly starts: readonly (readonly number[])[]
  readonly gone: readonly number[]
  readonly marks: Omit<RateState, 'rules' | 'starts'>
}

/** Decides which jobs may start when. It works on numbers alone: its owner passes the instants and keeps the grants. */
export class Rate {
  #rules: readonly RateRule[] = []
  #windows: readonly Window[] = []
  #longest: Window | undefined
  /** For how long starts are remembered, whether or not they count; -Infinity if no rule learns its jitter. */
  #rememberedMs = -Infinity
  #log = new StartLog(0)
  #heldUntil = -Infinity
  #cleared = false

  constructor(rules: readonly RateRule[]) {
    this.change(rules, 0)
  }
  /** With what they have learned. */
  get rules(): readonly RateRule[] {
    return this.#rules
  }
  /** Nothing limits: every grant succeeds and records nothing. */
  get limitsNothing(): boolean {
    return this.#windows.length === 0 && this.#heldUntil === -Infinity
  }
  /** The end of the hold; -Infinity once a grant has succeeded after it. */
  get heldUntil(): number {
    return this.#heldUntil
  }

  /**
   * The earliest instant at which `grant(cost)` could succeed if nothing else happens: `now` or less if it can at once,
   * Infinity if it never can. The time it takes grows with the number of starts that must leave the window first.
   */
  next(cost: Cost | undefined, now: number): number {
    return this.blocking(cost, now)?.until ?? now
  }
  /**
   * The rule, or the hold (`rule` is undefined), that refuses longest, and until when. Undefined if a grant would
   * succeed.
   */
  blocking(cost: Cost | undefined, now: number): { rule: RateRule | undefined; until: number } | undefined {
    let rule: RateRule | undefined
    let until = this.#heldUntil
    for (const window of this.#windows) {
      const next = window.next(cost, now)
      if (next <= until) continue
      until = next
      rule = window.rule
    }
    return until > now ? { rule, until } : undefined
  }
  /**
   * The instant before which a start has no capacity behind starts of others, which together take `ahead` of each rule.
   * May be past. Infinity: no window holds them all.
   */
  nextBehind(ahead: number, cost: Cost | undefined, now: number): number {
    return this.#windows.reduce((until, window) => Math.max(until, window.nextBehind(ahead, cost, now)), -Infinity)
  }
  /** The first unit of which `cost` needs more than a whole window holds, so that the job can never start. */
  impossible(cost: Cost | undefined): ImpossibleCost | undefined {
    return impossible(this.#rules, cost)
  }
  /** How much of each rule's window is in use. After a correction this may exceed the limit. */
  used(now: number): readonly { rule: RateRule; used: number }[] {
    return this.#windows.map(window => ({ rule: window.rule, used: window.used(now) }))
  }

  /**
   * Checks all rules, then charges all of them. Returns the number of the grant, 0 or more, each above the one before;
   * 0 means that nothing was recorded. Returns -1 if refused; then nothing is charged.
   *
   * The start counts at `now + graceMs`, its last possible instant, until `confirm` gives the real one. A window that
   * exceeds its limit, after a correction or a change, refuses even a start that costs nothing. An instant before one
   * that a window has passed is refused, because starts that would still count at that instant are forgotten. A clock
   * that was set back can therefore only delay starts.
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
    if (this.#rememberedMs > 0) this.#learn(window => window.learnedFromGrant(cost, now), now)
    return grant
  }
  /**
   * Records the real instant of the launch, which is not before the grant. A repeated call can only make it later. If
   * the report comes after the start was forgotten (a window after the end of its grace), the start is recorded again,
   * without cost until `correct` gives one.
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
  /** Undoes a grant whose job was provably not launched. */
  refund(grant: number): void {
    if (!this.#log.has(grant)) return
    this.#leave(grant)
    this.#log.remove(grant)
  }
  /**
   * Replaces the reserved cost, in the units that `cost` names, by the real one, at the instant of the start. It may be
   * less, or more, even above the limit (beyond ten limits it counts as ten). Has no effect once the start has left the
   * longest window.
   */
  correct(grant: number, cost: Cost): void {
    if (!this.#log.has(grant)) return
    this.#leave(grant)
    this.#log.correct(grant, cost)
    this.#enter(grant)
  }
  /**
   * The far end has refused this start (`Throttled`). A rule that learns its jitter lengthens it, if a longer one would
   * have prevented that. Has no effect once the start is forgotten.
   */
  refused(grant: number, now: number): void {
    if (this.#rememberedMs > 0 && this.#log.has(grant)) {
      this.#learn(window => window.learnedFromRefusal(grant, now), now)
    }
  }
  /** Refuses every grant before `until`. An earlier hold that ends later stays in force. */
  hold(until: number): void {
    if (until > this.#heldUntil) this.#heldUntil = Math.min(until, Number.MAX_VALUE)
  }
  /**
   * Replaces the rules. The new rules apply to all starts that the old rules still remember, also in units that no old
   * rule named. Without rules all starts are forgotten. A rule that learns keeps the jitter that the former rule for the
   * same window has learned.
   */
  change(rules: readonly RateRule[], now: number): void {
    this.#forget(now)
    if (rules.length === 0) {
      const { last, touched } = this.#log
      this.#log = new StartLog(last)
      if (touched) this.#log.touched = new Set()
      this.#cleared = true
    }
    this.#watch(withLearned(rules, this.#rules))
  }

  state(): RateState {
    const log = this.#log
    const starts: number[][] = []
    for (let grant = log.oldest; grant !== 0; grant = log.newer(grant)) starts.push(log.row(grant))
    return { rules: this.#rules, starts, ...this.#marks() }
  }
  /** Begins to record changed starts, for `changes`. */
  track(): void {
    this.#log.touched = new Set()
    this.#cleared = false
  }
  /** The changes since the last call, or since `track`. */
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
  /**
   * The instant from which on no start counts any more, so that the rate is as good as new; `now` or less if none does.
   */
  emptyAt(now: number): number {
    this.#forget(now)
    const { newest } = this.#log
    const longestMs = Math.max(this.#longest ? windowMs(this.#longest.rule) : 0, this.#rememberedMs)
    const lastAt = newest === 0 ? -Infinity : this.#log.at(newest) + longestMs
    return this.#windows.reduce((until, { freeAt }) => Math.max(until, freeAt), Math.max(lastAt, this.#heldUntil))
  }
  /** The instant at which a start counts; undefined if the start is no longer in the log. */
  countsAt(grant: number): number | undefined {
    return this.#log.has(grant) ? this.#log.at(grant) : undefined
  }
  #marks(): RateChanges['marks'] {
    const log = this.#log
    const heldUntil = this.#heldUntil === -Infinity ? null : this.#heldUntil
    return { last: log.last, heldUntil, windows: this.#windows.map(({ marks }) => marks), units: log.units }
  }
  static from(state: RateState): Rate {
    const rules = state.rules.map(ruleFromJson)
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
  /** Moves each window up to `now` and removes the starts that even the longest rule no longer counts. */
  #forget(now: number): void {
    for (const window of this.#windows) window.pass(now)
    const log = this.#log
    while (log.oldest !== 0 && log.oldest !== this.#longest?.cursor && log.at(log.oldest) <= now - this.#rememberedMs) {
      for (const window of this.#windows) window.drop(log.oldest)
      log.remove(log.oldest)
    }
  }
  /**
   * Starts that cost nothing are kept only because they may be corrected. No limit bounds their number, so the oldest
   * are dropped.
   */
  #forgetCostless(): void {
    const log = this.#log
    let grant = log.oldest
    for (let visits = log.size >> 1; visits > 0; visits--) {
      const newer = log.newer(grant)
      if (this.#windows.every(window => window.free(grant))) this.refund(grant)
      grant = newer
    }
    if (log.size * 8 > log.slots * 3) log.relay(log.slots * 2, log.units)
  }
  /** Creates the windows of these rules, over all starts in the log. */
  #watch(rules: readonly RateRule[], marks: RateState['windows'] = []): void {
    this.#log.name(rules.flatMap(rule => rule.unit ?? []))
    const windows = rules.map((rule, i) => new Window(rule, this.#log, marks[i]))
    for (const window of windows) this.#fill(window)
    this.#rememberedMs = Math.max(...rules.filter(learns).map(({ perMs }) => rememberedMs(perMs)))
    this.#use(windows, rules)
  }
  #use(windows: readonly Window[], rules = this.#rules): void {
    this.#windows = windows
    this.#rules = windows.every(({ rule }, i) => rule === rules[i])
      ? rules
      : Object.freeze(windows.map(({ rule }) => rule))
    const longestMs = Math.max(...this.#rules.map(windowMs))
    this.#longest = windows.find(window => windowMs(window.rule) === longestMs)
  }
  #fill(window: Window): void {
    for (let grant = this.#log.newest; grant !== 0; grant = this.#log.older(grant)) window.enter(grant)
  }
  /** Replaces the windows that have learned something, if it is the jitter, over all starts in the log. */
  #learn(from: (window: Window) => Learned | undefined, now: number): void {
    let hasChanged = false
    const windows = this.#windows.map(window => {
      const learned = from(window)
      if (!learned) return window
      if (learned.jitterMs === window.learned?.jitterMs) {
        window.learned = learned
        return window
      }
      hasChanged = true
      const next = new Window(window.rule, this.#log, { ...window.marks, learned })
      this.#fill(next)
      next.pass(now)
      return next
    })
    if (hasChanged) this.#use(windows)
  }
}

/** From this number of starts on, costless starts are dropped before the log grows. */
const maxCostless = 65_536
