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
  readonly #busy = new Set<object>()
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
  add(who: object): void {
    this.#busy.add(who)
    if (this.#busy.size > 1) return
    if (this.#timer) this.#timer.ref()
    else
      this.#timer = this.#clock.at(this.#clock.now() + foreverMs, () => {
        this.#timer = undefined
      })
  }
  /** `who` has none any more. */
  remove(who: object): void {
    if (this.#busy.delete(who) && this.#busy.size === 0) this.#timer?.unref()
  }
  /** `who` will have none any more. If no other queue has any, the timer is removed. */
  end(who: object): void {
    this.#busy.delete(who)
    if (this.#busy.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
