/**
 * The file as a queue sees it: requests in, replies out, one transaction for all requests that have gathered.
 *
 * The store has no thread, no timer and no clock: its owner passes the instants with each request.
 */
import { executeCommand } from '../../durable/execute/command.ts'
import { type ExchangeStore, executeExchange } from '../../durable/execute/exchange.ts'
import { explain, reportKeys } from '../../durable/execute/queries.ts'
import { detach } from '../../durable/execute/recovery.ts'
import {
  type AttachStore,
  attach,
  execute,
  executeEach,
  put,
  type RequestStore,
} from '../../durable/execute/requests.ts'
import type {
  ExchangeReply,
  ExchangeRequest,
  QueryRequest,
  Request,
  RequestResult,
  Store as StoreContract,
} from '../../durable/store.ts'
import { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { CancelRequests } from '../tables/cancel-requests.ts'
import { CrashReports } from '../tables/crash-reports.ts'
import { ExchangeReplies } from '../tables/exchange-replies.ts'
import { GeneratedIds } from '../tables/generated-ids.ts'
import { JobRows } from '../tables/job.ts'
import { KeyTable } from '../tables/key.ts'
import { JobLocations } from '../tables/location.ts'
import { PutReplies } from '../tables/put-replies.ts'
import { type Instants, type QueueRow, QueueTable } from '../tables/queue.ts'
import { RateStarts } from '../tables/rate-starts.ts'
import { ReadyRanges } from '../tables/ready-range.ts'
import { RuleTable } from '../tables/rule.ts'
import { migrate } from '../tables/schema.ts'
import { Workers } from '../tables/worker.ts'
import { Claims } from './claim.ts'
import { Commands } from './commands.ts'
import { KeyTurns } from './key-turns.ts'
import { Limits } from './limits.ts'
import { Puts } from './put.ts'
import { JobQueries } from './query.ts'
import { Recovery } from './recovery.ts'
import { Retention } from './retention.ts'
import { Settles } from './settle.ts'
import { Slots } from './slots.ts'
import { Suspects } from './suspects.ts'
import { Upkeep } from './upkeep.ts'

export interface StoreOptions {
  readonly worker: string
  readonly boot: string
  /** Identifies the file, so that a copy of it is recognised. */
  readonly file?: string
}

interface Tables {
  readonly db: SqliteDatabase
  readonly worker: number
  readonly fileClock: FileClock
  readonly queues: QueueTable
  readonly rateStarts: RateStarts
  readonly readyRanges: ReadyRanges
  readonly keys: KeyTable
  readonly keyTurns: KeyTurns
  readonly rules: RuleTable
  readonly limits: Limits
  readonly slots: Slots
  readonly locations: JobLocations
  readonly generatedIds: GeneratedIds
  readonly jobRows: JobRows
  readonly workers: Workers
  readonly suspects: Suspects
  readonly cancels: CancelRequests
  readonly reports: CrashReports
  /** `undo` is called if the transaction is rolled back. */
  readonly onRollback: (undo: () => void) => void
  /** Whether a queue object of this process has a handler for that name. */
  readonly isWorked: (queue: number) => boolean
}

export class Store implements StoreContract {
  readonly #db: SqliteDatabase
  readonly #token: string
  readonly #worker: number
  readonly #fileClock: FileClock
  readonly #queues: QueueTable
  readonly #rateStarts: RateStarts
  readonly #keys: KeyTable
  #rules: RuleTable | undefined
  readonly #workers: Workers
  readonly #suspects: Suspects
  readonly #putReplies: PutReplies
  readonly #retention: Retention
  readonly #recovery: Recovery
  readonly #requests: RequestStore<QueueRow>
  readonly #undo: (() => void)[] = []
  readonly #begin: SqliteStatement
  readonly #commit: SqliteStatement

  /** Workers of the original of which this file is a copy. They never had this file open. */
  readonly workersOfOriginal: readonly string[]

  private constructor(db: SqliteDatabase, { worker: token, boot, file }: StoreOptions) {
    this.#db = db
    this.#token = token
    this.#begin = db.prepare('begin immediate')
    this.#commit = db.prepare('commit')
    this.#fileClock = new FileClock(db, boot)
    this.#queues = new QueueTable(db, this.#fileClock)
    this.#rateStarts = new RateStarts(db)
    this.#keys = new KeyTable(db, this.#rateStarts)
    this.#workers = new Workers(db)
    const registered = this.#transaction(undefined, () => this.#workers.register(token, file))
    this.#worker = registered.worker
    this.workersOfOriginal = registered.workersOfOriginal
    const rules = new RuleTable(db, registered.worker, this.#rateStarts)
    this.#rules = rules
    const tables = this.#openTables(db, rules)
    this.#suspects = tables.suspects
    this.#recovery = new Recovery(tables)
    this.#putReplies = new PutReplies(db, token)
    this.#retention = new Retention(db, tables.locations)
    const upkeep = new Upkeep(tables)
    const commands = new Commands({ ...tables, upkeep })
    const exchanges = exchangesOf({ ...tables, upkeep, retention: this.#retention, recovery: this.#recovery })
    this.#requests = this.#requestsOf({ ...tables, commands, exchanges })
  }
  #openTables(db: SqliteDatabase, rules: RuleTable): Tables {
    const [worker, fileClock, queues, rateStarts] = [this.#worker, this.#fileClock, this.#queues, this.#rateStarts]
    const keys = this.#keys
    const readyRanges = new ReadyRanges(db)
    const keyTurns = new KeyTurns(db, keys, readyRanges)
    const locations = new JobLocations(db, readyRanges)
    const generatedIds = new GeneratedIds(db)
    const onRollback = (undo: () => void): void => void this.#undo.push(undo)
    return {
      ...{ db, worker, fileClock, queues, rateStarts, readyRanges, locations, generatedIds, onRollback },
      ...{ keys, keyTurns, rules, limits: new Limits({ queues, rateStarts, keys, keyTurns, rules }) },
      slots: new Slots(db, worker),
      jobRows: new JobRows(db, locations, fileClock, generatedIds),
      workers: this.#workers,
      suspects: new Suspects(db, worker),
      cancels: new CancelRequests(db, worker),
      reports: new CrashReports(db, worker, onRollback),
      isWorked: (queue: number): boolean => this.#recovery.isWorked(queue),
    }
  }
  /**
   * A twin of `requestsOn` (durable/simple-store/index.ts): change both together. It converts to the clock of the file, and has
   * a class for each procedure.
   */
  #requestsOf(parts: Tables & { commands: Commands; exchanges: ExchangeStore<QueueRow> }): RequestStore<QueueRow> {
    // The procedures get instants by the clock of the file. Only `put` gets the request as it is: Puts converts it.
    const { queues, jobRows, fileClock, limits, commands, exchanges } = parts
    const [puts, queries, recovery] = [new Puts(parts), new JobQueries(parts), this.#recovery]
    const names: AttachStore<QueueRow> = {
      limits,
      named: name => queues.find(name),
      create: ({ name, keep }) => queues.make(name, keep),
      registerWorker: queue => recovery.attach(queue),
      counts: queue => queue.count(),
    }
    const inFileTime = <R extends { readonly now: number }>(request: R): R => ({
      ...request,
      now: fileClock.toFile(request.now),
    })
    return {
      queue: number => queues.get(number),
      attach: request => attach(names, inFileTime(request)),
      put: (queue, request) => {
        const reply = put(puts, queue, request)
        this.#putReplies.keep(request, reply, fileClock.toFile(request.now))
        return reply
      },
      exchange: (queue, request) => {
        const confirmed = confirmedInFileTime(request, fileClock)
        return inHostTime(executeExchange(exchanges, queue, { ...inFileTime(request), ...confirmed }), fileClock)
      },
      command: (queue, request) => executeCommand(commands, queue, inFileTime(request)),
      detach: (queue, request) => detach(recovery, queue, inFileTime(request)),
      find: (queue, { target }) => jobRows.row(queue, target),
      list: (queue, request) => queries.list(queue, request),
      explain: (queue, request) => {
        const reply = explain(queries, queue, inFileTime(request))
        return reply && { ...reply, notBefore: fileClock.fromFile(reply.notBefore) }
      },
      keys: (queue, { query, now }) => {
        const reports = reportKeys(queries, queue, query, fileClock.toFile(now))
        return {
          keys: reports.map(one => ({
            ...one,
            until: one.until === undefined ? undefined : fileClock.fromFile(one.until),
          })),
        }
      },
      replay: ({ number }) => this.#putReplies.of(number),
    }
  }
  /** Migrates the schema and registers the worker. The caller sets the pragmas. */
  static open(db: SqliteDatabase, options: StoreOptions): Store {
    migrate(db)
    return new Store(db, options)
  }

  /** Executes all requests in one IMMEDIATE transaction and replies to each. A request that is refused fails alone. */
  transact(requests: readonly Request[]): readonly RequestResult[] {
    let times: Instants | undefined
    for (const request of requests) if ('now' in request) times = request
    return this.#transaction(times, () => executeEach(this.#requests, requests))
  }
  /** Only reads, so it may run outside of the write transaction. */
  query(request: QueryRequest): unknown {
    this.#db.exec('begin')
    try {
      return execute(this.#requests, request)
    } finally {
      this.#queues.forget()
      this.#keys.clear()
      this.#rules?.clear()
      if (this.#db.inTransaction) this.#db.exec('commit')
    }
  }

  /** Takes over what a dead worker held. Returns the queues that changed. May be called again if it throws. */
  recover(token: string, now: number, wall: number): readonly number[] {
    while (this.#takeOver(token, true, now, wall));
    return this.#recovery.takeChanged()
  }
  #takeOver(token: string, mayRequestVerdicts: boolean, now: number, wall: number): boolean {
    return this.#transaction({ now, wall }, () => {
      const at = this.#fileClock.toFile(now)
      this.#putReplies.prune(at)
      return this.#recovery.takeOver(token, mayRequestVerdicts, at)
    })
  }
  /** The tokens of the other registered workers. */
  workers(): readonly string[] {
    return this.#workers.others(this.#worker)
  }
  /** Whether a suspect may run now, so that the queues of this process should make an exchange. Asks once. */
  takeSuspectWake(): boolean {
    return this.#suspects.line.takeSuspectWake()
  }
  /** The queues of this process that should make an exchange now, because it is their turn in a rule that they share. */
  takeQueuesToWake(): ReadonlySet<number> | 'all' {
    return this.#rules?.takeQueuesToWake() ?? new Set()
  }
  /** Gives up everything that this worker holds. Its jobs go back like those of a dead process. */
  surrender(now: number, wall: number): void {
    // Verdicts are left to the first queue that makes an exchange, which may be one of this process once its loop answers
    // again.
    while (this.#takeOver(this.#token, false, now, wall));
    this.#recovery.takeChanged()
    this.#suspects.forget()
  }
  /** Unregisters the worker if it holds nothing. Returns whether it did. */
  close(): boolean {
    return this.#transaction(undefined, () => {
      if (this.#workers.holds(this.#worker)) return false
      this.#recovery.unregister(this.#worker)
      this.#putReplies.clear()
      return true
    })
  }

  /** One write transaction: it applies completely, or leaves both the file and our cached state unchanged. */
  #transaction<T>(times: Instants | undefined, run: () => T): T {
    this.#begin.run()
    try {
      // If this worker was taken for dead by mistake, it must not hold jobs that nobody would take over at its real
      // death.
      if (this.#worker !== undefined) this.#workers.stay(this.#worker, this.#token)
      if (times) this.#fileClock.align(times.now, times.wall)
      const answer = run()
      this.#rateStarts.save()
      this.#keys.save()
      this.#keys.clear()
      this.#rules?.save()
      this.#rules?.clear()
      this.#queues.save(times)
      this.#commit.run()
      this.#undo.length = 0
      return answer
    } catch (error) {
      // A full disk has rolled it back already.
      if (this.#db.inTransaction) this.#db.exec('rollback')
      for (const undo of this.#undo.splice(0).reverse()) undo()
      this.#suspects.forget()
      this.#queues.forget()
      this.#rateStarts.forget()
      this.#keys.clear()
      this.#rules?.clear()
      this.#retention.forget()
      this.#fileClock.forget()
      throw error
    }
  }
}

/**
 * The operations of an exchange, each by the table or the class that knows how: every call from
 * durable/execute/exchange.ts to a statement passes here. One object of lambdas keeps each class free of the operations
 * of the others.
 */
function exchangesOf(
  parts: Tables & { upkeep: Upkeep; retention: Retention; recovery: Recovery },
): ExchangeStore<QueueRow> {
  const { db, worker, limits, slots, jobRows, reports, cancels } = parts
  const { upkeep, retention, recovery } = parts
  const [settles, claims, exchangeReplies] = [new Settles(parts), new Claims(parts), new ExchangeReplies(db, worker)]
  return {
    limits,
    lastExchange: queue => exchangeReplies.last(queue),
    claimedIn: (queue, exchange) => claims.claimedIn(queue, exchange),
    verdictsRequestedIn: (queue, exchange) => recovery.verdictsRequestedIn(queue, exchange),
    crashReportsIn: (queue, exchange) => reports.at(queue, exchange),
    loggedIn: (queue, exchange) => exchangeReplies.of(queue, exchange),

    markLaunchReported: (queue, first, last, fence) => settles.markLaunchReported(queue, first, last, fence),
    saveCheckpoint: (queue, seq, fence, value) => settles.saveCheckpoint(queue, seq, fence, value),
    settle: (queue, settled, now, notices) => settles.settle(queue, settled, now, notices),
    endedBodies: seqs => settles.endedBodies(seqs),
    acknowledge: (queue, exchange) => {
      exchangeReplies.acknowledge(queue, exchange)
      reports.acknowledge(queue, exchange)
    },

    recoverUnowned: (queue, now) => recovery.recoverUnowned(queue, now),
    prune: (queue, ended, now) => {
      retention.prune(queue, ended, now)
      upkeep.pruneGeneratedIds(queue, ended, now)
    },
    makeReady: (queue, now, wall) => {
      const isBehind = upkeep.makeReady(queue, now, wall)
      upkeep.sweep(queue)
      return isBehind
    },
    nextLook: (queue, now, wall) => upkeep.nextLook(queue, now, wall),

    takeCrashReports: (queue, exchange) => reports.take(queue, exchange),
    cancelsToReport: queue => cancels.report(queue),
    requestVerdicts: (queue, exchange) => recovery.requestVerdicts(queue, exchange),

    worker,
    bodies: queue => slots.bodies(queue),
    slotWaits: queue => slots.slotWaits(queue),
    saveSlotWait: (queue, wait) => slots.saveSlotWait(queue, wait),
    dropSlotWait: (queue, waiting) => slots.dropSlotWait(queue, waiting),
    claim: (queue, request, room, endedUnrun) => claims.claim(queue, request, room, endedUnrun),
    logReply: (queue, { number, acknowledged }, reply) => exchangeReplies.keep(queue, number, acknowledged, reply),
    executed: (queue, exchange) => exchangeReplies.executed(queue, exchange),
    row: (queue, seq) => jobRows.row(queue, seq),
    counts: queue => queue.count(),
  }
}

function confirmedInFileTime(
  { confirmed, furtherConfirmed }: ExchangeRequest,
  fileClock: FileClock,
): Pick<ExchangeRequest, 'confirmed' | 'furtherConfirmed'> {
  return {
    confirmed: confirmed.map((value, i) => (i % 2 === 0 ? value : fileClock.toFile(value))),
    ...(furtherConfirmed && { furtherConfirmed: furtherConfirmed.map(([start, at]) => [start, fileClock.toFile(at)]) }),
  }
}
function inHostTime(reply: ExchangeReply, fileClock: FileClock): ExchangeReply {
  const { graceUntil, nextLookAt } = reply
  return { ...reply, graceUntil: fileClock.fromFile(graceUntil), nextLookAt: fileClock.fromFile(nextLookAt) }
}
