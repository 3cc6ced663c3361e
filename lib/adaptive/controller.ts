/** The contract between `adapt` and an algorithm: ended runs in, widths out. Holds no timer and reads no clock. */

/** A run that ended, and that says something about the service which the handler calls. */
export interface RunSample {
  /** The launch and the end, in steady milliseconds. */
  readonly startedAt: number
  readonly endedAt: number
  /** How many bodies ran right before the end, this one included. */
  readonly underway: number
  readonly outcome: 'ok' | 'overload'
}

/** A width to set, with the reason as a sentence. */
export interface Decision {
  readonly width: number
  readonly reason: string
}

export interface Bounds {
  readonly min: number
  readonly max: number
}

export interface Controller {
  /** The next width, or undefined to leave it. `width` is the one in force. */
  observe(sample: RunSample, width: number): Decision | undefined
}
