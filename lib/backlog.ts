/**
 * The contract between a queue and its backlog: where jobs wait, and what remembers them.
 *
 * It is written as if the backlog were a thread or a network away: every verb may be answered later and takes a batch, time
 * comes in with the request, and all that a turn of the queue wants is one exchange.
 *
 * # What a backlog owes its queue
 *
 * `backlogContract` and `sharedBacklogContract` of `rdq/testing` test these rules: each title begins with a number.
 *
 * **Order and replies**
 * - B1. The requests of a session take effect one after the other. Exchanges do so in the order in which they were made,
 *   though several may be in flight; so do puts and commands among themselves. An exchange may take effect before a put that
 *   was made before it.
 * - B2. Replies come in the order in which the requests took effect. So a put or a command is answered before the exchange
 *   that hands out its jobs, and a query after the exchange whose endings it shows. The queue acts on a value at once and on
 *   a promise in the first reaction to it, and may launch jobs in that step.
 * - B3. The counts, the rules and the shared pause of a session are as of its last reply.
 * - B4. A promise is a native one. Until it settles, `clock.outside` has it, so that a clock that a test turns waits for it.
 *
 * **Failure**
 * - B5. An exchange that rejects took nothing, and the queue reports all of it again. What became of a request whose reply was
 *   lost is found out below this contract: it takes effect once, and is answered as if its reply had not been lost.
 * - B6. A put or a command that rejects changed nothing. Only OutcomeUnknownError says that it may have; the queue does not
 *   repeat it, and takes a turn to find what was put.
 * - B7. StoreError says that something in the request can never be stored. The queue then sends the parts of an exchange one
 *   by one. Any other rejection of an exchange is taken to pass: the queue reports all of it again after a second.
 *
 * **Records**
 * - B8. A job that was put through a session is the same record in all its replies, for as long as it waits, runs or somebody
 *   awaits its result. What an exchange reports as ignored are the very objects that were passed in with it.
 * - B9. A record is written in the step in which the reply arrives that shows the change. Who writes which field stands at
 *   {@link JobRecord}.
 *
 * **Puts**
 * - B10. A put is accepted whole and in order, or refused whole: with QueueFullError, IdConflictError, CostError or
 *   StoreError.
 * - B11. A given id names one job for as long as that is kept and for `idsMs` longer. Another put of it finds that job, or is
 *   refused where its payload differs.
 *
 * **Exchanges**
 * - B12. Within an exchange, launches, costs, reports and checkpoints take effect before endings, and endings before claims.
 * - B13. A claim takes the most important jobs, first put first among equals, and no more than there is room for. Each is
 *   underway then; its attempt is counted and its fence raised. It belongs to this session until it settles.
 * - B14. What is said of a job with another fence changes nothing.
 * - B15. An ending that lets a job go back keeps its place in the order. Only `retry` uses an attempt. A wait counts from the
 *   exchange on.
 * - B16. A claim is charged to the rate. A launch that is confirmed counts from its own instant, one that did not happen not
 *   at all. A job is launched before `graceUntil`, or goes back.
 * - B17. A job that ends without having been called is reported by the exchange that ends it: a lowered limit is below its
 *   cost, it went back although its cancel had been asked for, or its payload cannot be read.
 * - B18. An exchange says when to look again although nothing wakes the queue: a job comes due, or a rule lets go.
 * - B19. A job whose body goes on after its end is not put anew before that has ended.
 *
 * **Commands and queries**
 * - B20. Commands change jobs that wait or have ended, and leave those alone that are underway. Counts are conserved.
 * - B21. `clear` cancels all that waits, in steps where that is much, and nothing is handed out between two steps. `return`
 *   takes out all that waits; where jobs are durable they stay, and those are named whose results are awaited here.
 * - B22. Ended jobs and ids are kept for their time, and no more of them than `most`.
 * - B23. A list is in the order of start where it is one of jobs that wait; in any other the last put comes first. A cursor goes on from where its job
 *   stood, also when that is gone.
 * - B24. `explain` gives the position of a job, and a true lower bound of its start.
 *
 * **Time**
 * - B25. Every instant is one of the queue's clocks. A backlog with a clock of its own translates both ways; it decides
 *   nothing by a clock that a request did not bring.
 *
 * **Several sessions of one name**
 * - B26. One session of a process works a name; a second one is refused with QueueNameTakenError. A session that closes gives
 *   the name up, and its jobs stay.
 * - B27. Rules that are declared as before leave an override in force; others replace it.
 * - B28. A session is woken when another one has changed something that its next exchange would show: a put, a command, an
 *   ending, a claim.
 * - B29. A shared pause holds every session of the name, until a shared resume.
 * - B30. A cancel of a job that another session runs is handed to that one with its next exchange.
 * - B31. Whoever awaits the result of a job that ends elsewhere is told once, by the record that `follow` has answered.
 *
 * **Several processes**
 * - B32. The jobs of a process that died go back, fail or await a verdict, as `afterCrash` says, and are reported to a queue
 *   that works the name. The fence is raised: whatever the dead process still says changes nothing.
 * - B33. A crash counts against jobs whose launch was reported, and against no others. A job fails with PoisonError once so
 *   many runs of it have ended with their process as `crashLimit` says.
 * - B34. A process that does not answer its backlog for too long loses what it has claimed, and is told: `stalled`, and which
 *   runs are lost. What those settle is reported as ignored.
 * - B35. All sessions of a name share its rate.
 */
import type { Clock } from './clock.ts'
import type { Caution } from './dispatch/launch-reports.ts'
import type { JobRecord, JobState, Limited } from './job.ts'
import type { Cost, RateRule } from './rate/rate.ts'
import type { CheckpointValue } from './run/checkpoint-value.ts'

/** How long ended jobs and their ids are kept, in milliseconds, and how many of each. */
export interface KeepPolicy {
  readonly finishedMs: number
  readonly failedMs: number
  readonly cancelledMs: number
  readonly idsMs: number
  readonly results: boolean
  /** Beyond so many ended jobs, and so many ids, those go that would be forgotten next. */
  readonly most: number
}

/**
 * The reply of a backlog: the value itself, or a promise of it where the reply comes from a thread or over a network.
 *
 * The queue acts on a value before it asks for anything else, and on a promise in the first reaction to it.
 */
export type MaybePromise<T> = T | Promise<T>

/** What a queue object says of itself when it takes up its name in a backlog. */
export interface SessionOptions {
  readonly name: string
  /** False for a queue that only puts, looks and changes. */
  readonly works: boolean
  readonly clock: Clock
  /** Undefined declares nothing. */
  readonly rate: readonly RateRule[] | undefined
  readonly size: number
  readonly keep: KeepPolicy
  /** What becomes of a job whose process died while it ran; with 'ask' the turn's news names it, and the queue settles it. */
  readonly afterCrash: 'again' | 'fail' | 'ask'
  /** During how many runs of a job a process may die before it fails with PoisonError. */
  readonly crashLimit: number
  /** Something changed for this name that the queue's next turn should see. */
  readonly wake: () => void
  /** A job that was put here, and whose result somebody here waits for, has ended elsewhere. */
  readonly endedElsewhere: (record: JobRecord) => void
  /** The process did not answer its own backlog for too long and lost what it had claimed. */
  readonly stalled: () => void
  /** Something went wrong that no call asked for. */
  readonly failed: (error: unknown) => void
  /** How many bodies of this queue object run now, including those whose jobs have ended. */
  readonly runningBodies: () => number
}

/** How a backlog that replies later wants to be asked. */
export interface Transport {
  /** How many jobs of single puts go into one batch: one that is huge would hold up the exchanges behind it. */
  readonly batch: number
  /** How many exchanges, and how many batches, may be unanswered at a time. */
  readonly inFlight: number
}

export interface Backlog {
  /** Absent: the backlog replies at once, so that it can be asked for as much as there is. */
  readonly transport?: Transport
  /** Whether what was accepted outlives this process. */
  readonly durable: boolean
  /** Whether payloads must be what JSON gives back unchanged. */
  readonly strict: boolean
  /** Takes up a name. Rejects with QueueNameTakenError when a working queue object of this process has it. */
  attach(options: SessionOptions): Promise<BacklogSession>
}

/** How a run ends, or goes back. `snooze`, `throttled`, `interrupted` and `notLaunched` use no attempt. */
export type SettleKind =
  | 'finished'
  | 'failed'
  | 'cancelled'
  | 'retry'
  | 'snooze'
  | 'throttled'
  | 'interrupted'
  | 'notLaunched'

/** One ending, as the gate (settle/verdict.ts) hands it over. */
export interface Settlement {
  readonly record: JobRecord
  /** The job's fence at the claim. With any other it changes nothing: the job has gone on without this run. */
  readonly fence: number
  readonly kind: SettleKind
  readonly grant: number
  readonly value: unknown
  readonly error: unknown
  /** Of `error`, or of `value` where results are kept: made when the run ended, where its backlog stores text. */
  readonly text?: string | undefined
  /** For `retry`, `snooze` and `throttled`: how long to wait, from the exchange on. */
  readonly waitMs: number
  /** For `throttled`: the key whose rate is held; undefined holds the queue's. */
  readonly heldKey: string | undefined
  /** Recorded already by {@link BacklogSession.finishWithin}, unless that transaction was rolled back: then it ends as it says here. */
  readonly within: boolean
  /** False: its body was never called. A start that was granted for it is free again, also where it was cancelled. */
  readonly launched?: boolean
  /** Cancelled, or over its time, while its body goes on: the job is not put anew before that has ended ({@link Exchange.endedBodies}). */
  readonly bodyContinues?: boolean
  /** Of `notLaunched`: it had to run alone, and other bodies run in this process. */
  readonly notAlone?: boolean
}

/** What a queue tells and asks in one turn. The arrays are lent until the turn is answered. */
export interface Exchange {
  /** The instant of the steady clock, and of the wall. */
  now: number
  wall: number
  /** How many jobs may be claimed. */
  room: number
  /** Whether jobs would start if there were room: the queue is not paused, held or stopping, and its width is not 0. */
  mayLaunch: boolean
  settled: Settlement[]
  /** Launches: which grant started when. */
  launched: { readonly grant: number; readonly at: number }[]
  /** Claimed jobs whose bodies run, or are about to: from here on a crash of this process counts against them. */
  launchReports: {
    readonly record: JobRecord
    readonly fence: number
    /** The body begins when this is stored. Where the claim does not hold any more, the job is among {@link Notices.lostRuns}. */
    readonly first: boolean
  }[]
  spent: { readonly grant: number; readonly cost: Cost }[]
  checkpoints: {
    readonly record: JobRecord
    readonly fence: number
    readonly value: CheckpointValue
  }[]
  /** Bodies that went on after their job had ended, and have ended now. */
  endedBodies: JobRecord[]
}

/** What a turn tells besides, seldom. */
export interface Notices {
  /** Runs of this process whose job went to another, or was taken out: what they settle changes nothing. */
  readonly lostRuns: readonly JobRecord[]
  /**
   * Endings of this turn that changed nothing, of runs that were lost before: their jobs have gone on with others here. And
   * those of jobs that went elsewhere before they were called: nothing of theirs was lost.
   */
  readonly ignoredSettles: readonly Settlement[]
  /** Checkpoints of such runs, of which nothing is stored. */
  readonly ignoredCheckpoints: readonly Exchange['checkpoints'][number][]
  /** Jobs whose process died while they ran, as they are now. */
  readonly recovered: readonly JobRecord[]
  /** Those of them that ended by it: poisoned, say. Any other that has ended ran elsewhere meanwhile. */
  readonly endedByRecovery: readonly JobRecord[]
  /** The same, where `afterCrash` is to be asked: the job is underway here by its new fence, and no body runs. */
  readonly needVerdict: readonly JobRecord[]
  /** Runs of this queue object that another one, or another process, asks to cancel. */
  readonly cancelRequests: readonly { readonly record: JobRecord; readonly reason: unknown }[]
}

/** What the backlog answers. */
export interface ExchangeResult {
  /** Most important first, at most `room`; each is underway, its attempt counted and its fence raised. */
  readonly claimed: readonly JobRecord[]
  /** What their handlers are called with; absent where that is what the records have. */
  readonly payloads?: readonly unknown[]
  /** Failed instead of claimed: a lowered limit is below their cost. */
  readonly endedUnrun: readonly JobRecord[]
  /** The grant of each claimed job; absent where nothing limits. */
  readonly grants: readonly number[] | undefined
  /** Claimed jobs that the backlog asks more of than to be launched. Absent where there are none. */
  readonly cautions?: ReadonlyMap<JobRecord, Caution> | undefined
  /** A claimed job is launched before this instant, or goes back. */
  readonly graceUntil: number
  /** The instant at which to look again if nothing wakes the queue before: a job comes due, a rule lets go. */
  readonly nextLookAt: number
  /** Whether `again` is the instant of a rule, which is worth meeting exactly. */
  readonly nextLookExact: boolean
  readonly limited: Limited | undefined
  /** Whether a shared pause holds. */
  readonly sharedPaused: boolean
  readonly notices: Notices | undefined
}

export type JobRef = JobRecord | string

/** When a waiting job comes due: so long after the command, or at an instant of the wall clock. Neither: at once. */
export interface DueTime {
  readonly waitMs?: number
  readonly runAt?: number
}

/**
 * A change of what waits or has ended. `underway` jobs are left alone: their queue is asked. `return` is the last command
 * of a queue that stops: it takes out all that waits, or where jobs are durable and stay, names those held here.
 */
export type Command =
  | {
      readonly kind: 'cancel'
      readonly target: JobRef
      readonly reason: unknown
      /** Of `reason`, as it was at the call, where the backlog stores text. */
      readonly text?: string | undefined
    }
  | { readonly kind: 'retry' | 'remove'; readonly target: JobRef }
  | { readonly kind: 'reprioritize'; readonly target: JobRef; readonly priority: number }
  | ({ readonly kind: 'reschedule' | 'promote'; readonly target: JobRef } & DueTime)
  | { readonly kind: 'clear' }
  | { readonly kind: 'return' }
  | { readonly kind: 'rate'; readonly rules: readonly RateRule[] }
  | { readonly kind: 'pause'; readonly held: boolean }

/** Which jobs a command changed, and the one it was about, as it is now. */
export interface CommandResult {
  readonly changed: readonly JobRecord[]
  readonly found: JobRecord | undefined
  /** How many it changed, where that may be more than are named: `clear` in a durable backlog names only jobs held here. */
  readonly count: number
  /** Of `clear`: it has done a part, and is to be asked again. Nothing is given out until it is over. */
  readonly more?: boolean
  /** Whoever runs the job was asked to cancel it. Of `retry`: a body of it goes on, so nothing was changed. */
  readonly cancelRequested: boolean
}

export interface JobQuery {
  readonly state: JobState | undefined
  readonly key: string | undefined
  readonly limit: number
  /** The job after which to go on: by its record also when it is gone; by an id of which none is kept, JobUnknownError. */
  readonly after: JobRef | undefined
}

/** Why a job does not run, as far as the backlog knows. */
export interface WaitReason {
  readonly record: JobRecord
  /** How many start before it, of those that are ready; undefined unless it is pending. */
  readonly position: number | undefined
  /** A true lower bound, of the steady clock. */
  readonly notBefore: number
  /** `suspect`: it was underway in a crash, and such jobs run one at a time; or one of them runs alone. */
  readonly why: 'delay' | 'rate' | 'key' | 'suspect' | undefined
  readonly rule: RateRule | undefined
}

export type StateCounts = Record<JobState, number>

/**
 * Jobs that are put together, in their order: an array of records, or many payloads that become records when somebody iterates
 * over them (put/plain-jobs.ts). A backlog without a use for the latter need not know the difference.
 */
export interface PutBatch extends Iterable<JobRecord> {
  readonly length: number
}

/** A name in a backlog, taken up by one queue object. */
export interface BacklogSession {
  /** The states of all jobs ever accepted and not removed, as of the last answer. Ended ones stay counted when forgotten. */
  readonly counts: Readonly<StateCounts>
  readonly rules: readonly RateRule[]
  /** Whether a shared pause holds, as of the last answer. */
  readonly sharedPaused: boolean
  /**
   * Accepts all or none, in order. Answers with the job that stands for each whose id was remembered with the same
   * payload; undefined when there was none. Rejects with QueueFullError, IdConflictError or CostError.
   */
  put(batch: PutBatch, now: number, wall: number): MaybePromise<ReadonlyMap<JobRecord, JobRecord> | undefined>
  turn(exchange: Exchange): MaybePromise<ExchangeResult>
  /** How many bodies run in this process of all queue objects on this backlog. Absent where no job has to run alone. */
  bodiesInProcess?(): number
  control(command: Command, now: number, wall: number): MaybePromise<CommandResult>
  find(target: JobRef): MaybePromise<JobRecord | undefined>
  list(query: JobQuery): MaybePromise<readonly JobRecord[]>
  explain(target: JobRef, now: number, wall: number): MaybePromise<WaitReason | undefined>
  /**
   * Somebody waits for the result of this job: as long as it has not ended, what becomes of it is told by the record that
   * this answers. It is another one where the job is followed by another already.
   */
  follow?(record: JobRecord): JobRecord
  /** As of when this process knows that job, by the wall clock; undefined while it follows it. Absent: it follows all. */
  asOf?(record: JobRecord): number | undefined
  /**
   * Records in a transaction of the caller's own that the claimed job finished: at once, or when the promise resolves. What is
   * a transaction, and what is wrong with one, is for the backlog to say. Absent: no transaction of others reaches its jobs.
   */
  finishWithin?(
    transaction: unknown,
    record: JobRecord,
    fence: number,
    startedAt: number,
    value: unknown,
  ): void | Promise<void>
  /** Gives the name up. Jobs stay. What bodies that were abandoned hold stays theirs while this process lives. */
  close(): Promise<void>
}
