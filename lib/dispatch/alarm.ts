/** The alarm for the next look at the backlog when nothing else happens: one instant, which each pass sets again. */
import type { Clock, Timer } from '../clock.ts'

export class Alarm {
  readonly #clock: Clock
  readonly #rings: () => void
  #timer: Timer | undefined
  #at = Infinity

  constructor(clock: Clock, rings: () => void) {
    this.#clock = clock
    this.#rings = rings
  }
  /** Rings at that instant only. If it is not in the future, or Infinity, no alarm is set. */
  set(at: number, now: number, precise: boolean): void {
    if (at === this.#at) return
    this.cancel()
    if (at === Infinity || at <= now) return
    this.#at = at
    this.#timer = this.#clock.at(at, this.#ring, precise)
  }
  /** Whether it keeps the process alive. */
  keep(alive: boolean): void {
    alive ? this.#timer?.ref() : this.#timer?.unref()
  }
  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#at = Infinity
  }
  readonly #ring = (): void => {
    this.#timer = undefined
    this.#at = Infinity
    this.#rings()
  }
}
