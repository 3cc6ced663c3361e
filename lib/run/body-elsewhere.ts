/** The body of a run that was handed over to an isolate, and a generator that can be parked, as their run uses them. */

export interface BodyElsewhere {
  /** Aborts the signal there, and closes a generator. The body must end soon, or its isolate is replaced. */
  abort(reason: unknown): void
}

/** A generator, here or elsewhere, as far as it can be parked at its next `yield`. */
export interface PausableTask {
  /** It has not ended. */
  readonly running: boolean
  /** `pause()` was called more often than `resume()`. */
  readonly paused: boolean
  /** It takes no step until `resume()`. */
  readonly parked: boolean
  pause(): void
  resume(): void
}
