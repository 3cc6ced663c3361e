/** The backlog in memory: the default. What it holds ends with the process. */
import type {
  Backlog,
  Changed,
  Command,
  Declaration,
  Exchange,
  JobQuery,
  Settled,
  Shelf,
  StateCounts,
  Target,
  Turn,
  Waiting,
} from '../lib/backlog.ts'
import {
  CostError,
  IdConflictError,
  JobStateError,
  JobUnknownError,
  QueueFullError,
  QueueNameTakenError,
} from '../lib/errors.ts'
import { nextSerial } from '../lib/id.ts'
import type { JobRecord, JobState } from '../lib/job.ts'
import { Rate, type RateRule } from '../lib/rate.ts'
import { Heap } from './heap.ts'
import { Ledger } from './ledger.ts'
import { Ready } from './ready.ts'

/** What a turn claims at most, however wide the queue. */
const claimMost = 1_000
/** What a turn forgets at most, of ended jobs and of ids each. */
const pruneMost = 100

const noChange: Changed = changedTo([], undefined)

/** Where jobs wait in memory, for any number of queues by their names. Payloads are held by reference. */
export class MemoryBacklog implements Backlog {
  readonly durable: boolean = false
  /** Whether payloads must be what JSON gives back unchanged, as in a durable backlog. */
  readonly strict: boolean
  readonly #rooms = new Map<string, Room>()

  /** @param options `json: true` gives tests a durable backlog's strictness with payloads. */
  constructor(options: { json?: boolean } = {}) {
    this.strict = options.json === true
  }
  attach(declaration: Declaration): Promise<Shelf> {
    let room = this.#rooms.get(declaration.name)
    if (!room) this.#rooms.set(declaration.name, (room = new Room()))
    if (declaration.works && room.worker) return Promise.reject(new QueueNameTakenError(declaration.name))
    return Promise.resolve(new MemoryShelf(room, declaration))
  }
}

/** All jobs of one name, and what they have in common. */
class Room {
  readonly ledger = new Ledger()
  readonly ready = new Ready()
  /** Delayed jobs, by the instant of the steady clock. */
  readonly due = new Heap()
  /** Delayed jobs with a `runAt`, by the wall clock. */
  readonly dated = new Heap()
  /** Ended jobs that are still kept, by when they are forgotten. */
  readonly kept = new Heap()
  /** Keys whose rate `Throttled` holds: until when, and the jobs that were next and had to be put aside. */
  readonly heldKeys = new Map<string, { until: number; aside: Set<JobRecord> }>()
  readonly counts: StateCounts = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
  readonly shelves = new Set<MemoryShelf>()
  rate = new Rate([])
  declared: string | undefined
  held = false
  get worker(): boolean {
    for (const shelf of this.shelves) if (shelf.declaration.works) return true
    return false
  }
}

class MemoryShelf implements Shelf {
  readonly declaration: Declaration
  readonly #room: Room

  constructor(room: Room, declaration: Declaration) {
    this.#room = room
    this.declaration = declaration
    room.shelves.add(this)
    const { rate } = declaration
    // An override outlives a declaration that says nothing new.
    if (rate === undefined || JSON.stringify(rate) === room.declared) return
    room.declared = JSON.stringify(rate)
    room.rate.change(rate, declaration.clock.now())
  }
  get counts(): Readonly<StateCounts> {
    return this.#room.counts
  }
  get rules(): readonly RateRule[] {
    return this.#room.rate.rules
  }

  async put(
    records: readonly JobRecord[],
    now: number,
    wall: number,
  ): Promise<ReadonlyMap<JobRecord, JobRecord> | undefined> {
    const { ledger, counts, rate } = this.#room
    let existed: Map<JobRecord, JobRecord> | undefined
    let batch: Map<string, JobRecord> | undefined
    for (const record of records) {
      if (record.extras === undefined) continue
      const { fingerprint, cost } = record.extras
      const never = cost && rate.impossible(cost)
      if (fingerprint !== undefined) {
        batch ??= new Map()
        const known = this.#known(record, batch, now)
        if (known) {
          existed ??= new Map()
          existed.set(record, known)
          continue
        }
      }
      if (never) throw new CostError(never.unit, never.cost, never.limit)
    }
    const fresh = records.length - (existed?.size ?? 0)
    const taken = counts.pending + counts.delayed
    const { size } = this.declaration
    if (fresh > 0 && taken + fresh > size) throw new QueueFullError(fresh, size, taken)
    for (const record of records) {
      if (existed?.has(record)) continue
      record.seq = nextSerial()
      ledger.add(record)
      this.#wait(record, now, wall)
    }
    if (fresh > 0 && this.#room.shelves.size > 1) this.#wakeOthers()
    return existed
  }

  async turn(exchange: Exchange): Promise<Turn> {
    const room = this.#room
    const { now, wall } = exchange
    for (const settled of exchange.settled) this.#settle(settled, now)
    for (const { grant, at } of exchange.launched) room.rate.confirm(grant, at)
    for (const { grant, cost } of exchange.spent) room.rate.correct(grant, cost)
    for (const { record, fence, value } of exchange.checkpoints) {
      if (record.state === 'underway' && record.fence === fence) record.more.checkpoint = value
    }
    this.#prune(now)
    this.#ripen(now, wall)
    return this.#claim(exchange.room, now, wall)
  }

  async control(command: Command, now: number, wall: number): Promise<Changed> {
    const room = this.#room
    switch (command.kind) {
      case 'rate':
        room.rate.change(command.rules, now)
        this.#wakeOthers()
        return noChange
      case 'pause':
        room.held = command.held
        this.#wakeOthers()
        return noChange
      case 'clear':
        return changedTo(
          this.#takeOut().map(job => this.#end(job, 'cancelled', now)),
          undefined,
        )
      case 'return': {
        const out = this.#takeOut()
        for (const job of out) {
          room.counts.pending--
          job.state = 'pending'
          room.ledger.drop(job, now, 0)
        }
        return changedTo(out, undefined)
      }
    }
    const found = room.ledger.find(command.target)
    switch (command.kind) {
      case 'cancel':
        if (!found || (found.state !== 'pending' && found.state !== 'delayed')) return changedTo([], found)
        this.#leave(found)
        found.more.error = command.reason
        return changedTo([this.#end(found, 'cancelled', now)], found)
      case 'reprioritize':
        return this.#reprioritize(found, command.target, command.priority)
      case 'retry':
        return this.#retry(found, command.target, now, wall)
      case 'remove':
        if (!found) return noChange
        if (found.state === 'underway') throw new JobStateError('remove', found.id, found.state, 'not underway')
        if (found.ended) room.kept.remove(found)
        else this.#leave(found)
        room.counts[found.state]--
        room.ledger.drop(found, now, 0)
        return changedTo([found], found)
      default:
        return command satisfies never
    }
  }

  async find(target: Target): Promise<JobRecord | undefined> {
    return this.#room.ledger.find(target)
  }
  async list({ state, key, limit, after }: JobQuery): Promise<readonly JobRecord[]> {
    const waiting = state === 'pending' || state === 'delayed'
    const order = (a: JobRecord, b: JobRecord): number =>
      waiting ? a.priority - b.priority || a.seq - b.seq : b.seq - a.seq
    const mark = typeof after === 'string' ? this.#room.ledger.find(after) : after
    const all: JobRecord[] = []
    for (const job of this.#room.ledger) {
      if (state !== undefined && job.state !== state) continue
      if (key !== undefined && job.extras?.key !== key) continue
      if (mark === undefined || order(mark, job) < 0) all.push(job)
    }
    return all.sort(order).slice(0, limit)
  }
  async explain(target: Target, now: number, wall: number): Promise<Waiting | undefined> {
    const room = this.#room
    const record = room.ledger.find(target)
    if (!record) return undefined
    const { key, cost, dueAt, runAt } = record.extras ?? {}
    const held = key === undefined ? undefined : room.heldKeys.get(key)?.until
    const blocking = room.rate.blocking(cost, now)
    const bounds: readonly (readonly [Waiting['why'], number])[] = [
      [
        'delay',
        record.state === 'delayed' ? Math.max(dueAt ?? now, runAt === undefined ? now : now + runAt - wall) : now,
      ],
      ['key', held ?? now],
      ['rate', blocking?.until ?? now],
    ]
    const [why, notBefore] = bounds.reduce((latest, bound) => (bound[1] > latest[1] ? bound : latest))
    let position: number | undefined
    if (record.state === 'pending') {
      position = 0
      for (const job of room.ready) {
        if (job.priority < record.priority || (job.priority === record.priority && job.seq < record.seq)) position++
      }
    }
    const waits = notBefore > now
    return {
      record,
      position,
      notBefore,
      why: waits ? why : undefined,
      rule: waits && why === 'rate' ? blocking?.rule : undefined,
    }
  }
  async close(): Promise<void> {
    this.#room.shelves.delete(this)
  }

  /** The job that the given id of `record` names already. Refuses another payload under it. */
  #known(record: JobRecord, batch: Map<string, JobRecord>, now: number): JobRecord | undefined {
    const { id } = record
    const job = batch.get(id) ?? this.#room.ledger.find(id)
    const gone = job ? undefined : this.#room.ledger.recall(id, now)
    if (!job && !gone) {
      batch.set(id, record)
      return undefined
    }
    const before = job ? job.extras?.fingerprint : gone?.fingerprint
    if (before !== undefined && before !== record.extras?.fingerprint) throw new IdConflictError(id)
    if (job) return job
    record.state = gone?.state as JobState
    return record
  }
  /** To its place among those that may start, or those that are not due. */
  #wait(job: JobRecord, now: number, wall: number): void {
    const { due, dated, ready, counts } = this.#room
    const { dueAt, runAt } = job.extras ?? {}
    if (runAt !== undefined && runAt > wall) dated.push(job, runAt)
    else if (dueAt !== undefined && dueAt > now) due.push(job, dueAt)
    else {
      job.state = 'pending'
      counts.pending++
      return ready.push(job)
    }
    job.state = 'delayed'
    counts.delayed++
  }
  /** Out of wherever it waits; its state and count are the caller's. */
  #leave(job: JobRecord): void {
    const { due, dated, ready, heldKeys } = this.#room
    const { key, runAt } = job.extras ?? {}
    const aside = key === undefined ? undefined : heldKeys.get(key)?.aside
    if (job.state === 'delayed') (runAt === undefined ? due : dated).remove(job)
    else if (!aside?.delete(job)) ready.remove(job)
  }
  /** All that waits, most important first, taken out; counted as pending. */
  #takeOut(): JobRecord[] {
    const { due, dated, ready, heldKeys, counts } = this.#room
    const aside = [...heldKeys.values()].flatMap(held => [...held.aside])
    const out = [...ready, ...due.jobs(), ...dated.jobs(), ...aside].sort(
      (a, b) => a.priority - b.priority || a.seq - b.seq,
    )
    for (const job of out) this.#leave(job)
    counts.pending += counts.delayed
    counts.delayed = 0
    for (const job of out) job.state = 'pending'
    return out
  }
  #end(job: JobRecord, state: 'finished' | 'failed' | 'cancelled', now: number): JobRecord {
    const { counts, ledger, kept } = this.#room
    const { keep } = this.declaration
    counts[job.state]--
    counts[state]++
    job.state = state
    const keptMs = state === 'finished' ? keep.finishedMs : state === 'failed' ? keep.failedMs : keep.cancelledMs
    if (keptMs > 0) {
      job.more.forgetAt = now + keptMs
      kept.push(job, now + keptMs)
    } else ledger.drop(job, now, keep.idsMs)
    return job
  }
  #settle(settled: Settled, now: number): void {
    const { record, fence, kind, error, waitMs, heldKey } = settled
    const room = this.#room
    if (record.state !== 'underway' || record.fence !== fence) return
    switch (kind) {
      case 'finished':
        if (this.declaration.keep.results && this.declaration.keep.finishedMs > 0) {
          record.more.value = settled.value
          record.more.kept = true
        }
        this.#end(record, kind, now)
        return
      case 'failed':
      case 'cancelled':
        record.more.error = error
        this.#end(record, kind, now)
        return
      case 'throttled':
        if (heldKey === undefined) room.rate.hold(now + waitMs)
        else this.#holdKey(heldKey, now + waitMs)
        break
      case 'unlaunched':
        room.rate.refund(settled.grant)
        break
      case 'again':
        record.more.error = error
        break
    }
    if (kind !== 'again') record.attempt--
    room.counts.underway--
    if (record.extras) record.extras.runAt = undefined
    if (kind === 'again' || kind === 'back') record.more.dueAt = waitMs > 0 ? now + waitMs : undefined
    this.#wait(record, now, 0)
  }
  #holdKey(key: string, until: number): void {
    const held = this.#room.heldKeys.get(key)
    if (held) held.until = Math.max(held.until, until)
    else this.#room.heldKeys.set(key, { until, aside: new Set() })
  }
  #reprioritize(found: JobRecord | undefined, target: Target, priority: number): Changed {
    if (!found) throw new JobUnknownError(typeof target === 'string' ? target : target.id)
    if (found.state !== 'pending' && found.state !== 'delayed') {
      throw new JobStateError('reprioritize', found.id, found.state, 'pending or delayed')
    }
    const { key } = found.extras ?? {}
    const aside = key === undefined ? false : this.#room.heldKeys.get(key)?.aside.has(found)
    if (found.state === 'delayed' || aside) {
      found.priority = priority
      return changedTo([found], found)
    }
    this.#room.ready.remove(found)
    found.priority = priority
    this.#room.ready.push(found)
    return changedTo([found], found)
  }
  #retry(found: JobRecord | undefined, target: Target, now: number, wall: number): Changed {
    if (!found) throw new JobUnknownError(typeof target === 'string' ? target : target.id)
    if (found.state !== 'failed' && found.state !== 'cancelled') {
      throw new JobStateError('retry', found.id, found.state, 'failed or cancelled')
    }
    this.#room.kept.remove(found)
    this.#room.counts[found.state]--
    found.attempt = 0
    Object.assign(found.more, { dueAt: undefined, runAt: undefined, error: undefined })
    this.#wait(found, now, wall)
    this.#wakeOthers()
    return changedTo([found], found)
  }
  #prune(now: number): void {
    const { kept, ledger } = this.#room
    for (let left = pruneMost; left > 0 && kept.firstKey <= now; left--) {
      ledger.drop(kept.pop() as JobRecord, now, this.declaration.keep.idsMs)
    }
    ledger.prune(now, pruneMost)
  }
  /** Lets those that came due, and those of keys no longer held, take their places. */
  #ripen(now: number, wall: number): void {
    const { due, dated, ready, counts, heldKeys } = this.#room
    while (due.firstKey <= now || dated.firstKey <= wall) {
      const job = (due.firstKey <= now ? due : dated).pop() as JobRecord
      counts.delayed--
      this.#wait(job, now, wall)
    }
    for (const [key, held] of heldKeys) {
      if (held.until > now) continue
      heldKeys.delete(key)
      for (const job of held.aside) ready.push(job)
    }
  }
  #claim(room: number, now: number, wall: number): Turn {
    const { ready, rate, counts, heldKeys, held } = this.#room
    const graceMs = rate.rules.reduce((least, rule) => Math.min(least, rule.perMs / 20), 250)
    const claimed: JobRecord[] = []
    const impossible: JobRecord[] = []
    const grants: number[] | undefined = rate.idle ? undefined : []
    const most = held ? 0 : Math.min(room, claimMost)
    let blocked: ReturnType<Rate['blocking']>
    while (claimed.length < most) {
      const job = ready.first
      if (!job) break
      const { key, cost } = job.extras ?? {}
      const heldKey = key === undefined ? undefined : heldKeys.get(key)
      if (heldKey) {
        ready.remove(job)
        heldKey.aside.add(job)
        continue
      }
      if (grants) {
        const grant = rate.grant(cost, now, graceMs)
        if (grant < 0) {
          blocked = rate.blocking(cost, now)
          if (blocked?.until !== Infinity) break
          // The limit was lowered below what the job costs.
          const never = rate.impossible(cost) ?? { unit: 'starts', cost: 1, limit: 0 }
          ready.remove(job)
          job.more.error = new CostError(never.unit, never.cost, never.limit)
          impossible.push(this.#end(job, 'failed', now))
          blocked = undefined
          continue
        }
        grants.push(grant)
      }
      ready.remove(job)
      job.state = 'underway'
      job.attempt++
      job.fence++
      counts.pending--
      counts.underway++
      claimed.push(job)
    }
    let again = this.#nextLook(now, wall)
    const precise = blocked !== undefined && blocked.until <= again
    if (precise && blocked) again = blocked.until
    else if (claimed.length === claimMost && ready.size > 0) again = now
    const limited = blocked && { rule: blocked.rule, until: wall + blocked.until - now }
    const graceUntil = grants ? now + graceMs : Infinity
    return {
      claimed,
      impossible,
      grants,
      graceUntil,
      again,
      precise,
      limited,
      held,
      news: undefined,
    }
  }
  /** When the next job comes due or a key is let go. A wall clock may jump, so it is looked at once a minute at least. */
  #nextLook(now: number, wall: number): number {
    const { due, dated, heldKeys } = this.#room
    let next = due.firstKey
    if (dated.size > 0) next = Math.min(next, now + Math.min(dated.firstKey - wall, 60_000))
    for (const held of heldKeys.values()) if (held.aside.size > 0) next = Math.min(next, held.until)
    return next
  }
  #wakeOthers(): void {
    for (const shelf of this.#room.shelves) if (shelf !== this) shelf.declaration.wake()
  }
}

function changedTo(changed: readonly JobRecord[], found: JobRecord | undefined): Changed {
  return { changed, found, count: changed.length, asked: false }
}
