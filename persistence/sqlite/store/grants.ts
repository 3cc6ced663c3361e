/** What claims have charged: starts in the rate of a queue, in that of a key, and in those of named rules. */
import type { FurtherStart, Grant } from '../../../lib/backlog.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import { furtherOf, startOf } from '../../../lib/rules/grants.ts'
import type { KeyRow, KeyTable } from '../tables/key.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog, RateOwner } from '../tables/rate-log.ts'
import type { RuleTable } from '../tables/rule.ts'
import type { KeyTurns } from './key-turns.ts'

export class Grants {
  readonly #rateLog: RateLog
  readonly #keys: KeyTable
  readonly #turns: KeyTurns
  readonly #rules: RuleTable

  constructor(rateLog: RateLog, keys: KeyTable, turns: KeyTurns, rules: RuleTable) {
    this.#rateLog = rateLog
    this.#keys = keys
    this.#turns = turns
    this.#rules = rules
  }
  confirm(queue: QueueRow, grant: Grant, at: number, now: number): void {
    this.#each(queue, grant, now, (owner, start) => this.#rateLog.confirm(queue, owner, start, at))
  }
  correct(queue: QueueRow, grant: Grant, cost: Cost, now: number): void {
    this.#each(queue, grant, now, (owner, start) => this.#rateLog.changing(owner).correct(start, cost))
  }
  refund(queue: QueueRow, grant: Grant, now: number): void {
    this.#each(queue, grant, now, (owner, start) => this.#rateLog.changing(owner).refund(start))
  }
  refused(queue: QueueRow, grant: Grant, now: number): void {
    this.#each(queue, grant, now, (owner, start) => this.#rateLog.changing(owner).refused(start, now))
  }
  /** The job goes back. If its grace was over, the next grants get a longer one. */
  returned(queue: QueueRow, grant: Grant, now: number): void {
    this.#each(queue, grant, now, (owner, start) => this.#rateLog.returned(queue, owner, start, now))
  }
  #each(queue: QueueRow, grant: Grant, now: number, act: (owner: RateOwner, start: number) => void): void {
    const own = startOf(grant)
    if (own > 0) act(queue, own)
    for (const one of furtherOf(grant)) {
      if (one.of === 'rule') {
        const rule = this.#rules.find(one.name)
        if (rule) act(rule, one.start)
        this.#rules.wakeNext(queue.queueId, [one], now)
        continue
      }
      const ofKey = this.#keyOf(queue, one)
      if (!ofKey) continue
      act(ofKey, one.start)
      // Its starts count otherwise now, so it may have room earlier.
      this.#turns.recounted(queue, ofKey, now)
    }
  }
  /** Undefined if the key was forgotten, which it is not before its starts stop counting. */
  #keyOf(queue: QueueRow, { name }: FurtherStart): KeyRow | undefined {
    const row = this.#keys.find(queue, name)
    return row?.rateId ? row : undefined
  }
}
