/**
 * Claims jobs in a queue that is sorted by key: the keys take turns (key-turns.ts), and each gives its jobs in order.
 *
 * The jobs that a claim takes of a key are always its first, so they leave by one statement for each key.
 */
import { maxClaimed, maxPassed } from '../../../lib/rules/bounds.ts'
import { claimInTurns, type JobsInTurn } from '../../durable/execute/claim-in-turns.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { KeyTable } from '../tables/key.ts'
import type { Start, UnderwayRows } from '../tables/location.ts'
import type { RowAdmission } from './admission.ts'
import { type Row, rowColumns } from './claim-row.ts'
import { isBefore, type JobPosition, type KeyState, type KeyTurns, type StoredKeysInTurn } from './key-turns.ts'
import type { OpenClaim } from './open-claim.ts'
import type { PassedOver } from './passed-over.ts'

export interface KeyClaimsParts {
  readonly db: SqliteDatabase
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly underwayRows: UnderwayRows
  readonly passedOver: PassedOver
}

export class KeyClaims {
  readonly #parts: KeyClaimsParts
  readonly #walk: SqliteStatement
  readonly #leave: SqliteStatement

  constructor(parts: KeyClaimsParts) {
    const { db } = parts
    this.#parts = parts
    this.#walk = db.prepare(`
      select ${rowColumns} from rdq_held r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.key = ? and (r.priority, r.seq) > (?, ?) order by r.priority, r.seq ${limitParameter}`)
    this.#leave = db.prepare('delete from rdq_held where epoch = ? and key = ? and (priority, seq) <= (?, ?)')
  }

  /** Claims as many jobs as there is room for, the keys taking turns. */
  claim(claim: OpenClaim, admission: RowAdmission): void {
    const { keys, keyTurns, passedOver } = this.#parts
    const { queue, now } = claim.facts
    const { unsorted, isBehind } = keyTurns.prepare(queue, now)
    const inTurn = keyTurns.among(queue)
    const examined = new Map<KeyState, KeyJobs>()
    const before = claim.taken
    let suspected = false
    const jobsOf = (key: KeyState): KeyJobs => examined.get(key) as KeyJobs
    const taking: JobsInTurn<KeyState, Row> = {
      inTurn,
      next: () => this.#next(queue.epoch, inTurn, examined, unsorted),
      obstacle: (row, key) => admission.obstacle(row, key),
      holdUp: (key, refusal) => keyTurns.holdUp(key, refusal),
      start: (row, key) => {
        const start = admission.start(row, key)
        claim.add(row, start)
        return jobsOf(key).take(start)
      },
      passOver: (row, key, obstacle) => {
        const next = jobsOf(key).take()
        passedOver.move(claim, row, obstacle)
        suspected ||= obstacle.kind === 'suspect'
        return next
      },
    }
    const passed = claimInTurns(claim, taking, () => queue.counts.pending)
    for (const [state, jobs] of examined) this.#write(claim, state, jobs)
    inTurn.rebase()
    queue.moved('pending', 'underway', claim.taken - before)
    const isFull = claim.taken === maxClaimed || passed >= maxPassed || unsorted !== undefined || isBehind || suspected
    claim.isPartial = !claim.blocked && isFull && queue.counts.pending > 0
    if (claim.room === 0) return
    keys.save()
    const first = keyTurns.firstBlocked(queue, now)
    if (!first) return
    claim.blocked = first.refusal
    // A key that nothing holds up any more has not taken turns in this claim, and must not be forgotten.
    claim.nextLookAt = Math.min(claim.nextLookAt, first.until)
  }
  /** The key that is next, and its first job. */
  #next(
    epoch: number,
    inTurn: StoredKeysInTurn,
    examined: Map<KeyState, KeyJobs>,
    unsorted: JobPosition | undefined,
  ): { readonly key: KeyState; readonly job: Row } | undefined {
    for (;;) {
      const state = inTurn.next
      if (!state) return undefined
      let jobs = examined.get(state)
      if (!jobs) examined.set(state, (jobs = new KeyJobs(this.#walk, epoch, state.row.key)))
      const row = jobs.first
      if (!row) inTurn.leaves(state)
      // The key stays where it is, and starts nothing in this claim.
      else if (unsorted && !isBefore(row, unsorted)) inTurn.leaves(state)
      else if (inTurn.isMisplaced(state, row)) inTurn.moved(state, row)
      else return { key: state, job: row }
    }
  }
  /** Writes what the claim took of the jobs of a key. */
  #write({ facts }: OpenClaim, state: KeyState, { starts, last, taken, first }: KeyJobs): void {
    const { underwayRows, keyTurns } = this.#parts
    const { queue, exchange, now, isRated } = facts
    const { key } = state.row
    if (last) {
      if (starts.length === taken && !isRated) underwayRows.addOfKey(queue, exchange, key, last)
      else for (const start of starts) underwayRows.add(queue, exchange, start)
      this.#leave.run(queue.epoch, key, last.priority, last.seq)
    }
    keyTurns.settle(queue, state, now, first !== undefined)
  }
}

/** The jobs of one key that wait, in order, as a claim takes them. */
class KeyJobs {
  readonly starts: Start[] = []
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
  /** The first job leaves. `start`: it starts. Returns the next one. */
  take(start?: Start): Row | undefined {
    const { priority, seq } = this.first as Row
    if (start) this.starts.push(start)
    this.last = { priority, seq }
    this.taken++
    this.#at++
    return this.first
  }
  #readMore(): void {
    const { priority, seq } = this.last ?? { priority: -Infinity, seq: 0 }
    this.#rows = this.#walk.all(this.#epoch, this.#key, priority, seq, this.#wanted) as Row[]
    this.#isAll = this.#rows.length < this.#wanted
    this.#wanted = Math.min(this.#wanted * 2, 256)
    this.#at = 0
  }
}
