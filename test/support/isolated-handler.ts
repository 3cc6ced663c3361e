/** The handler that isolates of tests run. Its payload says what to do. */

import { transfer } from '../../lib/isolate/transfer.ts'
import type { Task } from '../../lib/run/task.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../lib/settle/control-errors.ts'

export type Deed =
  | 'look'
  | 'later'
  | 'steps'
  | 'asyncSteps'
  | 'endless'
  | 'closeSlowly'
  | 'checkpoint'
  | 'spend'
  | 'breathe'
  | 'heed'
  | 'block'
  | 'hang'
  | 'exit'
  | 'kill'
  | 'reject'
  | 'fillMemory'
  | 'leak'
  | 'fail'
  | 'throwText'
  | 'unrecoverable'
  | 'retryLater'
  | 'throttled'
  | 'buffer'
  | 'moved'
  | 'uncloneable'
  | 'flood'
  | 'badProgress'
  | 'finishWithin'
  | 'print'
  | 'surroundings'

/** What a job does, and a name by which a test knows it. */
export interface Order {
  readonly do: Deed
  readonly name?: string
  readonly ms?: number
  readonly count?: number
  /** Does it only in its first attempts and runs, so many of them. */
  readonly times?: number
}

/** Steady milliseconds that all threads and processes of this host share. */
const hostMs = (): number => Number(process.hrtime.bigint()) / 1e6
const later = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
/** The memory of a leak. */
const kept: unknown[] = []
/** How many bodies run here at this moment, and how many jobs this isolate has had. */
let running = 0
let had = 0

const deeds: Readonly<Record<Deed, (order: Order, task: Task) => unknown>> = {
  /** What a task shows. */
  look: ({ name }: Order, task: Task) => {
    const { id, attempt, crashes, key, token, restored } = task
    return { name, id, attempt, crashes, key, token, restored, pid: process.pid, had, at: hostMs() }
  },
  later: async ({ ms = 20, name }: Order, { attempt, crashes }: Task) => {
    running++
    const at = hostMs()
    const beside = running
    await later(ms)
    running--
    return { name, at, beside, attempt, crashes, pid: process.pid, had }
  },
  steps: function* ({ count = 10, name }: Order, task: Task): Generator {
    for (let i = 0; i < count; i++) {
      task.progress(i)
      yield
    }
    const got: unknown = yield* task.wait(later(1).then(() => 'waited'))
    return { name, got }
  },
  asyncSteps: async function* ({ count = 10, name }: Order) {
    for (let i = 0; i < count; i++) yield later(1)
    return { name, count }
  },
  /** Steps until it is cancelled, and reports each. */
  endless: function* (_: Order, task: Task) {
    try {
      for (let i = 0; ; i++) {
        task.progress(i)
        yield later(5)
      }
    } finally {
      task.progress('closed')
    }
  },
  /** Steps until it is cancelled, and then takes a while to close. */
  closeSlowly: function* ({ ms = 200 }: Order, task: Task) {
    try {
      task.progress('steps')
      for (;;) yield later(5)
    } finally {
      yield later(ms)
      task.progress('closed')
    }
  },
  checkpoint: async ({ times = 1 }: Order, task: Task) => {
    await task.checkpoint({ at: task.attempt })
    if (task.attempt <= times) throw new Error('not yet')
    return task.restored
  },
  spend: async ({ count = 1 }: Order, task: Task) => {
    task.spent({ tokens: count })
    return hostMs()
  },
  breathe: async ({ count = 100 }: Order, task: Task) => {
    for (let i = 0; i < count; i++) await task.breathe()
    return count
  },
  /** Ends when its signal aborts, with the reason. */
  heed: (_: Order, task: Task) => {
    const { signal } = task
    task.progress('waits')
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  },
  /** Never ends, and never lets its loop have a turn. */
  block: ({ ms = Infinity }: Order) => {
    for (const until = hostMs() + ms; hostMs() < until; );
    return 'unblocked'
  },
  /** Never ends, and does nothing. */
  hang: (_: Order, task: Task) => {
    task.progress('hangs')
    return new Promise(() => {})
  },
  exit: async ({ ms, times = Infinity }: Order, task: Task) => {
    if (task.crashes >= times) return { crashes: task.crashes, attempt: task.attempt }
    if (ms !== undefined) await later(ms)
    return process.exit(3)
  },
  kill: () => process.kill(process.pid, 'SIGKILL'),
  reject: async ({ times = Infinity }: Order, { crashes }: Task) => {
    if (crashes >= times) return crashes
    void Promise.reject(new RangeError('nobody catches this'))
    return later(1_000)
  },
  fillMemory: () => {
    for (;;) kept.push(new Array(1e6).fill(kept.length))
  },
  leak: ({ count = 50 }: Order) => {
    for (let i = 0; i < count; i++) kept.push(new Array(131_072).fill(i))
    return process.pid
  },
  fail: ({ times = Infinity, name }: Order, { attempt }: Task) => {
    if (attempt > times) return attempt
    const cause = Object.assign(new RangeError('the cause'), { depth: 2 })
    throw Object.assign(new TypeError(`no ${name}`, { cause }), { code: 'E_NO', details: { list: [1, new Date(0)] } })
  },
  throwText: () => {
    throw 'only a text'
  },
  unrecoverable: () => {
    throw new Unrecoverable('never')
  },
  retryLater: ({ ms = 50 }: Order, task: Task) => {
    if (task.restored) return { attempt: task.attempt }
    return task.checkpoint(true).then(() => {
      throw new RetryLater(ms)
    })
  },
  throttled: ({ ms = 200 }: Order, task: Task) => {
    if (task.restored) return hostMs()
    return task.checkpoint(true).then(() => {
      throw new Throttled(ms)
    })
  },
  buffer: ({ count = 1_000 }: Order) => new Uint8Array(count).fill(7),
  moved: ({ count = 1_000 }: Order) => {
    const bytes = new Uint8Array(count).fill(7)
    return transfer(bytes, [bytes.buffer])
  },
  uncloneable: () => () => 'a function',
  flood: ({ count = 100_000 }: Order, task: Task) => {
    for (let i = 0; i < count; i++) task.progress(i)
    return count
  },
  badProgress: (_: Order, task: Task) => task.progress(() => {}),
  finishWithin: (_: Order, task: Task) => task.finishWithin({}),
  print: ({ name }: Order) => {
    process.stdout.write(`out ${name}\n`)
    process.stderr.write(`err ${name}`)
  },
  surroundings: () => {
    process.env.RDQ_TEST = 'changed there'
    try {
      process.chdir('/')
    } catch {}
    return process.cwd()
  },
}

export default function handler(order: Order, task: Task): unknown {
  had++
  return deeds[order.do](order, task)
}
