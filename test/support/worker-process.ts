/**
 * A process with one queue on a file, for tests that kill, stop and share. Its argument is JSON of {@link Orders}. After
 * that it takes messages: `[call, …args]` calls that method of its queue, and the result is sent back.
 *
 * It writes each event to a log that all processes of a test share, before it goes on, so that the log outlives the
 * process. It also reports each event to the parent, which may wait for it.
 */
import { existsSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { systemClock } from '../../lib/clock.ts'
import {
  DispatchQueue,
  type Handler,
  Job,
  type KeepOptions,
  type KeysOptions,
  type PutOptions,
  RetryLater,
  type RetryOptions,
  type Rule,
  type Task,
  Throttled,
} from '../../lib/index.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { putWithin, SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { History } from '../../testing/index.ts'
import { die, eachStatement, KilledBacklog, type KillPoint } from './kill-point.ts'
import { passed } from './suspend.ts'

/**
 * `end`: ends at once. `slow`: after a few milliseconds. `long`: after 200 ms. `hang`: when its signal aborts. `deaf`:
 * never. `die`: kills the process. `exit`: asks it to end. `block`: holds up the loop for `blockMs`, or until the file
 * `<path>.go` is there. `limp`: fails at its first attempt, and then is deaf. `broken`: fails until the file
 * `<path>.go` is there. `rows`: a generator that writes a row and a checkpoint `payload` times. `sum`: one that adds up
 * all numbers below `payload`, a step each, with a checkpoint at every 10,000. `poison`: as `slow`, but a payload of -1
 * kills the process, -2 asks it to end, and lower ones kill it that many milliseconds later. `within`: writes to the
 * file and ends in one transaction. `mixed`: any of what a handler may do, and what is put has any of the options, and
 * is changed again.
 */
export type Body =
  | 'mixed'
  | 'end'
  | 'slow'
  | 'long'
  | 'hang'
  | 'deaf'
  | 'die'
  | 'exit'
  | 'block'
  | 'limp'
  | 'broken'
  | 'rows'
  | 'sum'
  | 'poison'
  | 'within'

export interface Orders {
  readonly who: string
  readonly path: string
  readonly log: string
  /** The name of its queue; 'q'. */
  readonly queue?: string
  /** None: a queue that only puts, looks and changes. */
  readonly body?: Body
  readonly killPoint?: KillPoint
  readonly width?: number
  readonly rate?: Rule
  /** With these, what is put has one of a few keys, which are set, paused and resumed on the way. */
  readonly keys?: KeysOptions
  readonly globalWidth?: number
  readonly afterCrash?: 'again' | 'fail' | 'ask: again' | 'ask: finished' | 'ask: failed'
  readonly crashLimit?: number
  readonly retry?: RetryOptions
  readonly keep?: KeepOptions
  /** Puts so many jobs one after the other, with ids `<who>-<i>`. */
  readonly puts?: number
  readonly blockMs?: number
  readonly stall?: `${number}s`
  /** Records a history besides, in a file of this path that all processes of a test share. */
  readonly history?: string
  /** Ms that are given to bodies at SIGTERM. */
  readonly grace?: number
}

/** What a log's line says happened, and what is told. */
export interface Report {
  readonly what: string
  readonly job: string
  readonly more: string
}
export type Call = readonly [number, string, readonly unknown[]]
export type Answer = readonly [number, 'ok' | 'error', unknown]

const orders: Orders = JSON.parse(process.argv[2] as string)
const { path, body, killPoint, who } = orders
const log = openSync(orders.log, 'a')
/** How often the loop has come to its point. */
let points = 0

function note(what: string, job: unknown = '-', more: unknown = '-'): void {
  writeSync(log, `${process.hrtime.bigint()} ${who} ${what} ${job} ${more}\n`)
  if (process.connected) process.send?.({ what, job: String(job), more: String(more) } satisfies Report)
  if (killPoint?.at === what && ++points === (killPoint.nth ?? 1)) die()
}

/** What crosses to the parent of what a queue answers. */
function plain(value: unknown): unknown {
  if (value instanceof Job) {
    const { id, payload, state, attempt, existed, priority } = value
    return { id, payload, state, attempt, existed, priority, error: (value.error as Error | undefined)?.message }
  }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, plain(of)]))
}

/** A handle of the user's own on the file, whose statements may be the last. */
function ownHandle(): SqliteDatabase & { transaction(run: () => void): { immediate(): void } } {
  const Database = createRequire(import.meta.url)('better-sqlite3')
  const db = new Database(path, { timeout: 5_000 })
  let count = 0
  if (killPoint?.at === 'own statement') {
    eachStatement(() => {
      if (++count === killPoint.nth) die()
    })
  }
  return db
}

/** Jobs whose cancel is stored, and bodies that wait for that. */
const cancelled = new Set<string>()
const onCancelled = new Map<string, () => void>()
const never = (): Promise<never> => new Promise(() => {})

const bodies: Record<Body, (payload: number, task: Task) => unknown> = {
  end: payload => payload,
  slow: payload =>
    new Promise(resolve => systemClock.at(systemClock.now() + 1 + (payload % 7), () => resolve(payload))),
  /** One that is cancelled goes on until that is stored. */
  async long(payload, task) {
    await passed(200)
    if (task.signal.aborted && !cancelled.has(task.id)) await new Promise<void>(go => onCancelled.set(task.id, go))
    return payload
  },
  hang: (_, task) =>
    new Promise((_, reject) => {
      task.signal.addEventListener('abort', () => {
        note('aborted', task.id)
        reject(task.signal.reason)
      })
    }),
  deaf: never,
  die,
  exit: () => process.exit(),
  block: () => {
    const until = systemClock.now() + (orders.blockMs ?? 1_000)
    while (systemClock.now() < until && !existsSync(`${path}.go`));
  },
  limp: (_, task) => {
    if (task.attempt > 1) return never()
    throw new Error('the first attempt fails')
  },
  broken: payload => {
    if (!existsSync(`${path}.go`)) throw new RangeError(`${payload} is too much`)
    return payload * 2
  },
  *rows(payload, task) {
    for (let row = (task.restored as number | undefined) ?? 0; row < payload; row++) {
      note('row', task.id, row)
      yield task.checkpoint(row + 1)
      note('stored', task.id, row + 1)
    }
    return payload
  },
  *sum(payload, task) {
    let { row, sum } = (task.restored ?? { row: 0, sum: 0 }) as { row: number; sum: number }
    note('from', task.id, row)
    while (row < payload) {
      if (killPoint?.at === 'row' && killPoint.nth === row) die()
      sum += row++
      if (row % 10_000 !== 0) {
        yield
        continue
      }
      yield task.checkpoint({ row, sum })
      note('stored', task.id, row)
    }
    return sum
  },
  async poison(payload, task) {
    if (payload === -1) die()
    if (payload === -2) process.exit(0)
    if (payload >= 0) return bodies.slow(payload, task)
    await new Promise<void>(resolve => systemClock.at(systemClock.now() - payload, resolve))
    die()
  },
  async mixed(payload, task) {
    const chance = Math.random()
    if (payload % 9 === 0) throw new Error('this one always fails')
    if (chance < 0.1) throw new RetryLater(5)
    if (chance < 0.15) throw new Throttled(10, task.key === undefined ? {} : { key: task.key })
    if (chance < 0.4) await task.checkpoint(payload)
    return bodies.slow(payload, task)
  },
  within(payload, task) {
    const db = ownHandle()
    db.exec('begin immediate')
    db.prepare('insert into mine (job) values (?)').run(task.id)
    task.finishWithin(db, payload)
    db.exec('commit')
    db.close()
  },
}

function handler(payload: number, task: Task): unknown {
  note('start', task.id, task.attempt)
  const end = <T>(value: T): T => {
    note('end', task.id, task.attempt)
    return value
  }
  const answer = bodies[body as Body](payload, task)
  if (body === 'rows' || body === 'sum') return answer
  const over = (): void => note('over', task.id, task.attempt)
  return answer instanceof Promise ? answer.then(end).finally(over) : end(answer)
}

const { afterCrash = 'again', crashLimit, width, rate, retry, keep, keys, globalWidth } = orders
const ask = afterCrash.startsWith('ask: ')
const options = {
  name: orders.queue ?? 'q',
  backlog: killPoint
    ? new KilledBacklog(path, killPoint)
    : new SqliteBacklog(path, { durability: 'process', stall: orders.stall ?? '5min' }),
  ...(rate && { rate }),
  ...(keep && { keep }),
  ...(keys && { keys }),
  ...(globalWidth !== undefined && { globalWidth }),
}
const working = {
  ...options,
  afterCrash: ask
    ? async (job: Job) => {
        note('asking', job.id, job.attempt)
        return afterCrash.slice('ask: '.length) as 'again'
      }
    : (afterCrash as 'again'),
  ...(crashLimit !== undefined && { crashLimit }),
  ...(width !== undefined && { width }),
  ...(retry && { retry }),
}
type Wrap = (handler: Handler<number, unknown>) => Handler<number, unknown>
const make = (wrap: Wrap): DispatchQueue<number, unknown> =>
  body === undefined ? new DispatchQueue(null, options) : new DispatchQueue(wrap(handler as never), working)
const queue = orders.history === undefined ? make(plainly => plainly) : watched(orders.history)

/** Each entry outlives the process, as the lines of the log do. */
function watched(path: string): DispatchQueue<number, unknown> {
  const file = openSync(path, 'a')
  const history = new History({ write: line => void writeSync(file, `\n${line}\n`) })
  return history.watch(make, {
    process: who,
    retry: retry ?? 1,
    ...(crashLimit !== undefined && { crashLimit }),
    afterCrash: ask ? 'ask' : (afterCrash as 'again'),
    ...(keys && { keys }),
  })
}

for (const event of ['pending', 'underway', 'finished', 'failed', 'cancelled', 'recovered', 'lost'] as const) {
  queue.on(event, job => note(event, job.id, job.attempt))
}
queue.on('cancelled', ({ id }) => {
  cancelled.add(id)
  onCancelled.get(id)?.()
})
queue.on('stalled', () => note('stalled'))
queue.on('error', error => note('error', '-', JSON.stringify(String(error))))

/** Beside the methods of the queue. */
const calls: Record<string, (...args: never[]) => unknown> = {
  counts: () => queue.counts,
  paused: () => queue.paused,
  resultOf: async (id: string) => (await queue.get(id))?.result,
  setWidth: (now: number) => {
    queue.width = now
  },
  globalWidth: () => queue.globalWidth,
  setGlobalWidth: (now: number) => {
    queue.globalWidth = now
  },
  cancelUnderway: async () => {
    const jobs = queue.underway()
    await Promise.all(jobs.map(job => job.cancel()))
    return jobs.length
  },
  setRate: (rule: Rule) => {
    queue.rate = rule
  },
  putWithin: (payload: number, id: string) => {
    const db = ownHandle()
    const put = db.transaction(() => {
      db.prepare('insert into mine (job) values (?)').run(id)
      putWithin(db, 'q', payload, { id })
    })
    put.immediate()
    note('accepted', id)
    db.close()
  },
  /** From here on, only what keeps a queue alive keeps this process. */
  release: () => {
    parted = true
    process.disconnect()
  },
}
let parted = false

process.on('message', ([id, name, args]: Call) => {
  const method = calls[name] ?? (queue as unknown as typeof calls)[name]
  const answer = (of: 'ok' | 'error', value: unknown): void => {
    if (process.connected) process.send?.([id, of, value] satisfies Answer)
  }
  const run = async (): Promise<unknown> => (method as (...args: unknown[]) => unknown).apply(queue, [...args])
  run().then(
    value => answer('ok', plain(value)),
    ({ name, code, message }) => answer('error', { name, code, message: String(message) }),
  )
})
// Who started it is gone, and nobody waits for it any more.
process.on('disconnect', () => {
  if (!parted) process.exit(1)
})
if (orders.grace !== undefined) {
  process.once('SIGTERM', () => {
    void queue.stop({ grace: orders.grace as number }).then(({ left, abandoned }) => {
      note('stopped', '-', `${left} ${abandoned.length}`)
      parted = true
      process.disconnect()
    })
  })
}

await queue.ready()
note('ready')
const pick = <T>(...of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T

/** Jobs of a number have the same key, wherever they are put. */
function keyOf(i: number): string | undefined {
  return keys && [undefined, 'k', 'l', 'm'][i % 4]
}
/** Sets something for one key or for the name. A pause is not left behind, because its process may die. */
async function steer(): Promise<void> {
  const key = queue.key(pick('k', 'l', 'm'))
  const what = pick('', '', '', 'width', 'weight', 'pause', 'globalWidth')
  if (what === 'width') key.width = pick(1, 2, undefined)
  if (what === 'weight') key.weight = pick(1, 3)
  if (what === 'globalWidth') queue.globalWidth = pick(3, 4, 5)
  if (what === 'pause') await key.pause()
  await key.resume()
}

function putOptions(i: number): PutOptions {
  if (body !== 'mixed') return { key: keyOf(i) }
  const key = keyOf(i) ?? pick(undefined, 'k', 'l')
  return { priority: pick(0, 0, 1, -1), delay: pick(0, 0, 0, 10, 40), ...(key && { key }), retry: pick(1, 3) }
}

/** Changes one of those that were put, which may be anywhere by now, and says so before. */
async function change(i: number): Promise<void> {
  const id = `${who}-${Math.floor(Math.random() * i)}`
  const verb = pick('', '', '', 'cancel', 'remove', 'reprioritize', 'retry')
  if (verb === '') return
  note(verb, id)
  await queue[verb](id, -1).catch((error: { code?: string }) => {
    if (error.code !== 'JOB_STATE' && error.code !== 'JOB_UNKNOWN') throw error
  })
}

for (let i = 0; i < (orders.puts ?? 0); i++) {
  const id = `${who}-${i}`
  await queue.put(i, { id, ...putOptions(i) })
  note('accepted', id)
  if (body === 'mixed') await change(i + 1)
  if (keys) await steer()
}
if (orders.puts !== undefined) note('all put')
