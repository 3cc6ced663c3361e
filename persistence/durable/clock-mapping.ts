/** How a queue's steady clock and that of its store are read from each other. */
import type { Clock } from '../../lib/clock.ts'

/**
 * Where queue and store share a host the mapping is exact. Where they do not, an instant of the store that was mapped from
 * one of the queue may be wrong by up to `errorMs`, either way.
 */
export interface ClockMapping {
  toStore(now: number): number
  /** The inverse of `toStore`. */
  fromStore(at: number): number
  readonly errorMs: number
}

/** For a store that reads the steady clock of this host, which all its processes share. */
export function hostMapping({ origin }: Clock): ClockMapping {
  const offsetMs = origin?.offsetMs ?? 0
  return { toStore: now => now + offsetMs, fromStore: at => at - offsetMs, errorMs: 0 }
}

/**
 * The store's clock as a session reads it: on the side on which no rate is exceeded and nothing starts before it is due.
 *
 * A request may be later than it says and never earlier, so that what limits it is really over. A launch may be earlier
 * than it says and never later, so that it counts for as long as it must. So the rate holds at the store's true clock, and
 * each host gets up to `2 * errorMs` less of each window.
 */
export class StoreClock {
  readonly #mapping: ClockMapping

  constructor(mapping: ClockMapping) {
    this.#mapping = mapping
  }
  get errorMs(): number {
    return this.#mapping.errorMs
  }
  /** The earliest instant of the store that `now` can be: the instant of a request. */
  earliest(now: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.toStore(now) - errorMs
  }
  /** The latest instant of the store that `at` can be: the instant of a launch, and when a job comes due. */
  latest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.toStore(at) + errorMs
  }
  /** From when on a request says that instant or a later one: when to ask again. */
  fromEarliest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.fromStore(at + errorMs)
  }
  /** Until when a launch says that instant or an earlier one: the end of a grace. */
  fromLatest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.fromStore(at - errorMs)
  }
}
