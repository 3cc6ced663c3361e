/** The states in which each command is accepted, and how it is refused in the others. */
import type { Command } from '../backlog.ts'
import { JobStateError, JobUnknownError } from '../errors.ts'
import type { JobState } from '../job.ts'

/** The commands whose acceptance depends on the state of their job. `cancel` is always accepted. */
export type StateCommand = 'retry' | 'remove' | 'reprioritize' | 'reschedule' | 'promote'

/** Whether a job in this state waits to start. */
export function isWaiting(state: JobState): state is 'pending' | 'delayed' {
  return state === 'pending' || state === 'delayed'
}

/** Throws {@link JobStateError} if a job in this state does not accept the command. */
export function refuseByState(command: StateCommand, id: string, state: JobState): void {
  switch (command) {
    case 'reprioritize':
    case 'reschedule':
    case 'promote':
      if (!isWaiting(state)) throw new JobStateError(command, id, state, 'pending or delayed')
      return
    case 'retry':
      if (state !== 'failed' && state !== 'cancelled')
        throw new JobStateError(command, id, state, 'failed or cancelled')
      return
    case 'remove':
      if (state === 'underway') throw new JobStateError(command, id, state, 'not underway')
      return
    default:
      command satisfies never
  }
}

/**
 * Returns the found job. Throws {@link JobUnknownError} if there is none: every command but cancel and remove needs
 * one.
 */
export function knownJob(job: undefined, id: string | number): never
export function knownJob<Job>(job: Job | undefined, id: string | number): Job
export function knownJob<Job>(job: Job | undefined, id: string | number): Job {
  if (job === undefined) throw new JobUnknownError(String(id))
  return job
}

/**
 * The effect of a cancel on a job: the job ends at once, its run is requested to end, or nothing happens because it has
 * ended.
 */
export function cancelEffect(state: JobState): 'ends' | 'requests' | 'none' {
  if (isWaiting(state)) return 'ends'
  return state === 'underway' ? 'requests' : 'none'
}

/**
 * Commands that set a value for the name. Other queue objects should look, whatever the command changed. Each may be
 * executed twice: the second time it changes nothing.
 */
const settings: ReadonlySet<Command['kind']> = new Set(['rate', 'globalWidth', 'pause', 'key', 'clearOverrides'])

export function isSetting(kind: Command['kind']): boolean {
  return settings.has(kind)
}
