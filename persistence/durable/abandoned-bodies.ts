/**
 * Bodies that still run in this process after their queues stopped without waiting for them. A job that has to run
 * alone must not run beside them, though its queue, and perhaps the link to the store, are gone.
 */
import type { LinkClient } from './link-client.ts'
import type { StoreIdentity } from './store-identity.ts'

type Clients = Set<LinkClient>

const ofProcesses = new WeakMap<object, Map<string, Clients>>()

export class AbandonedBodies {
  readonly #stores: Map<string, Clients>
  readonly #store: string

  constructor({ process, key }: StoreIdentity) {
    let stores = ofProcesses.get(process)
    if (!stores) ofProcesses.set(process, (stores = new Map()))
    this.#stores = stores
    this.#store = key
  }
  add(client: LinkClient): void {
    if (client.running === 0) return
    const clients = this.#stores.get(this.#store) ?? new Set()
    this.#stores.set(this.#store, clients.add(client))
  }
  get count(): number {
    const clients = this.#stores.get(this.#store)
    if (!clients) return 0
    let count = 0
    for (const client of clients) {
      count += client.running
      if (client.running === 0) clients.delete(client)
    }
    if (count === 0) this.#stores.delete(this.#store)
    return count
  }
}
