/**
 * Tasks that are paused one by one, the async context that a handler runs in, and the slice that all handlers share.
 *
 * Held elsewhere already: pause({ tasks: true }) of generators, in pause-stop.test.ts.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type Job, JobStateError } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Generators that step until they are told to end, each counting its steps. */
function stepping() {
  const steps = new Map<string, number>()
  const ends = new Set<string>()
  const queue = new DispatchQueue<string, string>(
    function* (name) {
      while (!ends.has(name)) {
        steps.set(name, (steps.get(name) ?? 0) + 1)
        yield
      }
      return name
    },
    { width: 2, slice: 1 },
  )
  /** Where a thread gives jobs out, the first step comes when it has answered. */
  const begun = async (...names: string[]): Promise<void> => {
    while (!names.every(name => steps.has(name))) await turn()
  }
  const moves = async (name: string): Promise<boolean> => {
    const before = steps.get(name)
    for (let i = 0; i < 5; i++) await turn()
    return steps.get(name) !== before
  }
  return { queue, ends, begun, moves }
}

test('pause of a job parks its task and no other, keeps its slot, and nests', async t => {
  const { queue, ends, begun, moves } = stepping()
  const [a, b, c] = (await queue.putMany(['a', 'b', 'c'])) as [Named, Named, Named]
  await begun('a', 'b')

  a.pause()
  a.pause()
  t.deepEqual([await moves('a'), await moves('b'), await moves('c')], [false, true, false])
  t.deepEqual(queue.underway(), [a, b])
  a.resume()
  t.false(await moves('a'))
  a.resume()
  t.true(await moves('a'))
  ends.add('a').add('b').add('c')

  t.deepEqual(await Promise.all([a.result, b.result, c.result]), ['a', 'b', 'c'])
  await queue.stop()
})

test('resume of a job that was not paused is refused and changes nothing', async t => {
  const { queue, ends, begun, moves } = stepping()
  const a = await queue.put('a')
  await begun('a')

  t.throws(() => a.resume(), { code: 'NOT_PAUSED' })
  t.true(await moves('a'))
  ends.add('a')

  t.is(await a.result, 'a')
  await queue.stop()
})

test('a pause of all tasks and that of one are separate: resume of the queue does not resume a task that was paused alone', async t => {
  const { queue, ends, begun, moves } = stepping()
  const [a] = (await queue.putMany(['a', 'b'])) as [Named, Named]
  await begun('a', 'b')
  a.pause()

  t.true(await queue.pause({ tasks: true }))
  t.deepEqual([await moves('a'), await moves('b')], [false, false])
  queue.resume()
  t.deepEqual([await moves('a'), await moves('b')], [false, true])
  a.resume()
  t.true(await moves('a'))

  ends.add('a').add('b')
  await queue.idle()
  await queue.stop()
})

test('a pause of all tasks resolves when plain handlers have ended and generators are parked, false when superseded', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(
    (payload, task) =>
      payload === 'plain'
        ? handler(payload, task)
        : (function* (): Generator<unknown, string> {
            yield new Promise(() => {})
            return ''
          })(),
    { clock, width: 2 },
  )
  await queue.putMany(['plain', 'generator'])
  await clock.settle()
  let parked: boolean | undefined
  void queue.pause({ tasks: true }).then(value => (parked = value))

  await clock.settle()
  t.is(parked, undefined)
  handler.underway[0]?.finish('')
  await clock.settle()
  t.true(parked)
  queue.resume()
  const superseded = queue.pause()
  queue.resume()

  t.false(await superseded)
  t.is(queue.counts.underway, 1)
})

test('a pause of all tasks that comes in the call that makes a generator parks it after its first step', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  let parked: Promise<boolean> | undefined
  const queue: DispatchQueue<string, string> = new DispatchQueue<string, string>(
    () => {
      parked = queue.pause({ tasks: true })
      return (function* (): Generator<unknown, string> {
        log.push('first step')
        yield
        log.push('second step')
        return 'done'
      })()
    },
    { clock },
  )
  const result = queue.run('a')
  await clock.settle()

  t.true(await parked)
  t.deepEqual(log, ['first step'])
  queue.resume()

  t.is(await result, 'done')
})

test('pause and resume of a job that runs no generator here are refused', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock })
  const [plain, waits] = (await queue.putMany(['plain', 'waits'])) as [Named, Named]
  await clock.settle()

  for (const job of [plain, waits]) {
    t.throws(() => job.pause(), { instanceOf: JobStateError })
    t.throws(() => job.resume(), { instanceOf: JobStateError })
  }
})

test('a paused task can be cancelled, runs its finally and frees its slot', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const queue = new DispatchQueue<string, void>(
    function* (payload) {
      try {
        log.push(payload)
        if (payload === 'a') yield new Promise(() => {})
      } finally {
        log.push(`${payload} closed`)
      }
    },
    { clock },
  )
  const [a] = (await queue.putMany(['a', 'b'])) as [Job<string, void>, unknown]
  await clock.settle()
  a.pause()

  t.true(await a.cancel())
  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log, ['a', 'a closed', 'b', 'b closed'])
})

for (const context of ['queue', 'put'] as const) {
  test(`context '${context}': a handler finds its own store and none of another job`, async t => {
    const clock = new VirtualClock()
    const storage = new AsyncLocalStorage<string>()
    const found: [string, string | undefined][] = []
    const queue = new DispatchQueue<string, void>(
      async payload => {
        found.push([payload, storage.getStore()])
        storage.enterWith(`${payload}, sync`)
        if (payload === 'a') void queue.put('from within a')
        await turn()
        found.push([payload, storage.getStore()])
        storage.enterWith(`${payload}, later`)
        await turn()
        if (payload === 'b') throw new Error('no')
      },
      { clock, width: 2, context, retry: { attempts: 2, delay: 0 } },
    )
    queue.on('failed', () => {})
    await storage.run('putter', () => queue.putMany(['a', 'b', 'c']))
    await storage.run('other putter', async () => {
      await queue.put('d')
    })

    await queue.idle()

    const first = (name: string): (string | undefined)[] =>
      found.filter(([payload, store]) => payload === name && store !== `${name}, sync`).map(([, store]) => store)
    const put = context === 'put'
    t.deepEqual(first('a'), [put ? 'putter' : undefined])
    t.deepEqual(first('b'), put ? ['putter', 'putter'] : [undefined, undefined])
    t.deepEqual(first('c'), [put ? 'putter' : undefined])
    t.deepEqual(first('d'), [put ? 'other putter' : undefined])
    t.deepEqual(first('from within a'), [put ? 'a, sync' : undefined])
    t.is(found.filter(([payload, store]) => store === `${payload}, sync`).length, 6)
  })
}

test('a handler never finds the store that an earlier handler entered, whether that one was synchronous, failed or finished', async t => {
  const clock = new VirtualClock()
  const storage = new AsyncLocalStorage<number>()
  const found: (number | undefined)[] = []
  const queue = new DispatchQueue<number, void>(
    n => {
      found.push(storage.getStore())
      storage.enterWith(n)
      if (n % 3 === 0) throw new Error('no')
      return n % 3 === 1 ? Promise.resolve() : undefined
    },
    { clock, width: 3 },
  )
  queue.on('failed', () => {})
  queue.on('pending', job => storage.enterWith(-job.payload - 1))
  queue.on('settled', job => storage.enterWith(-job.payload - 1))
  await queue.putMany(Array.from({ length: 20 }, (_, n) => n))

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(found, Array(20).fill(undefined))
})

test('each step of a generator finds the store that its own job entered, however tasks take turns', async t => {
  const clock = new VirtualClock()
  const storage = new AsyncLocalStorage<string>()
  const wrong: unknown[] = []
  const queue = new DispatchQueue<string, void>(
    function* (name) {
      const look = (expected: string | undefined): void => {
        if (storage.getStore() !== expected) wrong.push([name, storage.getStore(), expected])
      }
      look(undefined)
      try {
        for (let step = 0; step < 5; step++) {
          storage.enterWith(`${name} ${step}`)
          yield step % 2 ? Promise.resolve() : undefined
          look(`${name} ${step}`)
        }
      } finally {
        look(`${name} 4`)
      }
    },
    { clock, width: 3 },
  )
  await storage.run('putter', () => queue.putMany(['a', 'b', 'c', 'd']))

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(wrong, [])
  t.is(queue.counts.finished, 4)
})

test.serial('two thousand plain handlers of 0.2 ms each give the loop a turn about each slice', async t => {
  const queue = new DispatchQueue<number, void>(
    () => {
      for (const end = performance.now() + 0.2; performance.now() < end; );
    },
    { width: 10 },
  )
  let turns = 0
  let going = true as boolean
  const count = (): void => {
    turns++
    if (going) setImmediate(count)
  }
  setImmediate(count)
  const began = performance.now()
  await queue.putMany(Array(2_000).fill(0))
  await queue.idle()
  going = false

  const took = performance.now() - began
  t.true(took >= 400, `${took} ms: there was less work than is claimed`)
  // Turns and not milliseconds, for a busy machine may stall any of them. Of 5 ms each they are 80; without slices, two.
  t.true(turns >= 40, `the loop had ${turns} turns in ${took} ms`)
})

type Named = Job<string, string>

test('a pause of all tasks does not park generators that are being closed, and waits for their end', async t => {
  const clock = new VirtualClock()
  const wait = (ms: number): Promise<void> => new Promise(resolve => void clock.at(clock.now() + ms, resolve))
  const queue = new DispatchQueue<string, void>(
    async function* () {
      try {
        yield wait(1_000)
      } finally {
        await wait(50)
      }
    },
    { clock, timeout: 20 },
  )
  queue.on('failed', () => {})
  await queue.put('a')
  await clock.settle()
  await clock.advance(1_010)
  t.is(queue.counts.closing, 1)

  let parked: boolean | undefined
  void queue.pause({ tasks: true }).then(value => (parked = value))
  await clock.settle()
  t.is(parked, undefined)
  await clock.advance(100)

  t.true(parked)
})
