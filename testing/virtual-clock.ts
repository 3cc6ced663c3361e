/**
 * A clock that stands still until a test advances it. Everything in rdq that depends on time uses the clock of its
 * queue.
 */
import type { Clock, Origin, Timer } from '../lib/clock.ts'

interface Alarm {
  readonly instant: number
  readonly order: number
  readonly callback: () => void
  /** It was set for an instant that had come. */
  readonly isDue: boolean
}

/** Of alarms that were set for an instant that had come, at most this many ring in a row. */
const mostRings = 10_000

/**
 * A clock that stands still until a test advances it. Work that needs no time continues in real turns of the event
 * loop.
 */
export class VirtualClock implements Clock {
  /** All clocks of this kind count as one. */
  readonly origin: Origin = { boot: 'virtual', offsetMs: 0 }
  #nowMs: number
  #wallMs: number
  #seed: number
  #order = 0
  #soon = 0
  readonly #alarms = new Set<Alarm>()
  readonly #outside = new Set<Promise<unknown>>()

  /** @param options `now`: 0. `wall`: 1,700,000,000,000. `seed` of `random()`: 1. */
  constructor(options: { now?: number | undefined; wall?: number | undefined; seed?: number | undefined } = {}) {
    this.#nowMs = options.now ?? 0
    this.#wallMs = options.wall ?? 1_700_000_000_000
    this.#seed = options.seed ?? 1
  }
  now(): number {
    return this.#nowMs
  }
  wall(): number {
    return this.#wallMs
  }
  /** Mulberry32: the same numbers for the same seed. */
  random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0
    let t = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  at(instant: number, callback: () => void): Timer {
    const alarm = { instant, order: this.#order++, callback, isDue: instant <= this.#nowMs }
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm), ref: () => {}, unref: () => {} }
  }
  soon(callback: () => void): Timer {
    this.#soon++
    let waits = true
    const done = (): boolean => {
      if (waits) this.#soon--
      const waited = waits
      waits = false
      return waited
    }
    const immediate = setImmediate(() => {
      if (done()) callback()
    })
    return {
      cancel: () => {
        done()
        clearImmediate(immediate)
      },
      ref: () => void immediate.ref(),
      unref: () => void immediate.unref(),
    }
  }
  outside(work: Promise<unknown>): void {
    const over = (): void => void this.#outside.delete(work)
    this.#outside.add(work)
    work.then(over, over)
  }
  /**
   * Advances both clocks by `ms`, ringing each alarm at its instant, and lets all work settle that needs no more time.
   * Rejects if code sets one alarm after the other for an instant that has come, because no time would ever pass.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms
    let rings = 0
    await this.settle()
    for (;;) {
      const next = this.#first()
      if (!next || next.instant > end) break
      rings = next.isDue ? rings + 1 : 0
      if (rings > mostRings)
        throw new Error(
          `time stands still at ${this.#nowMs} ms: ${mostRings} alarms in a row were set for an instant that had come`,
        )
      this.#pass(Math.max(next.instant, this.#nowMs))
      this.#alarms.delete(next)
      next.callback()
      await this.settle()
    }
    this.#pass(end)
    await this.settle()
  }
  /** Lets the wall clock jump by `ms`, either way; the steady clock is not affected. */
  jumpWall(ms: number): void {
    this.#wallMs += ms
  }
  /** Lets time pass without ringing alarms, as in a blocked loop. Alarms that came due ring at the next `advance`. */
  block(ms: number): void {
    this.#pass(this.#nowMs + ms)
  }
  /** The instant of the next alarm; undefined if there is none. */
  get next(): number | undefined {
    return this.#first()?.instant
  }
  /** Resolves when no work is left that could continue without time. */
  async settle(): Promise<void> {
    let quiet = 0
    while (quiet < 3) {
      if (this.#outside.size > 0) await Promise.allSettled(this.#outside)
      await new Promise(resolve => setImmediate(resolve))
      quiet = this.#soon + this.#outside.size === 0 ? quiet + 1 : 0
    }
  }
  #first(): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (!first || alarm.instant < first.instant || (alarm.instant === first.instant && alarm.order < first.order)) {
        first = alarm
      }
    }
    return first
  }
  #pass(to: number): void {
    this.#wallMs += to - this.#nowMs
    this.#nowMs = to
  }
}
