/**
 * The file as a queue sees it: requests in, answers out, one transaction for as many as have gathered.
 *
 * Knows no thread, no timer and no clock: whoever owns it brings the instants along with each request.
 */
import { DispatchError } from '../../../lib/errors.ts'
import { newDeclaration } from '../../../lib/rules/rate-settings.ts'
import { toWire } from '../../durable/errors.ts'
import type {
  Answered,
  AttachReply,
  AttachRequest,
  DetachRequest,
  QueryRequest,
  Request,
  Store as StoreContract,
} from '../../durable/store.ts'
import { Timeline } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { Untold } from '../tables/crash-reports.ts'
import { Made } from '../tables/generated-ids.ts'
import { Bodies } from '../tables/job.ts'
import { Places } from '../tables/location.ts'
import { type Name, Names } from '../tables/queue.ts'
import { Starts } from '../tables/rate-log.ts'
import { Stretches } from '../tables/ready-range.ts'
import { migrate } from '../tables/schema.ts'
import { recoverMost, Workers } from '../tables/worker.ts'
import { Controls } from './control.ts'
import { Puts } from './put.ts'
import { Look } from './query.ts'
import { Suspects } from './suspects.ts'
import { ask, type InDoubt, Turns } from './turn.ts'

interface Times {
  readonly now: number
  readonly wall: number
}

export interface StoreOptions {
  readonly worker: string
  readonly boot: string
  /** Which file it is, so that a copy of it is known as one. */
  readonly file?: string
}

const none = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 } as const
const notThere: AttachReply = { queue: 0, rules: [], counts: none, sharedPaused: false }

export class Store implements StoreContract {
  readonly #db: SqliteDatabase
  readonly #token: string
  readonly #worker: number
  readonly #timeline: Timeline
  readonly #names: Names
  readonly #starts: Starts
  readonly #bodies: Bodies
  readonly #workers: Workers
  readonly #suspects: Suspects
  readonly #turns: Turns
  readonly #puts: Puts
  readonly #controls: Controls
  readonly #look: Look
  readonly #untold: Untold
  /** By the number of the name: what the queue object that works it here is to be asked about. */
  readonly #doubts = new Map<number, InDoubt>()
  readonly #undo: (() => void)[] = []
  readonly #begin: SqliteStatement
  readonly #commit: SqliteStatement
  /** The latest that were brought along, for a request that brings none. */
  #times: Times = { now: 0, wall: 0 }
  /** What a recovery changed that its caller has not heard of, for it was interrupted. */
  readonly #recovered = new Set<number>()

  /** Workers of the file that this one is a copy of: they never had it open. */
  readonly strangers: readonly string[]

  private constructor(db: SqliteDatabase, { worker: token, boot, file }: StoreOptions) {
    const timeline = new Timeline(db, boot)
    const names = new Names(db, timeline)
    const starts = new Starts(db)
    const stretches = new Stretches(db)
    const places = new Places(db, stretches)
    const made = new Made(db)
    const bodies = new Bodies(db, places, timeline, made)
    const workers = new Workers(db, places, bodies)
    this.#db = db
    this.#token = token
    this.#begin = db.prepare('begin immediate')
    this.#commit = db.prepare('commit')
    this.#timeline = timeline
    this.#names = names
    this.#starts = starts
    this.#bodies = bodies
    this.#workers = workers
    const signedIn = this.#within(undefined, () => workers.signIn(token, file))
    this.#worker = signedIn.worker
    this.strangers = signedIn.strangers
    this.#suspects = new Suspects(db, this.#worker)
    const untold = new Untold(db, this.#worker)
    this.#untold = untold
    const parts = {
      ...{ db, worker: this.#worker, names, places, bodies, made, stretches, starts, timeline, workers, untold },
      ...{ suspects: this.#suspects, isWorked: (queue: number) => this.#doubts.has(queue) },
    }
    this.#turns = new Turns(parts)
    this.#puts = new Puts(parts)
    const saveSettings = (name: Name): void => names.saveSettings(name)
    this.#controls = new Controls({ ...parts, upkeep: this.#turns.upkeep, saveSettings })
    this.#look = new Look(parts)
  }
  /** Brings the schema up to date and registers the worker. Pragmas are the caller's. */
  static open(db: SqliteDatabase, options: StoreOptions): Store {
    migrate(db)
    return new Store(db, options)
  }

  /** Does all in one IMMEDIATE transaction and answers each. A request that is refused fails alone. */
  exchange(requests: readonly Request[]): readonly Answered[] {
    let times: Times | undefined
    for (const request of requests) if ('now' in request) times = request
    return this.#within(times, () => requests.map(request => this.#answer(request)))
  }
  #answer(request: Request): Answered {
    try {
      return { ok: this.#do(request) }
    } catch (error) {
      // All that may be refused is looked at before anything is written for it.
      if (error instanceof DispatchError) return { error: toWire(error) }
      throw error
    }
  }
  #do(request: Request): unknown {
    switch (request.kind) {
      case 'attach':
        return this.#attach(request)
      case 'put':
        return this.#puts.put(this.#name(request.queue), request)
      case 'turn':
        return this.#turns.turn(this.#name(request.queue), request, this.#doubts.get(request.queue), this.#undoing)
      case 'control':
        return this.#controls.control(this.#name(request.queue), request)
      case 'detach':
        return this.#detach(request)
      case 'find':
      case 'list':
      case 'explain':
        return this.#see(request)
      default:
        return request satisfies never
    }
  }
  /** Only reads, so it may run outside of the write transaction. */
  query(request: QueryRequest): unknown {
    this.#db.exec('begin')
    try {
      return this.#see(request)
    } finally {
      this.#names.forget()
      if (this.#db.inTransaction) this.#db.exec('commit')
    }
  }
  #see(request: QueryRequest): unknown {
    const name = this.#name(request.queue)
    switch (request.kind) {
      case 'find':
        return this.#bodies.row(name, request.target)
      case 'list':
        return this.#look.list(name, request)
      case 'explain':
        return this.#look.explain(name, request)
      default:
        return request satisfies never
    }
  }

  /** Takes over what a dead worker held. Answers which queues changed. May be called again when it has thrown. */
  recover(token: string, now: number, wall: number): readonly number[] {
    for (;;) {
      const left = this.#within({ now, wall }, () => this.#recoverSome(token, this.#worker, now))
      if (!left) break
    }
    const changed = [...this.#recovered]
    this.#recovered.clear()
    return changed
  }
  #recoverSome(token: string, here: number | undefined, now: number): boolean {
    const dead = this.#workers.number(token)
    if (dead === undefined) return false
    const rows = this.#workers.held(dead)
    const at = this.#timeline.toFile(now)
    for (const row of rows) {
      const name = this.#name(row[0])
      const doubts = this.#doubts.get(name.queue)
      const { seq, asked, left, ended } = this.#workers.takeOver(name, dead, row, doubts && here, at)
      this.#recovered.add(name.queue)
      if (asked && doubts) ask(doubts, seq, this.#undoing)
      else if (!left) this.#untold.add(name, seq, ended, dead === this.#worker)
    }
    if (rows.length === recoverMost) return true
    if (dead !== this.#worker) this.#strike(dead)
    return false
  }
  #strike(worker: number): void {
    this.#untold.freeAll(this.#names, worker)
    this.#workers.strike(worker)
  }
  readonly #undoing = (undo: () => void): void => void this.#undo.push(undo)
  /** The tokens of the other workers that are registered. */
  workers(): readonly string[] {
    return this.#workers.others(this.#worker)
  }
  /** Whether the other queues of this process are to look now: a suspect holds them up no more. */
  wakes(): boolean {
    return this.#suspects.line.wakes()
  }
  /** Gives up all that this worker holds: its jobs go back as those of a dead process do. */
  surrender(now: number, wall: number): void {
    // What nobody can be asked about waits for whoever takes a turn first; it may be this process, when it is back.
    while (this.#within({ now, wall }, () => this.#recoverSome(this.#token, undefined, now)));
    this.#recovered.clear()
    this.#suspects.forget()
  }
  /** Strikes the worker off when it holds nothing. Answers whether it did. */
  close(): boolean {
    return this.#within(undefined, () => {
      if (this.#workers.holds(this.#worker)) return false
      this.#strike(this.#worker)
      return true
    })
  }

  #attach(request: AttachRequest): AttachReply {
    const { works, looks, rate, keep, size, afterCrash, crashLimit, now } = request
    const found = this.#names.find(request.name)
    if (!found && looks) return notThere
    const name = found ?? this.#names.make(request.name, keep)
    if (works) {
      Object.assign(name, { keep, size: size === Infinity ? null : size, afterCrash, crashLimit })
      if (!this.#doubts.has(name.queue)) {
        // A thread that was started again finds what the one before it was about to tell.
        this.#doubts.set(name.queue, [...this.#workers.doubted(name, this.#worker)])
        this.#undo.push(() => void this.#doubts.delete(name.queue))
      }
    }
    const declared = newDeclaration(rate, name.declared)
    if (rate !== undefined && declared !== undefined) {
      this.#starts.changing(name).change(rate, this.#timeline.toFile(now))
      Object.assign(name, { rules: rate, declared })
    }
    if (!looks) this.#names.saveSettings(name)
    return { queue: name.queue, rules: name.rules, counts: name.count(), sharedPaused: name.held }
  }
  #detach({ queue, works, keepLeases, acknowledged }: DetachRequest): undefined {
    if (!works) return
    const name = this.#name(queue)
    const doubts = this.#doubts.get(queue)
    if (doubts) this.#undo.push(() => void this.#doubts.set(queue, doubts))
    this.#doubts.delete(queue)
    this.#untold.acknowledge(name, acknowledged ?? 0, this.#undoing)
    this.#untold.free(name)
    this.#suspects.stops(queue, keepLeases)
    const at = this.#timeline.toFile(this.#times.now)
    this.#workers.release(name, this.#worker, at, keepLeases)
  }
  #name(queue: number): Name {
    const name = this.#names.get(queue)
    if (!name) throw new Error(`no queue has the number ${queue} in this file: was it attached?`)
    return name
  }

  /** One write transaction: all of it, or nothing in the file and in what we hold of it. */
  #within<T>(times: Times | undefined, run: () => T): T {
    this.#begin.run()
    try {
      // Taken for dead by mistake, it must not hold jobs that nobody would take over at its death.
      if (this.#worker !== undefined) this.#workers.stay(this.#worker, this.#token)
      if (times) this.#timeline.align(times.now, times.wall)
      const answer = run()
      if (times) this.#times = times
      this.#starts.save()
      this.#names.save(this.#times.now, this.#times.wall)
      this.#commit.run()
      this.#undo.length = 0
      return answer
    } catch (error) {
      // A full disk has undone it already.
      if (this.#db.inTransaction) this.#db.exec('rollback')
      for (const undo of this.#undo.splice(0).reverse()) undo()
      this.#suspects.forget()
      this.#names.forget()
      this.#starts.forget()
      this.#turns.keeping.forget()
      this.#timeline.forget()
      throw error
    }
  }
}
