/**
 * The rows of rdq_queue: one for each name, with the state that all processes share.
 *
 * Each transaction reads a row at most once and writes it at most once, so that counters cost nothing per job.
 */
import type { KeepPolicy, StateCounts } from '../../../lib/backlog.ts'
import { type Declared, unnamed } from '../../../lib/decisions/rule-settings.ts'
import type { JobState } from '../../../lib/job.ts'
import { type KeysPolicy, keysFromText, textOfKeys } from '../../../lib/limits/keys.ts'
import { type RateRule, rulesFromText } from '../../../lib/rate/rules.ts'
import type { QueueState } from '../../durable/execute/queue-state.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'

/** How many seqs a name reserves at once. Seqs of one name are adjacent, and all are far below 2 ** 53. */
const rangeSize = 2 ** 32
/** Stands for Infinity, which an integer column cannot hold. */
const noLimit = Number.MAX_SAFE_INTEGER

/** The instants of a request, by the clocks of its process. */
export interface Instants {
  readonly now: number
  readonly wall: number
}

export type AfterCrash = 'again' | 'fail' | 'ask'

/** The row of one name, within one transaction. */
export class QueueRow implements QueueState {
  readonly queueId: number
  epoch: number
  nextSeq: number
  readonly #counts: StateCounts
  sharedPaused: boolean
  rules: readonly RateRule[]
  declared: Declared
  globalWidth: number
  declaredGlobalWidth: number | undefined
  rateVersion: number
  marks: string | null
  keep: KeepPolicy
  size: number
  afterCrash: AfterCrash
  crashLimit: number
  /** How many keys are held. */
  holds: number
  /** How many cleared epochs are not swept out yet. */
  cleared: number
  /** How many jobs are underway without a worker, because no queue could give a verdict. */
  unowned: number
  /**
   * How many reports on jobs of dead processes no exchange has taken, and how many older ones were dropped
   * (crash-reports.ts).
   */
  unreported: number
  droppedReports: number
  /** How many jobs that have not ended have a crash counted against them. */
  suspects: number
  /** The declaration for all keys. */
  keys: KeysPolicy | undefined
  declaredKeys: string | null
  /** Grows with each change of what holds for keys. */
  keysVersion: number
  /**
   * 0: jobs are not sorted by key. 1: they are, because keys were declared or one was overridden. 2: so, and an override
   * may contain rules.
   */
  keysUsed: number
  /** The virtual clock of the keys (lib/limits/fairness.ts). */
  keyClock: number
  dirty = false

  constructor(row: readonly unknown[]) {
    const [queue, epoch, nextSeq, pending, delayed, underway, finished, failed, cancelled, paused, ...more] =
      row as number[]
    this.queueId = queue as number
    this.epoch = epoch as number
    this.nextSeq = nextSeq as number
    this.#counts = { pending, delayed, underway, finished, failed, cancelled } as StateCounts
    this.sharedPaused = paused === 1
    const [
      rules,
      declared,
      rateVersion,
      marks,
      keep,
      size,
      afterCrash,
      crashLimit,
      holds,
      cleared,
      unowned,
      ...reports
    ] = more as unknown[]
    this.rules = rulesFromText(rules as string)
    this.declared = declared as string | null
    this.rateVersion = rateVersion as number
    this.marks = marks as string | null
    this.keep = keepFromJson(keep as string)
    this.size = (size as number | null) ?? Infinity
    this.afterCrash = afterCrash as AfterCrash
    this.crashLimit = crashLimit === noLimit ? Infinity : (crashLimit as number)
    this.holds = holds as number
    this.cleared = cleared as number
    this.unowned = unowned as number
    ;[this.unreported, this.droppedReports, this.suspects] = reports as [number, number, number]
    const [keys, declaredKeys, keysVersion, keysUsed, keyClock, globalWidth, declaredGlobalWidth] = reports.slice(3)
    this.keys = keys === null ? undefined : keysFromText<KeysPolicy>(keys as string)
    this.declaredKeys = declaredKeys as string | null
    this.keysVersion = keysVersion as number
    this.keysUsed = keysUsed as number
    this.keyClock = keyClock as number
    this.globalWidth = globalWidth as number
    this.declaredGlobalWidth = (declaredGlobalWidth as number | null) ?? undefined
  }
  /** Whether jobs are sorted by key before they are claimed. */
  get sorted(): boolean {
    return this.keysUsed > 0
  }
  get rateRules(): readonly RateRule[] {
    return unnamed(this.rules)
  }
  get rateId(): number {
    return this.queueId
  }
  /**
   * The only way to change the counts: that many jobs were in the state `from`, and are in the state `to` now. Undefined:
   * they are counted in no state.
   */
  countMove(from: JobState | undefined, to: JobState | undefined, jobs: number): void {
    if (jobs === 0) return
    if (from) this.#counts[from] -= jobs
    if (to) this.#counts[to] += jobs
    this.dirty = true
  }
  get counts(): Readonly<StateCounts> {
    return this.#counts
  }
  /** The counts as they are now, for a reply. */
  count(): StateCounts {
    return { ...this.#counts }
  }
}

const columns = `queue, epoch, next_seq, pending, delayed, underway, finished, failed, cancelled, shared_paused, rules, declared_rules,
  rate_version, marks, keep, size, after_crash, crash_limit, key_holds, cleared_epochs, unowned, unreported, dropped_reports, suspects,
  keys, declared_keys, keys_version, keys_used, key_clock, global_width, declared_global_width`

export class QueueTable {
  readonly #fileClock: FileClock
  readonly #loaded = new Map<number, QueueRow>()
  readonly #byNumber: SqliteStatement
  readonly #byName: SqliteStatement
  readonly #insert: SqliteStatement
  readonly #save: SqliteStatement
  readonly #settings: SqliteStatement
  readonly #newRange: SqliteStatement
  readonly #newEpoch: SqliteStatement

  constructor(db: SqliteDatabase, fileClock: FileClock) {
    this.#fileClock = fileClock
    this.#byNumber = db.prepare(`select ${columns} from rdq_queue where queue = ?`).raw()
    this.#byName = db.prepare('select queue from rdq_queue where name = ?').pluck()
    this.#insert = db
      .prepare(`
      insert into rdq_queue (name, epoch, next_seq, keep, after_crash, crash_limit)
      values (?, ?, 0, ?, 'again', 3) returning queue`)
      .pluck()
    this.#save = db.prepare(`
      update rdq_queue set next_seq = ?, pending = ?, delayed = ?, underway = ?, finished = ?, failed = ?,
        cancelled = ?, shared_paused = ?, epoch = ?, key_holds = ?, cleared_epochs = ?, unowned = ?, unreported = ?, dropped_reports = ?, suspects = ?, key_clock = ?,
        rate_version = ?, marks = ?,
        seen_at = coalesce(?, seen_at), seen_wall = coalesce(?, seen_wall) where queue = ?`)
    this.#settings = db.prepare(`
      update rdq_queue set rules = ?, declared_rules = ?, global_width = ?, declared_global_width = ?, keys = ?, declared_keys = ?, keys_version = ?, keys_used = ?, keep = ?, size = ?, after_crash = ?, crash_limit = ?
      where queue = ?`)
    this.#newRange = db
      .prepare(`
      insert into rdq_seq_range (range, queue) select coalesce(max(range), -1) + 1, ? from rdq_seq_range returning range`)
      .pluck()
    // Epochs are few and short-lived, but a number must not be used again while jobs of its former epoch exist.
    this.#newEpoch = db
      .prepare(`
      insert into rdq_meta (key, value) values ('epoch', 1)
      on conflict (key) do update set value = value + 1 returning value`)
      .pluck()
  }
  /** The row of that number; undefined if there is none. */
  get(queue: number): QueueRow | undefined {
    let name = this.#loaded.get(queue)
    if (name) return name
    const row = this.#byNumber.get(queue) as unknown[] | undefined
    if (!row) return undefined
    name = new QueueRow(row)
    this.#loaded.set(queue, name)
    return name
  }
  find(name: string): QueueRow | undefined {
    const queue = this.#byName.get(name) as number | undefined
    return queue === undefined ? undefined : this.get(queue)
  }
  make(name: string, keep: KeepPolicy): QueueRow {
    const queue = this.#insert.get(name, this.newEpoch(), keepToJson(keep)) as number
    return this.get(queue) as QueueRow
  }
  /** A new number for an epoch, never used before. */
  newEpoch(): number {
    return this.#newEpoch.get() as number
  }
  /** Reserves successive seqs. */
  seqs(queue: QueueRow, count: number): number {
    const left = queue.nextSeq % rangeSize === 0 ? 0 : rangeSize - (queue.nextSeq % rangeSize)
    if (count > left) queue.nextSeq = (this.#newRange.get(queue.queueId) as number) * rangeSize + 1
    const first = queue.nextSeq
    queue.nextSeq += count
    queue.dirty = true
    return first
  }
  /** Writes fields that rarely change: the rules, and the declaration of a queue object. */
  saveSettings(queue: QueueRow): void {
    const { rules, declared, keep, size, afterCrash, crashLimit, queueId } = queue
    const { keys, declaredKeys, keysVersion, keysUsed, globalWidth, declaredGlobalWidth } = queue
    const ofKeys = [keys ? textOfKeys(keys) : null, declaredKeys, keysVersion, keysUsed]
    const limit = Math.min(crashLimit, noLimit)
    const most = size === Infinity ? null : size
    const texts = [
      JSON.stringify(rules),
      declared ?? null,
      globalWidth,
      declaredGlobalWidth ?? null,
      ...ofKeys,
      keepToJson(keep),
    ]
    this.#settings.run(...texts, most, afterCrash, limit, queueId)
    queue.dirty = true
  }
  /**
   * Writes all changes and drops the cached rows, so that the next transaction reads again.
   *
   * @param at When; undefined in a transaction without a request.
   */
  save(at: Instants | undefined): void {
    for (const queue of this.#loaded.values()) {
      if (!queue.dirty) continue
      const { pending, delayed, underway, finished, failed, cancelled } = queue.counts
      this.#save.run(
        ...[
          queue.nextSeq,
          pending,
          delayed,
          underway,
          finished,
          failed,
          cancelled,
          queue.sharedPaused ? 1 : 0,
          queue.epoch,
        ],
        ...[
          queue.holds,
          queue.cleared,
          queue.unowned,
          queue.unreported,
          queue.droppedReports,
          queue.suspects,
          queue.keyClock,
        ],
        ...[queue.rateVersion, queue.marks],
        ...[at ? this.#fileClock.toFile(at.now) : null, at ? at.wall : null, queue.queueId],
      )
    }
    this.forget()
  }
  forget(): void {
    this.#loaded.clear()
  }
}

/** JSON has no Infinity, and keeping jobs for ever is legal. */
function keepToJson({ finishedMs, failedMs, cancelledMs, idsMs, results, most }: KeepPolicy): string {
  const [finished, failed, cancelled, ids, count] = [finishedMs, failedMs, cancelledMs, idsMs, most].map(kept =>
    kept === Infinity ? null : kept,
  )
  return JSON.stringify([finished, failed, cancelled, ids, results, count])
}
function keepFromJson(text: string): KeepPolicy {
  // An older rdq wrote no count.
  const [finished, failed, cancelled, ids, results, most] = JSON.parse(text) as (number | boolean | null)[]
  const ms = (kept: number | boolean | null | undefined): number => (typeof kept === 'number' ? kept : Infinity)
  return {
    finishedMs: ms(finished),
    failedMs: ms(failed),
    cancelledMs: ms(cancelled),
    idsMs: ms(ids),
    results: results === true,
    most: ms(most),
  }
}
