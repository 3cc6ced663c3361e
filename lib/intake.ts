/**
 * The way in: puts become records, wait for room where `overflow` is 'wait', and go to the backlog in batches.
 *
 * What is put in one turn of the event loop goes as one batch and is answered after its own acceptance. Order is kept.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Shelf } from './backlog.ts'
import type { Clock } from './clock.ts'
import { durationMs } from './duration.ts'
import { QueueFullError, QueueStoppedError } from './errors.ts'
import { JobRecord } from './job.ts'
import { checkPutOptions, type PutOptions, parseRetry } from './options.ts'
import { checkPayload, fingerprint } from './payload.ts'

/** What was asked in one call of put or putMany: accepted all together or not at all. */
export interface Ask {
  readonly records: readonly JobRecord[]
  accepted(existed: Existed): void
  refused(error: unknown): void
}

/** For each record whose id was remembered, the job that stands for it. */
export type Existed = ReadonlyMap<JobRecord, JobRecord> | undefined

export interface IntakeParts {
  /** A job that was put by `takeOne` was accepted, or an earlier one stands for it. */
  one(record: JobRecord, known: JobRecord | undefined): void
  /** The same of many at once, none of which was known. */
  all(records: readonly JobRecord[]): void
  refused(record: JobRecord, error: unknown): void
  /** Nothing is on its way any more. */
  emptied(): void
  readonly clock: Clock
  readonly strict: boolean
  readonly waits: boolean
  readonly size: number
  readonly context: 'queue' | 'put'
}

const merged = Promise.resolve()

export class Intake {
  readonly #parts: IntakeParts
  #shelf: Shelf | undefined
  #asked: (Ask | JobRecord)[] = []
  /** None of those asked waits for an answer of its own. */
  #plain = true
  /** When the first of those asked was put: one reading does for the batch, which one turn of the loop puts together. */
  #wall = 0
  /** Waiting for room, first come first served. */
  #waiting: (Ask | JobRecord)[] = []
  #scheduled = false
  #stopped = false
  /** There was room again since the last batch set out: one that was found full meanwhile is put again. */
  #freed = false
  #failed: { readonly error: unknown } | undefined
  #flushing: Promise<void> | undefined

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }
  /** Nothing that was put is still on its way. */
  get empty(): boolean {
    return this.#asked.length === 0 && this.#waiting.length === 0 && this.#flushing === undefined
  }
  open(shelf: Shelf): void {
    this.#shelf = shelf
    this.#schedule()
  }
  /** Throws what is wrong with the payload or an option. */
  record(payload: unknown, options: PutOptions | undefined): JobRecord {
    checkPayload(payload, this.#parts.strict)
    const { clock, context } = this.#parts
    if (this.#asked.length === 0) this.#wall = clock.wall()
    const wall = this.#wall
    const record =
      options === undefined ? new JobRecord('', payload, 0, wall) : this.#withOptions(payload, options, wall)
    if (context === 'put') record.here.context = AsyncLocalStorage.snapshot() as <R>(run: () => R) => R
    return record
  }
  #withOptions(payload: unknown, options: PutOptions, wall: number): JobRecord {
    checkPutOptions(options)
    const { clock } = this.#parts
    const { priority = 0, delay, runAt, key, id, cost, retry, timeout } = options
    const record = new JobRecord(id ?? '', payload, priority, wall)
    if (key !== undefined) record.more.key = key
    if (cost !== undefined) record.more.cost = { ...cost }
    if (retry !== undefined) record.more.retry = parseRetry('retry', retry)
    if (timeout !== undefined) record.more.timeoutMs = durationMs('timeout', timeout)
    if (id !== undefined) record.more.fingerprint = fingerprint(payload)
    if (delay !== undefined) record.more.dueAt = clock.now() + durationMs('delay', delay)
    if (runAt !== undefined) record.more.runAt = Number(runAt)
    return record
  }
  take(ask: Ask): void {
    this.#plain = false
    this.#asked.push(ask)
    this.#schedule()
  }
  /** The fast way for a single job: no answer of its own, but the two of the parts. */
  takeOne(record: JobRecord): void {
    this.#asked.push(record)
    this.#schedule()
  }
  #accept(ask: Ask | JobRecord, existed: Existed): void {
    if (ask instanceof JobRecord) this.#parts.one(ask, existed?.get(ask))
    else ask.accepted(existed)
  }
  #refuse(ask: Ask | JobRecord, error: unknown): void {
    if (ask instanceof JobRecord) this.#parts.refused(ask, error)
    else ask.refused(error)
  }
  /** There may be room again for puts that wait. */
  roomAgain(): void {
    this.#freed = true
    if (this.#waiting.length > 0) this.#schedule()
  }
  /** Resolves when nothing that can go is on its way. */
  async drained(): Promise<void> {
    while (this.#scheduled || this.#flushing) await (this.#flushing ?? merged)
  }
  /** Refuses what waits for room: there will be none. */
  stop(): void {
    this.#stopped = true
    for (const ask of this.#waiting.splice(0)) this.#refuse(ask, new QueueStoppedError('cannot put'))
  }
  /** Refuses all: the backlog did not open. */
  fail(error: unknown): void {
    this.#failed = { error }
    for (const ask of this.#asked.splice(0)) this.#refuse(ask, error)
  }

  #schedule(): void {
    if (this.#failed) return this.fail(this.#failed.error)
    if (this.#scheduled || !this.#shelf) return
    this.#scheduled = true
    void merged.then(() => {
      this.#scheduled = false
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined
        if (this.empty) this.#parts.emptied()
        else if (this.#asked.length > 0 || (this.#freed && this.#waiting.length > 0)) this.#schedule()
      })
    })
  }
  async #flush(): Promise<void> {
    const asked = this.#asked
    const plain = this.#plain && this.#waiting.length === 0
    this.#asked = []
    this.#plain = true
    this.#freed = false
    const all = this.#waiting.length > 0 ? [...this.#waiting.splice(0), ...asked] : asked
    const records = plain ? (all as JobRecord[]) : recordsOf(all)
    const { clock, waits } = this.#parts
    const shelf = this.#shelf as Shelf
    // Most batches are accepted whole. One that is not is put again ask by ask, so that each has its own answer.
    try {
      const existed = await shelf.put(records, clock.now(), clock.wall())
      if (plain && !existed) this.#parts.all(records)
      else for (const ask of all) this.#accept(ask, existed)
      return
    } catch (error) {
      if (all.length === 1 && !waits) return this.#refuse(all[0] as Ask | JobRecord, error)
    }
    let full = false
    for (const ask of all) {
      if (full) this.#waiting.push(ask)
      else full = await this.#putAlone(shelf, ask)
    }
  }
  /** Answers whether the ask waits for room, and with it all after it. */
  async #putAlone(shelf: Shelf, ask: Ask | JobRecord): Promise<boolean> {
    const { clock, waits, size } = this.#parts
    const records = recordsOf([ask])
    try {
      this.#accept(ask, await shelf.put(records, clock.now(), clock.wall()))
    } catch (error) {
      const full = waits && error instanceof QueueFullError && records.length <= size
      if (full && !this.#stopped) {
        this.#waiting.push(ask)
        return true
      }
      this.#refuse(ask, full ? new QueueStoppedError('cannot put') : error)
    }
    return false
  }
}

function recordsOf(asks: readonly (Ask | JobRecord)[]): JobRecord[] {
  const records: JobRecord[] = []
  for (const ask of asks) {
    if (ask instanceof JobRecord) records.push(ask)
    else for (const record of ask.records) records.push(record)
  }
  return records
}
