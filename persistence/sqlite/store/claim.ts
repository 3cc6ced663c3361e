/**
 * Claims jobs: walks the ready jobs in order, asks the rate for each, and makes those that may start underway.
 *
 * Every job that a claim has examined leaves the ready table, so a claim never walks over a row twice, and its cost
 * does not depend on how many jobs wait behind. Bodies are read only of claimed jobs.
 */
import type { Rate } from '../../../lib/rate/rate.ts'
import { maxClaimed } from '../../../lib/rules/bounds.ts'
import { cautionOf } from '../../../lib/rules/crash-outcome.ts'
import { neverStarts } from '../../../lib/rules/puts.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import { claimAmongSuspects } from '../../durable/execute/claim.ts'
import type { Claimed } from '../../durable/execute/turn.ts'
import type { ExchangeRequest, JobRow, JobRowExtras } from '../../durable/store.ts'
import type { Standing } from '../../durable/suspect-line.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import { extrasOf, type JobRows, unreadable } from '../tables/job.ts'
import type { KeyTable } from '../tables/key.ts'
import type { Counters, JobLocations } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import { awaitingVerdict, hasLastRun, launchUnknown } from '../tables/schema.ts'
import { type ClaimColumns, claimedOf, emptyClaim } from './claim-columns.ts'
import { type By, bodyColumns, countersOf, grantOf, maxPassed, type Row, rowColumns } from './claim-row.ts'
import { KeyClaims } from './key-claims.ts'
import type { KeyState, KeyTurns } from './key-turns.ts'
import type { Suspects } from './suspects.ts'

/** How many jobs are examined first if a rate may refuse after the first. */
const firstBatch = 8

export interface ClaimParts {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly rateLog: RateLog
  readonly readyRanges: ReadyRanges
  readonly suspects: Suspects
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  /** Whether a queue object of this process has a handler for that name. */
  isWorked(queue: number): boolean
}

/** With the instant since which it waits. */
interface SuspectRow extends Row {
  readonly since: number
}
/** A job that an earlier exchange claimed. */
interface ClaimedRow extends Row {
  readonly grant: number
  readonly alone: number
  readonly keyStart: number
}
/** More crashes than any job has. */
const maxCrashes = Number.MAX_SAFE_INTEGER

export class Claims {
  readonly #parts: ClaimParts
  readonly #keyClaims: KeyClaims
  readonly #walkRange: SqliteStatement
  readonly #walk: SqliteStatement
  readonly #isBefore: SqliteStatement
  readonly #leaveReady: SqliteStatement
  readonly #insert: SqliteStatement
  readonly #insertFirst: SqliteStatement
  readonly #insertRange: SqliteStatement
  readonly #suspectsFrom: SqliteStatement
  readonly #since: SqliteStatement
  readonly #leaveSuspects: SqliteStatement
  readonly #firstReady: SqliteStatement
  readonly #heldKeys: SqliteStatement
  readonly #claimedBy: SqliteStatement

  constructor(parts: ClaimParts) {
    const { db } = parts
    this.#parts = parts
    this.#keyClaims = new KeyClaims(parts, {
      append: (out, row, attempt, fence) => this.#append(out, row, attempt, fence),
      fail: (queue, row, error, now, endedUnrun) => this.#fail(queue, row, error, now, endedUnrun),
      count: (queue, count) => this.#count(queue, count),
    })
    const [row, body] = [rowColumns, bodyColumns]
    this.#walk = db.prepare(`
      select ${row} from rdq_ready r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? order by r.priority, r.seq ${limitParameter}`)
    this.#walkRange = db.prepare(`
      select 0 as priority, j.seq, 0 as attempt, 0 as fence, 0 as crashes, 0 as flags, ${body} from rdq_job j
      where j.seq >= ? and j.seq < ? and j.priority = 0 and coalesce(j.key, j.more, j.fingerprint) is null order by j.seq`)
    this.#suspectsFrom = db.prepare(`
      select ${row}, r.since from rdq_suspect r left join rdq_job j on j.seq = r.seq
      where r.epoch = ? and r.crashes >= ? and r.crashes < ? order by r.crashes, r.priority, r.seq ${limitParameter}`)
    this.#since = db.prepare('select min(since) from rdq_suspect where epoch = ? and crashes >= ?').pluck()
    this.#leaveSuspects = db.prepare('delete from rdq_suspect where seq = ?')
    this.#firstReady = db
      .prepare('select priority, seq from rdq_ready where epoch = ? order by priority, seq limit 1')
      .raw()
    this.#isBefore = db.prepare('select 1 from rdq_ready where epoch = ? and (priority, seq) < (0, ?) limit 1')
    const upTo = 'rdq_ready where epoch = ? and (priority, seq) <= (?, ?)'
    this.#leaveReady = db.prepare(`delete from ${upTo}`)
    const columns = 'worker, queue, seq, attempt, fence, crashes, flags, grant, exchange'
    this.#insert = db.prepare(`
      insert into rdq_underway (${columns}, alone, key, key_start) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#insertFirst = db.prepare(`
      insert into rdq_underway (${columns}) 
      select ?, ?, seq, attempt + 1, fence + 1, crashes, flags, (seq - ?) * ?, ? from ${upTo}`)
    this.#insertRange = db.prepare(`
      insert into rdq_underway (${columns})
      select ?, ?, seq, 1, 1, 0, 0, 0, ? from rdq_job where seq >= ? and seq < ?`)
    this.#heldKeys = db.prepare('select key from rdq_key_hold where queue = ? and until_at > ?').pluck()
    this.#claimedBy = db.prepare(`
      select j.priority, u.seq, u.attempt, u.fence, u.crashes, u.flags, ${body}, u.grant, u.alone, u.key_start as keyStart
      from rdq_underway u join rdq_job j on j.seq = u.seq
      where u.worker = ? and u.queue = ? and u.exchange = ? order by j.priority, u.seq`)
  }

  claim(queue: QueueRow, request: ExchangeRequest, wanted: number, endedUnrun: JobRow[]): Claimed {
    const { rateLog, suspects } = this.#parts
    const { number, now, errorMs, mayLaunch } = request
    const rate = rateLog.of(queue)
    const out = emptyClaim(isLimited(queue, rate), rateLog.graceMs(queue, errorMs))
    const room = queue.sharedPaused ? 0 : Math.min(wanted, maxClaimed)
    const isQuiet = suspects.quiet(queue)
    if (!isQuiet || (room > 0 && queue.counts.pending > 0)) {
      const by = this.#by(queue, rate, number, now, endedUnrun)
      if (isQuiet) this.#claimOthers(queue, room, out, by)
      else this.#giveAmongSuspects(queue, room, mayLaunch && !queue.sharedPaused, out, by)
    }
    return claimedOf(out, out.grants ? now + out.graceMs : Infinity)
  }
  #by(queue: QueueRow, rate: Rate, exchange: number, now: number, endedUnrun: JobRow[]): By {
    const heldKeys =
      queue.holds > 0 && !queue.sorted ? new Set(this.#heldKeys.all(queue.queueId, now) as string[]) : undefined
    return { rate, heldKeys, exchange, now, endedUnrun }
  }
  /** Claims where there are suspects, in this queue or in another of the process. */
  #giveAmongSuspects(queue: QueueRow, most: number, mayLaunch: boolean, out: ClaimColumns, by: By): void {
    const { suspects, isWorked } = this.#parts
    // Read first, because even a queue that claims nothing must notice the end of that run.
    const { underway: running } = suspects
    const room = (): number => (out.limited ? 0 : most - out.seqs.length)
    const lookAt = claimAmongSuspects<StandingRow>({
      line: suspects.line,
      turn: {
        ...{ queue: queue.queueId, now: by.now, running },
        isIdle: () => suspects.empty,
        canBeIdle: () => suspects.canEmpty(isWorked),
      },
      room,
      pending: () => queue.counts.pending,
      ...{ mayLaunch, crashLimit: queue.crashLimit },
      waitsSince: crashes => (this.#since.get(queue.epoch, crashes) as number | null) ?? undefined,
      first: (crashes, below) =>
        queue.suspects > 0 ? standingOf(this.#suspect(queue, crashes, below, out, by)) : undefined,
      isBefore: ({ row }) => this.#isBeforeOthers(queue, row),
      claimSuspect: ({ row }, alone) => this.#claimSuspect(queue, row, alone, out, by),
      claimOthers: () => this.#claimOthers(queue, room(), out, by),
    })
    out.lookAt = lookAt
  }
  /**
   * The first suspect that could start now and whose number of crashes lies within these bounds. Suspects whose key is
   * held are held themselves.
   */
  #suspect(queue: QueueRow, from: number, below: number, out: ClaimColumns, by: By): SuspectRow | undefined {
    const { locations } = this.#parts
    const { rate, heldKeys, now } = by
    for (;;) {
      const [row] = this.#suspectsFrom.all(queue.epoch, from, Math.min(below, maxCrashes), 1) as SuspectRow[]
      if (!row) return undefined
      const { seq, id, payload, key, more, isJson } = row
      const gone = id === null
      const problem = gone ? undefined : unreadable(id, isJson ? 'null' : payload, more)
      const cost = more === null || problem ? undefined : extrasOf({ more }).cost
      const blocked = problem || gone || !out.grants ? undefined : rate.blocking(cost, now)
      const ofKey = key !== null && !gone && queue.sorted ? this.#keyState(queue, key, now) : undefined
      const refusal = ofKey && this.#parts.keyTurns.refusal(ofKey, cost, now)
      if (key !== null && heldKeys?.has(key)) locations.hold(queue, key, countersOf(row))
      else if (ofKey && refusal?.never)
        this.#fail(queue, row, errorToJson(neverStarts(cost, ofKey.rate as Rate), 'none'), now, by.endedUnrun)
      else if (ofKey && refusal) {
        locations.hold(queue, key as string, countersOf(row))
        this.#parts.keyTurns.holdUp(ofKey, refusal)
      } else if (gone) {
        queue.counts.pending--
        queue.suspects--
      } else if (problem) this.#fail(queue, row, errorToJson(problem, 'none'), now, by.endedUnrun)
      else if (blocked?.until === Infinity)
        this.#fail(queue, row, errorToJson(neverStarts(cost, rate), 'none'), now, by.endedUnrun)
      else {
        if (!blocked) return row
        if (!out.limited || blocked.until < out.limited.until) out.limited = blocked
        return undefined
      }
      this.#leaveSuspects.run(seq)
      queue.dirty = true
    }
  }
  #isBeforeOthers(queue: QueueRow, { priority, seq }: SuspectRow): boolean {
    const ready = this.#firstReady.get(queue.epoch) as [number, number] | undefined
    const range = this.#parts.readyRanges.first(queue.epoch)
    const isBefore = (otherPriority: number, otherSeq: number): boolean =>
      priority < otherPriority || (priority === otherPriority && seq < otherSeq)
    return (!ready || isBefore(...ready)) && (!range || isBefore(0, range.seq))
  }
  #claimSuspect(queue: QueueRow, row: SuspectRow, alone: boolean, out: ClaimColumns, by: By): void {
    const { worker, suspects } = this.#parts
    const { seq, attempt, fence, crashes, flags } = row
    const { cost } = extrasOf(row)
    const grant = out.grants ? by.rate.grant(cost, by.now, out.graceMs) : 0
    if (grant < 0) {
      out.limited = by.rate.blocking(cost, by.now)
      return
    }
    const key = queue.sorted ? row.key : null
    const ofKey = key !== null && out.grants ? this.#keyState(queue, key, by.now) : undefined
    const keyStart = ofKey ? this.#parts.keyTurns.charge(ofKey, cost, by.now, out.graceMs) : 0
    out.grants?.push(grantOf(grant, key, keyStart))
    if (out.grants) this.#parts.rateLog.changing(queue)
    this.#leaveSuspects.run(seq)
    const [run, claim] = [attempt + 1, fence + 1]
    const facts = [run, claim, crashes, flags, grant, by.exchange, alone ? 1 : 0]
    this.#insert.run(worker, queue.queueId, seq, ...facts, key, keyStart)
    this.#append(out, row, run, claim, alone)
    suspects.took({ queue: queue.queueId, seq, fence: claim, alone })
    this.#count(queue, 1)
  }
  /** Claims up to `room` jobs that are no suspects. */
  #claimOthers(queue: QueueRow, room: number, out: ClaimColumns, by: By): void {
    if (queue.sorted) return this.#keyClaims.claim(queue, room, out, by)
    const { exchange } = by
    const most = out.seqs.length + room
    if (!out.grants && out.seqs.length === 0 && this.#claimRange(queue, room, exchange, out)) return
    let batch = out.grants ? firstBatch : most
    let passed = 0
    while (out.seqs.length < most && passed < maxPassed) {
      const wanted = Math.min(batch, most - out.seqs.length)
      const rows = this.#ahead(queue, wanted)
      const before = out.seqs.length
      const walked = this.#claimRows(queue, rows, out, by)
      passed += walked - (out.seqs.length - before)
      if (out.limited || rows.length < wanted) break
      batch *= 2
    }
    out.isPartial = !out.limited && (out.seqs.length === maxClaimed || passed >= maxPassed) && queue.counts.pending > 0
    if (out.grants && out.grants.length > 0) this.#parts.rateLog.changing(queue)
  }
  #keyState(queue: QueueRow, key: string, now: number): KeyState {
    return this.#parts.keyTurns.state(queue, this.#parts.keys.of(queue, key), now)
  }
  /** Claims from a ready range if no rate applies and the first jobs are in one: all at once, or none. */
  #claimRange(queue: QueueRow, most: number, exchange: number, out: ClaimColumns): boolean {
    const { readyRanges, worker } = this.#parts
    const { epoch, queueId, counts } = queue
    const first = readyRanges.first(epoch)
    // A short range alone does not fill the room, unless no other jobs wait.
    if (!first || (first.jobs < most && first.jobs < counts.pending)) return false
    if (this.#isBefore.get(epoch, first.seq)) return false
    const count = Math.min(most, first.jobs)
    const rows = this.#walkRange.all(first.seq, first.seq + count) as Row[]
    // Foreign code has removed or changed some of them.
    if (rows.length < count) return false
    for (const row of rows) this.#append(out, row, 1, 1)
    this.#insertRange.run(worker, queueId, exchange, first.seq, first.seq + count)
    readyRanges.take(epoch, first, count)
    this.#count(queue, count)
    out.isPartial = count === maxClaimed && queue.counts.pending > 0
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
    const missing = readyRanges.unroll(epoch, most)
    queue.counts.pending -= missing
    if (missing > 0) queue.dirty = true
    return this.#walk.all(epoch, most) as Row[]
  }
  #count(queue: QueueRow, count: number): void {
    queue.counts.pending -= count
    queue.counts.underway += count
    queue.dirty = true
  }
  /** Claims the rows up to the first that the rate holds up. Returns how many have left the ready table. */
  #claimRows(queue: QueueRow, rows: readonly Row[], out: ClaimColumns, by: By): number {
    const { worker } = this.#parts
    const { rate, heldKeys, exchange, now } = by
    const claimedBefore = out.seqs.length
    const held: (readonly [string, Counters])[] = []
    const suspected: Counters[] = []
    const ending: (readonly [Row, string])[] = []
    const grants: number[] = []
    let walked = 0
    for (const row of rows) {
      const { id, key } = row
      if (key !== null && heldKeys?.has(key)) held.push([key, countersOf(row)])
      else if (row.crashes > 0 && id !== null) suspected.push(countersOf(row))
      else {
        const problem = id === null || row.isJson ? undefined : unreadable(id, row.payload, row.more)
        const { cost } = extrasOf(row)
        let grant = 0
        if (id !== null && !problem && out.grants) {
          grant = rate.grant(cost, now, out.graceMs)
          if (grant < 0) {
            const blocked = rate.blocking(cost, now)
            if (blocked?.until !== Infinity) {
              out.limited = blocked
              break
            }
          } else out.grants.push(grant)
        }
        if (id === null) queue.counts.pending--
        else if (problem) ending.push([row, errorToJson(problem, 'none')])
        else if (grant < 0) ending.push([row, errorToJson(neverStarts(cost, rate), 'none')])
        else {
          grants.push(grant)
          this.#append(out, row, row.attempt + 1, row.fence + 1)
        }
      }
      walked++
    }
    const claimed = out.seqs.length - claimedBefore
    const last = rows[walked - 1]
    if (!last) return 0
    // Jobs that were put in succession mostly get successive starts, so one statement can number them.
    const offset = (rows[0]?.seq as number) - (grants[0] ?? 0)
    const inRow = grants.every((grant, i) => grant === 0 || rows[i]?.seq === grant + offset)
    if (claimed === walked && (!out.grants || inRow)) {
      const numbered = grants[0] ? 1 : 0
      this.#insertFirst.run(worker, queue.queueId, offset, numbered, exchange, queue.epoch, last.priority, last.seq)
    } else {
      const taken = new Map(out.seqs.slice(claimedBefore).map((seq, i) => [seq, grants[i] as number]))
      for (const { seq, attempt, fence, crashes, flags } of rows.slice(0, walked)) {
        const grant = taken.get(seq)
        if (grant === undefined) continue
        const facts = [attempt + 1, fence + 1, crashes, flags, grant, exchange, 0]
        this.#insert.run(worker, queue.queueId, seq, ...facts, null, 0)
      }
    }
    this.#leaveReady.run(queue.epoch, last.priority, last.seq)
    for (const [key, job] of held) this.#parts.locations.hold(queue, key, job)
    // More jobs than one turn lets come due at once.
    for (const job of suspected) this.#parts.locations.suspect(queue, job, now)
    for (const [row, error] of ending) this.#fail(queue, row, error, now, by.endedUnrun)
    this.#count(queue, claimed)
    return walked
  }
  #fail(queue: QueueRow, row: Row, error: string, now: number, endedUnrun: JobRow[]): void {
    const { locations, jobRows } = this.#parts
    const job = countersOf(row)
    const ending = { state: 'failed', startedWall: null, stoppedWall: null, error, value: null } as const
    const body = jobRows.body(queue, job.seq)
    // A payload that is not JSON must not be sent as if it were.
    const payload = row.isJson ? row.payload : 'null'
    if (body) endedUnrun.push(jobRows.rowOf({ ...body, payload }, { ...job, state: 'failed', ending }))
    queue.counts.pending--
    locations.end(queue, job, ending, now)
  }
  #append(out: ClaimColumns, row: Omit<Row, 'isJson'>, attempt: number, fence: number, alone = false): void {
    const { priority, seq, crashes, flags, id, payload, queuedAt, key, more, fingerprint } = row
    if (
      key !== null ||
      more !== null ||
      fingerprint !== null ||
      crashes > 0 ||
      (flags & (hasLastRun | launchUnknown)) !== 0
    ) {
      const facts: { -readonly [K in keyof JobRowExtras]: JobRowExtras[K] } = { ...extrasOf(row) }
      if (key !== null) facts.key = key
      if (fingerprint !== null) facts.fingerprint = fingerprint
      if ((flags & hasLastRun) !== 0) {
        const [, , error, checkpoint] = this.#parts.jobRows.lastRunOf(seq)
        if (error !== null) facts.error = error
        if (checkpoint !== null) facts.checkpoint = checkpoint
      }
      if (crashes > 0) facts.crashes = crashes
      const caution = cautionOf({ crashes, launchUnreported: (flags & launchUnknown) !== 0, alone })
      if (caution !== undefined) facts.caution = caution
      out.more.push([out.seqs.length, facts])
    }
    out.seqs.push(seq)
    out.ids.push(id as string)
    out.payloads.push(payload)
    out.priorities.push(priority)
    out.attempts.push(attempt)
    out.fences.push(fence)
    out.queuedAt.push(queuedAt)
  }
  /** The jobs that the exchange of that number claimed and that have not settled since, for a lost reply. */
  claimedIn(queue: QueueRow, exchange: number): Claimed {
    const rate = this.#parts.rateLog.of(queue)
    const out = emptyClaim(isLimited(queue, rate), this.#parts.rateLog.graceMs(queue))
    const rows = this.#claimedBy.all(this.#parts.worker, queue.queueId, exchange) as ClaimedRow[]
    let countedUntil = Infinity
    for (const row of rows) {
      const { attempt, fence, flags, grant, alone, key, keyStart } = row
      if ((flags & awaitingVerdict) !== 0) continue
      this.#append(out, row, attempt, fence, alone === 1)
      out.grants?.push(grantOf(grant, key, keyStart))
      if (grant > 0) countedUntil = Math.min(countedUntil, rate.countsAt(grant) ?? -Infinity)
      if (key === null || keyStart === 0) continue
      const ofKey = this.#keyState(queue, key, 0).rate
      countedUntil = Math.min(countedUntil, ofKey?.countsAt(keyStart) ?? -Infinity)
    }
    return claimedOf(out, countedUntil)
  }
}

interface StandingRow extends Standing {
  readonly row: SuspectRow
}
function standingOf(row: SuspectRow | undefined): StandingRow | undefined {
  return row && { row, crashes: row.crashes, since: row.since }
}
/** Whether a rule may refuse a job of the queue. */
function isLimited({ keys, keysUsed }: QueueRow, rate: Rate): boolean {
  return !rate.idle || (keys?.rate.length ?? 0) > 0 || keysUsed > 1
}
