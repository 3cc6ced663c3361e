/**
 * The entries of a history: one for each call, answer, event and fault.
 *
 * An entry says what could be seen from outside the queue, and draws no conclusions, so that a checker need not trust the
 * queue that it judges. All entries are plain data that JSON can carry.
 */
import type { JobState, RetryPolicy } from '../lib/job.ts'
import type { RateRule } from '../lib/rate/rate.ts'

/** What each entry has. */
export interface Stamp {
  /** The order within the history, from 1. */
  readonly seq: number
  /** Steady milliseconds, of the clock that all processes of the history share. */
  readonly nowMs: number
  /** Milliseconds since the epoch, which may jump. */
  readonly wallMs: number
  /** Which process: one life of it, or of its queue object, for width, pause and stop are a queue object's own. */
  readonly process: string
  /** The name of the queue, under which jobs and their rate are shared. Empty where a fault is of the whole process. */
  readonly queue: string
}

/** Verbs of the queue that are answered. */
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

/** A queue object is there. What is not known is left out, and what depends on it is not judged. */
export interface Opened {
  readonly kind: 'opened'
  readonly width: number
  readonly rules: readonly RateRule[]
  readonly paused: boolean
  /** Whether it has a handler: any other queue only puts, looks and changes. */
  readonly works: boolean
  /** Attempts of a job that brings none of its own. */
  readonly attempts?: number
  /** How long such a job waits between them. */
  readonly retry?: RetryPolicy
  readonly crashLimit?: number
  readonly afterCrash?: 'again' | 'fail' | 'ask'
  /** How long the id of an ended job is remembered. */
  readonly idsMs?: number
}

// What is asked. `call` numbers the calls of one process, and the answer has the same number.

/** One job of a put, a putMany or a run. */
export interface PutAsked {
  readonly kind: 'put'
  readonly call: number
  /** Undefined only where the queue makes the id and nobody knows it yet. */
  readonly job?: string
  readonly priority: number
  readonly delayMs?: number
  readonly runAtMs?: number
  readonly key?: string
  readonly cost?: Readonly<Record<string, number>>
  readonly attempts?: number
  readonly retry?: RetryPolicy
}
/** A change of one job. */
export interface ChangeAsked {
  readonly kind: 'cancel' | 'retry' | 'remove' | 'reprioritize' | 'reschedule' | 'promote'
  readonly call: number
  readonly job: string
  /** Of `cancel`: the signal has aborted that the job was put with in this process. */
  readonly signal?: true
  /** Of `reprioritize`. */
  readonly priority?: number
  /** Of `reschedule`: one of them, where what was given is legal. */
  readonly delayMs?: number
  readonly runAtMs?: number
}
export interface Asked {
  readonly kind: 'clear' | 'stop' | 'idle'
  readonly call: number
}
export interface PauseAsked {
  readonly kind: 'pause'
  readonly call: number
  readonly shared: boolean
  readonly tasks: boolean
}
/** These are not answered: they hold from here on. */
export interface ResumeAsked {
  readonly kind: 'resume'
  readonly shared: boolean
}
export interface WidthSet {
  readonly kind: 'width'
  readonly width: number
}
export interface RateSet {
  readonly kind: 'rate'
  readonly rules: readonly RateRule[]
}

// What is answered.

/** The promise of the put has resolved with this job. */
export interface Accepted {
  readonly kind: 'accepted'
  readonly call: number
  readonly job: string
  /** The id was remembered, and nothing was put. */
  readonly existed: boolean
}
/** A promise has rejected: of a put, a change, a pause, a stop. */
export interface Refused {
  readonly kind: 'refused'
  readonly call: number
  readonly of: Verb
  readonly code: string
}
/** A promise has resolved, with what it says: whether it changed anything, how many it cleared, whether it was drained. */
export interface Answered {
  readonly kind: 'answered'
  readonly call: number
  readonly of: Verb
  readonly value?: boolean | number
  /** Of `stop`: how many stay in the backlog, and the ids of those that came back and of those that were given up. */
  readonly left?: number
  readonly returned?: readonly string[]
  readonly abandoned?: readonly string[]
}
/** Somebody was given the promise of what becomes of a job, by `run` or `job.result`; and it has settled. */
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
  /** Of the error: its code, or its name where it has none. */
  readonly code?: string
}

// What happens.

/** The first line of a handler. */
export interface Launched {
  readonly kind: 'launch'
  readonly job: string
  readonly attempt: number
  /** Of the claim that it runs by, where that is known. */
  readonly fence?: number
  /** How many crashes are counted against the job; absent where there are none. */
  readonly crashes?: number
  /** The checkpoint it goes on from, as JSON; absent where there is none. */
  readonly restored?: string
}
/** Its body has really ended. */
export interface Released {
  readonly kind: 'release'
  readonly job: string
  readonly attempt: number
  readonly fence?: number
  readonly how: 'returned' | 'threw'
  readonly code?: string
  /** Of RetryLater and Throttled: after how long the job asks to run again; and whose rate is held, where not all. */
  readonly afterMs?: number
  readonly heldKey?: string
}
/** The handler called `task.progress`, `task.checkpoint` or `task.spent`; or its checkpoint is stored. */
export interface Told {
  readonly kind: 'progress' | 'checkpoint' | 'stored' | 'spent'
  readonly job: string
  readonly attempt: number
  readonly fence?: number
  /** As JSON. */
  readonly value?: string
  readonly cost?: Readonly<Record<string, number>>
}
/** An event as a listener heard it. */
export interface Heard {
  readonly kind: 'heard'
  readonly event: string
  readonly job?: string
  readonly state?: JobState
  readonly attempt?: number
  /** Of `retry`. */
  readonly delayMs?: number
  /** Of `failed` and `error`. */
  readonly code?: string
}
/** What a look at the queue's counters said. */
export interface Counted {
  readonly kind: 'counts'
  readonly counts: Readonly<Record<JobState, number>>
  readonly closing: number
}
/** All jobs that the queue knows, at an instant at which nothing is asked and nobody else works. */
export interface Inventory {
  readonly kind: 'inventory'
  readonly counts: Readonly<Record<JobState, number>>
  readonly jobs: readonly {
    readonly id: string
    readonly state: JobState
    readonly attempt: number
    /** Of the error of a job that failed. */
    readonly code?: string
  }[]
}

// What a store itself does, where a test sees into it.

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

// What goes wrong, and what is measured.

/** The process is dead from here on: its bodies have ended, and nobody hears from it again. */
export interface Crash {
  readonly kind: 'crash'
}
/** The wall clock has jumped; or the event loop was held up until now. */
export interface Disturbed {
  readonly kind: 'jump' | 'block'
  readonly ms: number
}
/** Any other fault that was injected. */
export interface Fault {
  readonly kind: 'fault'
  readonly what: string
}
/** Something that must be no more than so much: heap, handles, bytes of a log. */
export interface Measured {
  readonly kind: 'measured'
  readonly what: string
  readonly value: number
  readonly most: number
}
/** A file was examined, and this is wrong with it. */
export interface Examined {
  readonly kind: 'file'
  readonly path: string
  readonly wrong: readonly string[]
}

/** What one entry says. */
export type Fact =
  | Opened
  | PutAsked
  | ChangeAsked
  | Asked
  | PauseAsked
  | ResumeAsked
  | WidthSet
  | RateSet
  | Accepted
  | Refused
  | Answered
  | Promised
  | Settled
  | Launched
  | Released
  | Told
  | Heard
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
