/**
 * The contract between a durable backlog's queue side (everything in this folder) and the store that holds its jobs: a
 * database, as a rule. The types of requests and replies come first, {@link Store} and its rules at the end.
 *
 * Requests and replies are plain data, so that they can be sent to another thread or process: numbers, texts and columns,
 * because structured clone copies a few long arrays faster than many objects. What few jobs have stands apart, by the index
 * of its job. Instants named `now` and `at`, and all others that say nothing else, are milliseconds of the store's steady
 * clock ({@link ClockMapping}); `wall` and names that end with it are milliseconds since the epoch. Payloads, values,
 * errors and checkpoints are JSON texts.
 */

import type { DueTime, KeepPolicy, MaybePromise, SettleKind, StateCounts } from '../../lib/backlog.ts'
import type { Caution } from '../../lib/dispatch/launch-reports.ts'
import type { JobState } from '../../lib/job.ts'
import type { RateRule } from '../../lib/rate/rate.ts'

/** By the index of the job in the columns beside it. */
export type Sparse<T> = readonly (readonly [index: number, value: T])[]

/** A job as the file has it: enough for a snapshot. */
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
  readonly more: JobRowExtras | undefined
}

/** What few jobs have. */
export interface JobRowExtras {
  readonly key?: string
  /** Units by name. */
  readonly cost?: Readonly<Record<string, number>>
  /** The parsed RetryPolicy, as JSON. */
  readonly retry?: string
  readonly timeoutMs?: number
  /** Not before this instant of the steady clock, or of the wall clock. */
  readonly dueAt?: number
  readonly runAt?: number
  /** The digest of the payload, of a job whose id was given. */
  readonly fingerprint?: string
  readonly error?: string
  readonly value?: string
  readonly checkpoint?: string
  /** Of a claimed job: how many runs of it ended with their process; and what its launch is to observe. */
  readonly crashes?: number
  readonly caution?: Caution
}

export interface AttachRequest {
  readonly kind: 'attach'
  readonly name: string
  readonly works: boolean
  /** Only looks: a name that is not there is not made. */
  readonly looks?: boolean
  readonly rate: readonly RateRule[] | undefined
  /** Kept for `putWithin`; puts bring their own. */
  readonly size: number
  readonly keep: KeepPolicy
  readonly afterCrash: 'again' | 'fail' | 'ask'
  readonly crashLimit: number
  readonly now: number
  readonly wall: number
}
export interface AttachReply {
  /** The number of the name in this store: other requests give it as `queue`. 0 when it is not there. */
  readonly queue: number
  readonly rules: readonly RateRule[]
  readonly counts: StateCounts
  readonly sharedPaused: boolean
}

export interface PutRequest {
  readonly kind: 'put'
  readonly queue: number
  readonly now: number
  readonly wall: number
  /** Of the queue object that puts: how many jobs may wait. */
  readonly size: number
  readonly ids: readonly string[]
  readonly payloads: readonly string[]
  /** Undefined where all are 0. */
  readonly priorities: readonly number[] | undefined
  readonly queuedAt: readonly number[]
  readonly more: Sparse<JobRowExtras>
}
export interface PutReply {
  /** The seq of the first that was taken; the others follow in order, those that existed left out. */
  readonly first: number
  readonly existed: Sparse<JobRow>
  readonly counts: StateCounts
}

export interface ExchangeRequest {
  readonly kind: 'turn'
  readonly queue: number
  /** Grows over all turns of this process. One that was done before is not done again, and is told what it told then. */
  readonly number: number
  /** The last one of this queue object that was answered; 0 before the first. */
  readonly acknowledged: number
  /** As in the attach of the queue object: what becomes of runs is told to the one that works. */
  readonly works: boolean
  readonly now: number
  readonly wall: number
  /**
   * By how much instants of this process may be wrong: its grants have a grace that is longer by twice as much. Absent: 0, as
   * where queue and store share a host.
   */
  readonly errorMs?: number
  readonly room: number
  readonly settled: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Undefined where all are 'finished'. */
    readonly kinds: readonly SettleKind[] | undefined
    /** Wall clock: when the bodies were called and ended. Empty where nobody will ask. */
    readonly startedAt: readonly number[]
    readonly stoppedAt: readonly number[]
    readonly more: Sparse<SettleExtras>
  }
  /** Whether the queue would start jobs if it had room. */
  readonly mayLaunch: boolean
  /** grant, at, grant, at, … */
  readonly launched: readonly number[]
  /** Claimed jobs whose bodies run, or are about to. */
  readonly launchReports: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Their bodies begin when this is stored: of those whose claim does not hold any more the queue is told. */
    readonly first: readonly boolean[]
  }
  readonly spent: readonly { readonly grant: number; readonly cost: Readonly<Record<string, number>> }[]
  readonly checkpoints: readonly { readonly seq: number; readonly fence: number; readonly value: string }[]
  /** Jobs whose bodies went on after they had ended, and have ended now. */
  readonly endedBodies: readonly number[]
}
export interface SettleExtras {
  /** Of a body that was not called: the start that it was granted is free again. */
  readonly grant?: number
  readonly waitMs?: number
  readonly heldKey?: string
  readonly error?: string
  /** What the handler returned, where it is kept. */
  readonly value?: string
  /** The job ends before its body does. */
  readonly bodyContinues?: boolean
  /** Of a job that was to run alone: it went back because other bodies run in this process. */
  readonly notAlone?: boolean
  /** `finishWithin` recorded this ending already, in the caller's own transaction. */
  readonly within?: boolean
}
/** Jobs in a row that are claimed for the first time, have priority 0 and nothing besides a payload (put/plain-jobs.ts). */
export interface PlainClaimed {
  /** The seq of the first. */
  readonly first: number
  readonly count: number
  readonly ids: string
  readonly payloads: string
  /** Wall clock; one number where it is that of all. */
  readonly queuedAt: number | readonly number[]
}
export interface ExchangeReply {
  readonly claimed: {
    readonly seqs: readonly number[]
    readonly ids: readonly string[]
    readonly payloads: readonly string[]
    readonly priorities: readonly number[]
    readonly attempts: readonly number[]
    readonly fences: readonly number[]
    readonly queuedAt: readonly number[]
    readonly more: Sparse<JobRowExtras>
    /** There are these instead where all are plain. */
    readonly plain: PlainClaimed | undefined
  }
  readonly grants: readonly number[] | undefined
  /** What ended in this turn by itself: could never start, is no JSON, or went back although it was asked to be cancelled. */
  readonly endedUnrun: readonly JobRow[]
  readonly graceUntil: number
  readonly nextLookAt: number
  readonly nextLookExact: boolean
  readonly limited: { readonly rule: RateRule | undefined; readonly until: number } | undefined
  readonly sharedPaused: boolean
  readonly rules: readonly RateRule[]
  readonly counts: StateCounts
  readonly notices:
    | {
        /** PagedMap whose settle, checkpoint or lease no longer counts. */
        readonly lostRuns: readonly number[]
        /** PagedMap whose ending `finishWithin` had recorded, and its transaction was committed. */
        readonly within: readonly number[]
        readonly recovered: readonly JobRow[]
        /** PagedMap of those that ended by it. */
        readonly endedByRecovery: readonly number[]
        /** How many older reports of that kind were dropped, because nobody took them. */
        readonly droppedReports: number
        readonly needVerdict: readonly JobRow[]
        readonly cancelRequests: readonly { readonly seq: number; readonly reason: string | undefined }[]
      }
    | undefined
}

/** A job by its seq, or by its id. */
export type RowRef = number | string

export interface CommandRequest {
  readonly kind: 'control'
  readonly queue: number
  readonly now: number
  readonly wall: number
  readonly command:
    | { readonly kind: 'cancel'; readonly target: RowRef; readonly reason: string | undefined }
    | { readonly kind: 'retry'; readonly target: RowRef }
    | { readonly kind: 'remove'; readonly target: RowRef; readonly id?: string }
    | { readonly kind: 'reprioritize'; readonly target: RowRef; readonly priority: number }
    | ({ readonly kind: 'reschedule' | 'promote'; readonly target: RowRef } & DueTime)
    | { readonly kind: 'clear'; readonly reason: string | undefined }
    | { readonly kind: 'rate'; readonly rules: readonly RateRule[] }
    | { readonly kind: 'pause'; readonly held: boolean }
}
export interface CommandReply {
  readonly changed: readonly JobRow[]
  readonly found: JobRow | undefined
  readonly count: number
  readonly cancelRequested: boolean
  readonly counts: StateCounts
  readonly rules: readonly RateRule[]
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
  /** Where to go on, or the id of the job that stands there. */
  readonly after: ListCursor | string | undefined
}
/** Where a job stands: in the order of start, and among the latest by its seq alone. */
export interface ListCursor {
  readonly priority: number
  readonly seq: number
}
/** One step of a list. */
export interface ListReply {
  readonly rows: readonly JobRow[]
  /** Where the next goes on; undefined at the end. */
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
  readonly why: 'delay' | 'rate' | 'key' | 'suspect' | undefined
  readonly rule: RateRule | undefined
}
/** The queue object is gone: `keepLeases` says that bodies of it still run and that its jobs are theirs. */
export interface DetachRequest {
  readonly kind: 'detach'
  readonly queue: number
  /** As in its attach: what runs belongs to the one that works. */
  readonly works: boolean
  readonly keepLeases: boolean
  /** As in a turn: reports that this does not acknowledge are for the next queue object that works the name. */
  readonly acknowledged?: number
}

/** Requests that only read. */
export type QueryRequest = FindRequest | ListRequest | ExplainRequest

export type Request = AttachRequest | PutRequest | ExchangeRequest | CommandRequest | QueryRequest | DetachRequest

/** A request as a link sends it, and what a connection brings back for it, by the number that the link gave it. */
export type NumberedRequest = readonly [id: number, request: Request]
export type NumberedReply = readonly [id: number, answered: Answered]

/** What became of one request. A refused one changed nothing. */
export type Answered = { readonly ok: unknown } | { readonly error: WireError }

/** An error as it is encoded: an object of its class is made again by its name, with the fields that it had. */
export interface WireError {
  /** Of its class. */
  readonly name?: string
  readonly code: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** What the store itself said, where that is kept as the cause. */
  readonly cause?: { readonly name: string; readonly code: string; readonly message: string }
}

/** How many reports of crashes a store keeps for a queue that nobody works; it drops the oldest, and counts them. */
export const maxReports = 10_000

/**
 * What a database must do for `persistence/durable/` to make a backlog of it. One object serves one process: it registers
 * a worker, by whose token other processes find out what is left behind when this one dies.
 *
 * **Order.** Exchanges are asked for one at a time, and each sees what all before it did.
 *
 * **PagedMap.** Jobs are numbered over the whole store, growing in the order in which puts are committed. The new jobs of one
 * put have consecutive numbers, in the order of the request; those whose ids existed are left out.
 *
 * **Fences.** A claim raises the fence of its job. What a turn says of a job by an older fence changes nothing, and its
 * reply names the job among the lost.
 *
 * **Replay.** When an answer was lost, the same request may come again:
 * - a `turn` whose number is not above the last one done for its queue is not done again. It is answered as it was the
 *   first time: with the jobs that it claimed and this worker still holds, and with the same notices. Counts, rules and the
 *   next look are those of now. What was answered is kept until a later turn acknowledges it (`heard`).
 * - `attach` and `detach` change nothing the second time. A worker that attaches a queue again gets back the verdicts that
 *   it was to be asked for.
 * - a `put` whose ids were given finds them. Whether a put was stored can be found out by `find`: a row has the very
 *   `queuedAt` that was put, by which a job with a given id is told from that of another put.
 * - a `control` that sets a value may be done twice. Any other one is not sent again.
 *
 * **Time.** The store reads no clock: each request brings the instants that it is about.
 *
 * **Data.** What it was given and what it answered is the caller's: the store changes nothing in either, and keeps no part of
 * a request.
 */
export interface Store {
  /**
   * One transaction. Answers stand in the order of the requests; a refused request fails alone, with an error that its
   * class and its code tell, and has changed nothing. Rejects, or throws, only when provably nothing was committed: with a
   * {@link StoreBusyError} where it is worth asking again soon. Where a commit may have happened and its answer did not
   * arrive, it rejects with an {@link AnswerLostError}.
   */
  exchange(requests: readonly Request[]): MaybePromise<readonly Answered[]>
  /** Reads only; sees every exchange answered before. Rejects with the errors of that request. */
  query(request: QueryRequest): MaybePromise<unknown>
  /** Tokens of the other workers that are registered. */
  workers(): MaybePromise<readonly string[]>
  /**
   * Takes over what a dead worker held, by the rules of each queue (`afterCrash`, `crashLimit`), and strikes it off. Answers
   * which queues changed, by their numbers. May be called again when it was interrupted.
   */
  recover(worker: string, now: number, wall: number): MaybePromise<readonly number[]>
  /** Gives up all that this worker holds: its jobs go back as those of a dead process do. The worker stays registered. */
  surrender(now: number, wall: number): MaybePromise<void>
  /** Signs the worker off when it holds nothing; whether it did. */
  close(): MaybePromise<boolean>
  /**
   * Calls `changed` when another process has committed something, or a queue of this one should look again that did not
   * ask: soon, and again for what was committed after the call. A call too many does no harm. Absent: nobody else writes,
   * or the connection watches by itself.
   */
  onChange?(changed: () => void): void
}

/** Thrown by a store that others have locked. Nothing was done: the same exchange is asked for again soon. */
export class StoreBusyError extends Error {
  static override readonly name: string = 'StoreBusyError'
}

/** Thrown by a store where a transaction was begun and nobody knows whether it was committed. */
export class AnswerLostError extends Error {
  static override readonly name: string = 'AnswerLostError'
}
