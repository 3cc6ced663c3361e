/**
 * Claims jobs in a queue that is sorted by key: the keys take turns (key-turns.ts), and each gives its jobs in order.
 *
 * The jobs that a claim takes of a key are always its first, so they leave by one statement for each key.
 */
import { maxClaimed, maxPassed } from '../../../lib/decisions/bounds.ts'
import type { Ordered } from '../../../lib/decisions/order.ts'
import { claimInTurns, type JobsInTurn } from '../../durable/execute/claim-in-turns.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement, type SqliteValue } from '../file/database.ts'
import { ManyRows } from '../file/many-rows.ts'
import type { KeyTable } from '../tables/key.ts'
import type { StartedJob, UnderwayRows } from '../tables/location.ts'
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

/** From so many jobs of one key on, one statement for all of them is cheaper than values for each. */
const minOfKey = 4
/** How many jobs of one key are read by one statement. */
const minRead = 2
const maxRead = 256

export class KeyClaims {
  readonly #parts: KeyClaimsParts
  readonly #walk: SqliteStatement
  readonly #leave: SqliteStatement
  readonly #leaveEach: ManyRows

  constructor(parts: KeyClaimsParts) {
    const { db } = parts
    this.#parts = parts
    this.#walk = db.prepare(`
      select ${rowColumns} from rdq_pending_by_key r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.key = ? and (r.priority, r.seq) > (?, ?) order by r.priority, r.seq ${limitParameter}`)
    this.#leave = db.prepare('delete from rdq_pending_by_key where epoch = ? and key = ? and (priority, seq) <= (?, ?)')
    const each = (rows: string): string =>
      `delete from rdq_pending_by_key where (epoch, key, priority, seq) in (values ${rows})`
    this.#leaveEach = new ManyRows(db, 4, each)
  }

  /** Claims as many jobs as there is room for, the keys taking turns. */
  claim(claim: OpenClaim, admission: RowAdmission): void {
    const { keys, keyTurns, passedOver } = this.#parts
    const { queue, now } = claim.facts
    const { unsorted, isBehind } = keyTurns.prepare(queue, now)
    const inTurn = keyTurns.among(queue, claim.room)
    const examined = new Map<KeyState, KeyJobs>()
    const before = claim.taken
    let suspected = false
    const jobsOf = (key: KeyState): KeyJobs => examined.get(key) as KeyJobs
    const taking: JobsInTurn<KeyState, Row> = {
      inTurn,
      next: () => this.#next(claim, inTurn, examined, unsorted),
      obstacle: (row, key) => admission.obstacle(row, key),
      holdUp: (key, refusal) => keyTurns.holdUp(key, refusal),
      take: (row, key) => {
        const start = admission.charge(row, key)
        claim.add(row, start)
        return jobsOf(key).take(start, inTurn.isFair)
      },
      passOver: (row, key, obstacle) => {
        const next = jobsOf(key).take(undefined, inTurn.isFair)
        passedOver.move(claim, row, obstacle)
        suspected ||= obstacle.kind === 'suspect'
        return next
      },
    }
    const passed = claimInTurns(claim, taking, () => queue.counts.pending)
    this.#write(claim, examined)
    inTurn.rebase()
    queue.countMove('pending', 'underway', claim.taken - before)
    const isCutShort =
      claim.taken === maxClaimed || passed >= maxPassed || unsorted !== undefined || isBehind || suspected
    claim.isPartial = !claim.blocked && isCutShort && queue.counts.pending > 0
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
    { facts, room }: OpenClaim,
    inTurn: StoredKeysInTurn,
    examined: Map<KeyState, KeyJobs>,
    unsorted: JobPosition | undefined,
  ): { readonly key: KeyState; readonly job: Row } | undefined {
    for (;;) {
      const state = inTurn.next
      if (!state) return undefined
      let jobs = examined.get(state)
      if (!jobs) {
        // Without a rate a claim most often takes an equal share of each key.
        const share = facts.isRated ? 0 : Math.min(Math.ceil(room / inTurn.size), state.width - state.bodies)
        examined.set(state, (jobs = new KeyJobs(this.#walk, facts.queue.epoch, state, share)))
      }
      const row = jobs.first
      if (!row) inTurn.leaves(state)
      // The key stays where it is, and starts nothing in this claim.
      else if (unsorted && !isBefore(row, unsorted)) inTurn.leaves(state)
      else if (inTurn.isMisplaced(state, row)) inTurn.moved(state, row)
      else return { key: state, job: row }
    }
  }
  /** Writes what the claim took of the jobs of these keys. */
  #write({ facts }: OpenClaim, examined: ReadonlyMap<KeyState, KeyJobs>): void {
    const { underwayRows, keyTurns } = this.#parts
    const { queue, exchange, now, isRated } = facts
    const few: StartedJob[] = []
    const leave: SqliteValue[] = []
    for (const [state, jobs] of examined) {
      const { key } = state.row
      const { starts, taken, last } = jobs
      if (taken.length >= minOfKey && last) {
        if (starts.length === taken.length && !isRated) underwayRows.addOfKey(queue, exchange, key, last)
        else underwayRows.add(queue, exchange, starts)
        this.#leave.run(queue.epoch, key, last.priority, last.seq)
      } else {
        few.push(...starts)
        for (const { priority, seq } of taken) leave.push(queue.epoch, key, priority, seq)
      }
      keyTurns.saveAfterClaim(queue, state, now, jobs.hasAny, starts.length > 0)
    }
    underwayRows.add(queue, exchange, few)
    this.#leaveEach.run(leave)
  }
}

/** The jobs of one key that wait, in order, as a claim takes them. */
class KeyJobs {
  readonly starts: StartedJob[] = []
  /** The jobs that were taken, whether they start or not. */
  readonly taken: JobPosition[] = []
  readonly #walk: SqliteStatement
  readonly #epoch: number
  readonly #key: string
  #rows: Row[] = []
  #at = 0
  #wanted: number
  #isAll = false
  /** Whether there are more than were read; undefined: not known yet. */
  #hasMore: boolean | undefined

  /** @param share How many jobs the claim is likely to take. */
  constructor(walk: SqliteStatement, epoch: number, { row, firstJob, hasMore }: KeyState, share: number) {
    this.#wanted = Math.min(Math.max(share, minRead), maxRead)
    this.#walk = walk
    this.#epoch = epoch
    this.#key = row.key
    if (!firstJob) return
    this.#rows = [firstJob]
    this.#hasMore = hasMore
    this.#isAll = !hasMore
  }
  get last(): JobPosition | undefined {
    return this.taken.at(-1)
  }
  get hasAny(): boolean {
    return this.#at < this.#rows.length || (this.#hasMore ?? this.first !== undefined)
  }
  get first(): Row | undefined {
    if (this.#at === this.#rows.length && !this.#isAll) this.#readMore()
    return this.#rows[this.#at]
  }
  /**
   * The first job leaves. `start`: it starts. Returns the next one. Where keys share, only whether there is a next one
   * matters, and this one stands for it if it is not read yet.
   */
  take(start: StartedJob | undefined, isFair: boolean): Ordered | undefined {
    const taken = this.first as Row
    if (start) this.starts.push(start)
    this.taken.push(taken)
    this.#at++
    return isFair && this.#at === this.#rows.length && this.#hasMore ? taken : this.first
  }
  #readMore(): void {
    const { priority, seq } = this.last ?? { priority: -Infinity, seq: 0 }
    this.#rows = this.#walk.all(this.#epoch, this.#key, priority, seq, this.#wanted) as Row[]
    this.#isAll = this.#rows.length < this.#wanted
    this.#hasMore = this.#isAll ? false : undefined
    this.#wanted = Math.min(this.#wanted * 2, maxRead)
    this.#at = 0
  }
}
