/** What is declared for all keys of a queue, and what is set for single ones. */
import { type KeyOverride, type KeysPolicy, noKeys, overridden, textOfKeys } from '../../../lib/limits/keys.ts'
import type { KeysNow } from '../../durable/store.ts'
import type { KeyTable } from '../tables/key.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { KeyTurns } from './key-turns.ts'

export class KeySettingsTable {
  readonly #keys: KeyTable
  readonly #turns: KeyTurns

  constructor(keys: KeyTable, turns: KeyTurns) {
    this.#keys = keys
    this.#turns = turns
  }
  /** Does nothing if the declaration repeats the last one. */
  declare(queue: QueueRow, policy: KeysPolicy, now: number): void {
    const declared = textOfKeys(policy)
    if (declared === queue.declaredKeys) return
    const reorders = (queue.keys ?? noKeys).order !== policy.order
    queue.keys = policy
    queue.declaredKeys = declared
    queue.keysVersion++
    this.#beginsToSort(queue, 1, now)
    if (reorders) this.#turns.reorder(queue, now)
    else this.#turns.allChanged(queue, now)
  }
  override(queue: QueueRow, key: string, change: KeyOverride, now: number): void {
    const row = this.#keys.of(queue, key)
    row.override = overridden(row.override, change)
    row.dirty = true
    this.#beginsToSort(queue, change.rate === undefined ? 1 : 2, now)
    this.#turns.changed(queue, row, now)
  }
  clearOverrides(queue: QueueRow, now: number): void {
    for (const row of this.#keys.overridden(queue)) {
      row.override = undefined
      row.dirty = true
      this.#turns.changed(queue, row, now)
    }
  }
  now(queue: QueueRow): KeysNow {
    this.#keys.save()
    return this.#keys.now(queue)
  }
  #beginsToSort(queue: QueueRow, used: number, now: number): void {
    if (!queue.sorted) {
      this.#keys.beginsToSort(queue)
      // Their jobs wait by key already, and without a look such a key would never take a turn.
      for (const key of this.#turns.withHold(queue)) this.#turns.recheck(queue, this.#keys.of(queue, key), now)
    }
    queue.keysUsed = Math.max(queue.keysUsed, used)
    queue.dirty = true
  }
}
