/**
 * The contract of a limit: whether a job may start at an instant, and if not, why, and from when on it may.
 *
 * A limit applies to a **scope**: a queue name, one key of a queue, or a named rule that several queues share. A scope
 * is a record of facts, which the backlog keeps and passes in. A limit is a function of these facts, so it reads no
 * clock, holds no timer and has no state of its own. A new kind of limit of keys and named rules is one file here and one
 * line in limits.ts, besides its name in {@link LimitKind} and the facts that it needs in {@link Scope}.
 *
 * For the name of a queue as a whole, only the rate is checked by this contract, with that of the named rules. Its
 * pause and its global width refuse all jobs alike, so a claim checks them once and not for each job: `claim` of the
 * store and durable/execute/slots.ts in durable stores, `claim` of memory-queue.ts in memory. Memory also asks the rate
 * of the queue directly, because building a scope for each job would cost the hot path.
 */
import type { Rate } from '../rate/rate.ts'
import type { Cost, RateRule } from '../rate/rules.ts'

/** The facts about a queue, a key or a named rule by which its jobs may start. */
export interface Scope {
  readonly paused: boolean
  /** How many of its jobs may be underway; Infinity: any number. */
  readonly width: number
  /** How many bodies of its jobs run in all processes, including bodies that go on after their job has ended. */
  readonly bodies: number
  /** Until when a `Throttled` holds it; -Infinity: not held. */
  readonly heldUntil: number
  /** Undefined: no rule applies. */
  readonly rate: Rate | undefined
  /** For a named rule: the rule itself, with which its holds are reported. */
  readonly rule?: RateRule | undefined
  /** For a named rule: starts of other queues whose turn comes first. Absent: there are none. */
  readonly ahead?: Ahead | undefined
}

/** A scope that limits nothing. */
export const unlimited: Scope = Object.freeze({
  ...{ paused: false, width: Infinity, bodies: 0, heldUntil: -Infinity, rate: undefined },
})

/** Starts that capacity is left for, because their turn comes first. */
export interface Ahead {
  /** How much of the rule they take together. */
  readonly amount: number
  /** Until when the first of them is waited for. */
  readonly until: number
  /** The same of those that are to come by now. Undefined: other limits hold all of them up for longer. */
  readonly dueUntil: number | undefined
}

/** A start in the rate of a key of the queue, or in that of a named rule of the backlog. */
export interface FurtherStart {
  readonly of: 'key' | 'rule'
  readonly name: string
  readonly start: number
}

/** The kinds of limits, as `explain` names them. */
export type LimitKind = 'pause' | 'width' | 'hold' | 'rate'

/** Why a job may not start. */
export interface Refusal {
  readonly why: LimitKind
  /** The job cannot start before this instant. Infinity: no instant is known, because an event ends the refusal. */
  readonly until: number
  /** For `rate`, and for the hold of a named rule. */
  readonly rule: RateRule | undefined
  /** The job can never start by these rules: it costs more than a whole window holds. */
  readonly never: boolean
}

export interface Limit {
  /** Undefined: the job may start. */
  refuses(scope: Scope, cost: Cost | undefined, now: number): Refusal | undefined
}

/** A refusal that lasts until an event: a body ends, a resume, a wider width. */
export function untilEvent(why: LimitKind): Refusal {
  return { why, until: Infinity, rule: undefined, never: false }
}
