/**
 * `rdq/testing`: a clock that tests advance, a scripted handler and `drain()`, so that no test needs to sleep;
 * histories of runs, and the checkers that judge them; the contracts of backlogs and stores, as suites.
 */
export type {
  Backlog,
  BacklogSession,
  Command,
  CommandResult,
  DueTime,
  Exchange,
  ExchangeResult,
  JobQuery,
  JobRef,
  KeepPolicy,
  MaybePromise,
  Notices,
  PutBatch,
  SessionOptions,
  SettleKind,
  Settlement,
  StateCounts,
  UnchangedBecause,
  WaitReason,
} from '../lib/backlog.ts'
export { JobExtras, JobRecord } from '../lib/job.ts'
export {
  assertHolds,
  type CheckOptions,
  check,
  type Histories,
  type Invariant,
  invariants,
  type Report,
  shown,
  type Violation,
} from './checkers/index.ts'
export { backlogContract } from './contract/backlog/index.ts'
export type { BacklogSubject } from './contract/backlog/session.ts'
export type { Assert, ContractTest } from './contract/contract.ts'
export { sharedBacklogContract } from './contract/shared/index.ts'
export type { BacklogProcess, SharedBacklog, SharedBacklogSubject } from './contract/shared/worker.ts'
export { storeContract } from './contract/store/index.ts'
export type { OpenStore, StoreDatabase, StoreSubject } from './contract/store-client.ts'
export { type Counterexample, counterexamples } from './counterexamples.ts'
export { drain } from './drain.ts'
export type { Entry, Fact, FactKind, Stamp, Verb } from './entry.ts'
export {
  type CrashFailure,
  type CrashingProcess,
  type CrashScenario,
  type EveryCrashOptions,
  type EveryCrashReport,
  everyCrash,
} from './every-crash.ts'
export { History, type HistoryOptions } from './history.ts'
export { RemoteBacklog, type RemoteBacklogFacts, type RemoteBacklogOptions } from './remote-backlog.ts'
export { type ScriptedCall, type ScriptedHandler, scripted } from './scripted.ts'
export { VirtualClock } from './virtual-clock.ts'
export type { RecordHandler, WitnessOptions } from './witness.ts'
