/** The errors of cooperators and their tasks. */
import { DispatchError } from '../errors.ts'

/** An error of the scheduler of cooperative tasks. */
export abstract class SchedulerError extends DispatchError {}
/** The task has ended, so the call has no meaning any more. */
export abstract class TaskFinished extends SchedulerError {}
/** The iterator reached its end. */
export class TaskDone extends TaskFinished {
  static override readonly name: string = 'TaskDone'
  readonly code: string = 'TASK_DONE'
  constructor() {
    super('the task is done: its iterator came to its end')
  }
}
/** The task was stopped. */
export class TaskStopped extends TaskFinished {
  static override readonly name: string = 'TaskStopped'
  readonly code: string = 'TASK_STOPPED'
  constructor() {
    super('the task was stopped')
  }
}
/** The iterator threw; `cause` is what it threw. */
export class TaskFailed extends TaskFinished {
  static override readonly name: string = 'TaskFailed'
  readonly code: string = 'TASK_FAILED'
  constructor(cause: unknown) {
    super('the task failed: its iterator threw', { cause })
  }
}
/** `resume()` was called without a `pause()` before it. */
export class NotPaused extends SchedulerError {
  static override readonly name: string = 'NotPaused'
  readonly code: string = 'NOT_PAUSED'
  constructor() {
    super('the task is not paused: each resume() takes back one pause()')
  }
}
/** The cooperator was stopped. `start()` makes it usable again; its former tasks have ended. */
export class SchedulerStopped extends SchedulerError {
  static override readonly name: string = 'SchedulerStopped'
  readonly code: string = 'SCHEDULER_STOPPED'
  constructor() {
    super('the cooperator is stopped; start() makes it usable again')
  }
}
