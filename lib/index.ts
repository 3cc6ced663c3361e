/** rdq: a rate-limited, resizable dispatch queue. The exports are listed in the order of the flow. */

export { MemoryBacklog } from '../persistence/memory/backlog.ts'
export type { Backlog, Overridable } from './backlog.ts'
export { type Clock, systemClock, type Timer } from './clock.ts'
export type { Key, KeyCounts, KeyInfo, KeyInfoQuery } from './control/keys.ts'
export type { Counts, Explanation, JobsQuery } from './control/queries.ts'
export type { Overrides } from './control/settings.ts'
export {
  CancelledError,
  CostError,
  CrashedError,
  DispatchError,
  EventsLostError,
  HandlerLoadError,
  IdConflictError,
  IsolateEndedError,
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
  RuleUnknownError,
  StoreError,
  TimeoutError,
} from './errors.ts'
export type { EventsOptions } from './events/event-stream.ts'
export type { ErrorContext, QueueEvents } from './events/events.ts'
export type { IsolateInfo } from './isolate/isolates.ts'
export { Job, type JobState, type Limited } from './job.ts'
export type { KeyOverride, KeysOptions } from './limits/keys.ts'
export type { HandlerUrl, IsolateOptions } from './options/isolate.ts'
export type { AfterCrash, KeepOptions, PutOptions, QueueOptions, RetryOptions } from './options/options.ts'
export type { Duration } from './parse/duration.ts'
export { DispatchQueue, type PutArguments, type StopOptions, type Stopped } from './queue.ts'
export type { Cost, RateRule, Rule } from './rate/rules.ts'
export type { Handler } from './run/run.ts'
export type { Task } from './run/task.ts'
export type { After } from './settle/after-value.ts'
export { RetryLater, Throttled, Unrecoverable } from './settle/control-errors.ts'
export { type HeadersLike, retryAfter, type ServerLimit } from './settle/response-headers.ts'
