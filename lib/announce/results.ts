/**
 * Settles the promises returned by `run()` and by `job.result`: once, after the ending is stored and its event emitted.
 *
 * A promise that nobody requested is not created.
 */

import { CancelledError, QueueStoppedError, ResultNotKeptError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { PastRun } from '../run/past-run.ts'
import type { Run } from '../run/run.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { Deferred, rejected } from '../support/deferred.ts'

export class Results {
  /** Whether waiting jobs may still run later, in another process or queue object. The error of a stop says so. */
  willRunLater: boolean
  readonly #lifecycle: { readonly stopped: boolean }
  /** Registers interest in a job that has not ended. Returns the record on which its ending will be reported. */
  readonly #follow: (record: JobRecord) => JobRecord

  constructor(
    durable: boolean,
    lifecycle: { readonly stopped: boolean },
    follow: (record: JobRecord) => JobRecord = record => record,
  ) {
    this.willRunLater = durable
    this.#lifecycle = lifecycle
    this.#follow = follow
  }
  /** The promise of the job's result, made on first use. */
  of(record: JobRecord): Promise<unknown> {
    const existing = record.live?.result
    if (existing) return existing.promise
    // Not noted in the record: another queue object of this process may have the job too, and run it.
    if (!record.ended && this.#lifecycle.stopped) return rejected(this.stopError('the job did not run'))
    const result = (record.ensureLive().result = new Deferred<unknown>())
    if (record.ended) this.settle(record)
    else {
      const followed = this.#follow(record)
      if (followed !== record) this.of(followed).then(result.resolve, error => result.fail(error))
    }
    return result.promise
  }
  /** Whether anybody requested the result. */
  isAwaited(record: JobRecord): boolean {
    return record.answer !== undefined || record.live?.result !== undefined
  }
  /** Settles the result of a job that has ended, or that will never end in this process. */
  settle(record: JobRecord): void {
    if (!this.isAwaited(record)) return
    const run = record.run as Run | PastRun | undefined
    if (record.state === 'finished') {
      // A run that lost its job to another one may have finished too; the fence distinguishes them.
      if (run?.fence === record.fence && (run.kind === 'finished' || run.within)) this.resolve(record, run.value)
      else if (record.extras?.resultKept) this.resolve(record, record.extras.value)
      else this.fail(record, new ResultNotKeptError(record.id))
    } else if (
      record.ended &&
      record.extras !== undefined &&
      (run !== undefined || record.extras.error !== undefined)
    ) {
      this.fail(record, record.extras.error)
    } else
      this.fail(
        record,
        this.#lifecycle.stopped ? this.stopError('the job did not run') : new ResultNotKeptError(record.id),
      )
  }
  resolve(record: JobRecord, value: unknown): void {
    record.live?.unlisten?.()
    record.answer?.(value)
    record.answer = undefined
    const { live } = record
    if (!live) return
    live.isSettled = true
    live.result?.resolve(value)
  }
  /** The put itself was refused: the caller of `run()` gets the error with the stack of that call. */
  refuse(record: JobRecord, error: unknown): void {
    record.answer?.(rejectionAtCallSite(error))
    record.answer = undefined
    this.fail(record, error)
  }
  /** Also for a job that did not end: it was refused or removed, or still waits in the backlog when the queue stops. */
  fail(record: JobRecord, error: unknown): void {
    record.live?.unlisten?.()
    if (record.answer) {
      record.answer(rejected(error))
      record.answer = undefined
    }
    const { live } = record
    if (!live) return
    live.isSettled = true
    live.result?.fail(error)
  }
  /** The job is gone from the backlog. A result that is requested later must be rejected too, so it is created now. */
  remove(record: JobRecord): void {
    if (!record.ended) record.ensureLive().result ??= new Deferred<unknown>()
    this.fail(record, new CancelledError('removed'))
  }
  /** A put whose id existed already: its result is that of the existing job. */
  resolveAs(record: JobRecord, known: JobRecord): void {
    record.live?.unlisten?.()
    record.answer?.(this.of(known))
    record.answer = undefined
  }
  stopError(what: string): QueueStoppedError {
    return new QueueStoppedError(what, this.willRunLater)
  }
}
