/**
 * How many endings one turn of the dispatch takes, so that with all who hear of them it is over within the slice.
 *
 * Most turns have a few. But a signal, a stop or a service that is down may end twenty thousand bodies at once, and a
 * listener may take a millisecond for each. The pace grows by doubling, for as long as there is time left in the slice.
 */

/** However quick: whoever waits for the results has work to do, too. */
const maxBatch = 512

/** A turn with no more than this is not cut short for having had few before: small turns cost more than they save. */
const usualBatch = 128
/** Endings that take less are quick enough for that. */
const quickMs = 0.03

export class BatchPacer {
  #bound = 1
  #costMs = 0

  /** How many a turn may take that has `leftMs`: one at least. */
  sizeFor(leftMs: number): number {
    const fit = this.#costMs > 0 ? Math.floor(leftMs / this.#costMs) : maxBatch
    return Math.max(1, Math.min(this.#bound, fit))
  }
  /** A turn has taken `count`, and told of them in `tookMs`. */
  record(count: number, tookMs: number): void {
    this.#costMs = tookMs / count
    if (count >= this.#bound) this.#bound = Math.min(2 * count, maxBatch)
    else if (2 * count < this.#bound) this.#bound = Math.max(2 * count, this.#costMs < quickMs ? usualBatch : 1)
  }
}
