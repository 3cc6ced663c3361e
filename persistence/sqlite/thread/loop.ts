/**
 * The loop of the thread: gathers requests into one transaction, replies after the commit, watches other processes for
 * changes and deaths, and retries what the disk or a lock refused.
 *
 * The store has the SQL, other modules have the rules of a queue, and run-thread.ts listens to the port.
 */
import { type Clock, systemClock, type Timer } from '../../../lib/clock.ts'
import { refusedForGood, toWire } from '../../durable/errors.ts'
import { BusyWait, busyRetryMs } from '../../durable/execute/busy-wait.ts'
import { batchLength, isPatient, isQuery } from '../../durable/execute/request-batch.ts'
import type {
  ExchangeReply,
  NumberedReply,
  NumberedRequest,
  QueryRequest,
  Request,
  RequestResult,
} from '../../durable/store.ts'
import { BacklogBusyError, BacklogFullError, faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from '../file/database.ts'
import { FileGuard } from '../file/file-guard.ts'
import type { FileToOpen } from '../file/file-to-open.ts'
import type { LifeLock, Watch } from '../file/lock.ts'
import type { Store } from '../store/store.ts'
import type { FromThread } from './messages.ts'
import { Failure, refusal, replyToAll, withRetryAt } from './requests.ts'

/**
 * How often other processes are watched for commits: while there is activity, and after a quiet while. Waking a thread
 * costs far more than a check.
 */
const busyWatchMs = 25
const quietWatchMs = 80
/** Without activity for this long, the file counts as quiet. */
const quietAfterMs = 2_000
/**
 * The interval for a process that is alone with the file and is notified of writes: it sleeps, and still checks in case
 * a notification was missed.
 */
const sleepMs = 900
/** How often the locks of other workers are tested to detect their deaths. */
const probeMs = 150
/** The delay before a request that the disk refused is retried. */
const retryMs = 250
/** After this long without requests the log is checkpointed. */
const checkpointAfterMs = 200
/** The same trouble is reported again only after this time. */
const reportIntervalMs = 60_000
/** A longer step of time is no silence of the event loop: the whole process was suspended. */
const maxStepMs = 1_000

export interface ThreadLoopParts {
  readonly opening: FileToOpen
  readonly db: SqliteDatabase
  readonly store: Store
  readonly lock: LifeLock
  readonly watch: Watch
  post(message: FromThread): void
  /**
   * Calls `written` whenever somebody has written to the log, until it is closed. Absent, or undefined, if the system
   * does not report writes.
   */
  watchLog?(written: () => void): { close(): void } | undefined
  /** Everything is released. */
  closed(): void
  readonly clock?: Clock
}

export class ThreadLoop {
  readonly #parts: ThreadLoopParts
  readonly #clock: Clock
  readonly #version: { get(): unknown }
  readonly #fileGuard: FileGuard
  readonly #reportedAt = new Map<string, number>()
  #requests: NumberedRequest[] = []
  /** Exchanges that the disk refused, with those of the same queues that followed them. */
  #refusedExchanges: NumberedRequest[] = []
  #backoff: Timer | undefined
  #retryTimer: Timer | undefined
  #tick: Timer
  readonly #busy = new BusyWait()
  #broken: RequestResult | undefined
  #isShuttingDown = false
  #gone = false
  /** The data version of the file, as last seen; undefined until the first request, which looks for crashes. */
  #seenVersion: unknown
  /** A recovery whose queues have not been notified. */
  #unreportedRecovery = false
  #workers: readonly string[] = []
  #workedAt: number
  #everyMs = busyWatchMs
  #asleep: { close(): void } | undefined
  #probedAt = 0
  #tickedAt: number
  #pingedAt = 0
  #pinged = false
  #silentMs = 0
  #surrendered = false
  #wrote = false
  /** The instants of the last request, by the queue's own clock, which need not be that of this machine. */
  #now = 0
  #wall = 0

  constructor(parts: ThreadLoopParts) {
    this.#parts = parts
    this.#clock = parts.clock ?? systemClock
    this.#fileGuard = new FileGuard({
      opening: parts.opening,
      lock: parts.lock,
      wall: () => this.#clock.wall(),
      trouble: error => this.#reportTrouble(error),
    })
    this.#version = parts.db.prepare('pragma data_version').pluck()
    this.#tickedAt = this.#pingedAt = this.#workedAt = this.#clock.now()
    // The remains of a crash are looked for when the first queue has opened, because its policy decides about them and
    // it gets the reports.
    this.#workers = parts.store.workers()
    this.#tick = this.#clock.at(this.#tickedAt + this.#everyMs, this.#onTick)
  }
  request(requests: readonly NumberedRequest[]): void {
    for (const numbered of requests) this.#requests.push(numbered)
    this.seenAlive()
  }
  /** A sign of life of the loop of the queues. `stalled` is reported with the first one after the surrender. */
  seenAlive(): void {
    this.#pinged = false
    this.#silentMs = 0
    if (this.#surrendered) this.#parts.post({ kind: 'stalled' })
    this.#surrendered = false
  }
  close(): void {
    this.#isShuttingDown = true
    this.work()
  }
  /** Checks at once whether the file still has its name, because somebody found another file at the path. */
  checkFile(): void {
    const error = this.#fileGuard.checkNow(this.#clock.now())
    if (error) this.#giveUp(error)
    else this.#parts.post({ kind: 'fileChecked' })
  }
  /** Handles all requests, as far as locks and the disk allow. `takeArrived` takes in those that came meanwhile. */
  work(takeArrived: () => void = () => {}): void {
    while (this.#requests.length > 0 && !this.#backoff && this.#guardFile()) {
      const requests = this.#takeBatch().filter(numbered => !this.#waitsBehindRefused(numbered))
      const replies: NumberedReply[] = []
      const writes = requests.filter(([, { kind }]) => !isQuery(kind))
      if (writes.length > 0) this.#write(writes, replies)
      for (const [id, request] of requests)
        if (isQuery(request.kind)) replies.push([id, this.#read(request as QueryRequest)])
      if (replies.length > 0) this.#parts.post({ kind: 'replies', replies })
      this.#wakeQueues()
      this.#happened()
      if (this.#seenVersion === undefined) this.#watchProcessesNow()
      takeArrived()
    }
    if (this.#isShuttingDown && !this.#gone && this.#requests.length + this.#refusedExchanges.length === 0)
      this.#close()
  }

  /** Wakes the queues of this process that the last transaction lets start a job earlier. */
  #wakeQueues(): void {
    const { store, post } = this.#parts
    const woken = store.takeQueuesToWake()
    if (store.takeSuspectWake() || woken === 'all') post({ kind: 'changed' })
    else if (woken.size > 0) post({ kind: 'changed', queues: [...woken] })
  }
  #guardFile(): boolean {
    const error = this.#gone ? undefined : this.#fileGuard.checkIfDue(this.#clock.now())
    if (error) this.#giveUp(error)
    return !this.#gone
  }
  /** The file is gone: nothing is stored any more, and all requests are refused. Reported once everything is closed. */
  #giveUp(error: unknown): void {
    if (this.#gone) return
    this.#gone = true
    this.#requests = []
    this.#refusedExchanges = []
    this.#closeAll(false)
    this.#parts.post({ kind: 'refused', error: toWire(error) })
    this.#parts.closed()
  }

  /** Activity makes more of it likely, so the file is checked often for a while. */
  #happened(): void {
    this.#workedAt = this.#clock.now()
    if (this.#everyMs === busyWatchMs) return
    this.#everyMs = busyWatchMs
    this.#asleep?.close()
    this.#asleep = undefined
    this.#tick.cancel()
    this.#tick = this.#clock.at(this.#workedAt + this.#everyMs, this.#onTick)
  }
  /**
   * Whether the request must wait behind an exchange of its queue that the disk refused. An exchange would never be
   * executed once a later one was.
   */
  #waitsBehindRefused(numbered: NumberedRequest): boolean {
    const [, request] = numbered
    if (request.kind !== 'exchange' || this.#refusedExchanges.length === 0) return false
    if (!this.#refusedExchanges.some(([, before]) => 'queue' in before && before.queue === request.queue)) return false
    this.#refusedExchanges.push(numbered)
    return true
  }
  /** The next requests for one transaction, in order. */
  #takeBatch(): NumberedRequest[] {
    const count = batchLength(this.#requests)
    const requests = count === this.#requests.length ? this.#requests : this.#requests.slice(0, count)
    this.#requests = count === this.#requests.length ? [] : this.#requests.slice(count)
    return requests
  }
  #write(requests: readonly NumberedRequest[], replies: NumberedReply[]): void {
    if (this.#broken) return replyToAll(requests, this.#broken, replies)
    const last = requests[requests.length - 1]?.[1] as { now?: number; wall?: number }
    if (last.now !== undefined && last.wall !== undefined) [this.#now, this.#wall] = [last.now, last.wall]
    try {
      const results = this.#parts.store.transact(requests.map(([, request]) => request))
      for (let i = 0; i < requests.length; i++)
        replies.push([(requests[i] as NumberedRequest)[0], results[i] as RequestResult])
      this.#wrote = true
      this.#busy.over()
    } catch (error) {
      this.#refuse(requests, error, replies)
    }
  }
  #refuse(requests: readonly NumberedRequest[], error: unknown, replies: NumberedReply[]): void {
    switch (faultOf(error)) {
      case 'busy':
        return this.#waitForLock(requests, replies)
      case 'broken':
        this.#broken = { error: toWire(fileError(this.#parts.opening.path, error)) }
        this.#reportTrouble(fileError(this.#parts.opening.path, error))
        return replyToAll(requests, this.#broken, replies)
      case 'diskFull':
      case 'disk':
        // Exchanges come first, because their settles may free space.
        return this.#oneByOne(
          [...requests.filter(isPatient), ...requests.filter(numbered => !isPatient(numbered))],
          replies,
        )
      case 'other':
        if (requests.length > 1) this.#oneByOne(requests, replies)
        else for (const [id, request] of requests) replies.push([id, { error: toWire(refusedForGood(request, error)) }])
    }
  }
  /**
   * Executes each request in a transaction of its own. If one finds the lock held, those behind it wait too, so that no
   * exchange overtakes another.
   */
  #oneByOne(requests: readonly NumberedRequest[], replies: NumberedReply[]): void {
    const firstLocked = requests.findIndex(numbered => !this.#writeAlone(numbered, replies))
    if (firstLocked >= 0) this.#waitForLock(requests.slice(firstLocked), replies)
  }
  #waitForLock(requests: readonly NumberedRequest[], replies: NumberedReply[]): void {
    const now = this.#clock.now()
    const { waiting, refused, busyMs, isTooLong } = this.#busy.split(requests, now)
    if (isTooLong) {
      const error = new BacklogBusyError(this.#parts.opening.path, busyMs)
      this.#reportTrouble(error)
      replyToAll(refused, { error: toWire(error) }, replies)
    }
    this.#requests = [...waiting, ...this.#requests]
    this.#backoff = this.#clock.at(now + busyRetryMs(this.#clock.random()), () => {
      this.#backoff = undefined
      this.work()
    })
  }
  /**
   * Executes one request, after a batch failed for lack of space or a fault of the disk. Returns false if the lock is
   * held.
   */
  #writeAlone(numbered: NumberedRequest, replies: NumberedReply[]): boolean {
    if (this.#waitsBehindRefused(numbered)) return true
    const [id, request] = numbered
    const { path } = this.#parts.opening
    const answer = this.#try(request)
    if (!(answer instanceof Failure)) {
      replies.push([id, answer])
      return true
    }
    const fault = faultOf(answer.cause)
    if (fault === 'busy') return false
    if (fault !== 'diskFull' && fault !== 'disk') {
      this.#refuse([numbered], answer.cause, replies)
      return true
    }
    const error = fault === 'diskFull' ? new BacklogFullError(path) : fileError(path, answer.cause)
    this.#reportTrouble(error)
    if (request.kind !== 'exchange') {
      replies.push([id, refusal(request, fault, error, path)])
      return true
    }
    // Settles go before claims: the exchange is tried again without a claim, and postponed if even that cannot be stored.
    const settled = request.room > 0 ? this.#try({ ...request, room: 0 }) : answer
    if (settled instanceof Failure) this.#later(numbered)
    else
      replies.push([
        id,
        'ok' in settled ? { ok: withRetryAt(settled.ok as ExchangeReply, request.now + 2 * retryMs) } : settled,
      ])
    return true
  }
  #try(request: Request): RequestResult | Failure {
    try {
      return this.#parts.store.transact([request])[0] as RequestResult
    } catch (error) {
      return new Failure(error)
    }
  }
  #later(numbered: NumberedRequest): void {
    this.#refusedExchanges.push(numbered)
    this.#retryTimer ??= this.#clock.at(this.#clock.now() + retryMs, () => {
      this.#retryTimer = undefined
      this.#requests = [...this.#refusedExchanges.splice(0), ...this.#requests]
      this.work()
    })
  }
  #read(request: QueryRequest): RequestResult {
    try {
      return this.#broken ?? { ok: this.#parts.store.query(request) }
    } catch (error) {
      return { error: toWire(fileError(this.#parts.opening.path, error)) }
    }
  }
  #reportTrouble(error: unknown): void {
    const wire = toWire(error)
    const now = this.#clock.now()
    if (now - (this.#reportedAt.get(wire.code) ?? -Infinity) < reportIntervalMs) return
    this.#reportedAt.set(wire.code, now)
    this.#parts.post({ kind: 'trouble', error: wire })
  }

  readonly #onTick = (): void => {
    const now = this.#clock.now()
    this.#everyMs = this.#nextTickMs(now)
    this.#tick = this.#clock.at(now + this.#everyMs, this.#onTick)
    const passedMs = Math.min(now - this.#tickedAt, maxStepMs)
    this.#tickedAt = now
    if (!this.#guardFile()) return
    try {
      // Also right after falling asleep, because earlier writes were not reported.
      this.#watchProcesses()
      this.#checkLiveness(now, passedMs)
      if (this.#wrote && now - this.#workedAt > checkpointAfterMs) {
        this.#wrote = false
        this.#parts.db.pragma('wal_checkpoint(passive)')
      }
    } catch (error) {
      // A lock that is held at the moment is no trouble: the next tick tries again.
      if (faultOf(error) !== 'busy') this.#reportTrouble(fileError(this.#parts.opening.path, error))
    }
  }
  /**
   * How long the loop may sleep. It sleeps only if there are no other workers to watch, and wakes in time to detect a
   * silent event loop.
   */
  #nextTickMs(now: number): number {
    if (now - this.#workedAt < quietAfterMs) return busyWatchMs
    const { opening, watchLog } = this.#parts
    if (this.#workers.length > 0 || this.#wrote || !watchLog) return quietWatchMs
    this.#asleep ??= watchLog(() => this.#watchProcessesNow())
    if (!this.#asleep) return quietWatchMs
    return Math.min(sleepMs, opening.stallMs / 4)
  }
  #watchProcessesNow(): void {
    try {
      this.#watchProcesses()
    } catch (error) {
      // The next tick checks again.
      if (faultOf(error) !== 'busy') this.#reportTrouble(fileError(this.#parts.opening.path, error))
    }
  }
  /** Checks for commits and deaths of other processes. */
  #watchProcesses(): void {
    const { store, watch, post } = this.#parts
    const version = this.#version.get()
    const changed = version !== this.#seenVersion
    const now = this.#clock.now()
    if (!changed && (this.#workers.length === 0 || now - this.#probedAt < probeMs)) return
    if (changed) this.#workers = store.workers()
    this.#probedAt = now
    try {
      for (const worker of watch.takeDead(this.#workers, now)) {
        store.recover(worker, ...this.#instants())
        this.#unreportedRecovery = true
        this.#workers = store.workers()
        // Recovery goes in steps: as long as the worker is registered, something is left.
        if (!this.#workers.includes(worker)) watch.forget(worker)
      }
    } finally {
      // Notify even if something failed on the way, because nothing else would wake the queues of the recovered jobs.
      if (this.#unreportedRecovery || (changed && this.#seenVersion !== undefined)) {
        this.#unreportedRecovery = false
        this.#happened()
        post({ kind: 'changed' })
      }
    }
    this.#seenVersion = version
  }
  /**
   * Checks whether the event loop of the queue answers. Its silence counts only in steps in which this thread was
   * awake.
   */
  #checkLiveness(now: number, passedMs: number): void {
    const { opening, store, post } = this.#parts
    if (this.#pinged) this.#silentMs += passedMs
    else if (now - this.#pingedAt >= Math.min(opening.stallMs / 4, 30_000)) {
      this.#pingedAt = now
      this.#pinged = true
      post({ kind: 'ping' })
    }
    if (this.#silentMs < opening.stallMs || this.#surrendered) return
    store.surrender(...this.#instants())
    this.#surrendered = true
  }
  /**
   * The present instants: those of the host if the queue's clock is the host's, otherwise those of the last request.
   */
  #instants(): [now: number, wall: number] {
    const { origin } = this.#clock
    if (origin === undefined || origin.boot !== this.#parts.opening.boot) return [this.#now, this.#wall]
    return [this.#clock.now() + origin.offsetMs, this.#clock.wall()]
  }
  #close(): void {
    let isUnregistered = false
    try {
      isUnregistered = this.#parts.store.close()
    } catch (error) {
      if (faultOf(error) === 'busy') {
        this.#backoff = this.#clock.at(this.#clock.now() + 2, () => {
          this.#backoff = undefined
          this.#close()
        })
        return
      }
      // The lock ends with this thread, and whoever opens the file next unregisters this worker.
    }
    this.#closeAll(!isUnregistered)
    this.#parts.closed()
  }
  /** @param isRegistered The worker is still registered in the file, so its lock file stays, like that of a dead one. */
  #closeAll(isRegistered: boolean): void {
    const { db, lock, watch } = this.#parts
    this.#tick.cancel()
    this.#asleep?.close()
    this.#retryTimer?.cancel()
    this.#backoff?.cancel()
    watch.close()
    db.close()
    lock.release(isRegistered)
  }
}
