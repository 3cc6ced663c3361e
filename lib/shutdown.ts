/**
 * Stopping: nothing starts after the call; then three phases, each with an end.
 *
 * Bodies finish (for `grace`); then their signals abort and generators are closed; bodies that still have not ended
 * after `closingMs` are abandoned. A later, harsher call shortens the first phase.
 */
import type { Clock, Timer } from './clock.ts'
import type { Dispatch } from './dispatch.ts'
import { QueueStoppedError } from './errors.ts'
import type { Run } from './run.ts'

/** How long bodies have to end after the abort of their signals. */
export const closingMs = 5_000

export class Shutdown {
  /** Runs whose body did not end in time. */
  readonly abandoned: Run[] = []
  /** Runs that were cut short, in the order of their launch. */
  cut: Run[] = []
  readonly #dispatch: Dispatch
  readonly #clock: Clock
  #timer: Timer | undefined
  #cutAt = Infinity
  #cutting = false
  #ended: (() => void) | undefined

  constructor(dispatch: Dispatch, clock: Clock) {
    this.#dispatch = dispatch
    this.#clock = clock
  }
  /** Ends the first phase in `graceMs` from now, if it does not end sooner. */
  within(graceMs: number): void {
    const at = this.#clock.now() + graceMs
    if (this.#cutting || at >= this.#cutAt) return
    this.#cutAt = at
    this.#timer?.cancel()
    if (graceMs === 0) this.#cut()
    else this.#timer = this.#clock.at(at, () => this.#cut())
  }
  /** Resolves when no body is left, or those that are left are abandoned. */
  async bodies(): Promise<void> {
    if (this.#dispatch.bodies === 0) return this.#timer?.cancel()
    await new Promise<void>(resolve => {
      this.#ended = resolve
    })
    this.#timer?.cancel()
  }
  /** A turn is over: perhaps it freed the last slot. */
  look(): void {
    if (this.#dispatch.bodies === 0) this.#ended?.()
  }
  #cut(): void {
    this.#cutting = true
    const error = new QueueStoppedError('the run was cut short')
    this.cut = [...this.#dispatch.runs].filter(run => run.launched)
    for (const run of this.cut) {
      run.cut = true
      run.abort(error)
    }
    this.#timer = this.#clock.at(this.#clock.now() + closingMs, () => {
      for (const run of this.#dispatch.runs) {
        if (!run.done) this.abandoned.push(run)
        run.abandon()
      }
      this.#ended?.()
    })
    this.look()
  }
}
