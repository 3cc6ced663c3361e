/** One rule of a rate over the log of starts. */
import type { Cost, RateRule } from './rate.ts'
import { amountOf, firstCost, type StartLog } from './start-log.ts'

/** One rule over the log: what its window holds and, where it has a burst, when there is room in that. */
export class Window {
  readonly rule: RateRule
  /** The earliest start that counts, 0 for none. Later ones all count. */
  cursor = 0
  /** When the latest of those that no longer count left the window. */
  passedAt: number
  /** When the spread of all that was forgotten is over. */
  freeAt: number
  readonly #log: StartLog
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

  constructor(rule: RateRule, log: StartLog, passedAt: number | null = null, freeAt: number | null = null) {
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
