/**
 * Puts for which the queue has no space. With `overflow: 'wait'` they wait here, first come first served, and are sent as
 * space is freed: only as many at a time as there is space for, so that the rest stays untouched.
 *
 * A waiting put can be withdrawn: by a signal, by a cancel of its id, by a clear, and by a stop.
 */
import type { BacklogSession } from '../backlog.ts'
import type { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { type QueueBound, recordsOf, type WaitingEntry } from './entries.ts'
import type { Refusals } from './refusals.ts'
import { endOfFitting, WaitingPuts } from './waiting-puts.ts'
import type { Withdrawals } from './withdrawals.ts'

export interface OverflowListener {
  /** A job with a signal was on its way, and now waits for space. */
  waitsForSpace(record: JobRecord): void
}

export class Overflow {
  readonly #lifecycle: Lifecycle
  readonly #bound: QueueBound
  readonly #refusals: Refusals
  readonly #withdrawals: Withdrawals
  readonly #listener: OverflowListener
  readonly #waiting = new WaitingPuts()
  #session: BacklogSession | undefined

  constructor(
    lifecycle: Lifecycle,
    bound: QueueBound,
    refusals: Refusals,
    withdrawals: Withdrawals,
    listener: OverflowListener,
  ) {
    this.#lifecycle = lifecycle
    this.#bound = bound
    this.#refusals = refusals
    this.#withdrawals = withdrawals
    this.#listener = listener
  }
  open(session: BacklogSession): void {
    this.#session = session
  }
  /** How many puts wait, including withdrawn ones that have not been passed over. */
  get length(): number {
    return this.#waiting.length
  }
  /**
   * Whether waiting puts are to be sent; they go before all others. After a stop the answer is no, because the shutdown
   * removes and refuses them.
   */
  get hasNext(): boolean {
    return this.#waiting.length > 0 && !this.#lifecycle.stopping
  }
  /** Whether a put with a job of this id waits. */
  has(id: string): boolean {
    return this.#waiting.has(id)
  }
  of(id: string): readonly WaitingEntry[] {
    return this.#waiting.of(id)
  }
  /** A put was withdrawn. It is no longer found by its ids. */
  forget(entry: WaitingEntry): void {
    this.#waiting.forgetIds(entry)
  }
  /** Removes all puts that wait, for a caller who will refuse them. */
  takeAll(): readonly WaitingEntry[] {
    return this.#withdrawals.remaining(this.#waiting.takeAll())
  }
  /** Puts wait again, before all others. */
  putBack(entries: readonly WaitingEntry[]): void {
    this.#waiting.putBack(entries)
    for (const entry of entries) this.#allowWithdrawal(entry)
  }
  /**
   * Sends as many as fit of these puts, after those that wait already. The others wait.
   * @param areRecords Each entry is the record of a single job.
   */
  send(entries: readonly WaitingEntry[], areRecords: boolean): Promise<void> {
    if (!this.hasNext) return this.#sendNew(entries, areRecords)
    for (const entry of entries) this.#wait(entry)
    return this.#sendWaiting()
  }
  async #sendWaiting(): Promise<void> {
    while (this.hasNext) {
      const batch = this.#withdrawals.remaining(this.#waiting.take(this.#space))
      const rest = await this.#refusals.send(batch, false)
      if (rest.length > 0) return this.putBack(rest)
    }
  }
  async #sendNew(all: readonly WaitingEntry[], areRecords: boolean): Promise<void> {
    for (let from = 0; from < all.length; ) {
      const to = endOfFitting(all, from, this.#space)
      const batch = to - from === all.length ? all : all.slice(from, to)
      const rest = await this.#refusals.send(batch, areRecords)
      from = to
      if (rest.length === 0) continue
      for (const entry of rest) this.#wait(entry)
      for (; from < all.length; from++) this.#wait(all[from] as WaitingEntry)
    }
  }
  /**
   * How many jobs to send at once, as of the backlog's last reply. Another process may have used or freed space since, so
   * at least one put is tried.
   */
  get #space(): number {
    const { waits, size } = this.#bound
    if (!waits || size === Infinity) return Infinity
    const { pending, delayed } = (this.#session as BacklogSession).counts
    return size - pending - delayed
  }
  #wait(entry: WaitingEntry): void {
    this.#waiting.push(entry)
    this.#allowWithdrawal(entry)
  }
  /** The signals of its jobs may withdraw the put. A signal that aborted while the put was in flight could not. */
  #allowWithdrawal(entry: WaitingEntry): void {
    const signalled = recordsOf([entry]).filter(record => record.live?.signal)
    for (const record of signalled) this.#withdrawals.allow(record, entry)
    for (const record of signalled) this.#listener.waitsForSpace(record)
  }
}
