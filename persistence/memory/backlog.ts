/** The backlog in memory: the default. What it holds ends with the process. */
import type {
  Backlog,
  Changed,
  Command,
  Declaration,
  Exchange,
  JobQuery,
  News,
  PutBatch,
  Shelf,
  StateCounts,
  Target,
  Turn,
  Waiting,
} from '../../lib/backlog.ts'
import { JobUnknownError, QueueNameTakenError } from '../../lib/errors.ts'
import type { JobRecord } from '../../lib/job.ts'
import { optionsOf } from '../../lib/options/option-names.ts'
import { checkBoolean } from '../../lib/options/options.ts'
import { valueFrom } from '../../lib/put/payload.ts'
import { PlainJobs } from '../../lib/put/plain-jobs.ts'
import type { RateRule } from '../../lib/rate/rate.ts'
import { isWaiting, knownJob, refuseByState } from '../../lib/rules/commands.ts'
import { dueOf } from '../../lib/rules/due.ts'
import { explainWait } from '../../lib/rules/explain.ts'
import { inOrderOfStart } from '../../lib/rules/order.ts'
import { refuseCost, refuseOverfull } from '../../lib/rules/puts.ts'
import { declaredAfterCommand, newDeclaration } from '../../lib/rules/rate-settings.ts'
import { Room } from './memory-queue.ts'

/** So many jobs a step of `clear` cancels. */
const clearMost = 256

const noChange: Changed = changedTo([], undefined)
const noNews: News = { lost: [], stale: [], unstored: [], recovered: [], endedSo: [], inDoubt: [], cancels: [] }

/** Where jobs wait in memory, for any number of queues by their names. Payloads are held by reference. */
export class MemoryBacklog implements Backlog {
  readonly durable: boolean = false
  /** Whether payloads must be what JSON gives back unchanged, as in a durable backlog. */
  readonly strict: boolean
  readonly #names = new Map<string, Name>()

  /** @param options `json: true` gives tests a durable backlog's strictness with payloads. */
  constructor(options: { json?: boolean } = {}) {
    const { json = false } = optionsOf('', options, ['json'])
    this.strict = checkBoolean('json', json)
  }
  attach(declaration: Declaration): Promise<Shelf> {
    let name = this.#names.get(declaration.name)
    if (!name) this.#names.set(declaration.name, (name = { room: new Room(this.strict), shelves: new Set() }))
    const worker = [...name.shelves].some(shelf => shelf.declaration.works)
    if (declaration.works && worker) return Promise.reject(new QueueNameTakenError(declaration.name))
    return Promise.resolve(new MemoryShelf(name, declaration))
  }
}

/** What is in memory under one name, and the queue objects that have it. */
interface Name {
  readonly room: Room
  readonly shelves: Set<MemoryShelf>
}

class MemoryShelf implements Shelf {
  readonly declaration: Declaration
  readonly #room: Room
  readonly #shelves: Set<MemoryShelf>
  /** What another queue object asks of runs here, to be told with the next turn. */
  #cancels: News['cancels'][number][] = []

  constructor({ room, shelves }: Name, declaration: Declaration) {
    this.#room = room
    this.#shelves = shelves
    this.declaration = declaration
    shelves.add(this)
    const { rate } = declaration
    const declared = newDeclaration(rate, room.declared)
    if (rate === undefined || declared === undefined) return
    room.declared = declared
    room.rate.change(rate, declaration.clock.now())
  }
  get counts(): Readonly<StateCounts> {
    return this.#room.counts
  }
  get rules(): readonly RateRule[] {
    return this.#room.rate.rules
  }
  get held(): boolean {
    return this.#room.held
  }

  // Every verb answers at once: there is nothing to wait for.

  put(batch: PutBatch, now: number, wall: number): ReadonlyMap<JobRecord, JobRecord> | undefined {
    const room = this.#room
    if (batch instanceof PlainJobs) {
      // Nothing but payloads: no id may be known, no cost too high, and where the size is bounded none come.
      room.acceptPlain(batch)
      this.#wakeOthers()
      return undefined
    }
    const records: readonly JobRecord[] = Array.isArray(batch) ? batch : [...batch]
    const { counts } = room
    const existed = this.#existed(records, now)
    const fresh = records.length - (existed?.size ?? 0)
    refuseOverfull(fresh, this.declaration.size, counts.pending + counts.delayed)
    room.accept(records, existed, now, wall)
    if (fresh > 0) this.#wakeOthers()
    return existed
  }
  /** Those whose given id is remembered. Refuses what could never start. */
  #existed(records: readonly JobRecord[], now: number): Map<JobRecord, JobRecord> | undefined {
    const room = this.#room
    let existed: Map<JobRecord, JobRecord> | undefined
    let batch: Map<string, JobRecord> | undefined
    for (const record of records) {
      if (record.extras === undefined) continue
      const { fingerprint, cost } = record.extras
      if (fingerprint !== undefined) {
        batch ??= new Map()
        const known = room.known(record, batch, now)
        if (known) {
          existed ??= new Map()
          existed.set(record, known)
          continue
        }
      }
      refuseCost(cost, room.rate)
    }
    return existed
  }

  turn(exchange: Exchange): Turn {
    const room = this.#room
    const { keep } = this.declaration
    const { now, wall, settled, launched, spent, checkpoints, closed } = exchange
    // What a run told before its end is taken before its end.
    for (const { grant, at } of launched) room.rate.confirm(grant, at)
    for (const { grant, cost } of spent) room.rate.correct(grant, cost)
    for (const { record, fence, value } of checkpoints) {
      if (record.state === 'underway' && record.fence === fence) record.more.checkpoint = value
    }
    for (let i = 0; i < settled.length; i++) room.settle(settled[i] as Exchange['settled'][number], now, keep)
    if (closed.length > 0) for (const record of closed) room.goOn.delete(record)
    const asked = this.#cancels.length > 0 ? this.#cancels.splice(0) : undefined
    // Some of them have gone back in this very turn, before they could hear of it.
    const back = asked?.filter(({ record }) => isWaiting(record.state))
    for (const { record, reason } of back ?? []) this.#cancel(record, reason, now)
    room.prune(now, keep, settled.length)
    room.ripen(now, wall)
    const claimed = room.claim(exchange.room, now, wall, keep)
    // Who put elsewhere may wait until the queue is idle, or for room.
    if (settled.length > 0 || claimed.claimed.length > 0) this.#wakeOthers()
    const turn = room.strict ? { ...claimed, payloads: claimed.claimed.map(copied) } : claimed
    if (!asked) return turn
    const impossible = [...turn.impossible, ...(back ?? []).map(({ record }) => record)]
    return { ...turn, impossible, news: { ...noNews, cancels: asked.filter(one => !back?.includes(one)) } }
  }

  control(command: Command, now: number, wall: number): Changed {
    const changed = this.#change(command, now, wall)
    const { kind } = command
    if (kind === 'rate' || kind === 'pause' || changed.asked || changed.count > 0) this.#wakeOthers()
    return changed
  }
  #change(command: Command, now: number, wall: number): Changed {
    const room = this.#room
    const { keep } = this.declaration
    switch (command.kind) {
      case 'rate':
        room.rate.change(command.rules, now)
        room.declared = declaredAfterCommand(command.rules, room.declared)
        return noChange
      case 'pause':
        room.held = command.held
        return noChange
      case 'clear': {
        const out = room.takeSome(clearMost)
        room.clearing = out.length === clearMost
        for (const job of out) room.end(job, 'cancelled', now, keep)
        return { ...changedTo(out, undefined), more: room.clearing }
      }
      case 'return':
        return changedTo(room.giveBack(now), undefined)
    }
    const { target } = command
    const found = room.ledger.find(target)
    if (command.kind === 'cancel') {
      const runner = found?.state === 'underway' && this.#runner()
      if (found && runner) {
        runner.#cancels.push({ record: found, reason: command.reason })
        return { ...changedTo([], found), asked: true }
      }
      if (!found || !isWaiting(found.state)) return changedTo([], found)
      return changedTo([this.#cancel(found, command.reason, now)], found)
    }
    if (command.kind === 'remove') {
      if (!found) {
        const freed = room.freeId(typeof target === 'string' ? target : target.id, now)
        return freed ? { ...noChange, count: 1 } : noChange
      }
      refuseByState('remove', found.id, found.state)
      room.remove(found, now)
      return changedTo([found], found)
    }
    const job = knownJob(found, typeof target === 'string' ? target : target.id)
    refuseByState(command.kind, job.id, job.state)
    if (command.kind === 'reprioritize') {
      room.reprioritize(job, command.priority)
      return changedTo([job], job)
    }
    if (command.kind === 'reschedule' || command.kind === 'promote') {
      return changedTo(room.reschedule(job, command, now, wall) ? [job] : [], job)
    }
    if (room.goOn.has(job)) return { ...changedTo([], job), asked: true }
    room.again(job, now, wall)
    return changedTo([job], job)
  }

  find(target: Target): JobRecord | undefined {
    return this.#room.ledger.find(target)
  }
  list({ state, key, limit, after }: JobQuery): readonly JobRecord[] {
    const { ledger } = this.#room
    const waiting = state !== undefined && isWaiting(state)
    const order = (a: Place, b: Place): number => (waiting ? inOrderOfStart(a, b) : b.seq - a.seq)
    const mark = typeof after === 'string' ? ledger.find(after) : after
    // By its record a job that is gone still says where it stood, unless it never had a place.
    if (after !== undefined && !mark?.seq) throw new JobUnknownError(typeof after === 'string' ? after : after.id)
    const plainToo = (state === undefined || state === 'pending') && key === undefined
    const all: Place[] = []
    for (const job of ledger.entries()) {
      if (typeof job === 'number') {
        if (!plainToo) continue
      } else if ((state !== undefined && job.state !== state) || (key !== undefined && job.extras?.key !== key))
        continue
      const place = typeof job === 'number' ? { priority: 0, seq: job } : job
      if (mark === undefined || order(mark, place) < 0) all.push(place)
    }
    const page = all.sort(order).slice(0, limit)
    return page.map(({ seq }) => ledger.at(seq) as JobRecord)
  }
  explain(target: Target, now: number, wall: number): Waiting | undefined {
    const room = this.#room
    const record = room.ledger.find(target)
    if (!record) return undefined
    const { key, cost, dueAt, runAt } = record.extras ?? {}
    const due = record.state === 'delayed' ? dueOf({ dueAt, runAt }, now, wall) : undefined
    const bounds = { due, keyHeldUntil: room.heldUntil(key), blocking: room.rate.blocking(cost, now) }
    const position = record.state === 'pending' ? room.ready.before(record) : undefined
    return { record, position, ...explainWait(bounds, now, wall) }
  }
  async close(): Promise<void> {
    this.#shelves.delete(this)
  }
  #cancel(record: JobRecord, reason: unknown, now: number): JobRecord {
    this.#room.leave(record)
    record.more.error = reason
    return this.#room.end(record, 'cancelled', now, this.declaration.keep)
  }
  /** The one that has the runs, where that is another. */
  #runner(): MemoryShelf | undefined {
    if (this.declaration.works) return undefined
    for (const shelf of this.#shelves) if (shelf.declaration.works) return shelf
    return undefined
  }
  #wakeOthers(): void {
    if (this.#shelves.size > 1) for (const shelf of this.#shelves) if (shelf !== this) shelf.declaration.wake()
  }
}

/** What a handler is called with, as a durable backlog gives it: a copy of the payload as it was at the put. */
function copied({ text, payload }: JobRecord): unknown {
  return text === undefined ? payload : valueFrom(text)
}

/** Where a job stands in the order of start or of put. */
type Place = Pick<JobRecord, 'priority' | 'seq'>

function changedTo(changed: readonly JobRecord[], found: JobRecord | undefined): Changed {
  return { changed, found, count: changed.length, asked: false }
}
