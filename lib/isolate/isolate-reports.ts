/**
 * The messages of an isolate to its queue. Those of one turn of the event loop travel as one batch.
 *
 * A value that cannot be cloned fails alone: the batch is then sent message by message. Progress is held back until the
 * queue has taken what was sent before, so that a handler that reports without end fills nobody's memory.
 */
import type { Clock } from '../clock.ts'
import { describeError } from '../errors.ts'
import type { FromIsolate, FromIsolateBatch } from './protocol.ts'

export type Post = (batch: FromIsolateBatch, buffers: readonly object[]) => void

/** The most values of one call that wait. The latest one replaces the one before it when there are as many. */
const maxProgress = 100

const none: readonly object[] = []

export class IsolateReports {
  /** The number of the last call whose first line has run or is about to. */
  started = 0
  /** The number of the last call whose first line has run. */
  confirmed = 0
  readonly #post: Post
  readonly #clock: Clock
  #items: FromIsolate[] = []
  /** The objects that move with each message. */
  #buffers: Map<FromIsolate, readonly object[]> | undefined
  #isScheduled = false
  readonly #progress = new Map<number, unknown[]>()
  /** The queue has not taken the progress of an earlier batch. */
  #progressInFlight = false

  constructor(post: Post, clock: Clock) {
    this.#post = post
    this.#clock = clock
  }
  push(item: FromIsolate, buffers: readonly object[] = none): void {
    this.#items.push(item)
    if (buffers.length > 0) {
      this.#buffers ??= new Map()
      this.#buffers.set(item, buffers)
    }
    this.schedule()
  }
  /** The values of one call stay in order, and come before its end. */
  progress(call: number, value: unknown): void {
    const values = this.#progress.get(call)
    if (!values) this.#progress.set(call, [value])
    else if (values.length < maxProgress) values.push(value)
    else values[maxProgress - 1] = value
    if (!this.#progressInFlight) this.schedule()
  }
  /** The call is about to end: what it has reported goes first. */
  endProgress(call: number): void {
    const values = this.#progress.get(call)
    if (!values) return
    this.#progress.delete(call)
    for (const value of values) this.#items.push({ kind: 'progress', call, value })
  }
  progressTaken(): void {
    this.#progressInFlight = false
    if (this.#progress.size > 0) this.schedule()
  }
  /** Sends everything now, with the numbers of the last call that has started and of the last whose first line has run. */
  flush(): void {
    if (!this.#progressInFlight && this.#progress.size > 0) {
      this.#progressInFlight = true
      for (const call of [...this.#progress.keys()]) this.endProgress(call)
    }
    const items = this.#items
    const buffers = this.#buffers
    this.#items = []
    this.#buffers = undefined
    const { started, confirmed } = this
    try {
      this.#post({ started, confirmed, items }, buffers ? [...buffers.values()].flat() : none)
    } catch {
      // One of them cannot be cloned, or moves a buffer that has moved already.
      for (const item of items) this.#postAlone(item, buffers?.get(item) ?? none)
    }
  }
  #postAlone(item: FromIsolate, buffers: readonly object[]): void {
    const { started, confirmed } = this
    try {
      this.#post({ started, confirmed, items: [item] }, buffers)
    } catch (error) {
      if (item.kind === 'finished') {
        const unsent: FromIsolate = { kind: 'unsent', call: item.call, problem: describeError(error) }
        this.#post({ started, confirmed, items: [unsent] }, none)
      }
    }
  }
  /** Sends everything in the next turn of the event loop. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(() => {
      this.#isScheduled = false
      this.flush()
    })
  }
}
