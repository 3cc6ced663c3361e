/** How jobs change their state in a store, as far as the procedures of this folder move them. */
import type { Due } from '../../../lib/decisions/due.ts'
import type { JobRow } from '../store.ts'

/** How a job ended. The error and the value are JSON texts; of a cancelled job the error is the reason. */
export interface Ending {
  readonly state: 'finished' | 'failed' | 'cancelled'
  readonly startedWall: number | null
  readonly stoppedWall: number | null
  readonly error: string | null
  readonly value: string | null
}
/** An ending without a run. */
export function unrun(state: Ending['state'], error: string | null, stoppedWall: number | null = null): Ending {
  return { state, startedWall: null, stoppedWall, error, value: null }
}

/** The job was underway, and has left that state: it is nowhere, and counted nowhere, until one of these is called. */
export interface Moves<Queue, Job> {
  /** The job waits, and may start at once unless it is due later. */
  wait(queue: Queue, job: Job, now: number, due?: Due): void
  /**
   * The job ends, and is kept or forgotten as the queue has set it. Returns its row as it ended, because the job itself
   * may be forgotten at once.
   */
  endWithRow(queue: Queue, job: Job, ending: Ending, now: number): JobRow | undefined
  /** Whether a cancel of the run was requested, and why. The request is over. */
  takeCancel(queue: Queue, job: Job): { readonly reason: string | null } | undefined
}
