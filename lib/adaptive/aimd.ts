/**
 * Additive increase, multiplicative decrease: the width grows while runs end well, and shrinks on an overload.
 *
 * Two rules keep it stable:
 *
 * - Only runs that started since the last change say something about the present width, so growth waits for them.
 * - An overload shrinks the width once per round trip. Overloaded runs that started before the last decrease were
 *   launched at the old width, and many of them fail together. AIMDLimit of Netflix concurrency-limits shrinks for each
 *   sample, and 100 failures at once take it from 100 to 1.
 *
 * Sources: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance" (1989), for the
 * rule; RFC 5681, 3.1, for the faster growth until the first overload; Netflix concurrency-limits, AIMDLimit, for the
 * ratio of 0.9; RFC 8312, 4.5, for that of 0.7; RFC 7661 for not growing while the width is not used.
 */
import type { Bounds, Controller, Decision, RunSample } from './controller.ts'

/** The growth at each step until the first overload. It overshoots by no more than that. */
const rampFactor = 1.5
/** The decrease after a growth, which went one step too far. */
const decreaseFactor = 0.9
/** The decrease after another decrease, which was not enough: the service has lost capacity. */
const furtherFactor = 0.7

export class Aimd implements Controller {
  readonly #bounds: Bounds
  /** The width to which the fields below refer. */
  #width: number
  #changedAt: number
  #decreasedAt = -Infinity
  /** Runs that started since the change and ended well. */
  #good = 0
  /** The most bodies that ran at once since the change. */
  #peak = 0
  /** The width before the last step of the first growth; undefined once that is over. */
  #before: number | undefined
  #shrunkLast = false

  constructor(bounds: Bounds, width: number, now: number) {
    this.#bounds = bounds
    this.#width = width
    this.#before = width
    this.#changedAt = now
  }
  observe(sample: RunSample, width: number): Decision | undefined {
    const { startedAt, endedAt, underway, outcome } = sample
    if (width !== this.#width) this.#restart(width, endedAt)
    this.#peak = Math.max(this.#peak, underway)
    if (outcome === 'overload') return startedAt < this.#decreasedAt ? undefined : this.#shrink(endedAt)
    if (startedAt < this.#changedAt) return undefined
    this.#good++
    if (this.#good < width || this.#peak < width || width >= this.#bounds.max) return undefined
    return this.#grow(endedAt)
  }
  #grow(now: number): Decision {
    const from = this.#width
    const ramps = this.#before !== undefined
    const width = Math.min(this.#bounds.max, ramps ? Math.ceil(from * rampFactor) : from + 1)
    if (ramps) this.#before = from
    this.#shrunkLast = false
    const reason = `Widened from ${from} to ${width}: ${runs(this.#good)} in a row ended well with all slots taken.`
    return this.#decide(width, now, reason)
  }
  #shrink(now: number): Decision | undefined {
    const from = this.#width
    const shrunk = Math.floor(from * (this.#shrunkLast ? furtherFactor : decreaseFactor))
    const width = Math.max(this.#bounds.min, Math.min(this.#before ?? shrunk, shrunk, from - 1))
    this.#before = undefined
    this.#shrunkLast = true
    this.#decreasedAt = now
    this.#good = 0
    if (width >= from) return undefined
    return this.#decide(width, now, `Narrowed from ${from} to ${width}: a run was overloaded.`)
  }
  #decide(width: number, now: number, reason: string): Decision {
    this.#restart(width, now)
    return { width, reason }
  }
  #restart(width: number, now: number): void {
    this.#width = width
    this.#changedAt = now
    this.#good = 0
    this.#peak = 0
  }
}

function runs(count: number): string {
  return count === 1 ? '1 run' : `${count} runs`
}
