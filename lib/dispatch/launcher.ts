/**
 * Launching: the slots of the queue, and the runs that hold them from their claim until their bodies have ended.
 *
 * A claimed job waits in the launch queue and is launched from the cooperator's ring, in which generators take their
 * turns too. Whether it may start is checked again right before its first line, because handlers and listeners have run
 * since the claim.
 */
import type { AsyncResource } from 'node:async_hooks'
import type { Announcer } from '../announce/announcer.ts'
import { type Caution, type Exchange, type ExchangeResult, launchAlone, noCaution, reportedFirst } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { type Cooperator, type RingMember, Seat } from '../cooperate/cooperator.ts'
import type { YieldPoint } from '../cooperate/yield-point.ts'
import { type CrashPolicy, crashOutcome } from '../decisions/crash-outcome.ts'
import { OptionError, PoisonError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { JobRecord, RetryPolicy } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { type Cost, unknownUnit } from '../rate/rules.ts'
import type { IsolatedBodies, IsolatedBodiesHost } from '../run/isolated-bodies.ts'
import { reported } from '../run/launch-report-state.ts'
import type { Run, RunHost } from '../run/run.ts'
import { closed, closing } from '../run/run-state.ts'
import { Runs } from '../run/runs.ts'
import type { Task } from '../run/task.ts'
import { EndingTexts } from '../settle/ending-texts.ts'
import { cleanContext } from '../support/clean-context.ts'
import type { Exchanges } from './exchanges.ts'
import { LaunchQueue } from './launch-queue.ts'
import { LaunchReports, type ReportedRuns, type Wakeable } from './launch-reports.ts'

/** The settings by which a queue runs jobs. */
export interface LaunchOptions {
  readonly strict: boolean
  readonly durable: boolean
  readonly keepsResults: boolean
  /** How launches are reported to the backlog; `first`: each before its body begins. */
  readonly reports: 'lazily' | 'first' | 'never'
  readonly handler: ((payload: unknown, task: Task) => unknown) | null
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly maxHoldMs: number
  /** The names of the queue's rules, which a handler may hold. */
  readonly ruleNames: () => readonly string[]
  /** What follows if an isolate ends by itself while a body runs in it. */
  readonly crashPolicy: CrashPolicy
  /** Asks the user whether the earlier run went through (`afterCrash`). */
  readonly requestVerdict: (record: JobRecord) => void
}

/** Watches the runs of a queue, for a controller of its width. */
export interface RunObserver {
  /** Called right before the handler's first line. */
  launched(run: Run): void
  /** Called when the job has its ending; the body still counts as running. */
  settled(run: Run): void
  /** Called when the body has ended. */
  released(run: Run): void
}

export interface LauncherParts {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly yieldPoint: YieldPoint
  readonly loopContext: AsyncResource
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly exchanges: Exchanges
  readonly lifecycle: Lifecycle
  readonly loop: Wakeable
  readonly options: LaunchOptions
  readonly announcer: Announcer
}

export class Launcher implements RunHost, RingMember, ReportedRuns, IsolatedBodiesHost {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly maxHoldMs: number
  readonly ruleNames: () => readonly string[]
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly handler: (payload: unknown, task: Task) => unknown
  readonly runs: Runs = new Runs(this)
  /** The number of slots. */
  width: number
  /** Taken slots: by claimed jobs, and by bodies until they have ended. */
  slotsTaken = 0
  /** Running bodies, including those whose job has settled already, and those that were handed over. */
  running = 0
  /** Runs whose job has settled while the body still runs. */
  closing = 0
  observer: RunObserver | undefined = undefined
  /** Where bodies run; undefined: here. */
  isolatedBodies: IsolatedBodies | undefined = undefined
  readonly #options: LaunchOptions
  readonly #exchanges: Exchanges
  readonly #emitter: SafeEmitter<unknown, unknown>
  readonly #lifecycle: Lifecycle
  readonly #loop: Wakeable
  readonly #yieldPoint: YieldPoint
  readonly #announcer: Announcer
  readonly #loopContext: AsyncResource
  /** The async context in which jobs start, so that stores that a listener sets do not reach them. */
  readonly #launchContext: AsyncResource = cleanContext('DispatchQueueLaunch')
  readonly #seat: Seat
  readonly #launchQueue = new LaunchQueue()
  readonly #launchReports: LaunchReports
  readonly #reportsLaunches: boolean
  /** The default for jobs for which the backlog requires no other. */
  readonly #caution: Caution
  readonly #endingTexts: EndingTexts | undefined
  /** Callers of {@link suspend} that have not ended it. */
  #suspensions = 0

  constructor(parts: LauncherParts, width: number) {
    const { clock, cooperator, emitter, options } = parts
    this.clock = clock
    this.cooperator = cooperator
    this.maxHoldMs = options.maxHoldMs
    this.ruleNames = options.ruleNames
    this.retry = options.retry
    this.timeoutMs = options.timeoutMs
    this.handler = options.handler ?? (() => undefined)
    this.width = width
    this.#options = options
    this.#exchanges = parts.exchanges
    this.#emitter = emitter
    this.#lifecycle = parts.lifecycle
    this.#loop = parts.loop
    this.#yieldPoint = parts.yieldPoint
    this.#announcer = parts.announcer
    this.#loopContext = parts.loopContext
    this.#seat = new Seat(this)
    this.#reportsLaunches = options.reports !== 'never'
    this.#caution = options.reports === 'first' ? reportedFirst : noCaution
    this.#launchReports = new LaunchReports(clock, parts.loop, this)
    const { strict, durable, keepsResults } = options
    if (strict) this.#endingTexts = new EndingTexts(emitter, durable, keepsResults)
  }
  close(): void {
    this.#launchReports.close()
    this.cooperator.stop()
  }

  /** Suspends launches until {@link endSuspension}: nothing is launched or claimed. */
  suspend(): void {
    this.#suspensions++
    this.isolatedBodies?.withdraw()
  }
  /** Jobs that were granted before the suspension go back. */
  endSuspension(): void {
    this.#suspensions--
    this.#launchQueue.revoke()
    this.#launchReports.revoke()
  }
  get isSuspended(): boolean {
    return this.#suspensions > 0
  }

  // Claimed jobs.

  /** Adds runs for the jobs that a reply of the backlog has granted. */
  addRuns({ claimed, payloads, grants, graceUntil, cautions }: ExchangeResult): void {
    for (let i = 0; i < claimed.length; i++) {
      const record = claimed[i] as JobRecord
      const before = this.runs.bodyOf(record, this.closing > 0)
      const run = this.runs.add(record, payloads ? payloads[i] : record.payload, grants?.[i] ?? 0, graceUntil)
      record.run = run
      run.caution = cautions?.get(record) ?? this.#caution
      if (before) void before.whenBodyEnded().then(() => this.queueLaunch(run))
      else this.#launchQueue.push(run)
    }
    if (claimed.length === 0) return
    this.slotsTaken += claimed.length
    this.cooperator.enterWithoutTick(this.#seat)
  }
  /** The run may be launched in its turn. */
  queueLaunch(run: Run): void {
    if (!this.#exchanges.session) return
    this.#launchQueue.push(run)
    this.cooperator.enter(this.#seat)
  }
  /** Jobs that were not launched within their grace go back. */
  returnExpired(now: number): void {
    for (const run of this.#launchQueue.takeExpired(now)) run.settled ? this.#skip(run) : this.#handBack(run)
  }
  /** Adds the launches to be reported to the exchange. */
  reportLaunches(exchange: Exchange): void {
    this.#launchReports.moveInto(exchange.launchReports)
  }
  reportsStored(reports: Exchange['launchReports']): void {
    if (reports.length > 0) this.#launchReports.stored(reports)
  }
  /** The report of a launch will not be stored. Returns whether a run was waiting for that; its job goes back. */
  launchNotReported(report: Exchange['launchReports'][number]): boolean {
    return this.#launchReports.refused(report)
  }

  // The launch.

  /** Launches one run. Returns whether there are more. */
  step(): boolean {
    const run = this.#launchQueue.next()
    if (run) this.#loopContext.runInAsyncScope(this.#launch, this, run)
    return this.#launchQueue.any
  }
  #launch(run: Run): void {
    const { clock } = this
    const { grant } = run
    const limited = grant !== 0
    if (run.settled || run.cancelIfAborted()) return this.#skip(run)
    if (!this.#mayLaunchNow(run, limited ? clock.now() : 0)) return this.#handBack(run)
    const isReported = run.launchReport === reported
    run.announced = true
    if (!isReported && this.#emitter.hasListener('underway')) {
      this.#emitter.announce('underway', this.#announcer.jobOf(run.record))
      // A listener may have paused, stopped or cancelled, and has taken time.
      if (run.settled || run.cancelIfAborted()) return this.#skip(run)
      if (!this.#mayLaunchNow(run, limited ? clock.now() : 0)) return this.#handBack(run)
    }
    if (run.caution !== noCaution && !isReported) return this.#launchReports.reportFirst(run)
    this.running++
    if (this.isolatedBodies) return this.isolatedBodies.handOver(run)
    this.observer?.launched(run)
    this.#launchContext.runInAsyncScope(run.launch, run, this.#exchanges.wall)
    this.#launched(run)
    this.#confirmStart(run)
  }
  /** The handler's first line has run, or is about to. */
  #launched(run: Run): void {
    if (run.settled || run.launchReport === reported || !this.#reportsLaunches) return
    if (run.grant === 0) return this.#launchReports.watch()
    this.#launchReports.report(run)
    this.#loop.wake()
  }
  /**
   * The handler's first line has run by now, however long the process was suspended, so no window can hold more than its
   * limit (docs/design/rate.md).
   */
  #confirmStart(run: Run): void {
    const { grant } = run
    if (grant === 0) return
    const at = this.clock.now()
    const { next } = this.#exchanges
    next.confirmed.push({ grant, at })
    // A launch after the grace: the grant may be forgotten, so its cost is sent too.
    const cost = at < run.graceUntil ? undefined : run.record.extras?.cost
    if (cost) next.spent.unshift({ grant, cost })
    this.#loop.wake()
  }
  /** Whether that job may start now. One that must run alone and may not is marked, because it goes back as such. */
  #mayLaunchNow(run: Run, now: number): boolean {
    const may =
      this.#lifecycle.mayLaunch && this.#suspensions === 0 && this.running < this.width && now < run.graceUntil
    if (!may || run.caution !== launchAlone || (this.#exchanges.session?.bodiesInProcess?.() ?? 0) === 0) return may
    run.markNotAlone()
    return false
  }
  /** The job was settled before its launch. */
  #skip(run: Run): void {
    run.endUnrun()
    this.released(run)
  }
  /** The run itself is the settlement that is sent. */
  #handBack(run: Run): void {
    run.handBack()
    this.#exchanges.next.settled.push(run)
    this.released(run)
  }

  // Bodies in isolates (lib/run/isolated-bodies.ts).

  launchedInIsolate(run: Run): void {
    if (run.launched || !run.open) return
    this.observer?.launched(run)
    this.#launchContext.runInAsyncScope(run.launchInIsolate, run, this.#exchanges.wall)
    this.#launched(run)
  }
  confirmedInIsolate(run: Run): void {
    this.#confirmStart(run)
  }
  finishedInIsolate(run: Run, value: unknown): void {
    run.finishInIsolate(value)
  }
  failedInIsolate(run: Run, error: unknown): void {
    run.failInIsolate(error)
  }
  notLaunched(run: Run): void {
    // A job that was cancelled meanwhile counts as launched, and nobody runs it now.
    if (run.launched) run.finishInIsolate(undefined)
    else run.settled ? this.#skip(run) : this.#handBack(run)
  }
  displaced(run: Run): void {
    run.launched ? run.displace() : this.notLaunched(run)
  }
  crashed(run: Run, alone: boolean): void {
    if (!run.launched) return this.notLaunched(run)
    const { crashPolicy, requestVerdict } = this.#options
    const { record } = run
    const job = { crashes: record.extras?.crashes ?? 0, alone, launchReported: true }
    const facts = { ...job, launchUnreported: false, awaitingVerdict: false }
    const { kind, crashes } = crashOutcome(facts, crashPolicy, { cancelRequested: false, worksHere: true })
    const awaitsVerdict = kind === 'awaitsVerdict' && run.open
    run.crash(crashes, kind === 'failed' ? new PoisonError(crashes, 'isolate') : undefined, awaitsVerdict)
    if (!awaitsVerdict) return
    record.ensureExtras().crashes = crashes
    requestVerdict(record)
  }

  // Reports of runs.

  settled(run: Run): void {
    run.text = this.#endingTexts?.of(run)
    this.#exchanges.next.settled.push(run)
    if (run.state === closing) this.closing++
    this.#loop.wake()
    this.observer?.settled(run)
  }
  released(run: Run): void {
    if (run.state === closed) {
      this.closing--
      this.#exchanges.closingBodyEnded(run.record)
    }
    if (run.launched || run.isolatedBody) this.#countBodyEnd(run)
    this.runs.remove(run)
    this.slotsTaken--
    this.#loop.wake()
  }
  /** The queue has stopped and no longer waits for this body. */
  abandon(run: Run): void {
    if (run.state === closing) this.#exchanges.closingBodyEnded(run.record)
    run.abandon()
  }
  abandonedBodyEnded(run: Run): void {
    if (run.launched || run.isolatedBody) this.#countBodyEnd(run)
  }
  #countBodyEnd(run: Run): void {
    this.running--
    if (run.launched) this.observer?.released(run)
  }
  progress(run: Run, value: unknown): void {
    if (this.#emitter.hasListener('progress'))
      this.#emitter.announce('progress', this.#announcer.jobOf(run.record), value)
  }
  stuck(run: Run): void {
    if (this.#emitter.hasListener('stuck')) this.#emitter.announce('stuck', this.#announcer.jobOf(run.record))
  }
  checkpoint(run: Run, value: unknown): Promise<void> {
    return this.#exchanges.checkpoint(run, value)
  }
  spent(run: Run, cost: Cost): void {
    if (run.grant === 0) return
    // The work is done, so a misspelt unit must not fail the job; it is only reported.
    const { rules = [], keys } = this.#exchanges.session ?? {}
    const { key } = run.record.extras ?? {}
    const ofKey = key === undefined ? undefined : keys?.overrides.get(key)?.rate
    const problem = unknownUnit('spent', cost, [...rules, ...(keys?.policy?.rate ?? []), ...(ofKey ?? [])])
    if (problem) this.#emitter.report(problem, { job: this.#announcer.jobOf(run.record) })
    this.#exchanges.spent(run.grant, cost)
    this.#loop.wake()
  }
  breathe(): Promise<void> {
    return this.#yieldPoint.nextTurn()
  }
  finishWithin(run: Run, transaction: unknown, value: unknown): void | Promise<void> {
    const { session, wall } = this.#exchanges
    if (!session?.finishWithin) {
      const problem = 'cannot be used: the backlog of this queue records no ending in a transaction of yours'
      throw new OptionError('transaction', transaction, problem)
    }
    return session.finishWithin(transaction, run.record, run.fence, run.startedAt ?? wall, value)
  }
  get parked(): boolean {
    return this.#lifecycle.tasksParked
  }
}
