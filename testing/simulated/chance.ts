/** Random numbers that a seed reproduces. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }
  /** From 0 up to, but not including, 1: Mulberry32. */
  real(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number from 0 up to, but not including, `end`. */
  below(end: number): number {
    return Math.floor(this.real() * end)
  }
  /** True once in `inTimes` calls on average. */
  once(inTimes: number): boolean {
    return this.real() * inTimes < 1
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }
}
