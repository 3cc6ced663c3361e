/**
 * The intake: turns puts into records, and sends them to the backlog in batches.
 *
 * Puts of one turn of the event loop are sent as one batch, and each is answered after its own acceptance. Their order
 * is kept, including that of commands made between them. put/refusals.ts sends puts that the backlog may refuse,
 * put/overflow.ts holds those for which there is no space, and put/withdrawals.ts knows which can be withdrawn.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { types } from 'node:util'
import type { BacklogSession, MaybePromise, PutBatch, Transport } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import { codeOf } from '../errors.ts'
import { JobRecord } from '../job.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { CostOf } from '../options/cost.ts'
import { type PutOptions, parsePut } from '../options/options.ts'
import { rejectionAtCallSite } from '../support/call-site.ts'
import { inCleanContext } from '../support/clean-context.ts'
import { Fifo } from '../support/fifo.ts'
import { request } from '../support/replies.ts'
import { cancelledBy } from '../support/signals.ts'
import { textOf } from '../text/json.ts'
import {
  type BufferEntry,
  CommandEntry,
  type Existed,
  type PutCall,
  type PutEntry,
  type QueueBound,
  recordsOf,
  sizeOf,
  type WaitingEntry,
  withRecords,
} from './entries.ts'
import { fingerprint, fingerprintOfText } from './fingerprint.ts'
import { Overflow, type OverflowListener } from './overflow.ts'
import { PlainJobs } from './plain-jobs.ts'
import { type PutReplyTarget, Refusals } from './refusals.ts'
import { Withdrawals } from './withdrawals.ts'

/** The listener to which the intake reports accepted and refused puts. */
export interface PutListener extends OverflowListener {
  /** A job that was put by `addOne` was accepted, or existed already. */
  accepted(record: JobRecord, known: JobRecord | undefined): void
  /** The same for many jobs at once, none of which existed. */
  allAccepted(jobs: readonly JobRecord[] | PlainJobs): void
  refused(record: JobRecord, error: unknown): void
  /** Nothing is on its way any more. */
  emptied(): void
  /** A put was refused because its outcome is unknown, so its jobs may be in the backlog. */
  perhapsPut(): void
}

export interface IntakeParts extends QueueBound {
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly strict: boolean
  /**
   * The bounds on batches. The jobs of one putMany are one batch, however many. Further puts wait in their original
   * form, because encoding them early would cost more.
   */
  readonly transport: Transport
  readonly context: 'queue' | 'put'
  /** The cost of jobs that are put without one. */
  readonly cost: CostOf | undefined
  /** Copies a payload, or throws; undefined: payloads are held as they are. */
  readonly clone?: ((payload: unknown) => unknown) | undefined
}

/** How many commands are sent in one turn of the event loop. Each makes more work, with its reply. */
export const maxCommandsInLoopTurn = 128

/** From this number of jobs on, columns use less memory than records. */
const minPlainJobs = 16

const { isPromise } = types
const merged: Promise<void> = inCleanContext(() => Promise.resolve(), undefined)

export class Intake implements PutReplyTarget {
  readonly #parts: IntakeParts
  #listener!: PutListener
  #session: BacklogSession | undefined
  /** Entries that are not sent yet. */
  readonly #buffer = new Fifo<BufferEntry>()
  /** How many entries of the buffer are commands. */
  #commands = 0
  /** No entry of the buffer needs a reply of its own. */
  #onlyRecords = true
  /** The wall clock as read for this turn of the event loop, so that all puts of one batch share one number. */
  #wall: number | undefined
  readonly #withdrawals = new Withdrawals()
  readonly #refusals: Refusals
  readonly #overflow: Overflow
  #scheduled = false
  /** Space was made since the last batch was sent. A batch that found no space meanwhile is sent once more. */
  #spaceFreed = false
  #failed: { readonly error: unknown } | undefined
  #failureReported = false
  /** Puts that may be refused are being sent. */
  #sendingRefusable: Promise<void> | undefined
  /** The number of batches in flight. */
  #batchesInFlight = 0
  /** The backlog may refuse entries of the buffer. */
  #mayBeRefused: boolean
  /** The same for every put: the size of the queue is bounded, or its jobs have a cost by default. */
  readonly #anyMayBeRefused: boolean
  /** Payloads are held by reference, and jobs need no async context, so they may wait in columns. */
  readonly #mayUseColumns: boolean
  readonly #drainWaiters: (() => void)[] = []
  /** A command of several steps is running. Nothing is sent before it has ended. */
  #commandRunsAlone = false
  #commandsInLoopTurn = 0
  /** The commands that are left are sent in a later turn of the event loop, and all that was put after them. */
  #commandsWait = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#mayUseColumns = !parts.strict && parts.context === 'queue'
    this.#anyMayBeRefused = parts.waits || parts.size !== Infinity || parts.cost !== undefined
    this.#mayBeRefused = this.#anyMayBeRefused
    this.#refusals = new Refusals(parts.clock, parts, this)
    this.#overflow = new Overflow(parts.lifecycle, parts, this.#refusals, this.#withdrawals, {
      waitsForSpace: record => this.#listener.waitsForSpace(record),
    })
  }
  /** Must be called before any put. A separate call, because the listener needs the intake too. */
  listen(listener: PutListener): void {
    this.#listener = listener
  }
  /** Whether no put is on its way. */
  get empty(): boolean {
    const buffered = this.#buffer.length - this.#commands
    const here = buffered + this.#overflow.length - this.#withdrawals.count
    return here + this.#batchesInFlight === 0 && this.#sendingRefusable === undefined
  }
  /** Whether a rejection has reported to a caller that the backlog did not open. */
  get failureReported(): boolean {
    return this.#failureReported
  }
  open(session: BacklogSession): void {
    this.#session = session
    this.#refusals.open(session)
    this.#overflow.open(session)
    this.#schedule()
  }
  /** Throws the error of the payload or of an option. */
  record(given: unknown, options: PutOptions | undefined): JobRecord {
    const { context, strict, cost, clone } = this.#parts
    const text = strict ? textOf(given) : undefined
    const payload = clone ? clone(given) : given
    const wall = this.#wallOfLoopTurn()
    const record =
      options === undefined ? new JobRecord('', payload, 0, wall) : this.#withOptions(payload, text, options, wall)
    if (cost !== undefined && record.extras?.cost === undefined) record.ensureExtras().cost = cost(payload)
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
  #wallOfLoopTurn(): number {
    if (this.#wall === undefined) {
      this.#wall = this.#parts.clock.wall()
      void merged.then(this.#forgetWall)
    }
    return this.#wall
  }
  readonly #forgetWall = (): void => {
    this.#wall = undefined
  }
  /**
   * The fast path of `run`: stores the payload and its answer function, without a record before one is needed. Returns
   * false if this path is not available.
   */
  addPlain(given: unknown, answer: (value: unknown) => void): boolean {
    if (!this.#mayUseColumns || this.#mayBeRefused) return false
    const { clone } = this.#parts
    const payload = clone ? clone(given) : given
    const { last } = this.#buffer
    const wall = this.#wallOfLoopTurn()
    if (last instanceof PlainJobs && last.wall === wall) last.push(payload, answer)
    else {
      const jobs = new PlainJobs(wall)
      jobs.push(payload, answer)
      this.#buffer.push(jobs)
      this.#onlyRecords = false
      this.#schedule()
    }
    return true
  }
  add(entry: PutCall): void {
    this.#onlyRecords = false
    this.#buffer.push(entry)
    this.#schedule()
  }
  /**
   * Runs a command at its place among the puts; if `alone` returns true, nothing is sent before it has ended. Resolves
   * with the result of `act`. Rejects if the backlog does not open.
   */
  command<T>(act: (session: BacklogSession) => MaybePromise<T>, alone = (): boolean => false): Promise<T> {
    return new Promise(resolve => {
      const refuse = (error: unknown): void => resolve(rejectionAtCallSite(error))
      this.#onlyRecords = false
      this.#commands++
      const run = (): void => {
        const isAlone = alone()
        try {
          const result = act(this.#session as BacklogSession)
          if (!isPromise(result)) return resolve(result)
          result.then(resolve, refuse)
          if (isAlone) this.#runAlone(result)
        } catch (error) {
          refuse(error)
        }
      }
      this.#buffer.push(new CommandEntry(run, refuse))
      this.#schedule()
    })
  }
  #runAlone(command: Promise<unknown>): void {
    this.#batchesInFlight++
    this.#commandRunsAlone = true
    const over = (): void => {
      this.#batchesInFlight--
      this.#commandRunsAlone = false
      this.#batchDone()
    }
    command.then(over, over)
  }
  /** The fast path for a single job, without a reply of its own: it is answered by `accepted` and `refused`. */
  addOne(record: JobRecord): void {
    this.#buffer.push(record)
    this.#schedule()
  }

  // Puts that are not sent yet, or wait for space.

  /** Must precede `add(entry)`. Until the entry is sent, `withdraw(record)` removes it. */
  makeWithdrawable(record: JobRecord, entry: WaitingEntry): void {
    this.#withdrawals.allow(record, entry)
  }
  /**
   * Refuses the whole entry of this job. An entry behind it may fit now, which `spaceFreed` finds out. Returns false if
   * the entry was sent before.
   */
  withdraw(record: JobRecord, error: unknown): boolean {
    const entry = this.#withdrawals.find(record)
    if (!entry) return false
    this.#withdraw(entry, error)
    return true
  }
  /** Whether a put with a job of this id waits for space. */
  isWaiting(id: string): boolean {
    return this.#overflow.has(id)
  }
  /** Refuses the puts with a job of this id that wait for space. */
  withdrawWaiting(id: string, error: unknown): void {
    for (const entry of this.#overflow.of(id)) this.#withdraw(entry, error)
  }
  #withdraw(entry: WaitingEntry, error: unknown): void {
    this.#withdrawals.withdraw(entry)
    this.#overflow.forget(entry)
    this.refuse(entry, error)
    if (this.empty) this.#listener.emptied()
  }
  /** Removes all puts that wait for space, for a caller who will refuse them. */
  takeWaiting(): readonly WaitingEntry[] {
    return this.#overflow.takeAll()
  }
  /** Puts from `takeWaiting` that are not refused after all wait once more, before all that came later. */
  putBackWaiting(entries: readonly WaitingEntry[]): void {
    this.#overflow.putBack(entries)
    this.spaceFreed()
  }
  /** There may be space for waiting puts. */
  spaceFreed(): void {
    this.#spaceFreed = true
    if (this.#overflow.length > 0) this.#schedule()
  }

  // Replies to callers.

  accept(entry: WaitingEntry, existed: Existed): void {
    if (entry instanceof JobRecord) this.#listener.accepted(entry, existed?.get(entry))
    else entry.accepted(existed)
  }
  acceptAll(
    entries: readonly WaitingEntry[],
    records: readonly JobRecord[],
    areRecords: boolean,
    existed: Existed,
  ): void {
    if (areRecords && !existed) this.#listener.allAccepted(records)
    else for (const entry of entries) this.accept(entry, existed)
  }
  refuseAll(entries: readonly PutEntry[], error: unknown): void {
    for (const entry of entries) this.refuse(entry, error)
    if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#listener.perhapsPut()
  }
  refuse(entry: BufferEntry, error: unknown): void {
    if (entry instanceof CommandEntry) entry.refused(error)
    else if (entry instanceof PlainJobs) for (const record of entry.records()) this.#listener.refused(record, error)
    else if (entry instanceof JobRecord) this.#listener.refused(entry, error)
    else entry.refused(error)
  }

  // Batches in flight.

  /** Resolves when nothing that can be sent is on its way. */
  async drained(): Promise<void> {
    if (this.#isDrained) return
    await new Promise<void>(resolve => this.#drainWaiters.push(resolve))
  }
  get #isDrained(): boolean {
    return (
      !this.#scheduled && !this.#commandsWait && this.#batchesInFlight === 0 && this.#sendingRefusable === undefined
    )
  }
  /** Refuses all entries, because the backlog did not open. */
  fail(error: unknown): void {
    this.#failed = { error }
    if (this.#buffer.length > 0) this.#failureReported = true
    this.#commands = 0
    for (const entry of this.#withdrawals.remaining(this.#takeAll())) this.refuse(entry, error)
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
    if (this.#sendingRefusable || this.#commandRunsAlone) return
    const { batchesInFlight } = this.#parts.transport
    while (this.#buffer.length > 0 && this.#batchesInFlight < batchesInFlight && !this.#commandRunsAlone) {
      if (this.#buffer.first instanceof CommandEntry) {
        if (this.#batchesInFlight > 0 || !this.#fitsCommand()) return
        this.#sendCommand()
      } else if (this.#mayBeRefused) break
      else this.#sendBatch()
    }
    const waits = (this.#buffer.length > 0 && this.#mayBeRefused) || (this.#spaceFreed && this.#overflow.hasNext)
    if (!waits || this.#batchesInFlight > 0) return
    this.#sendingRefusable = this.#sendRefusable().finally(() => {
      this.#sendingRefusable = undefined
      this.#batchDone()
    })
  }
  #fitsCommand(): boolean {
    if (this.#commandsInLoopTurn === 0) this.#parts.clock.soon(this.#loopTurnOver)
    const fits = this.#commandsInLoopTurn < maxCommandsInLoopTurn
    if (fits) this.#commandsInLoopTurn++
    else this.#commandsWait = true
    return fits
  }
  readonly #loopTurnOver = (): void => {
    this.#commandsInLoopTurn = 0
    if (!this.#commandsWait) return
    this.#commandsWait = false
    this.#sendNext()
    this.#resolveDrained()
  }
  #sendCommand(): void {
    const [command] = this.#take(1) as [CommandEntry]
    this.#commands--
    command.run()
  }
  #sendBatch(): void {
    const { first } = this.#buffer
    if (first instanceof PlainJobs && this.#buffer.length === 1 && first.length >= minPlainJobs) {
      this.#takeAll()
      return this.#send(
        first,
        () => this.#listener.allAccepted(first),
        error => this.refuseAll([first], error),
      )
    }
    const areRecords = this.#onlyRecords
    const all = withRecords(this.#takeBatch(this.#parts.transport.batchSize))
    if (all.length === 0) return
    const records = areRecords ? (all as JobRecord[]) : recordsOf(all)
    this.#send(
      records,
      existed => this.acceptAll(all, records, areRecords, existed),
      error => this.#refusals.refused(all, error),
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
    const sent = request(() => session.put(batch, clock.now(), clock.wall()), accepted, refused)
    if (sent) {
      void sent.then(() => {
        this.#batchesInFlight--
        this.#batchDone()
      })
    } else {
      this.#batchesInFlight--
      if (this.empty) this.#listener.emptied()
    }
  }
  /** Sends everything up to the next command, after the puts that wait for space. */
  #sendRefusable(): Promise<void> {
    const areRecords = this.#onlyRecords
    const buffered = withRecords(this.#takeBatch(Infinity))
    if (this.#buffer.length === 0) this.#mayBeRefused = this.#anyMayBeRefused
    this.#spaceFreed = false
    return this.#overflow.send(buffered, areRecords)
  }
  /** The next entries that make a batch of `most` jobs, up to the next command. */
  #takeBatch(most: number): PutEntry[] {
    const buffer = this.#buffer
    if (buffer.length <= most && this.#onlyRecords) return this.#withdrawals.remaining(this.#takeAll() as PutEntry[])
    let count = 0
    for (let records = 0; count < buffer.length && (count === 0 || records < most); count++) {
      const entry = buffer.at(count) as BufferEntry
      if (entry instanceof CommandEntry) break
      records += sizeOf(entry)
    }
    return this.#withdrawals.remaining(this.#take(count) as PutEntry[])
  }
  #takeAll(): BufferEntry[] {
    return this.#take(Infinity)
  }
  #take(count: number): BufferEntry[] {
    const taken = this.#buffer.take(count)
    if (this.#buffer.length === 0) this.#onlyRecords = true
    return taken
  }
  #batchDone(): void {
    // Reported before the next command runs, because the effects of that command are reported later.
    if (this.empty) this.#listener.emptied()
    this.#sendNext()
    this.#resolveDrained()
  }
}
