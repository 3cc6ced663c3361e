/**
 * Handles jobs that the backlog has accepted: emits their events, creates the handle for the caller, and requests an
 * exchange that may launch them. It knows the loop and the waiting callers only by the interfaces below, because they
 * stand above the puts.
 */

import type { Announcer } from '../announce/announcer.ts'
import type { Results } from '../announce/results.ts'
import type { BacklogSession } from '../backlog.ts'
import { Job, type JobHost, type JobRecord } from '../job.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { keepShapeAlive } from '../support/shape-samples.ts'
import type { Existed, PutCall } from './entries.ts'
import type { PutListener } from './intake.ts'
import { PlainJobs } from './plain-jobs.ts'

/** The loop that dispatches jobs, as arrivals use it. */
export interface JobLoop {
  /** Requests a pass of the loop. */
  wake(): void
  /** Jobs wait that may start at once. */
  jobsArrived(): void
}
/** Callers that await the moment when no job is left. */
export interface IdleWaiters {
  /** A job has arrived, so the queue is not idle. */
  busy(): void
  /** The queue may have become idle. */
  check(): void
}
/** The signals with which jobs were put. */
export interface JobSignals {
  /** The job has arrived; its signal may have aborted on the way. */
  arrived(record: JobRecord): void
}

export interface ArrivalsParts {
  readonly emitter: { hasListener(event: 'pending' | 'delayed'): boolean }
  readonly announcer: Announcer
  readonly results: Results
  readonly host: JobHost
  readonly signals: JobSignals
  readonly waiters: IdleWaiters
  readonly loop: JobLoop
}

/** Settles the promise of a call: with its job or jobs, or as a rejection. */
type Resolve<T> = (value: T | Promise<never>) => void

/** One call of `put`. */
class SinglePut implements PutCall {
  readonly record: JobRecord
  readonly #arrivals: Arrivals
  readonly #resolve: Resolve<Job>

  constructor(record: JobRecord, arrivals: Arrivals, resolve: Resolve<Job>) {
    this.record = record
    this.#arrivals = arrivals
    this.#resolve = resolve
  }
  get records(): readonly JobRecord[] {
    return [this.record]
  }
  accepted(existed: Existed): void {
    this.#resolve(this.#arrivals.jobOfPut(this.record, existed?.get(this.record)))
  }
  /** Uses the same function for both outcomes, so that nothing else is held while the job is on its way. */
  refused(error: unknown): void {
    this.record.live?.unlisten?.()
    this.#resolve(rejectionAtCallSite(error))
  }
}

keepShapeAlive(new SinglePut(undefined as unknown as JobRecord, undefined as unknown as Arrivals, () => {}))

export class Arrivals implements PutListener {
  readonly #parts: ArrivalsParts
  #session: BacklogSession | undefined

  constructor(parts: ArrivalsParts) {
    this.#parts = parts
  }
  open(session: BacklogSession): void {
    this.#session = session
  }
  putCall(record: JobRecord, resolve: Resolve<Job>): PutCall {
    return new SinglePut(record, this, resolve)
  }
  /** One call of `putMany`. */
  many(records: readonly JobRecord[], resolve: Resolve<Job[]>): PutCall {
    return {
      record: undefined,
      records,
      accepted: existed => resolve(records.map(record => this.jobOfPut(record, existed?.get(record)))),
      refused: error => {
        for (const { live } of records) live?.unlisten?.()
        resolve(rejectionAtCallSite(error))
      },
    }
  }
  /** Returns the job for the caller of a put: the existing one, if the id was remembered. */
  jobOfPut(record: JobRecord, known: JobRecord | undefined): Job {
    const { announcer, signals, host } = this.#parts
    if (known) {
      record.live?.unlisten?.()
      return new Job(host, known, true)
    }
    if (record.live?.signal) {
      this.#session?.follow?.(record)
      signals.arrived(record)
    }
    this.waits(record)
    return announcer.jobOf(record)
  }
  /** The job waits, and did not before. */
  waits(record: JobRecord): void {
    const isDelayed = record.state === 'delayed'
    this.#parts.announcer.emit(isDelayed ? 'delayed' : 'pending', record)
    this.#requestPass(isDelayed)
  }

  // Reports of the intake.

  accepted(record: JobRecord, known: JobRecord | undefined): void {
    if (known) return this.#parts.results.resolveAs(record, known)
    if (record.live?.signal) this.#parts.signals.arrived(record)
    this.waits(record)
  }
  allAccepted(jobs: readonly JobRecord[] | PlainJobs): void {
    const { emitter } = this.#parts
    const hasListener = emitter.hasListener('pending') || emitter.hasListener('delayed')
    if (hasListener) for (const record of jobs instanceof PlainJobs ? [...jobs.waiting()] : jobs) this.waits(record)
    else this.#requestPass(!(jobs instanceof PlainJobs) && jobs.some(({ state }) => state === 'delayed'))
  }
  refused(record: JobRecord, error: unknown): void {
    this.#parts.results.refuse(record, error)
  }
  waitsForSpace(record: JobRecord): void {
    this.#parts.signals.arrived(record)
  }
  emptied(): void {
    this.#parts.waiters.check()
  }
  perhapsPut(): void {
    this.#parts.loop.wake()
  }
  /** A job that is not due yet needs an alarm, which a pass of the loop sets. */
  #requestPass(isDelayed: boolean): void {
    this.#parts.waiters.busy()
    isDelayed ? this.#parts.loop.wake() : this.#parts.loop.jobsArrived()
  }
}
