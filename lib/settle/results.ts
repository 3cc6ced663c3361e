/**
 * Results: how the promises that `run()` gave and `job.result` is settle.
 *
 * Once, after the ending is stored and its event was heard. A result that nobody asked for is not made.
 */

import { CancelledError, QueueStoppedError, ResultNotKeptError } from '../errors.ts'
import type { JobRecord } from '../job.ts'
import type { PastRun } from '../run/past-run.ts'
import type { Run } from '../run/run.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { Deferred, rejected } from '../support/deferred.ts'

export class Results {
  /** Whether jobs that wait may still run later, in another process: what the error of a stop says. */
  readonly #durable: boolean
  /** Somebody waits for the result of a job that has not ended: answers the record by which it will be told. */
  readonly #lifecycle: { readonly stopped: boolean }
  readonly #follow: (record: JobRecord) => JobRecord

  constructor(
    durable: boolean,
    lifecycle: { readonly stopped: boolean },
    awaited: (record: JobRecord) => JobRecord = record => record,
  ) {
    this.#durable = durable
    this.#lifecycle = lifecycle
    this.#follow = awaited
  }
  /** The promise of the job's result, made on first use. */
  of(record: JobRecord): Promise<unknown> {
    const asked = record.live?.result
    if (asked) return asked.promise
    const result = (record.ensureLive().result = new Deferred<unknown>())
    if (record.ended || this.#lifecycle.stopped) this.settle(record)
    else {
      const told = this.#follow(record)
      if (told !== record) this.of(told).then(result.resolve, error => result.fail(error))
    }
    return result.promise
  }
  /** Whether anybody asked. */
  isAwaited(record: JobRecord): boolean {
    return record.answer !== undefined || record.live?.result !== undefined
  }
  /** From the state of a job that has ended, or never will here. */
  settle(record: JobRecord): void {
    if (!this.isAwaited(record)) return
    const run = record.run as Run | PastRun | undefined
    if (record.state === 'finished') {
      // A run that lost its job to another may have finished too.
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
  /** The put itself was refused: whoever called `run()` is told with the stack of that call. */
  refuse(record: JobRecord, error: unknown): void {
    record.answer?.(rejectionAtCallSite(error))
    record.answer = undefined
    this.fail(record, error)
  }
  /** Also of a job that did not end: it was refused or removed, or waits in the backlog when the queue stops. */
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
  /** It is gone from the backlog: nothing will ever settle what somebody asks for later. */
  remove(record: JobRecord): void {
    if (!record.ended) record.ensureLive().result ??= new Deferred<unknown>()
    this.fail(record, new CancelledError('removed'))
  }
  /** Of a put that was found known: as the job that stands for it. */
  resolveAs(record: JobRecord, known: JobRecord): void {
    record.live?.unlisten?.()
    record.answer?.(this.of(known))
    record.answer = undefined
  }
  stopError(what: string): QueueStoppedError {
    return new QueueStoppedError(what, this.#durable)
  }
}
