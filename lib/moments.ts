/** Moments that somebody waits for: that a pause has drained, that the queue is idle. Looked for after each turn. */
import { QueueStoppedError } from './errors.ts'
import type { Runs } from './runs.ts'

export interface MomentsParts {
  /** Bodies that hold a slot. */
  bodies(): number
  readonly runs: Runs
  /** Nothing is pending, delayed or underway, nor on its way in. */
  isIdle(): boolean
  becameIdle(): void
}

interface PauseWait {
  readonly tasks: boolean
  settle(drained: boolean): void
}

export class Moments {
  readonly #parts: MomentsParts
  #pauses: PauseWait[] = []
  #idles: { resolve(): void; reject(error: unknown): void }[] = []
  #wasIdle = true

  constructor(parts: MomentsParts) {
    this.#parts = parts
  }
  /** True when nothing is underway, or with `tasks` all that is are parked; false when superseded before. */
  drained(tasks: boolean): Promise<boolean> {
    return new Promise(settle => this.#pauses.push({ tasks, settle }))
  }
  /** A resume or a stop came before. */
  supersede(): void {
    const pauses = this.#pauses
    this.#pauses = []
    for (const pause of pauses) pause.settle(false)
  }
  idle(): Promise<void> {
    if (this.#parts.isIdle()) return Promise.resolve()
    return new Promise((resolve, reject) => this.#idles.push({ resolve, reject }))
  }
  /** Something was put. */
  busy(): void {
    this.#wasIdle = false
  }
  /** A turn is over: look whether it brought what somebody waits for. */
  look(): void {
    if (this.#pauses.length > 0) this.#lookDrained()
    if (this.#wasIdle && this.#idles.length === 0) return
    const idle = this.#parts.isIdle()
    const idles = this.#idles
    if (idle && idles.length > 0) {
      this.#idles = []
      for (const waiting of idles) waiting.resolve()
    }
    if (idle && !this.#wasIdle) this.#parts.becameIdle()
    this.#wasIdle = idle
  }
  /** The queue has stopped: what did not come will not come. */
  stop(): void {
    this.look()
    const error = new QueueStoppedError('the queue will not be idle')
    for (const waiting of this.#idles) waiting.reject(error)
    this.#idles = []
  }
  #lookDrained(): void {
    const empty = this.#parts.bodies() === 0
    const parked = empty || [...this.#parts.runs].every(run => run.ended || run.task?.parked)
    const pauses = this.#pauses
    this.#pauses = pauses.filter(pause => !(pause.tasks ? parked : empty))
    for (const pause of pauses) if (pause.tasks ? parked : empty) pause.settle(true)
  }
}
