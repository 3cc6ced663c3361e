/**
 * The loop that decides: confirm, settle, claim, launch.
 *
 * Every other event (a put, an ending, a resume, a wider width, a timer) only wakes it, and wakes merge. A pass makes
 * one exchange with the backlog (dispatch/exchanges.ts); dispatch/launcher.ts launches the jobs that its reply grants.
 */
import type { AsyncResource } from 'node:async_hooks'
import type { Announcer } from '../announce/announcer.ts'
import type { Results } from '../announce/results.ts'
import type { BacklogSession, Exchange, ExchangeResult, Notices, Settlement } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import type { Cooperator } from '../cooperate/cooperator.ts'
import { YieldPoint } from '../cooperate/yield-point.ts'
import type { StoreError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { JobLoop } from '../put/arrivals.ts'
import { Run } from '../run/run.ts'
import { cleanContext, inCleanContext } from '../support/clean-context.ts'
import { Alarm } from './alarm.ts'
import type { OutgoingExchange } from './exchange.ts'
import { type ExchangeListener, Exchanges } from './exchanges.ts'
import { KeepAlive } from './keep-alive.ts'
import type { Wakeable } from './launch-reports.ts'
import { Launcher, type LaunchOptions } from './launcher.ts'

/** Callers that wait for space in the queue, for an idle queue, or for the end of a stop. */
export interface WaitingCallers {
  /** Called whenever a condition that they await may hold by now. */
  check(): void
}
/** Receives the notices of exchanges, which are rare. */
export interface NoticeListener {
  take(notices: Notices): void
  /** An isolate ended by itself while the job ran, and `afterCrash` must give a verdict. */
  requestVerdict(record: JobRecord): void
}
export interface SharedPauseListener {
  sharedPauseChanged(isInForce: boolean): void
}
/** Called when a reply may have reported other settings of the name. */
export interface SettingsListener {
  settingsReported(): void
}

export interface DispatchParts extends Omit<LaunchOptions, 'requestVerdict'> {
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly cooperator: Cooperator
  readonly emitter: SafeEmitter<unknown, unknown>
  /** How many exchanges may be unanswered at a time. */
  readonly maxExchangesInFlight: number
  readonly announcer: Announcer
  readonly results: Results
  readonly callers: WaitingCallers
}

/** Stands for an infinite width: the room in flight is added up, and Infinity minus Infinity is NaN. */
const maxWidth = 2 ** 50

const resolved: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Dispatch implements ExchangeListener, JobLoop, Wakeable {
  readonly yieldPoint: YieldPoint
  readonly launcher: Launcher
  readonly #parts: DispatchParts
  readonly #clock: Clock
  readonly #cooperator: Cooperator
  readonly #emitter: SafeEmitter<unknown, unknown>
  readonly #announcer: Announcer
  #notices!: NoticeListener
  #sharedPause!: SharedPauseListener
  #settings!: SettingsListener
  readonly #lifecycle: Lifecycle
  readonly #exchanges: Exchanges
  /** The async context of passes and listeners: a value that a listener sets there does not leak into later passes. */
  readonly #loopContext: AsyncResource = cleanContext('DispatchQueue')
  readonly #alarm: Alarm
  readonly #keepAlive: KeepAlive
  #keepsAlive = false
  /** A pass is requested, and scheduled: in a microtask or in a later turn of the event loop. */
  #passWanted = false
  #passScheduled = false
  #limitedUntil = -Infinity

  constructor(parts: DispatchParts, width: number) {
    const { clock, lifecycle, cooperator, emitter, announcer } = parts
    const loopContext = this.#loopContext
    this.#parts = parts
    this.#clock = clock
    this.#cooperator = cooperator
    this.#emitter = emitter
    this.#announcer = announcer
    this.#lifecycle = lifecycle
    this.yieldPoint = new YieldPoint(cooperator, clock)
    const { strict, maxExchangesInFlight: maxInFlight } = parts
    const exchanges = new Exchanges({
      clock,
      cooperator,
      loopContext,
      strict,
      maxExchangesInFlight: maxInFlight,
      listener: this,
    })
    const { yieldPoint } = this
    this.launcher = new Launcher(
      {
        clock,
        cooperator,
        yieldPoint,
        loopContext,
        emitter,
        exchanges,
        lifecycle,
        loop: this,
        options: { ...parts, requestVerdict: record => this.#notices.requestVerdict(record) },
        announcer,
      },
      width,
    )
    this.#exchanges = exchanges
    this.#keepAlive = KeepAlive.of(clock)
    this.#alarm = new Alarm(clock, () => this.wake())
  }
  /** Must be called before `open`. A separate call, because the listeners need the loop too. */
  listen(notices: NoticeListener, sharedPause: SharedPauseListener, settings: SettingsListener): void {
    this.#notices = notices
    this.#sharedPause = sharedPause
    this.#settings = settings
  }
  open(session: BacklogSession): void {
    this.#exchanges.open(session)
    if (session.sharedPaused) this.#sharedPause.sharedPauseChanged(true)
    this.#settings.settingsReported()
    this.wake()
  }
  close(): void {
    this.#alarm.cancel()
    this.#keepAlive.end(this)
    this.launcher.close()
    this.#exchanges.close()
  }

  // Callers that wake the loop.

  /** Requests a pass: at once within an open slice, otherwise in the next turn of the event loop. */
  wake(): void {
    this.#passWanted = true
    this.#schedule()
  }
  /**
   * Jobs wait that may start. If all slots are taken, or may be filled by exchanges in flight, no pass is needed: the
   * end of a job with a slot requests one, and so does a reply with fewer jobs than requested.
   */
  jobsArrived(): void {
    const { slotsTaken, width, isSuspended } = this.launcher
    const { inFlight, roomInFlight } = this.#exchanges
    const isWidthTaken = this.#lifecycle.mayLaunch && slotsTaken + roomInFlight >= width && slotsTaken + inFlight > 0
    if (!isWidthTaken || isSuspended) return this.wake()
    this.#exchanges.wantRoom()
  }
  /** Sends the backlog an ending that belongs to no run: the verdict of `afterCrash`. */
  settleByVerdict(settled: Settlement): void {
    this.#exchanges.next.settled.push(settled)
    this.wake()
  }
  /** Resolves when everything settled so far is stored. */
  flush(): Promise<void> {
    return this.#exchanges.flush()
  }
  /**
   * Suspends launches until `over` is called: while a setting changes, or the handler cannot be loaded. Meanwhile nothing
   * is claimed or launched. Jobs that were granted before and are not launched yet go back.
   */
  suspendLaunches(): { over(): void } {
    this.launcher.suspend()
    return {
      over: () => {
        this.launcher.endSuspension()
        this.wake()
      },
    }
  }
  /** The backlog has replied to every exchange, so its counts agree with the announced events. */
  get noneInFlight(): boolean {
    return this.#exchanges.inFlight === 0
  }
  /** Called after a change of whether jobs may start: decides whether the alarm keeps the process alive. */
  rearm(): void {
    this.#alarm.keep(this.#lifecycle.mayLaunch && this.launcher.width > 0)
  }
  /** Wakes merge, including those that come while the maximum of exchanges is in flight. */
  #schedule(): void {
    if (this.#passScheduled || !this.#exchanges.maySend) return
    this.#passScheduled = true
    if (this.#cooperator.open) void resolved.then(this.#run)
    else this.#clock.soon(this.#runInNewSlice)
  }
  readonly #runInNewSlice = (): void => {
    // One slice per turn of the event loop: if generators run, their tick opens it.
    if (!this.#cooperator.open && !this.#cooperator.armed) this.#cooperator.openSlice()
    this.#run()
  }
  readonly #run = (): void => {
    this.#loopContext.runInAsyncScope(this.#pass, this)
  }

  // The pass.

  /**
   * Makes one exchange. The next one comes in a microtask of its own, so that callers that await a result continue in
   * between.
   */
  #pass(): void {
    this.#passScheduled = this.#passWanted = false
    if (!this.#exchanges.session) return
    const piece = this.#exchanges.nextPiece()
    if (piece) return this.#exchanges.send(piece)

    // Confirm and settle: everything that runs have reported. Jobs that were not launched in time go back before more
    // are claimed.
    const now = this.#clock.now()
    this.launcher.returnExpired(now)
    const exchange = this.#exchanges.take(now)
    this.launcher.reportLaunches(exchange)

    // Claim: as many jobs as there are free slots.
    const { launcher } = this
    if (this.#lifecycle.works) {
      exchange.mayLaunch = this.#lifecycle.mayLaunch && launcher.width > 0
      exchange.isFull = launcher.slotsTaken >= launcher.width
    }
    exchange.room = this.#room()
    exchange.suspectRoom = launcher.isolatedBodies?.suspectRoom
    this.#exchanges.shorten(exchange)
    this.#exchanges.send(exchange)
  }
  #room(): number {
    const { width, slotsTaken, isSuspended } = this.launcher
    if (!this.#lifecycle.mayClaim || isSuspended) return 0
    return this.#exchanges.roomWithin(Math.min(width, maxWidth) - slotsTaken)
  }
  /** The settled jobs are stored, so they are announced. The claimed jobs are launched. */
  replied(reply: ExchangeResult, exchange: OutgoingExchange): void {
    const { settled } = exchange
    const { notices } = reply
    this.launcher.reportsStored(exchange.launchReports)
    if (notices) this.#notices.take(notices)
    if (exchange.checkpoints.length > 0) {
      this.#exchanges.answerCheckpoints(exchange, notices, (record, value) => {
        if (this.#emitter.hasListener('checkpoint')) this.#announcer.emit('checkpoint', record, value.read())
      })
    }
    for (let i = 0; i < settled.length; i++) {
      const one = settled[i] as Settlement
      if (!notices || !(notices.lostRuns.includes(one.record) || notices.ignoredSettles.includes(one)))
        this.#announce(one, exchange.wall)
    }
    if (reply.endedUnrun.length > 0) for (const record of reply.endedUnrun) this.#announcer.ended(record)
    if (reply.sharedPaused !== this.#lifecycle.sharedPaused) this.#sharedPause.sharedPauseChanged(reply.sharedPaused)
    this.#settings.settingsReported()
    this.launcher.addRuns(reply)
    this.#lookNext(reply, exchange.now)
    if (reply.limited && exchange.now >= this.#limitedUntil) {
      this.#limitedUntil = reply.nextLookAt
      this.#emitter.announce('limited', reply.limited)
    }
  }
  #lookNext({ nextLookAt, nextLookExact }: ExchangeResult, now: number): void {
    if (nextLookAt <= now && this.#lifecycle.mayLaunch && this.launcher.width > this.launcher.slotsTaken)
      this.#passWanted = true
    const { resendAt } = this.#exchanges
    this.#alarm.set(Math.min(nextLookAt, resendAt), now, nextLookExact && nextLookAt <= resendAt)
    this.rearm()
  }
  exchangeOver(exchange: OutgoingExchange, now: number): void {
    if (exchange.isPiece) this.#passWanted = true
    this.#keepProcessAlive(this.launcher.slotsTaken > 0)
    // The counts are those of the last reply, so earlier replies are announced first.
    if (this.noneInFlight) this.#parts.callers.check()
    this.#cooperator.pump(now)
    if (this.#passWanted) this.#schedule()
  }
  roomUnclaimed(): void {
    if (this.launcher.slotsTaken < this.launcher.width) this.#passWanted = true
  }
  reportsRemain(): void {
    this.#passWanted = true
  }

  // Data that cannot be stored.

  /** The exchange is sent again at `resendAt`, or with the next pass that is requested. */
  refused(error: unknown): void {
    this.#passWanted = false
    this.#alarm.set(this.#exchanges.resendAt, this.#clock.now(), false)
    this.#emitter.report(error, {})
    if (this.noneInFlight) this.#parts.callers.check() // A stop waits for bodies, not for a failing backlog.
  }
  launchNotReported(report: Exchange['launchReports'][number]): boolean {
    return this.launcher.launchNotReported(report)
  }
  endingNotStored(record: JobRecord, error: StoreError): void {
    this.#parts.results.fail(record, error)
  }
  report(error: StoreError, record?: JobRecord): void {
    this.#emitter.report(error, record ? { job: this.#announcer.jobOf(record) } : {})
  }

  /** The settlement is stored, so it is announced. A verdict belongs to no run, so there is none to reuse. */
  #announce(settled: Settlement, wall: number): void {
    const run = settled instanceof Run ? settled : undefined
    if (run) {
      run.stoppedAt = wall
      run.announced = false
    }
    if (run?.crashes !== undefined) this.#announcer.emit('recovered', run.record)
    const hasEnded = this.#announcer.settled(settled)
    if (run && hasEnded && run.bodyEnded && run.record.run !== run) this.launcher.runs.reuse(run)
  }
  /** Running bodies keep the process alive, whatever else does. */
  #keepProcessAlive(alive: boolean): void {
    if (alive === this.#keepsAlive) return
    this.#keepsAlive = alive
    alive ? this.#keepAlive.add(this) : this.#keepAlive.remove(this)
  }
}
