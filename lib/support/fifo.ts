/**
 * A queue: entries leave in the order in which they came.
 *
 * Taking entries from the front costs as much as their number, however many remain. Their cells are emptied at once, so
 * that nothing refers to them from here, and are cut off once they are most of the array. A queue that never becomes
 * empty therefore does not grow.
 */

/** From this number of empty cells at the front on, they are cut off once they are more than half of all. */
const minCut = 1_024

export class Fifo<T extends object> {
  #cells: (T | undefined)[] = []
  /** The index of the first entry. The cells before it are empty. */
  #head = 0

  get length(): number {
    return this.#cells.length - this.#head
  }
  /** The entry that leaves next. */
  get first(): T | undefined {
    return this.#cells[this.#head]
  }
  get last(): T | undefined {
    return this.#cells[this.#cells.length - 1]
  }
  /** The entry at this place; 0 is the first. */
  at(index: number): T | undefined {
    return this.#cells[this.#head + index]
  }
  push(entry: T): void {
    this.#cells.push(entry)
  }
  /** Takes the first entry. */
  shift(): T | undefined {
    const entry = this.first
    if (entry === undefined) return undefined
    this.#cells[this.#head++] = undefined
    this.#cutIfMostlyEmpty()
    return entry
  }
  /** Takes the first `count` entries. */
  take(count: number): T[] {
    if (count >= this.length) return this.takeAll()
    const end = this.#head + count
    const taken = this.#cells.slice(this.#head, end) as T[]
    this.#cells.fill(undefined, this.#head, end)
    this.#head = end
    this.#cutIfMostlyEmpty()
    return taken
  }
  takeAll(): T[] {
    this.#cut()
    const taken = this.#cells as T[]
    this.#cells = []
    return taken
  }
  /** Puts entries back before all others, in order. */
  putBack(entries: readonly T[]): void {
    if (entries.length > this.#head) {
      this.#cut()
      this.#cells = [...entries, ...this.#cells]
    } else {
      this.#head -= entries.length
      for (const [i, entry] of entries.entries()) this.#cells[this.#head + i] = entry
    }
  }
  *[Symbol.iterator](): Generator<T> {
    for (let i = this.#head; i < this.#cells.length; i++) yield this.#cells[i] as T
  }
  #cutIfMostlyEmpty(): void {
    if (this.#head === this.#cells.length) this.#cells.length = this.#head = 0
    else if (this.#head >= minCut && this.#head * 2 > this.#cells.length) this.#cut()
  }
  #cut(): void {
    if (this.#head === 0) return
    this.#cells = this.#cells.slice(this.#head)
    this.#head = 0
  }
}
