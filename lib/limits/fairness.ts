/**
 * Fair sharing among keys: which key's turn it is. The only place where that is decided.
 *
 * This is self-clocked fair queueing (Golestani, 1994). The queue has a virtual clock, which shows the tag of the key
 * that started a job last. A key that has jobs has a tag, the virtual instant at which its next job is to start. The
 * key with the smallest tag is next. Each start moves the key's tag on by `1 / weight`, so a key of weight 2 has two
 * turns where a key of weight 1 has one.
 *
 * - No key starves. A key that gets work is never placed before a key of the same weight that waits already, so between
 *   two starts of a waiting key, another key starts at most `its weight / the waiting key's weight + 1` jobs.
 * - A key without jobs has no state. When its last job starts, the clock shows its tag, so a key that comes back gets
 *   the same tag whether or not its former one is remembered. (Start-time fair queueing has to remember it. Otherwise a
 *   key that puts one job at a time would always be next.)
 * - A key that is held up by a limit of its own leaves the turns and keeps its tag. When it returns late, its next turn
 *   comes at once, but it does not make up for the turns that it missed.
 */

/** A key's place among the turns. */
export interface Turn {
  /** The virtual instant of the key's next start, or where priority comes first, the priority of its next job. */
  tag: number
  /** Decides between equal tags: the number of the key's next job, in order of put, when the key got its place. */
  tie: number
  /** The index of the key among the turns; -1: it takes no turns at present. */
  at: number
}

/** The tag of a key that gets work and had none. */
export function tagOnArrival(clock: number, weight: number): number {
  return clock + 1 / weight
}
/** The reading of the virtual clock after a start of the key with this tag. */
export function clockAfterStart(clock: number, tag: number): number {
  return Math.max(clock, tag)
}
/** The tag of a key after one of its jobs was started. A key that returned late goes on from the clock. */
export function tagAfterStart(clock: number, tag: number, weight: number): number {
  return Math.max(clock, tag) + 1 / weight
}
/** The tag of a key one of whose jobs was claimed but not launched: it gets the turn back. */
export function tagAfterReturn(clock: number, tag: number, weight: number): number {
  return Math.max(clock, tag - 1 / weight)
}
/** The tag of a key whose weight has changed: a key that became heavier does not wait for its former turn. */
export function tagAfterChange(clock: number, tag: number, weight: number): number {
  return Math.min(tag, tagOnArrival(clock, weight))
}

/**
 * From this reading on, the clock and all tags are set back by it. Beyond it, adding `1 / weight` would lose digits: the
 * smallest step, of the largest weight, is still exact to a thousandth here.
 */
export const clockBound: number = 2 ** 32

export const leastWeight = 0.001
export const mostWeight = 1_000

/**
 * The keys that may start a job, in a heap: adding, removing and moving a key takes O(log n) steps.
 *
 * Each node has four children, so the tree is half as deep as with two. Tags and ties are copied to arrays of numbers, so
 * that comparing keys touches none of them: with 100,000 keys each of them would be a miss of the cache.
 */
export class Turns<Key extends Turn> {
  readonly #keys: Key[] = []
  readonly #tags: number[] = []
  readonly #ties: number[] = []

  get size(): number {
    return this.#keys.length
  }
  /** The key that is next. */
  get first(): Key | undefined {
    return this.#keys[0]
  }
  add(key: Key): void {
    this.#rise(this.#keys.length, key, key.tag, key.tie)
  }
  remove(key: Key): void {
    const hole = key.at
    const last = this.#keys.pop() as Key
    const tag = this.#tags.pop() as number
    const tie = this.#ties.pop() as number
    key.at = -1
    if (last !== key) this.#reposition(hole, last, tag, tie)
  }
  /** The key's tag or tie has changed. */
  moved(key: Key): void {
    this.#reposition(key.at, key, key.tag, key.tie)
  }
  /** Sets all tags back by that much. */
  rebase(by: number): void {
    // The order stays the same, or becomes a tie where two tags differ by less than a digit.
    const keys = this.#keys.splice(0)
    this.#tags.length = this.#ties.length = 0
    for (const key of keys) {
      key.tag -= by
      this.add(key)
    }
  }
  [Symbol.iterator](): Iterator<Key> {
    return this.#keys[Symbol.iterator]()
  }

  #reposition(at: number, key: Key, tag: number, tie: number): void {
    if (at > 0 && this.#isBefore(tag, tie, (at - 1) >> 2)) this.#rise(at, key, tag, tie)
    else this.#sink(at, key, tag, tie)
  }
  #isBefore(tag: number, tie: number, at: number): boolean {
    const other = this.#tags[at] as number
    return tag < other || (tag === other && tie < (this.#ties[at] as number))
  }
  #rise(from: number, key: Key, tag: number, tie: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 2
      if (!this.#isBefore(tag, tie, parent)) break
      this.#move(parent, at)
      at = parent
    }
    this.#set(at, key, tag, tie)
  }
  #sink(from: number, key: Key, tag: number, tie: number): void {
    const size = this.#keys.length
    let at = from
    for (;;) {
      const start = at * 4 + 1
      if (start >= size) break
      let least = start
      const end = Math.min(start + 4, size)
      for (let child = start + 1; child < end; child++) {
        if (this.#isBefore(this.#tags[child] as number, this.#ties[child] as number, least)) least = child
      }
      if (this.#isBefore(tag, tie, least)) break
      this.#move(least, at)
      at = least
    }
    this.#set(at, key, tag, tie)
  }
  #move(from: number, to: number): void {
    this.#set(to, this.#keys[from] as Key, this.#tags[from] as number, this.#ties[from] as number)
  }
  #set(at: number, key: Key, tag: number, tie: number): void {
    this.#keys[at] = key
    this.#tags[at] = tag
    this.#ties[at] = tie
    key.at = at
  }
}
