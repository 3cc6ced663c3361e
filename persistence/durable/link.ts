/**
 * The link between the queue objects of a process and their store: it numbers requests, bounds how many are unanswered,
 * passes replies on in an order that queues can rely on, and finds out what became of requests whose connection was
 * lost.
 *
 * It does not interpret requests, except to resolve them after a lost connection, and does not transport them.
 */
import type { StateCounts } from '../../lib/backlog.ts'
import type { Clock } from '../../lib/clock.ts'
import { OptionError, QueueNameTakenError } from '../../lib/errors.ts'
import { AbandonedBodies } from './abandoned-bodies.ts'
import { StoreClock } from './clock-mapping.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { fromWire } from './errors.ts'
import type { LinkClient } from './link-client.ts'
import { Outbox } from './outbox.ts'
import { type PendingRequest, stoppedError, weigh } from './pending-request.ts'
import { PutNumbers } from './put-numbers.ts'
import { forgetPutSignals, type PutSignals, putSignalsOf } from './put-signals.ts'
import type { AttachReply, NumberedReply, Request } from './store.ts'
import type { StoreIdentity } from './store-identity.ts'
import { maxUnansweredBytes, maxUnansweredJobs } from './transport.ts'
import { errorOfUnanswered, outcomeUnknown, UnansweredRequests } from './unanswered.ts'

/** The delay before a name is attached again after a transient fault. */
const reattachMs = 250

export interface LinkOptions {
  readonly connection: Connection
  readonly clock: Clock
  /** The name of the store in messages to users, such as the path of its file. */
  readonly name: string
  /** Identifies the store. Absent: no other link of this process leads to it. */
  readonly store?: StoreIdentity
  /** Called once, when the link accepts no more requests and another one may be created for the same store. */
  readonly over?: () => void
}

/**
 * | from | event | to |
 * | --- | --- | --- |
 * | opening | the connection is open | open |
 * | open, reconciling | the connection was lost | disconnected |
 * | disconnected | the connection is open again | reconciling |
 * | reconciling | the fate of each unanswered request is known | open |
 * | open, disconnected, reconciling | the last client left | shuttingDown |
 * | shuttingDown | the connection is closed | ended |
 * | any but ended | the connection failed for good | ended |
 */
type State =
  /** Requests wait until the connection is open for the first time. */
  | { readonly kind: 'opening' }
  | { readonly kind: 'open' }
  /** Requests that were sent keep their place; further ones wait. */
  | { readonly kind: 'disconnected'; readonly cause: unknown }
  /** The same, while the sent requests are resolved in order. A later exchange must not be executed before. */
  | { readonly kind: 'reconciling'; readonly cause: unknown }
  /** Requests that were sent get their replies; further ones are refused. */
  | { readonly kind: 'shuttingDown'; readonly closed: Promise<void> }
  /** All requests are refused with `error`. */
  | { readonly kind: 'ended'; readonly error: Error }

export class Link {
  /** Resolves when the connection is open for the first time; rejects when it never will be. */
  readonly opened: Promise<void>
  /** The signals of jobs that were put in this process. */
  readonly signals: PutSignals
  readonly putNumbers: PutNumbers = new PutNumbers()
  readonly #options: LinkOptions
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #clients = new Set<LinkClient>()
  /** Names whose bodies still run though their queue is gone: this process keeps their leases. */
  readonly #keptNames = new Set<string>()
  /** Sent requests, by number. */
  readonly #sent = new Map<number, PendingRequest>()
  /** Requests that are not sent yet: puts beyond the bounds, and all requests while the connection is not open. */
  readonly #unsent: PendingRequest[] = []
  readonly #store: StoreIdentity
  #storeClock: StoreClock | undefined
  readonly #abandoned: AbandonedBodies
  readonly #unanswered = new UnansweredRequests<PendingRequest>()
  readonly #outbox: Outbox
  #resolveOpened!: () => void
  #rejectOpened!: (error: unknown) => void
  #state: State = { kind: 'opening' }
  #lastRequest = 0
  #lastExchange = 0
  #working = 0
  #keepsProcessAlive = false
  #jobs = 0
  #bytes = 0
  /** The kind of the last reply passed on in this turn of the event loop. */
  #lastReply: 'exchange' | 'other' | undefined
  #delayedReplies: NumberedReply[] = []

  constructor(options: LinkOptions) {
    const { connection, clock, store = { process: connection, key: '' } } = options
    this.#store = store
    this.#abandoned = new AbandonedBodies(store)
    this.signals = putSignalsOf(store)
    this.#options = options
    this.#connection = connection
    this.#clock = clock
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve
      this.#rejectOpened = reject
    })
    this.opened.catch(() => {})
    this.#outbox = new Outbox(
      clock,
      requests => connection.send(requests),
      reply => this.#replyInOrder(reply),
    )
    const events: ConnectionEvents = {
      opened: () => this.#connected(),
      replies: replies => this.#receive(replies),
      changed: queues => this.#storeChanged(queues),
      stalled: () => {
        for (const client of this.#clients) if (client.works) client.stalled()
      },
      trouble: error => {
        for (const client of this.#clients) client.failed(error)
      },
      disconnected: cause => this.#disconnected(cause),
      failed: error => this.#fail(error),
    }
    connection.start(events)
    this.#updateRef()
  }
  get outside(): boolean {
    return this.#connection.outside
  }
  get storeClock(): StoreClock {
    this.#storeClock ??= new StoreClock(this.#connection.mapping)
    return this.#storeClock
  }
  /** How many bodies run in this process, of all queue objects that use the store, or used it before they stopped. */
  get bodies(): number {
    return [...this.#clients].reduce((bodies, { running }) => bodies + running, this.#abandoned.count)
  }
  /** The number of an exchange. It grows over all queue objects of this link. */
  nextNumber(): number {
    this.#lastExchange += 1
    return this.#lastExchange
  }

  /** Lets a queue object use the link. Throws OptionError and QueueNameTakenError. */
  enter(client: LinkClient, clock: Clock): void {
    if (clock.origin?.boot !== this.#clock.origin?.boot) {
      const { name } = this.#options
      throw new OptionError('clock', clock, `must be of the kind that the other queues on '${name}' have`)
    }
    if (client.works && [...this.#clients].some(({ works, name }) => works && name === client.name)) {
      throw new QueueNameTakenError(client.name)
    }
    this.#clients.add(client)
    if (client.works) this.#working++
    this.#updateRef()
  }
  /** Undoes `enter`, for a client that has made no request. */
  withdraw(client: LinkClient): void {
    if (this.#clients.delete(client) && client.works) this.#working--
    this.#updateRef()
  }
  /** Resolves when nothing of `client` is left here. After the last one the connection is closed. */
  async leave(client: LinkClient, keepsLeases: boolean): Promise<void> {
    this.withdraw(client)
    this.#abandoned.add(client)
    if (keepsLeases) this.#keptNames.add(client.name)
    if (this.#clients.size > 0 || this.#keptNames.size > 0) return
    await this.#close()
  }
  /** Gives the counts of a name to its other queue objects in this process, and wakes them if it `changed`. */
  notifyOthers(source: LinkClient, counts: StateCounts | undefined, changed: boolean): void {
    for (const client of this.#clients) {
      if (client === source || client.name !== source.name) continue
      if (counts) client.counted(counts)
      if (changed) client.wake()
    }
  }

  /** Resolves with the store's reply. Rejects with its error, and with QueueStoppedError when the link is closed. */
  request<T>(request: Request): Promise<T> {
    return this.#request(request, pending => {
      const waits =
        this.#state.kind !== 'open' || (pending.jobs > 0 && (this.#unsent.length > 0 || !this.#fits(pending)))
      if (waits) this.#unsent.push(pending)
      else this.#send(pending)
    })
  }
  #request<T>(request: Request, go: (pending: PendingRequest) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const state = this.#state
      if (state.kind === 'ended') return reject(state.error)
      // The last client has left, and the store may not reply any more.
      if (state.kind === 'shuttingDown') return reject(stoppedError())
      go({ request, ...weigh(request), resolve, reject } as PendingRequest)
      this.#updateRef()
    })
  }
  #fits({ jobs, bytes }: PendingRequest): boolean {
    return this.#jobs === 0 || (this.#jobs + jobs <= maxUnansweredJobs && this.#bytes + bytes <= maxUnansweredBytes)
  }
  #send(pending: PendingRequest): void {
    this.#lastRequest += 1
    this.#jobs += pending.jobs
    this.#bytes += pending.bytes
    this.#sent.set(this.#lastRequest, pending)
    this.#outbox.push([this.#lastRequest, pending.request])
  }
  /** Sends puts that waited for replies to others. */
  #sendWaitingPuts(): void {
    if (this.#state.kind !== 'open') return
    while (this.#unsent[0] && this.#fits(this.#unsent[0])) this.#send(this.#unsent.shift() as PendingRequest)
  }
  /**
   * Sends everything that waited for the connection. Only puts may continue to wait: a waiting exchange could be
   * overtaken by the next.
   */
  #sendAllWaiting(): void {
    const waiting = this.#unsent.splice(0)
    for (const pending of waiting) {
      if (pending.jobs > 0 && (this.#unsent.length > 0 || !this.#fits(pending))) this.#unsent.push(pending)
      else this.#send(pending)
    }
    this.#updateRef()
  }
  /** A queue with a handler keeps the process alive, and so does an unanswered request. */
  #updateRef(): void {
    const { kind } = this.#state
    const waits = this.#sent.size + this.#unsent.length + this.#unanswered.count > 0
    const keeps = kind !== 'ended' && (kind !== 'open' || waits || this.#working > 0)
    if (keeps === this.#keepsProcessAlive) return
    this.#keepsProcessAlive = keeps
    if (keeps) this.#connection.ref()
    else this.#connection.unref()
  }

  /** Queues should make an exchange: all, because another process changed the store or died; or only `queues`. */
  #storeChanged(queues: readonly number[] | undefined): void {
    for (const client of this.#clients) {
      if (!queues) client.wake()
      else if (queues.includes(client.queue)) client.makeExchange()
    }
  }
  #receive(replies: readonly NumberedReply[]): void {
    for (const reply of replies) this.#replyInOrder(reply)
    this.#sendWaitingPuts()
    this.#updateRef()
  }
  /**
   * Passes replies on in the order in which they came, one turn of the event loop apart if an exchange is involved:
   *
   * 1. A put or command is answered before a later exchange, which may claim the job.
   * 2. A command or query is answered after an earlier exchange, because it may reflect later changes of jobs that
   *    ended in it.
   * 3. A put behind an exchange waits too, so that the next exchange is sent before a long list of puts is resolved.
   */
  #replyInOrder(reply: NumberedReply): void {
    const [id] = reply
    const kind = this.#sent.get(id)?.request.kind
    const waits = this.#lastReply === (kind === 'exchange' ? 'other' : 'exchange')
    if (waits || this.#delayedReplies.length > 0) {
      this.#delayedReplies.push(reply)
      if (this.#delayedReplies.length === 1) this.#clock.soon(this.#replyDelayed)
      return
    }
    if (kind === 'exchange') this.#outbox.exchangeAnswered()
    this.#resolveRequest(reply)
    if (this.#lastReply === undefined) this.#clock.soon(this.#loopTurnOver)
    this.#lastReply = kind === 'exchange' ? 'exchange' : 'other'
  }
  readonly #loopTurnOver = (): void => {
    this.#lastReply = undefined
    this.#outbox.loopTurnOver()
  }
  readonly #replyDelayed = (): void => {
    const delayed = this.#delayedReplies
    this.#delayedReplies = []
    this.#lastReply = undefined
    for (const reply of delayed) this.#replyInOrder(reply)
    this.#updateRef()
  }
  #resolveRequest([id, result]: NumberedReply): void {
    const pending = this.#forget(id)
    if (!pending) return
    const { request } = pending
    if ('ok' in result) return pending.resolve(result.ok as never)
    const error = fromWire(result.error)
    pending.reject(result.error.code === 'OUTCOME_UNKNOWN' ? outcomeUnknown(request, error) : error)
  }

  #forget(id: number): PendingRequest | undefined {
    const pending = this.#sent.get(id)
    if (!pending) return undefined
    this.#sent.delete(id)
    this.#jobs -= pending.jobs
    this.#bytes -= pending.bytes
    return pending
  }

  #connected(): void {
    switch (this.#state.kind) {
      case 'opening':
        this.#state = { kind: 'open' }
        this.#sendAllWaiting()
        return this.#resolveOpened()
      case 'disconnected':
        return this.#reconcile(this.#state.cause)
    }
  }
  #disconnected(cause: unknown): void {
    const { kind } = this.#state
    if (kind !== 'open' && kind !== 'reconciling') return
    this.#state = { kind: 'disconnected', cause }
    this.#outbox.clear()
    this.#updateRef()
  }
  /** Attaches the names again, then resolves each request that was sent, in order. Further requests wait. */
  #reconcile(cause: unknown): void {
    this.#state = { kind: 'reconciling', cause }
    const sent = this.#takeUnanswered()
    for (const client of this.#clients) this.#reattach(client, true)
    void this.#unanswered.resolve(sent, {
      query: request => this.#request(request, pending => this.#send(pending)),
      resend: pending => this.#send(pending),
      refusal: request => {
        const state = this.#state
        if (state.kind === 'ended') return errorOfUnanswered(request, state.error)
        return state.kind === 'shuttingDown' ? stoppedError() : undefined
      },
      cause: () => (this.#state.kind === 'ended' ? this.#state.error : cause),
      resolved: () => {
        if (this.#state.kind !== 'reconciling') return
        this.#state = { kind: 'open' }
        this.#sendAllWaiting()
      },
    })
  }
  /** An attach request of the client itself may be in flight too; attaching twice does no harm. */
  #reattach(client: LinkClient, reports: boolean): void {
    if (!this.#clients.has(client)) return
    this.#request<AttachReply>(this.#attachRequest(client), pending => this.#send(pending)).then(
      reply => client.attached(reply),
      error => {
        if (reports && this.#clients.has(client)) client.failed(error)
        if (!this.#connection.isTransient(error)) return
        this.#clock.at(this.#clock.now() + reattachMs, () => this.#reattach(client, false))
      },
    )
  }
  #attachRequest({ attachRequest }: LinkClient): Request {
    return { ...attachRequest, now: this.storeClock.earliest(this.#clock.now()), wall: this.#clock.wall() }
  }

  /** Fails the link for good: all requests are rejected, now and later. */
  #fail(error: Error): void {
    const { kind } = this.#state
    if (kind === 'ended') return
    this.#end(error)
    // Only for requests in flight when the connection broke is it unknown whether they were executed.
    for (const { request, reject } of this.#takeUnanswered())
      reject(kind === 'disconnected' ? errorOfUnanswered(request, error) : error)
    for (const { reject } of this.#unsent.splice(0)) reject(error)
    this.#rejectOpened(error)
    if (kind !== 'opening') for (const client of this.#clients) client.failed(error)
  }
  #close(): Promise<void> {
    const state = this.#state
    if (state.kind === 'shuttingDown') return state.closed
    if (state.kind === 'ended') return Promise.resolve()
    if (state.kind === 'opening') return this.opened.then(() => this.#close()).catch(() => {})
    this.#options.over?.()
    forgetPutSignals(this.#store)
    const closed = this.#closeConnection()
    this.#state = { kind: 'shuttingDown', closed }
    this.#updateRef()
    return closed
  }
  async #closeConnection(): Promise<void> {
    this.#outbox.flush()
    await this.#connection.close()
    this.#end(stoppedError())
    for (const { reject } of [...this.#takeUnanswered(), ...this.#unsent.splice(0)]) reject(stoppedError())
  }
  #end(error: Error): void {
    const isOver = this.#state.kind === 'shuttingDown'
    this.#state = { kind: 'ended', error }
    this.#outbox.clear()
    this.#updateRef()
    if (!isOver) this.#options.over?.()
  }
  /** Removes the sent requests whose replies have not arrived. A delayed reply has: its request is answered soon. */
  #takeUnanswered(): readonly PendingRequest[] {
    const answered = new Set(this.#delayedReplies.map(([id]) => id))
    const unanswered = [...this.#sent].filter(([id]) => !answered.has(id))
    for (const [id] of unanswered) this.#forget(id)
    return unanswered.map(([, pending]) => pending)
  }
}
