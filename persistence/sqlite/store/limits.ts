/** The limits of queues, as the file keeps them: rates, named rules, and the settings of keys. */
import type { FurtherStart } from '../../../lib/backlog.ts'
import type { KeyOverride } from '../../../lib/limits/keys.ts'
import type { Demand, NamedRule } from '../../../lib/limits/named-rules.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import type { LimitStore, StoredRule } from '../../durable/execute/limit-store.ts'
import type { KeyRow, KeyTable } from '../tables/key.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { RateStarts } from '../tables/rate-starts.ts'
import type { RuleRow, RuleTable } from '../tables/rule.ts'
import type { KeyState, KeyTurns } from './key-turns.ts'

export interface LimitsParts {
  readonly queues: QueueTable
  readonly rateStarts: RateStarts
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly rules: RuleTable
}

export class Limits implements LimitStore<QueueRow, KeyState> {
  readonly #parts: LimitsParts

  constructor(parts: LimitsParts) {
    this.#parts = parts
  }
  rate(queue: QueueRow): Rate {
    return this.#parts.rateStarts.of(queue)
  }
  rateToChange(queue: QueueRow): Rate {
    return this.#parts.rateStarts.changing(queue)
  }
  saveSettings(queue: QueueRow): void {
    this.#parts.queues.saveSettings(queue)
  }
  graceFactor({ queueId }: QueueRow): number {
    return this.#parts.rateStarts.graceFactor(queueId)
  }
  setGraceFactor({ queueId }: QueueRow, factor: number): void {
    this.#parts.rateStarts.setGraceFactor(queueId, factor)
  }

  // Starts in other rates than that of the queue.
  furtherRate(queue: QueueRow, start: FurtherStart): Rate | undefined {
    const { rateStarts, rules } = this.#parts
    const owner = start.of === 'rule' ? rules.find(start.name) : this.#keyOf(queue, start)
    return owner && rateStarts.changing(owner)
  }
  recounted(queue: QueueRow, start: FurtherStart, now: number): void {
    const { rules, keyTurns } = this.#parts
    if (start.of === 'rule') return rules.wakeNext(queue.queueId, [start], now)
    const row = this.#keyOf(queue, start)
    if (row) keyTurns.recounted(queue, row, now)
  }
  /** Undefined if the key was forgotten, which it is not before its starts stop counting. */
  #keyOf(queue: QueueRow, { name }: FurtherStart): KeyRow | undefined {
    const row = this.#parts.keys.find(queue, name)
    return row?.rateId ? row : undefined
  }

  // Named rules.
  namedRule(name: string): StoredRule | undefined {
    return this.#parts.rules.find(name)
  }
  addNamedRule(name: string): StoredRule {
    return this.#parts.rules.add(name)
  }
  ruleToChange(rule: StoredRule): void {
    this.#parts.rules.changing(rule as RuleRow)
  }
  rulesToCharge(rules: readonly NamedRule[]): void {
    this.#parts.rules.charging(rules)
  }
  noteWaits(queue: QueueRow, demand: Demand | undefined, now: number): void {
    this.#parts.rules.noteWaits(queue, demand, now)
  }

  // Keys.
  keyNow(queue: QueueRow, key: string): KeyState {
    return this.#parts.keyTurns.state(queue, this.#parts.keys.of(queue, key))
  }
  rateToCharge(_queue: QueueRow, key: KeyState): Rate | undefined {
    return this.#parts.keyTurns.charging(key)
  }
  returnTurn(queue: QueueRow, key: string): void {
    this.#parts.keyTurns.returned(queue, key)
  }
  overridesRates({ keysUsed }: QueueRow): boolean {
    return keysUsed > 1
  }
  override(queue: QueueRow, key: string): KeyOverride | undefined {
    return this.#parts.keys.find(queue, key)?.override
  }
  overrides(queue: QueueRow): readonly (readonly [string, KeyOverride])[] {
    return this.#parts.keys.overridden(queue).map(({ key, override }) => [key, override as KeyOverride])
  }
  setOverride(queue: QueueRow, key: string, override: KeyOverride | undefined, now: number): void {
    const row = this.#parts.keys.of(queue, key)
    row.override = override
    row.dirty = true
    this.#beginsToSort(queue, override?.rate === undefined ? 1 : 2, now)
    this.#parts.keyTurns.changed(queue, row, now)
  }
  keysDeclared(queue: QueueRow, reorders: boolean, now: number): void {
    this.#beginsToSort(queue, 1, now)
    if (reorders) this.#parts.keyTurns.reorder(queue, now)
    else this.#parts.keyTurns.allChanged(queue, now)
  }
  #beginsToSort(queue: QueueRow, used: number, now: number): void {
    const { keys, keyTurns } = this.#parts
    if (!queue.sorted) {
      keys.beginsToSort(queue)
      // Their jobs wait by key already, and without a look such a key would never take a turn.
      for (const key of keyTurns.withHold(queue)) keyTurns.recheck(queue, keys.of(queue, key), now)
    }
    queue.keysUsed = Math.max(queue.keysUsed, used)
    queue.dirty = true
  }
}
