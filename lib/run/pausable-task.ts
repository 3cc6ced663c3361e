/** A generator, here or in an isolate, as far as it can be parked at its next `yield`. */
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
