/**
 * A steady load that does all that users do, again and again: puts of every kind, cancels, retries, bodies that end in
 * every way, wider and narrower, faster and slower, pauses, listeners that come and go, queue objects and threads made
 * and ended.
 *
 * What it keeps is kept for a fraction of a second, so that a minute of it is as many lives of a job as a day of a
 * service.
 */
import { join } from 'node:path'
import type { Backlog } from '../../lib/backlog.ts'
import {
  DispatchQueue,
  type Job,
  MemoryBacklog,
  type PutOptions,
  type QueueOptions,
  RetryLater,
  type Task,
  Throttled,
} from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { passed } from '../support/suspend.ts'
import { rowsIn, type Subject } from './measure.ts'

type Payload = { readonly n: number; readonly end: (typeof ends)[number] }
type Queue = DispatchQueue<Payload, unknown>

const ends = ['at once', 'at once', 'at once', 'later', 'throws', 'back', 'throttled', 'too late', 'deaf'] as const
const keep = { finished: 60, failed: 60, cancelled: 60, ids: 120, results: true } as const
const usual = { width: 8, rate: { limit: 1_500, per: 1_000 } } as const
const options: QueueOptions<Payload, unknown> = {
  ...{ ...usual, keep, timeout: 25, retry: { attempts: 3, delay: 2, max: 10 }, maxHold: 5 },
}
/** Of rows that are there for good: the file's own, and one for each name and each process. */
const lasting = /rdq_(?:meta|queue|seq_range|worker|last_exchange)$/
/** Acknowledged replies to puts are deleted so many at a time, and those of the last puts await the next put. */
const mostPutReplies = 128

async function plainly({ n, end }: Payload, task: Task): Promise<unknown> {
  switch (end) {
    case 'at once':
      return n
    case 'later':
      await passed(1)
      task.progress(n)
      return n
    case 'throws':
      throw new Error('as it should')
    case 'back':
      if (!first(task)) return n
      throw n % 2 === 0 ? new RetryLater(1) : new Error('the first attempt')
    case 'throttled':
      if (!first(task)) return n
      throw new Throttled(2, task.key === undefined ? {} : { key: task.key })
    case 'too late':
      await new Promise((resolve, reject) => {
        const late = setTimeout(resolve, 200)
        task.signal.addEventListener('abort', () => {
          clearTimeout(late)
          reject(task.signal.reason)
        })
      })
      return n
    case 'deaf':
      await passed(3)
      return n
    default:
      return end satisfies never
  }
}
/** Whether it was not asked of this job before. */
function first({ id }: Task): boolean {
  if (once.has(id)) return false
  once.add(id)
  return true
}
const once = new Set<string>()

function* byRows({ n }: Payload, task: Task): Generator<unknown, number, unknown> {
  for (let row = (task.restored as number | undefined) ?? 0; row < 4; row++) {
    if (row % 2 === 0) yield task.checkpoint(row + 1)
    else yield
    if (n % 7 === 0 && task.attempt === 1 && row === 2) throw new Error('in the middle')
  }
  return n
}

/** What is asked in a round, and has to be answered in time; how, is no matter. */
class Requested {
  readonly #open = new Map<Promise<unknown>, string>()
  of(what: string, promise: Promise<unknown>): Promise<void> {
    const over = (): void => void this.#open.delete(promise)
    this.#open.set(promise, what)
    return promise.then(over, over)
  }
  /** Resolves when all is answered. Rejects with what is not. */
  async all(): Promise<void> {
    for (let waits = 0; this.#open.size > 0; waits++) {
      if (waits === answeredMostMs / 5) throw new Error(`not answered in time: ${[...this.#open.values()].join(', ')}`)
      await passed(5)
    }
  }
}
const answeredMostMs = 30_000

export class Load implements Subject {
  readonly path: string | undefined
  jobs = 0
  readonly #folder: string
  readonly #backlog: Backlog
  readonly #random: () => number
  readonly #plain: Queue
  readonly #rows: Queue
  readonly #viewer: Queue
  /** Outlives all that is put with it. */
  readonly #controller = new AbortController()
  #serial = 0

  constructor(kind: 'memory' | 'sqlite', folder: string, random: () => number) {
    this.#folder = folder
    this.#random = random
    this.path = kind === 'sqlite' ? join(folder, 'soak.db') : undefined
    this.#backlog = this.#open(this.path)
    const { signal } = new AbortController()
    this.#plain = this.#seen(new DispatchQueue(plainly, { ...options, name: 'plain', backlog: this.#backlog, signal }))
    this.#rows = this.#seen(
      new DispatchQueue<Payload, unknown>(byRows, { ...options, name: 'rows', backlog: this.#backlog, slice: 1 }),
    )
    this.#viewer = this.#seen(
      new DispatchQueue<Payload, unknown>(null, { name: 'plain', keep, backlog: this.#backlog }),
    )
  }
  get signal(): AbortSignal {
    return this.#controller.signal
  }
  listeners(): number {
    let count = 0
    for (const queue of [this.#plain, this.#rows, this.#viewer]) {
      for (const event of queue.eventNames()) count += queue.listenerCount(event)
    }
    return count
  }
  #open(path: string | undefined): Backlog {
    return path === undefined ? new MemoryBacklog() : new SqliteBacklog(path, { durability: 'process' })
  }
  /** Failures are what is wanted here; errors are not. */
  #seen<Q extends Queue>(queue: Q): Q {
    queue.on('failed', () => {})
    queue.on('error', error => this.wrong.push(error))
    return queue
  }
  readonly wrong: unknown[] = []
  #below(most: number): number {
    return Math.floor(this.#random() * most)
  }
  #payload(): Payload {
    this.jobs++
    return { n: this.#serial++, end: ends[this.#below(ends.length)] as Payload['end'] }
  }
  #putOptions(): PutOptions {
    const lot = this.#below(10)
    if (lot < 3) return {}
    if (lot < 5) return { id: `given-${this.#serial}`, priority: this.#below(5) - 2 }
    if (lot < 6) return { delay: this.#below(20), key: `key ${this.#below(3)}` }
    if (lot < 7) return { runAt: Date.now() + this.#below(20) }
    if (lot < 9) return { signal: this.signal, key: `key ${this.#below(3)}` }
    return { signal: AbortSignal.timeout(30_000), timeout: 10 }
  }

  /** One round: some hundred jobs, and all that can be done to them and to their queues. */
  async round(): Promise<void> {
    const [plain, rows, viewer] = [this.#plain, this.#rows, this.#viewer]
    const requested = new Requested()
    const seen = (): void => {}
    for (const event of ['pending', 'underway', 'finished', 'settled', 'progress'] as const) plain.on(event, seen)
    plain.once('idle', () => {})
    const events = plain.events('settled')
    requested.of('an event', events.next())
    const late = new AbortController()
    const cut = rows.events('checkpoint', { signal: late.signal })
    requested.of('an event that was cut', cut.next())

    const jobs: Job<Payload, unknown>[] = []
    jobs.push(...(await plain.putMany(Array.from({ length: 100 }, () => this.#payload()))))
    for (let i = 0; i < 40; i++) {
      requested.of(
        'a put',
        plain.put(this.#payload(), this.#putOptions()).then(job => jobs.push(job)),
      )
    }
    for (let i = 0; i < 30; i++) {
      requested.of('a run', plain.run(this.#payload()))
      requested.of('a run by rows', rows.run(this.#payload()))
    }
    const resultOf = (job: Job<Payload, unknown>): Promise<unknown> => job.result
    requested.of('a result elsewhere', viewer.put(this.#payload()).then(resultOf))
    requested.of('a put that is aborted', plain.put(this.#payload(), { signal: AbortSignal.abort() }).then(resultOf))
    const twice = { id: `twice-${this.#serial}` }
    const same = this.#payload()
    for (const payload of [same, same, { ...same, n: -1 }]) requested.of('a put twice', plain.put(payload, twice))
    await this.#change(jobs, requested)

    late.abort()
    for (const event of ['pending', 'underway', 'finished', 'settled', 'progress'] as const) plain.off(event, seen)
    await requested.all()
    await events.return()
    await this.#guests()
    await this.#drained()
  }
  async #change(jobs: readonly Job<Payload, unknown>[], requested: Requested): Promise<void> {
    const [plain, viewer] = [this.#plain, this.#viewer]
    const any = (): Job<Payload, unknown> => jobs[this.#below(jobs.length)] as Job<Payload, unknown>
    for (let i = 0; i < 12; i++) {
      const job = any()
      requested.of('a result', job.result)
      requested.of('a cancel', job.cancel('no more'))
      requested.of('a cancel elsewhere', viewer.cancel(any().id))
      requested.of('a retry', plain.retry(any().id))
      requested.of('a remove', plain.remove(any().id))
      requested.of('a reprioritize', plain.reprioritize(any(), this.#below(3)))
      requested.of('an explain', plain.explain(any()))
    }
    plain.width = this.#below(20)
    plain.rate = { limit: 50 + this.#below(2_000), per: 1 + this.#below(200) }
    const paused = requested.of('a pause', plain.pause())
    if (this.#below(4) === 0) requested.of('a clear', plain.clear())
    requested.of('a pause of tasks', this.#rows.pause({ tasks: true }))
    requested.of('a list', viewer.jobs({ state: 'pending', limit: 20 }))
    await passed(this.#below(4))
    plain.resume(1 + this.#below(20))
    this.#rows.resume()
    await paused
    const shared = viewer.pause({ shared: true }).then(() => viewer.resume({ shared: true }))
    requested.of('a shared pause', shared)
  }
  /** Queue objects, backlogs and threads that come and go, some with work left. */
  async #guests(): Promise<void> {
    const guest = this.#guest(this.#backlog)
    await guest.putMany(Array.from({ length: 10 }, () => this.#payload()))
    await passed(this.#below(3))
    await guest.stop(this.#below(2) === 0 ? { cancelUnderway: true } : {})
    const path = this.path === undefined ? undefined : join(this.#folder, 'guest.db')
    const alone = this.#guest(this.#open(path))
    await alone.putMany(Array.from({ length: 10 }, () => this.#payload()))
    await alone.run({ n: 1, end: 'at once' })
    await alone.stop({ grace: 1 })
  }
  #guest(backlog: Backlog): Queue {
    return this.#seen(new DispatchQueue(plainly, { ...options, name: 'guest', backlog }))
  }
  async #drained(): Promise<void> {
    this.#plain.rate = usual.rate
    this.#plain.width = usual.width
    this.#plain.resume({ shared: true })
    await Promise.all([this.#plain.idle(), this.#rows.idle()])
    once.clear()
  }
  /**
   * Comes to rest: nothing waits, and all that was kept for a while is forgotten. Throws when that does not come about.
   */
  async rest(): Promise<void> {
    const guest = this.#guest(this.#backlog)
    await Promise.all([this.#plain.idle(), this.#rows.idle(), guest.idle()])
    this.#plain.rate = this.#rows.rate = guest.rate = undefined
    for (let tries = 0; ; tries++) {
      // What is forgotten is forgotten in turns, and a put asks for one.
      for (const queue of [this.#plain, this.#rows, guest]) await queue.run({ n: 1, end: 'at once' })
      await passed(150)
      for (const queue of [this.#plain, this.#rows, guest]) queue.width = queue.width === 8 ? 7 : 8
      await passed(50)
      const left = await this.#left()
      if (left.length === 0) break
      if (tries === 40) throw new Error(`not forgotten: ${left}`)
    }
    await guest.stop()
    // Whoever was idle for so long has written the log back.
    await passed(300)
  }
  async #left(): Promise<string[]> {
    const kept: string[] = []
    for (const queue of [this.#plain, this.#rows]) {
      const { pending, delayed, underway, closing } = queue.counts
      if (pending + delayed + underway + closing > 0) kept.push(`${queue.name} is not idle`)
      if ((await queue.jobs()).length > 0) kept.push(`jobs of ${queue.name}`)
    }
    if (this.path === undefined) return kept
    const rows = Object.entries(rowsIn(this.path)).filter(([table, count]) => {
      if (table.endsWith('rdq_put_reply')) return count > mostPutReplies
      return count > 0 && !lasting.test(table)
    })
    return [...kept, ...rows.map(([table, count]) => `${count} ${table}`)]
  }
  async stop(): Promise<void> {
    await Promise.all([this.#plain, this.#rows, this.#viewer].map(queue => queue.stop()))
  }
}
