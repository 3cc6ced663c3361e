/**
 * The contract between the queue side of a durable backlog (the files beside this one) and the store that holds its
 * jobs, usually a database. `execute/` and `simple-store/` help a store to keep it. The types of requests and replies
 * come first, {@link Store} and its rules at the end.
 *
 * Requests and replies are plain data, so that they can be sent to another thread or process. They are numbers, texts
 * and columns, because structured clone copies a few long arrays faster than many objects. Data that few jobs have is
 * kept apart, by the index of its job. Instants are milliseconds of the store's steady clock ({@link ClockMapping}),
 * except `wall` and names that end with it, which are milliseconds since the epoch. Payloads, values, errors and
 * checkpoints are JSON texts.
 */

import type {
  Caution,
  DueTime,
  FurtherStart,
  Grant,
  KeepPolicy,
  KeyReport,
  KeysQuery,
  MaybePromise,
  Overridable,
  Overridden,
  SettleKind,
  StateCounts,
  SuspectRoom,
  UnchangedBecause,
  WaitReason,
} from '../../lib/backlog.ts'
import type { JobState, Limited } from '../../lib/job.ts'
import type { KeyOverride, KeysPolicy } from '../../lib/limits/keys.ts'
import type { RateRule } from '../../lib/rate/rules.ts'

/** Pairs of the job's index in the columns beside it, and a value. */
export type Sparse<T> = readonly (readonly [index: number, value: T])[]

/** A job as it is stored: enough for a snapshot. */
export interface JobRow {
  readonly seq: number
  readonly id: string
  readonly payload: string
  readonly priority: number
  readonly state: JobState
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly queuedAt: number
  readonly startedAt: number | null
  readonly stoppedAt: number | null
  readonly extras: JobRowExtras | undefined
}

/** Data that few jobs have. */
export interface JobRowExtras {
  readonly key?: string
  /** By unit. */
  readonly cost?: Readonly<Record<string, number>>
  /** The parsed RetryPolicy, as JSON. */
  readonly retry?: string
  readonly timeoutMs?: number
  /** The earliest start, by the steady clock and by the wall clock. */
  readonly dueAt?: number
  readonly runAt?: number
  /** The digest of the payload, for a job whose id was given. */
  readonly fingerprint?: string
  readonly error?: string
  readonly value?: string
  readonly checkpoint?: string
  /** For a claimed job: how many of its runs ended with their process, and the caution with which to launch it. */
  readonly crashes?: number
  readonly caution?: Caution
}

export interface AttachRequest {
  readonly kind: 'attach'
  readonly name: string
  readonly works: boolean
  /** For queries: a name that does not exist is not created. */
  readonly onlyIfExists?: boolean
  readonly rate: readonly RateRule[] | undefined
  /** Undefined declares none. */
  readonly keys?: KeysPolicy | undefined
  /** Undefined declares none. */
  readonly globalWidth?: number | undefined
  /** For `putWithin`; other puts carry their own. */
  readonly size: number
  readonly keep: KeepPolicy
  readonly afterCrash: 'again' | 'fail' | 'ask'
  readonly crashLimit: number
  readonly now: number
  readonly wall: number
}
/** The settings of a name in all processes, besides its keys and a pause. */
export interface SettingsNow {
  readonly rules: readonly RateRule[]
  /** Absent: no limit. */
  readonly globalWidth?: number
  /** The overrides. Absent: none. */
  readonly overridden?: Overridden
}

export interface AttachReply extends SettingsNow {
  /** The number of the name in this store, which other requests carry as `queue`. 0 if the name does not exist. */
  readonly queue: number
  /** The former rules of the declared names, if the declaration has changed them for all queues. */
  readonly replaced?: readonly RateRule[]
  readonly counts: StateCounts
  readonly sharedPaused: boolean
  readonly keys?: KeysNow
}

/** The declaration for all keys, and the overrides of single ones. */
export interface KeysNow {
  /** Grows with each change; 0: nothing was ever declared or set. */
  readonly version: number
  readonly policy: KeysPolicy | undefined
  readonly overrides: readonly (readonly [key: string, override: KeyOverride])[]
}
/** The override of one key has changed, and nothing else since the version before. */
export interface KeyChange {
  readonly version: number
  readonly key: string
  /** Undefined: none is left. */
  readonly override: KeyOverride | undefined
}

export interface PutRequest {
  readonly kind: 'put'
  readonly queue: number
  /** Grows over all puts of this process, whatever their queues. */
  readonly number: number
  /** All puts up to this number are answered: nobody will request their replies again. */
  readonly acknowledged: number
  readonly now: number
  readonly wall: number
  /** How many jobs may wait, as the queue object that puts has it. */
  readonly size: number
  readonly ids: readonly string[]
  readonly payloads: readonly string[]
  /** Undefined if all are 0. */
  readonly priorities: readonly number[] | undefined
  readonly queuedAt: readonly number[]
  readonly extras: Sparse<JobRowExtras>
}
export interface PutReply {
  /** The seq of the first new job; the others follow in order, without those that existed. */
  readonly first: number
  readonly existed: Sparse<JobRow>
  readonly counts: StateCounts
}
/** Requests the reply to a put, which was lost if there was one. Answered with undefined if the put was not committed. */
export interface ReplayRequest {
  readonly kind: 'replay'
  readonly queue: number
  /** The number of the put. */
  readonly number: number
}
/** The reply to a put without the counts, which are those of another time. */
export type PutReplay = Omit<PutReply, 'counts'>

export interface ExchangeRequest {
  readonly kind: 'exchange'
  readonly queue: number
  /**
   * Grows over all exchanges of this process. An exchange that was executed before is not executed again, but answered as
   * before.
   */
  readonly number: number
  /** The last exchange of this queue object that was answered; 0 before the first. */
  readonly acknowledged: number
  /** As in the attach of the queue object. Notices about runs go to the one with a handler. */
  readonly works: boolean
  readonly now: number
  readonly wall: number
  /**
   * The possible error of this process's instants. Its grants have a grace that is longer by twice as much. Absent: 0,
   * because queue and store share a host.
   */
  readonly errorMs?: number
  readonly room: number
  /** The version of the keys that the queue object has. Another one is sent with the reply. Absent: 0. */
  readonly keysVersion?: number
  readonly settled: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Undefined if all are 'finished'. */
    readonly kinds: readonly SettleKind[] | undefined
    /** By the wall clock: when the bodies were called and ended. Empty if finished jobs are not kept. */
    readonly startedAt: readonly number[]
    readonly stoppedAt: readonly number[]
    readonly extras: Sparse<SettleExtras>
  }
  /** Whether the queue would start jobs if it had room. Always true without a handler. */
  readonly mayLaunch: boolean
  /** Whether all its slots are taken. Otherwise an exchange without room leaves its waits as they are. Absent: false. */
  readonly isFull?: boolean
  /** If bodies run in isolates, whose end leaves the process alive: how many suspects may be claimed. */
  readonly suspectRoom?: SuspectRoom
  /** Starts to confirm: grant, at, grant, at, … */
  readonly confirmed: readonly number[]
  /** The same for starts in other rates than that of the queue. */
  readonly furtherConfirmed?: readonly (readonly [start: FurtherStart, at: number])[]
  /** Claimed jobs whose bodies run, or are about to. */
  readonly launchReports: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Their bodies begin only when this is stored. The queue is notified of those whose claim is no longer valid. */
    readonly first: readonly boolean[]
  }
  readonly spent: readonly { readonly grant: Grant; readonly cost: Readonly<Record<string, number>> }[]
  readonly checkpoints: readonly { readonly seq: number; readonly fence: number; readonly value: string }[]
  /** Jobs whose bodies ran on after their ending, and have ended now. */
  readonly endedBodies: readonly number[]
}
export interface SettleExtras {
  /** For a body that was not called: the start granted to it is free again. */
  readonly grant?: Grant
  readonly waitMs?: number
  readonly heldKey?: string
  readonly heldRule?: string
  readonly error?: string
  /** The handler's result, if it is kept. */
  readonly value?: string
  /** The job ends before its body does. */
  readonly bodyContinues?: boolean
  /** For a job that was to run alone: it went back because other bodies run in this process. */
  readonly notAlone?: boolean
  /** The isolate of the body ended by itself: the job's crashes from now on. */
  readonly crashes?: number
  /** `finishWithin` recorded this ending already, in the caller's own transaction. */
  readonly within?: boolean
}
export interface ExchangeReply extends SettingsNow {
  readonly claimed: {
    readonly seqs: readonly number[]
    readonly ids: readonly string[]
    readonly payloads: readonly string[]
    readonly priorities: readonly number[]
    readonly attempts: readonly number[]
    readonly fences: readonly number[]
    readonly queuedAt: readonly number[]
    /** The key of each job, or null. Undefined: none has one. Most jobs with a key have no other extras. */
    readonly keys: readonly (string | null)[] | undefined
    readonly extras: Sparse<Omit<JobRowExtras, 'key'>>
  }
  readonly grants: readonly Grant[] | undefined
  /**
   * Jobs that ended in this exchange without a run: they could never start, are not JSON, or went back although their
   * cancel had been requested.
   */
  readonly endedUnrun: readonly JobRow[]
  readonly graceUntil: number
  readonly nextLookAt: number
  readonly nextLookExact: boolean
  readonly limited: Limited | undefined
  readonly sharedPaused: boolean
  /** If the queue object has another version. */
  readonly keys?: KeysNow
  readonly counts: StateCounts
  readonly notices:
    | {
        /** Seqs of jobs whose settle, checkpoint or lease is no longer valid. */
        readonly lostRuns: readonly number[]
        /** Seqs of jobs whose ending `finishWithin` had recorded, in a transaction that was committed. */
        readonly within: readonly number[]
        readonly recovered: readonly JobRow[]
        /** Seqs of recovered jobs that the crash ended. */
        readonly endedByRecovery: readonly number[]
        /** How many older crash reports were dropped, because no queue took them. */
        readonly droppedReports: number
        readonly needVerdict: readonly JobRow[]
        readonly cancelRequests: readonly { readonly seq: number; readonly reason: string | undefined }[]
      }
    | undefined
}

/** A job by its seq, or by its id. */
export type RowRef = number | string

export interface CommandRequest {
  readonly kind: 'command'
  readonly queue: number
  readonly now: number
  readonly wall: number
  readonly command:
    | { readonly kind: 'cancel'; readonly target: RowRef; readonly reason: string | undefined }
    | { readonly kind: 'retry'; readonly target: RowRef }
    | { readonly kind: 'remove'; readonly target: RowRef; readonly id?: string }
    | { readonly kind: 'reprioritize'; readonly target: RowRef; readonly priority: number }
    | ({ readonly kind: 'reschedule' | 'promote'; readonly target: RowRef } & DueTime)
    | { readonly kind: 'clear'; readonly reason: string | undefined; readonly key?: string }
    | { readonly kind: 'rate'; readonly rules: readonly RateRule[] }
    | { readonly kind: 'globalWidth'; readonly width: number }
    | { readonly kind: 'pause'; readonly paused: boolean }
    | { readonly kind: 'key'; readonly key: string; readonly change: KeyOverride }
    | { readonly kind: 'clearOverrides'; readonly of: readonly Overridable[] }
}
export interface CommandReply extends SettingsNow {
  readonly changed: readonly JobRow[]
  readonly found: JobRow | undefined
  readonly count: number
  readonly unchangedBecause: UnchangedBecause | undefined
  readonly counts: StateCounts
  /** After a command that changes them. */
  readonly keys?: KeysNow
  /** After a command that changes one key, because the list of all overrides may be long. */
  readonly keyChange?: KeyChange
  /** For `clear` of a key: only a part is done; send it again. */
  readonly hasMore?: boolean
}

export interface FindRequest {
  readonly kind: 'find'
  readonly queue: number
  readonly target: RowRef
}
export interface ListRequest {
  readonly kind: 'list'
  readonly queue: number
  readonly state: JobState | undefined
  readonly key: string | undefined
  readonly limit: number
  /** Where the list continues, or the id of the job at that position. */
  readonly after: ListCursor | string | undefined
}
/** The position of a job: in the order of start, or among the latest by its seq alone. */
export interface ListCursor {
  readonly priority: number
  readonly seq: number
}
/** One step of a list. */
export interface ListReply {
  readonly rows: readonly JobRow[]
  /** Where the next step continues; undefined at the end. */
  readonly next: ListCursor | undefined
}
export interface ExplainRequest {
  readonly kind: 'explain'
  readonly queue: number
  readonly target: RowRef
  readonly now: number
  readonly wall: number
}
export interface ExplainReply {
  readonly row: JobRow
  readonly position: number | undefined
  readonly notBefore: number
  readonly why: WaitReason['why']
  readonly rule: RateRule | undefined
  readonly key?: string
}
export interface KeysRequest {
  readonly kind: 'keys'
  readonly queue: number
  readonly query: KeysQuery
  readonly now: number
  readonly wall: number
}
export interface KeysReply {
  readonly keys: readonly KeyReport[]
}
/** The queue object is gone. `keepLeases`: bodies of it still run and keep their jobs. */
export interface DetachRequest {
  readonly kind: 'detach'
  readonly queue: number
  /** As in its attach: runs belong to the one with a handler. */
  readonly works: boolean
  readonly keepLeases: boolean
  readonly now: number
  readonly wall: number
  /**
   * As in an exchange: reports that this does not acknowledge go to the next queue object with a handler for the name.
   */
  readonly acknowledged?: number
}

/** Requests that only read. */
export type QueryRequest = FindRequest | ListRequest | ExplainRequest | KeysRequest | ReplayRequest

export type Request = AttachRequest | PutRequest | ExchangeRequest | CommandRequest | QueryRequest | DetachRequest

/**
 * A request as a link sends it, and the reply that a connection brings back, with the number that the link gave the
 * request.
 */
export type NumberedRequest = readonly [id: number, request: Request]
export type NumberedReply = readonly [id: number, result: RequestResult]

/** The result of one request. A refused request changed nothing. */
export type RequestResult = { readonly ok: unknown } | { readonly error: WireError }

/** An encoded error. It is decoded into an object of its class, by name, with its former fields. */
export interface WireError {
  /** The name of its class. */
  readonly name?: string
  readonly code: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** The error of the store itself, if it is kept as the cause. */
  readonly cause?: { readonly name: string; readonly code: string; readonly message: string }
}

/** How many crash reports a store keeps for a queue without a worker. It drops the oldest, and counts them. */
export const maxReports = 10_000

/**
 * The duties of a database of which `persistence/durable/` makes a backlog. One object serves one process: it
 * registers a worker, by whose token other processes find out what is left behind when this one dies.
 *
 * **Order.** Transactions are requested one at a time, and each sees the effects of all before it.
 *
 * **Seqs.** Jobs are numbered over the whole store, growing in the order in which puts are committed. The new jobs of
 * one put have consecutive numbers, in the order of the request; jobs whose ids existed get none.
 *
 * **Fences.** A claim raises the fence of its job. A report with an older fence changes nothing, and the reply names
 * the job among the lost.
 *
 * **Keys.** Where keys are declared or one is overridden, they take turns over all workers, and a key's width and rate
 * hold over all workers. A body counts until its job has settled, or for a settle with `bodyContinues` until
 * `endedBodies` names it, or until its worker is recovered.
 *
 * **Replay.** After a lost reply the same request may come again:
 * - An `exchange` whose number is not above the last one executed for its queue is not executed again. The reply is the same
 *   as the first time: the jobs that it claimed and this worker still holds, and the same notices. Counts, rules and
 *   the next look are present ones. The reply is kept until a later exchange acknowledges it (`acknowledged`).
 * - `attach` and `detach` change nothing the second time. A worker that attaches a queue again receives again the requests for the
 *   verdicts that were pending.
 * - A `put` comes again only if it was not committed. To find that out, `replay` returns the reply to a put of this
 *   process that was committed. The reply is kept until a later put acknowledges it, and for at least a minute after
 *   another process has recovered this one.
 * - A `command` that sets a value may be executed twice. Any other one is not sent again.
 *
 * **Time.** The store reads no clock: each request carries its instants.
 *
 * **Data.** Requests and replies belong to the caller: the store changes neither, and keeps no part of a request.
 */
export interface Store {
  /**
   * Executes one transaction. Replies are in the order of the requests. A refused request fails alone, with an error
   * that its class and code identify, and has changed nothing. Rejects, or throws, only if provably nothing was
   * committed: with a {@link StoreBusyError} if it is worth retrying soon. If a commit may have happened and its reply
   * did not arrive, it rejects with an {@link ReplyLostError}.
   */
  transact(requests: readonly Request[]): MaybePromise<readonly RequestResult[]>
  /** Only reads; sees every transaction whose replies came before. Rejects with the errors of that request. */
  query(request: QueryRequest): MaybePromise<unknown>
  /** The tokens of the other registered workers. */
  workers(): MaybePromise<readonly string[]>
  /**
   * Takes over what a dead worker held, by the rules of each queue (`afterCrash`, `crashLimit`), and unregisters it.
   * Returns the numbers of the queues that changed. May be called again after an interruption.
   */
  recover(worker: string, now: number, wall: number): MaybePromise<readonly number[]>
  /**
   * Gives up everything that this worker holds: its jobs go back like those of a dead process. The worker stays
   * registered.
   */
  surrender(now: number, wall: number): MaybePromise<void>
  /** Unregisters the worker if it holds nothing. Returns whether it did. */
  close(): MaybePromise<boolean>
  /**
   * Calls `changed` when another process has committed something, or when a queue of this one should make an exchange
   * that made no request: soon, and also for commits after the call. Extra calls do no harm. Absent: nobody else
   * writes, or the connection watches by itself.
   */
  onChange?(changed: () => void): void
}

/** Thrown by a store that others have locked. Nothing was executed: the same transaction is requested again soon. */
export class StoreBusyError extends Error {
  static override readonly name: string = 'StoreBusyError'
}

/** Thrown by a store if a transaction was begun and it is unknown whether it was committed. */
export class ReplyLostError extends Error {
  static override readonly name: string = 'ReplyLostError'
}
