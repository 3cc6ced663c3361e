/**
 * The keys that may start a job, in order of their tags. What the tags are is decided in fairness.ts.
 *
 * A key that has started a job gets a later tag, and among keys of one weight that is the latest of all. So most keys
 * are added behind all others. They stand in a line, and adding one takes constant time. A key that precedes the last of
 * the line, because its weight is greater or a new key has come meanwhile, goes into a heap instead, where it takes
 * O(log n) steps. The earlier of the two heads is next.
 */

/** A key's place among the turns. */
export interface Turn {
  /** The virtual instant of the key's next start, or where priority comes first, the priority of its next job. */
  tag: number
  /** Decides between equal tags: the number of the key's next job, in order of put, when the key got its place. */
  tie: number
  /** The place of the key among the turns; -1: it takes no turns at present. */
  at: number
}

export class Turns<Key extends Turn> {
  readonly #line = new Line<Key>()
  readonly #heap = new TurnHeap<Key>()

  get size(): number {
    return this.#line.size + this.#heap.size
  }
  /** The key that is next. */
  get first(): Key | undefined {
    const inLine = this.#line.first
    const inHeap = this.#heap.first
    if (inHeap === undefined || inLine === undefined) return inLine ?? inHeap
    return isBefore(inHeap, inLine) ? inHeap : inLine
  }
  add(key: Key): void {
    const { last } = this.#line
    if (last === undefined || isBefore(last, key)) this.#line.add(key)
    else this.#heap.add(key)
  }
  remove(key: Key): void {
    if (isInLine(key)) this.#line.remove(key)
    else this.#heap.remove(key)
  }
  /** The key's tag or tie has changed. */
  moved(key: Key): void {
    const { last } = this.#line
    const isLast = last === undefined || isBefore(last, key)
    if (!isLast && !isInLine(key)) return this.#heap.moved(key)
    if (last === key && this.#line.size === 1) return
    this.remove(key)
    this.add(key)
  }
  /** Sets all tags back by that much. */
  rebase(by: number): void {
    // The order stays the same, or becomes a tie where two tags differ by less than a digit.
    const keys = [...this]
    for (const key of keys) this.remove(key)
    for (const key of keys) {
      key.tag -= by
      this.add(key)
    }
  }
  *[Symbol.iterator](): Generator<Key> {
    yield* this.#line
    yield* this.#heap
  }
}

function isBefore(key: Turn, other: Turn): boolean {
  return key.tag < other.tag || (key.tag === other.tag && key.tie < other.tie)
}

// The place of a key is odd in the line, and even in the heap.

function isInLine({ at }: Turn): boolean {
  return (at & 1) === 1
}

const minCells = 4

/** Keys in ascending order, in a ring. A key leaves from anywhere. */
class Line<Key extends Turn> {
  #cells: (Key | undefined)[] = new Array(minCells)
  /** Positions only grow. The low bits of a position are its cell. There is a key at both ends, unless it is empty. */
  #head = 0
  #tail = 0
  #size = 0

  get size(): number {
    return this.#size
  }
  get first(): Key | undefined {
    return this.#size > 0 ? this.#at(this.#head) : undefined
  }
  get last(): Key | undefined {
    return this.#size > 0 ? this.#at(this.#tail - 1) : undefined
  }
  add(key: Key): void {
    if (this.#tail - this.#head === this.#cells.length) this.#resize()
    const cell = this.#tail++ & (this.#cells.length - 1)
    this.#cells[cell] = key
    key.at = cell * 2 + 1
    this.#size++
  }
  remove(key: Key): void {
    this.#cells[key.at >> 1] = undefined
    key.at = -1
    this.#size--
    if (this.#size === 0) this.#head = this.#tail
    else {
      while (this.#at(this.#head) === undefined) this.#head++
      while (this.#at(this.#tail - 1) === undefined) this.#tail--
    }
    const { length } = this.#cells
    if (length > minCells && this.#size * 8 < length) this.#resize()
  }
  *[Symbol.iterator](): Generator<Key> {
    for (let at = this.#head; at < this.#tail; at++) {
      const key = this.#at(at)
      if (key) yield key
    }
  }
  #at(position: number): Key | undefined {
    return this.#cells[position & (this.#cells.length - 1)]
  }
  /** Makes space for as many keys again, and closes the holes. */
  #resize(): void {
    const from = this.#cells
    const head = this.#head
    const tail = this.#tail
    let length = minCells
    while (length < this.#size * 2) length *= 2
    this.#cells = new Array(length)
    this.#head = this.#tail = this.#size = 0
    for (let at = head; at < tail; at++) {
      const key = from[at & (from.length - 1)]
      if (key) this.add(key)
    }
  }
}

/**
 * Keys in any order, the earliest at the root. Each node has four children, so the tree is half as deep as with two.
 * Tags and ties are copied to arrays of numbers, so that comparing keys touches none of them: with 100,000 keys each of
 * them would be a miss of the cache.
 */
class TurnHeap<Key extends Turn> {
  readonly #keys: Key[] = []
  readonly #tags: number[] = []
  readonly #ties: number[] = []

  get size(): number {
    return this.#keys.length
  }
  get first(): Key | undefined {
    return this.#keys[0]
  }
  add(key: Key): void {
    this.#rise(this.#keys.length, key, key.tag, key.tie)
  }
  remove(key: Key): void {
    const hole = key.at >> 1
    const last = this.#keys.pop() as Key
    const tag = this.#tags.pop() as number
    const tie = this.#ties.pop() as number
    key.at = -1
    if (last !== key) this.#reposition(hole, last, tag, tie)
  }
  /** The key's tag or tie has changed. */
  moved(key: Key): void {
    this.#reposition(key.at >> 1, key, key.tag, key.tie)
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
    key.at = at * 2
  }
}
