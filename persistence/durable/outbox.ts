/**
 * Requests that are about to be sent: those of one turn of the event loop are sent together.
 *
 * While an exchange is unanswered, puts wait and are sent behind the next one, in its transaction. Sent alone, they
 * would cost a commit that the exchange then waits for, so a burst of puts would delay the jobs that run.
 */

import type { Clock, Timer } from '../../lib/clock.ts'
import { inCleanContext } from '../../lib/support/clean-context.ts'
import { refusedForGood, toWire } from './errors.ts'
import type { NumberedReply, NumberedRequest } from './store.ts'

/** The longest wait of a put, because a busy disk or a lock may delay the exchange that it waits for. */
const maxWaitMs = 5

const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Outbox {
  readonly #clock: Clock
  readonly #send: (requests: readonly NumberedRequest[]) => void
  readonly #refused: (reply: NumberedReply) => void
  #requests: NumberedRequest[] = []
  /** Puts that wait for the next exchange. */
  #puts: NumberedRequest[] = []
  #exchangesInFlight = 0
  /** An exchange was answered in this turn of the event loop, so the next one is likely to follow in it. */
  #nextExchangeExpected = false
  #scheduled = false
  #patience: Timer | undefined

  /**
   * @param send Sends requests; throws if one of them cannot be sent as it is.
   * @param refused Receives the reply to a request that cannot be sent.
   */
  constructor(
    clock: Clock,
    send: (requests: readonly NumberedRequest[]) => void,
    refused: (reply: NumberedReply) => void,
  ) {
    this.#clock = clock
    this.#send = send
    this.#refused = refused
  }
  push(request: NumberedRequest): void {
    const { kind } = request[1]
    if (kind === 'put' && (this.#exchangesInFlight > 0 || this.#nextExchangeExpected)) {
      this.#puts.push(request)
      this.#patience ??= this.#clock.at(this.#clock.now() + maxWaitMs, this.flush)
      return
    }
    if (kind === 'exchange') this.#exchangesInFlight++
    // Any other request may be about a job that was put before it.
    else this.#join()
    this.#requests.push(request)
    if (this.#scheduled) return
    this.#scheduled = true
    void merged.then(() => {
      this.#scheduled = false
      if (this.#requests.length > 0) this.flush()
    })
  }
  /** An exchange was answered: the next one may follow in this turn of the event loop. */
  exchangeAnswered(): void {
    this.#exchangesInFlight--
    this.#nextExchangeExpected = true
  }
  /** That turn of the event loop is over. */
  loopTurnOver(): void {
    this.#nextExchangeExpected = false
    if (this.#exchangesInFlight === 0 && this.#puts.length > 0) this.flush()
  }
  /** Sends all waiting requests. */
  readonly flush = (): void => {
    this.#join()
    const requests = this.#requests
    this.#requests = []
    if (requests.length > 0) this.#post(requests)
  }
  /** Sends requests. If one of them cannot be sent as it is, it alone is refused. */
  #post(requests: readonly NumberedRequest[]): void {
    try {
      return this.#send(requests)
    } catch (error) {
      if (requests.length > 1) for (const request of requests) this.#post([request])
      else for (const [id, request] of requests) this.#refused([id, { error: toWire(refusedForGood(request, error)) }])
    }
  }
  /** The connection is lost: the link sends the requests again, both the sent ones and those that waited here. */
  clear(): void {
    this.#join()
    this.#requests = []
    this.#exchangesInFlight = 0
    this.#nextExchangeExpected = false
  }
  #join(): void {
    for (const request of this.#puts.splice(0)) this.#requests.push(request)
    this.#patience?.cancel()
    this.#patience = undefined
  }
}
