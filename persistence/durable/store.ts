/**
 * What crosses between the thread of a queue and the thread that holds its file.
 *
 * Plain data in columns, for structured clone copies a few long arrays faster than many objects. What few jobs have stands
 * apart, by the index of its job. Instants `now` and `at` are milliseconds of the host's steady clock, which all processes
 * of one boot share; `wall` is milliseconds since the epoch. Payloads, values, errors and checkpoints are JSON texts.
 */

import type { KeepPolicy, SettleKind, StateCounts, When } from '../../lib/backlog.ts'
import type { JobState } from '../../lib/job.ts'
import type { Caution } from '../../lib/launches.ts'
import type { RateRule } from '../../lib/rate.ts'

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
  readonly more: JobMore | undefined
}

/** What few jobs have. */
export interface JobMore {
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
export interface Attached {
  /** The number of the name in this file: other requests give it as `queue`. 0 when it is not there. */
  readonly queue: number
  readonly rules: readonly RateRule[]
  readonly counts: StateCounts
  readonly held: boolean
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
  readonly more: Sparse<JobMore>
}
export interface PutDone {
  /** The seq of the first that was taken; the others follow in order, those that existed left out. */
  readonly first: number
  readonly existed: Sparse<JobRow>
  readonly counts: StateCounts
}

export interface TurnRequest {
  readonly kind: 'turn'
  readonly queue: number
  /** Grows over all turns of this process. One that was done before is not done again, and is told what it told then. */
  readonly number: number
  /** The last one of this queue object that was answered; 0 before the first. */
  readonly heard: number
  /** As in the attach of the queue object: what becomes of runs is told to the one that works. */
  readonly works: boolean
  readonly now: number
  readonly wall: number
  readonly room: number
  readonly settled: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Undefined where all are 'finished'. */
    readonly kinds: readonly SettleKind[] | undefined
    /** Wall clock: when the bodies were called and ended. Empty where nobody will ask. */
    readonly startedAt: readonly number[]
    readonly stoppedAt: readonly number[]
    readonly more: Sparse<SettleMore>
  }
  /** Whether the queue would start jobs if it had room. */
  readonly admits: boolean
  /** grant, at, grant, at, … */
  readonly launched: readonly number[]
  /** Claimed jobs whose bodies run, or are about to. */
  readonly begun: {
    readonly seqs: readonly number[]
    readonly fences: readonly number[]
    /** Their bodies begin when this is stored: of those whose claim does not hold any more the queue is told. */
    readonly first: readonly boolean[]
  }
  readonly spent: readonly { readonly grant: number; readonly cost: Readonly<Record<string, number>> }[]
  readonly checkpoints: readonly { readonly seq: number; readonly fence: number; readonly value: string }[]
  /** Jobs whose bodies went on after they had ended, and have ended now. */
  readonly closed: readonly number[]
}
export interface SettleMore {
  /** Of a body that was not called: the start that it was granted is free again. */
  readonly grant?: number
  readonly waitMs?: number
  readonly heldKey?: string
  readonly error?: string
  /** What the handler returned, where it is kept. */
  readonly value?: string
  /** The job ends before its body does. */
  readonly goesOn?: boolean
  /** Of a job that was to run alone: it went back because other bodies run in this process. */
  readonly crowded?: boolean
  /** `finishWithin` recorded this ending already, in the caller's own transaction. */
  readonly within?: boolean
}
/** Jobs in a row that are claimed for the first time, have priority 0 and nothing besides a payload (plain.ts). */
export interface PlainClaimed {
  /** The seq of the first. */
  readonly first: number
  readonly count: number
  readonly ids: string
  readonly payloads: string
  /** Wall clock; one number where it is that of all. */
  readonly queuedAt: number | readonly number[]
}
export interface TurnDone {
  readonly claimed: {
    readonly seqs: readonly number[]
    readonly ids: readonly string[]
    readonly payloads: readonly string[]
    readonly priorities: readonly number[]
    readonly attempts: readonly number[]
    readonly fences: readonly number[]
    readonly queuedAt: readonly number[]
    readonly more: Sparse<JobMore>
    /** There are these instead where all are plain. */
    readonly plain: PlainClaimed | undefined
  }
  readonly grants: readonly number[] | undefined
  /** What ended in this turn by itself: could never start, is no JSON, or went back although it was asked to be cancelled. */
  readonly impossible: readonly JobRow[]
  readonly graceUntil: number
  readonly again: number
  readonly precise: boolean
  readonly limited: { readonly rule: RateRule | undefined; readonly until: number } | undefined
  readonly held: boolean
  readonly rules: readonly RateRule[]
  readonly counts: StateCounts
  readonly news:
    | {
        /** Seqs whose settle, checkpoint or lease no longer counts. */
        readonly lost: readonly number[]
        /** Seqs whose ending `finishWithin` had recorded, and its transaction was committed. */
        readonly within: readonly number[]
        readonly recovered: readonly JobRow[]
        /** Seqs of those that ended by it. */
        readonly endedSo: readonly number[]
        /** How many older reports of that kind were dropped, because nobody took them. */
        readonly missed: number
        readonly inDoubt: readonly JobRow[]
        readonly cancels: readonly { readonly seq: number; readonly reason: string | undefined }[]
      }
    | undefined
}

/** A job by its seq, or by its id. */
export type RowTarget = number | string

export interface ControlRequest {
  readonly kind: 'control'
  readonly queue: number
  readonly now: number
  readonly wall: number
  readonly command:
    | { readonly kind: 'cancel'; readonly target: RowTarget; readonly reason: string | undefined }
    | { readonly kind: 'retry'; readonly target: RowTarget }
    | { readonly kind: 'remove'; readonly target: RowTarget; readonly id?: string }
    | { readonly kind: 'reprioritize'; readonly target: RowTarget; readonly priority: number }
    | ({ readonly kind: 'reschedule' | 'promote'; readonly target: RowTarget } & When)
    | { readonly kind: 'clear'; readonly reason: string | undefined }
    | { readonly kind: 'rate'; readonly rules: readonly RateRule[] }
    | { readonly kind: 'pause'; readonly held: boolean }
}
export interface ControlDone {
  readonly changed: readonly JobRow[]
  readonly found: JobRow | undefined
  readonly count: number
  readonly asked: boolean
  readonly counts: StateCounts
  readonly rules: readonly RateRule[]
}

export interface FindRequest {
  readonly kind: 'find'
  readonly queue: number
  readonly target: RowTarget
}
export interface ListRequest {
  readonly kind: 'list'
  readonly queue: number
  readonly state: JobState | undefined
  readonly key: string | undefined
  readonly limit: number
  /** Where to go on, or the id of the job that stands there. */
  readonly after: Place | string | undefined
}
/** Where a job stands: in the order of start, and among the latest by its seq alone. */
export interface Place {
  readonly priority: number
  readonly seq: number
}
/** One step of a list. */
export interface ListDone {
  readonly rows: readonly JobRow[]
  /** Where the next goes on; undefined at the end. */
  readonly next: Place | undefined
}
export interface ExplainRequest {
  readonly kind: 'explain'
  readonly queue: number
  readonly target: RowTarget
  readonly now: number
  readonly wall: number
}
export interface ExplainDone {
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
  readonly heard?: number
}

export type Request =
  | AttachRequest
  | PutRequest
  | TurnRequest
  | ControlRequest
  | FindRequest
  | ListRequest
  | ExplainRequest
  | DetachRequest

/** An error as it crosses: the class is made again by its `code`, with the fields that it had. */
export interface WireError {
  readonly code: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** What the store itself said, where that is kept as the cause. */
  readonly cause?: { readonly name: string; readonly code: string; readonly message: string }
}
