/**
 * The puts that wait for room, first come first served. Taking some from the front, and putting back those that did not
 * fit, costs as much as their number, however many wait behind them.
 */
import { sizeOf, type WaitingEntry } from './requests.ts'
import { WaitingIds } from './waiting-ids.ts'

/** From this number of empty cells at the front on, they are cut off once they are more than half of all. */
const minCut = 1_024

/** The end of the entries from `from` on that have at most `most` jobs together, but at least one entry. */
export function endOfFitting(entries: readonly WaitingEntry[], from: number, most: number): number {
  if (most === Infinity) return entries.length
  let to = from
  for (let jobs = 0; to < entries.length; to++) {
    jobs += sizeOf(entries[to] as WaitingEntry)
    if (to > from && jobs > most) break
  }
  return to
}

export class WaitingPuts {
  #entries: (WaitingEntry | undefined)[] = []
  /** The index of the first entry. The cells before it are empty. */
  #head = 0
  readonly #ids = new WaitingIds()

  get length(): number {
    return this.#entries.length - this.#head
  }
  /** Whether a put with a job of this id waits. */
  has(id: string): boolean {
    return this.#ids.has(id)
  }
  of(id: string): readonly WaitingEntry[] {
    return this.#ids.of(id)
  }
  /** The entry was withdrawn: it keeps its place but is no longer found by id. */
  forgetIds(entry: WaitingEntry): void {
    this.#ids.delete(entry)
  }
  push(entry: WaitingEntry): void {
    this.#entries.push(entry)
    this.#ids.add(entry)
  }
  /** Takes entries from the front that have at most `most` jobs together, but at least one entry. */
  take(most: number): WaitingEntry[] {
    const end = endOfFitting(this.#entries as WaitingEntry[], this.#head, most)
    const taken = this.#entries.slice(this.#head, end) as WaitingEntry[]
    this.#entries.fill(undefined, this.#head, end)
    this.#head = end
    for (const entry of taken) this.#ids.delete(entry)
    if (this.#head >= minCut && this.#head * 2 > this.#entries.length) this.#cut()
    return taken
  }
  takeAll(): WaitingEntry[] {
    this.#cut()
    this.#ids.clear()
    return this.#entries.splice(0) as WaitingEntry[]
  }
  /** Puts entries back before all others, in order. */
  putBack(entries: readonly WaitingEntry[]): void {
    if (entries.length > this.#head) {
      this.#cut()
      this.#entries = [...entries, ...this.#entries]
    } else {
      this.#head -= entries.length
      for (const [i, entry] of entries.entries()) this.#entries[this.#head + i] = entry
    }
    for (const entry of entries) this.#ids.add(entry)
  }
  #cut(): void {
    this.#entries = this.#entries.slice(this.#head)
    this.#head = 0
  }
}
