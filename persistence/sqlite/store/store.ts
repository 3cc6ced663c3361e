/**
 * The file as a queue sees it: requests in, replies out, one transaction for all requests that have gathered.
 *
 * The store has no thread, no timer and no clock: its owner passes the instants with each request.
 */
import { DispatchError } from '../../../lib/errors.ts'
import { newDeclaration } from '../../../lib/rules/rate-settings.ts'
import { toWire } from '../../durable/errors.ts'
import type {
  Answered,
  AttachReply,
  AttachRequest,
  DetachRequest,
  QueryRequest,
  Request,
  Store as StoreContract,
} from '../../durable/store.ts'
import { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { CrashReports } from '../tables/crash-reports.ts'
import { GeneratedIds } from '../tables/generated-ids.ts'
import { JobRows } from '../tables/job.ts'
import { JobLocations } from '../tables/location.ts'
import { type QueueRow, QueueTable } from '../tables/queue.ts'
import { RateLog } from '../tables/rate-log.ts'
import { ReadyRanges } from '../tables/ready-range.ts'
import { migrate } from '../tables/schema.ts'
import { Workers } from '../tables/worker.ts'
import { Controls } from './control.ts'
import { Puts } from './put.ts'
import { Queries } from './query.ts'
import { Recovery } from './recovery.ts'
import { Suspects } from './suspects.ts'
import { Turns } from './turn.ts'

interface Times {
  readonly now: number
  readonly wall: number
}

export interface StoreOptions {
  readonly worker: string
  readonly boot: string
  /** Identifies the file, so that a copy of it is recognised. */
  readonly file?: string
}

const none = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 } as const
const notThere: AttachReply = { queue: 0, rules: [], counts: none, sharedPaused: false }

export class Store implements StoreContract {
  readonly #db: SqliteDatabase
  readonly #token: string
  readonly #worker: number
  readonly #fileClock: FileClock
  readonly #queues: QueueTable
  readonly #rateLog: RateLog
  readonly #jobRows: JobRows
  readonly #workers: Workers
  readonly #suspects: Suspects
  readonly #turns: Turns
  readonly #puts: Puts
  readonly #controls: Controls
  readonly #queries: Queries
  readonly #recovery: Recovery
  readonly #undo: (() => void)[] = []
  readonly #begin: SqliteStatement
  readonly #commit: SqliteStatement
  /** The latest instants received, for a request without any. */
  #times: Times = { now: 0, wall: 0 }

  /** Workers of the original of which this file is a copy. They never had this file open. */
  readonly strangers: readonly string[]

  private constructor(db: SqliteDatabase, { worker: token, boot, file }: StoreOptions) {
    const fileClock = new FileClock(db, boot)
    const queues = new QueueTable(db, fileClock)
    const rateLog = new RateLog(db)
    const readyRanges = new ReadyRanges(db)
    const locations = new JobLocations(db, readyRanges)
    const generatedIds = new GeneratedIds(db)
    const jobRows = new JobRows(db, locations, fileClock, generatedIds)
    const workers = new Workers(db)
    this.#db = db
    this.#token = token
    this.#begin = db.prepare('begin immediate')
    this.#commit = db.prepare('commit')
    this.#fileClock = fileClock
    this.#queues = queues
    this.#rateLog = rateLog
    this.#jobRows = jobRows
    this.#workers = workers
    const signedIn = this.#transaction(undefined, () => workers.signIn(token, file))
    this.#worker = signedIn.worker
    this.strangers = signedIn.strangers
    this.#suspects = new Suspects(db, this.#worker)
    const onRollback = (undo: () => void): void => void this.#undo.push(undo)
    const reports = new CrashReports(db, this.#worker, onRollback)
    const recovery = new Recovery({
      db,
      worker: this.#worker,
      queues,
      locations,
      jobRows,
      workers,
      reports,
      onRollback,
    })
    this.#recovery = recovery
    const parts = {
      ...{
        db,
        worker: this.#worker,
        queues,
        locations,
        jobRows,
        generatedIds,
        readyRanges,
        rateLog,
        fileClock,
        reports,
        recovery,
      },
      ...{ suspects: this.#suspects, isWorked: (queue: number) => recovery.isWorked(queue) },
    }
    this.#turns = new Turns(parts)
    this.#puts = new Puts(parts)
    const saveSettings = (queue: QueueRow): void => queues.saveSettings(queue)
    this.#controls = new Controls({ ...parts, upkeep: this.#turns.upkeep, saveSettings })
    this.#queries = new Queries(parts)
  }
  /** Migrates the schema and registers the worker. The caller sets the pragmas. */
  static open(db: SqliteDatabase, options: StoreOptions): Store {
    migrate(db)
    return new Store(db, options)
  }

  /** Executes all requests in one IMMEDIATE transaction and replies to each. A request that is refused fails alone. */
  exchange(requests: readonly Request[]): readonly Answered[] {
    let times: Times | undefined
    for (const request of requests) if ('now' in request) times = request
    return this.#transaction(times, () => requests.map(request => this.#answer(request)))
  }
  #answer(request: Request): Answered {
    try {
      return { ok: this.#do(request) }
    } catch (error) {
      // Every reason for a refusal is checked before the request writes anything.
      if (error instanceof DispatchError) return { error: toWire(error) }
      throw error
    }
  }
  #do(request: Request): unknown {
    switch (request.kind) {
      case 'attach':
        return this.#attach(request)
      case 'put':
        return this.#puts.put(this.#queue(request.queue), request)
      case 'turn':
        return this.#turns.turn(this.#queue(request.queue), request)
      case 'control':
        return this.#controls.control(this.#queue(request.queue), request)
      case 'detach':
        return this.#detach(request)
      case 'find':
      case 'list':
      case 'explain':
        return this.#answerQuery(request)
      default:
        return request satisfies never
    }
  }
  /** Only reads, so it may run outside of the write transaction. */
  query(request: QueryRequest): unknown {
    this.#db.exec('begin')
    try {
      return this.#answerQuery(request)
    } finally {
      this.#queues.forget()
      if (this.#db.inTransaction) this.#db.exec('commit')
    }
  }
  #answerQuery(request: QueryRequest): unknown {
    const queue = this.#queue(request.queue)
    switch (request.kind) {
      case 'find':
        return this.#jobRows.row(queue, request.target)
      case 'list':
        return this.#queries.list(queue, request)
      case 'explain':
        return this.#queries.explain(queue, request)
      default:
        return request satisfies never
    }
  }

  /** Takes over what a dead worker held. Returns the queues that changed. May be called again if it throws. */
  recover(token: string, now: number, wall: number): readonly number[] {
    while (this.#takeOver(token, true, now, wall));
    return this.#recovery.takeChanged()
  }
  #takeOver(token: string, mayAsk: boolean, now: number, wall: number): boolean {
    return this.#transaction({ now, wall }, () => this.#recovery.takeOver(token, mayAsk, this.#fileClock.toFile(now)))
  }
  /** The tokens of the other registered workers. */
  workers(): readonly string[] {
    return this.#workers.others(this.#worker)
  }
  /** Whether the other queues of this process should take a turn now, because a suspect no longer holds them up. */
  wakes(): boolean {
    return this.#suspects.line.wakes()
  }
  /** Gives up everything that this worker holds. Its jobs go back like those of a dead process. */
  surrender(now: number, wall: number): void {
    // Verdicts are left to the first queue that takes a turn, which may be one of this process once its loop answers
    // again.
    while (this.#takeOver(this.#token, false, now, wall));
    this.#recovery.takeChanged()
    this.#suspects.forget()
  }
  /** Unregisters the worker if it holds nothing. Returns whether it did. */
  close(): boolean {
    return this.#transaction(undefined, () => {
      if (this.#workers.holds(this.#worker)) return false
      this.#recovery.strikeOff(this.#worker)
      return true
    })
  }

  #attach(request: AttachRequest): AttachReply {
    const { works, looks, rate, keep, size, afterCrash, crashLimit, now } = request
    const found = this.#queues.find(request.name)
    if (!found && looks) return notThere
    const queue = found ?? this.#queues.make(request.name, keep)
    if (works) {
      Object.assign(queue, { keep, size: size === Infinity ? null : size, afterCrash, crashLimit })
      this.#recovery.begin(queue)
    }
    const declared = newDeclaration(rate, queue.declared)
    if (rate !== undefined && declared !== undefined) {
      this.#rateLog.changing(queue).change(rate, this.#fileClock.toFile(now))
      Object.assign(queue, { rules: rate, declared })
    }
    if (!looks) this.#queues.saveSettings(queue)
    return { queue: queue.queueId, rules: queue.rules, counts: queue.count(), sharedPaused: queue.sharedPaused }
  }
  #detach({ queue, works, keepLeases, acknowledged }: DetachRequest): undefined {
    if (!works) return
    const name = this.#queue(queue)
    this.#suspects.stops(queue, keepLeases)
    this.#recovery.end(name, acknowledged ?? 0, keepLeases, this.#fileClock.toFile(this.#times.now))
  }
  #queue(queue: number): QueueRow {
    const name = this.#queues.get(queue)
    if (!name) throw new Error(`no queue has the number ${queue} in this file: was it attached?`)
    return name
  }

  /** One write transaction: it applies completely, or leaves both the file and our cached state unchanged. */
  #transaction<T>(times: Times | undefined, run: () => T): T {
    this.#begin.run()
    try {
      // If this worker was taken for dead by mistake, it must not hold jobs that nobody would take over at its real
      // death.
      if (this.#worker !== undefined) this.#workers.stay(this.#worker, this.#token)
      if (times) this.#fileClock.align(times.now, times.wall)
      const answer = run()
      if (times) this.#times = times
      this.#rateLog.save()
      this.#queues.save(this.#times.now, this.#times.wall)
      this.#commit.run()
      this.#undo.length = 0
      return answer
    } catch (error) {
      // A full disk has rolled it back already.
      if (this.#db.inTransaction) this.#db.exec('rollback')
      for (const undo of this.#undo.splice(0).reverse()) undo()
      this.#suspects.forget()
      this.#queues.forget()
      this.#rateLog.forget()
      this.#turns.retention.forget()
      this.#fileClock.forget()
      throw error
    }
  }
}
