/**
 * `rdq/cooperate`: cooperative scheduling on its own. Tasks of separate cooperators do not take turns with one another;
 * the functions here share one cooperator.
 */
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

/** Steps `iterator` in turn with all other tasks of this process, 5 ms at a time. */
export function cooperate<T>(iterator: CooperativeIterator<T>): CooperativeTask<T> {
  return shared.cooperate(iterator)
}

/** Same as `cooperate(iterator).whenDone()`. */
export function coiterate<T>(iterator: CooperativeIterator<T>): Promise<T> {
  return shared.coiterate(iterator)
}
