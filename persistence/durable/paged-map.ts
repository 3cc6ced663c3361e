/**
 * A map with seqs as keys. Seqs count up, and most lookups are near the last one, so the values are stored in pages: a
 * lookup costs a fifth of one in a hash map.
 */
import { keepShapeAlive } from '../../lib/support/shape-samples.ts'

const pageSize = 64

class Page<T> {
  readonly number: number
  readonly values: (T | undefined)[] = new Array(pageSize).fill(undefined)
  count = 0

  constructor(number: number) {
    this.number = number
  }
}

export class PagedMap<T extends object> {
  readonly #pages = new Map<number, Page<T>>()
  #last: Page<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }
  get(seq: number): T | undefined {
    const number = Math.floor(seq / pageSize)
    return this.#page(number)?.values[seq - number * pageSize]
  }
  set(seq: number, value: T): void {
    const number = Math.floor(seq / pageSize)
    let page = this.#page(number)
    if (!page) {
      page = this.#last = new Page(number)
      this.#pages.set(number, page)
    }
    const at = seq - number * pageSize
    if (page.values[at] === undefined) {
      page.count++
      this.#size++
    }
    page.values[at] = value
  }
  delete(seq: number): void {
    const number = Math.floor(seq / pageSize)
    const page = this.#page(number)
    const at = seq - number * pageSize
    if (!page || page.values[at] === undefined) return
    page.values[at] = undefined
    page.count--
    this.#size--
    if (page.count > 0) return
    this.#pages.delete(number)
    this.#last = undefined
  }
  /** Entries may be deleted during the iteration. */
  *[Symbol.iterator](): Generator<[seq: number, value: T]> {
    for (const { number, values } of this.#pages.values()) {
      for (const [at, value] of values.entries()) if (value !== undefined) yield [number * pageSize + at, value]
    }
  }
  #page(number: number): Page<T> | undefined {
    if (this.#last?.number === number) return this.#last
    const page = this.#pages.get(number)
    if (page) this.#last = page
    return page
  }
}

keepShapeAlive(new Page(0))
