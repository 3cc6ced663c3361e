/**
 * The entries of a history: one for each call, reply, event and fault.
 *
 * An entry states what could be seen from outside the queue, and draws no conclusions, so that a checker need not trust
 * the queue that it judges. All entries are plain data that JSON can carry.
 */
import type { JobState, RetryPolicy } from '../lib/job.ts'
import type { KeysPolicy } from '../lib/limits/keys.ts'
import type { RateRule } from '../lib/rate/rules.ts'

/** The fields of every entry. */
export interface Stamp {
  /** The order within the history, from 1. */
  readonly seq: number
  /** Steady milliseconds, by the clock that all processes of the history share. */
  readonly nowMs: number
  /** Milliseconds since the epoch, which may jump. */
  readonly wallMs: number
  /** The process: one life of it, or of its queue object, because width, pause and stop belong to a queue object. */
  readonly process: string
  /** The name of the queue, which jobs and their rate belong to. Empty for a fault of the whole process. */
  readonly queue: string
}

/** Verbs of the queue that have a reply. */
export type Verb =
  | 'put'
  | 'cancel'
  | 'retry'
  | 'remove'
  | 'reprioritize'
  | 'reschedule'
  | 'promote'
  | 'clear'
  | 'pause'
  | 'stop'
  | 'idle'
  | 'run'
  | 'result'
  | 'key'
  | 'clearOverrides'

/** A queue object was created. Unknown facts are left out, and invariants that depend on them are not judged. */
export interface Opened {
  readonly kind: 'opened'
  readonly width: number
  readonly rules: readonly RateRule[]
  readonly paused: boolean
  /** Whether it has a handler. Other queues only put, query and change jobs. */
  readonly works: boolean
  /** How many bodies may run in all processes together, if it declares a limit. */
  readonly globalWidth?: number
  /** Its declaration for each key. Without it, keys are only labels. */
  readonly keys?: KeysPolicy
  /** Attempts of a job without its own setting. */
  readonly attempts?: number
  /** The waits of such a job between attempts. */
  readonly retry?: RetryPolicy
  readonly crashLimit?: number
  readonly afterCrash?: 'again' | 'fail' | 'ask'
  /** How long the id of an ended job is remembered. */
  readonly idsMs?: number
}

// Requests. `call` numbers the calls of one process, and the reply has the same number.

/** One job of a put, a putMany or a run. */
export interface PutCalled {
  readonly kind: 'put'
  readonly call: number
  /** Undefined only if the queue generates the id and it is not known yet. */
  readonly job?: string
  readonly priority: number
  readonly delayMs?: number
  readonly runAtMs?: number
  readonly key?: string
  readonly cost?: Readonly<Record<string, number>>
  readonly attempts?: number
  readonly retry?: RetryPolicy
}
/** A command for one job. */
export interface ChangeCalled {
  readonly kind: 'cancel' | 'retry' | 'remove' | 'reprioritize' | 'reschedule' | 'promote'
  readonly call: number
  readonly job: string
  /** For `cancel`: the request is the abort of the signal with which the job was put in this process. */
  readonly signal?: true
  /** For `reprioritize`. */
  readonly priority?: number
  /** For `reschedule`: one of them, if the argument is legal. */
  readonly delayMs?: number
  readonly runAtMs?: number
}
export interface Called {
  readonly kind: 'clear' | 'stop' | 'idle'
  readonly call: number
  /** For `clear`: only the jobs of this key. */
  readonly key?: string
}
/** Sets, pauses or resumes one key. Fields that are absent stay as they are; null goes back to what is declared. */
export interface KeySet {
  readonly kind: 'key'
  readonly call: number
  readonly key: string
  readonly width?: number | null
  readonly rate?: readonly RateRule[] | null
  readonly weight?: number | null
  readonly paused?: boolean
}
/** Goes back to what is declared, for all that can be overridden or for this alone. */
export interface OverridesCleared {
  readonly kind: 'clearOverrides'
  readonly call: number
  readonly only?: string
}
export interface PauseCalled {
  readonly kind: 'pause'
  readonly call: number
  readonly shared: boolean
  readonly tasks: boolean
}
/** These have no reply: they take effect from here on. */
export interface ResumeCalled {
  readonly kind: 'resume'
  readonly shared: boolean
}
export interface WidthSet {
  readonly kind: 'width' | 'globalWidth'
  readonly width: number
}
export interface RateSet {
  readonly kind: 'rate'
  readonly rules: readonly RateRule[]
}

// Replies.

/** The promise of the put has resolved with this job. */
export interface Accepted {
  readonly kind: 'accepted'
  readonly call: number
  readonly job: string
  /** The id was remembered, and no job was added. */
  readonly existed: boolean
}
/** A promise has rejected: of a put, a command, a pause, a stop. */
export interface Refused {
  readonly kind: 'refused'
  readonly call: number
  readonly of: Verb
  readonly code: string
}
/**
 * A promise has resolved, with its value: whether it changed anything, how many jobs it cleared, whether the queue
 * drained.
 */
export interface Answered {
  readonly kind: 'answered'
  readonly call: number
  readonly of: Verb
  readonly value?: boolean | number
  /**
   * For `stop`: how many jobs stay in the backlog, and the ids of those that were returned and of those that were
   * abandoned.
   */
  readonly left?: number
  readonly returned?: readonly string[]
  readonly abandoned?: readonly string[]
}
/** A caller got the promise of a job's outcome, from `run` or `job.result`; and it has settled. */
export interface Promised {
  readonly kind: 'promised'
  readonly call: number
  readonly of: 'run' | 'result'
  readonly job?: string
}
export interface Settled {
  readonly kind: 'settled'
  readonly call: number
  readonly of: 'run' | 'result'
  readonly job?: string
  readonly how: 'resolved' | 'rejected'
  /** For an error: its code, or its name if it has none. */
  readonly code?: string
}

// Events and runs.

/** The first line of a handler. */
export interface Launched {
  readonly kind: 'launch'
  readonly job: string
  readonly attempt: number
  /** The fence of the claim, if it is known. */
  readonly fence?: number
  /** How many crashes count against the job; absent if none. */
  readonly crashes?: number
  /** The checkpoint from which it continues, as JSON; absent if there is none. */
  readonly restored?: string
  /** The key of the job, as its handler sees it. */
  readonly key?: string
}
/** Its body has really ended. */
export interface Released {
  readonly kind: 'release'
  readonly job: string
  readonly attempt: number
  readonly fence?: number
  readonly how: 'returned' | 'threw'
  readonly code?: string
  /** For RetryLater and Throttled: the requested wait, and the key whose rate is held, unless all are. */
  readonly afterMs?: number
  readonly heldKey?: string
  /** For Throttled: the name of the rule that is held. */
  readonly heldRule?: string
}
/** The handler called `task.progress`, `task.checkpoint` or `task.spent`; or its checkpoint is stored. */
export interface Reported {
  readonly kind: 'progress' | 'checkpoint' | 'stored' | 'spent'
  readonly job: string
  readonly attempt: number
  readonly fence?: number
  /** As JSON. */
  readonly value?: string
  readonly cost?: Readonly<Record<string, number>>
}
/** An event as a listener received it. */
export interface Emitted {
  readonly kind: 'emitted'
  readonly event: string
  readonly job?: string
  readonly state?: JobState
  readonly attempt?: number
  /** For `retry`. */
  readonly delayMs?: number
  /** For `globalWidth`: what it reads now. */
  readonly width?: number
  /** For `failed` and `error`. */
  readonly code?: string
}
/** A reading of the queue's counters. */
export interface Counted {
  readonly kind: 'counts'
  readonly counts: Readonly<Record<JobState, number>>
  readonly closing: number
}
/** All jobs that the queue has, at an instant at which no call is unanswered and no other process is active. */
export interface Inventory {
  readonly kind: 'inventory'
  readonly counts: Readonly<Record<JobState, number>>
  readonly jobs: readonly {
    readonly id: string
    readonly state: JobState
    readonly attempt: number
    /** For the error of a job that failed. */
    readonly code?: string
  }[]
}

// The actions of a store itself, in tests that can see into it.

/** A claim was committed. */
export interface Claimed {
  readonly kind: 'claimed'
  readonly job: string
  readonly attempt: number
  readonly fence: number
  readonly leaseUntilMs?: number
}
/** A settle was committed, or changed nothing because its fence is old. */
export interface Recorded {
  readonly kind: 'recorded'
  readonly job: string
  readonly fence: number
  readonly as: string
  readonly changed: boolean
}

// Faults and measurements.

/** The process is dead from here on: its bodies have ended, and it makes no more entries. */
export interface Crash {
  readonly kind: 'crash'
}
/** The wall clock has jumped; or the event loop was blocked until now. */
export interface Disturbed {
  readonly kind: 'jump' | 'block'
  readonly ms: number
}
/** Any other fault that was injected. */
export interface Fault {
  readonly kind: 'fault'
  readonly what: string
}
/** A measurement with an upper bound: heap, handles, bytes of a log. */
export interface Measured {
  readonly kind: 'measured'
  readonly what: string
  readonly value: number
  readonly most: number
}
/** A file was examined, and has this defect. */
export interface Examined {
  readonly kind: 'file'
  readonly path: string
  readonly wrong: readonly string[]
}

/** The content of one entry. */
export type Fact =
  | Opened
  | PutCalled
  | ChangeCalled
  | Called
  | KeySet
  | OverridesCleared
  | PauseCalled
  | ResumeCalled
  | WidthSet
  | RateSet
  | Accepted
  | Refused
  | Answered
  | Promised
  | Settled
  | Launched
  | Released
  | Reported
  | Emitted
  | Counted
  | Inventory
  | Claimed
  | Recorded
  | Crash
  | Disturbed
  | Fault
  | Measured
  | Examined

export type FactKind = Fact['kind']

type FactOf<K extends FactKind, F extends Fact = Fact> = F extends Fact
  ? [Extract<F['kind'], K>] extends [never]
    ? never
    : F
  : never

/** An entry of a history, or of some kinds of it: `Entry<'launch'>`. */
export type Entry<K extends FactKind = FactKind> = Stamp & FactOf<K>
