/**
 * The connection to a store that this process calls directly: an object in memory, or the client of a database server.
 *
 * Requests that come during a transaction are gathered into the next one, so that as many as possible share a commit. A
 * busy store is called again; after a lost reply it is reopened, and the link finds out what was executed.
 */

import type { MaybePromise } from '../../lib/backlog.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { inCleanContext } from '../../lib/support/clean-context.ts'
import { type ClockMapping, hostMapping } from './clock-mapping.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { refusedForGood, toWire } from './errors.ts'
import { BusyWait, busyRetryMs } from './execute/busy-wait.ts'
import { batchLength, isQuery } from './execute/request-batch.ts'
import {
  type NumberedReply,
  type NumberedRequest,
  type QueryRequest,
  ReplyLostError,
  type RequestResult,
  type Store,
  StoreBusyError,
} from './store.ts'

/** How often, and for how long, the reopening of a store is tried. */
const reopenMs = 250
const maxReopenMs = 60_000

export interface LocalConnectionOptions {
  readonly clock: Clock
  /** Opens the store: at first, and after each lost reply, for the same worker. */
  open(): MaybePromise<Store>
  /** Absent: the store counts by the steady clock of this host. */
  readonly mapping?: ClockMapping
  /**
   * Whether replies take time that `clock` does not count, so that a clock that a test turns must wait for them.
   * Absent: they do not.
   */
  readonly outside?: boolean
  /** Whether a request that was refused with `error` is worth sending again. Absent: none is. */
  isTransient?(error: unknown): boolean
  /** Keeps the process alive while queues have handlers, such as a socket. Absent: nothing does. */
  readonly keepAlive?: { ref(): void; unref(): void }
}

type State =
  /** Requests are gathered until the store is open. `since` is when it was lost; undefined at first. */
  | { readonly kind: 'opening'; readonly since: number | undefined }
  | { readonly kind: 'open'; readonly store: Store }
  | { readonly kind: 'over' }

export class LocalConnection implements Connection {
  readonly mapping: ClockMapping
  readonly outside: boolean
  readonly #options: LocalConnectionOptions
  readonly #clock: Clock
  readonly #dead = new Set<string>()
  #events!: ConnectionEvents
  #state: State = { kind: 'opening', since: undefined }
  #requests: NumberedRequest[] = []
  #surrenders = false
  #isWorking = false
  readonly #busy = new BusyWait()
  /** The store whose changes are watched. */
  #watched: Store | undefined
  #inTrouble = false
  #timer: Timer | undefined
  #closed: (() => void) | undefined

  constructor(options: LocalConnectionOptions) {
    const { clock, mapping = hostMapping(clock), outside = false } = options
    this.#options = options
    this.#clock = clock
    this.mapping = mapping
    this.outside = outside
  }
  start(events: ConnectionEvents): void {
    this.#events = events
    this.#wake()
  }
  send(requests: readonly NumberedRequest[]): void {
    for (const request of requests) this.#requests.push(request)
    this.#wake()
  }
  isTransient(error: unknown): boolean {
    return this.#options.isTransient?.(error) ?? false
  }
  ref(): void {
    this.#options.keepAlive?.ref()
  }
  unref(): void {
    this.#options.keepAlive?.unref()
  }
  close(): Promise<void> {
    return new Promise(closed => {
      if (this.#state.kind !== 'open') this.#end()
      if (this.#state.kind === 'over') return closed()
      this.#closed = closed
      this.#wake()
    })
  }
  /** That worker has died: takes over what it held. */
  recover(worker: string): void {
    this.#dead.add(worker)
    this.#wake()
  }
  /** Other processes take this one for dead, or it was suspended for too long: gives up the claims of its queues. */
  surrender(): void {
    this.#surrenders = true
    this.#wake()
  }

  #wake(): void {
    if (this.#isWorking || this.#timer || this.#state.kind === 'over') return
    this.#isWorking = true
    void inCleanContext(this.#work, this)
  }
  /** Does one step after the other, until nothing is left or it has to wait. */
  async #work(): Promise<void> {
    // Requests that are sent in the same step share a batch.
    await undefined
    while (this.#timer === undefined && (await this.#step()));
    this.#isWorking = false
    // More may have come since the last check.
    if (this.#hasWork) this.#wake()
  }
  get #hasWork(): boolean {
    if (this.#state.kind === 'opening') return true
    return this.#requests.length + this.#dead.size > 0 || this.#surrenders || this.#closed !== undefined
  }
  /** Returns whether there was anything to do. */
  async #step(): Promise<boolean> {
    const state = this.#state
    if (state.kind === 'over' || !this.#hasWork) return false
    if (state.kind === 'opening') await this.#open(state.since)
    else if (this.#dead.size > 0) await this.#recover(state.store)
    else if (this.#surrenders) await this.#surrender(state.store)
    else if (this.#requests.length > 0) await this.#transact(state.store)
    else await this.#close(state.store)
    return true
  }
  #later(ms: number): void {
    this.#timer = this.#clock.at(this.#clock.now() + ms, () => {
      this.#timer = undefined
      this.#wake()
    })
  }

  async #open(since: number | undefined): Promise<void> {
    try {
      const store = await this.#options.open()
      if (this.#state.kind !== 'opening') return
      if (store !== this.#watched) {
        store.onChange?.(() => {
          if (this.#state.kind === 'open' && this.#state.store === store) this.#events.changed()
        })
      }
      this.#watched = store
      this.#state = { kind: 'open', store }
      this.#busy.over()
      this.#events.opened()
    } catch (error) {
      if (this.#state.kind === 'opening') this.#notOpened(error, since)
    }
  }
  #notOpened(cause: unknown, since: number | undefined): void {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    const now = this.#clock.now()
    const isBusy = cause instanceof StoreBusyError
    const { isTooLong } = this.#busy.split([], now)
    if (since === undefined ? !isBusy || isTooLong : now - since > maxReopenMs) {
      this.#end()
      return this.#events.failed(error)
    }
    this.#later(isBusy ? this.#busyMs() : reopenMs)
  }
  async #recover(store: Store): Promise<void> {
    const [worker = ''] = this.#dead
    try {
      const changed = await store.recover(worker, ...this.#instants())
      this.#dead.delete(worker)
      this.#inTrouble = false
      if (changed.length > 0) this.#events.changed()
    } catch (error) {
      this.#notDone(error)
    }
  }
  async #surrender(store: Store): Promise<void> {
    try {
      await store.surrender(...this.#instants())
      this.#surrenders = false
      this.#inTrouble = false
      this.#events.stalled()
    } catch (error) {
      this.#notDone(error)
    }
  }
  /** Work that belongs to no request is repeated until it succeeds. */
  #notDone(error: unknown): void {
    if (error instanceof ReplyLostError) return this.#disconnected(error)
    if (error instanceof StoreBusyError) return this.#later(this.#busyMs())
    if (!this.#inTrouble) this.#events.trouble(error instanceof Error ? error : new Error(String(error)))
    this.#inTrouble = true
    this.#later(reopenMs)
  }
  #instants(): readonly [now: number, wall: number] {
    return [this.mapping.toStore(this.#clock.now()), this.#clock.wall()]
  }
  async #close(store: Store): Promise<void> {
    // A worker that could not unregister is recovered by the others when they find it dead.
    await Promise.resolve(store.close()).catch(() => false)
    this.#end()
  }
  #end(): void {
    this.#state = { kind: 'over' }
    this.#timer?.cancel()
    this.#requests = []
    this.#closed?.()
  }
  /** The link still has the requests, and sends those again that were not executed. */
  #disconnected(cause: unknown): void {
    this.#requests = []
    if (this.#closed) return this.#end()
    this.#state = { kind: 'opening', since: this.#clock.now() }
    this.#events.disconnected(cause)
  }

  async #transact(store: Store): Promise<void> {
    const requests = this.#requests.splice(0, batchLength(this.#requests))
    const round = new Round()
    const writes = requests.filter(([, { kind }]) => !isQuery(kind))
    if (writes.length > 0) await this.#write(store, writes, round)
    for (const request of requests) if (isQuery(request[1].kind)) await this.#read(store, request, round)
    const { replies, left, replyLost, busy } = round
    if (replies.length > 0) this.#events.replies(replies)
    if (replyLost) return this.#disconnected(replyLost)
    if (!busy) this.#busy.over()
    else {
      this.#requests.unshift(...left)
      this.#later(this.#busyMs())
    }
  }
  async #write(store: Store, requests: readonly NumberedRequest[], round: Round): Promise<void> {
    if (round.replyLost) return
    if (round.busy) return round.leave(...requests)
    try {
      const results = await store.transact(requests.map(([, request]) => request))
      for (const [i, [id]] of requests.entries()) round.replies.push([id, results[i] as RequestResult])
    } catch (error) {
      if (error instanceof ReplyLostError) round.replyLost = error
      else if (error instanceof StoreBusyError) this.#notNow(requests, round, error)
      else if (requests.length === 1) for (const request of requests) round.refuse(request, error)
      // Sent one by one, only the request at fault is refused.
      else for (const request of requests) await this.#write(store, [request], round)
    }
  }
  async #read(store: Store, request: NumberedRequest, round: Round): Promise<void> {
    if (round.replyLost) return
    if (round.busy) return round.leave(request)
    try {
      round.replies.push([request[0], { ok: await store.query(request[1] as QueryRequest) }])
    } catch (error) {
      if (error instanceof ReplyLostError) round.replyLost = error
      else if (error instanceof StoreBusyError) this.#notNow([request], round, error)
      else round.refuse(request, error)
    }
  }
  /** Nothing was executed. Exchanges are never refused for that, because their queues would lose the settles. */
  #notNow(requests: readonly NumberedRequest[], round: Round, error: StoreBusyError): void {
    const { waiting, refused } = this.#busy.split(requests, this.#clock.now())
    round.busy = true
    round.leave(...waiting)
    for (const request of refused) round.refuse(request, error.cause ?? error)
  }
  #busyMs(): number {
    return busyRetryMs(this.#clock.random())
  }
}

/** The results of one batch of requests. */
class Round {
  readonly replies: NumberedReply[] = []
  /** Not executed, because the store was busy. */
  readonly left: NumberedRequest[] = []
  busy = false
  /** Unanswered requests may have been executed or not. */
  replyLost: ReplyLostError | undefined

  leave(...requests: readonly NumberedRequest[]): void {
    this.left.push(...requests)
  }
  refuse([id, request]: NumberedRequest, error: unknown): void {
    const isBusy = error instanceof StoreBusyError
    this.replies.push([id, { error: toWire(isBusy ? error : refusedForGood(request, error)) }])
  }
}
