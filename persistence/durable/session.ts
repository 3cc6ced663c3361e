/**
 * A queue object's session with a durable store: translates between job records on one side, and requests and replies
 * on the other. Changes of a job that this process follows are written into its own record; other jobs are snapshots.
 */

import type {
  BacklogSession,
  Command,
  CommandResult,
  Exchange,
  ExchangeResult,
  JobQuery,
  JobRef,
  KeyReport,
  KeysQuery,
  Notices,
  Overridden,
  PutBatch,
  SessionOptions,
  SettleKind,
  Settlement,
  StateCounts,
  WaitReason,
} from '../../lib/backlog.ts'
import { isSetting } from '../../lib/decisions/command-states.ts'
import { dueOf } from '../../lib/decisions/due.ts'
import { keptMs } from '../../lib/decisions/keep.ts'
import { goBack, transitionOf } from '../../lib/decisions/transitions.ts'
import { codeOf } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import type { KeyOverride } from '../../lib/limits/keys.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import { claimedRecords } from './claimed.ts'
import { type RowReader, rowReader } from './decode.ts'
import { cursorOf, named, onWire, putColumns, reportColumns, rowTarget, settledColumns } from './encode.ts'
import { IdentityMap } from './identity-map.ts'
import type { Link } from './link.ts'
import type { LinkClient } from './link-client.ts'
import { lostRunsOf, noticesOf, type RowRecords, reportsDropped } from './notices.ts'
import { type JobLookup, RemoteEndings } from './remote-endings.ts'
import type {
  AttachReply,
  AttachRequest,
  CommandReply,
  DetachRequest,
  ExchangeReply,
  ExchangeRequest,
  ExplainReply,
  JobRow,
  KeyChange,
  KeysNow,
  KeysReply,
  ListReply,
  PutReplay,
  Request,
  SettingsNow,
} from './store.ts'

const none: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

/** The parts of a session that its backlog provides. */
export interface SessionMeans {
  finishWithin?(
    transaction: unknown,
    run: { readonly seq: number; readonly id: string; readonly fence: number; readonly startedAt: number },
    value: unknown,
    /** Whether the value is kept. */
    keeps: boolean,
  ): void | Promise<void>
}

export class DurableSession implements BacklogSession, LinkClient {
  readonly name: string
  readonly works: boolean
  /** The link uses it to attach the name again after a lost connection. A declaration is made only once. */
  attachRequest: AttachRequest
  readonly finishWithin?: NonNullable<BacklogSession['finishWithin']>
  readonly #options: SessionOptions
  readonly #identities = new IdentityMap()
  readonly #remoteEndings: RemoteEndings
  readonly #records: RowRecords = {
    recordOf: row => this.#recordOf(row),
    seen: row => this.#noteSeen(row),
  }
  #link!: Link
  #rows!: RowReader
  #queue = 0
  #counts: StateCounts = none
  #settings: SettingsNow = { rules: [] }
  #keysVersion = 0
  #overrides = new Map<string, KeyOverride>()
  keys: BacklogSession['keys'] = { policy: undefined, overrides: this.#overrides }
  sharedPaused = false
  replaced: readonly RateRule[] | undefined
  /** Claimed jobs whose payload cannot be read: the next exchange settles them as failed. */
  readonly #unreadable: Settlement[] = []
  /** The number of the last exchange that was answered. */
  #acknowledged = 0
  /** The store reported a change since the last exchange was sent. */
  #changed = false
  #closed: Promise<void> | undefined

  constructor(options: SessionOptions, means: SessionMeans = {}) {
    const { name, works, rate, keys, globalWidth, size, keep, afterCrash, crashLimit, clock } = options
    this.name = name
    this.works = works
    this.#options = options
    const lookups: JobLookup = {
      find: seq => this.#request<JobRow | undefined>({ kind: 'find', queue: this.#queue, target: seq }),
      update: (record, row) => this.#update(record, row),
    }
    this.#remoteEndings = new RemoteEndings(this.#identities, lookups, options)
    const onlyIfExists = !works && rate === undefined && keys === undefined && globalWidth === undefined
    const instants = { now: clock.now(), wall: clock.wall() }
    this.attachRequest = {
      kind: 'attach',
      name,
      works,
      onlyIfExists,
      rate,
      keys,
      globalWidth,
      size,
      keep,
      afterCrash,
      crashLimit,
      ...instants,
    }
    const within = means.finishWithin
    if (!within) return
    this.finishWithin = (transaction, { seq, id }, fence, startedAt, value) =>
      within(transaction, { seq, id, fence, startedAt }, value, keep.results && keep.finishedMs > 0)
  }
  /** Attaches the name over a link that is open and that this session has entered. */
  async open(link: Link): Promise<void> {
    this.#link = link
    this.#rows = rowReader(link.storeClock)
    await this.#attach(this.attachRequest.onlyIfExists === true)
  }
  get queue(): number {
    return this.#queue
  }
  /** Whether the name exists in the store, as of the last reply. */
  get exists(): boolean {
    return this.#queue !== 0
  }
  /** Attaches once more, and creates the name unless `onlyIfExists`. Resolves with whether it exists by now. */
  async reattach(onlyIfExists: boolean): Promise<boolean> {
    await this.#attach(onlyIfExists)
    return this.exists
  }
  async #attach(onlyIfExists: boolean): Promise<void> {
    const { clock } = this.#options
    const instants = { now: this.#toStore(clock.now()), wall: clock.wall() }
    const { rate, keys, globalWidth } = this.attachRequest
    this.attached(await this.#request<AttachReply>({ ...this.attachRequest, ...instants, onlyIfExists }))
    if (rate || keys || globalWidth !== undefined) this.#link.notifyOthers(this, undefined, true)
  }
  attached({ queue, counts, sharedPaused, keys, ...settings }: AttachReply): void {
    if (queue === 0) return
    this.#queue = queue
    this.#applySettings(settings)
    this.replaced ??= settings.replaced
    this.#counts = counts
    this.sharedPaused = sharedPaused
    this.#applyKeys(keys)
    this.attachRequest = { ...this.attachRequest, rate: undefined, keys: undefined, globalWidth: undefined }
  }
  #applySettings({ rules, globalWidth, overridden }: SettingsNow): void {
    this.#settings = {
      rules,
      ...(globalWidth !== undefined && { globalWidth }),
      ...(overridden && { overridden }),
    }
  }
  #applyKeys(keys: KeysNow | undefined): void {
    if (keys === undefined) return
    this.#keysVersion = keys.version
    this.#overrides = new Map(keys.overrides)
    this.keys = { policy: keys.policy, overrides: this.#overrides }
  }
  /** If other keys have changed before, the next exchange has the whole list, because the version here stays. */
  #applyKeyChange(change: KeyChange | undefined): void {
    if (!change || change.version <= this.#keysVersion) return
    const { version, key, override } = change
    if (version === this.#keysVersion + 1) this.#keysVersion = version
    if (override) this.#overrides.set(key, override)
    else this.#overrides.delete(key)
  }
  get counts(): Readonly<StateCounts> {
    return this.#counts
  }
  get rules(): readonly RateRule[] {
    return this.#settings.rules
  }
  get globalWidth(): number {
    return this.#settings.globalWidth ?? Infinity
  }
  get overridden(): Overridden | undefined {
    return this.#settings.overridden
  }
  wake(): void {
    this.#changed = true
    this.#remoteEndings.changed()
    this.#options.wake()
  }
  makeExchange(): void {
    this.#options.wake()
  }
  counted(counts: StateCounts): void {
    this.#counts = counts
  }
  bodiesInProcess(): number {
    return this.#link.bodies
  }
  get running(): number {
    return this.#options.runningBodies()
  }
  stalled(): void {
    this.#options.stalled()
  }
  failed(error: unknown): void {
    this.#options.failed(error)
  }
  asOf(record: JobRecord): number | undefined {
    if (record.seq === 0 || record.ended || this.#remoteEndings.isCurrent(record)) return undefined
    return record.run?.stoppedAt ?? record.queuedAt
  }
  follow(record: JobRecord): JobRecord {
    if (record.seq === 0 || record.ended) return record
    const followed = this.#identities.follow(record)
    this.#remoteEndings.waitFor(followed)
    return followed
  }

  async put(batch: PutBatch, now: number, wall: number): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const records = [...batch]
    const columns = putColumns(records, this.#link.storeClock)
    const { size } = this.#options
    const { putNumbers } = this.#link
    const { acknowledged } = putNumbers
    const number = putNumbers.next()
    const request = { queue: this.#queue, number, acknowledged, now: this.#toStore(now), wall, size, ...columns }
    let done: PutReplay & { readonly counts?: StateCounts }
    try {
      done = await this.#request({ kind: 'put', ...request })
    } catch (error) {
      if (codeOf(error) === 'OUTCOME_UNKNOWN') this.#link.signals.doubt(this.#queue, records)
      throw error
    } finally {
      putNumbers.answered(number)
    }
    const before = done.existed.length > 0 ? new Map(done.existed) : undefined
    let seq = done.first
    for (let i = 0; i < records.length; i++) {
      if (before?.has(i)) continue
      const record = records[i] as JobRecord
      record.seq = seq++
      record.text = undefined
      this.#setWaiting(record, now, wall)
      this.#identities.put(record)
      if (record.live?.signal) this.#link.signals.put(record)
    }
    if (seq > done.first) this.#remoteEndings.put(seq - 1)
    this.#counted(done.counts, records.length > done.existed.length)
    if (!before) return undefined
    return new Map([...before].map(([i, row]) => [records[i] as JobRecord, this.#known(records[i] as JobRecord, row)]))
  }

  async exchange(exchange: Exchange): Promise<ExchangeResult> {
    const unreadable = this.#unreadable.splice(0)
    const changed = this.#changed
    this.#changed = false
    const settled = unreadable.length > 0 ? [...exchange.settled, ...unreadable] : exchange.settled
    const request = this.#exchangeRequest(exchange, settled)
    let done: ExchangeReply
    // Await the link's promise directly: an extra microtask here would let later replies overtake this one.
    try {
      done = await this.#request<ExchangeReply>(request)
    } catch (error) {
      this.#changed ||= changed
      this.#unreadable.unshift(...unreadable)
      throw error
    }
    this.#acknowledged = request.number
    this.#applyQueueState(done, settled.length > 0)
    const { checkpoints } = exchange
    const lost = lostRunsOf(done, settled, checkpoints, this.#identities)
    this.#checkpointsStored(checkpoints, lost)
    this.#endingsStored(settled, request, done, lost, exchange.now)
    const notices =
      done.notices &&
      noticesOf({
        ...{ notices: done.notices, lost, settled, checkpoints },
        ...{ identities: this.#identities, records: this.#records },
      })
    this.#actOnNotices(done, notices)
    // After the notices, because their jobs are announced by their own events.
    if (changed) void this.#remoteEndings.lookupAwaited()
    return this.#resultOf(done, notices, unreadable)
  }
  #exchangeRequest(exchange: Exchange, settled: readonly Settlement[]): ExchangeRequest {
    const { now, wall, room, mayLaunch, isFull, suspectRoom } = exchange
    const { keep } = this.#options
    const { storeClock } = this.#link
    return {
      ...{ kind: 'exchange', queue: this.#queue, number: this.#link.nextNumber(), acknowledged: this.#acknowledged },
      ...{ works: this.works, now: this.#toStore(now), wall, room, mayLaunch },
      ...(isFull && { isFull }),
      ...(suspectRoom && { suspectRoom }),
      ...(storeClock.errorMs > 0 && { errorMs: storeClock.errorMs }),
      ...(this.#keysVersion > 0 && { keysVersion: this.#keysVersion }),
      settled: settledColumns(settled, wall, keep.finishedMs > 0),
      ...reportColumns(exchange, storeClock),
    }
  }
  /** Counts and settings are as of this reply. */
  #applyQueueState(done: ExchangeReply, settles: boolean): void {
    // Another queue object of this process may be waiting until the queue is idle, or for space.
    const waited = this.#counts.pending + this.#counts.delayed
    this.#counted(done.counts, settles || done.counts.pending + done.counts.delayed < waited)
    this.#applySettings(done)
    this.#applyKeys(done.keys)
    this.sharedPaused = done.sharedPaused
  }
  #checkpointsStored(checkpoints: Exchange['checkpoints'], lost: ReadonlySet<number>): void {
    for (const { record, fence, value } of checkpoints) {
      if (!lost.has(record.seq) && record.fence === fence) record.ensureExtras().checkpoint = value
    }
  }
  #endingsStored(
    settled: readonly Settlement[],
    { settled: columns }: ExchangeRequest,
    { notices }: ExchangeReply,
    lost: ReadonlySet<number>,
    now: number,
  ): void {
    const within = new Set(notices?.within)
    const ends = new Map(columns.extras)
    for (let i = 0; i < settled.length; i++) {
      const one = settled[i] as Settlement
      const { seq } = one.record
      if (lost.has(seq)) continue
      const kind = one.within && within.has(seq) ? 'finished' : one.kind
      this.#applyEnding(one, kind, now, ends.get(i)?.value !== undefined)
    }
  }
  #actOnNotices({ notices: stored }: ExchangeReply, notices: Notices | undefined): void {
    for (const record of notices?.lostRuns ?? []) this.#remoteEndings.lostRun(record)
    const { recovered = [], droppedReports = 0 } = stored ?? {}
    // The next exchange acknowledges the reports.
    if (recovered.length > 0) this.#options.wake()
    if (droppedReports > 0) this.failed(reportsDropped(this.name, droppedReports))
  }
  /** @param failed The jobs that this exchange has settled as unreadable. */
  #resultOf(done: ExchangeReply, notices: Notices | undefined, failed: readonly Settlement[]): ExchangeResult {
    const { storeClock, signals } = this.#link
    const { claimed, payloads, grants, cautions, unreadable } = claimedRecords(done, this.#identities, this.#rows)
    signals.give(this.#queue, claimed)
    if (unreadable.length > 0) {
      this.#unreadable.push(...unreadable)
      this.wake()
    }
    const endedUnrun = done.endedUnrun.map(row => this.#ended(row))
    endedUnrun.push(...failed.map(({ record }) => record).filter(record => record.state === 'failed'))
    const { nextLookExact, limited, sharedPaused } = done
    return {
      ...{ claimed, payloads, endedUnrun, grants, cautions, nextLookExact, limited, sharedPaused, notices },
      graceUntil: storeClock.fromLatest(done.graceUntil),
      nextLookAt: storeClock.fromEarliest(done.nextLookAt),
    }
  }

  async command(command: Command, now: number, wall: number): Promise<CommandResult> {
    if (command.kind === 'return') return this.#awaitedHere()
    const request = { queue: this.#queue, now: this.#toStore(now), wall, command: onWire(command) }
    let done: CommandReply
    // Await the link's promise directly: with an extra microtask a later reply could be applied first and then be
    // undone by this one.
    try {
      done = await this.#request<CommandReply>({ kind: 'command', ...request })
    } catch (error) {
      throw 'target' in command ? named(command.target, error) : error
    }
    const { kind } = command
    this.#counted(done.counts, isSetting(kind) || done.unchangedBecause === 'cancelRequested' || done.count > 0)
    this.#applySettings(done)
    this.#applyKeys(done.keys)
    this.#applyKeyChange(done.keyChange)
    const before = new Map(done.changed.map(({ seq }) => [seq, this.#identities.get(seq)]))
    const changed = done.changed.map(row => this.#recordOf(row, kind === 'remove'))
    if (kind === 'clear' && done.count > changed.length) {
      changed.push(...(await this.#remoteEndings.cleared()))
      // The exchanges that follow sweep out the others.
      this.wake()
    }
    for (const record of changed) {
      // A reason that was given here stays the same object.
      if (kind === 'cancel' && before.get(record.seq)) record.ensureExtras().error = command.reason
      if (kind === 'retry') record.renew()
      // A run here may already have lost the job without having been notified.
      if (kind === 'remove') this.#identities.end(record, false)
      else if (record.ended) this.#identities.end(record, true)
    }
    // A row without extras leaves the old due time in the record, so it is cleared here.
    if (kind === 'promote' || kind === 'reschedule') {
      for (const { state, extras } of changed)
        if (state === 'pending' && extras) extras.dueAt = extras.runAt = undefined
    }
    const found = done.found && (changed.find(({ seq }) => seq === done.found?.seq) ?? this.#noteSeen(done.found))
    const hasMore = done.hasMore === true
    const { count, unchangedBecause } = done
    return { changed, found, count, unchangedBecause, ...(hasMore && { hasMore }) }
  }

  /** The jobs stay in the store. The awaited ones are returned, so that callers that await them can be notified. */
  #awaitedHere(): CommandResult {
    const changed = this.#identities.awaited().filter(record => !record.ended)
    return { changed, found: undefined, count: changed.length, unchangedBecause: undefined }
  }

  async find(target: JobRef): Promise<JobRecord | undefined> {
    const row = await this.#request<JobRow | undefined>({
      kind: 'find',
      queue: this.#queue,
      target: rowTarget(target),
    })
    return row && this.#noteSeen(row)
  }
  async list({ state, key, limit, after }: JobQuery): Promise<readonly JobRecord[]> {
    // By seq, because a job that moves in between may be found in two steps.
    const found = new Map<number, JobRecord>()
    let from = after === undefined ? undefined : cursorOf(after)
    do {
      const query = { queue: this.#queue, state, key, limit: limit - found.size, after: from }
      const { rows, next } = await this.#request<ListReply>({ kind: 'list', ...query })
      // Applied at once, because a later reply is newer than this one.
      for (const row of rows) found.set(row.seq, this.#noteSeen(row))
      from = next
    } while (from !== undefined && found.size < limit)
    return [...found.values()]
  }
  async explain(target: JobRef, now: number, wall: number): Promise<WaitReason | undefined> {
    const done = await this.#request<ExplainReply | undefined>({
      kind: 'explain',
      queue: this.#queue,
      target: rowTarget(target),
      now: this.#toStore(now),
      wall,
    })
    if (!done) return undefined
    const { row, position, notBefore, why, rule, key } = done
    const earliest = this.#link.storeClock.fromEarliest(notBefore)
    return { record: this.#noteSeen(row), position, notBefore: earliest, why, rule, ...(key !== undefined && { key }) }
  }
  async listKeys(query: KeysQuery, now: number, wall: number): Promise<readonly KeyReport[]> {
    const request = { queue: this.#queue, query, now: this.#toStore(now), wall }
    const { keys } = await this.#request<KeysReply>({ kind: 'keys', ...request })
    const { storeClock } = this.#link
    return keys.map(one => ({
      ...one,
      until: one.until === undefined ? undefined : storeClock.fromEarliest(one.until),
    }))
  }
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }
  async #close(): Promise<void> {
    const keepLeases = this.#identities.bodies > 0
    const { works } = this
    const { clock } = this.#options
    const detach: DetachRequest = {
      kind: 'detach',
      queue: this.#queue,
      works,
      keepLeases,
      now: this.#toStore(clock.now()),
      wall: clock.wall(),
      acknowledged: this.#acknowledged,
    }
    if (this.exists) await this.#request(detach).catch(error => this.failed(error))
    await this.#link.leave(this, keepLeases)
  }

  #request<T>(request: Request): Promise<T> {
    const answer = this.#link.request<T>(request)
    if (this.#link.outside) this.#options.clock.outside?.(answer)
    return answer
  }
  /** Applies the counts of a reply, here and for the other queue objects of this name in this process. */
  #counted(counts: StateCounts | undefined, changed: boolean): void {
    if (counts) this.#counts = counts
    this.#link.notifyOthers(this, counts, changed)
  }
  #toStore(instant: number): number {
    return this.#link.storeClock.earliest(instant)
  }
  /** The record of the job that exists already under the id of `record`. */
  #known(record: JobRecord, row: JobRow): JobRecord {
    if (row.seq > 0) return this.#noteSeen(row)
    // The job itself is forgotten: only its end state is known.
    record.state = row.state
    record.ensureExtras().asOf = this.#options.clock.wall()
    return record
  }
  /** Marks the record as a snapshot of now, unless this process follows the job. */
  #update(record: JobRecord, row: JobRow): void {
    this.#rows.update(record, row)
    if (!this.#remoteEndings.isCurrent(record)) record.ensureExtras().asOf = this.#options.clock.wall()
  }
  #recordOf(row: JobRow, removed = false): JobRecord {
    const followed = row.seq > 0 ? this.#identities.get(row.seq) : undefined
    if (!followed) return this.#rows.snapshot(row, this.#options.clock.wall())
    if (!removed) this.#update(followed, row)
    return followed
  }
  /** The record of a row that a query found. If the job has ended elsewhere, callers that await it are notified. */
  #noteSeen(row: JobRow): JobRecord {
    const waited = this.#identities.get(row.seq)?.ended === false
    const record = this.#recordOf(row)
    if (waited && record.ended && !this.#identities.runsHere(record)) {
      this.#identities.end(record, true)
      this.#options.endedElsewhere(record)
    }
    return record
  }
  /** Sets the state in which a put, or going back, has left the job. */
  #setWaiting(record: JobRecord, now: number, wall: number): void {
    record.state = record.extras && dueOf(record.extras, now, wall) ? 'delayed' : 'pending'
  }
  #applyEnding(settled: Settlement, kind: SettleKind, now: number, kept: boolean): void {
    const { record, fence, error, value } = settled
    // The run had lost its job.
    if (this.#identities.fenceOf(record) !== fence) return
    // An earlier reply may have reported the same already, or a later state.
    const isSuperseded = record.fence !== fence || (record.state !== 'underway' && record.state !== kind)
    if (isSuperseded) return this.#identities.noLongerRuns(record)
    if (settled.crashes !== undefined) record.ensureExtras().crashes = settled.crashes
    const { end, keepsError } = transitionOf(kind)
    if (end === undefined) {
      this.#identities.noLongerRuns(record)
      goBack(settled, now)
      // It has no `runAt` any more, so the wall clock does not matter.
      return this.#setWaiting(record, now, 0)
    }
    if (keepsError) record.ensureExtras().error = error
    if (kept) {
      record.ensureExtras().value = value
      record.ensureExtras().resultKept = true
    }
    record.state = end
    this.#identities.end(record, keptMs(this.#options.keep, end) > 0)
  }
  /** The job ended in this exchange without a run in this process. */
  #ended(row: JobRow): JobRecord {
    const record = this.#recordOf(row)
    this.#identities.end(record, true)
    return record
  }
}
