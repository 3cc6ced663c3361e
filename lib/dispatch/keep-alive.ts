/**
 * Keeps the process alive while bodies run, and references the queues that have them: one timer per clock for all
 * queues.
 *
 * A queue without work that nobody references must be collectable. A timer of its own would reference it for ever, even
 * when unreferenced by the event loop, and a new timer for each body would cost too much.
 */
import type { Clock, Timer } from '../clock.ts'

/** Longer than any process lives: the timer exists to be pending, not to fire. */
const foreverMs = 2 ** 40

const ofClocks = new WeakMap<Clock, KeepAlive>()

export class KeepAlive {
  readonly #clock: Clock
  readonly #held = new Set<object>()
  #timer: Timer | undefined

  static of(clock: Clock): KeepAlive {
    let keepAlive = ofClocks.get(clock)
    if (!keepAlive) ofClocks.set(clock, (keepAlive = new KeepAlive(clock)))
    return keepAlive
  }
  private constructor(clock: Clock) {
    this.#clock = clock
  }
  /** `who` has running bodies. */
  hold(who: object): void {
    this.#held.add(who)
    if (this.#held.size > 1) return
    if (this.#timer) this.#timer.ref()
    else
      this.#timer = this.#clock.at(this.#clock.now() + foreverMs, () => {
        this.#timer = undefined
      })
  }
  /** `who` has none any more. */
  letGo(who: object): void {
    if (this.#held.delete(who) && this.#held.size === 0) this.#timer?.unref()
  }
  /** `who` will have none any more. If no other queue has any, the timer is removed. */
  leave(who: object): void {
    this.#held.delete(who)
    if (this.#held.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
