/** Numbers the puts of a process, and reports to the store which replies have arrived. */
export class PutNumbers {
  #last = 0
  /** In growing order. */
  readonly #unanswered = new Set<number>()

  /** The highest number up to which all puts are answered. */
  get acknowledged(): number {
    for (const oldest of this.#unanswered) return oldest - 1
    return this.#last
  }
  next(): number {
    this.#last += 1
    this.#unanswered.add(this.#last)
    return this.#last
  }
  answered(number: number): void {
    this.#unanswered.delete(number)
  }
}
