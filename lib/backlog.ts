/**
 * The contract between a queue and its backlog, which stores jobs and their state.
 *
 * It is written as if the backlog were a thread or a network away: every verb may be answered later and takes a batch,
 * a request carries the present time, and one pass of the dispatch loop needs a single exchange.
 *
 * # What a backlog owes its queue
 *
 * `backlogContract` and `sharedBacklogContract` of `rdq/testing` test these rules: each title begins with a number.
 *
 * **Order and replies**
 * - B1. The requests of a session take effect one after the other. Exchanges do so in the order in which they were
 *   made, though several may be in flight; so do puts and commands among themselves. An exchange may take effect before
 *   a put that was made before it.
 * - B2. Replies come in the order in which the requests took effect. So a put or a command is answered before the
 *   exchange that hands out its jobs, and a query after the exchange whose endings it shows. The queue acts on a value
 *   at once and on a promise in the first reaction to it, and may launch jobs in that step.
 * - B3. The counts, the rules and the shared pause of a session are as of its last reply.
 * - B4. A promise is a native one. Until it settles it is registered with `clock.outside`, so that a clock that a test
 *   exchanges waits for it.
 *
 * **Failure**
 * - B5. An exchange that rejects has changed nothing, and the queue reports all of it again. Below this contract a
 *   backlog finds out what became of a request whose reply was lost: the request takes effect once, and is answered as
 *   if its reply had not been lost.
 * - B6. A put or a command that rejects has changed nothing. Only after OutcomeUnknownError may it have; the queue does
 *   not repeat it, and makes an exchange to find jobs that were put.
 * - B7. StoreError means that something in the request can never be stored. The queue then sends the parts of an
 *   exchange one by one. Any other rejection of an exchange counts as temporary: the queue reports all of it again
 *   after a second.
 *
 * **Records**
 * - B8. A job that was put through a session is the same record in all its replies, as long as it waits, runs or its
 *   result is awaited. Items that an exchange reports as ignored are the very objects that were passed in with it.
 * - B9. A record is written in the step in which the reply arrives that shows the change. {@link JobRecord} lists who
 *   writes which field.
 *
 * **Puts**
 * - B10. A put is accepted whole and in order, or refused whole: with QueueFullError, IdConflictError, CostError or
 *   StoreError.
 * - B11. A given id names one job as long as the job is kept and for `idsMs` longer. Another put of the id finds that
 *   job, or is refused if its payload differs.
 *
 * **Exchanges**
 * - B12. Within an exchange, launches, costs, reports and checkpoints take effect before endings, and endings before
 *   claims.
 * - B13. A claim takes the most important jobs, the first put first among equals, and no more than there is room for.
 *   Each is then underway; its attempt is counted and its fence raised. It belongs to this session until it settles.
 *   Where keys are in force, they take turns (limits/fairness.ts), the order is that within a key, and jobs of keys
 *   that a limit holds up (limits/limits.ts) are passed over.
 * - B14. A report about a job with another fence changes nothing.
 * - B15. A job that goes back keeps its place in the order. Only `retry` uses an attempt. A wait counts from the
 *   exchange on.
 * - B16. A claim is charged to the rate, to that of its key, and to each named rule of the queue. A confirmed launch
 *   counts from its own instant; a launch that did not happen does not count. A job is launched before `graceUntil`, or
 *   goes back.
 * - B17. A job that ends without a call of its handler is reported by the exchange that ends it: a lowered limit is
 *   below its cost, it went back although its cancel had been requested, or its payload cannot be read.
 * - B18. An exchange says when to look again if nothing wakes the queue before: a job comes due, or a rule has capacity
 *   again.
 * - B19. A job whose body still runs after its ending is not put again before the body has ended.
 * - B38. A settle with `crashes` counts a crash that left the process alive. The job is then a suspect. With
 *   `suspectRoom` an exchange claims no more suspects than that: those that the next crash may fail as `alone`, the
 *   others as `beside`.
 *
 * **Commands and queries**
 * - B20. Commands change jobs that wait or have ended, and leave jobs alone that are underway. Counts are conserved.
 * - B21. `clear` cancels all waiting jobs, in steps if there are many, and no job is handed out between two steps.
 *   `return` removes all waiting jobs. In a durable backlog they stay, and it names those whose results are awaited
 *   here. They also stay if the session does not work the name and others have it open.
 * - B22. Ended jobs and ids are kept for their time, and at most `most` of each.
 * - B23. A list of waiting jobs is in the order of start; in any other list the last put comes first. A cursor
 *   continues after the position of its job, even if the job is gone.
 * - B24. `explain` gives the position of a job, and a true lower bound of its start.
 *
 * **Time**
 * - B25. Every instant belongs to the queue's clocks. A backlog with a clock of its own translates both ways; it
 *   decides nothing by a clock that did not come with a request.
 *
 * **Several sessions of one name**
 * - B26. One session of a process works a name; a second one is refused with QueueNameTakenError. A session that closes
 *   releases the name, and its jobs stay.
 * - B27. A repeated declaration of the same rules, or the same global width, leaves an override in force; another
 *   declaration replaces it.
 * - B28. A session is woken when another one has changed something that its next exchange would show: a put, a command,
 *   an ending, a claim.
 * - B29. A shared pause stops every session of the name, until a shared resume.
 * - B30. A cancel of a job that another session runs is passed to that session with its next exchange.
 * - B31. If a job ends elsewhere, a caller that awaits its result is notified once, through the record that `follow`
 *   returned.
 *
 * **Several processes**
 * - B32. The jobs of a process that died go back, fail or await a verdict, depending on `afterCrash`, and are reported
 *   to a queue that works the name. The fence is raised, so later reports of the dead process change nothing.
 * - B33. A crash counts against jobs whose launch was reported, and against no others. A job fails with PoisonError
 *   once `crashLimit` of its runs have ended with their process, and in the last of them it ran alone or the limit
 *   is 1.
 * - B34. A process that does not answer its backlog for too long loses its claims, and is notified: `stalled`, and
 *   which runs are lost. Their settles are reported as ignored.
 * - B35. All sessions of a name share its rate, its global width, and what is declared and set for its keys.
 * - B36. No claim brings the bodies of a name, in all processes, above its global width. Bodies that go on after their
 *   job has ended count; those of a dead process count until its death is noticed.
 * - B37. All queues of a backlog whose rules have one name share that rule, and what is declared and set for it. Those
 *   that wait for it take turns, start by start. A hold of it holds them all.
 */
import type { Clock } from './clock.ts'
import type { JobRecord, JobState, Limited } from './job.ts'
import type { KeyOverride, KeysPolicy } from './limits/keys.ts'
import type { FurtherStart, LimitKind } from './limits/limit.ts'
import type { Cost, RateRule } from './rate/rules.ts'
import type { MaybePromise } from './support/replies.ts'
import type { CheckpointValue } from './text/checkpoint-value.ts'

export type { FurtherStart } from './limits/limit.ts'
export type { MaybePromise } from './support/replies.ts'

/**
 * The caution that a backlog requires for a launch: none, a report before the body begins, or that no other body runs
 * beside it.
 */
export const noCaution = 0
export const reportedFirst = 1
export const launchAlone = 2
export type Caution = typeof noCaution | typeof reportedFirst | typeof launchAlone

/** How long ended jobs and their ids are kept, in milliseconds, and how many of each. */
export interface KeepPolicy {
  readonly finishedMs: number
  readonly failedMs: number
  readonly cancelledMs: number
  readonly idsMs: number
  readonly results: boolean
  /** The most ended jobs, and the most ids, that are kept; the ones that would expire next are dropped first. */
  readonly most: number
}

/** The declaration of a queue object that opens its name in a backlog. */
export interface SessionOptions {
  readonly name: string
  /** False for a queue without a handler: it only puts, queries and changes jobs. */
  readonly works: boolean
  readonly clock: Clock
  /** Undefined declares no rules. */
  readonly rate: readonly RateRule[] | undefined
  /** Limits and sharing by key. Undefined declares none. */
  readonly keys?: KeysPolicy | undefined
  /** How many jobs of the name may be underway in all sessions together. Undefined declares nothing. */
  readonly globalWidth?: number | undefined
  readonly size: number
  readonly keep: KeepPolicy
  /**
   * The fate of a job whose process died while it ran. With 'ask' the notices of an exchange name it, and the queue
   * settles it.
   */
  readonly afterCrash: 'again' | 'fail' | 'ask'
  /** How many runs end with their process before the job fails with PoisonError; in the last of them it ran alone. */
  readonly crashLimit: number
  /** Called when something changed for this name that the queue's next exchange should see. */
  readonly wake: () => void
  /** Called when a job that was put here, and whose result is awaited here, has ended elsewhere. */
  readonly endedElsewhere: (record: JobRecord) => void
  /** Called when the process did not answer its own backlog for too long and lost its claims. */
  readonly stalled: () => void
  /** Called with an error that belongs to no request. */
  readonly failed: (error: unknown) => void
  /** How many bodies of this queue object run now, including those whose jobs have ended. */
  readonly runningBodies: () => number
}

/** The form of requests that suits a backlog with late replies. */
export interface Transport {
  /** The most single puts that go into one batch. A huge batch would delay the exchanges behind it. */
  readonly batchSize: number
  /** How many batches of puts may be in flight. */
  readonly batchesInFlight: number
  /** How many exchanges may be in flight. */
  readonly exchangesInFlight: number
}

/** For a backlog that names none: it replies synchronously, so requests may be of any size. */
export const synchronousTransport: Transport = { batchSize: Infinity, batchesInFlight: 4, exchangesInFlight: 4 }

export interface Backlog {
  /** Absent: {@link synchronousTransport}. */
  readonly transport?: Transport
  /** Whether accepted jobs outlive this process. */
  readonly durable: boolean
  /** Whether a payload must survive JSON unchanged. */
  readonly strict: boolean
  /** Opens a name. Rejects with QueueNameTakenError if a queue object with a handler of this process has it open. */
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

/** How a run ended, or that its job goes back. If the body threw, settle/error-settlement.ts decided. */
export interface Settlement {
  readonly record: JobRecord
  /** The job's fence at the claim. With any other fence the settle is ignored, because the run has lost its job. */
  readonly fence: number
  readonly kind: SettleKind
  readonly grant: Grant
  readonly value: unknown
  readonly error: unknown
  /**
   * The text of `error`, or of `value` if results are kept, made when the run ended. Present if the backlog stores
   * text.
   */
  readonly text?: string | undefined
  /** For `retry`, `snooze` and `throttled`: how long the job waits, counted from the exchange. */
  readonly waitMs: number
  /** For `throttled`: the key that is held, and the named rule. With neither, the queue is held. */
  readonly heldKey: string | undefined
  readonly heldRule?: string | undefined
  /**
   * The ending was recorded by {@link BacklogSession.finishWithin}. If that transaction was rolled back, the job ends
   * as this settlement says.
   */
  readonly within: boolean
  /**
   * False: the body was never called. The start that was granted to the job is free again, even if the job was
   * cancelled.
   */
  readonly launched?: boolean
  /**
   * The job was cancelled or timed out while its body still runs. It is not put again before the body has ended ({@link
   * Exchange.endedBodies}).
   */
  readonly bodyContinues?: boolean
  /** For `notLaunched`: the job had to run alone, and other bodies run in this process. */
  readonly notAlone?: boolean
  /** The isolate of the body ended by itself: the job's crashes from now on. A job that goes back is then a suspect. */
  readonly crashes?: number | undefined
}

/** How many suspects a queue can run in isolates: each beside jobs that are no suspects, and each alone. */
export interface SuspectRoom {
  readonly beside: number
  readonly alone: number
}

/**
 * The reports and requests of a queue in one pass. The arrays belong to the queue again once the exchange is answered.
 */
export interface Exchange {
  /** The present instants of the steady clock and of the wall clock. */
  now: number
  wall: number
  /** How many jobs may be claimed. */
  room: number
  /**
   * Whether a job could start if there were a free slot: the queue is not paused or stopping, and its width is not 0.
   * Always true without a handler, because another queue object of the name may start jobs.
   */
  mayLaunch: boolean
  /**
   * All slots are taken. Otherwise an exchange without room says nothing about what the queue waits for
   * (lib/decisions/waits.ts). Absent: false.
   */
  isFull?: boolean
  /**
   * The queue runs its bodies in isolates, whose end leaves the process alive: so many suspects may be claimed, to run
   * in an isolate each beside others, and alone in one. Absent: suspects run one at a time in this process.
   */
  suspectRoom?: SuspectRoom | undefined
  settled: Settlement[]
  /** Launches of jobs that a rate has granted: the start counts at this instant, instead of at the end of its grace. */
  confirmed: { readonly grant: Grant; readonly at: number }[]
  /** Claimed jobs whose bodies run, or are about to. From here on a crash of this process counts against them. */
  launchReports: {
    readonly record: JobRecord
    readonly fence: number
    /**
     * The body begins only when this report is stored. If the claim is no longer valid, the job is among
     * {@link Notices.lostRuns}.
     */
    readonly first: boolean
  }[]
  spent: { readonly grant: Grant; readonly cost: Cost }[]
  checkpoints: {
    readonly record: JobRecord
    readonly fence: number
    readonly value: CheckpointValue
  }[]
  /** Jobs whose bodies ran on after their ending, and have ended now. */
  endedBodies: JobRecord[]
}

/** The part of a reply besides its claims; rarely present. */
export interface Notices {
  /**
   * Jobs claimed by this process that went to another run or were removed, whether they were launched or not. Settles of
   * these claims change nothing.
   */
  readonly lostRuns: readonly JobRecord[]
  /**
   * Settles in this exchange that were ignored, because the run had already lost its job (another run of this process
   * may own it now). The queue emits nothing for them.
   */
  readonly ignoredSettles: readonly Settlement[]
  /** Checkpoints of such runs. They are not stored. */
  readonly ignoredCheckpoints: readonly Exchange['checkpoints'][number][]
  /** Jobs whose process died while they ran, in their present state. */
  readonly recovered: readonly JobRecord[]
  /**
   * Recovered jobs that the crash ended, for example by PoisonError. Any other recovered job that has ended ran
   * elsewhere since.
   */
  readonly endedByRecovery: readonly JobRecord[]
  /**
   * Recovered jobs for which `afterCrash` must give a verdict: each is underway here with its new fence, and no body
   * runs.
   */
  readonly needVerdict: readonly JobRecord[]
  /** Runs of this queue object for which another one, or another process, requests a cancel. */
  readonly cancelRequests: readonly { readonly record: JobRecord; readonly reason: unknown }[]
}

/**
 * The charge of a claim for a job. The queue hands it back with the launch, with a cost, or if the job was not
 * launched. 0: nothing was charged. A number is a start in the rate of the queue; a record has further starts, in other
 * rates that the job counts for.
 */
export type Grant = number | GrantRecord

export interface GrantRecord {
  /** In the rate of the queue; 0 if it has none. */
  readonly start: number
  readonly further: readonly FurtherStart[]
}

/** The reply to an exchange. */
export interface ExchangeResult {
  /** Most important first, at most `room`; each is underway, its attempt counted and its fence raised. */
  readonly claimed: readonly JobRecord[]
  /** The payloads for the handlers; absent if they are those of the records. */
  readonly payloads?: readonly unknown[]
  /** Jobs that ended without a run: a limit was lowered below their cost, say (rule B17). */
  readonly endedUnrun: readonly JobRecord[]
  /** The grant of each claimed job; absent if no rate applies. */
  readonly grants: readonly Grant[] | undefined
  /** Claimed jobs that must be launched with caution; absent if there are none. */
  readonly cautions?: ReadonlyMap<JobRecord, Caution> | undefined
  /** A claimed job that is not launched before this instant goes back. */
  readonly graceUntil: number
  /** When to look again if nothing wakes the queue before: a job comes due, or a rule has capacity again. */
  readonly nextLookAt: number
  /** Whether `nextLookAt` comes from a rule, whose instant is worth meeting exactly. */
  readonly nextLookExact: boolean
  readonly limited: Limited | undefined
  /** Whether a shared pause is in force. */
  readonly sharedPaused: boolean
  readonly notices: Notices | undefined
}

export type JobRef = JobRecord | string

/** Settings that a command can override. */
export type Overridable = 'rate' | 'globalWidth' | 'keys'

/** The settings that are overridden. Overrides of single keys are listed by key. */
export interface Overridden {
  readonly rate: boolean
  readonly globalWidth: boolean
}

/**
 * When a waiting job comes due: `waitMs` after the command, or at an instant of the wall clock. With neither, at once.
 */
export interface DueTime {
  readonly waitMs?: number
  readonly runAt?: number
}

/**
 * A change of waiting or ended jobs. A cancel of an `underway` job only requests it from the queue that runs it.
 * `return` is the last command of a queue that stops: it removes all waiting jobs, unless they stay for others; in a
 * durable backlog, where they always stay, it names those that this process follows.
 */
export type Command =
  | {
      readonly kind: 'cancel'
      readonly target: JobRef
      readonly reason: unknown
      /** The text of `reason` as of the call, if the backlog stores text. */
      readonly text?: string | undefined
    }
  | { readonly kind: 'retry' | 'remove'; readonly target: JobRef }
  | { readonly kind: 'reprioritize'; readonly target: JobRef; readonly priority: number }
  | ({ readonly kind: 'reschedule' | 'promote'; readonly target: JobRef } & DueTime)
  /** With a key: only of its jobs. */
  | { readonly kind: 'clear'; readonly key?: string }
  | { readonly kind: 'return' }
  | { readonly kind: 'rate'; readonly rules: readonly RateRule[] }
  | { readonly kind: 'globalWidth'; readonly width: number }
  | { readonly kind: 'pause'; readonly paused: boolean }
  /** Overrides the settings of one key. A field that is undefined goes back to what was declared. */
  | { readonly kind: 'key'; readonly key: string; readonly change: KeyOverride }
  /** Removes overrides: the last declaration is in force again; `keys`: for all single keys. */
  | { readonly kind: 'clearOverrides'; readonly of: readonly Overridable[] }

/** The jobs that a command changed, and its target in its present state. */
export interface CommandResult {
  readonly changed: readonly JobRecord[]
  readonly found: JobRecord | undefined
  /**
   * How many jobs changed. There may be more than `changed` names: `clear` of a durable backlog names only jobs
   * followed here.
   */
  readonly count: number
  /** For `clear`: only a part is done; send it again. No job is handed out until it has finished. */
  readonly hasMore?: boolean
  /** Why the target is not changed yet; undefined if it is changed, or if there is nothing to change. */
  readonly unchangedBecause: UnchangedBecause | undefined
}

/**
 * Why a command has not changed its target yet.
 *
 * - `cancelRequested`: the job runs elsewhere, and a cancel was requested from the queue that runs it.
 * - `bodyContinues`: the job is to be retried, but a body of it still runs. The command has to be sent again.
 */
export type UnchangedBecause = 'cancelRequested' | 'bodyContinues'

export interface JobQuery {
  readonly state: JobState | undefined
  readonly key: string | undefined
  readonly limit: number
  /**
   * The job after which the list continues. A record works even if its job is gone; an id that is not kept rejects with
   * JobUnknownError.
   */
  readonly after: JobRef | undefined
}

/** Why a job does not run, as far as the backlog can say. */
export interface WaitReason {
  readonly record: JobRecord
  /** How many ready jobs start before it; undefined unless pending. */
  readonly position: number | undefined
  /** A true lower bound of the start, by the steady clock. */
  readonly notBefore: number
  /**
   * `suspect`: a crash is counted against the job, and such jobs run one at a time; or such a job is running alone now.
   */
  readonly why: 'delay' | 'suspect' | 'globalWidth' | LimitKind | undefined
  readonly rule: RateRule | undefined
  /** The key whose limit holds the job. */
  readonly key?: string | undefined
}

/** How many jobs of one key wait and run, and what holds the key. */
export interface KeyReport {
  readonly key: string
  readonly pending: number
  readonly delayed: number
  readonly underway: number
  readonly why: LimitKind | undefined
  /** By the steady clock; undefined if no instant is known. */
  readonly until: number | undefined
}

export interface KeysQuery {
  /** Only this key. */
  readonly key?: string | undefined
  /** Only keys that have jobs in that state. */
  readonly state?: 'pending' | 'delayed' | 'underway' | undefined
  readonly limit: number
  /** The key after which the list continues. */
  readonly after?: string | undefined
}

export type StateCounts = Record<JobState, number>

/**
 * Jobs that are put together, in order: an array of records, or payloads that become records when they are iterated
 * over (put/plain-jobs.ts). A backlog may treat both alike.
 */
export interface PutBatch extends Iterable<JobRecord> {
  readonly length: number
}

/** A name in a backlog, opened by one queue object. */
export interface BacklogSession {
  /**
   * The number of jobs in each state, of all jobs ever accepted and not removed, as of the last reply. Ended jobs stay
   * counted when they are forgotten.
   */
  readonly counts: Readonly<StateCounts>
  readonly rules: readonly RateRule[]
  /** The former rules of the declared names, if this session's declaration has changed them for all. */
  readonly replaced?: readonly RateRule[] | undefined
  /** As of the last reply; Infinity: no limit. */
  readonly globalWidth: number
  /** The overrides, as of the last reply; undefined: none. */
  readonly overridden: Overridden | undefined
  /** The declaration for all keys, and the overrides of single ones, as of the last reply. */
  readonly keys: { readonly policy: KeysPolicy | undefined; readonly overrides: ReadonlyMap<string, KeyOverride> }
  /** Whether a shared pause is in force, as of the last reply. */
  readonly sharedPaused: boolean
  /**
   * Accepts all jobs or none, in order. The reply maps each job whose id was remembered with the same payload to the
   * existing job; undefined if there was none. Rejects with QueueFullError, IdConflictError or CostError.
   */
  put(batch: PutBatch, now: number, wall: number): MaybePromise<ReadonlyMap<JobRecord, JobRecord> | undefined>
  exchange(exchange: Exchange): MaybePromise<ExchangeResult>
  /**
   * How many bodies run in this process, of all queue objects on this backlog. Absent if no job ever has to run alone.
   */
  bodiesInProcess?(): number
  command(command: Command, now: number, wall: number): MaybePromise<CommandResult>
  find(target: JobRef): MaybePromise<JobRecord | undefined>
  list(query: JobQuery): MaybePromise<readonly JobRecord[]>
  explain(target: JobRef, now: number, wall: number): MaybePromise<WaitReason | undefined>
  /** Keys that have jobs which wait or run, a pause or an override, in order of key. */
  listKeys(query: KeysQuery, now: number, wall: number): MaybePromise<readonly KeyReport[]>
  /**
   * The result of this job is awaited: until it ends, the backlog reports its changes on the returned record, which is
   * another one if another record of the job is followed already.
   */
  follow?(record: JobRecord): JobRecord
  /**
   * The instant as of which this process knows the job, by the wall clock; undefined while it follows the job. Absent:
   * it follows all jobs.
   */
  asOf?(record: JobRecord): number | undefined
  /**
   * Records in a transaction of the caller that the claimed job finished: at once, or when the promise resolves. The
   * backlog decides which transactions it accepts. Absent: the backlog cannot take part in transactions of callers.
   */
  finishWithin?(
    transaction: unknown,
    record: JobRecord,
    fence: number,
    startedAt: number,
    value: unknown,
  ): void | Promise<void>
  /**
   * Closes the session and releases the name. Jobs stay. Claims of abandoned bodies stay valid while this process
   * lives.
   */
  close(): Promise<void>
}
