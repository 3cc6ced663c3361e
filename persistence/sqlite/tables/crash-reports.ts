/**
 * Reports on jobs whose process died: what the queue with a handler that goes on with their name is to emit as events.
 *
 * Whichever process notices the death writes them, in the transaction that takes over the jobs, for it may have no queue
 * with a handler under that name. The next turn of one that has, in any process and at any later time, takes them. They
 * stay until that turn's answer is acknowledged, so that the next worker gets them if this one dies before.
 */
import { type JobRow, maxReports } from '../../durable/store.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Name, Names } from './queue.ts'

/** The newest of each name are kept. Those dropped are counted, and the count is reported. */
export const untoldMost: number = maxReports
/** How many one turn reports. */
const reportsMost = 500
const anybody = 0

type Row = readonly [number: number, seq: number | null, job: string | null, missed: number]

/** What one turn reports: jobs by seq, or as they ended; and how many older reports were dropped. */
export interface Reports {
  readonly recovered: readonly (number | JobRow)[]
  readonly missed: number
  /** There are as many as one turn may report, so that more may be left. */
  readonly full: boolean
}

export const noReports: Reports = { recovered: [], missed: 0, full: false }

export class Untold {
  readonly #worker: number
  readonly #add: SqliteStatement
  readonly #dropOldest: SqliteStatement
  readonly #next: SqliteStatement
  readonly #take: SqliteStatement
  readonly #addMissed: SqliteStatement
  readonly #at: SqliteStatement
  readonly #drop: SqliteStatement
  readonly #missedOf: SqliteStatement
  readonly #dropMissed: SqliteStatement
  readonly #queuesOf: SqliteStatement
  readonly #freeTold: SqliteStatement
  readonly #freeOwn: SqliteStatement
  /** By the number of the name: the last turn whose reports are not acknowledged. */
  readonly #unacknowledged: Map<number, number>

  constructor(db: SqliteDatabase, worker: number) {
    this.#worker = worker
    this.#add = db.prepare('insert into rdq_news (worker, queue, turn, seq, job) values (?, ?, 0, ?, ?)')
    this.#dropOldest = db.prepare(`
      delete from rdq_news
      where number = (select min(number) from rdq_news where worker = ${anybody} and queue = ? and turn = 0)`)
    const row = 'select number, seq, job, missed from rdq_news'
    this.#next = db
      .prepare(`${row} where worker = ? and queue = ? and turn = 0 order by number limit ${reportsMost}`)
      .raw()
    this.#take = db.prepare('update rdq_news set worker = ?, turn = ? where number = ?')
    this.#addMissed = db.prepare('insert into rdq_news (worker, queue, turn, missed) values (?, ?, ?, ?)')
    this.#at = db.prepare(`${row} where worker = ? and queue = ? and turn = ? order by number`).raw()
    this.#drop = db.prepare('delete from rdq_news where worker = ? and queue = ? and turn between 1 and ?')
    const missed = 'rdq_news where worker = ? and queue = ? and seq is null'
    this.#missedOf = db.prepare(`select coalesce(sum(missed), 0) from ${missed}`).pluck()
    this.#dropMissed = db.prepare(`delete from ${missed}`)
    this.#queuesOf = db.prepare('select queue, max(turn) from rdq_news where worker = ? group by queue').raw()
    const free = `update rdq_news set worker = ${anybody}, turn = 0 where worker = ? and queue = ?`
    this.#freeTold = db.prepare(`${free} and turn > 0`)
    this.#freeOwn = db.prepare(`${free} and turn = 0`)
    // Those that a thread which has died reported, if this one goes on for it.
    this.#unacknowledged = new Map(this.#queuesOf.all(worker) as [number, number][])
  }
  /**
   * @param ended The job as it ended, because it may be forgotten at once.
   * @param own Only a queue of this process may take it, as long as this process lives: it gave up the run itself.
   */
  add(name: Name, seq: number, ended: JobRow | undefined, own: boolean): void {
    this.#add.run(own ? this.#worker : anybody, name.queue, seq, ended ? JSON.stringify(ended) : null)
    name.untold++
    name.dirty = true
    this.#bound(name)
  }
  #bound(name: Name): void {
    while (name.untold > untoldMost) {
      const { changes } = this.#dropOldest.run(name.queue)
      // Those that are for one process alone are bounded by what it had underway.
      if (changes === 0) return
      name.untold -= changes
      name.missed += changes
    }
  }
  /** The oldest, for the queue that works the name here. They count as reported by that turn. */
  take(name: Name, turn: number, undoing: (undo: () => void) => void): Reports {
    if (name.untold === 0) return noReports
    // Those of its own process are few; they come in a turn of their own.
    let rows = this.#next.all(this.#worker, name.queue) as Row[]
    const own = rows.length > 0
    if (!own) rows = this.#next.all(anybody, name.queue) as Row[]
    if (rows.length === 0) return noReports
    for (const [number] of rows) this.#take.run(this.#worker, turn, number)
    name.untold -= rows.length
    const { missed } = name
    if (missed > 0) this.#addMissed.run(this.#worker, name.queue, turn, missed)
    name.missed = 0
    name.dirty = true
    this.#note(name.queue, turn, undoing)
    return { recovered: reported(rows), missed, full: own || rows.length === reportsMost }
  }
  #note(queue: number, turn: number, undoing: (undo: () => void) => void): void {
    const before = this.#unacknowledged.get(queue)
    this.#unacknowledged.set(queue, turn)
    undoing(() => {
      if (before === undefined) this.#unacknowledged.delete(queue)
      else this.#unacknowledged.set(queue, before)
    })
  }
  /** What that turn reported. */
  at(name: Name, turn: number): Reports {
    const rows = this.#at.all(this.#worker, name.queue, turn) as Row[]
    const missed = rows.reduce((sum, [, , , missed]) => sum + missed, 0)
    return { recovered: reported(rows), missed, full: false }
  }
  /** The answers to all turns up to `heard` have arrived. */
  acknowledge(name: Name, heard: number, undoing: (undo: () => void) => void): void {
    const last = this.#unacknowledged.get(name.queue)
    if (last === undefined) return
    this.#drop.run(this.#worker, name.queue, heard)
    if (heard < last) return
    this.#unacknowledged.delete(name.queue)
    undoing(() => void this.#unacknowledged.set(name.queue, last))
  }
  /** The queue that worked the name in that process is gone: what it did not acknowledge is for the next. */
  free(name: Name, worker: number = this.#worker): void {
    const missed = this.#missedOf.get(worker, name.queue) as number
    if (missed > 0) this.#dropMissed.run(worker, name.queue)
    const told = this.#freeTold.run(worker, name.queue).changes
    this.#freeOwn.run(worker, name.queue)
    if (missed + told === 0) return
    name.missed += missed
    name.untold += told
    name.dirty = true
    this.#bound(name)
  }
  /** The same of all names of a worker that is dead. */
  freeAll(names: Names, worker: number): void {
    for (const [queue] of this.#queuesOf.all(worker) as [number][]) {
      const name = names.get(queue)
      if (name) this.free(name, worker)
    }
  }
}

function reported(rows: readonly Row[]): (number | JobRow)[] {
  return rows.flatMap(([, seq, job]) => (job !== null ? (JSON.parse(job) as JobRow) : (seq ?? [])))
}
