/**
 * Bodies that go on in this process after their queues have stopped without waiting for them. A job that has to run alone
 * must not run beside them, though the queue, and perhaps the channel of its file, are gone.
 */

import type { Member } from '../durable/link-client.ts'
import type { Host } from './host.ts'

type Key = string

const all = new WeakMap<Host['channels'], Map<Key, Set<Member>>>()

export class LeftBodies {
  readonly #files: Map<Key, Set<Member>>
  readonly #key: Key

  /** Those of the file with that key in the process of `host`. */
  constructor({ channels }: Host, key: Key) {
    let files = all.get(channels)
    if (!files) all.set(channels, (files = new Map()))
    this.#files = files
    this.#key = key
  }
  add(member: Member): void {
    if (member.running === 0) return
    const members = this.#files.get(this.#key) ?? new Set()
    this.#files.set(this.#key, members.add(member))
  }
  get count(): number {
    const members = this.#files.get(this.#key)
    if (!members) return 0
    let count = 0
    for (const member of members) {
      count += member.running
      if (member.running === 0) members.delete(member)
    }
    if (count === 0) this.#files.delete(this.#key)
    return count
  }
}
