/**
 * The keys of a queue that is sorted by key: a row for each key that has jobs, an override, or starts that still count.
 *
 * | state          | the key                                                                           |
 * | -------------- | --------------------------------------------------------------------------------- |
 * | `out`          | has no jobs that wait; its row stores an override, or its bodies still run        |
 * | `inTurn`       | takes turns: `turn` and `tie` are its position (lib/limits/fairness.ts)           |
 * | `blocked`      | has jobs, and no limit names an instant: it waits for `rdq_key_released`, or for a change of settings |
 * | `blockedUntil` | has jobs, and is checked again at an instant                                      |
 * | `idle`         | has no jobs, and its former starts count until an instant                         |
 *
 * How many bodies of a key run is not stored: it is counted from the rows of its jobs, at most as many as its width. So
 * no path by which a job leaves can make that number wrong. Triggers record which keys to check again.
 */
import { type KeyOverride, keysFromText, noKeys, textOfKeys } from '../../../lib/limits/keys.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import { type RateRule, rulesFromText, sameRules } from '../../../lib/rate/rules.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement, type SqliteValue } from '../file/database.ts'
import { ManyRows } from '../file/many-rows.ts'
import type { QueueRow } from './queue.ts'
import type { RateOwner, RateStarts } from './rate-starts.ts'

export const out = 0
export const inTurn = 1
export const blocked = 2
export const blockedUntil = 3
export const idle = 4

/** The row of one key, within one transaction. */
export class KeyRow implements RateOwner {
  readonly queueId: number
  readonly key: string
  state: number = out
  /** The virtual instant of its next turn, or the priority of its next job. Null: it gets one with its next job. */
  turn: number | null = null
  tie = 0
  untilAt = 0
  override: KeyOverride | undefined
  /** The number of its rate in rdq_rate_start; 0: it has none. */
  rateId = 0
  rules: readonly RateRule[] = noKeys.rate
  rateVersion = 0
  marks: string | null = null
  dirty = false

  constructor(queueId: number, key: string) {
    this.queueId = queueId
    this.key = key
  }
  get rateRules(): readonly RateRule[] {
    return this.rules
  }
}

const columnNames = ['key', 'state', 'turn', 'tie', 'until_at', 'override', 'rate', 'rules', 'rate_version', 'marks']
const columns = columnNames.join(', ')
/** The columns of a {@link KeyRow}, from `rdq_key k`, for statements that join other tables. */
export const keyColumns: string = columnNames.map(name => `k.${name}`).join(', ')
export const keyColumnCount: number = columnNames.length

export class KeyTable {
  readonly #rateStarts: RateStarts
  readonly #loaded = new Map<number, Map<string, KeyRow>>()
  readonly #one: SqliteStatement
  readonly #each: SqliteStatement
  readonly #due: readonly SqliteStatement[]
  readonly #firstBlocked: SqliteStatement
  readonly #firstIdle: SqliteStatement
  readonly #released: SqliteStatement
  readonly #resting: SqliteStatement
  readonly #clearReleased: SqliteStatement
  readonly #overridden: SqliteStatement
  readonly #active: SqliteStatement
  readonly #save: ManyRows
  readonly #drop: ManyRows
  readonly #rebase: SqliteStatement
  readonly #bodies: SqliteStatement
  readonly #markRunning: SqliteStatement
  readonly #markBodies: SqliteStatement

  constructor(db: SqliteDatabase, rateStarts: RateStarts) {
    this.#rateStarts = rateStarts
    this.#one = db.prepare(`select ${columns} from rdq_key where queue = ? and key = ?`).raw()
    this.#each = db
      .prepare(`
      select e.value, ${keyColumns} from json_each(?) e left join rdq_key k on k.queue = ? and k.key = e.value
      where k.state is null or k.state <> ?`)
      .raw()
    this.#due = [blockedUntil, idle].map(state =>
      db
        .prepare(`
        select ${columns} from rdq_key where queue = ? and state = ${state} and until_at <= ? order by until_at
        ${limitParameter}`)
        .raw(),
    )
    this.#firstBlocked = db
      .prepare(`select ${columns} from rdq_key where queue = ? and state = ${blockedUntil} order by until_at limit 1`)
      .raw()
    this.#firstIdle = db.prepare(`select min(until_at) from rdq_key where queue = ? and state = ${idle}`).pluck()
    this.#released = db
      .prepare(`select key from rdq_key_released where queue = ? order by key ${limitParameter}`)
      .pluck()
    this.#resting = db
      .prepare(`
      select ${keyColumns} from rdq_key_released r cross join rdq_key k on k.queue = r.queue and k.key = r.key
      where r.queue = ? and r.key <= ? and k.state <> ${inTurn}`)
      .raw()
    this.#clearReleased = db.prepare('delete from rdq_key_released where queue = ? and key <= ?')
    this.#overridden = db.prepare(`select ${columns} from rdq_key where queue = ? and override is not null`).raw()
    this.#active = db.prepare(`select ${columns} from rdq_key where queue = ? and (state > ${out} or rate <> 0)`).raw()
    const [, ...changing] = columnNames
    this.#save = new ManyRows(
      db,
      columnNames.length + 1,
      rows => `
      insert into rdq_key (queue, ${columns}) values ${rows}
      on conflict (queue, key) do update set ${changing.map(name => `${name} = excluded.${name}`).join(', ')}`,
    )
    this.#drop = new ManyRows(db, 2, rows => `delete from rdq_key where (queue, key) in (values ${rows})`)
    this.#rebase = db.prepare('update rdq_key set turn = turn - ? where queue = ? and turn is not null')
    const bodies = (table: string): string => `select count(*) from ${table} where queue = ? and key = ?`
    this.#bodies = db.prepare(`select (${bodies('rdq_underway')}) + (${bodies('rdq_continuing_body')})`).pluck()
    const key = (table: string): string => `
      update ${table} set key = (select key from rdq_job where rdq_job.seq = ${table}.seq)
      where worker in (select worker from rdq_worker) and queue = ? and key is null`
    this.#markRunning = db.prepare(key('rdq_underway'))
    this.#markBodies = db.prepare(key('rdq_continuing_body'))
  }

  find(queue: QueueRow, key: string): KeyRow | undefined {
    const known = this.#loaded.get(queue.queueId)?.get(key)
    if (known) return known
    const row = this.#one.get(queue.queueId, key) as unknown[] | undefined
    return row && this.load(queue, row)
  }
  /**
   * The rows of these keys, by one statement, as `of` returns them.
   *
   * @param except Keys in this state may be left out; undefined: none.
   */
  each(queue: QueueRow, keys: Iterable<string>, except: number | undefined): readonly KeyRow[] {
    const loaded = this.#loaded.get(queue.queueId)
    const found: KeyRow[] = []
    const others: string[] = []
    for (const key of keys) {
      const row = loaded?.get(key)
      if (row) found.push(row)
      else others.push(key)
    }
    if (others.length === 0) return found
    const rows = this.#each.all(JSON.stringify(others), queue.queueId, except ?? -1) as unknown[][]
    for (const [key, ...columns] of rows) {
      const isStored = columns[0] !== null
      found.push(isStored ? this.load(queue, columns) : this.#keep(new KeyRow(queue.queueId, key as string)))
    }
    return found
  }
  of(queue: QueueRow, key: string): KeyRow {
    return this.find(queue, key) ?? this.#keep(new KeyRow(queue.queueId, key))
  }
  /**
   * The keys to check again: their instant has come, or a body of theirs has ended. `hasMore`: there may be others, for
   * the next call.
   */
  due(queue: QueueRow, now: number, most: number): { readonly rows: readonly KeyRow[]; readonly hasMore: boolean } {
    const due = this.#due.map(due => due.all(queue.queueId, now, most) as unknown[][])
    const rows = due.flat().map(row => this.load(queue, row))
    const released = this.#released.all(queue.queueId, most) as string[]
    const hasMore = [released, ...due].some(({ length }) => length === most)
    const last = released.at(-1)
    if (last === undefined) return { rows, hasMore }
    const loaded = this.#loaded.get(queue.queueId)
    const known = released.flatMap(key => loaded?.get(key) ?? [])
    const stored = (this.#resting.all(queue.queueId, last) as unknown[][]).map(row => this.load(queue, row))
    this.#clearReleased.run(queue.queueId, last)
    return { rows: [...new Set([...known, ...stored, ...rows])], hasMore }
  }
  /** The key that is checked again first, of those blocked until an instant. All changes must be saved before. */
  firstBlocked(queue: QueueRow): KeyRow | undefined {
    const row = this.#firstBlocked.get(queue.queueId) as unknown[] | undefined
    return row && this.load(queue, row)
  }
  /** When the first idle key may be forgotten; undefined: there is none. All changes must be saved before. */
  firstIdle({ queueId }: QueueRow): number | undefined {
    return (this.#firstIdle.get(queueId) as number | null) ?? undefined
  }
  /** How many bodies of the key run in all processes, including those whose jobs have ended. */
  bodies(queue: QueueRow, key: string): number {
    return this.#bodies.get(queue.queueId, key, queue.queueId, key) as number
  }
  overridden(queue: QueueRow): KeyRow[] {
    this.#saveWithRates()
    return (this.#overridden.all(queue.queueId) as unknown[][]).map(row => this.load(queue, row))
  }
  /** The keys that have jobs, or starts that may still count. */
  active(queue: QueueRow): KeyRow[] {
    this.#saveWithRates()
    return (this.#active.all(queue.queueId) as unknown[][]).map(row => this.load(queue, row))
  }
  /** From now on the rows of running jobs carry their keys. */
  beginsToSort({ queueId }: QueueRow): void {
    this.#markRunning.run(queueId)
    this.#markBodies.run(queueId)
  }
  /** Sets all turns back by that much. The caller does the same with the clock. */
  rebase({ queueId }: QueueRow, by: number): void {
    this.#saveWithRates()
    this.#rebase.run(by, queueId)
    this.#loaded.delete(queueId)
  }
  /** The rate of the key. `rules` are those in force; undefined if there are none. */
  rate(row: KeyRow, rules: readonly RateRule[]): Rate | undefined {
    if (row.rateId !== 0) return this.#rateStarts.of(row)
    return rules.length > 0 ? new Rate(rules) : undefined
  }
  /** The same, for a start that is about to be charged. */
  rateToChange(row: KeyRow, rules: readonly RateRule[]): Rate | undefined {
    if (rules.length === 0) return undefined
    if (row.rateId === 0) {
      row.rateId = this.#rateStarts.newId()
      row.rules = rules
      row.dirty = true
    }
    return this.#rateStarts.changing(row)
  }
  /**
   * Other rules are in force from now on. They are applied at once, while the starts that count are known: the former
   * rules may forget them a moment later.
   */
  changeRules(row: KeyRow, rules: readonly RateRule[], now: number): void {
    if (row.rateId === 0 || sameRules(row.rules, rules)) return
    this.#rateStarts.changing(row).change(rules, now)
    row.rules = rules
    row.dirty = true
  }
  /** Drops the row of a key of which nothing needs to be known. */
  forget(row: KeyRow): void {
    if (row.rateId !== 0) this.#rateStarts.drop(row)
    row.rateId = 0
    row.marks = null
    row.turn = null
    row.state = out
    row.dirty = true
  }
  /** Writes all changes. The rates of keys must be saved before. */
  save(): void {
    const saved: SqliteValue[] = []
    const dropped: SqliteValue[] = []
    for (const [queueId, rows] of this.#loaded) {
      for (const row of rows.values()) {
        if (!row.dirty) continue
        row.dirty = false
        const { key, state, turn, tie, untilAt, override, rateId, rules, rateVersion, marks } = row
        if (state === out && override === undefined && rateId === 0 && turn === null) {
          dropped.push(queueId, key)
          continue
        }
        saved.push(queueId, key, state, turn, tie, untilAt, override ? textOfKeys(override) : null)
        saved.push(rateId, rateId === 0 ? null : JSON.stringify(rules), rateVersion, marks)
      }
    }
    this.#save.run(saved)
    this.#drop.run(dropped)
  }
  /**
   * Writes all changes if a key does not take turns any more. The triggers go by the states in the file, and a body may
   * end later in the same transaction.
   */
  saveStates({ queueId }: QueueRow): void {
    for (const row of this.#loaded.get(queueId)?.values() ?? []) {
      if (row.dirty && row.state !== inTurn) return this.#saveWithRates()
    }
  }
  #saveWithRates(): void {
    this.#rateStarts.save()
    this.save()
  }
  /** The next transaction reads again. */
  clear(): void {
    this.#loaded.clear()
  }
  /** The row with these columns; if it was loaded before in this transaction, as it was changed since. */
  load(queue: QueueRow, columns: readonly unknown[]): KeyRow {
    const [key, state, turn, tie, untilAt, override, rateId, rules, rateVersion, marks] = columns
    const known = this.#loaded.get(queue.queueId)?.get(key as string)
    if (known) return known
    const row = new KeyRow(queue.queueId, key as string)
    Object.assign(row, { state, turn, tie, untilAt, rateId, rateVersion, marks })
    if (override !== null) row.override = keysFromText<KeyOverride>(override as string)
    if (rules !== null) row.rules = rulesFromText(rules as string)
    return this.#keep(row)
  }
  #keep(row: KeyRow): KeyRow {
    let rows = this.#loaded.get(row.queueId)
    if (!rows) this.#loaded.set(row.queueId, (rows = new Map()))
    rows.set(row.key, row)
    return row
  }
}
