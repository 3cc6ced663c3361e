/** Callers that await a moment: a pause has drained, or the queue is idle. Checked after each exchange. */

import { QueueStoppedError } from '../errors.ts'
import type { IdleWaiters } from '../put/arrivals.ts'
import type { Run } from '../run/run.ts'
import { Deferred, rejected } from '../support/deferred.ts'

/** The slots of a queue, as waiters use them. */
export interface Slots {
  /** The number of slots that claimed jobs and bodies hold. */
  readonly slotsTaken: number
  readonly runs: Iterable<Pick<Run, 'bodyEnded' | 'task'>>
}

interface PauseWait {
  readonly tasks: boolean
  settle(drained: boolean): void
}

export class Waiters implements IdleWaiters {
  readonly #slots: Slots
  readonly #idleness: { readonly isIdle: boolean }
  readonly #emitter: { announce(event: 'idle'): void }
  #pauses: PauseWait[] = []
  #idles: Deferred<void>[] = []
  #wasIdle = true
  /** Set when the queue has stopped: whether everything had been done by then. */
  #endedIdle: boolean | undefined

  constructor(slots: Slots, idleness: { readonly isIdle: boolean }, emitter: { announce(event: 'idle'): void }) {
    this.#slots = slots
    this.#idleness = idleness
    this.#emitter = emitter
  }
  /** Resolves true when nothing is underway, or with `tasks` when all runs are parked; false when superseded before. */
  drained(tasks: boolean): Promise<boolean> {
    return new Promise(settle => this.#pauses.push({ tasks, settle }))
  }
  /** A resume or a stop supersedes the pauses. */
  supersede(): void {
    const pauses = this.#pauses
    this.#pauses = []
    for (const pause of pauses) pause.settle(false)
  }
  /** A rejection counts as handled, because a forgotten promise must not end the process. */
  idle(): Promise<void> {
    if (this.#endedIdle ?? this.#idleness.isIdle) return Promise.resolve()
    if (this.#endedIdle === false) return rejected(notIdle())
    const waiting = new Deferred<void>()
    this.#idles.push(waiting)
    return waiting.promise
  }
  /** A job was put. */
  busy(): void {
    this.#wasIdle = false
  }
  /** Called after each exchange: settles the waiters whose moment has come. */
  check(): void {
    if (this.#endedIdle !== undefined) return
    if (this.#pauses.length > 0) this.#checkDrained()
    if (this.#wasIdle && this.#idles.length === 0) return
    const idle = this.#idleness.isIdle
    const idles = this.#idles
    if (idle && idles.length > 0) {
      this.#idles = []
      for (const waiting of idles) waiting.resolve()
    }
    if (idle && !this.#wasIdle) this.#emitter.announce('idle')
    this.#wasIdle = idle
  }
  /**
   * The queue has stopped. A queue that is not idle now will never be, because remaining jobs are returned or stay.
   * @param left Whether jobs remain.
   */
  stop(left: boolean): void {
    this.check()
    this.#endedIdle = !left
    for (const waiting of this.#idles) left ? waiting.fail(notIdle()) : waiting.resolve()
    this.#idles = []
  }
  #checkDrained(): void {
    const empty = this.#slots.slotsTaken === 0
    const parked = empty || (this.#pauses.some(({ tasks }) => tasks) && this.#areParked())
    const pauses = this.#pauses
    this.#pauses = pauses.filter(pause => !(pause.tasks ? parked : empty))
    for (const pause of pauses) if (pause.tasks ? parked : empty) pause.settle(true)
  }
  #areParked(): boolean {
    return [...this.#slots.runs].every(run => run.bodyEnded || run.task?.parked)
  }
}

function notIdle(): QueueStoppedError {
  return new QueueStoppedError('the queue will not be idle')
}
