/** A server that refuses each request by which any window of `perMs` would have more than `limit` accepted arrivals. */
export class StrictServer {
  accepted = 0
  refused = 0
  readonly #limit: number
  readonly #perMs: number
  /** The latest accepted arrivals, earliest first. */
  #arrivals: number[] = []

  constructor(limit: number, perMs: number) {
    this.#limit = limit
    this.#perMs = perMs
  }
  /** How long the sender is told to wait, or 0 if the request is accepted. */
  arrive(now: number): number {
    this.#arrivals = this.#arrivals.filter(at => now - at < this.#perMs)
    if (this.#arrivals.length >= this.#limit) {
      this.refused++
      return (this.#arrivals[0] as number) + this.#perMs - now
    }
    this.accepted++
    this.#arrivals.push(now)
    return 0
  }
}
