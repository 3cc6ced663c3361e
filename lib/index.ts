/** rdq: a rate-limited, resizable dispatch queue. The exports stand in the order of the flow. */

export { MemoryBacklog } from '../persistence/memory.ts'
export type { Backlog } from './backlog.ts'
export { type Clock, systemClock, type Timer } from './clock.ts'
export { RetryLater, Throttled, Unrecoverable } from './control-errors.ts'
export type { Duration } from './duration.ts'
export {
  CancelledError,
  CostError,
  DispatchError,
  EventsLostError,
  IdConflictError,
  JobStateError,
  JobUnknownError,
  LeaseLostError,
  OptionError,
  OutcomeUnknownError,
  PayloadError,
  PoisonError,
  QueueFullError,
  QueueNameTakenError,
  QueueStoppedError,
  ResultNotKeptError,
  StoreError,
  TimeoutError,
} from './errors.ts'
export type { EventsOptions } from './event-stream.ts'
export type { ErrorContext, QueueEvents } from './events.ts'
export { Job, type JobState, type Limited } from './job.ts'
export type { Counts, Explanation, JobsQuery } from './look.ts'
export type { AfterCrash, KeepOptions, PutOptions, QueueOptions, RetryOptions } from './options.ts'
export { DispatchQueue, type PutArguments, type StopOptions, type Stopped } from './queue.ts'
export type { Cost, RateRule, Rule } from './rate.ts'
export type { After } from './retry-after.ts'
export type { Handler } from './run.ts'
export type { Task } from './task.ts'
