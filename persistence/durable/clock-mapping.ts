/** Maps instants between a queue's steady clock and that of its store. */
import type { Clock } from '../../lib/clock.ts'

/**
 * If queue and store share a host, the mapping is exact. Otherwise an instant of the store that was mapped from one of
 * the queue may be wrong by up to `errorMs`, either way.
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
 * The store's clock as a session reads it: always on the side on which no rate is exceeded and nothing starts before it
 * is due.
 *
 * The instant of a request may be earlier than the true one and never later, so that limits have really expired. The
 * instant of a launch may be later than the true one and never earlier, so that it counts long enough. So the rate
 * holds by the store's true clock, and each host can use up to `2 * errorMs` less of each window.
 */
export class StoreClock {
  readonly #mapping: ClockMapping

  constructor(mapping: ClockMapping) {
    this.#mapping = mapping
  }
  get errorMs(): number {
    return this.#mapping.errorMs
  }
  /** The earliest instant of the store that `now` can be: used for requests. */
  earliest(now: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.toStore(now) - errorMs
  }
  /** The latest instant of the store that `at` can be: used for launches, and for when a job comes due. */
  latest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.toStore(at) + errorMs
  }
  /** When requests start to carry that instant or a later one: used for the next look. */
  fromEarliest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.fromStore(at + errorMs)
  }
  /** When launches cease to carry that instant or an earlier one: used for the end of a grace. */
  fromLatest(at: number): number {
    const { errorMs } = this.#mapping
    return this.#mapping.fromStore(at - errorMs)
  }
}
