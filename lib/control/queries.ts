/** Queries about the jobs of a queue, and about why a job does not run. They change nothing. */
import type { StateCounts } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { reasonInQueue } from '../decisions/explain.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import { describe, JobUnknownError, numberHint, OptionError } from '../errors.ts'
import { Job, type JobRecord, type JobState } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkLabel } from '../options/options.ts'
import { isWellFormed } from '../parse/label.ts'
import { oneOf, optionsOf } from '../parse/option-names.ts'
import type { RateRule } from '../rate/rules.ts'
import { withCallSite } from '../support/call-site.ts'
import type { Opening } from './opening.ts'

/** The number of jobs in each of the six states, with two facts that a count cannot show. */
export interface Counts extends Readonly<StateCounts> {
  /** Bodies that still run after their job has settled. Each holds a slot. */
  readonly closing: number
  /** The instant of these counts, by the wall clock. */
  readonly asOf: number
}

/** Why a job is not running. */
export interface Explanation {
  readonly state: JobState
  /** The limit or delay that holds the job; undefined when it is next, underway, or ended. */
  readonly why:
    | 'paused'
    | 'shared pause'
    | 'stopped'
    | 'width'
    | 'globalWidth'
    | 'rate'
    | 'delay'
    | 'suspect'
    | 'behind others'
    | 'hold'
    | 'pause'
    | undefined
  /** The key whose limit holds the job: `why` is 'width', 'rate', 'hold' or 'pause'. */
  readonly key?: string
  readonly rule: RateRule | undefined
  /** How many ready jobs start before it; undefined unless pending. */
  readonly position: number | undefined
  /** The job does not start before this instant, by the wall clock: a true lower bound. Undefined unless it waits. */
  readonly notBefore: number | undefined
}

/** Which jobs `queue.jobs()` returns: by default all, a hundred at a time. */
export interface JobsQuery<Payload = unknown, Result = unknown> {
  state?: JobState | undefined
  key?: string | undefined
  /** The page size; 100, at most 10,000. */
  limit?: number | undefined
  /**
   * The last job of the page before, even if it is gone by now, or its id. An id that is not kept throws
   * JobUnknownError.
   */
  after?: Job<Payload, Result> | string | undefined
}

/** Of a queue whose backlog is not open yet. */
const noCounts: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

const states: readonly JobState[] = ['pending', 'delayed', 'underway', 'finished', 'failed', 'cancelled']

/** The record or the id that a caller passed. */
export function targetOf(target: Job<never, never> | Job | string, option = 'job'): JobRecord | string {
  if (isJob(target)) return Job.recordOf(target)
  if (typeof target === 'string') return wellFormed(option, target)
  throw new OptionError(option, target, `must be a job or its id, got ${describe(target)}`)
}

/** In a file, half of a surrogate pair becomes another character, and the id would match another job. */
function wellFormed(option: string, id: string): string {
  if (isWellFormed(id)) return id
  throw new OptionError(option, id, `must be an id, got ${describe(id)} with half of a surrogate pair`)
}

/** A proxy may throw when its class is read; it is no job. */
function isJob(target: unknown): target is Job {
  try {
    return target instanceof Job && Job.recordOf(target) !== undefined
  } catch {
    return false
  }
}

export class Queries {
  readonly #opening: Opening
  readonly #dispatch: Dispatch
  readonly #lifecycle: Lifecycle
  readonly #clock: Clock

  constructor(opening: Opening, dispatch: Dispatch, lifecycle: Lifecycle, clock: Clock) {
    this.#opening = opening
    this.#dispatch = dispatch
    this.#lifecycle = lifecycle
    this.#clock = clock
  }
  get counts(): Counts {
    return {
      ...(this.#opening.session?.counts ?? noCounts),
      closing: this.#dispatch.launcher.closing,
      asOf: this.#clock.wall(),
    }
  }
  async get(id: string): Promise<JobRecord | undefined> {
    if (typeof id !== 'string') throw new OptionError('id', id, `must be a string, got ${describe(id)}`)
    wellFormed('id', id)
    return withCallSite((await this.#opening.whenOpen()).find(id))
  }
  async jobs(query: JobsQuery<never, never>): Promise<readonly JobRecord[]> {
    const read: JobsQuery<never, never> = optionsOf('jobs.', query, ['state', 'key', 'limit', 'after'])
    const { state, key, limit = 100, after } = read
    oneOf('jobs.state', state, states)
    if (key !== undefined) checkLabel('jobs.key', key)
    if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) {
      const got = `${describe(limit)}${numberHint(limit)}`
      throw new OptionError(
        'jobs.limit',
        limit,
        `must be a whole number from 1 to 10000, got ${got}; page on with after`,
      )
    }
    const session = await this.#opening.whenOpen()
    return withCallSite(
      session.list({ state, key, limit, after: after === undefined ? undefined : targetOf(after, 'jobs.after') }),
    )
  }
  async explain(target: JobRecord | string): Promise<Explanation> {
    const session = await this.#opening.whenOpen()
    const now = this.#clock.now()
    const wall = this.#clock.wall()
    const found = await withCallSite(session.explain(target, now, wall))
    if (!found) throw new JobUnknownError(typeof target === 'string' ? target : target.id)
    const { record, position, notBefore, rule, key } = found
    const { launcher } = this.#dispatch
    const { stopping, pausedHere, sharedPaused } = this.#lifecycle
    const isFull = launcher.slotsTaken >= launcher.width
    const waits = record.state === 'pending' || record.state === 'delayed'
    return {
      state: record.state,
      why: waits ? reasonInQueue(found, position, { stopping, pausedHere, sharedPaused, isFull }) : undefined,
      ...(waits && key !== undefined && { key }),
      rule,
      position,
      notBefore: waits ? Math.max(wall, wall + notBefore - now) : undefined,
    }
  }
}
