/**
 * Announces the outcome of jobs: emits their events, and then settles their results.
 *
 * It also drops data of ended jobs that is no longer needed, because a kept record outlives many collections of the
 * young heap.
 */
import type { Settlement } from '../backlog.ts'
import type { SafeEmitter } from '../events/events.ts'
import { Job, type JobHost, type JobRecord } from '../job.ts'
import { PastRun } from '../run/past-run.ts'
import { Run } from '../run/run.ts'
import type { Results } from './results.ts'

export interface AnnouncerParts {
  readonly emitter: SafeEmitter<unknown, unknown>
  readonly results: Results
  /** The operations of the queue that jobs use. */
  readonly host: JobHost
  readonly keep: { readonly finishedMs: number; readonly results: boolean }
}

type JobEvent = 'pending' | 'delayed' | 'checkpoint' | 'retry' | 'recovered' | 'lost' | 'abandoned'

/** Detaches a job that has ended from its signal, so that a later put of the same job is not affected. */
export function forgetSignal({ live }: JobRecord): void {
  if (!live) return
  live.unlisten?.()
  live.signal = undefined
}

export class Announcer {
  readonly #emitter: SafeEmitter<unknown, unknown>
  readonly #results: Results
  readonly #parts: AnnouncerParts

  constructor(parts: AnnouncerParts) {
    this.#emitter = parts.emitter
    this.#results = parts.results
    this.#parts = parts
  }
  /** The one handle of a job. */
  jobOf(record: JobRecord): Job {
    record.handle ??= new Job(this.#parts.host, record)
    return record.handle
  }
  emit(event: JobEvent, record: JobRecord, ...more: unknown[]): void {
    if (this.#emitter.hasListener(event)) this.#emitter.announce(event, this.jobOf(record), ...more)
  }
  /** A settlement is stored. Returns whether its job has ended. */
  settled(settlement: Settlement): boolean {
    const { record, kind, within, error, waitMs } = settlement
    if (kind === 'finished' || kind === 'failed' || kind === 'cancelled' || (within && record.ended)) {
      this.ended(record)
      return true
    }
    if (kind === 'retry') this.emit('retry', record, error, waitMs)
    this.emit(record.state === 'delayed' ? 'delayed' : 'pending', record)
    return false
  }
  /** An ending is stored: listeners first, then the result. */
  ended(record: JobRecord): void {
    const { state } = record
    if (state !== 'finished' && state !== 'failed' && state !== 'cancelled') return
    const emitter = this.#emitter
    forgetSignal(record)
    if (emitter.hasListener(state)) emitter.announce(state, this.jobOf(record))
    else if (state === 'failed' && !this.#results.isAwaited(record) && !emitter.hasListener('settled')) {
      emitter.unobservedFailure(record.extras?.error)
    }
    if (emitter.hasListener('settled')) emitter.announce('settled', this.jobOf(record))
    this.#results.settle(record)
    if (state === 'finished') this.#lighten(record)
  }
  #lighten(record: JobRecord): void {
    const { run } = record
    if (record.handle !== undefined) {
      if (run instanceof Run && run.reusable && run.kind === 'finished') record.run = new PastRun(run)
      return
    }
    // No handle of the job exists.
    record.live = undefined
    const { finishedMs, results } = this.#parts.keep
    if (finishedMs === 0) record.run = undefined
    // The run is kept without its result, which would stay in memory as long as the job.
    else if (!results && run) record.run = { startedAt: run.startedAt, stoppedAt: run.stoppedAt }
  }
}
