/**
 * The intake: turns puts into records, lets them wait for room if `overflow` is 'wait', and sends them to the backlog
 * in batches.
 *
 * Puts of one turn of the event loop are sent as one batch, and each is answered after its own acceptance. Their order
 * is kept, including that of commands made between them.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { types } from 'node:util'
import type { BacklogSession, MaybePromise, PutBatch, Transport } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { codeOf } from '../errors.ts'
import { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { type PutOptions, parsePut } from '../options/options.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { inCleanContext } from '../support/clean-context.ts'
import { request } from '../support/replies.ts'
import { cancelledBy } from '../support/signals.ts'
import { textOf } from '../text/json.ts'
import { fingerprint, fingerprintOfText } from './fingerprint.ts'
import { PlainJobs } from './plain-jobs.ts'
import {
  type BufferEntry,
  CommandEntry,
  type Existed,
  type PutCall,
  type PutEntry,
  recordsOf,
  sizeOf,
  withRecords,
} from './requests.ts'
import { endOfFitting, type WaitingEntry, WaitingPuts } from './waiting-puts.ts'

/** What the intake reports of the jobs that were put. */
export interface PutListener {
  /** A job that was put by `takeOne` was accepted, or existed already. */
  accepted(record: JobRecord, known: JobRecord | undefined): void
  /** The same for many jobs at once, none of which existed. */
  allAccepted(jobs: readonly JobRecord[] | PlainJobs): void
  refused(record: JobRecord, error: unknown): void
  /** A job with a signal was on its way, and now waits for room. */
  waitsForRoom(record: JobRecord): void
  /** Nothing is on its way any more. */
  emptied(): void
  /** A put was refused because its outcome is unknown, so its jobs may be in the backlog. */
  perhapsPut(): void
}

export interface IntakeParts {
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly strict: boolean
  /**
   * The bounds on batches. The jobs of one putMany are one batch, however many. Further puts wait in their original
   * form, because encoding them early would cost more.
   */
  readonly transport: Transport
  readonly waits: boolean
  readonly size: number
  readonly context: 'queue' | 'put'
}

/** From this number of jobs on, columns use less memory than records. */
const minPlainJobs = 16

const { isPromise } = types
const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Intake {
  readonly #parts: IntakeParts
  #listener: PutListener = undefined as unknown as PutListener
  #session: BacklogSession | undefined
  #buffer: BufferEntry[] = []
  /** How many entries of the buffer were sent, and how many of the others are commands. */
  #sent = 0
  #commands = 0
  /** No entry of the buffer needs a reply of its own. */
  #onlySingleRecords = true
  /**
   * When the first entry of the buffer was put. One reading serves the whole batch, which comes from one turn of the
   * loop.
   */
  #wall = 0
  readonly #waitingPuts = new WaitingPuts()
  #scheduled = false
  /**
   * There was room again since the last batch was sent. A batch that found no room meanwhile is sent again.
   */
  #roomFreed = false
  #failed: { readonly error: unknown } | undefined
  #failureReported = false
  #flushing: Promise<void> | undefined
  /** The number of batches in flight. */
  #batchesInFlight = 0
  /** The backlog may refuse entries of the buffer. */
  #mayBeRefused: boolean
  readonly #bounded: boolean
  /** Payloads are held by reference, and jobs need no async context, so they may wait in columns. */
  readonly #mayUseColumns: boolean
  readonly #drainWaiters: (() => void)[] = []
  /** A command of several steps is running. Nothing is sent before it has ended. */
  #commandRunsAlone = false
  /** Entries in the buffer or waiting for room, by the jobs whose signals may withdraw them. */
  readonly #withdrawable = new Map<JobRecord, PutCall | JobRecord>()
  /** Entries that were withdrawn and answered. They stay in place until they would be sent. */
  readonly #withdrawn = new Set<PutEntry>()

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#mayUseColumns = !parts.strict && parts.context === 'queue'
    this.#bounded = this.#mayBeRefused = parts.waits || parts.size !== Infinity
  }
  /** To be called before anything is put: who follows what is put needs the intake, too. */
  listen(listener: PutListener): void {
    this.#listener = listener
  }
  /** Whether no put is on its way. */
  get empty(): boolean {
    const buffered = this.#buffer.length - this.#sent - this.#commands
    const here = buffered + this.#waitingPuts.length - this.#withdrawn.size
    return here + this.#batchesInFlight === 0 && this.#flushing === undefined
  }
  /** Whether a rejection has reported to a caller that the backlog did not open. */
  get failureReported(): boolean {
    return this.#failureReported
  }
  open(session: BacklogSession): void {
    this.#session = session
    this.#schedule()
  }
  /** Throws the error of the payload or of an option. */
  record(payload: unknown, options: PutOptions | undefined): JobRecord {
    const { clock, context, strict } = this.#parts
    const text = strict ? textOf(payload) : undefined
    if (this.#buffer.length === 0) this.#wall = clock.wall()
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
    if (id !== undefined || cost !== undefined) this.#mayBeRefused = true
    if (delayMs !== undefined) record.ensureExtras().dueAt = clock.now() + delayMs
    if (runAt !== undefined) record.ensureExtras().runAt = runAt
    return record
  }
  /**
   * The fast path of `run`: stores the payload and its answer function, without a record before one is needed. Returns
   * false if this path is not available.
   */
  takePlain(payload: unknown, answer: (value: unknown) => void): boolean {
    if (!this.#mayUseColumns || this.#mayBeRefused) return false
    const buffered = this.#buffer
    const last = buffered[buffered.length - 1]
    if (last instanceof PlainJobs) last.push(payload, answer)
    else {
      const jobs = new PlainJobs(this.#parts.clock.wall())
      jobs.push(payload, answer)
      buffered.push(jobs)
      this.#onlySingleRecords = false
      this.#schedule()
    }
    return true
  }
  take(entry: PutCall): void {
    this.#onlySingleRecords = false
    this.#buffer.push(entry)
    this.#schedule()
  }
  /**
   * Runs a command at its place among the puts; if `alone` returns true, nothing is sent before it has ended. Resolves
   * with the result of `make`. Rejects if the backlog does not open.
   */
  command<T>(make: (session: BacklogSession) => MaybePromise<T>, alone = (): boolean => false): Promise<T> {
    return new Promise(resolve => {
      const refuse = (error: unknown): void => resolve(rejectionAtCallSite(error))
      this.#onlySingleRecords = false
      this.#commands++
      const go = (): void => {
        const isAlone = alone()
        try {
          const made = make(this.#session as BacklogSession)
          if (!isPromise(made)) return resolve(made)
          made.then(resolve, refuse)
          if (isAlone) this.#runAlone(made)
        } catch (error) {
          refuse(error)
        }
      }
      this.#buffer.push(new CommandEntry(go, refuse))
      this.#schedule()
    })
  }
  #runAlone(made: Promise<unknown>): void {
    this.#batchesInFlight++
    this.#commandRunsAlone = true
    const over = (): void => {
      this.#batchesInFlight--
      this.#commandRunsAlone = false
      this.#batchDone()
    }
    made.then(over, over)
  }
  /** The fast path for a single job, without a reply of its own: it is answered by `accepted` and `refused`. */
  takeOne(record: JobRecord): void {
    this.#buffer.push(record)
    this.#schedule()
  }
  /** Must precede `take(entry)`. Until the entry is sent, `withdraw(record)` removes it. */
  makeWithdrawable(record: JobRecord, entry: PutCall | JobRecord): void {
    this.#withdrawable.set(record, entry)
  }
  /**
   * Refuses the whole entry of this job. An entry behind it may fit now, which `roomFreed` finds out. Returns false if
   * the entry was sent before.
   */
  withdraw(record: JobRecord, error: unknown): boolean {
    const entry = this.#withdrawable.get(record)
    if (!entry) return false
    this.#withdraw(entry, error)
    return true
  }
  /** Whether a put with a job of this id waits for room. */
  isWaiting(id: string): boolean {
    return this.#waitingPuts.has(id)
  }
  /** Refuses the puts with a job of this id that wait for room. */
  withdrawWaiting(id: string, error: unknown): void {
    for (const entry of this.#waitingPuts.of(id)) this.#withdraw(entry, error)
  }
  #withdraw(entry: PutCall | JobRecord, error: unknown): void {
    this.#noLongerWithdrawable(entry)
    this.#withdrawn.add(entry)
    this.#waitingPuts.forgetIds(entry)
    this.#refuse(entry, error)
    if (this.empty) this.#listener.emptied()
  }
  /** Removes all puts that wait for room, for a caller who will refuse them. */
  takeWaiting(): readonly (PutCall | JobRecord)[] {
    return this.#remaining(this.#waitingPuts.takeAll())
  }
  /**
   * Puts back entries from `takeWaiting` that are not refused after all: they wait again, before all that came later.
   */
  putBackWaiting(entries: readonly (PutCall | JobRecord)[]): void {
    this.#waitInFront(entries)
    this.roomFreed()
  }
  /** The entries that were not withdrawn. From now on they can no longer be. */
  #remaining<A extends BufferEntry>(entries: A[]): A[] {
    if (this.#withdrawn.size === 0 && this.#withdrawable.size === 0) return entries
    const remaining = entries.filter(entry => entry instanceof CommandEntry || !this.#withdrawn.delete(entry))
    for (const entry of remaining) if (!(entry instanceof CommandEntry)) this.#noLongerWithdrawable(entry)
    return remaining
  }
  #noLongerWithdrawable(entry: PutEntry): void {
    if (this.#withdrawable.size === 0 || entry instanceof PlainJobs) return
    for (const record of recordsOf([entry])) this.#withdrawable.delete(record)
  }
  #accept(entry: PutCall | JobRecord, existed: Existed): void {
    if (entry instanceof JobRecord) this.#listener.accepted(entry, existed?.get(entry))
    else entry.accepted(existed)
  }
  /** Refuses an entry that `takeWaiting` has removed. */
  refuse(entry: PutCall | JobRecord, error: unknown): void {
    this.#refuse(entry, error)
  }
  #refuse(entry: BufferEntry, error: unknown): void {
    if (entry instanceof CommandEntry) entry.refused(error)
    else if (entry instanceof PlainJobs) for (const record of entry.records()) this.#listener.refused(record, error)
    else if (entry instanceof JobRecord) this.#listener.refused(entry, error)
    else entry.refused(error)
  }
  /** There may be room again for waiting puts. */
  roomFreed(): void {
    this.#roomFreed = true
    if (this.#waitingPuts.length > 0) this.#schedule()
  }
  /** Resolves when nothing that can be sent is on its way. */
  async drained(): Promise<void> {
    if (this.#isDrained) return
    await new Promise<void>(resolve => this.#drainWaiters.push(resolve))
  }
  get #isDrained(): boolean {
    return !this.#scheduled && this.#batchesInFlight === 0 && this.#flushing === undefined
  }
  /** Refuses all entries, because the backlog did not open. */
  fail(error: unknown): void {
    this.#failed = { error }
    const buffered = this.#buffer
    if (buffered.length > 0) this.#failureReported = true
    this.#resetBuffer()
    for (const entry of this.#remaining(buffered)) this.#refuse(entry, error)
  }

  #schedule(): void {
    if (this.#failed) return this.fail(this.#failed.error)
    if (this.#scheduled || !this.#session) return
    this.#scheduled = true
    void merged.then(() => {
      this.#scheduled = false
      this.#sendNext()
      this.#resolveDrained()
    })
  }
  /** Resolves the promises of `drained` when nothing is on its way. */
  #resolveDrained(): void {
    if (this.#drainWaiters.length > 0 && this.#isDrained) for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }
  /**
   * Batches that the backlog cannot refuse are sent one after another. A batch that it may refuse, because of ids,
   * costs or a bounded queue, is sent alone, so that puts repeated after a refusal keep their order.
   */
  #sendNext(): void {
    if (this.#flushing || this.#commandRunsAlone) return
    const { inFlight } = this.#parts.transport
    while (this.#buffer.length > 0 && this.#batchesInFlight < inFlight && !this.#commandRunsAlone) {
      if (this.#buffer[this.#sent] instanceof CommandEntry) {
        if (this.#batchesInFlight > 0) return
        this.#sendCommand()
      } else if (this.#mayBeRefused) break
      else this.#sendBatch()
    }
    const waits = (this.#buffer.length > 0 && this.#mayBeRefused) || (this.#roomFreed && this.#hasNext)
    if (!waits || this.#batchesInFlight > 0) return
    this.#flushing = this.#sendWhatFits().finally(() => {
      this.#flushing = undefined
      this.#batchDone()
    })
  }
  #sendCommand(): void {
    const change = this.#buffer[this.#sent++] as CommandEntry
    this.#commands--
    if (this.#sent === this.#buffer.length) this.#resetBuffer()
    change.run()
  }
  #sendBatch(): void {
    const [first] = this.#buffer
    if (first instanceof PlainJobs && this.#buffer.length === 1 && first.length >= minPlainJobs) {
      this.#resetBuffer()
      return this.#send(
        first,
        () => this.#listener.allAccepted(first),
        error => this.#refuseAll([first], error),
      )
    }
    const plain = this.#onlySingleRecords
    const all = withRecords(this.#takeBatch(this.#parts.transport.batch))
    if (all.length === 0) return
    const records = plain ? (all as JobRecord[]) : recordsOf(all)
    this.#send(
      records,
      existed => this.#batchAccepted(all, records, plain, existed),
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
    this.#batchesInFlight++
    const flight = request(() => session.put(batch, clock.now(), clock.wall()), accepted, refused)
    if (flight) {
      void flight.then(() => {
        this.#batchesInFlight--
        this.#batchDone()
      })
    } else {
      this.#batchesInFlight--
      if (this.empty) this.#listener.emptied()
    }
  }
  /** A batch that was refused for good is sent again entry by entry, so that only the entry at fault is refused. */
  async #refuseBatch(all: readonly (PutCall | JobRecord)[], error: unknown): Promise<void> {
    if (all.length > 1 && codeOf(error) === 'STORE') {
      for (const entry of all) await this.#putAlone(this.#session as BacklogSession, entry)
    } else this.#refuseAll(all, error)
  }
  #refuseAll(all: readonly (PutCall | JobRecord | PlainJobs)[], error: unknown): void {
    for (const entry of all) this.#refuse(entry, error)
    if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#listener.perhapsPut()
  }
  /** The next entries that make a batch of `most` jobs, up to the next command. */
  #takeBatch(most: number): PutEntry[] {
    const buffered = this.#buffer
    if (buffered.length <= most && this.#onlySingleRecords && this.#sent === 0) {
      this.#resetBuffer()
      return this.#remaining(buffered as PutEntry[])
    }
    const from = this.#sent
    let to = from
    for (let records = 0; to < buffered.length && (to === from || records < most); to++) {
      const entry = buffered[to] as BufferEntry
      if (entry instanceof CommandEntry) break
      records += sizeOf(entry)
    }
    this.#sent = to
    if (to === buffered.length) this.#resetBuffer()
    return this.#remaining(buffered.slice(from, to) as PutEntry[])
  }
  #resetBuffer(): void {
    this.#buffer = []
    this.#sent = this.#commands = 0
    this.#onlySingleRecords = true
  }
  #batchAccepted(
    all: readonly (PutCall | JobRecord)[],
    records: readonly JobRecord[],
    plain: boolean,
    existed: Existed,
  ): void {
    if (plain && !existed) this.#listener.allAccepted(records)
    else for (const entry of all) this.#accept(entry, existed)
  }
  #batchDone(): void {
    // Reported before the next command runs, because the effects of that command are reported later.
    if (this.empty) this.#listener.emptied()
    this.#sendNext()
    this.#resolveDrained()
  }
  /**
   * Whether puts wait for room; they go before all entries of the buffer. After a stop the answer is no, because the
   * shutdown removes and refuses them.
   */
  get #hasNext(): boolean {
    return this.#waitingPuts.length > 0 && !this.#parts.lifecycle.stopping
  }
  /**
   * Sends entries that may be refused, and those that wait for room: only as many at a time as there is room for, so
   * that the rest stays untouched.
   */
  #sendWhatFits(): Promise<void> {
    const plain = this.#onlySingleRecords
    const buffered = withRecords(this.#takeBatch(Infinity))
    if (this.#buffer.length === 0) this.#mayBeRefused = this.#bounded
    this.#roomFreed = false
    if (this.#hasNext) {
      for (const entry of buffered) this.#wait(entry)
      return this.#sendWaiting()
    }
    return this.#sendBuffered(buffered, plain)
  }
  async #sendWaiting(): Promise<void> {
    while (this.#hasNext) {
      const batch = this.#remaining(this.#waitingPuts.take(this.#room))
      const rest = await this.#sendAndSplit(batch, false)
      if (rest.length > 0) return this.#waitInFront(rest)
    }
  }
  async #sendBuffered(all: readonly WaitingEntry[], plain: boolean): Promise<void> {
    for (let from = 0; from < all.length; ) {
      const to = endOfFitting(all, from, this.#room)
      const batch = to - from === all.length ? all : all.slice(from, to)
      const rest = await this.#sendAndSplit(batch, plain)
      from = to
      if (rest.length === 0) continue
      for (const entry of rest) this.#wait(entry)
      for (; from < all.length; from++) this.#wait(all[from] as WaitingEntry)
    }
  }
  /**
   * How many jobs to send at once if puts wait for room, as of the backlog's last reply. Another process may have used
   * or made room since, so at least one entry is tried.
   */
  get #room(): number {
    const { waits, size } = this.#parts
    if (!waits || size === Infinity) return Infinity
    const { pending, delayed } = (this.#session as BacklogSession).counts
    return size - pending - delayed
  }
  /**
   * Sends entries together. Mostly they are accepted as a whole; otherwise they are sent one by one, so that each gets
   * its own reply. Returns the entries for which there was no room.
   */
  async #sendAndSplit(all: readonly WaitingEntry[], plain: boolean): Promise<readonly WaitingEntry[]> {
    const { clock, waits } = this.#parts
    const session = this.#session as BacklogSession
    if (all.length > 1 || !waits) {
      const records = plain ? (all as JobRecord[]) : recordsOf(all)
      try {
        const answer = session.put(records, clock.now(), clock.wall())
        this.#batchAccepted(all, records, plain, isPromise(answer) ? await answer : answer)
        return []
      } catch (error) {
        // Entries that may be stored already must not be sent again.
        if (codeOf(error) === 'OUTCOME_UNKNOWN' || all.length === 1) {
          this.#refuseAll(all, error)
          return []
        }
      }
    }
    for (const [i, entry] of all.entries()) if (await this.#putAlone(session, entry)) return all.slice(i)
    return []
  }
  /** Sends one entry by itself. Returns true if it has to wait for room, and so has every entry after it. */
  async #putAlone(session: BacklogSession, entry: WaitingEntry): Promise<boolean> {
    const { clock, waits, size } = this.#parts
    const records = recordsOf([entry])
    try {
      const answer = session.put(records, clock.now(), clock.wall())
      this.#accept(entry, isPromise(answer) ? await answer : answer)
    } catch (error) {
      if (waits && codeOf(error) === 'QUEUE_FULL' && records.length <= size) return true
      this.#refuseAll([entry], error)
    }
    return false
  }
  #wait(entry: WaitingEntry): void {
    this.#waitingPuts.push(entry)
    this.#findBySignals(entry)
  }
  #waitInFront(entries: readonly WaitingEntry[]): void {
    this.#waitingPuts.putBack(entries)
    for (const entry of entries) this.#findBySignals(entry)
  }
  /**
   * Makes a waiting entry withdrawable by the signals of its jobs. A signal that aborted while the entry was on its way
   * could not withdraw it.
   */
  #findBySignals(entry: WaitingEntry): void {
    const signalled = recordsOf([entry]).filter(record => record.live?.signal)
    for (const record of signalled) this.#withdrawable.set(record, entry)
    for (const record of signalled) this.#listener.waitsForRoom(record)
  }
}
