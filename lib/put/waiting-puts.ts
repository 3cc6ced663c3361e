/** The puts that wait for space, first come first served. */
import { Fifo } from '../support/fifo.ts'
import { sizeOf, type WaitingEntry } from './entries.ts'
import { WaitingIds } from './waiting-ids.ts'

/** Entries that are looked at in their order: an array or a queue. */
interface Entries {
  readonly length: number
  at(index: number): WaitingEntry | undefined
}

/** The end of the entries from `from` on that have at most `most` jobs together, but at least one entry. */
export function endOfFitting(entries: Entries, from: number, most: number): number {
  if (most === Infinity) return entries.length
  let to = from
  for (let jobs = 0; to < entries.length; to++) {
    jobs += sizeOf(entries.at(to) as WaitingEntry)
    if (to > from && jobs > most) break
  }
  return to
}

export class WaitingPuts {
  readonly #entries = new Fifo<WaitingEntry>()
  readonly #ids = new WaitingIds()

  get length(): number {
    return this.#entries.length
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
    const taken = this.#entries.take(endOfFitting(this.#entries, 0, most))
    for (const entry of taken) this.#ids.delete(entry)
    return taken
  }
  takeAll(): WaitingEntry[] {
    this.#ids.clear()
    return this.#entries.takeAll()
  }
  /** Puts entries back before all others, in order. */
  putBack(entries: readonly WaitingEntry[]): void {
    this.#entries.putBack(entries)
    for (const entry of entries) this.#ids.add(entry)
  }
}
