/**
 * Decides how many endings one pass of the dispatch loop handles, so that the pass and all its listeners stay within the
 * slice.
 *
 * Most passes have few. But a signal, a stop or a service that fails may end twenty thousand bodies at once, and a
 * listener may take a millisecond for each. The number doubles as long as time is left in the slice.
 */

import { maxSettlements } from '../decisions/bounds.ts'

/**
 * Up to this number a pass is not cut short for having had few endings before: small passes cost more than they save.
 */
const usualBatch = 128
/** Endings that take less than this are quick enough for that. */
const quickMs = 0.03

export class BatchPacer {
  #bound = 1
  #costMs = 0

  /** How many endings a pass with `remainingMs` may handle: at least one. */
  sizeFor(remainingMs: number): number {
    const fit = this.#costMs > 0 ? Math.floor(remainingMs / this.#costMs) : maxSettlements
    return Math.max(1, Math.min(this.#bound, fit))
  }
  /** A pass has announced `count` endings in `tookMs`. */
  record(count: number, tookMs: number): void {
    this.#costMs = tookMs / count
    if (count >= this.#bound) this.#bound = Math.min(2 * count, maxSettlements)
    else if (2 * count < this.#bound) this.#bound = Math.max(2 * count, this.#costMs < quickMs ? usualBatch : 1)
  }
}
