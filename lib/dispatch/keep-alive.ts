/**
 * Keeps the process alive while bodies run, and holds the queues that have them: one timer a clock for all queues.
 *
 * A queue that has nothing to do and that nobody holds must be collected. A timer of its own would hold it for ever, also
 * when it no longer keeps the process alive; and to make one anew for each body would cost too much.
 */
import type { Clock, Timer } from '../clock.ts'

/** Longer than any process lives: the timer is there to be waited for, and not to ring. */
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
  /** `who` has bodies that run. */
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
  /** `who` will have none any more: where no other has any, no timer stays. */
  leave(who: object): void {
    this.#held.delete(who)
    if (this.#held.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
