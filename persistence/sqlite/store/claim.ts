/**
 * Claims jobs: chooses those that may start, makes them underway, and reports what holds up the next one.
 *
 * | part | does |
 * | --- | --- |
 * | `admission.ts` | checks by the limits whether a job may start, and charges them |
 * | `key-claims.ts` | chooses in turns, if the queue is sorted by key |
 * | `suspect-claims.ts` | chooses where there are suspects |
 * | `passed-over.ts` | moves a job that does not start |
 * | `UnderwayRows` of `../tables/location.ts` | writes which jobs start |
 *
 * In a queue without keys or suspects the jobs are chosen here, in order of priority and put. The cost of a claim does
 * not depend on how many jobs wait behind, and bodies are read only of jobs that it examines.
 */

import { maxClaimed, maxPassed } from '../../../lib/decisions/bounds.ts'
import { heldUntil } from '../../../lib/limits/hold.ts'
import { claimFacts, grantOfCharges } from '../../durable/execute/admission.ts'
import { claimEach, type JobClaim } from '../../durable/execute/claim.ts'
import type { ClaimFacts } from '../../durable/execute/claim-reply.ts'
import type { Claimed } from '../../durable/execute/exchange.ts'
import { countedUntil } from '../../durable/execute/grants.ts'
import type { ExchangeRequest, JobRow } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { JobRows } from '../tables/job.ts'
import type { KeyTable } from '../tables/key.ts'
import { type JobLocations, type StartedJob, startsFromText, UnderwayRows } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import { awaitingVerdict } from '../tables/schema.ts'
import { RowAdmission } from './admission.ts'
import { bodyColumns, type Row, rowColumns } from './claim-row.ts'
import { KeyClaims } from './key-claims.ts'
import type { KeyTurns } from './key-turns.ts'
import type { Limits } from './limits.ts'
import { OpenClaim } from './open-claim.ts'
import { PassedOver } from './passed-over.ts'
import { SuspectClaims } from './suspect-claims.ts'
import type { Suspects } from './suspects.ts'

export interface ClaimParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly readyRanges: ReadyRanges
  readonly suspects: Suspects
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly limits: Limits
  /** Whether a queue object of this process has a handler for that name. */
  isWorked(queue: number): boolean
}

/** A job that an earlier exchange claimed. */
type ClaimedRow = Omit<Row, 'isJson'> &
  Omit<StartedJob, 'alone' | 'ruleStarts'> & { readonly alone: number; readonly ruleStarts: string | null }

export class Claims {
  readonly #parts: ClaimParts
  readonly #ready: ReadyClaims
  readonly #byKey: KeyClaims
  readonly #amongSuspects: SuspectClaims
  readonly #heldKeys: SqliteStatement
  readonly #firstHold: SqliteStatement
  readonly #claimedBy: SqliteStatement

  constructor(parts: ClaimParts) {
    const { db, worker, locations, jobRows } = parts
    this.#parts = parts
    const underwayRows = new UnderwayRows(db, worker)
    const passedOver = new PassedOver(locations, jobRows)
    this.#ready = new ReadyClaims({ ...parts, underwayRows, passedOver })
    this.#byKey = new KeyClaims({ ...parts, underwayRows, passedOver })
    this.#amongSuspects = new SuspectClaims({ ...parts, underwayRows, passedOver })
    this.#heldKeys = db.prepare('select key, until_at from rdq_key_hold where queue = ? and until_at > ?').raw()
    this.#firstHold = db
      .prepare(`
        select key, min(until_at) from rdq_key_hold h where queue = ? and until_at > ?
          and exists (select 1 from rdq_pending_by_key j where j.epoch = ? and j.key = h.key)`)
      .raw()
    this.#claimedBy = db.prepare(`
      select j.priority, u.seq, u.attempt, u.fence, u.crashes, u.flags, ${bodyColumns}, u.grant, u.alone, u.key_start as keyStart,
        u.rule_starts as ruleStarts
      from rdq_underway u join rdq_job j on j.seq = u.seq
      where u.worker = ? and u.queue = ? and u.exchange = ? order by j.priority, u.seq`)
  }

  /** @param room How many jobs the queue has room for. */
  claim(queue: QueueRow, request: ExchangeRequest, room: number, endedUnrun: JobRow[]): Claimed {
    const { suspects, limits, keys, keyTurns } = this.#parts
    const { number, now, mayLaunch, suspectRoom } = request
    const most = queue.sharedPaused ? 0 : Math.min(room, maxClaimed)
    const claim = this.#open(queue, number, claimFacts(limits, queue, request, most), endedUnrun)
    const isQuiet = suspects.quiet(queue)
    if (!isQuiet || (most > 0 && queue.counts.pending > 0)) {
      const admission = new RowAdmission(limits, claim, this.#heldKeysOf(queue, now))
      const claimOthers = (): void => (queue.sorted ? this.#byKey : this.#ready).claim(claim, admission)
      if (isQuiet) claimOthers()
      else {
        const facts = { mayLaunch: mayLaunch && !queue.sharedPaused, suspectRoom }
        this.#amongSuspects.claim(claim, admission, facts, claimOthers)
      }
    } else if (queue.sorted && queue.counts.pending === 0) claim.nextLookAt = keyTurns.forgetIdle(queue, now)
    if (queue.sorted) keys.saveStates(queue)
    if (claim.room > 0) claim.blocked = this.#holdOfKey(queue, now)
    const { isRated, graceMs } = claim.facts
    return claim.reply(isRated ? now + graceMs : Infinity)
  }
  #open(queue: QueueRow, exchange: number, facts: ClaimFacts, endedUnrun: JobRow[]): OpenClaim {
    return new OpenClaim({ queue, exchange, ...facts, jobRows: this.#parts.jobRows, endedUnrun })
  }
  /** Until when keys are held. In a queue that is sorted by key this is a limit of the key. */
  #heldKeysOf({ queueId, holds, sorted }: QueueRow, now: number): ReadonlyMap<string, number> | undefined {
    return holds > 0 && !sorted ? new Map(this.#heldKeys.all(queueId, now) as [string, number][]) : undefined
  }

  /** The hold that ends first, of keys whose jobs it holds back. In a queue that is sorted by key the keys say so. */
  #holdOfKey({ queueId, epoch, holds, sorted }: QueueRow, now: number): OpenClaim['blocked'] {
    if (holds === 0 || sorted) return undefined
    const [key, until] = this.#firstHold.get(queueId, now, epoch) as [string, number] | [null, null]
    return key === null ? undefined : { ...heldUntil(until), key }
  }

  /** The jobs that the exchange of that number claimed and that have not settled since, for a lost reply. */
  claimedIn(queue: QueueRow, exchange: number): Claimed {
    const { limits, worker } = this.#parts
    const claim = this.#open(queue, exchange, claimFacts(limits, queue, { now: 0 }, Infinity), [])
    let until = Infinity
    for (const row of this.#claimedBy.all(worker, queue.queueId, exchange) as ClaimedRow[]) {
      if ((row.flags & awaitingVerdict) !== 0) continue
      const start = { ...row, alone: row.alone === 1, ruleStarts: startsFromText(row.ruleStarts) }
      claim.add(row, start)
      until = Math.min(until, countedUntil(limits, queue, grantOfCharges(row.key, start)))
    }
    return claim.reply(until)
  }
}

/** How many jobs are examined first if a rate may refuse after the first. */
const firstBatch = 8

interface ReadyClaimsParts {
  readonly db: SqliteDatabase
  readonly readyRanges: ReadyRanges
  readonly underwayRows: UnderwayRows
  readonly passedOver: PassedOver
}

/** Claims jobs in their order. Every job that it has examined leaves the ready table, so no claim walks over it twice. */
class ReadyClaims {
  readonly #parts: ReadyClaimsParts
  readonly #walk: SqliteStatement
  readonly #walkRange: SqliteStatement
  readonly #isBefore: SqliteStatement
  readonly #leave: SqliteStatement

  constructor(parts: ReadyClaimsParts) {
    const { db } = parts
    this.#parts = parts
    this.#walk = db.prepare(`
      select ${rowColumns} from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? order by r.priority, r.seq ${limitParameter}`)
    this.#walkRange = db.prepare(`
      select 0 as priority, j.seq, 0 as attempt, 0 as fence, 0 as crashes, 0 as flags, ${bodyColumns} from rdq_job j
      where j.seq >= ? and j.seq < ? and j.priority = 0 and coalesce(j.key, j.extras, j.fingerprint) is null order by j.seq`)
    this.#isBefore = db.prepare('select 1 from rdq_ready where epoch = ? and (priority, seq) < (0, ?) limit 1')
    this.#leave = db.prepare('delete from rdq_ready where epoch = ? and (priority, seq) <= (?, ?)')
  }

  /** Claims as many jobs as there is room for. */
  claim(claim: OpenClaim, admission: RowAdmission): void {
    const { queue, isRated } = claim.facts
    if (!isRated && claim.taken === 0 && this.#claimRange(claim)) return
    let batch = isRated ? firstBatch : claim.room
    let passed = 0
    while (claim.room > 0 && passed < maxPassed) {
      const wanted = Math.min(batch, claim.room)
      const rows = this.#ahead(queue, wanted)
      passed += this.#claimRows(claim, admission, rows)
      if (rows.length < wanted) break
      batch *= 2
    }
    const isCutShort = claim.taken === maxClaimed || passed >= maxPassed
    claim.isPartial = !claim.blocked && isCutShort && queue.counts.pending > 0
  }
  /** Claims from a ready range if no rule applies and the first jobs are in one: all at once, or none. */
  #claimRange(claim: OpenClaim): boolean {
    const { readyRanges, underwayRows } = this.#parts
    const { queue, exchange } = claim.facts
    const { epoch, counts } = queue
    const first = readyRanges.first(epoch)
    // A short range alone does not fill the room, unless no other jobs wait.
    if (!first || (first.jobs < claim.room && first.jobs < counts.pending)) return false
    if (this.#isBefore.get(epoch, first.seq)) return false
    const count = Math.min(claim.room, first.jobs)
    const rows = this.#walkRange.all(first.seq, first.seq + count) as Row[]
    // Foreign code has removed or changed some of them.
    if (rows.length < count) return false
    for (const row of rows) claim.add(row, { ...firstStart, seq: row.seq })
    underwayRows.addRange(queue, exchange, first.seq, first.seq + count)
    readyRanges.take(epoch, first, count)
    queue.countMove('pending', 'underway', count)
    claim.isPartial = count === maxClaimed && counts.pending > 0
    return true
  }
  /** The first waiting jobs, up to `most`, one row each. */
  #ahead(queue: QueueRow, most: number): Row[] {
    const { readyRanges } = this.#parts
    const { epoch } = queue
    const rows = this.#walk.all(epoch, most) as Row[]
    const first = readyRanges.first(epoch)
    if (!first) return rows
    const last = rows[most - 1]
    if (last && (last.priority < 0 || (last.priority === 0 && last.seq < first.seq))) return rows
    queue.countMove('pending', undefined, readyRanges.unroll(epoch, most))
    return this.#walk.all(epoch, most) as Row[]
  }
  /** Claims the rows up to the first that a limit of the queue refuses. Returns how many it passed over. */
  #claimRows(claim: OpenClaim, admission: RowAdmission, rows: readonly Row[]): number {
    const { passedOver } = this.#parts
    const { queue } = claim.facts
    const starts: StartedJob[] = []
    const each: JobClaim<Row> = {
      reply: claim,
      pending: () => queue.counts.pending,
      obstacle: row => admission.obstacle(row),
      take: row => {
        const start = admission.charge(row)
        claim.add(row, start)
        starts.push(start)
      },
      passOver: (row, obstacle) => passedOver.move(claim, row, obstacle),
    }
    const examined = claimEach(each, rows)
    const last = rows[examined - 1]
    if (!last) return 0
    this.#write(claim, starts, last, examined)
    this.#leave.run(queue.epoch, last.priority, last.seq)
    queue.countMove('pending', 'underway', starts.length)
    return examined - starts.length
  }
  #write({ facts: { queue, exchange } }: OpenClaim, starts: readonly StartedJob[], last: Row, examined: number): void {
    const { underwayRows } = this.#parts
    if (starts.length === examined && underwayRows.addReady(queue, exchange, starts, last)) return
    underwayRows.add(queue, exchange, starts)
  }
}

/** The start of a job of a range: its first, for which nothing is charged. */
const firstStart = Object.freeze({
  ...{
    seq: 0,
    attempt: 1,
    fence: 1,
    crashes: 0,
    flags: 0,
    grant: 0,
    key: null,
    keyStart: 0,
    ruleStarts: [],
    alone: false,
  },
})
