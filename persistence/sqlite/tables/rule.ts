/**
 * The rules with a name: one row for each, with what was declared and set for it, its rate, and the queues that wait for
 * it (lib/limits/rule-turns.ts). All queues of the file that have a rule of that name share the row.
 */

import { type NamedSettings, named, namedInForce } from '../../../lib/decisions/rule-settings.ts'
import { type Demand, type NamedRule, nextInTurn, noteWaits } from '../../../lib/limits/named-rules.ts'
import { RuleTurns, type RuleWait } from '../../../lib/limits/rule-turns.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import { type RateRule, ruleFromJson } from '../../../lib/rate/rules.ts'
import type { StoredRule } from '../../durable/execute/limit-store.ts'
import { forgetWaits } from '../../durable/execute/rules.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { QueueRow } from './queue.ts'
import type { RateOwner, RateStarts } from './rate-starts.ts'

/** The row of one named rule, within one transaction. */
export class RuleRow implements RateOwner, StoredRule {
  readonly name: string
  settings: NamedSettings
  readonly rateId: number
  rateVersion: number
  marks: string | null
  readonly turns: RuleTurns
  dirty = false
  /** A claim has charged it, and has not passed the turn yet. */
  isCharged = false
  readonly #rateStarts: RateStarts

  constructor(rateStarts: RateStarts, columns: readonly unknown[]) {
    const [name, declared, override, rateId, rateVersion, marks, turns] = columns
    const { clock, waits } = JSON.parse((turns as string | null) ?? '{}') as { clock?: number; waits?: RuleWait[] }
    this.#rateStarts = rateStarts
    this.name = name as string
    this.settings = { declared: ruleOf(declared), set: ruleOf(override) }
    this.rateId = rateId as number
    this.rateVersion = rateVersion as number
    this.marks = marks as string | null
    this.turns = new RuleTurns(clock, waits)
  }
  get rateRules(): readonly RateRule[] {
    return namedInForce(this.settings) ? [namedInForce(this.settings) as RateRule] : []
  }
  get rate(): Rate {
    return this.#rateStarts.of(this)
  }
}

export class RuleTable {
  readonly #rateStarts: RateStarts
  readonly #worker: number
  readonly #loaded = new Map<string, RuleRow>()
  /**
   * Queues of this process whose turn it is since the last call of `takeQueuesToWake`, because another queue made the
   * last request.
   */
  #woken = new Set<number>()
  /** A rule has changed since then, or a wait is over: any queue of this process may start a job earlier. */
  #isChanged = false
  readonly #one: SqliteStatement
  readonly #all: SqliteStatement
  readonly #save: SqliteStatement

  constructor(db: SqliteDatabase, worker: number, rateStarts: RateStarts) {
    const columns = 'name, declared, override, rate, rate_version, marks, turns'
    this.#rateStarts = rateStarts
    this.#worker = worker
    this.#one = db.prepare(`select ${columns} from rdq_rule where name = ?`).raw()
    this.#all = db.prepare(`select ${columns} from rdq_rule where turns is not null`).raw()
    this.#save = db.prepare(`insert or replace into rdq_rule (${columns}) values (?, ?, ?, ?, ?, ?, ?)`)
  }

  // Settings.

  /** A rule that nobody has declared so far. */
  add(name: string): RuleRow {
    return this.#keep(new RuleRow(this.#rateStarts, [name, null, null, this.#rateStarts.newId(), 0, null, null]))
  }
  /** The settings of the rule are about to be changed, and its rate. */
  changing(row: RuleRow): void {
    this.#rateStarts.changing(row)
    row.dirty = true
    this.#isChanged = true
  }

  // Claims.

  /** Starts in these rules are about to be charged. */
  charging(rules: readonly NamedRule[]): void {
    for (const row of rules as readonly RuleRow[]) {
      this.#rateStarts.changing(row)
      row.isCharged = true
    }
  }
  /** After a claim of the queue: whether it waits for its rules, and whose turn it is now. */
  noteWaits(queue: QueueRow, demand: Demand | undefined, now: number): void {
    const { queueId } = queue
    const rules = named(queue.rules).flatMap(({ name }) => this.find(name) ?? [])
    const left = noteWaits(this.#rateStarts.of(queue), rules, { queue: queueId, worker: this.#worker }, demand, now)
    for (const row of rules) {
      row.dirty = true
      if (left || row.isCharged) this.wakeNext(queueId, [row], now)
      row.isCharged = false
    }
  }
  /** The queue has changed something by which others may start a job earlier: those that are next take a turn. */
  wakeNext(queue: number, rules: readonly Pick<NamedRule, 'name'>[], now: number): void {
    for (const { name } of rules) {
      const row = this.find(name)
      for (const next of row ? nextInTurn(row, now) : []) {
        if (next.queue !== queue && next.worker === this.#worker) this.#woken.add(next.queue)
      }
    }
  }
  /** The worker is gone, or one of its queues: it waits no more. */
  forgetWaits(worker: number, queue?: number): void {
    for (const columns of this.#all.all() as unknown[][]) this.find(columns[0] as string)
    for (const row of forgetWaits(this.#loaded.values(), worker, queue)) {
      row.dirty = true
      this.#isChanged = true
    }
  }
  /** The queues of this process that should take a turn, or all of them. */
  takeQueuesToWake(): ReadonlySet<number> | 'all' {
    const woken = this.#isChanged ? 'all' : this.#woken
    this.#woken = new Set()
    this.#isChanged = false
    return woken
  }

  /** Writes all changes. The rates must be saved before. */
  save(): void {
    for (const row of this.#loaded.values()) {
      if (!row.dirty) continue
      row.dirty = false
      const { name, settings, rateId, rateVersion, marks, turns } = row
      const { clock, waits } = turns
      // Without anybody who waits, the clock means nothing.
      const turnsText = waits.length > 0 ? JSON.stringify({ clock, waits }) : null
      const texts = [settings.declared, settings.set].map(rule => (rule ? JSON.stringify(rule) : null))
      this.#save.run(name, ...texts, rateId, rateVersion, marks, turnsText)
    }
  }
  /** The next transaction reads again. */
  clear(): void {
    this.#loaded.clear()
  }
  find(name: string): RuleRow | undefined {
    const known = this.#loaded.get(name)
    if (known) return known
    const columns = this.#one.get(name) as unknown[] | undefined
    return columns && this.#keep(new RuleRow(this.#rateStarts, columns))
  }
  #keep(row: RuleRow): RuleRow {
    this.#loaded.set(row.name, row)
    return row
  }
}

function ruleOf(text: unknown): RateRule | undefined {
  return text === null ? undefined : ruleFromJson(JSON.parse(text as string) as RateRule)
}
