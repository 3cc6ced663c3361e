/**
 * Everything that JavaScript has is handed over at every door there is, beside innocent jobs, which must all finish.
 *
 * Each run hands another value to each door. By default every value meets every door once; `FUZZ_RUNS` tries more, with
 * values and doors paired at random by `FUZZ_SEED`, which are printed where something fails.
 */
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue, type Job, MemoryBacklog, type QueueOptions, RetryLater, Throttled } from '../../lib/index.ts'
import type { Task } from '../../lib/run/task.ts'
import { putWithin, SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { oddValues } from '../support/odd-values.ts'
import { randomOf } from '../support/random.ts'
import { Database, fileName } from '../support/sqlite-store.ts'

/** Widened: the types forbid most of what is tried here. */
// biome-ignore lint/suspicious/noExplicitAny: whatever is handed over.
type Any = any

const names = Object.keys(oddValues)
const runs = Number(process.env.FUZZ_RUNS ?? names.length)
const seed = Number(process.env.FUZZ_SEED ?? 1)
/** An innocent job that has not finished by then never will. */
const patienceMs = 60_000

interface Ground {
  readonly queue: DispatchQueue<Any, Any>
  /** Runs a job whose handler does `act`. */
  body(act: (task: Task) => unknown): Promise<unknown>
  within(put: (db: Any) => unknown): unknown
}
type Door = (ground: Ground, value: Any) => unknown

const later = { delay: '1h' } as const
const onWaiting =
  (act: (queue: DispatchQueue<Any, Any>, job: Job<Any, Any>, value: Any) => unknown): Door =>
  async ({ queue }, value) => {
    const job = await queue.put('waits', later)
    try {
      await act(queue, job, value)
    } finally {
      await queue.remove(job)
    }
  }
const option =
  (name: string): Door =>
  ({ queue }, value) =>
    queue.run('has an option', { [name]: value })

const doors: Readonly<Record<string, Door>> = {
  put: ({ queue }, value) => queue.put(value),
  run: ({ queue }, value) => queue.run(value),
  'put with an id': ({ queue }, value) => queue.put(value, { id: 'the same' }),
  'a part of a payload': ({ queue }, value) => queue.run({ a: [value] }),
  putMany: ({ queue }, value) => queue.putMany(value),
  'one of putMany': ({ queue }, value) => queue.putMany([1, value, 2]),
  'the options of put': ({ queue }, value) => queue.run('has options', value),
  'the options of putMany': ({ queue }, value) => queue.putMany([1], value),
  'options that a function makes': ({ queue }, value) => queue.putMany([1], () => value),
  ...Object.fromEntries(
    ['priority', 'delay', 'runAt', 'key', 'id', 'cost', 'retry', 'timeout', 'signal'].map(name => [
      `the option ${name}`,
      option(name),
    ]),
  ),
  'a unit of cost': ({ queue }, value) => queue.run('costs', { cost: { tokens: value } }),
  'putWithin: the payload': ({ within }, value) => within(db => putWithin(db, 'fuzz', value)),
  'putWithin: the name': ({ within }, value) => within(db => putWithin(db, value, 1)),
  'putWithin: the options': ({ within }, value) => within(db => putWithin(db, 'fuzz', 1, value)),
  'putWithin: a key': ({ within }, value) => within(db => putWithin(db, 'fuzz', 1, { key: value })),
  'a result': ({ body }, value) => body(() => value),
  'a result later': ({ body }, value) => body(async () => value),
  'a part of a result': ({ body }, value) => body(() => ({ a: [value] })),
  'what is thrown': ({ body }, value) =>
    body(() => {
      throw value
    }),
  'what is thrown later': ({ body }, value) => body(async () => Promise.reject(value)),
  'a cause': ({ body }, value) => body(() => Promise.reject(new Error('has a cause', { cause: value }))),
  'a field of an error': ({ body }, value) => body(() => Promise.reject(Object.assign(new Error('x'), { value }))),
  'the message of an error': ({ body }, value) =>
    body(() => Promise.reject(Object.defineProperties(new Error('x'), { message: { value }, stack: { value } }))),
  'the name of an error': ({ body }, value) =>
    body(() => Promise.reject(Object.defineProperties(new Error('x'), { name: { value }, code: { value } }))),
  'a retry after what was thrown': ({ queue }, value) =>
    queue.run({ act: () => Promise.reject(value) }, { retry: { attempts: 2, delay: 1 } }),
  'a checkpoint': ({ body }, value) => body(task => task.checkpoint(value)),
  'a checkpoint that nobody waits for': ({ body }, value) => body(task => void task.checkpoint(value)),
  progress: ({ body }, value) => body(task => task.progress(value)),
  spent: ({ body }, value) => body(task => task.spent(value)),
  'what a generator yields': ({ body }, value) =>
    body(function* () {
      yield value
    }),
  'RetryLater: after': ({ body }, value) =>
    body(task => {
      if (task.attempt === 1 && !task.restored) void task.checkpoint('once')
      else return 'done'
      throw new RetryLater(value)
    }),
  'Throttled: the key': ({ body }, value) =>
    body(task => {
      if (task.restored) return 'done'
      void task.checkpoint('once')
      throw new Throttled(1, { key: value })
    }),
  'finishWithin: a result': ({ body, within }, value) => body(task => within(db => task.finishWithin(db, value))),
  'finishWithin: a handle': ({ body }, value) => body(task => task.finishWithin(value, 1)),
  'a reason': onWaiting((_, job, value) => job.cancel(value)),
  'a reason for what runs': ({ queue }, value) => {
    const controller = new AbortController()
    const ran = queue.run(
      { act: (task: Task) => new Promise(resolve => task.signal.addEventListener('abort', resolve)) },
      {
        signal: controller.signal,
      },
    )
    setTimeout(() => controller.abort(value), 1)
    return ran
  },
  'a new priority': onWaiting((queue, job, value) => queue.reprioritize(job, value)),
  'a new time': onWaiting((queue, job, value) => queue.reschedule(job, value)),
  'what to cancel': ({ queue }, value) => queue.cancel(value),
  'what to retry': ({ queue }, value) => queue.retry(value),
  'what to remove': ({ queue }, value) => queue.remove(value),
  'what to promote': ({ queue }, value) => queue.promote(value),
  'what to reprioritize': ({ queue }, value) => queue.reprioritize(value, 1),
  'what to explain': ({ queue }, value) => queue.explain(value),
  'what to get': ({ queue }, value) => queue.get(value),
  'what to list': ({ queue }, value) => queue.jobs(value),
  ...Object.fromEntries(
    ['state', 'key', 'limit', 'after'].map(name => [
      `what to list: ${name}`,
      ({ queue }: Ground, value: Any) => queue.jobs({ [name]: value }),
    ]),
  ),
  width: ({ queue }, value) => {
    try {
      queue.width = value
    } finally {
      queue.width = 50
    }
  },
  rate: ({ queue }, value) => {
    queue.rate = value
  },
  'a rule': ({ queue }, value) => {
    queue.rate = { limit: 1_000, per: '1s', of: value }
  },
}
const doorNames = Object.keys(doors)

async function fuzz(t: ExecutionContext, options: QueueOptions, path?: string): Promise<void> {
  // biome-ignore lint/suspicious/noConfusingVoidType: some acts answer nothing.
  type Script = { readonly act?: number } | void
  const acts = new Map<number, (task: Task) => unknown>()
  let last = 0
  const handler = (payload: Script, task: Task): Any => {
    const own = typeof payload === 'object' && payload !== null && Object.getPrototypeOf(payload) === Object.prototype
    const { innocent, act } = (own ? payload : {}) as { innocent?: number; act?: number }
    if (innocent !== undefined) return innocent
    return act === undefined ? undefined : acts.get(act)?.(task)
  }
  const keep = { finished: 20, failed: 20, cancelled: 20, ids: 20, results: true } as const
  const queue = new DispatchQueue<Any, Any>(handler, {
    name: 'fuzz',
    width: 50,
    retry: { delay: 1 },
    keep,
    maxHold: 2,
    ...(options as object),
  })
  const errors: Any[] = []
  queue.on('error', error => errors.push(error))
  for (const event of ['failed', 'progress', 'checkpoint', 'settled'] as const) queue.on(event, () => {})
  await queue.ready()
  const db = path === undefined ? undefined : new Database(path)
  t.teardown(() => db?.close())
  const run = (payload: Any, put?: object): Promise<unknown> => queue.run(payload, put as never)
  const ground: Ground = {
    queue: new Proxy(queue, {
      get: (of, name) => {
        if (name === 'run') {
          return (payload: Any, put?: object) => {
            if (typeof payload?.act !== 'function') return queue.run(payload, put as never)
            acts.set(++last, payload.act)
            return run({ act: last }, put)
          }
        }
        const value = Reflect.get(of, name, of) as unknown
        return typeof value === 'function' ? value.bind(of) : value
      },
      set: (of, name, value) => Reflect.set(of, name, value, of),
    }),
    body(act) {
      acts.set(++last, act)
      return run({ act: last })
    },
    within(put) {
      if (!db) return undefined
      db.exec('begin immediate')
      try {
        const answer = put(db)
        db.exec('commit')
        return answer
      } catch (error) {
        if (db.inTransaction) db.exec('rollback')
        throw error
      }
    },
  }
  const random = randomOf(seed)
  for (let i = 0; i < runs; i++) {
    const pairs = doorNames.map((door, at) => {
      const value = i < names.length ? (i + at) % names.length : Math.floor(random() * names.length)
      return [door, names[value] as string] as const
    })
    const innocent = (n: number): Promise<unknown> => queue.run({ innocent: n })
    const before = [innocent(0), queue.run({ innocent: 1 }, { key: 'tenant', id: `innocent-${i}` })]
    const handed = pairs.map(async ([door, value]) => {
      try {
        await (doors[door] as Door)(ground, (oddValues[value] as () => unknown)())
      } catch {
        // Refused, or ended as it had to.
      }
    })
    const all = [...before, innocent(2), innocent(3)]
    const reported = (): string => `run ${i} of seed ${seed}:\n${pairs.map(pair => pair.join(' ← ')).join('\n')}`
    const ended = await inTime(Promise.all(all).catch(error => error as Error))
    t.deepEqual(ended, [0, 1, 2, 3], reported())
    queue.rate = undefined
    t.not(await inTime(Promise.all(handed).then(() => 'answered')), undefined, `not all is answered in ${reported()}`)
    const refused = errors.filter(error => error?.code === 'STORE')
    t.deepEqual(refused, [], `the file refused what the door should have, in ${reported()}`)
  }
  const stopped = await inTime(queue.stop({ cancelUnderway: true }))
  t.truthy(stopped)
}

function inTime<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), patienceMs)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

test('fuzz: in memory, no value handed over harms another job, caller or listener', t => fuzz(t, {}))
test('fuzz: in memory with json, no value handed over harms another job, caller or listener', t =>
  fuzz(t, { backlog: new MemoryBacklog({ json: true }) }))
test('fuzz: on a file, no value handed over harms another job, caller or listener', t => {
  const path = fileName()
  return fuzz(t, { backlog: new SqliteBacklog(path, { durability: 'process' }) }, path)
})
