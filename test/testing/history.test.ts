import test from 'ava'
import { DispatchQueue, MemoryBacklog, RetryLater, type Task, Throttled } from '../../lib/index.ts'
import { check, drain, type Entry, History, scripted, VirtualClock } from '../../testing/index.ts'
import { transpiled } from '../support/handler-forms.ts'

/** What an entry says in a word or two. */
function said(entry: Entry): string {
  const { kind } = entry
  if (kind === 'emitted') return `heard ${entry.event}`
  if (kind === 'answered' || kind === 'refused') return `${kind} ${entry.of}`
  return kind
}

test('history: calls, runs and events of a queue are recorded in order', async t => {
  const clock = new VirtualClock({ now: 5 })
  const history = new History({ clock })
  const queue = history.watch(
    record =>
      new DispatchQueue(
        record(async (n: number) => n),
        { clock },
      ),
  )

  const job = await queue.put(1, { priority: 3, delay: '10ms', key: 'k' })
  const result = job.result
  await drain(queue, clock)
  t.is(await result, 1)
  await queue.stop()

  t.deepEqual(history.entries.map(said), [
    ...['opened', 'put', 'heard delayed', 'accepted', 'promised', 'idle'],
    ...['heard underway', 'launch', 'release', 'heard finished', 'heard settled', 'heard idle', 'settled'],
    ...['answered idle', 'stop', 'heard stopped', 'answered stop'],
  ])
  const [, put, , accepted] = history.entries
  t.like(put, { seq: 2, nowMs: 5, process: 'main', queue: 'queue', priority: 3, delayMs: 10, key: 'k', job: job.id })
  t.like(accepted, { job: job.id, existed: false })
  t.like(history.entries[7], { nowMs: 15, job: job.id, attempt: 1, fence: 1 })
})

/** A queue that is watched, and what is asked of it from then on. */
function watched<P, R>(body: (payload: P, task: Task) => R, options: object = {}) {
  const clock = new VirtualClock()
  const history = new History({ clock })
  const queue = history.watch(record => new DispatchQueue<P, Awaited<R>>(record(body as never), { clock, ...options }))
  const kinds = (): string[] => history.entries.map(said)
  const all = (kind: string): Entry[] => history.entries.filter(entry => said(entry) === kind)
  return { clock, history, queue, kinds, all }
}

test('history: calls of a job handle are recorded, and so is the width that resume sets', async t => {
  const handler = scripted<number, string>()
  const { clock, queue, all } = watched(handler)
  const job = await queue.put(1)
  await clock.settle()

  void queue.pause()
  queue.resume(4)
  await job.cancel('no more')

  t.like(all('cancel')[0], { job: job.id })
  t.like(all('answered cancel')[0], { value: true })
  t.like(all('width')[0], { width: 4 })
  t.is(all('resume').length, 1)
  t.is(queue.width, 4)
  handler.underway[0]?.finish('late')
  await queue.stop()
})

test('history: a value that a listener sets while another one is being set comes after it', async t => {
  const { queue, all } = watched(() => {})
  queue.once('width', () => {
    queue.width = 9
  })

  queue.width = 2

  t.deepEqual(
    all('width').map(entry => 'width' in entry && entry.width),
    [2, 9],
  )
  t.is(queue.width, 9)
  await queue.stop()
})

test('history: a refusal is recorded with its code, and the former settings hold', async t => {
  const { clock, queue, all } = watched(() => {}, { width: 3, size: 1, paused: true })

  t.throws(() => (queue.width = -1), { code: 'OPTION' })
  t.throws(() => (queue.rate = { limit: 0, per: 1 }), { code: 'OPTION' })
  t.throws(() => queue.resume(-1), { code: 'OPTION' })
  await queue.put(1)
  await t.throwsAsync(queue.put(2), { code: 'QUEUE_FULL' })
  await t.throwsAsync(queue.putMany([1], { priority: Number.NaN }), { code: 'OPTION' })
  await t.throwsAsync(queue.retry('nobody'), { code: 'JOB_UNKNOWN' })
  await clock.settle()

  t.deepEqual(
    all('width').map(entry => 'width' in entry && entry.width),
    [-1, 3, -1, 3],
  )
  t.deepEqual(all('rate'), [])
  t.true(queue.paused)
  t.deepEqual(
    [...all('refused put'), ...all('refused retry')].map(entry => 'code' in entry && entry.code),
    ['QUEUE_FULL', 'OPTION', 'JOB_UNKNOWN'],
  )
  await queue.stop()
})

test('history: each job of a putMany has its options and an id, and one that brings an id keeps it', async t => {
  const { queue, all } = watched(() => {}, { paused: true })

  const jobs = await queue.putMany([1, 2], n =>
    n === 1 ? { id: 'mine', priority: 7 } : { runAt: new Date(1_700_000_000_099) },
  )

  t.deepEqual(
    jobs.map(({ id, priority }) => [id, priority]),
    [
      ['mine', 7],
      ['main-1', 0],
    ],
  )
  t.like(all('put')[0], { job: 'mine', priority: 7 })
  t.like(all('put')[1], { job: 'main-1', runAtMs: 1_700_000_000_099 })
  t.is(all('accepted').length, 2)
  await queue.stop()
})

test('history: without ids a job is known once it is accepted', async t => {
  const clock = new VirtualClock()
  const history = new History({ clock })
  const queue = history.watch(record => new DispatchQueue(record((n: number) => n)), { ids: false })

  const job = await queue.put(1)
  t.is(await queue.run(2), 2)
  await queue.stop()

  t.not(job.id, 'main-1')
  t.deepEqual(
    history.entries.filter(({ kind }) => kind === 'put').map(entry => 'job' in entry && entry.job),
    [false, false],
  )
  t.deepEqual(check(history, { lateMs: 1_000 }).violations, [])
})

test('history: a body has ended when its function, promise, thenable or generator has', async t => {
  const bodies: Record<string, () => unknown> = {
    value: () => 1,
    throws: () => {
      throw new TypeError('no')
    },
    promise: async () => 1,
    rejects: async () => {
      throw new RetryLater('5s')
    },
    // biome-ignore lint/suspicious/noThenProperty: what a handler returns may be one.
    thenable: () => ({ then: (resolve: (value: number) => void) => resolve(1) }),
    *generator() {
      yield
      return 1
    },
    *failing() {
      yield
      throw new Throttled('1s', { key: 'k' })
    },
    async *asyncGenerator() {
      yield
      return 1
    },
    transpiled: () => Object.freeze(transpiled(2, () => undefined)),
    asyncTranspiled: () => ({
      next: async () => ({ value: 1, done: true }),
      [Symbol.asyncIterator]() {
        return this
      },
    }),
  }
  for (const [name, body] of Object.entries(bodies)) {
    const { clock, queue, all } = watched(() => body())
    queue.on('failed', () => {})
    await queue.put(1, { key: 'k' })
    await clock.settle()

    t.deepEqual([all('launch').length, all('release').length], [1, 1], name)
    const [release] = all('release')
    if (name === 'throws') t.like(release, { how: 'threw', code: 'TypeError' })
    else if (name === 'rejects') t.like(release, { how: 'threw', code: 'RETRY_LATER', afterMs: 5_000 })
    else if (name === 'failing') t.like(release, { code: 'THROTTLED', afterMs: 1_000, heldKey: 'k' })
    else t.like(release, { how: 'returned' })
    await queue.stop()
  }
})

test('history: a generator begins with its first step, and one that never took it has neither begun nor ended', t => {
  const clock = new VirtualClock()
  const history = new History({ clock })
  let recorded: (payload: number, task: Task) => Generator = () => t.fail() as never
  history.watch(record => {
    recorded = record(function* (_: number) {
      yield
    }) as typeof recorded
    return new DispatchQueue<number, unknown>(recorded, { clock })
  })
  const launches = (): number[] => history.entries.filter(({ kind }) => kind === 'launch').map(({ nowMs }) => nowMs)

  const [first, second] = ['a', 'b'].map(id => recorded(1, { id, attempt: 1 } as Task)) as [Generator, Generator]
  t.deepEqual(launches(), [])
  clock.block(5)
  first.next()
  second.return(undefined)

  t.deepEqual(launches(), [5])
  t.is(history.entries.filter(({ kind }) => kind === 'release').length, 0)
  first.next()
  t.is(history.entries.filter(({ kind }) => kind === 'release').length, 1)
})

test('history: a generator that is closed has ended when its finally has', async t => {
  let cleaned = false
  const { clock, queue, all } = watched(function* () {
    try {
      yield new Promise(() => {})
    } finally {
      yield
      cleaned = true
    }
  })
  const job = await queue.put(1)
  await clock.settle()
  t.is(all('release').length, 0)

  await job.cancel()
  await clock.settle()

  t.true(cleaned)
  t.is(all('release').length, 1)
  await queue.stop()
})

test('history: progress, checkpoints and costs are recorded, and the checkpoint that a later run continues from', async t => {
  const { clock, queue, all } = watched(
    async (_: number, task) => {
      task.progress({ half: true })
      await task.checkpoint(['a', 1])
      task.spent({ tokens: 3 })
      if (task.attempt === 1) throw new Error('no')
    },
    { retry: { attempts: 2, delay: 0 } },
  )
  await queue.put(1)
  await drain(queue, clock)

  t.like(all('progress')[0], { value: '{"half":true}' })
  t.like(all('checkpoint')[0], { value: '["a",1]' })
  t.like(all('stored')[0], { value: '["a",1]', attempt: 1, fence: 1 })
  t.like(all('spent')[0], { cost: { tokens: 3 } })
  t.like(all('launch')[1], { restored: '["a",1]', attempt: 2, fence: 2 })
  await queue.stop()
})

test('history: the end of a requested promise is recorded, and each request returns the same promise', async t => {
  const { clock, queue, all } = watched(
    async (n: number) => {
      if (n > 1) throw new RangeError('no')
    },
    { width: 9 },
  )
  const [job, bad] = await queue.putMany([1, 2])
  t.is(job?.result, job?.result)
  await job?.result
  await t.throwsAsync(bad?.result as Promise<void>, { name: 'RangeError' })
  await t.throwsAsync(queue.run(3), { name: 'RangeError' })
  await clock.settle()

  t.is(all('promised').length, 3)
  t.deepEqual(
    all('settled').map(entry => 'how' in entry && entry.how),
    ['resolved', 'rejected', 'rejected'],
  )
  const stop = queue.stop()
  t.is(queue.stop(), stop)
  await stop
})

test('history: a dead process records nothing more', async t => {
  const handler = scripted<number, string>()
  const { clock, history, queue } = watched(handler)
  await queue.put(1)
  await clock.settle()
  history.crash()
  const { length } = history.entries

  handler.underway[0]?.finish('late')
  await queue.put(2)
  await clock.settle()

  t.is(history.entries.length, length)
  t.like(history.entries.at(-1), { kind: 'crash', process: 'main' })
  handler.underway[0]?.finish('later')
  await queue.stop()
})

test('history: the next life of a process gives its jobs other ids', async t => {
  const clock = new VirtualClock()
  const history = new History({ clock })
  const ids: string[] = []
  for (let life = 0; life < 2; life++) {
    const queue = history.watch(() => new DispatchQueue<number>(null, { clock, backlog: new MemoryBacklog() }))
    ids.push((await queue.put(1)).id)
    history.crash()
    await queue.stop()
  }

  t.deepEqual(ids, ['main-1', 'main-2'])
})

test('history: the logs of several processes make one, by the clock they share', async t => {
  const lines: string[] = []
  const of = (process: string, now: number): History => {
    const clock = new VirtualClock({ now })
    const history = new History({ clock, write: line => lines.push(line) })
    history.add({ kind: 'width', width: Infinity }, process, 'q')
    clock.block(20)
    history.add({ kind: 'clear', call: 1 }, process, 'q')
    history.add({ kind: 'refused', of: 'clear', call: 1, code: 'QUEUE_STOPPED' }, process, 'q')
    return history
  }
  const [one, other] = [of('a', 0), of('b', 10)]

  const merged = History.from(String(one), `${other}{"seq":4,"nowM`)

  t.deepEqual(
    merged.entries.map(({ seq, nowMs, process, kind }) => [seq, nowMs, process, kind]),
    [
      [1, 0, 'a', 'width'],
      [2, 10, 'b', 'width'],
      [3, 20, 'a', 'clear'],
      [4, 20, 'a', 'refused'],
      [5, 30, 'b', 'clear'],
      [6, 30, 'b', 'refused'],
    ],
  )
  t.deepEqual(
    merged.entries.slice(2).map(entry => 'call' in entry && entry.call),
    [1, 1, 2, 2],
  )
  t.like(merged.entries[0], { width: Infinity })
  t.is(`${lines.slice(0, 3).join('\n')}\n`, String(one))
  t.throws(() => History.from('no entry\n{}\n'), { message: /line 1 of the log is no entry: no entry/ })
})

test('history: runs with the same entries have the same digest', async t => {
  const digest = async (seed: number): Promise<string> => {
    const clock = new VirtualClock({ seed })
    const history = new History({ clock })
    const body = async (): Promise<never> => {
      throw new Error('no')
    }
    const retry = { attempts: 2, delay: 100 }
    const queue = history.watch(record => new DispatchQueue(record(body), { clock, retry }))
    queue.on('failed', () => {})
    await queue.put(1)
    await drain(queue, clock)
    await queue.stop()
    return history.digest
  }

  t.is(await digest(1), await digest(1))
  t.not(await digest(1), await digest(2))
})
