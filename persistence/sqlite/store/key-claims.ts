/**
 * Claims jobs in a queue that is sorted by key: the keys take turns (key-turns.ts), and each gives its jobs in order.
 *
 * The jobs that a claim takes of a key are always its first, so they leave by one statement for each key.
 */
import { keyless } from '../../../lib/limits/keys.ts'
import type { Rate } from '../../../lib/rate/rate.ts'
import { maxClaimed } from '../../../lib/rules/bounds.ts'
import { neverStarts } from '../../../lib/rules/puts.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import type { JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { extrasOf, unreadable } from '../tables/job.ts'
import type { KeyTable } from '../tables/key.ts'
import type { JobLocations } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { ClaimColumns } from './claim-columns.ts'
import { type By, countersOf, grantOf, maxPassed, type Row, rowColumns } from './claim-row.ts'
import { isBefore, type JobPosition, type KeyState, type KeyTurns } from './key-turns.ts'

export interface KeyClaimsParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly locations: JobLocations
  readonly rateLog: RateLog
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
}
/** What any claim does with a job. */
export interface JobClaims {
  /** Adds a claimed job to the reply. */
  append(out: ClaimColumns, row: Row, attempt: number, fence: number): void
  /** Ends a job that can never start. */
  fail(queue: QueueRow, row: Row, error: string, now: number, endedUnrun: JobRow[]): void
  /** Counts claimed jobs. */
  count(queue: QueueRow, count: number): void
}

export class KeyClaims {
  readonly #parts: KeyClaimsParts
  readonly #jobs: JobClaims
  readonly #walk: SqliteStatement
  readonly #take: SqliteStatement
  readonly #takeMany: SqliteStatement
  readonly #leave: SqliteStatement

  constructor(parts: KeyClaimsParts, jobs: JobClaims) {
    const { db } = parts
    this.#parts = parts
    this.#jobs = jobs
    this.#walk = db.prepare(`
      select ${rowColumns} from rdq_held r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.key = ? and (r.priority, r.seq) > (?, ?) order by r.priority, r.seq ${limitParameter}`)
    const upTo = 'rdq_held where epoch = ? and key = ? and (priority, seq) <= (?, ?)'
    this.#leave = db.prepare(`delete from ${upTo}`)
    const columns = 'worker, queue, exchange, key, seq, attempt, fence, crashes, flags, grant'
    this.#take = db.prepare(`
      insert into rdq_underway (${columns}, key_start) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#takeMany = db.prepare(`
      insert into rdq_underway (${columns})
      select ?, ?, ?, ?, seq, attempt + 1, fence + 1, crashes, flags, 0 from ${upTo}`)
  }

  /** Claims up to `room` jobs, the keys taking turns. */
  claim(queue: QueueRow, room: number, out: ClaimColumns, by: By): void {
    const { locations, rateLog } = this.#parts
    const { rate, now } = by
    const turns = this.#parts.keyTurns
    let suspected = false
    const unsorted = turns.prepare(queue, now)
    const most = out.seqs.length + room
    const before = out.seqs.length
    const inTurn = turns.among(queue, now)
    const taken = new Map<KeyState, KeyJobs>()
    let passed = 0
    while (out.seqs.length < most && passed < maxPassed) {
      const state = inTurn.next
      if (!state) break
      let jobs = taken.get(state)
      if (!jobs) taken.set(state, (jobs = new KeyJobs(this.#walk, queue.epoch, state.row.key)))
      const row = jobs.first
      if (!row) {
        inTurn.leaves(state)
        continue
      }
      if (unsorted && !isBefore(row, unsorted)) {
        inTurn.skip(state)
        continue
      }
      if (inTurn.isMisplaced(state, row)) {
        inTurn.moved(state, row)
        continue
      }
      const { seq, attempt, fence, crashes, flags, id, key } = row
      const problem = id === null || row.isJson ? undefined : unreadable(id, row.payload, row.more)
      const { cost } = extrasOf(row)
      const runs = id !== null && !problem && crashes === 0
      const refusal = runs ? turns.refusal(state, cost, now) : undefined
      if (refusal && !refusal.never) {
        inTurn.leaves(state)
        turns.holdUp(state, refusal)
        passed++
        continue
      }
      let grant = 0
      let error = problem && errorToJson(problem, 'none')
      if (refusal) error = errorToJson(neverStarts(cost, state.rate as Rate), 'none')
      else if (runs && out.grants) {
        grant = rate.grant(cost, now, out.graceMs)
        const blocked = grant < 0 ? rate.blocking(cost, now) : undefined
        if (blocked && blocked.until !== Infinity) {
          out.limited = blocked
          break
        }
        if (grant < 0) error = errorToJson(neverStarts(cost, rate), 'none')
      }
      jobs.take()
      if (id === null) queue.counts.pending--
      else if (error !== undefined) this.#jobs.fail(queue, row, error, now, by.endedUnrun)
      else if (crashes > 0) {
        locations.suspect(queue, countersOf(row), now)
        suspected = true
      } else {
        const keyStart = out.grants && key !== null ? turns.charge(state, cost, now, out.graceMs) : 0
        out.grants?.push(grantOf(grant, key, keyStart))
        this.#jobs.append(out, row, attempt + 1, fence + 1)
        jobs.starts.push([seq, attempt + 1, fence + 1, crashes, flags, grant, keyStart])
        inTurn.started(state, jobs.firstPosition)
        continue
      }
      passed++
      inTurn.moved(state, jobs.firstPosition)
    }
    for (const [state, jobs] of taken) this.#leaveKey(queue, state, jobs, out, by)
    inTurn.rebase()
    const given = out.seqs.length - before
    this.#jobs.count(queue, given)
    const isFull = out.seqs.length === maxClaimed || passed >= maxPassed || unsorted !== undefined || suspected
    out.isPartial = !out.limited && isFull && queue.counts.pending > 0
    if (out.grants && given > 0) rateLog.changing(queue)
    if (out.limited || out.seqs.length >= most) return
    this.#parts.keys.save()
    out.limited = turns.blocked(queue, now)
  }
  /** Writes what a claim took of the jobs of a key. */
  #leaveKey(queue: QueueRow, state: KeyState, jobs: KeyJobs, out: ClaimColumns, { exchange, now }: By): void {
    const { worker } = this.#parts
    const { epoch, queueId } = queue
    const { row } = state
    const { starts, last, taken } = jobs
    const key = row.key === keyless ? null : row.key
    if (last) {
      if (starts.length === taken && !out.grants) {
        this.#takeMany.run(worker, queueId, exchange, key, epoch, row.key, last.priority, last.seq)
      } else {
        for (const start of starts) this.#take.run(worker, queueId, exchange, key, ...start)
      }
      this.#leave.run(epoch, row.key, last.priority, last.seq)
    }
    this.#parts.keyTurns.settle(queue, state, now, jobs.first !== undefined)
  }
}

/** The jobs of one key that wait, in order, as a claim takes them. */
class KeyJobs {
  readonly starts: (readonly [
    ...[seq: number, attempt: number, fence: number, crashes: number, flags: number],
    ...[start: number, keyStart: number],
  ])[] = []
  /** The last job that was taken, whether it starts or not, and how many were. */
  last: JobPosition | undefined
  taken = 0
  readonly #walk: SqliteStatement
  readonly #epoch: number
  readonly #key: string
  #rows: Row[] = []
  #at = 0
  #wanted = 2
  #isAll = false

  constructor(walk: SqliteStatement, epoch: number, key: string) {
    this.#walk = walk
    this.#epoch = epoch
    this.#key = key
  }
  get first(): Row | undefined {
    if (this.#at === this.#rows.length && !this.#isAll) this.#readMore()
    return this.#rows[this.#at]
  }
  get firstPosition(): JobPosition | undefined {
    const row = this.first
    return row && { priority: row.priority, seq: row.seq }
  }
  take(): void {
    const { priority, seq } = this.first as Row
    this.last = { priority, seq }
    this.taken++
    this.#at++
  }
  #readMore(): void {
    const { priority, seq } = this.last ?? { priority: -Infinity, seq: 0 }
    this.#rows = this.#walk.all(this.#epoch, this.#key, priority, seq, this.#wanted) as Row[]
    this.#isAll = this.#rows.length < this.#wanted
    this.#wanted = Math.min(this.#wanted * 2, 256)
    this.#at = 0
  }
}
