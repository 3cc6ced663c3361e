/**
 * Who holds what: the workers of a file, and what becomes of a dead one's jobs.
 *
 * A worker is one process that has the file open. Whether it lives is not for this file to know: its caller has seen its
 * lock free. Worker 0 is nobody; it holds jobs that wait for a queue object that can be asked about them.
 */
import { PoisonError } from '../../../lib/errors.ts'
import { crashOutcome } from '../../../lib/rules/crash-outcome.ts'
import type { JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { errorText, type JobRows } from './job.ts'
import type { JobLocations } from './location.ts'
import type { QueueRow } from './queue.ts'
import { awaitingVerdict, launchUnreported } from './schema.ts'

const nobody = 0
/** How many jobs of a dead worker are dealt with in one transaction, and how many of nobody's in one turn. */
export const maxRecovered = 500

type Row = readonly [
  ...[queue: number, seq: number, attempt: number, fence: number, crashes: number, flags: number, start: number],
  ...[launched: number, alone: number],
]

/** What became of a job that its worker left behind. */
export interface RecoveryOutcome {
  readonly seq: number
  /** Underway here, and to be asked about. */
  readonly needsVerdict: boolean
  /** The job as it ended, for it may be forgotten at once. */
  readonly ended: JobRow | undefined
  /** It was left to nobody: whoever takes it up hears of it. */
  readonly leftToNobody: boolean
}

export class Workers {
  readonly #locations: JobLocations
  readonly #jobRows: JobRows
  readonly #number: SqliteStatement
  readonly #isListed: SqliteStatement
  readonly #fileKey: SqliteStatement
  readonly #setFile: SqliteStatement
  readonly #add: SqliteStatement
  readonly #unregister: readonly SqliteStatement[]
  readonly #others: SqliteStatement
  readonly #heldBy: SqliteStatement
  readonly #heldOf: SqliteStatement
  readonly #awaitingVerdictOf: SqliteStatement
  readonly #holds: SqliteStatement
  readonly #leave: SqliteStatement
  readonly #adopt: SqliteStatement
  readonly #takeCancelRequest: SqliteStatement
  readonly #leaveCancelRequest: SqliteStatement
  readonly #awaitingVerdict: SqliteStatement
  readonly #markReported: SqliteStatement
  readonly #awaitingVerdictAt: SqliteStatement

  constructor(db: SqliteDatabase, locations: JobLocations, jobRows: JobRows) {
    this.#locations = locations
    this.#jobRows = jobRows
    this.#number = db.prepare('select worker from rdq_worker where token = ?').pluck()
    this.#isListed = db.prepare('select 1 from rdq_worker where worker = ?').pluck()
    this.#fileKey = db.prepare(`select value from rdq_meta where key = 'file'`).pluck()
    this.#setFile = db.prepare(`insert or replace into rdq_meta (key, value) values ('file', ?)`)
    // Numbers of workers must not come back: a late settle would meet another's claim.
    this.#add = db
      .prepare(`
        insert into rdq_meta (key, value) values ('worker', 1)
        on conflict (key) do update set value = value + 1 returning value`)
      .pluck()
    this.#insert = db.prepare('insert into rdq_worker (worker, token) values (?, ?)')
    this.#unregister = ['rdq_worker', 'rdq_turn', 'rdq_told', 'rdq_cancel', 'rdq_closing'].map(table =>
      db.prepare(`delete from ${table} where worker = ?`),
    )
    this.#others = db.prepare('select token from rdq_worker where worker not in (0, ?)').pluck()
    const row =
      'select queue, seq, attempt, fence, crashes, flags, start, launched, alone from rdq_underway where worker = ?'
    this.#heldBy = db.prepare(`${row} order by queue, seq ${limitParameter}`).raw()
    this.#heldOf = db.prepare(`${row} and queue = ? order by seq ${limitParameter}`).raw()
    this.#awaitingVerdictOf = db
      .prepare(`${row} and queue = ? and flags & ${awaitingVerdict} != 0 order by seq ${limitParameter}`)
      .raw()
    this.#holds = db.prepare('select 1 from rdq_underway where worker = ? limit 1')
    this.#leave = db.prepare('delete from rdq_underway where worker = ? and queue = ? and seq = ?')
    this.#adopt = db.prepare(`
      insert into rdq_underway (worker, queue, seq, attempt, fence, crashes, flags, start, launched, alone, turn)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`)
    this.#takeCancelRequest = db
      .prepare('delete from rdq_cancel where worker = ? and queue = ? and seq = ? returning reason')
      .raw()
    this.#leaveCancelRequest = db.prepare(
      `update or replace rdq_cancel set worker = ${nobody} where worker = ? and queue = ? and seq = ?`,
    )
    this.#awaitingVerdict = db
      .prepare(
        `select seq from rdq_underway where worker = ? and queue = ? and turn = 0 and flags & ${awaitingVerdict} != 0`,
      )
      .pluck()
    this.#markReported = db.prepare('update rdq_underway set turn = ? where worker = ? and queue = ? and seq = ?')
    this.#awaitingVerdictAt = db
      .prepare(
        `select seq from rdq_underway where worker = ? and queue = ? and turn = ? and flags & ${awaitingVerdict} != 0`,
      )
      .pluck()
  }
  readonly #insert: SqliteStatement

  /**
   * Lists the worker. `file` is what the database is in; where that is another file than before, this one is a copy, a
   * backup say, and the workers that it lists had the original open.
   */
  signIn(token: string, file: string | undefined): { readonly worker: number; readonly strangers: readonly string[] } {
    const worker = this.#register(token)
    if (file === undefined || this.#fileKey.get() === file) return { worker, strangers: [] }
    this.#setFile.run(file)
    return { worker, strangers: this.others(worker) }
  }
  /** Lists it again under its number, if it was struck off. */
  stay(worker: number, token: string): void {
    if (this.#isListed.get(worker) === undefined) this.#insert.run(worker, token)
  }
  #register(token: string): number {
    const known = this.number(token)
    if (known !== undefined) return known
    const worker = this.#add.get() as number
    this.#insert.run(worker, token)
    return worker
  }
  number(token: string): number | undefined {
    return this.#number.get(token) as number | undefined
  }
  others(worker: number): readonly string[] {
    return this.#others.all(worker) as string[]
  }
  holds(worker: number): boolean {
    return this.#holds.get(worker) !== undefined
  }
  unregister(worker: number): void {
    for (const statement of this.#unregister) statement.run(worker)
  }
  /** Some of what the worker holds, those of one name together. */
  heldBy(worker: number): readonly Row[] {
    return this.#heldBy.all(worker, maxRecovered) as Row[]
  }
  orphansOf(queue: QueueRow): readonly Row[] {
    return this.#heldOf.all(nobody, queue.queueId, maxRecovered) as Row[]
  }

  /**
   * A job whose process died, or let go of it, while it ran: goes back with no attempt used, fails, or is to be asked
   * about. `here` is the worker that can be asked: one with a queue object for it; undefined leaves the job to nobody.
   */
  takeOver(name: QueueRow, from: number, row: Row, here: number | undefined, now: number): RecoveryOutcome {
    const [queue, seq, attempt, fence, died, flagged, start, launched, alone] = row
    this.#leave.run(from, queue, seq)
    name.dirty = true
    const cancel = this.#takeCancelRequest.get(from, queue, seq) as [string | null] | undefined
    const facts = {
      ...{ crashes: died, launched: launched === 1, alone: alone === 1 },
      ...{ launchUnreported: (flagged & launchUnreported) !== 0, awaitingVerdict: (flagged & awaitingVerdict) !== 0 },
    }
    const situation = { cancelRequested: cancel !== undefined, worksHere: here !== undefined }
    const outcome = crashOutcome(facts, name, situation)
    const { kind, crashes } = outcome
    if (crashes > 0 && died === 0) name.suspects++
    const flags = (flagged & ~awaitingVerdict) | (outcome.launchUnreported ? launchUnreported : 0)
    if (from === nobody) name.orphans--
    if (kind === 'asks' || kind === 'leaves') {
      const to = here ?? nobody
      const raised = kind === 'asks' ? fence + 1 : fence
      this.#adopt.run(to, queue, seq, attempt, raised, crashes, flags | awaitingVerdict, start, launched, alone)
      if (kind === 'leaves') name.orphans++
      return { seq, needsVerdict: kind === 'asks', ended: undefined, leftToNobody: kind === 'leaves' }
    }
    name.counts.underway--
    if (kind === 'cancelled' || kind === 'failed') {
      const error = cancel ? cancel[0] : errorText(new PoisonError(crashes))
      const ending = { state: kind, startedWall: null, stoppedWall: null, error, value: null } as const
      const job = { seq, priority: this.#locations.priority(seq), attempt, fence, crashes, flags }
      const body = this.#jobRows.body(name, seq)
      const told = body && this.#jobRows.rowOf(body, { ...job, state: kind, ending })
      this.#locations.end(name, job, ending, now)
      return { seq, needsVerdict: false, ended: told, leftToNobody: false }
    }
    const carried = { seq, attempt: Math.max(attempt - 1, 0), fence, crashes, flags }
    this.#locations.wait(name, { ...carried, priority: this.#locations.priority(seq) }, now)
    return { seq, needsVerdict: false, ended: undefined, leftToNobody: false }
  }
  /** Gives back what a queue object held that is gone, but for the bodies that it `abandons`. */
  release(name: QueueRow, worker: number, now: number, abandons: boolean): void {
    const held = abandons ? this.#awaitingVerdictOf : this.#heldOf
    for (;;) {
      const rows = held.all(worker, name.queueId, maxRecovered) as Row[]
      for (const [queue, seq, attempt, fence, crashes, flagged, start, launched, alone] of rows) {
        this.#leave.run(worker, queue, seq)
        name.dirty = true
        if ((flagged & awaitingVerdict) !== 0) {
          this.#adopt.run(nobody, queue, seq, attempt, fence, crashes, flagged, start, launched, alone)
          this.#leaveCancelRequest.run(worker, queue, seq)
          name.orphans++
          continue
        }
        name.counts.underway--
        const carried = { seq, attempt: Math.max(attempt - 1, 0), fence, crashes, flags: flagged }
        this.#locations.wait(name, { ...carried, priority: this.#locations.priority(seq) }, now)
      }
      if (rows.length < maxRecovered) return
    }
  }

  /** Jobs that are underway here because somebody has to be asked, and nobody was told of yet. */
  awaitingVerdict(queue: QueueRow, worker: number): readonly number[] {
    return this.#awaitingVerdict.all(worker, queue.queueId) as number[]
  }
  /** As news, once: the turn that tells is noted, in case its answer is lost. */
  reportAwaitingVerdict(queue: QueueRow, worker: number, turn: number, seqs: readonly number[]): JobRow[] {
    for (const seq of seqs) this.#markReported.run(turn, worker, queue.queueId, seq)
    if (seqs.length > 0) queue.dirty = true
    return this.rows(queue, seqs)
  }
  awaitingVerdictAt(queue: QueueRow, worker: number, turn: number): JobRow[] {
    return this.rows(queue, this.#awaitingVerdictAt.all(worker, queue.queueId, turn) as number[])
  }
  rows(queue: QueueRow, jobs: readonly (number | JobRow)[]): JobRow[] {
    return jobs.flatMap(job => (typeof job === 'number' ? (this.#jobRows.row(queue, job) ?? []) : job))
  }
}
