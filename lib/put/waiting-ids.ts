/** Finds the puts that wait for room by the ids that were given to their jobs: an id is all that a caller knows of them yet. */

import type { JobRecord } from '../job.ts'
import { type Ask, recordsOf } from './requests.ts'

type Waiting = Ask | JobRecord

export class WaitingIds {
  readonly #asks = new Map<string, Set<Waiting>>()

  has(id: string): boolean {
    return this.#asks.has(id)
  }
  of(id: string): readonly Waiting[] {
    return [...(this.#asks.get(id) ?? [])]
  }
  add(ask: Waiting): void {
    for (const id of givenIds(ask)) {
      const asks = this.#asks.get(id)
      if (asks) asks.add(ask)
      else this.#asks.set(id, new Set([ask]))
    }
  }
  delete(ask: Waiting): void {
    if (this.#asks.size === 0) return
    for (const id of givenIds(ask)) {
      const asks = this.#asks.get(id)
      if (asks?.delete(ask) && asks.size === 0) this.#asks.delete(id)
    }
  }
  clear(): void {
    this.#asks.clear()
  }
}

/** Only a job with a given id has a fingerprint of its payload. */
function givenIds(ask: Waiting): string[] {
  return recordsOf([ask])
    .filter(({ extras }) => extras?.fingerprint !== undefined)
    .map(({ id }) => id)
}
