/** The backlog in memory, the default. Its contents end with the process. */
import type {
  Backlog,
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
  StateCounts,
  WaitReason,
} from '../../lib/backlog.ts'
import { cancelEffect, isSetting, isWaiting, knownJob, refuseByState } from '../../lib/decisions/command-states.ts'
import { dueOf } from '../../lib/decisions/due.ts'
import { explainWait } from '../../lib/decisions/explain.ts'
import { listOrder, type Ordered } from '../../lib/decisions/order.ts'
import { refuseCost, refuseOverfull } from '../../lib/decisions/puts.ts'
import { overriddenOf } from '../../lib/decisions/settings.ts'
import { JobUnknownError, QueueNameTakenError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import { freeSlots } from '../../lib/limits/global-width.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import { checkBoolean } from '../../lib/options/options.ts'
import { optionsOf } from '../../lib/parse/option-names.ts'
import { PlainJobs } from '../../lib/put/plain-jobs.ts'
import type { RateRule } from '../../lib/rate/rules.ts'
import { valueFrom } from '../../lib/text/json.ts'
import { MemoryQueue } from './memory-queue.ts'
import { NamedRules } from './named-rules.ts'

/** The most jobs that one step of `clear` cancels. */
const maxClearedInStep = 256

const noChange: CommandResult = changedTo([], undefined)
const noNotices: Notices = {
  lostRuns: [],
  ignoredSettles: [],
  ignoredCheckpoints: [],
  recovered: [],
  endedByRecovery: [],
  needVerdict: [],
  cancelRequests: [],
}

/** Holds waiting jobs in memory, for any number of queues by name. Payloads are kept by reference. */
export class MemoryBacklog implements Backlog {
  readonly durable: boolean = false
  /** Whether a payload must survive JSON unchanged, as in a durable backlog. */
  readonly strict: boolean
  readonly #names = new Map<string, QueueEntry>()
  readonly #rules = new NamedRules()

  /** @param options `json: true` treats payloads as strictly as a durable backlog does, for tests. */
  constructor(options: { json?: boolean | undefined } = {}) {
    const { json = false } = optionsOf('', options, ['json'])
    this.strict = checkBoolean('json', json)
  }
  attach(options: SessionOptions): Promise<BacklogSession> {
    let entry = this.#names.get(options.name)
    if (!entry) {
      const sessions = new Set<MemorySession>()
      const wake = (): void => {
        for (const session of sessions) session.declaration.wake()
      }
      this.#names.set(options.name, (entry = { queue: new MemoryQueue(this.strict, this.#rules, wake), sessions }))
    }
    const isWorked = [...entry.sessions].some(session => session.declaration.works)
    if (options.works && isWorked) return Promise.reject(new QueueNameTakenError(options.name))
    return Promise.resolve(new MemorySession(entry, options))
  }
}

/** The jobs of one name, and the queue objects that have it open. */
interface QueueEntry {
  readonly queue: MemoryQueue
  readonly sessions: Set<MemorySession>
}

class MemorySession implements BacklogSession {
  readonly declaration: SessionOptions
  /** The former rules of the declared names, if the declaration has changed them. */
  readonly replaced: readonly RateRule[] | undefined
  readonly #queue: MemoryQueue
  readonly #sessions: Set<MemorySession>
  /** Whether the queue object has stopped: it may take some time more to close. */
  #hasReturned = false
  /** Cancels that another queue object requested for runs of this one. The next exchange reports them. */
  #cancelRequests: Notices['cancelRequests'][number][] = []

  constructor({ queue, sessions }: QueueEntry, options: SessionOptions) {
    this.#queue = queue
    this.#sessions = sessions
    this.declaration = options
    sessions.add(this)
    const { rate, keys, globalWidth, clock } = options
    queue.declareKeys(keys, clock.now())
    queue.declareGlobalWidth(globalWidth)
    this.replaced = queue.ruleSet.declare(rate, clock.now())
    if (rate || keys || globalWidth !== undefined) this.#wakeOthers()
  }
  get counts(): Readonly<StateCounts> {
    return this.#queue.counts
  }
  get rules(): readonly RateRule[] {
    return this.#queue.ruleSet.inForce
  }
  get globalWidth(): number {
    return this.#queue.globalWidth
  }
  get overridden(): Overridden | undefined {
    return overriddenOf(this.#queue, this.#queue.ruleSet.isSet)
  }
  get keys(): BacklogSession['keys'] {
    return { policy: this.#queue.keysPolicy, overrides: this.#queue.keyOverrides }
  }
  get sharedPaused(): boolean {
    return this.#queue.sharedPaused
  }

  // Every verb replies synchronously, because there is nothing to wait for.

  put(batch: PutBatch, now: number, wall: number): ReadonlyMap<JobRecord, JobRecord> | undefined {
    const queue = this.#queue
    if (batch instanceof PlainJobs) {
      // Plain payloads have no ids and no costs to check, and a queue with a bounded size sends none.
      queue.acceptPlain(batch)
      this.#wakeOthers()
      return undefined
    }
    const records: readonly JobRecord[] = Array.isArray(batch) ? batch : [...batch]
    const { counts } = queue
    const existed = this.#existed(records, now)
    const fresh = records.length - (existed?.size ?? 0)
    refuseOverfull(fresh, this.declaration.size, counts.pending + counts.delayed)
    queue.accept(records, existed, now, wall)
    if (fresh > 0) this.#wakeOthers()
    return existed
  }
  /** Finds the jobs whose given id is remembered. Refuses jobs that could never start. */
  #existed(records: readonly JobRecord[], now: number): Map<JobRecord, JobRecord> | undefined {
    const queue = this.#queue
    let existed: Map<JobRecord, JobRecord> | undefined
    let batch: Map<string, JobRecord> | undefined
    for (const record of records) {
      if (record.extras === undefined) continue
      const { fingerprint, cost, key } = record.extras
      if (fingerprint !== undefined) {
        batch ??= new Map()
        const known = queue.known(record, batch, now)
        if (known) {
          existed ??= new Map()
          existed.set(record, known)
          continue
        }
      }
      if (cost === undefined) continue
      const further = [...queue.ruleSet.named, ...(queue.keys?.settingsOf(key).rate ?? [])]
      refuseCost(cost, queue.rate, further, queue.keysPolicy?.rate)
    }
    return existed
  }

  exchange(exchange: Exchange): ExchangeResult {
    const queue = this.#queue
    const { keep } = this.declaration
    const { now, wall, settled, confirmed, spent, checkpoints, endedBodies } = exchange
    // The reports of a run are applied before its ending.
    for (const { grant, at } of confirmed) queue.confirm(grant, at, now)
    for (const { grant, cost } of spent) queue.correct(grant, cost, now)
    for (const { record, fence, value } of checkpoints) {
      if (record.state === 'underway' && record.fence === fence) record.ensureExtras().checkpoint = value
    }
    for (let i = 0; i < settled.length; i++) queue.settle(settled[i] as Exchange['settled'][number], now, keep)
    if (endedBodies.length > 0) for (const record of endedBodies) queue.bodyEnded(record, now)
    const requests = this.#cancelRequests.length > 0 ? this.#cancelRequests.splice(0) : undefined
    // Some of these jobs went back in this very exchange, before their runs could see the request.
    const back = requests?.filter(({ record }) => isWaiting(record.state))
    for (const { record, reason } of back ?? []) this.#cancel(record, reason, now)
    queue.prune(now, keep, settled.length)
    queue.makeReady(now, wall)
    const claimed = queue.claim(exchange, keep, this.declaration.crashLimit)
    // A queue that puts elsewhere may be waiting for this one to be idle, or for space.
    if (settled.length > 0 || claimed.claimed.length > 0) this.#wakeOthers()
    const result = queue.strict ? { ...claimed, payloads: claimed.claimed.map(copied) } : claimed
    if (!requests) return result
    const endedUnrun = [...result.endedUnrun, ...(back ?? []).map(({ record }) => record)]
    return {
      ...result,
      endedUnrun,
      notices: { ...noNotices, cancelRequests: requests.filter(one => !back?.includes(one)) },
    }
  }

  command(command: Command, now: number, wall: number): CommandResult {
    const changed = this.#change(command, now, wall)
    const { kind } = command
    const isRequested = changed.unchangedBecause === 'cancelRequested'
    if (isSetting(kind) || isRequested || changed.count > 0) this.#wakeOthers()
    return changed
  }
  #change(command: Command, now: number, wall: number): CommandResult {
    const queue = this.#queue
    const { keep } = this.declaration
    switch (command.kind) {
      case 'rate':
        queue.ruleSet.set(command.rules, now)
        return noChange
      case 'globalWidth':
        queue.globalWidth = command.width
        return noChange
      case 'pause':
        queue.sharedPaused = command.paused
        return noChange
      case 'clear': {
        const out = queue.takeSome(maxClearedInStep, command.key)
        const hasMore = out.length === maxClearedInStep
        if (command.key === undefined) queue.clearing = hasMore
        for (const job of out) queue.end(job, 'cancelled', now, keep)
        return { ...changedTo(out, undefined), hasMore }
      }
      case 'key':
        queue.overrideKey(command.key, command.change, now)
        return noChange
      case 'clearOverrides':
        queue.clearOverrides(command.of, now)
        return noChange
      case 'return':
        this.#hasReturned = true
        // Other queue objects still have these jobs, and one of them may run them. The last one takes them.
        if (!this.declaration.works && this.#othersGoOn) return noChange
        return changedTo(queue.removeWaiting(now), undefined)
    }
    const { target } = command
    const found = queue.jobs.find(target)
    if (command.kind === 'cancel') {
      const effect = found ? cancelEffect(found.state) : 'none'
      const runner = effect === 'requests' && this.#runner()
      if (found && runner) {
        runner.#cancelRequests.push({ record: found, reason: command.reason })
        return { ...changedTo([], found), unchangedBecause: 'cancelRequested' }
      }
      if (!found || effect !== 'ends') return changedTo([], found)
      return changedTo([this.#cancel(found, command.reason, now)], found)
    }
    if (command.kind === 'remove') {
      if (!found) {
        const freed = queue.freeId(typeof target === 'string' ? target : target.id, now)
        return freed ? { ...noChange, count: 1 } : noChange
      }
      refuseByState('remove', found.id, found.state)
      queue.remove(found, now)
      return changedTo([found], found)
    }
    const job = knownJob(found, typeof target === 'string' ? target : target.id)
    refuseByState(command.kind, job.id, job.state)
    if (command.kind === 'reprioritize') {
      queue.reprioritize(job, command.priority)
      return changedTo([job], job)
    }
    if (command.kind === 'reschedule' || command.kind === 'promote') {
      return changedTo(queue.reschedule(job, command, now, wall) ? [job] : [], job)
    }
    if (queue.continuingBodies.has(job)) return { ...changedTo([], job), unchangedBecause: 'bodyContinues' }
    queue.retry(job, now, wall)
    return changedTo([job], job)
  }

  find(target: JobRef): JobRecord | undefined {
    return this.#queue.jobs.find(target)
  }
  list({ state, key, limit, after }: JobQuery): readonly JobRecord[] {
    const { jobs } = this.#queue
    const order = listOrder(state)
    const mark = typeof after === 'string' ? jobs.find(after) : after
    // The record of a removed job still gives its position in the list, unless the job was never accepted.
    if (after !== undefined && !mark?.seq) throw new JobUnknownError(typeof after === 'string' ? after : after.id)
    const inPlainJobs = (state === undefined || state === 'pending') && key === undefined
    const all: Ordered[] = []
    for (const job of jobs.entries()) {
      if (typeof job === 'number') {
        if (!inPlainJobs) continue
      } else if ((state !== undefined && job.state !== state) || (key !== undefined && job.extras?.key !== key))
        continue
      const position = typeof job === 'number' ? { priority: 0, seq: job } : job
      if (mark === undefined || order(mark, position) < 0) all.push(position)
    }
    const page = all.sort(order).slice(0, limit)
    return page.map(({ seq }) => jobs.at(seq) as JobRecord)
  }
  explain(target: JobRef, now: number, wall: number): WaitReason | undefined {
    const queue = this.#queue
    const record = queue.jobs.find(target)
    if (!record) return undefined
    const { key, cost, dueAt, runAt } = record.extras ?? {}
    const due = record.state === 'delayed' ? dueOf({ dueAt, runAt }, now, wall) : undefined
    const refusal = key !== undefined && queue.keys ? refusalOf(queue.keyScope(key), cost, now) : undefined
    const noFreeSlot = freeSlots(queue.globalWidth, queue.bodies) === 0
    const keyHeldUntil = queue.heldUntil(key)
    const isSuspect = queue.suspects.has(record)
    const blocking = queue.ruleSet.blocking(cost, now)
    const bounds = { due, keyHeldUntil, blocking, refusal, noFreeSlot, waitsForSuspect: isSuspect }
    const line = isSuspect ? queue.suspects : queue.ready
    const position = record.state === 'pending' ? line.before(record) : undefined
    const { ofKey, ...waits } = explainWait(bounds, now, wall)
    return { record, position, ...waits, ...(ofKey && { key }) }
  }
  listKeys(query: KeysQuery, now: number): readonly KeyReport[] {
    return this.#queue.listKeys(query, now)
  }
  async close(): Promise<void> {
    this.#sessions.delete(this)
    if (this.declaration.works) this.#queue.ruleSet.claimed(false, undefined, this.declaration.clock.now())
  }
  #cancel(record: JobRecord, reason: unknown, now: number): JobRecord {
    this.#queue.leave(record)
    record.ensureExtras().error = reason
    return this.#queue.end(record, 'cancelled', now, this.declaration.keep)
  }
  /** The session that runs the jobs, if it is another one. */
  #runner(): MemorySession | undefined {
    if (this.declaration.works) return undefined
    for (const session of this.#sessions) if (session.declaration.works) return session
    return undefined
  }
  get #othersGoOn(): boolean {
    for (const session of this.#sessions) if (session !== this && !session.#hasReturned) return true
    return false
  }
  #wakeOthers(): void {
    if (this.#sessions.size > 1) for (const session of this.#sessions) if (session !== this) session.declaration.wake()
  }
}

/** The payload for the handler, as a durable backlog would give it: a copy as of the put. */
function copied({ text, payload }: JobRecord): unknown {
  return text === undefined ? payload : valueFrom(text)
}

function changedTo(changed: readonly JobRecord[], found: JobRecord | undefined): CommandResult {
  return { changed, found, count: changed.length, unchangedBecause: undefined }
}
