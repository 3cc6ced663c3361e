/** One rule of a rate over the log of starts. */
import { afterQuietWindow, afterRefusal, type Learned, unlearned } from './jitter.ts'
import { type Cost, learns, type RateRule, windowMs } from './rules.ts'
import { amountOf, firstCost, type StartLog } from './start-log.ts'

/** The state of a window besides the log, as data for JSON. Null means never. */
export interface WindowMarks {
  /** The instant up to which the window has passed. */
  readonly passedAt: number | null
  /** The instant at which forgotten starts no longer limit the spread. */
  readonly freeAt: number | null
  /** For a rule that learns its jitter. */
  readonly learned?: Learned
}

/** One rule over the log: how much its window holds and, if it has a burst, when the burst has capacity. */
export class Window {
  readonly rule: RateRule
  /** The earliest start that counts, 0 for none. All later starts count too. */
  cursor = 0
  /** The instant at which the latest start that no longer counts left the window. */
  passedAt: number
  /** The instant at which no forgotten start limits the spread any more. */
  freeAt: number
  /** Undefined if the jitter of the rule is fixed. */
  learned: Learned | undefined
  readonly #log: StartLog
  readonly #unit: number
  /** Costs are added as whole steps. Sums are therefore exact, and an empty window holds exactly 0. */
  readonly #scale: number
  readonly #limit: number
  readonly #most: number
  readonly #lengthMs: number
  readonly #stepMs: number
  #sum = 0
  /**
   * For each start, by slot: the instant at which the spread is over. Valid up to and including the start `#replayed`;
   * 0 for none.
   */
  #spreads = new Float64Array(0)
  #replayed = 0

  constructor(rule: RateRule, log: StartLog, marks: Partial<WindowMarks> = {}) {
    const { unit } = rule
    const { passedAt, freeAt, learned } = marks
    this.passedAt = passedAt ?? -Infinity
    this.freeAt = freeAt ?? -Infinity
    if (learns(rule)) this.learned = learned ?? unlearned(rule.jitterMs ?? 0)
    this.rule = this.learned ? withJitter(rule, this.learned.jitterMs) : rule
    this.#log = log
    this.#unit = unit === undefined ? -1 : log.units.indexOf(unit)
    const { scale, limit, most } = stepsOf(rule)
    this.#scale = scale
    this.#limit = limit
    this.#most = most
    this.#lengthMs = windowMs(this.rule)
    this.#stepMs = this.#lengthMs / rule.limit / scale
  }
  get marks(): WindowMarks {
    const { learned } = this
    return { passedAt: orNull(this.passedAt), freeAt: orNull(this.freeAt), ...(learned && { learned }) }
  }
  used(now: number): number {
    let sum = this.#sum
    for (let grant = this.cursor; grant !== 0 && this.#overAt(grant) <= now; grant = this.#log.newer(grant)) {
      sum -= this.#stepsOf(grant)
    }
    return sum / this.#scale
  }
  /** Whether the start costs nothing in this window, as far as is known. */
  free(grant: number): boolean {
    return this.#stepsOf(grant) === 0
  }
  /** Whether the window has capacity at `now`. The caller has moved the window up to `now` before. */
  admits(cost: Cost | undefined, now: number): boolean {
    const steps = this.#steps(cost)
    if (this.#sum + steps > this.#most || !(now >= this.passedAt)) return false
    return this.rule.burst === undefined || now >= this.#shapedAt(steps, this.rule.burst, now)
  }
  /** @param now Instants before it need not be exact. */
  next(cost: Cost | undefined, now?: number): number {
    const steps = this.#steps(cost)
    const until = this.#admitsAt(steps)
    return this.rule.burst === undefined ? until : Math.max(until, this.#shapedAt(steps, this.rule.burst, now))
  }
  /** The same behind starts of others, which together take `ahead` and come as early as they can. */
  nextBehind(ahead: number, cost: Cost | undefined, now: number): number {
    const steps = this.#steps(cost)
    const first = this.#toSteps(ahead)
    const until = this.#admitsAt(first + steps)
    const { burst } = this.rule
    if (burst === undefined) return until
    const shapedAt = this.#shapedAt(steps, burst)
    const tolerance = Math.max(burst * this.#scale - steps, 0)
    const spreadAt = Math.max(this.#spreadUntil(this.#log.newest), now) + (first - tolerance) * this.#stepMs
    return Math.max(until, shapedAt, spreadAt)
  }
  /** The instant from which on the window holds that much more. */
  #admitsAt(steps: number): number {
    if (steps > this.#most) return Infinity
    let excess = this.#sum + steps - this.#most
    let until = this.passedAt
    for (let grant = this.cursor; grant !== 0 && excess > 0; grant = this.#log.newer(grant)) {
      excess -= this.#stepsOf(grant)
      until = this.#overAt(grant)
    }
    return until
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
  /** Counts a start that the log contains, with its instant and cost. */
  enter(grant: number): void {
    const log = this.#log
    if (this.#overAt(grant) > this.passedAt) {
      this.#sum += this.#stepsOf(grant)
      if (log.newer(grant) === this.cursor) this.cursor = grant
    }
    if (this.#replayed !== 0 && log.at(this.#replayed) > log.at(grant)) this.#replayed = log.older(grant)
  }
  /** Stops counting a start that is about to be removed from the log or changed. */
  leave(grant: number): void {
    const log = this.#log
    if (this.#overAt(grant) > this.passedAt) {
      this.#sum -= this.#stepsOf(grant)
      if (this.cursor === grant) this.cursor = log.newer(grant)
    }
    while (this.#replayed !== 0 && log.at(this.#replayed) >= log.at(grant)) this.#replayed = log.older(this.#replayed)
  }
  /** Prepares to forget the earliest start: its effect on the spread is kept. */
  drop(grant: number): void {
    if (this.rule.burst !== undefined) this.freeAt = this.#spread(this.freeAt, grant)
    if (this.#replayed === grant) this.#replayed = 0
  }

  /** The jitter that the rule learns from a refusal of this start by the far end; undefined: nothing. */
  learnedFromRefusal(grant: number, now: number): Learned | undefined {
    if (!this.learned) return undefined
    const first = this.#firstBeside(grant)
    // The present jitter would have held the start back: it was granted by a shorter one.
    if (first === 0 || this.#overAt(first) > this.#log.at(grant)) return undefined
    const { rule, learned } = this
    const differMs = Math.max(this.#log.at(grant) - this.#log.at(first) - rule.perMs, learned.jitterMs)
    return afterRefusal(learned, differMs, rule.perMs, now)
  }
  /** The jitter that the rule learns when a start of that cost has been granted; undefined: nothing. */
  learnedFromGrant(cost: Cost | undefined, now: number): Learned | undefined {
    const { learned, rule } = this
    if (!learned) return undefined
    const isExhausted = this.#sum + this.#steps(cost) > this.#most
    if (!isExhausted || now < (learned.quietAt ?? -Infinity) + this.#lengthMs) return undefined
    return afterQuietWindow(learned, rule.perMs, now)
  }
  /** The latest start that may not be in one window with this one; 0: none that the log remembers. */
  #firstBeside(grant: number): number {
    const log = this.#log
    let steps = this.#stepsOf(grant)
    for (let older = log.older(grant); older !== 0; older = log.older(older)) {
      steps += this.#stepsOf(older)
      if (steps > this.#most) return older
    }
    return 0
  }

  /**
   * The instant at which the burst has capacity for `steps` more. GCRA keeps the instant at which all starts, spread
   * evenly, would be over; it admits another start from `burst`, less that start's own cost, before that instant. The
   * latest starts that together fit into the burst are left out: they may come at once with this one, even if they
   * count at an instant still ahead.
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
    // By far most often there is none to leave out.
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
  /** A debt delays the spread by one window, as it does the window itself. */
  #spreadSteps(grant: number): number {
    return Math.min(this.#stepsOf(grant), this.#limit)
  }
  #overAt(grant: number): number {
    return this.#log.at(grant) + this.#lengthMs
  }
  #stepsOf(grant: number): number {
    return this.#unit < 0 ? 1 : this.#toSteps(this.#log.read(grant, firstCost + this.#unit))
  }
  #steps(cost: Cost | undefined): number {
    return this.rule.unit === undefined ? 1 : this.#toSteps(amountOf(cost, this.rule.unit))
  }
  #toSteps(amount: number): number {
    return toSteps(amount, this.#scale, this.#most)
  }
}

/** How many steps one unit has, and how many of them a window holds: by the limit, and with the slack for rounding. */
function stepsOf({ limit, unit }: RateRule): { readonly scale: number; readonly limit: number; readonly most: number } {
  // The limit has fourteen digits of steps, so sums are exact up to ninety limits. Six costs of a sixth of the limit,
  // each rounded up, may exceed it by a few steps. The slack allows for that and is less than one unit.
  const scale = unit === undefined ? 1 : 10 ** Math.min(14 - Math.ceil(Math.log10(limit)), 300)
  const steps = Math.round(limit * scale)
  return { scale, limit: steps, most: steps + Math.min(64, Math.floor(scale / 2)) }
}
function toSteps(amount: number, scale: number, most: number): number {
  return Math.min(Math.round(amount * scale), 10 * most)
}

/** The first unit of which `cost` needs more than a whole window of one of the rules holds, so that it never starts. */
export function impossible(rules: readonly RateRule[], cost: Cost | undefined): ImpossibleCost | undefined {
  for (const rule of rules) {
    const { unit, limit } = rule
    const amount = unit === undefined ? 0 : amountOf(cost, unit)
    if (unit === undefined || amount <= limit) continue
    const { scale, most } = stepsOf(rule)
    if (toSteps(amount, scale, most) > most) return { unit, cost: amount, limit }
  }
  return undefined
}

export interface ImpossibleCost {
  readonly unit: string
  readonly cost: number
  readonly limit: number
}

function withJitter(rule: RateRule, jitterMs: number): RateRule {
  return rule.jitterMs === jitterMs ? rule : Object.freeze({ ...rule, jitterMs })
}

function orNull(instant: number): number | null {
  return instant === -Infinity ? null : instant
}
