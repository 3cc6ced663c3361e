/** Finds puts that wait for space by the given ids of their jobs, because callers know such jobs only by id. */
import { recordsOf, type WaitingEntry } from './entries.ts'

export class WaitingIds {
  readonly #entries = new Map<string, Set<WaitingEntry>>()

  has(id: string): boolean {
    return this.#entries.has(id)
  }
  of(id: string): readonly WaitingEntry[] {
    return [...(this.#entries.get(id) ?? [])]
  }
  add(entry: WaitingEntry): void {
    for (const id of givenIds(entry)) {
      const entries = this.#entries.get(id)
      if (entries) entries.add(entry)
      else this.#entries.set(id, new Set([entry]))
    }
  }
  delete(entry: WaitingEntry): void {
    if (this.#entries.size === 0) return
    for (const id of givenIds(entry)) {
      const entries = this.#entries.get(id)
      if (entries?.delete(entry) && entries.size === 0) this.#entries.delete(id)
    }
  }
  clear(): void {
    this.#entries.clear()
  }
}

/** Only a job with a given id has a fingerprint of its payload. */
function givenIds(entry: WaitingEntry): string[] {
  return recordsOf([entry])
    .filter(({ extras }) => extras?.fingerprint !== undefined)
    .map(({ id }) => id)
}
