/**
 * `queue.events(…)`: the events of one name as an async iterator.
 *
 * It buffers events from the call on, whether or not anybody reads. The buffer is bounded, and the cost of a read does
 * not depend on its size. The iterator ends with the queue, its signal, `return()`, or the removal of its listener.
 */

import { EventsLostError } from '../errors.ts'
import { checkSignal } from '../options/options.ts'
import { optionsOf } from '../parse/option-names.ts'
import { checkWhole } from '../parse/whole.ts'
import { Deferred } from '../support/deferred.ts'
import type { Unlisten } from '../support/signals.ts'
import type { QueueEventName, SafeEmitter } from './events.ts'

export interface EventsOptions {
  /** Ends the iterator when it aborts. */
  signal?: AbortSignal | undefined
  /** How many unread events are buffered: a whole number of 1 or more, or Infinity; 100,000. */
  most?: number | undefined
}

const defaultMax = 100_000
/** The buffer drops its read events once there are this many, and at least as many as unread ones. */
const minRead = 1_024

export class EventStream<Args extends unknown[]> implements AsyncGenerator<Args, void> {
  readonly event: QueueEventName
  readonly #emitter: SafeEmitter<unknown, unknown>
  readonly #most: number
  #buffer: (Args | undefined)[] = []
  /** How many of the buffered events were read. */
  #read = 0
  #lost = 0
  #ended = false
  #unlisten: Unlisten | undefined
  /** Calls of `next()` that wait for an event. */
  #waiting: Deferred<IteratorResult<Args, void>>[] = []

  /**
   * @param listen Registers a call for the abort of the signal; calls at once if it has aborted. Returns what
   * unregisters it.
   */
  constructor(
    emitter: SafeEmitter<unknown, unknown>,
    event: QueueEventName,
    options: EventsOptions,
    listen: (signal: AbortSignal, call: () => void) => Unlisten,
  ) {
    const { signal, most = defaultMax } = optionsOf('events.', options, ['signal', 'most']) as EventsOptions
    if (signal !== undefined) checkSignal('events.signal', signal)
    this.#most = checkWhole('events.most', most, 1)
    this.#emitter = emitter
    this.event = event
    emitter.on(event, this.#receive as never)
    if (emitter.over) this.end()
    else emitter.streams.add(this)
    if (signal && !this.#ended) {
      const unlisten = listen(signal, () => this.end())
      if (this.#ended) unlisten()
      else this.#unlisten = unlisten
    }
  }
  readonly #receive = (...args: unknown[]): void => {
    const reader = this.#waiting.shift()
    if (reader) reader.resolve({ value: args as Args, done: false })
    else if (this.#lost > 0 || this.#buffer.length - this.#read >= this.#most) this.#lost++
    else this.#buffer.push(args as Args)
  }
  /** Stops buffering. Events in the buffer can still be read. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#emitter.streams.delete(this)
    this.#emitter.off(this.event, this.#receive as never)
    this.#unlisten?.()
    this.#unlisten = undefined
    for (const reader of this.#waiting.splice(0)) reader.resolve(over)
  }
  async next(): Promise<IteratorResult<Args, void>> {
    if (this.#read < this.#buffer.length) return { value: this.#take(), done: false }
    const lost = this.#lost
    if (lost > 0) {
      this.#lost = 0
      this.end()
      throw new EventsLostError(
        `events('${this.event}') lost ${lost} events: they came while ${this.#most} were unread; read faster, use on('${this.event}', …), or set { most }`,
        lost,
      )
    }
    if (this.#ended) return over
    const reader = new Deferred<IteratorResult<Args, void>>()
    this.#waiting.push(reader)
    return reader.promise
  }
  #take(): Args {
    const args = this.#buffer[this.#read] as Args
    this.#buffer[this.#read++] = undefined
    if (this.#read === this.#buffer.length) {
      this.#buffer = []
      this.#read = 0
    } else if (this.#read >= minRead && this.#read * 2 >= this.#buffer.length) {
      this.#buffer = this.#buffer.slice(this.#read)
      this.#read = 0
    }
    return args
  }
  async return(): Promise<IteratorResult<Args, void>> {
    this.#drop()
    return over
  }
  async throw(error: unknown): Promise<IteratorResult<Args, void>> {
    this.#drop()
    throw error
  }
  /** `return()` and `throw()` discard the buffer, because the caller reads no more. */
  #drop(): void {
    this.end()
    this.#buffer = []
    this.#read = this.#lost = 0
  }
  [Symbol.asyncIterator](): this {
    return this
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#drop()
  }
}

const over: IteratorReturnResult<void> = Object.freeze({ value: undefined, done: true })
