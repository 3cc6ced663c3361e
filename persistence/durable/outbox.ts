/**
 * Requests that are about to be sent: those of one turn of the event loop are sent together.
 *
 * While an exchange is unanswered, puts wait and are sent behind the next one, in its transaction. Sent alone, they would
 * cost a commit that the exchange then waits for; so a burst of puts does not hold up the jobs that run.
 */

import type { Clock, Timer } from '../../lib/clock.ts'
import { inCleanContext } from '../../lib/support/clean-context.ts'
import { refusedForGood, toWire } from './errors.ts'
import type { NumberedReply, NumberedRequest } from './store.ts'

/** No longer do puts wait for a turn: one that the disk or a lock holds up may stay away. */
const waitMostMs = 5

const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Outbox {
  readonly #clock: Clock
  readonly #over: (asks: readonly NumberedRequest[]) => void
  readonly #refused: (reply: NumberedReply) => void
  #asks: NumberedRequest[] = []
  /** Puts that wait for the next turn. */
  #puts: NumberedRequest[] = []
  #turnsAway = 0
  /** A turn was answered in this turn of the loop, in which the next is likely to set out. */
  #between = false
  #scheduled = false
  #patience: Timer | undefined

  /**
   * @param over Sends them; throws where one of them cannot be sent as it is.
   * @param refused Takes the reply to one that cannot.
   */
  constructor(clock: Clock, over: (asks: readonly NumberedRequest[]) => void, refused: (reply: NumberedReply) => void) {
    this.#clock = clock
    this.#over = over
    this.#refused = refused
  }
  push(ask: NumberedRequest): void {
    const { kind } = ask[1]
    if (kind === 'put' && (this.#turnsAway > 0 || this.#between)) {
      this.#puts.push(ask)
      this.#patience ??= this.#clock.at(this.#clock.now() + waitMostMs, this.flush)
      return
    }
    if (kind === 'turn') this.#turnsAway++
    // A question may be about what was put before it.
    else this.#join()
    this.#asks.push(ask)
    if (this.#scheduled) return
    this.#scheduled = true
    void merged.then(() => {
      this.#scheduled = false
      if (this.#asks.length > 0) this.flush()
    })
  }
  /** A turn was answered: what follows of it in this turn of the loop may be the next. */
  answered(): void {
    this.#turnsAway--
    this.#between = true
  }
  /** That turn of the loop is over. */
  over(): void {
    this.#between = false
    if (this.#turnsAway === 0 && this.#puts.length > 0) this.flush()
  }
  /** Posts all there is. */
  readonly flush = (): void => {
    this.#join()
    const asks = this.#asks
    this.#asks = []
    if (asks.length > 0) this.#post(asks)
  }
  /** Where one of them cannot be sent as it is, it is refused alone and the others go. */
  #post(asks: readonly NumberedRequest[]): void {
    try {
      return this.#over(asks)
    } catch (error) {
      if (asks.length > 1) for (const ask of asks) this.#post([ask])
      else for (const [id, request] of asks) this.#refused([id, { error: toWire(refusedForGood(request, error)) }])
    }
  }
  /** The connection is lost: the link sends again what was sent, and what waited here. */
  clear(): void {
    this.#join()
    this.#asks = []
    this.#turnsAway = 0
    this.#between = false
  }
  #join(): void {
    for (const ask of this.#puts.splice(0)) this.#asks.push(ask)
    this.#patience?.cancel()
    this.#patience = undefined
  }
}
