/**
 * The way in: puts become records, wait for room where `overflow` is 'wait', and go to the backlog in batches.
 *
 * What is put in one turn of the event loop goes as one batch and is answered after its own acceptance. Order is kept, also
 * with changes of what was put: they take their place among the puts.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { types } from 'node:util'
import type { BacklogSession, MaybePromise, PutBatch } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { codeOf } from '../errors.ts'
import { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { type PutOptions, parsePut } from '../options/options.ts'
import { request } from '../support/answers.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { inCleanContext } from '../support/clean-context.ts'
import { cancelledBy } from '../support/signals.ts'
import { fingerprint, fingerprintOfText } from './fingerprint.ts'
import { textOf } from './payload.ts'
import { PlainJobs } from './plain-jobs.ts'
import { type Ask, type Asked, Change, type Existed, type Put, recordsOf, sizeOf, withRecords } from './requests.ts'
import { WaitingIds } from './waiting-ids.ts'

export interface IntakeParts {
  /** A job that was put by `takeOne` was accepted, or an earlier one stands for it. */
  one(record: JobRecord, known: JobRecord | undefined): void
  /** The same of many at once, none of which was known. */
  all(records: readonly JobRecord[]): void
  refused(record: JobRecord, error: unknown): void
  /** A job with a signal was on its way, and waits for room. */
  waitsAgain(record: JobRecord): void
  /** The same of jobs without records. */
  plain(jobs: PlainJobs): void
  /** Nothing is on its way any more. */
  emptied(): void
  /** Jobs may be in the backlog, whose put was refused because its outcome is unknown. */
  perhapsPut(): void
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly strict: boolean
  /** So many jobs go in one batch, but for those of one putMany. */
  readonly batchMost: number
  readonly waits: boolean
  readonly size: number
  readonly context: 'queue' | 'put'
}

/** So many batches are on their way at most. The rest waits here, as it was put: to pack it costs more than to keep it. */
const flightsMost = 4

/** From so many jobs on, columns weigh less than records. */
const leastPlain = 16

const { isPromise } = types
const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Intake {
  readonly #parts: IntakeParts
  #session: BacklogSession | undefined
  #asked: Asked[] = []
  /** So many of them have set out, and so many of the others are changes. */
  #departed = 0
  #changes = 0
  /** None of those asked waits for an answer of its own. */
  #plain = true
  /** When the first of those asked was put: one reading does for the batch, which one turn of the loop puts together. */
  #wall = 0
  /** Waiting for room, first come first served. */
  #waiting: (Ask | JobRecord)[] = []
  readonly #waitingIds = new WaitingIds()
  #scheduled = false
  /** There was room again since the last batch set out: one that was found full meanwhile is put again. */
  #freed = false
  #failed: { readonly error: unknown } | undefined
  #failureHeard = false
  #flushing: Promise<void> | undefined
  /** Batches that are on their way, beside one another. */
  #flights = 0
  /** Some of those asked may be refused by the backlog. */
  #risky: boolean
  readonly #bounded: boolean
  /** Payloads are held by reference, and jobs need no context of their own: they may wait in columns. */
  readonly #columns: boolean
  readonly #stills: (() => void)[] = []
  /** A change is being made in several steps. Nothing sets out before it is over. */
  #makesAlone = false
  /** Of those asked and waiting, the jobs that a signal may take out, each with what it was asked in. */
  readonly #leavable = new Map<JobRecord, Ask | JobRecord>()
  /** Taken out and answered. They stay where they were asked or wait until they would set out. */
  readonly #left = new Set<Put>()

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#columns = !parts.strict && parts.context === 'queue'
    this.#bounded = this.#risky = parts.waits || parts.size !== Infinity
  }
  /** Nothing that was put is still on its way. */
  get empty(): boolean {
    const asked = this.#asked.length - this.#departed - this.#changes
    const here = asked + this.#waiting.length - this.#left.size
    return here + this.#flights === 0 && this.#flushing === undefined
  }
  /** Whether somebody was told by a rejection that the backlog did not open. */
  get failureHeard(): boolean {
    return this.#failureHeard
  }
  open(session: BacklogSession): void {
    this.#session = session
    this.#schedule()
  }
  /** Throws what is wrong with the payload or an option. */
  record(payload: unknown, options: PutOptions | undefined): JobRecord {
    const { clock, context, strict } = this.#parts
    const text = strict ? textOf(payload) : undefined
    if (this.#asked.length === 0) this.#wall = clock.wall()
    const wall = this.#wall
    const record =
      options === undefined ? new JobRecord('', payload, 0, wall) : this.#withOptions(payload, text, options, wall)
    record.text = text
    if (context === 'put') record.ensureLive().context = AsyncLocalStorage.snapshot() as <R>(run: () => R) => R
    return record
  }
  #withOptions(payload: unknown, text: string | undefined, options: PutOptions, wall: number): JobRecord {
    const { clock } = this.#parts
    const { priority, delayMs, runAt, key, id, cost, retry, timeoutMs, signal } = parsePut(options)
    if (signal?.aborted) throw cancelledBy(signal)
    const record = new JobRecord(id ?? '', payload, priority, wall)
    if (signal !== undefined) record.ensureLive().signal = signal
    if (key !== undefined) record.ensureExtras().key = key
    if (cost !== undefined) record.ensureExtras().cost = cost
    if (retry !== undefined) record.ensureExtras().retry = retry
    if (timeoutMs !== undefined) record.ensureExtras().timeoutMs = timeoutMs
    if (id !== undefined)
      record.ensureExtras().fingerprint = text === undefined ? fingerprint(payload) : fingerprintOfText(text)
    if (id !== undefined || cost !== undefined) this.#risky = true
    if (delayMs !== undefined) record.ensureExtras().dueAt = clock.now() + delayMs
    if (runAt !== undefined) record.ensureExtras().runAt = runAt
    return record
  }
  /** The fast way of `run`: the payload and its answer, and no record before one is needed. False where there is no such way. */
  takePlain(payload: unknown, answer: (value: unknown) => void): boolean {
    if (!this.#columns || this.#risky) return false
    const asked = this.#asked
    const last = asked[asked.length - 1]
    if (last instanceof PlainJobs) last.push(payload, answer)
    else {
      const jobs = new PlainJobs(this.#parts.clock.wall())
      jobs.push(payload, answer)
      asked.push(jobs)
      this.#plain = false
      this.#schedule()
    }
    return true
  }
  take(ask: Ask): void {
    this.#plain = false
    this.#asked.push(ask)
    this.#schedule()
  }
  /** Makes a change at its place among the puts, and, where `alone` says so, with nothing setting out before it is made; answers what `make` does. Rejects when the backlog does not open. */
  change<T>(make: (session: BacklogSession) => MaybePromise<T>, alone = (): boolean => false): Promise<T> {
    return new Promise(resolve => {
      const refuse = (error: unknown): void => resolve(rejectionAtCallSite(error))
      this.#plain = false
      this.#changes++
      const go = (): void => {
        const isAlone = alone()
        try {
          const made = make(this.#session as BacklogSession)
          if (!isPromise(made)) return resolve(made)
          made.then(resolve, refuse)
          if (isAlone) this.#standAside(made)
        } catch (error) {
          refuse(error)
        }
      }
      this.#asked.push(new Change(go, refuse))
      this.#schedule()
    })
  }
  #standAside(made: Promise<unknown>): void {
    this.#flights++
    this.#makesAlone = true
    const over = (): void => {
      this.#flights--
      this.#makesAlone = false
      this.#landed()
    }
    made.then(over, over)
  }
  /** The fast way for a single job: no answer of its own, but the two of the parts. */
  takeOne(record: JobRecord): void {
    this.#asked.push(record)
    this.#schedule()
  }
  /** `ask` is about to be taken: until it sets out, `withdraw(record)` takes it out. */
  mayLeave(record: JobRecord, ask: Ask | JobRecord): void {
    this.#leavable.set(record, ask)
  }
  /** Refuses all that was asked together with this job. What waits behind it may fit now: `roomAgain` sees. False when it has set out before. */
  withdraw(record: JobRecord, error: unknown): boolean {
    const ask = this.#leavable.get(record)
    if (!ask) return false
    this.#withdraw(ask, error)
    return true
  }
  /** Whether a put waits for room whose job was given this id. */
  waitsFor(id: string): boolean {
    return this.#waitingIds.has(id)
  }
  /** Refuses the puts that wait for room with a job of this id. */
  withdrawWaiting(id: string, error: unknown): void {
    for (const ask of this.#waitingIds.of(id)) this.#withdraw(ask, error)
  }
  #withdraw(ask: Ask | JobRecord, error: unknown): void {
    this.#settles(ask)
    this.#left.add(ask)
    this.#waitingIds.delete(ask)
    this.#refuse(ask, error)
    if (this.empty) this.#parts.emptied()
  }
  /** Takes out all that waits for room, for a caller who refuses it. */
  takeWaiting(): readonly (Ask | JobRecord)[] {
    this.#waitingIds.clear()
    return this.#remaining(this.#waiting.splice(0))
  }
  /** Those that `takeWaiting` gave are not refused after all: they wait again, before all that came after them. */
  waitAgain(asks: readonly (Ask | JobRecord)[]): void {
    const later = this.#waiting.splice(0)
    for (const ask of asks) this.#wait(ask)
    this.#waiting = [...this.#waiting, ...later]
    this.roomAgain()
  }
  /** Those that were not withdrawn: their time to be has passed. */
  #remaining<A extends Asked>(asks: A[]): A[] {
    if (this.#left.size === 0 && this.#leavable.size === 0) return asks
    const remaining = asks.filter(ask => ask instanceof Change || !this.#left.delete(ask))
    for (const ask of remaining) if (!(ask instanceof Change)) this.#settles(ask)
    return remaining
  }
  #settles(ask: Put): void {
    if (this.#leavable.size === 0 || ask instanceof PlainJobs) return
    for (const record of recordsOf([ask])) this.#leavable.delete(record)
  }
  #accept(ask: Ask | JobRecord, existed: Existed): void {
    if (ask instanceof JobRecord) this.#parts.one(ask, existed?.get(ask))
    else ask.accepted(existed)
  }
  /** Answers one that was taken out. */
  refuse(ask: Ask | JobRecord, error: unknown): void {
    this.#refuse(ask, error)
  }
  #refuse(ask: Asked, error: unknown): void {
    if (ask instanceof Change) ask.refused(error)
    else if (ask instanceof PlainJobs) for (const record of ask.records()) this.#parts.refused(record, error)
    else if (ask instanceof JobRecord) this.#parts.refused(ask, error)
    else ask.refused(error)
  }
  /** There may be room again for puts that wait. */
  roomAgain(): void {
    this.#freed = true
    if (this.#waiting.length > 0) this.#schedule()
  }
  /** Resolves when nothing that can go is on its way. */
  async drained(): Promise<void> {
    if (this.#isStill) return
    await new Promise<void>(resolve => this.#stills.push(resolve))
  }
  get #isStill(): boolean {
    return !this.#scheduled && this.#flights === 0 && this.#flushing === undefined
  }
  /** Refuses all: the backlog did not open. */
  fail(error: unknown): void {
    this.#failed = { error }
    const asked = this.#asked
    if (asked.length > 0) this.#failureHeard = true
    this.#askedAnew()
    for (const ask of this.#remaining(asked)) this.#refuse(ask, error)
  }

  #schedule(): void {
    if (this.#failed) return this.fail(this.#failed.error)
    if (this.#scheduled || !this.#session) return
    this.#scheduled = true
    void merged.then(() => {
      this.#scheduled = false
      this.#depart()
      this.#rest()
    })
  }
  /** Tells those who wait for it that nothing is on its way. */
  #rest(): void {
    if (this.#stills.length > 0 && this.#isStill) for (const resolve of this.#stills.splice(0)) resolve()
  }
  /**
   * Batches of which none can be refused set out one after another. One that may be, for its ids, its costs or a bound on
   * the queue, goes alone, so that what is put again after a refusal keeps its order.
   */
  #depart(): void {
    if (this.#flushing || this.#makesAlone) return
    while (this.#asked.length > 0 && this.#flights < flightsMost && !this.#makesAlone) {
      if (this.#asked[this.#departed] instanceof Change) {
        if (this.#flights > 0) return
        this.#make()
      } else if (this.#risky) break
      else this.#fly()
    }
    const waits = (this.#asked.length > 0 && this.#risky) || (this.#freed && this.#hasNext)
    if (!waits || this.#flights > 0) return
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined
      this.#landed()
    })
  }
  #make(): void {
    const change = this.#asked[this.#departed++] as Change
    this.#changes--
    if (this.#departed === this.#asked.length) this.#askedAnew()
    change.make()
  }
  #fly(): void {
    const [first] = this.#asked
    if (first instanceof PlainJobs && this.#asked.length === 1 && first.length >= leastPlain) {
      this.#askedAnew()
      return this.#send(
        first,
        () => this.#parts.plain(first),
        error => this.#refuseAll([first], error),
      )
    }
    const plain = this.#plain
    const all = withRecords(this.#cut(this.#parts.batchMost))
    if (all.length === 0) return
    const records = plain ? (all as JobRecord[]) : recordsOf(all)
    this.#send(
      records,
      existed => this.#arrive(all, records, plain, existed),
      error => this.#refuseBatch(all, error),
    )
  }
  #send(
    batch: PutBatch,
    accepted: (existed: Existed) => void,
    refused: (error: unknown) => void | Promise<void>,
  ): void {
    const { clock } = this.#parts
    const session = this.#session as BacklogSession
    this.#flights++
    const flight = request(() => session.put(batch, clock.now(), clock.wall()), accepted, refused)
    if (flight) {
      void flight.then(() => {
        this.#flights--
        this.#landed()
      })
    } else {
      this.#flights--
      if (this.empty) this.#parts.emptied()
    }
  }
  /** A batch that was refused for good is put again ask by ask, so that the one at fault is refused alone. */
  async #refuseBatch(all: readonly (Ask | JobRecord)[], error: unknown): Promise<void> {
    if (all.length > 1 && codeOf(error) === 'STORE') {
      for (const ask of all) await this.#putAlone(this.#session as BacklogSession, ask)
    } else this.#refuseAll(all, error)
  }
  #refuseAll(all: readonly (Ask | JobRecord | PlainJobs)[], error: unknown): void {
    for (const ask of all) this.#refuse(ask, error)
    if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#parts.perhapsPut()
  }
  /** As many of those asked as make a batch of `most`, up to the next change. */
  #cut(most: number): Put[] {
    const asked = this.#asked
    if (asked.length <= most && this.#plain && this.#departed === 0) {
      this.#askedAnew()
      return this.#remaining(asked as Put[])
    }
    const from = this.#departed
    let to = from
    for (let records = 0; to < asked.length && (to === from || records < most); to++) {
      const ask = asked[to] as Asked
      if (ask instanceof Change) break
      records += sizeOf(ask)
    }
    this.#departed = to
    if (to === asked.length) this.#askedAnew()
    return this.#remaining(asked.slice(from, to) as Put[])
  }
  #askedAnew(): void {
    this.#asked = []
    this.#departed = this.#changes = 0
    this.#plain = true
  }
  #arrive(all: readonly (Ask | JobRecord)[], records: readonly JobRecord[], plain: boolean, existed: Existed): void {
    if (plain && !existed) this.#parts.all(records)
    else for (const ask of all) this.#accept(ask, existed)
  }
  #landed(): void {
    // Told before a change is made that comes next: what it does is told later.
    if (this.empty) this.#parts.emptied()
    this.#depart()
    this.#rest()
  }
  /** Some wait for room, and go before all that is asked. After a stop none does: the shutdown takes them out and refuses them. */
  get #hasNext(): boolean {
    return this.#waiting.length > 0 && !this.#parts.lifecycle.stopping
  }
  async #flush(): Promise<void> {
    const plain = this.#plain && this.#waiting.length === 0
    const asked = this.#cut(Infinity)
    if (this.#asked.length === 0) this.#risky = this.#bounded
    this.#freed = false
    const all = withRecords(this.#hasNext ? [...this.takeWaiting(), ...asked] : asked)
    if (all.length === 0) return
    const records = plain ? (all as JobRecord[]) : recordsOf(all)
    const { clock, waits } = this.#parts
    const session = this.#session as BacklogSession
    // Most batches are accepted whole. One that is not is put again ask by ask, so that each has its own answer.
    try {
      const answer = session.put(records, clock.now(), clock.wall())
      this.#arrive(all, records, plain, isPromise(answer) ? await answer : answer)
      return
    } catch (error) {
      // What may be stored already must not be put again.
      const unknown = codeOf(error) === 'OUTCOME_UNKNOWN'
      if (unknown || (all.length === 1 && !waits)) {
        this.#refuseAll(all, error)
        return
      }
    }
    let full = false
    for (const ask of all) {
      if (full) this.#wait(ask)
      else full = await this.#putAlone(session, ask)
    }
  }
  /** Answers whether the ask waits for room, and with it all after it. */
  async #putAlone(session: BacklogSession, ask: Ask | JobRecord): Promise<boolean> {
    const { clock, waits, size } = this.#parts
    const records = recordsOf([ask])
    try {
      const answer = session.put(records, clock.now(), clock.wall())
      this.#accept(ask, isPromise(answer) ? await answer : answer)
    } catch (error) {
      if (waits && codeOf(error) === 'QUEUE_FULL' && records.length <= size) return this.#wait(ask)
      this.#refuseAll([ask], error)
    }
    return false
  }
  /** Again where its signals find it. One that aborted while it was on its way has not. */
  #wait(ask: Ask | JobRecord): true {
    this.#waiting.push(ask)
    this.#waitingIds.add(ask)
    const signalled = recordsOf([ask]).filter(record => record.live?.signal)
    for (const record of signalled) this.#leavable.set(record, ask)
    for (const record of signalled) this.#parts.waitsAgain(record)
    return true
  }
}
