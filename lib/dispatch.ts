/**
 * The loop that decides: settle, confirm, claim, launch.
 *
 * Everything else (a put, an ending, a resume, a wider width, a timer) only wakes it, and wakes merge. A turn makes one
 * exchange with the backlog; what it gives is launched from the cooperator's ring, where generators take their turns too.
 */
import type { AsyncResource } from 'node:async_hooks'
import { types } from 'node:util'
import { Alarm } from './alarm.ts'
import { Apart } from './apart.ts'
import type { News, Settled, Shelf, Turn } from './backlog.ts'
import { Breath } from './breath.ts'
import { Checkpoints } from './checkpoints.ts'
import { cleanContext, inCleanContext } from './clean-context.ts'
import type { Clock } from './clock.ts'
import { type Cooperator, type Member, Seat } from './cooperator.ts'
import { Deferred } from './deferred.ts'
import { EndingTexts } from './ending-texts.ts'
import { codeOf, OptionError, type StoreError } from './errors.ts'
import type { SafeEmitter } from './events.ts'
import { ReusedExchange } from './exchange.ts'
import { Granted } from './granted.ts'
import type { Job, JobRecord, RetryPolicy } from './job.ts'
import { KeepAlive } from './keep-alive.ts'
import { alone, asAny, type Caution, Launches, reported, reportedFirst } from './launches.ts'
import { Pace } from './pace.ts'
import { type Cost, unknownUnit } from './rate.ts'
import type { Run, RunHost } from './run.ts'
import { Runs } from './runs.ts'
import type { Task } from './task.ts'

export interface DispatchParts {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly strict: boolean
  readonly durable: boolean
  readonly keepsResults: boolean
  /** Launches are reported to the backlog; `first`: each before its body begins. */
  readonly reports: 'lazily' | 'first' | 'never'
  readonly handler: ((payload: unknown, task: Task) => unknown) | null
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly maxHoldMs: number
  jobOf(record: JobRecord): Job
  /** The job of this record has ended, and that is stored. */
  ended(record: JobRecord): void
  news(news: News): void
  /** The end of this job will never be stored. */
  endless(record: JobRecord, error: StoreError): void
  /** Whether a shared pause holds has changed. */
  heldChanged(held: boolean): void
  /** A turn is over: look whether somebody waits for what it brought. */
  turned(): void
}

/** An infinite width counts as this: what is on its way is added up, and infinity less infinity is no number. */
const widthMost = 2 ** 50

/** So many exchanges are on their way at most, to a backlog that is not in this thread. */
const awayMost = 4

/** After so long, what a backlog refused is told again. */
const retellMs = 1_000

const { isPromise } = types
const settled: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)
const nobody: readonly Deferred<void>[] = []

export class Dispatch implements RunHost, Member {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly breath: Breath
  readonly maxHoldMs: number
  readonly retry: RetryPolicy
  readonly timeoutMs: number
  readonly handler: (payload: unknown, task: Task) => unknown
  readonly runs: Runs = new Runs(this)
  width: number
  /** Plain pause: of this queue object. */
  paused: boolean
  /** With a pause, generator tasks are parked. */
  parked = false
  /** Shared pause: of the name, as of the last turn. */
  held = false
  stopping = false
  /** Slots that are taken, by claimed jobs and by bodies; of them, bodies that run, and those whose job has settled already. */
  bodies = 0
  running = 0
  closing = 0
  readonly #parts: DispatchParts
  readonly #emitter: SafeEmitter<unknown, unknown>
  readonly #works: boolean
  readonly #caution: Caution
  /** The async context of turns and listeners, and the one that jobs begin in: no listener can leave anything there. */
  readonly #scope: AsyncResource = cleanContext('DispatchQueue')
  readonly #clean: AsyncResource = cleanContext('DispatchQueueLaunch')
  readonly #seat: Seat
  #shelf: Shelf | undefined
  /** A turn is asked for, and on its way: in a microtask or in a later turn of the loop. */
  #again = false
  #waking = false
  /** Exchanges that the backlog has not answered, and how many jobs they may bring. */
  #away = 0
  #roomAway = 0
  /** One of them could not ask for all the room there was, for another had: when all are back, the rest is asked for. */
  #curtailed = false
  /** Made when an exchange is refused for good. */
  #apart: Apart | undefined
  readonly #granted = new Granted()
  readonly #launches: Launches
  readonly #pace = new Pace()
  readonly #checkpoints = new Checkpoints()
  readonly #texts: EndingTexts | undefined
  #next = new ReusedExchange()
  readonly #spare: ReusedExchange[] = []
  #number = 0
  /** Begins as no number, so that all who are given it share one. */
  #wall: number = undefined as unknown as number
  readonly #alarm: Alarm
  readonly #keepAlive: KeepAlive
  #keepsAlive = false
  #limitedUntil = -Infinity
  #stored: Deferred<void>[] = []
  /** Changes of the rate that the backlog has not taken over yet. */
  #retiming = 0

  constructor(parts: DispatchParts, width: number, paused: boolean) {
    this.#parts = parts
    this.#emitter = parts.emitter
    this.clock = parts.clock
    this.cooperator = parts.cooperator
    this.breath = new Breath(parts.cooperator, parts.clock)
    this.maxHoldMs = parts.maxHoldMs
    this.retry = parts.retry
    this.timeoutMs = parts.timeoutMs
    this.#works = parts.handler !== null
    this.#caution = parts.reports === 'first' ? reportedFirst : asAny
    this.handler = parts.handler ?? (() => undefined)
    this.width = width
    this.paused = paused
    const { strict, durable, keepsResults } = parts
    if (strict) {
      const failed = (error: unknown): void => this.#emitter.report(error, {})
      this.#texts = new EndingTexts({ durable, keepsResults, failed })
    }
    this.#seat = new Seat(this)
    this.#keepAlive = KeepAlive.of(parts.clock)
    this.#alarm = new Alarm(parts.clock, () => this.wake())
    this.#launches = new Launches({
      clock: parts.clock,
      runs: this.runs,
      wake: () => this.wake(),
      ready: run => this.#grant(run),
    })
  }
  open(shelf: Shelf): void {
    this.#shelf = shelf
    if (shelf.held) this.#parts.heldChanged((this.held = true))
    this.wake()
  }
  /** Whether a job may start now, room apart. */
  get admits(): boolean {
    return this.#works && !this.paused && !this.held && !this.stopping
  }
  /** No exchange is on its way: what the backlog has counted, it has told. */
  get still(): boolean {
    return this.#away === 0
  }
  /** Whether that job may start now: what was so at its claim may have changed, by the handlers and listeners before it. */
  #fits(run: Run, now: number): boolean {
    const fits = this.admits && this.#retiming === 0 && this.running < this.width && now < run.graceUntil
    if (!fits || run.caution !== alone || (this.#shelf?.bodies?.() ?? 0) === 0) return fits
    run.crowd()
    return false
  }
  /** Asks for a turn: at once within an open slice, else in the loop's next turn. */
  wake(): void {
    this.#again = true
    this.#schedule()
  }
  /**
   * Jobs wait that may start by themselves. Where all slots are taken, or asked for, nothing need be asked: the end of one that
   * has a slot asks, and so does an answer that brought less.
   */
  more(): void {
    const isFull = this.admits && this.bodies + this.#roomAway >= this.width && this.bodies + this.#away > 0
    if (!isFull || this.#retiming > 0) return this.wake()
    if (this.#roomAway > 0) this.#curtailed = true
  }
  /** Wakes merge; and where the backlog is away, so do those that come while enough exchanges are on their way. */
  #schedule(): void {
    const most = this.#apart?.isBusy ? 1 : awayMost
    if (this.#waking || !this.#shelf || this.#away >= most) return
    this.#waking = true
    if (this.cooperator.open) void settled.then(this.#run)
    else this.clock.soon(this.#runInNewSlice)
  }
  /**
   * The rate is being changed, until `over` is called: by then the backlog goes by the new rules. Meanwhile nothing is asked
   * for, and what was given out by the rules before and is not called yet goes back.
   */
  retime(): { over(): void } {
    this.#retiming++
    return {
      over: () => {
        this.#retiming--
        this.#granted.revoke()
        this.#launches.revoke()
        this.wake()
      },
    }
  }
  /** Something changed that an armed alarm does not know of: whether jobs may start by themselves. */
  rearm(): void {
    this.#alarm.keep(this.admits && this.width > 0)
  }
  /** Resolves when all that was settled so far is stored. */
  async flush(): Promise<void> {
    const stored = new Deferred<void>()
    this.#stored.push(stored)
    this.wake()
    await stored.promise
  }
  /** Hands an ending to the backlog that is no run's: what `afterCrash` said of a job in doubt. */
  settle(settled: Settled): void {
    this.#next.settled.push(settled)
    this.wake()
  }
  close(): void {
    this.#alarm.cancel()
    this.#keepAlive.leave(this)
    this.#launches.close()
    this.cooperator.stop()
    this.#shelf = undefined
  }

  // What runs tell.
  settled(run: Run): void {
    run.text = this.#texts?.of(run)
    this.#next.settled.push(run)
    if (!run.ended) {
      run.closing = true
      this.closing++
    }
    this.wake()
  }
  released(run: Run): void {
    if (run.closing) {
      this.closing--
      this.#next.closed.push(run.record)
    }
    if (run.launched) this.running--
    this.runs.remove(run)
    this.bodies--
    this.wake()
  }
  /** The queue stops, and nobody will hear of the end of this body. */
  abandon(run: Run): void {
    if (run.closing) this.#next.closed.push(run.record)
    run.abandon()
  }
  leftBehind(run: Run): void {
    if (run.launched) this.running--
  }
  progress(run: Run, value: unknown): void {
    this.#emit('progress', run.record, value)
  }
  stuck(run: Run): void {
    this.#emit('stuck', run.record)
  }
  checkpoint({ record, fence }: Run, value: unknown): Promise<void> {
    return this.#checkpoints.store({ record, fence }, value, this.#parts.strict, this.#next, () => this.flush())
  }
  spent(run: Run, cost: Cost): void {
    if (run.grant <= 0) return
    // The work is done, so a misspelt unit must not fail the job; whoever wrote it is told.
    const problem = unknownUnit('spent', cost, this.#shelf?.rules ?? [])
    if (problem) this.#emitter.report(problem, { job: this.#parts.jobOf(run.record) })
    this.#next.spent.push({ grant: run.grant, cost })
    this.wake()
  }
  breathe(): Promise<void> {
    return this.breath.take()
  }

  finishWithin(run: Run, db: unknown, value: unknown): void {
    const shelf = this.#shelf
    if (!shelf?.finishWithin) throw new OptionError('db', db, 'goes with a SqliteBacklog; this backlog has no file')
    shelf.finishWithin(db, run.record, run.fence, run.startedAt ?? this.#wall, value)
  }

  /** Launches one granted run. Answers whether there are more. */
  step(): boolean {
    const run = this.#granted.next()
    if (run) this.#scope.runInAsyncScope(this.#launch, this, run)
    return this.#granted.any
  }
  #launch(run: Run): void {
    const { clock } = this
    const { grant } = run
    const limited = grant > 0
    if (run.done || run.isUnwanted()) return this.#skip(run)
    if (!this.#fits(run, limited ? clock.now() : 0)) return this.#handBack(run)
    const isReported = run.report === reported
    if (!isReported && this.#emitter.hears('underway')) {
      this.#emit('underway', run.record)
      // A listener may have paused, stopped or cancelled, and took time.
      if (run.done || run.isUnwanted()) return this.#skip(run)
      if (!this.#fits(run, limited ? clock.now() : 0)) return this.#handBack(run)
    }
    if (run.caution !== asAny && !isReported) return this.#launches.first(run)
    this.running++
    this.#clean.runInAsyncScope(run.launch, run, this.#wall)
    const goesOn = !run.done && !isReported && this.#parts.reports !== 'never'
    if (!limited) {
      if (goesOn) this.#launches.began()
      return
    }
    if (goesOn) this.#launches.report(run)
    // The handler's first line has run by now, whenever the process was halted: no window can hold more than its limit
    // (docs/design/rate.md).
    const at = clock.now()
    this.#next.launched.push({ grant, at })
    // So late that the grant may be forgotten by now, and its cost with it.
    const cost = at < run.graceUntil ? undefined : run.record.extras?.cost
    if (cost) this.#next.spent.unshift({ grant, cost })
    this.wake()
  }
  #skip(run: Run): void {
    run.skip()
    this.released(run)
  }
  #handBack(run: Run): void {
    run.handBack()
    this.#next.settled.push(run)
    this.released(run)
  }

  readonly #runInNewSlice = (): void => {
    // One slice a turn of the loop: where generators run, their tick opens it.
    if (!this.cooperator.open && !this.cooperator.armed) this.cooperator.openSlice()
    this.#run()
  }
  readonly #run = (): void => {
    this.#scope.runInAsyncScope(this.#turn, this)
  }
  /** One exchange. The next comes in a microtask of its own, so that whoever waited for a result goes on in between. */
  #turn(): void {
    const shelf = this.#shelf
    this.#waking = this.#again = false
    if (!shelf) return
    const exchange = this.#piece() ?? this.#tell()
    // Who comes after it has set out waits for a later one, be there any now or none.
    const isWhole = !exchange.isPiece && this.#next.settled.length === 0
    const stored = this.#stored.length > 0 && isWhole ? this.#stored : nobody
    if (stored !== nobody) this.#stored = []
    try {
      const answer = shelf.turn(exchange)
      if (isPromise(answer)) return this.#await(answer, exchange, stored)
      this.#take(answer, exchange)
      this.#paced(exchange, exchange.now)
    } catch (error) {
      return this.#refused(exchange, stored, error)
    }
    this.#turned(exchange, stored, exchange.now)
  }
  /**
   * The backlog is a thread or a network away. Its answer comes in a turn of the loop of its own, and in the order of the
   * exchanges; meanwhile the next may set out, so that neither side waits for the other.
   */
  #await(answer: Promise<Turn>, exchange: ReusedExchange, stored: readonly Deferred<void>[]): void {
    this.#away++
    this.#roomAway += exchange.room
    const back = (turn: Turn | undefined, error: unknown): void => {
      this.#away--
      this.#roomAway -= exchange.room
      if (!this.#shelf) return
      if (!this.cooperator.open && !this.cooperator.armed) this.cooperator.openSlice()
      if (!turn) return this.#refused(exchange, stored, error)
      const from = this.clock.now()
      this.#take(turn, exchange)
      this.#paced(exchange, from)
      if (this.#curtailed && this.#roomAway === 0) {
        this.#curtailed = false
        if (this.bodies < this.width) this.#again = true
      }
      this.#turned(exchange, stored, this.clock.now())
    }
    answer.then(
      turn => this.#scope.runInAsyncScope(back, undefined, turn, undefined),
      error => this.#scope.runInAsyncScope(back, undefined, undefined, error),
    )
  }
  /**
   * The backlog took nothing of it. Where it never will, it is taken apart. Else it is told again in a while, or with the
   * next turn that something asks for.
   */
  #refused(exchange: ReusedExchange, stored: readonly Deferred<void>[], error: unknown): void {
    const { isPiece } = exchange
    if (codeOf(error) === 'STORE') {
      this.#apart ??= new Apart({
        unstored: (checkpoint, error) => this.#checkpoints.refused(checkpoint, error),
        unreported: (begun, error) => {
          if (!this.#launches.refused(begun)) this.#emitter.report(error, { job: this.#parts.jobOf(begun.record) })
        },
        endless: this.#parts.endless,
        report: (error, record) => this.#emitter.report(error, record ? { job: this.#parts.jobOf(record) } : {}),
      })
      const taken = isPiece
        ? this.#apart.refused(exchange, (error as StoreError).cause, this.#next, error)
        : this.#apart.take(exchange, stored)
      if (taken) {
        if (!isPiece) this.#spareOf(exchange)
        return this.wake()
      }
    } else if (isPiece) this.#apart?.again(exchange)
    if (!isPiece) {
      // What waits for its report goes back, and is claimed again when the backlog takes something.
      for (const one of exchange.begun) this.#launches.refused(one)
      this.#next.prepend(exchange)
      this.#spareOf(exchange)
    }
    for (const waiting of stored) waiting.fail(error)
    this.#again = false
    const now = this.clock.now()
    this.#alarm.set(now + retellMs, now, false)
    this.#emitter.report(error, {})
    if (this.#away === 0) this.#parts.turned() // A stop waits for bodies, not for a backlog that takes nothing.
  }
  #spareOf(exchange: ReusedExchange): void {
    exchange.empty()
    this.#spare.push(exchange)
  }
  /** What comes first, of an exchange that was taken apart. */
  #piece(): ReusedExchange | undefined {
    const piece = this.#apart?.next()
    if (!piece) return undefined
    piece.number = ++this.#number
    piece.now = this.clock.now()
    piece.wall = this.#wall = this.clock.wall()
    return piece
  }
  /** What there is to tell and to ask; what comes meanwhile is told next time. */
  #tell(): ReusedExchange {
    const now = this.clock.now()
    // What was not called in time goes back before more is asked for, which would come behind it.
    for (const run of this.#granted.late(now)) run.done ? this.#skip(run) : this.#handBack(run)
    const exchange = this.#next
    this.#next = this.#spare.pop() ?? new ReusedExchange()
    exchange.number = ++this.#number
    exchange.now = now
    exchange.wall = this.#wall = this.clock.wall()
    this.#launches.tell(exchange.begun)
    exchange.admits = this.admits && this.width > 0
    const asks = this.#works && !this.paused && !this.stopping && this.#retiming === 0
    exchange.room = asks ? Math.max(Math.min(this.width, widthMost) - this.bodies - this.#roomAway, 0) : 0
    if (asks && this.#roomAway > 0) this.#curtailed = true
    const most = exchange.settled.length > 1 ? this.#pace.within(this.cooperator.leftMs(now)) : 1
    if (exchange.settled.length > most) {
      exchange.keepBack(most, this.#next)
      // What goes back is not all there yet, and would come behind what is claimed now.
      exchange.room = 0
      this.#again = true
    }
    return exchange
  }
  #paced({ settled }: ReusedExchange, from: number): void {
    if (settled.length > 1 || (settled.length > 0 && this.#next.settled.length > 0))
      this.#pace.told(settled.length, this.clock.now() - from)
  }
  #turned(exchange: ReusedExchange, stored: readonly Deferred<void>[], now: number): void {
    if (exchange.isPiece) {
      this.#apart?.told(exchange)
      this.#again = true
    } else this.#spareOf(exchange)
    for (const waiting of stored) waiting.resolve()
    this.#stayAlive(this.bodies > 0)
    // The counts are of the last answer, and what of it is still to be heard comes first.
    if (this.#away === 0) this.#parts.turned()
    this.cooperator.pump(now)
    if (this.#again) this.#schedule()
  }
  #take(turn: Turn, exchange: ReusedExchange): void {
    const { settled, begun } = exchange
    const { news } = turn
    if (begun.length > 0) this.#launches.stored(begun)
    if (news) this.#parts.news(news)
    if (exchange.checkpoints.length > 0) {
      this.#checkpoints.answered(exchange, news, (record, value) => {
        if (this.#emitter.hears('checkpoint')) this.#emit('checkpoint', record, value.read())
      })
    }
    for (let i = 0; i < settled.length; i++) {
      const run = settled[i] as Run
      if (!news || !(news.lost.includes(run.record) || news.stale.includes(run))) this.#announce(run, exchange.wall)
    }
    if (turn.impossible.length > 0) for (const record of turn.impossible) this.#parts.ended(record)
    if (turn.held !== this.held) {
      this.held = turn.held
      this.#parts.heldChanged(turn.held)
    }
    const { claimed, payloads, grants } = turn
    for (let i = 0; i < claimed.length; i++) {
      const record = claimed[i] as JobRecord
      const before = this.runs.bodyOf(record, this.closing > 0)
      const run = this.runs.add(record, payloads ? payloads[i] : record.payload, grants?.[i] ?? 0, turn.graceUntil)
      record.run = run
      run.caution = turn.cautions?.get(record) ?? this.#caution
      if (before) void before.over().then(() => this.#grant(run))
      else this.#granted.push(run)
    }
    if (claimed.length > 0) {
      this.bodies += claimed.length
      this.cooperator.admit(this.#seat)
    }
    const { again, precise } = turn
    if (again <= exchange.now && this.admits && this.width > this.bodies) this.#again = true
    this.#alarm.set(again, exchange.now, precise)
    this.rearm()
    if (turn.limited && exchange.now >= this.#limitedUntil) {
      this.#limitedUntil = turn.again
      this.#emitter.announce('limited', turn.limited)
    }
  }
  #grant(run: Run): void {
    if (!this.#shelf) return
    this.#granted.push(run)
    this.cooperator.enter(this.#seat)
  }
  /** The ending is stored: now the listeners hear of it, and then the result settles. */
  #announce(run: Run, wall: number): void {
    const { record, kind } = run
    run.stoppedAt = wall
    if (kind === 'finished' || kind === 'failed' || kind === 'cancelled' || (run.within && record.ended)) {
      this.#parts.ended(record)
      if (run.ended && record.run !== run) this.runs.reuse(run)
      return
    }
    if (kind === 'again') this.#emit('retry', record, run.error, run.waitMs)
    this.#emit(record.state === 'delayed' ? 'delayed' : 'pending', record)
  }
  #emit(
    event: 'underway' | 'pending' | 'delayed' | 'progress' | 'checkpoint' | 'retry' | 'stuck',
    record: JobRecord,
    ...more: unknown[]
  ): void {
    if (this.#emitter.hears(event)) this.#emitter.announce(event, this.#parts.jobOf(record), ...more)
  }
  /** Bodies that run keep the process alive, whatever else does. */
  #stayAlive(alive: boolean): void {
    if (alive === this.#keepsAlive) return
    this.#keepsAlive = alive
    alive ? this.#keepAlive.hold(this) : this.#keepAlive.letGo(this)
  }
}
