/**
 * Exchanges with the backlog: the reports of the next one, those in flight, and the handling of refused ones.
 *
 * A backlog in this thread replies synchronously. Any other replies in a later turn of the event loop, in the order of
 * the exchanges, and the next exchange may be sent meanwhile, so that neither side waits for the other. A refused
 * exchange changed nothing: it is sent again, or split if the backlog will never accept it.
 */
import type { AsyncResource } from 'node:async_hooks'
import { types } from 'node:util'
import type { BacklogSession, ExchangeResult, Grant, Notices } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import type { Cooperator } from '../cooperate/cooperator.ts'
import { codeOf, type StoreError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { Cost } from '../rate/rules.ts'
import type { Run } from '../run/run.ts'
import { Deferred } from '../support/deferred.ts'
import type { CheckpointValue } from '../text/checkpoint-value.ts'
import { BatchPacer } from './batch-pacer.ts'
import { Checkpoints } from './checkpoints.ts'
import { OutgoingExchange } from './exchange.ts'
import { type DroppedReportsListener, ExchangeSplitter } from './exchange-splitter.ts'

/** The loop, as the exchanges notify it. */
export interface ExchangeListener extends DroppedReportsListener {
  /**
   * The backlog has stored the reports of the exchange; `reply` says which jobs may be launched. Called in the order of
   * the exchanges.
   */
  replied(reply: ExchangeResult, exchange: OutgoingExchange): void
  /** Called after the reply has been handled. */
  exchangeOver(exchange: OutgoingExchange, now: number): void
  /** No exchange that claims jobs is in flight, and an earlier one requested fewer jobs than there were free slots. */
  roomUnclaimed(): void
  /** There are more reports than the exchange contained. */
  reportsRemain(): void
  /** A refused exchange has been split; its items must be sent one by one. */
  wake(): void
  /** The backlog accepted nothing of an exchange; its reports are part of the next one. */
  refused(error: unknown): void
}

export interface ExchangesParts {
  readonly clock: Clock
  readonly cooperator: Cooperator
  readonly loopContext: AsyncResource
  /** Whether payloads and checkpoints must survive JSON unchanged. */
  readonly strict: boolean
  readonly maxExchangesInFlight: number
  readonly listener: ExchangeListener
}

/** The delay before an exchange that the backlog refused is sent again. */
const resendAfterMs = 1_000

const { isPromise } = types
const noWaiters: Deferred<void>[] = []

/** The callers of `flush` that wait when an exchange is sent. A refusal of it concerns all of them. */
interface FlushWaiters {
  readonly waiting: readonly Deferred<void>[]
  /** How many waited then: those who come later are behind them in the same list. */
  readonly count: number
  /** Whether this exchange carries everything that they wait for. Otherwise a later one carries the rest. */
  readonly isWhole: boolean
}
const nobodyWaits: FlushWaiters = { waiting: noWaiters, count: 0, isWhole: true }

export class Exchanges {
  /** The reports of runs, until the next exchange is sent. */
  next: OutgoingExchange = new OutgoingExchange()
  /**
   * The wall clock at the last exchange. Initialised to undefined so that V8 shares one boxed number among all who read
   * it.
   */
  wall: number = undefined as unknown as number
  readonly #parts: ExchangesParts
  readonly #clock: Clock
  readonly #listener: ExchangeListener
  readonly #checkpoints = new Checkpoints()
  readonly #pacer = new BatchPacer()
  /** Undefined until the backlog is open, and after {@link close}. */
  #session: BacklogSession | undefined
  #inFlight = 0
  /** How many jobs the exchanges in flight may claim. */
  #roomInFlight = 0
  /** An exchange requested fewer jobs than there were free slots, because others in flight may fill them. */
  #roomCutShort = false
  /** Created when an exchange is refused for good. */
  #splitter: ExchangeSplitter | undefined
  #flushWaiters: Deferred<void>[] = []
  #resendAt = Infinity

  constructor(parts: ExchangesParts) {
    this.#parts = parts
    this.#clock = parts.clock
    this.#listener = parts.listener
  }
  open(session: BacklogSession): void {
    this.#session = session
  }
  /** Later replies are ignored. */
  close(): void {
    this.#session = undefined
  }
  get session(): BacklogSession | undefined {
    return this.#session
  }
  /**
   * Whether another exchange may be sent. Items of a split one are sent one at a time, because a reply may show which
   * is at fault.
   */
  get maySend(): boolean {
    return (
      this.#session !== undefined && this.#inFlight < (this.#splitter?.isBusy ? 1 : this.#parts.maxExchangesInFlight)
    )
  }
  get inFlight(): number {
    return this.#inFlight
  }
  get roomInFlight(): number {
    return this.#roomInFlight
  }
  /**
   * When the reports of a refused exchange must be sent at the latest, even if a later exchange has been answered
   * since; Infinity if none was refused.
   */
  get resendAt(): number {
    return this.#resendAt
  }
  /**
   * How many of the `free` slots no exchange in flight may fill. If that is not all,
   * {@link ExchangeListener.roomUnclaimed} is called once none is in flight.
   */
  roomWithin(free: number): number {
    this.wantRoom()
    return Math.max(free - this.#roomInFlight, 0)
  }
  /** Jobs could start in slots that exchanges in flight may fill: requests `roomUnclaimed` if these slots stay free. */
  wantRoom(): void {
    if (this.#roomInFlight > 0) this.#roomCutShort = true
  }

  // Reports for the next exchange.

  checkpoint({ record, fence }: Run, value: unknown): Promise<void> {
    return this.#checkpoints.store({ record, fence }, value, this.#parts.strict, this.next, () => this.flush())
  }
  spent(grant: Grant, cost: Cost): void {
    this.next.spent.push({ grant, cost })
  }
  /** A body that outlived the settling of its job has ended. */
  closingBodyEnded(record: JobRecord): void {
    this.next.endedBodies.push(record)
  }
  /**
   * Resolves when everything reported so far is stored. Rejects if the backlog refuses an exchange before that: what was
   * reported is sent again, but a backlog that fails for ever must not make a caller wait for ever.
   */
  async flush(): Promise<void> {
    const stored = new Deferred<void>()
    this.#flushWaiters.push(stored)
    this.#listener.wake()
    await stored.promise
  }

  // Sending.

  /** The next item of an exchange that was split, if any. It precedes other exchanges. */
  nextPiece(): OutgoingExchange | undefined {
    const piece = this.#splitter?.next()
    if (piece) this.#stamp(piece, this.#clock.now())
    return piece
  }
  /** Takes all present reports. Later ones are part of another exchange. */
  take(now: number): OutgoingExchange {
    const exchange = this.next
    this.next = new OutgoingExchange()
    this.#resendAt = Infinity
    this.#stamp(exchange, now)
    return exchange
  }
  #stamp(exchange: OutgoingExchange, now: number): void {
    exchange.now = now
    exchange.wall = this.wall = this.#clock.wall()
  }
  /** Moves endings whose listeners would take longer than the rest of this slice to the next exchange. */
  shorten(exchange: OutgoingExchange): void {
    const { settled } = exchange
    const most = settled.length > 1 ? this.#pacer.sizeFor(this.#parts.cooperator.remainingMs(exchange.now)) : 1
    if (settled.length <= most) return
    exchange.keepBack(most, this.next)
    // Jobs that go back may be among the endings kept for the next exchange. Jobs claimed now would overtake them.
    exchange.room = 0
    this.#listener.reportsRemain()
  }
  send(exchange: OutgoingExchange): void {
    // Callers of `flush` from here on belong to a later exchange.
    const isWhole = !exchange.isPiece && this.next.settled.length === 0
    const waiting = this.#flushWaiters.length > 0 ? this.#flushWaiters : noWaiters
    if (isWhole && waiting !== noWaiters) this.#flushWaiters = []
    const waiters: FlushWaiters = waiting === noWaiters ? nobodyWaits : { waiting, count: waiting.length, isWhole }
    try {
      const reply = (this.#session as BacklogSession).exchange(exchange)
      if (isPromise(reply)) return this.#awaitReply(reply, exchange, waiters)
      this.#replied(reply, exchange, exchange.now)
    } catch (error) {
      return this.#refused(exchange, waiters, error)
    }
    this.#exchangeOver(exchange, waiters, exchange.now)
  }
  #awaitReply(reply: Promise<ExchangeResult>, exchange: OutgoingExchange, waiters: FlushWaiters): void {
    const { loopContext, cooperator } = this.#parts
    this.#inFlight++
    this.#roomInFlight += exchange.room
    const back = (reply: ExchangeResult | undefined, error: unknown): void => {
      this.#inFlight--
      this.#roomInFlight -= exchange.room
      if (!this.#session) return
      if (!cooperator.open && !cooperator.armed) cooperator.openSlice()
      if (!reply) return this.#refused(exchange, waiters, error)
      this.#replied(reply, exchange, this.#clock.now())
      if (this.#roomCutShort && this.#roomInFlight === 0) {
        this.#roomCutShort = false
        this.#listener.roomUnclaimed()
      }
      this.#exchangeOver(exchange, waiters, this.#clock.now())
    }
    reply.then(
      reply => loopContext.runInAsyncScope(back, undefined, reply, undefined),
      error => loopContext.runInAsyncScope(back, undefined, undefined, error),
    )
  }
  #replied(reply: ExchangeResult, exchange: OutgoingExchange, from: number): void {
    this.#listener.replied(reply, exchange)
    const { settled } = exchange
    if (settled.length > 1 || (settled.length > 0 && this.next.settled.length > 0))
      this.#pacer.record(settled.length, this.#clock.now() - from)
  }
  /** Calls `stored` for the checkpoints that the backlog has stored, and rejects the others. */
  answerCheckpoints(
    exchange: OutgoingExchange,
    notices: Notices | undefined,
    stored: (record: JobRecord, value: CheckpointValue) => void,
  ): void {
    this.#checkpoints.answered(exchange, notices, stored)
  }
  #exchangeOver(exchange: OutgoingExchange, { waiting, isWhole }: FlushWaiters, now: number): void {
    if (exchange.isPiece) this.#splitter?.answered(exchange)
    if (isWhole) for (const waiter of waiting) waiter.resolve()
    this.#listener.exchangeOver(exchange, now)
  }

  // Refusals.

  #refused(exchange: OutgoingExchange, { waiting, count, isWhole }: FlushWaiters, error: unknown): void {
    const { isPiece } = exchange
    if (codeOf(error) === 'STORE') {
      this.#splitter ??= new ExchangeSplitter(this.#listener, this.#checkpoints)
      const taken = isPiece
        ? this.#splitter.refused(exchange, (error as StoreError).cause, this.next, error)
        : this.#splitter.split(exchange, isWhole ? waiting : noWaiters)
      if (taken) return this.#listener.wake()
    } else if (isPiece) this.#splitter?.resend(exchange, error)
    if (!isPiece) {
      // A run that waits for its report goes back, and is claimed again when the backlog accepts exchanges.
      for (const report of exchange.launchReports) this.#listener.launchNotReported(report)
      this.next.prepend(exchange)
    }
    const waiters = new Set(waiting.slice(0, count))
    for (const waiter of waiters) waiter.fail(error)
    this.#flushWaiters = this.#flushWaiters.filter(waiter => !waiters.has(waiter))
    this.#resendAt = this.#clock.now() + resendAfterMs
    this.#listener.refused(error)
  }
}
