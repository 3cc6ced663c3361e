/** `rdq/cooperate`: cooperation on its own. Separate cooperators do not take turns with one another; this one is shared. */
import { type CooperativeIterator, type CooperativeTask, Cooperator } from './cooperator.ts'

export {
  type CooperativeIterator,
  CooperativeTask,
  Cooperator,
  type CooperatorOptions,
} from './cooperator.ts'
export {
  NotPaused,
  SchedulerError,
  SchedulerStopped,
  TaskDone,
  TaskFailed,
  TaskFinished,
  TaskStopped,
} from './errors.ts'

const shared: Cooperator = new Cooperator()

/** Steps `iterator` in turn with all others of this process, a slice of 5 ms at a time. */
export function cooperate<T>(iterator: CooperativeIterator<T>): CooperativeTask<T> {
  return shared.cooperate(iterator)
}

/** As `cooperate(iterator).whenDone()`. */
export function coiterate<T>(iterator: CooperativeIterator<T>): Promise<T> {
  return shared.coiterate(iterator)
}
