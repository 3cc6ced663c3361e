/**
 * What the thread does: it gathers what was asked into one transaction, answers after the commit, watches for changes and
 * deaths of other processes, and tries again what the disk or a lock refused.
 *
 * The SQL is the store's, the rules of a queue are elsewhere, and the port belongs to entry.ts.
 */
import { type Clock, systemClock, type Timer } from '../../../lib/clock.ts'
import { refusedForGood, toWire } from '../../durable/errors.ts'
import type { Answered, NumberedReply, NumberedRequest, QueryRequest, Request, TurnDone } from '../../durable/store.ts'
import { BacklogBusyError, BacklogFullError, faultOf, fileError } from '../errors.ts'
import type { SqliteDatabase } from '../file/database.ts'
import { Standing } from '../file/file-guard.ts'
import type { LifeLock, Watch } from '../file/lock.ts'
import type { Store } from '../store/store.ts'
import type { FromThread, Opening } from './messages.ts'
import { answerAll, Failure, isLook, rank, refusal, soon } from './requests.ts'

/**
 * How often the file is looked at for commits of others: while something happens, and when nothing has for a while. To wake a
 * thread costs far more than to look.
 */
const busyLookMs = 25
const quietLookMs = 80
/** After so long without anything it is quiet. */
const restsAfterMs = 2_000
/** The same for a process that is alone with the file and is told of writes to it: it sleeps, and looks in case it was not. */
const sleepMs = 900
/** How often the locks of others are tried for their deaths. */
const probeMs = 150
/**
 * How many jobs one transaction takes in, about half of what a queue has on its way: so that the queue packs the next while
 * these are stored. What a single call put together is never divided.
 */
const jobsMost = 1_000
/** A lock that others hold for so long is an error for all but turns, which go on waiting. */
const busyMostMs = 10_000
/** What the disk refused is tried again after so long. */
const againMs = 250
/** The log is written back when nothing has been asked for so long. */
const quietMs = 200
/** The same trouble is told again only after so long. */
const tellAgainMs = 60_000
/** A step of time longer than this was no silence of the loop: the whole process stood still. */
const stepMostMs = 1_000

export interface KeeperParts {
  readonly opening: Opening
  readonly db: SqliteDatabase
  readonly store: Store
  readonly lock: LifeLock
  readonly watch: Watch
  post(message: FromThread): void
  /** Calls `written` when anybody has written to the log, until it is closed. Absent, or undefined, where nobody tells. */
  watchLog?(written: () => void): { close(): void } | undefined
  /** Everything is released. */
  closed(): void
  readonly clock?: Clock
}

export class Keeper {
  readonly #parts: KeeperParts
  readonly #clock: Clock
  readonly #version: { get(): unknown }
  readonly #standing: Standing
  readonly #told = new Map<string, number>()
  #asked: NumberedRequest[] = []
  /** Turns that the disk refused, and those of their queues that came behind them. */
  #refused: NumberedRequest[] = []
  #backoff: Timer | undefined
  #again: Timer | undefined
  #tick: Timer
  #busySince: number | undefined
  #broken: Answered | undefined
  #closing = false
  #gone = false
  #seen: unknown
  /** What was recovered, and nobody was told of. */
  #untold = false
  #workers: readonly string[] = []
  #workedAt: number
  #everyMs = busyLookMs
  #asleep: { close(): void } | undefined
  #probedAt = 0
  #tickedAt: number
  #pingedAt = 0
  #pinged = false
  #silentMs = 0
  #surrendered = false
  #wrote = false
  /** The last instants that were asked with: of the queue's own clock, which need not be that of this machine. */
  #now = 0
  #wall = 0

  constructor(parts: KeeperParts) {
    this.#parts = parts
    this.#clock = parts.clock ?? systemClock
    this.#standing = new Standing({
      opening: parts.opening,
      lock: parts.lock,
      wall: () => this.#clock.wall(),
      trouble: error => this.#tell(error),
    })
    this.#version = parts.db.prepare('pragma data_version').pluck()
    this.#tickedAt = this.#pingedAt = this.#workedAt = this.#clock.now()
    // What a crash left is looked for when the first queue has come: by its policy it is treated, and it hears of it.
    this.#workers = parts.store.workers()
    this.#tick = this.#clock.at(this.#tickedAt + this.#everyMs, this.#onTick)
  }
  /** Whether other processes have the file open. */
  get others(): boolean {
    return this.#workers.length > 0
  }
  ask(asks: readonly NumberedRequest[]): void {
    for (const ask of asks) this.#asked.push(ask)
    this.pong()
  }
  pong(): void {
    this.#pinged = false
    this.#silentMs = 0
    if (this.#surrendered) this.#parts.post({ kind: 'stalled' })
    this.#surrendered = false
  }
  close(): void {
    this.#closing = true
    this.work()
  }
  /** Looks at once whether the file still has its name, because another one has it for somebody who looked. */
  look(): void {
    const error = this.#standing.lookNow(this.#clock.now())
    if (error) this.#giveUp(error)
    else this.#parts.post({ kind: 'looked' })
  }
  /** Does all that was asked, as far as locks and the disk allow. `more` takes in what came meanwhile. */
  work(more: () => void = () => {}): void {
    while (this.#asked.length > 0 && !this.#backoff && this.#stands()) {
      const asks = this.#take().filter(ask => !this.#waits(ask))
      const replies: NumberedReply[] = []
      const writes = asks.filter(([, { kind }]) => !isLook(kind))
      if (writes.length > 0) this.#write(writes, replies)
      for (const [id, request] of asks)
        if (isLook(request.kind)) replies.push([id, this.#read(request as QueryRequest)])
      if (replies.length > 0) this.#parts.post({ kind: 'replies', replies })
      if (this.#parts.store.wakes()) this.#parts.post({ kind: 'changed' })
      this.#happened()
      if (this.#seen === undefined) this.#lookNow()
      more()
    }
    if (this.#closing && !this.#gone && this.#asked.length + this.#refused.length === 0) this.#close()
  }

  #stands(): boolean {
    const error = this.#gone ? undefined : this.#standing.look(this.#clock.now())
    if (error) this.#giveUp(error)
    return !this.#gone
  }
  /** The file is gone: nothing is stored any more, and all that was asked is refused. Told when all is closed. */
  #giveUp(error: unknown): void {
    if (this.#gone) return
    this.#gone = true
    this.#asked = []
    this.#refused = []
    this.#release(false)
    this.#parts.post({ kind: 'refused', error: toWire(error) })
    this.#parts.closed()
  }

  /** Where something happens, more may: it is looked at often for a while. */
  #happened(): void {
    this.#workedAt = this.#clock.now()
    if (this.#everyMs === busyLookMs) return
    this.#everyMs = busyLookMs
    this.#asleep?.close()
    this.#asleep = undefined
    this.#tick.cancel()
    this.#tick = this.#clock.at(this.#workedAt + this.#everyMs, this.#onTick)
  }
  /** Whether it waits behind a turn of its queue that the disk refused: a turn behind which another is done is never done. */
  #waits(ask: NumberedRequest): boolean {
    const [, request] = ask
    if (request.kind !== 'turn' || this.#refused.length === 0) return false
    if (!this.#refused.some(([, before]) => 'queue' in before && before.queue === request.queue)) return false
    this.#refused.push(ask)
    return true
  }
  /** As many as one transaction should hold, in order. */
  #take(): NumberedRequest[] {
    let jobs = 0
    let count = 0
    for (const [, request] of this.#asked) {
      if (request.kind === 'put') jobs += request.ids.length
      if (count > 0 && jobs > jobsMost) break
      count++
    }
    const asks = count === this.#asked.length ? this.#asked : this.#asked.slice(0, count)
    this.#asked = count === this.#asked.length ? [] : this.#asked.slice(count)
    return asks
  }
  #write(asks: readonly NumberedRequest[], replies: NumberedReply[]): void {
    if (this.#broken) return answerAll(asks, this.#broken, replies)
    const last = asks[asks.length - 1]?.[1] as { now?: number; wall?: number }
    if (last.now !== undefined && last.wall !== undefined) [this.#now, this.#wall] = [last.now, last.wall]
    try {
      const answers = this.#parts.store.exchange(asks.map(([, request]) => request))
      for (let i = 0; i < asks.length; i++) replies.push([(asks[i] as NumberedRequest)[0], answers[i] as Answered])
      this.#wrote = true
      this.#busySince = undefined
    } catch (error) {
      this.#refuse(asks, error, replies)
    }
  }
  #refuse(asks: readonly NumberedRequest[], error: unknown, replies: NumberedReply[]): void {
    switch (faultOf(error)) {
      case 'busy':
        return this.#waitForLock(asks, replies)
      case 'broken':
        this.#broken = { error: toWire(fileError(this.#parts.opening.path, error)) }
        this.#tell(fileError(this.#parts.opening.path, error))
        return answerAll(asks, this.#broken, replies)
      case 'full':
      case 'disk':
        // Turns first: what they settle may make room.
        return this.#oneByOne(
          [...asks].sort((a, b) => rank(a) - rank(b)),
          replies,
        )
      case 'other':
        if (asks.length > 1) this.#oneByOne(asks, replies)
        else for (const [id, request] of asks) replies.push([id, { error: toWire(refusedForGood(request, error)) }])
    }
  }
  /** Each in a transaction of its own. Where one finds the lock held, those behind it wait too: no turn overtakes another. */
  #oneByOne(asks: readonly NumberedRequest[], replies: NumberedReply[]): void {
    const held = asks.findIndex(ask => !this.#alone(ask, replies))
    if (held >= 0) this.#waitForLock(asks.slice(held), replies)
  }
  #waitForLock(asks: readonly NumberedRequest[], replies: NumberedReply[]): void {
    const now = this.#clock.now()
    this.#busySince ??= now
    const waitedMs = now - this.#busySince
    let waiting = asks
    if (waitedMs > busyMostMs) {
      const error = new BacklogBusyError(this.#parts.opening.path, waitedMs)
      this.#tell(error)
      // A turn is never refused for a lock: what it settles would be lost to its queue.
      answerAll(
        asks.filter(ask => rank(ask) > 0),
        { error: toWire(error) },
        replies,
      )
      waiting = asks.filter(ask => rank(ask) === 0)
    }
    this.#asked = [...waiting, ...this.#asked]
    this.#backoff = this.#clock.at(now + 1 + 4 * this.#clock.random(), () => {
      this.#backoff = undefined
      this.work()
    })
  }
  /** One request, after one of several failed for want of room or for the disk. False when somebody holds the lock. */
  #alone(ask: NumberedRequest, replies: NumberedReply[]): boolean {
    if (this.#waits(ask)) return true
    const [id, request] = ask
    const { path } = this.#parts.opening
    const answer = this.#try(request)
    if (!(answer instanceof Failure)) {
      replies.push([id, answer])
      return true
    }
    const fault = faultOf(answer.cause)
    if (fault === 'busy') return false
    if (fault !== 'full' && fault !== 'disk') {
      this.#refuse([ask], answer.cause, replies)
      return true
    }
    const error = fault === 'full' ? new BacklogFullError(path) : fileError(path, answer.cause)
    this.#tell(error)
    if (request.kind !== 'turn') {
      replies.push([id, refusal(request, fault, error, path)])
      return true
    }
    // What is settled goes before what is claimed; and while not even that can be stored, nothing is.
    const settled = request.room > 0 ? this.#try({ ...request, room: 0 }) : answer
    if (settled instanceof Failure) this.#later(ask)
    else replies.push([id, 'ok' in settled ? { ok: soon(settled.ok as TurnDone, request.now + 2 * againMs) } : settled])
    return true
  }
  #try(request: Request): Answered | Failure {
    try {
      return this.#parts.store.exchange([request])[0] as Answered
    } catch (error) {
      return new Failure(error)
    }
  }
  #later(ask: NumberedRequest): void {
    this.#refused.push(ask)
    this.#again ??= this.#clock.at(this.#clock.now() + againMs, () => {
      this.#again = undefined
      this.#asked = [...this.#refused.splice(0), ...this.#asked]
      this.work()
    })
  }
  #read(request: QueryRequest): Answered {
    try {
      return this.#broken ?? { ok: this.#parts.store.query(request) }
    } catch (error) {
      return { error: toWire(fileError(this.#parts.opening.path, error)) }
    }
  }
  #tell(error: unknown): void {
    const wire = toWire(error)
    const now = this.#clock.now()
    if (now - (this.#told.get(wire.code) ?? -Infinity) < tellAgainMs) return
    this.#told.set(wire.code, now)
    this.#parts.post({ kind: 'trouble', error: wire })
  }

  readonly #onTick = (): void => {
    const now = this.#clock.now()
    this.#everyMs = this.#rest(now)
    this.#tick = this.#clock.at(now + this.#everyMs, this.#onTick)
    const passedMs = Math.min(now - this.#tickedAt, stepMostMs)
    this.#tickedAt = now
    if (!this.#stands()) return
    try {
      // Also when it has just begun to sleep: what was written before is not told.
      this.#look()
      this.#listen(now, passedMs)
      if (this.#wrote && now - this.#workedAt > quietMs) {
        this.#wrote = false
        this.#parts.db.pragma('wal_checkpoint(passive)')
      }
    } catch (error) {
      // A lock that another one holds at the moment is no trouble: there is a next tick.
      if (faultOf(error) !== 'busy') this.#tell(fileError(this.#parts.opening.path, error))
    }
  }
  /** How long it may rest. Whose death is to be known soon is looked after all the time, and so is who may be silent. */
  #rest(now: number): number {
    if (now - this.#workedAt < restsAfterMs) return busyLookMs
    const { opening, watchLog } = this.#parts
    if (this.#workers.length > 0 || this.#wrote || !watchLog) return quietLookMs
    this.#asleep ??= watchLog(() => this.#lookNow())
    if (!this.#asleep) return quietLookMs
    return Math.min(sleepMs, opening.stallMs / 4)
  }
  #lookNow(): void {
    try {
      this.#look()
    } catch (error) {
      // The next tick looks again.
      if (faultOf(error) !== 'busy') this.#tell(fileError(this.#parts.opening.path, error))
    }
  }
  /** For commits of others, and for their deaths. */
  #look(): void {
    const { store, watch, post } = this.#parts
    const version = this.#version.get()
    const changed = version !== this.#seen
    const now = this.#clock.now()
    if (!changed && (this.#workers.length === 0 || now - this.#probedAt < probeMs)) return
    if (changed) this.#workers = store.workers()
    this.#probedAt = now
    try {
      for (const worker of watch.dead(this.#workers, now)) {
        store.recover(worker, ...this.#instants())
        this.#untold = true
        this.#workers = store.workers()
        // Recovered in steps: as long as it is listed, something is left.
        if (!this.#workers.includes(worker)) watch.forget(worker)
      }
    } finally {
      // Told also when something failed on the way: nobody else would wake those that the recovery concerns.
      if (this.#untold || (changed && this.#seen !== undefined)) {
        this.#untold = false
        this.#happened()
        post({ kind: 'changed' })
      }
    }
    this.#seen = version
  }
  /** Whether the loop of the queue answers. Its silence is counted in steps in which this thread was awake. */
  #listen(now: number, passedMs: number): void {
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
  /** Now, of the host where the queue's clock is the host's. */
  #instants(): [now: number, wall: number] {
    const { origin } = this.#clock
    if (origin === undefined || origin.boot !== this.#parts.opening.boot) return [this.#now, this.#wall]
    return [this.#clock.now() + origin.offsetMs, this.#clock.wall()]
  }
  #close(): void {
    let struckOff = false
    try {
      struckOff = this.#parts.store.close()
    } catch (error) {
      if (faultOf(error) === 'busy') {
        this.#backoff = this.#clock.at(this.#clock.now() + 2, () => {
          this.#backoff = undefined
          this.#close()
        })
        return
      }
      // The lock goes with this thread, and whoever opens the file next strikes this worker off.
    }
    this.#release(!struckOff)
    this.#parts.closed()
  }
  /** @param listed The file still names this worker: its lock file stays, as that of a dead one. */
  #release(listed: boolean): void {
    const { db, lock, watch } = this.#parts
    this.#tick.cancel()
    this.#asleep?.close()
    this.#again?.cancel()
    this.#backoff?.cancel()
    watch.close()
    db.close()
    lock.release(listed)
  }
}
