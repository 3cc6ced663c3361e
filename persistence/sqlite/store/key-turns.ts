/**
 * Chooses the key whose job is next, in a queue that is sorted by key.
 *
 * Jobs that became ready and were not sorted by their put are first sorted by key: from rdq_ready into rdq_pending_by_key, whose
 * order is (key, priority, order of put). Then keys take turns (lib/limits/fairness.ts). A key that is held up leaves
 * the turns, so a claim never walks over its jobs.
 */
import { clockBound, tagAfterChange, tagAfterReturn, tagOnArrival } from '../../../lib/limits/fairness.ts'
import { type KeySettings, keyless, noKeys, settingsOf } from '../../../lib/limits/keys.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
import { refusalOf } from '../../../lib/limits/limits.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import type { Cost } from '../../../lib/rate/rules.ts'
import { type KeyInTurn, KeysInTurn } from '../../durable/execute/claim-in-turns.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { extrasOf } from '../tables/job.ts'
import {
  blocked,
  blockedUntil,
  idle,
  inTurn,
  type KeyRow,
  type KeyTable,
  keyColumnCount,
  keyColumns,
  out,
} from '../tables/key.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import { type Row, rowColumns, rowOf } from './claim-row.ts'

/** How many jobs one turn sorts by key, and how many keys it checks again. */
const maxSorted = 4_000
const maxRechecked = 1_000
/** How many keys are read at once at most. */
const mostInStep = 256

/** One key, as a claim uses it. */
export class KeyState implements KeyInTurn {
  readonly row: KeyRow
  readonly settings: KeySettings
  readonly heldUntil: number
  /** How many of its bodies run, with those that this claim has added. */
  bodies: number
  rate: Rate | undefined
  tag: number
  tie: number
  at = -1
  /** Its first job, as a claim reads it, and whether the key has more. */
  firstJob: Row | undefined
  hasMore = true

  constructor(row: KeyRow, settings: KeySettings, heldUntil: number, underway: number, rate: Rate | undefined) {
    this.row = row
    this.settings = settings
    this.heldUntil = heldUntil
    this.bodies = underway
    this.rate = rate
    this.tag = row.turn ?? 0
    this.tie = row.tie
  }
  get paused(): boolean {
    return this.settings.paused
  }
  get width(): number {
    return this.settings.width
  }
  get weight(): number {
    return this.settings.weight
  }
}

/** The position of a job among those of its key. */
export interface JobPosition {
  readonly priority: number
  readonly seq: number
}

export class KeyTurns {
  readonly #keys: KeyTable
  readonly #readyRanges: ReadyRanges
  readonly #next: SqliteStatement
  readonly #unsorted: SqliteStatement
  readonly #sort: SqliteStatement
  readonly #leaveReady: SqliteStatement
  readonly #firstReady: SqliteStatement
  readonly #heldUntil: SqliteStatement
  readonly #hasJobs: SqliteStatement
  readonly #withHold: SqliteStatement
  readonly #extrasOfNext: SqliteStatement
  readonly #isNext: SqliteStatement

  constructor(db: SqliteDatabase, keys: KeyTable, readyRanges: ReadyRanges) {
    this.#keys = keys
    this.#readyRanges = readyRanges
    const pendingByKey = 'from rdq_pending_by_key where epoch = ? and key = k.key order by priority, seq limit 1'
    const bodies = (table: string): string => `select count(*) from ${table} where queue = k.queue and key = k.key`
    this.#next = db
      .prepare(`
      select ${keyColumns},
        case when ? or k.override is not null
          then (${bodies('rdq_underway')}) + (${bodies('rdq_continuing_body')}) else 0 end,
        h.until_at, (select 1 ${pendingByKey} offset 1), ${rowColumns}
      from rdq_key k left join rdq_key_hold h on h.queue = k.queue and h.key = k.key
        left join rdq_job j on j.seq = (select seq ${pendingByKey})
        left join rdq_pending_by_key r on r.epoch = ? and r.key = k.key and r.priority = j.priority and r.seq = j.seq
      where k.queue = ? and k.state = ${inTurn} and (k.turn, k.tie, k.key) > (?, ?, ?)
      order by k.turn, k.tie, k.key ${limitParameter}`)
      .raw()
    this.#unsorted = db
      .prepare(`
      select coalesce(j.key, '${keyless}'), r.priority, r.seq from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? order by r.priority, r.seq ${limitParameter}`)
      .raw()
    this.#sort = db.prepare(`
      insert into rdq_pending_by_key (epoch, key, priority, seq, attempt, fence, crashes, flags)
      select r.epoch, coalesce(j.key, '${keyless}'), r.priority, r.seq, r.attempt, r.fence, r.crashes, r.flags
      from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and (r.priority, r.seq) <= (?, ?)`)
    this.#leaveReady = db.prepare('delete from rdq_ready where epoch = ? and (priority, seq) <= (?, ?)')
    this.#firstReady = db
      .prepare('select priority, seq from rdq_ready where epoch = ? order by priority, seq limit 1')
      .raw()
    this.#heldUntil = db.prepare('select until_at from rdq_key_hold where queue = ? and key = ?').pluck()
    this.#withHold = db.prepare('select key from rdq_key_hold where queue = ?').pluck()
    this.#hasJobs = db.prepare('select 1 from rdq_pending_by_key where epoch = ? and key = ? limit 1').pluck()
    this.#isNext = db
      .prepare(
        'select (priority, seq) = (?, ?) from rdq_pending_by_key where epoch = ? and key = ? order by priority, seq limit 1',
      )
      .pluck()
    this.#extrasOfNext = db
      .prepare(`
      select j.extras from rdq_pending_by_key r join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.key = ? order by r.priority, r.seq limit 1`)
      .pluck()
  }

  /**
   * Sorts jobs that became ready, and lets keys take turns again that may start one. `unsorted` is the first job that is
   * not sorted yet: until it is, no job behind it starts. `isBehind`: more keys are to be checked again.
   */
  prepare(queue: QueueRow, now: number): { readonly unsorted: JobPosition | undefined; readonly isBehind: boolean } {
    const unsorted = this.#sortIn(queue)
    return { unsorted, isBehind: this.#recheckDue(queue, now) }
  }
  /** In a queue without jobs that wait: forgets idle keys. Returns when to look for more of them. */
  forgetIdle(queue: QueueRow, now: number): number {
    if (this.#recheckDue(queue, now)) return now
    this.#keys.saveStates(queue)
    return this.#keys.firstIdle(queue) ?? Infinity
  }
  /** Returns whether more keys are to be checked again. */
  #recheckDue(queue: QueueRow, now: number): boolean {
    const { rows, hasMore } = this.#keys.due(queue, now, maxRechecked)
    for (const row of rows) this.recheck(queue, row, now)
    return hasMore
  }
  #sortIn(queue: QueueRow): JobPosition | undefined {
    const { epoch } = queue
    if (this.#readyRanges.first(epoch)) {
      queue.countMove('pending', undefined, this.#readyRanges.unroll(epoch, maxSorted))
    }
    const rows = this.#unsorted.all(epoch, maxSorted) as [string, number, number][]
    const last = rows.at(-1)
    if (!last) return undefined
    this.#sort.run(epoch, last[1], last[2])
    this.#leaveReady.run(epoch, last[1], last[2])
    queue.dirty = true
    const first = new Map<string, JobPosition>()
    for (const [key, priority, seq] of rows) if (!first.has(key)) first.set(key, { priority, seq })
    this.addWork(queue, first)
    if (rows.length < maxSorted) return undefined
    const ready = this.#firstReady.get(epoch) as [number, number] | undefined
    const range = this.#readyRanges.first(epoch)
    const firsts = [ready && { priority: ready[0], seq: ready[1] }, range && { priority: 0, seq: range.seq }]
    return firsts.reduce((least, one) => (one && (!least || isBefore(one, least)) ? one : least), undefined)
  }
  /** These keys have got jobs, of which the first has that position. */
  addWork(queue: QueueRow, first: ReadonlyMap<string, JobPosition>): void {
    // A key that takes turns already keeps its place, unless its place goes by its first job.
    const rows = this.#keys.each(queue, first.keys(), this.#isFair(queue) ? inTurn : undefined)
    for (const row of rows) this.#addWork(queue, row, first.get(row.key) as JobPosition)
  }
  #addWork(queue: QueueRow, row: KeyRow, { priority, seq }: JobPosition): void {
    const isFair = this.#isFair(queue)
    if (row.state === blocked) return
    if (row.state === blockedUntil) {
      // Another job is next. It may cost less than the one that had no capacity.
      const countsUnits = this.settings(queue, row).rate.some(({ unit }) => unit !== undefined)
      if (!countsUnits || !this.#isNext.get(priority, seq, queue.epoch, row.key)) return
    } else if (row.state === inTurn) {
      if (isFair || !isBefore({ priority, seq }, { priority: row.turn as number, seq: row.tie })) return
    }
    if (isFair) row.turn ??= tagOnArrival(queue.keyClock, this.settings(queue, row).weight)
    else row.turn = priority
    row.tie = seq
    row.state = inTurn
    row.dirty = true
  }
  /** Something has changed that may have held the key up: it takes turns again, if it has jobs. The claim decides. */
  recheck(queue: QueueRow, row: KeyRow, now: number): void {
    queue.dirty = true
    if (row.state === inTurn) return
    if (!this.#hasJobs.get(queue.epoch, row.key)) return this.#rest(queue, row, now)
    // The first claim that walks its jobs finds their real order.
    if (this.#isFair(queue)) row.turn ??= tagOnArrival(queue.keyClock, this.settings(queue, row).weight)
    else row.turn = -Number.MAX_VALUE
    row.state = inTurn
    row.dirty = true
  }
  /** Starts of the key count otherwise now, so it may have capacity earlier. */
  recounted(queue: QueueRow, row: KeyRow, now: number): void {
    if (row.state === blockedUntil) this.recheck(queue, row, now)
  }
  /** The key has no jobs that wait. It is forgotten, unless its former ones still count. */
  #rest(queue: QueueRow, row: KeyRow, now: number, isRunning = false): void {
    row.dirty = true
    row.turn = null
    row.state = out
    if (isRunning || this.#keys.bodies(queue, row.key) > 0) return
    const emptyAt = this.#keys.rate(row, this.settings(queue, row).rate)?.emptyAt(now) ?? -Infinity
    if (emptyAt > now) {
      row.state = idle
      row.untilAt = emptyAt
    } else this.#keys.forget(row)
  }
  settings(queue: QueueRow, row: Pick<KeyRow, 'override' | 'key'>): KeySettings {
    return settingsOf(queue.keys ?? noKeys, row.override, row.key)
  }
  /** The settings in force for the key. */
  state(queue: QueueRow, row: KeyRow): KeyState {
    const { width } = this.settings(queue, row)
    const underway = width < Infinity ? this.#keys.bodies(queue, row.key) : 0
    return this.#stateOf(queue, row, underway, this.#holdOf(queue, row.key))
  }
  #stateOf(queue: QueueRow, row: KeyRow, underway: number, heldUntil: number): KeyState {
    const settings = this.settings(queue, row)
    const rate = this.#keys.rate(row, settings.rate)
    return new KeyState(row, settings, heldUntil, underway, rate)
  }
  /** The keys behind that position that take turns, as stored, each with its first job. */
  next(queue: QueueRow, after: Pick<KeyRow, 'key' | 'turn' | 'tie'>, most: number): KeyState[] {
    const { epoch, queueId } = queue
    const countsBodies = (queue.keys ?? noKeys).width < Infinity ? 1 : 0
    const parameters = [countsBodies, epoch, epoch, epoch, queueId, after.turn, after.tie, after.key, most]
    const rows = this.#next.all(...parameters) as unknown[][]
    return rows.map(columns => {
      const bodies = columns[keyColumnCount] as number
      const heldUntil = (columns[keyColumnCount + 1] as number | null) ?? -Infinity
      const state = this.#stateOf(queue, this.#keys.load(queue, columns), bodies, heldUntil)
      state.hasMore = columns[keyColumnCount + 2] === 1
      state.firstJob = rowOf(columns, keyColumnCount + 3)
      return state
    })
  }
  /** The keys that a `Throttled` has held, and whose hold is not forgotten yet. */
  withHold({ queueId }: QueueRow): readonly string[] {
    return this.#withHold.all(queueId) as string[]
  }
  #holdOf(queue: QueueRow, key: string): number {
    if (queue.holds === 0 || key === keyless) return -Infinity
    return (this.#heldUntil.get(queue.queueId, key) as number | undefined) ?? -Infinity
  }
  /** Why the next job of the key may not start. */
  refusal(state: KeyState, cost: Cost | undefined, now: number): Refusal | undefined {
    return state.row.key === keyless ? undefined : refusalOf(state, cost, now)
  }
  /** Why the next job of the key may not start, as far as its jobs are sorted. */
  refusalOfNext(queue: QueueRow, state: KeyState, now: number): Refusal | undefined {
    const extras = this.#extrasOfNext.get(queue.epoch, state.row.key) as string | null | undefined
    return this.refusal(state, extras ? extrasOf({ extras }).cost : undefined, now)
  }
  /** The key that is checked again first: when, and what holds it up, if something still does. */
  firstBlocked(
    queue: QueueRow,
    now: number,
  ): { readonly until: number; readonly refusal: (Refusal & { readonly key: string }) | undefined } | undefined {
    const row = this.#keys.firstBlocked(queue)
    if (!row) return undefined
    const { key, untilAt: until } = row
    const refusal = this.refusalOfNext(queue, this.state(queue, row), now)
    const isKnown = refusal !== undefined && refusal.until < Infinity
    return { until, refusal: isKnown ? { ...refusal, until, key } : undefined }
  }
  holdUp({ row }: KeyState, refusal: Refusal): void {
    row.state = refusal.until < Infinity ? blockedUntil : blocked
    row.untilAt = refusal.until < Infinity ? refusal.until : 0
    row.dirty = true
  }
  /** The rate of the key, for a start that is about to be charged. Undefined if it has no rules. */
  charging(state: KeyState): Rate | undefined {
    state.rate = this.#keys.rateToChange(state.row, state.settings.rate)
    return state.rate
  }
  #isFair({ keys }: QueueRow): boolean {
    return (keys ?? noKeys).order === 'fair'
  }

  /** The first job of the key whose turn it is, of keys that no limit of theirs holds up. */
  nextJob(queue: QueueRow, now: number): JobPosition | undefined {
    const inTurn = this.among(queue, 8)
    for (let state = inTurn.next; state; state = inTurn.next) {
      const { firstJob } = state
      if (!firstJob || this.refusal(state, extrasOf(firstJob).cost, now)) inTurn.leaves(state)
      else if (inTurn.isMisplaced(state, firstJob)) inTurn.moved(state, firstJob)
      else return firstJob
    }
    return undefined
  }
  /** The keys that take turns, in their order, as far as a claim reads them. */
  among(queue: QueueRow, most: number): StoredKeysInTurn {
    this.#keys.save()
    return new StoredKeysInTurn(this, this.#keys, queue, this.#isFair(queue), Math.min(most, mostInStep))
  }
  /** Writes a key's position back after a claim. */
  saveAfterClaim(queue: QueueRow, state: KeyState, now: number, hasJobs: boolean, hasStarted: boolean): void {
    const { row } = state
    if (!hasJobs) return this.#rest(queue, row, now, hasStarted)
    row.turn = state.tag
    row.tie = state.tie
    row.dirty = true
  }
  /** A claimed job was not launched: its key gets the turn back. */
  returned(queue: QueueRow, key: string): void {
    if (!this.#isFair(queue)) return
    const row = this.#keys.of(queue, key)
    const { keyClock } = queue
    row.turn = row.turn === null ? keyClock : tagAfterReturn(keyClock, row.turn, this.settings(queue, row).weight)
    row.dirty = true
  }
  /** The settings of this key have changed. */
  changed(queue: QueueRow, row: KeyRow, now: number): void {
    this.#keys.changeRules(row, this.settings(queue, row).rate, now)
    if (row.turn !== null && this.#isFair(queue)) {
      row.turn = tagAfterChange(queue.keyClock, row.turn, this.settings(queue, row).weight)
      row.dirty = true
    }
    this.recheck(queue, row, now)
  }
  /** The settings of all keys have changed. */
  allChanged(queue: QueueRow, now: number): void {
    for (const row of this.#keys.active(queue)) this.changed(queue, row, now)
  }
  /** Another order: all positions are found anew. */
  reorder(queue: QueueRow, now: number): void {
    queue.keyClock = 0
    for (const row of this.#keys.active(queue)) {
      row.turn = null
      row.state = out
      this.changed(queue, row, now)
    }
    this.#keys.saveStates(queue)
  }
}

/** The keys that take turns during one claim, read step by step as they are needed. */
export class StoredKeysInTurn extends KeysInTurn<KeyState> {
  readonly #turns: KeyTurns
  readonly #keys: KeyTable
  readonly #queue: QueueRow
  readonly #inStep: number
  #last: Pick<KeyRow, 'key' | 'turn' | 'tie'> = { key: '', turn: -Infinity, tie: 0 }
  #isAll = false

  constructor(turns: KeyTurns, keys: KeyTable, queue: QueueRow, isFair: boolean, inStep: number) {
    super(queue, isFair)
    this.#inStep = inStep
    this.#turns = turns
    this.#keys = keys
    this.#queue = queue
  }
  override get next(): KeyState | undefined {
    for (;;) {
      const first = this.turns.first
      if (this.#isAll || (first && this.#isRead(first))) return first
      const states = this.#turns.next(this.#queue, this.#last, this.#inStep)
      for (const state of states) this.add(state)
      const last = states.at(-1)?.row
      if (last) this.#last = { key: last.key, turn: last.turn, tie: last.tie }
      if (states.length < this.#inStep) this.#isAll = true
    }
  }
  /** Whether no key that is not read yet comes before this one. */
  #isRead({ tag, tie }: KeyState): boolean {
    const turn = this.#last.turn as number
    return tag < turn || (tag === turn && tie <= this.#last.tie)
  }
  /** Whether its next job gives the key another position: where priority comes first, and that job changed. */
  isMisplaced({ tag, tie }: KeyState, { priority, seq }: JobPosition): boolean {
    return !this.isFair && (tag !== priority || tie !== seq)
  }
  /** Sets the clock and all positions back once they are so large that they would lose digits. */
  rebase(): void {
    const { keyClock } = this.#queue
    if (keyClock <= clockBound) return
    this.#keys.rebase(this.#queue, keyClock)
    this.#queue.keyClock = 0
  }
}

export function isBefore(a: JobPosition, b: JobPosition): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.seq < b.seq)
}
