/**
 * The connection to a store that this process calls itself: an object in memory, or the client of a database server.
 *
 * Requests that come while an exchange is under way are gathered into the next one, so that as many as possible share a
 * commit. A store that is busy is asked again; after a lost answer it is opened anew, and the link finds out what was done.
 */
import type { MaybePromise } from '../../lib/backlog.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { inCleanContext } from '../../lib/support/clean-context.ts'
import { type ClockMapping, hostMapping } from './clock-mapping.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { refusedForGood, toWire } from './errors.ts'
import { batchLength, isPatient, isQuery } from './request-batch.ts'
import {
  type Answered,
  AnswerLostError,
  type NumberedReply,
  type NumberedRequest,
  type QueryRequest,
  type Store,
  StoreBusyError,
} from './store.ts'

/** How soon a busy store is asked again: about so long, by chance, so that two processes do not meet again. */
const busyRetryMs = 4
/** After so long, a busy store is an error for all but exchanges and farewells, which go on waiting. */
const maxBusyMs = 10_000
/** How often, and for how long, a store that was open is opened anew. */
const reopenMs = 250
const maxReopenMs = 60_000

export interface LocalConnectionOptions {
  readonly clock: Clock
  /** Opens the store: at first, and after each lost answer, by the same worker. */
  open(): MaybePromise<Store>
  /** Absent: the store counts by the steady clock of this host. */
  readonly mapping?: ClockMapping
  /** Whether replies take time that `clock` does not count: one that a test turns waits for them. Absent: they do not. */
  readonly outside?: boolean
  /** Whether a request that was refused with `error` is worth sending again. Absent: none is. */
  isTransient?(error: unknown): boolean
  /** What keeps the process alive while queues work, such as a socket. Absent: nothing. */
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
  #busySince: number | undefined
  /** Reports its changes. */
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
  /** This process is taken for dead by others, or stood still for too long: gives up what its queues have claimed. */
  surrender(): void {
    this.#surrenders = true
    this.#wake()
  }

  #wake(): void {
    if (this.#isWorking || this.#timer || this.#state.kind === 'over') return
    this.#isWorking = true
    void inCleanContext(this.#work, this)
  }
  /** Does one thing after the other, until nothing is left or a while has to pass. */
  async #work(): Promise<void> {
    // What is sent in the same breath goes together.
    await undefined
    while (this.#timer === undefined && (await this.#step()));
    this.#isWorking = false
    // Something may have come after the last look.
    if (this.#hasWork) this.#wake()
  }
  get #hasWork(): boolean {
    if (this.#state.kind === 'opening') return true
    return this.#requests.length + this.#dead.size > 0 || this.#surrenders || this.#closed !== undefined
  }
  /** Whether there was anything to do. */
  async #step(): Promise<boolean> {
    const state = this.#state
    if (state.kind === 'over' || !this.#hasWork) return false
    if (state.kind === 'opening') await this.#open(state.since)
    else if (this.#dead.size > 0) await this.#recover(state.store)
    else if (this.#surrenders) await this.#surrender(state.store)
    else if (this.#requests.length > 0) await this.#exchange(state.store)
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
      const others = (await store.workers()).length > 0
      if (this.#state.kind !== 'opening') return
      if (store !== this.#watched) {
        store.onChange?.(() => {
          if (this.#state.kind === 'open' && this.#state.store === store) this.#events.changed()
        })
      }
      this.#watched = store
      this.#state = { kind: 'open', store }
      this.#busySince = undefined
      this.#events.opened(others)
    } catch (error) {
      if (this.#state.kind === 'opening') this.#notOpened(error, since)
    }
  }
  #notOpened(cause: unknown, since: number | undefined): void {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    const now = this.#clock.now()
    const isBusy = cause instanceof StoreBusyError
    this.#busySince ??= now
    if (since === undefined ? !isBusy || now - this.#busySince > maxBusyMs : now - since > maxReopenMs) {
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
  /** What no request asked for is done again, until it is done. */
  #notDone(error: unknown): void {
    if (error instanceof AnswerLostError) return this.#lost(error)
    if (error instanceof StoreBusyError) return this.#later(this.#busyMs())
    if (!this.#inTrouble) this.#events.trouble(error instanceof Error ? error : new Error(String(error)))
    this.#inTrouble = true
    this.#later(reopenMs)
  }
  #instants(): readonly [now: number, wall: number] {
    return [this.mapping.toStore(this.#clock.now()), this.#clock.wall()]
  }
  async #close(store: Store): Promise<void> {
    // A worker that is not signed off is recovered by the others when they find it dead.
    await Promise.resolve(store.close()).catch(() => false)
    this.#end()
  }
  #end(): void {
    this.#state = { kind: 'over' }
    this.#timer?.cancel()
    this.#requests = []
    this.#closed?.()
  }
  /** The link still has what was asked, and sends again what it finds undone. */
  #lost(cause: unknown): void {
    this.#requests = []
    if (this.#closed) return this.#end()
    this.#state = { kind: 'opening', since: this.#clock.now() }
    this.#events.lost(cause)
  }

  async #exchange(store: Store): Promise<void> {
    const requests = this.#requests.splice(0, batchLength(this.#requests))
    const round = new Round()
    const writes = requests.filter(([, { kind }]) => !isQuery(kind))
    if (writes.length > 0) await this.#write(store, writes, round)
    for (const request of requests) if (isQuery(request[1].kind)) await this.#read(store, request, round)
    const { replies, left, lost, busy } = round
    if (replies.length > 0) this.#events.replies(replies)
    if (lost) return this.#lost(lost)
    if (!busy) this.#busySince = undefined
    else {
      this.#requests.unshift(...left)
      this.#later(this.#busyMs())
    }
  }
  async #write(store: Store, requests: readonly NumberedRequest[], round: Round): Promise<void> {
    if (round.lost) return
    if (round.busy) return round.leave(...requests)
    try {
      const answers = await store.exchange(requests.map(([, request]) => request))
      for (const [i, [id]] of requests.entries()) round.replies.push([id, answers[i] as Answered])
    } catch (error) {
      if (error instanceof AnswerLostError) round.lost = error
      else if (error instanceof StoreBusyError) this.#notNow(requests, round, error)
      else if (requests.length === 1) for (const request of requests) round.refuse(request, error)
      // The one at fault is refused alone.
      else for (const request of requests) await this.#write(store, [request], round)
    }
  }
  async #read(store: Store, request: NumberedRequest, round: Round): Promise<void> {
    if (round.lost) return
    if (round.busy) return round.leave(request)
    try {
      round.replies.push([request[0], { ok: await store.query(request[1] as QueryRequest) }])
    } catch (error) {
      if (error instanceof AnswerLostError) round.lost = error
      else if (error instanceof StoreBusyError) this.#notNow([request], round, error)
      else round.refuse(request, error)
    }
  }
  /** Nothing was done. Exchanges are never refused for it: what they settle would be lost to their queues. */
  #notNow(requests: readonly NumberedRequest[], round: Round, error: StoreBusyError): void {
    const now = this.#clock.now()
    this.#busySince ??= now
    round.busy = true
    const isOver = now - this.#busySince > maxBusyMs
    for (const request of requests) {
      if (isOver && !isPatient(request)) round.refuse(request, error.cause ?? error)
      else round.leave(request)
    }
  }
  #busyMs(): number {
    return 1 + busyRetryMs * this.#clock.random()
  }
}

/** What came of one batch of requests. */
class Round {
  readonly replies: NumberedReply[] = []
  /** Not done: the store was busy. */
  readonly left: NumberedRequest[] = []
  busy = false
  /** What was not answered may be done or not. */
  lost: AnswerLostError | undefined

  leave(...requests: readonly NumberedRequest[]): void {
    this.left.push(...requests)
  }
  refuse([id, request]: NumberedRequest, error: unknown): void {
    const isBusy = error instanceof StoreBusyError
    this.replies.push([id, { error: toWire(isBusy ? error : refusedForGood(request, error)) }])
  }
}
