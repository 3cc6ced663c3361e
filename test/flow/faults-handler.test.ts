/**
 * Faults of handlers: rows F30 and F35 to F37 of our fault catalogue, F8 and F11 as they concern a queue in memory.
 * What handlers throw (F34) is in faults-error.test.ts.
 *
 * Held elsewhere already:
 * - F30, a timeout keeps its slot: retry.test.ts, "a timeout with no attempt left settles at once, and its slot stays taken …"
 * - F30, a cancelled one keeps it too: retry.test.ts, "cancelling a running job settles it at once and frees no slot"
 * - F30, a stuck one is reported: retry.test.ts, "a body that goes on for ten seconds after its abort is reported as stuck"
 * - F35, progress after the end: events.test.ts, "progress is emitted while the run is open"
 * - F36, a thenable within a generator: lib/cooperate/cooperator.test.ts, "a thenable that answers at once and twice …"
 */
import { Readable } from 'node:stream'
import { type Job, TimeoutError } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test, unrun } from '../support/backlog-under-test.ts'
import { child } from '../support/child-process.ts'

const never = (): Promise<never> => new Promise(() => {})

type Then = (take: (value: string) => void, refuse: (error: unknown) => void) => void

/** No promise, but something that has a `then`. */
const thenable = (then: Then): PromiseLike<string> => ({ then }) as unknown as PromiseLike<string>

test('F30: a handler that never settles keeps its slot, and is reported as stuck once', async t => {
  const clock = new VirtualClock()
  const called: string[] = []
  const queue = new DispatchQueue<string, void>(
    payload => {
      called.push(payload)
      return never()
    },
    { clock, timeout: '1s' },
  )
  const stuck: Job[] = []
  queue.on('stuck', job => stuck.push(job as Job))
  const [hangs, waits] = (await queue.putMany(['hangs', 'waits'])) as [Job<string, void>, Job<string, void>]
  const result = t.throwsAsync(hangs.result, { instanceOf: TimeoutError })

  await clock.advance(86_400_000)
  await result

  t.deepEqual(stuck, [hangs as Job])
  t.deepEqual(called, ['hangs'])
  t.deepEqual([queue.counts.closing, queue.counts.pending, queue.counts.failed], [1, 1, 1])
  t.is((await queue.explain(waits)).why, 'width')
})

test('F30: stop reports a body that never ends as abandoned, also when its job has failed before', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>(never, { clock, timeout: '1s' })
  queue.on('failed', () => {})
  const [hangs, waits] = await queue.putMany(['hangs', 'waits'])
  await clock.advance(1_000)

  const stop = queue.stop({ cancelUnderway: true })
  await clock.advance(5_000)
  const { abandoned } = await stop

  t.deepEqual(
    (await unrun(queue)).map(({ id }) => id),
    [waits?.id],
  )
  t.deepEqual(abandoned, [hangs])
})

test('F30: a job whose body never settles fails as stuck, and does not run beside itself although attempts are left', async t => {
  const clock = new VirtualClock()
  let runs = 0
  const queue = new DispatchQueue<string, void>(
    () => {
      runs++
      return never()
    },
    { clock, width: 9, timeout: '1s', retry: { attempts: 5, delay: 0 } },
  )
  const job = await queue.put('hangs')
  const stuck: Job[] = []
  queue.on('stuck', job => stuck.push(job as Job))

  await clock.advance(86_400_000)

  t.is(runs, 1)
  t.is(job.state, 'failed')
  t.like(job.error, { code: 'TIMEOUT', stuck: true })
  t.is(queue.counts.closing, 1)
  t.deepEqual(stuck, [job as Job])
  const stop = queue.stop({ cancelUnderway: true })
  await clock.advance(5_000)
  t.deepEqual((await stop).abandoned, [job])
})

test('F30: a generator that waits for ever is closed at its timeout and gives its slot back', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const queue = new DispatchQueue<string, void>(
    function* (payload) {
      log.push(payload)
      try {
        if (payload === 'hangs') yield never()
      } finally {
        log.push(`${payload} closed`)
      }
    },
    { clock, timeout: '1s' },
  )
  queue.on('failed', () => {})
  await queue.putMany(['hangs', 'next'])

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log, ['hangs', 'hangs closed', 'next', 'next closed'])
  t.is(queue.counts.closing, 0)
})

test('F35: a promise with its own then() that settles twice does not end the next job', async t => {
  const twice = (): Promise<string> =>
    Object.assign(Promise.resolve('first'), {
      // biome-ignore lint/suspicious/noThenProperty: a promise that answers twice is what this is about.
      then(take: (value: string) => void): void {
        take('first')
        setTimeout(() => take('late'), 5)
      },
    })
  const clock = new VirtualClock()
  let finish = (_: string): void => {}
  const queue = new DispatchQueue<string, string>(
    payload => (payload === 'twice' ? twice() : new Promise(resolve => (finish = resolve))),
    { clock },
  )
  t.is(await queue.run('twice'), 'first')
  const next = queue.run('next')
  await clock.settle()

  await new Promise(resolve => setTimeout(resolve, 10))
  t.is(queue.counts.underway, 1)
  finish('its own')

  t.is(await next, 'its own')
})

test('F35: the first settlement of a thenable that settles repeatedly counts', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    () =>
      thenable((take, refuse) => {
        take('first')
        refuse(new Error('second'))
        take('third')
        throw new Error('fourth')
      }),
    { clock },
  )
  const endings: string[] = []
  queue.on('settled', job => endings.push(job.state))

  t.is(await queue.run('a'), 'first')

  await clock.settle()
  t.deepEqual(endings, ['finished'])
  t.deepEqual([queue.counts.finished, queue.counts.failed, queue.counts.underway], [1, 0, 0])
})

for (const late of ['finish', 'fail'] as const) {
  test(`F35: a body that goes on to ${late} after its timeout changes nothing but its slot`, async t => {
    const clock = new VirtualClock()
    const handler = scripted<string, string>()
    const queue = new DispatchQueue<string, string>(handler, { clock, timeout: 100 })
    const endings: string[] = []
    queue.on('settled', job => endings.push(`${job.payload} ${job.state}`))
    const job = await queue.put('a')
    await clock.advance(100)
    const error = job.error
    t.true(error instanceof TimeoutError)
    const [call] = handler.underway

    if (late === 'finish') call?.finish('late')
    else call?.fail(new Error('late'))
    await clock.advance(1_000)

    t.deepEqual(endings, ['a failed'])
    t.is(job.error, error)
    t.is(await t.throwsAsync(job.result), error as Error)
    t.deepEqual([queue.counts.failed, queue.counts.finished, queue.counts.closing], [1, 0, 0])
  })
}

test('F36: then() of a thenable is called once, and one that throws fails its job', async t => {
  const clock = new VirtualClock()
  let requested = 0
  const queue = new DispatchQueue<string, string>(
    payload =>
      thenable(take => {
        requested++
        if (payload === 'bad') throw new Error('will not say')
        take('said')
      }),
    { clock },
  )

  t.is(await queue.run('good'), 'said')
  await t.throwsAsync(queue.run('bad'), { message: 'will not say' })

  t.is(requested, 2)
})

test('F36: streams, iterables and objects that only look like iterators are plain values, and are not read', async t => {
  const clock = new VirtualClock()
  const stream = Readable.from(['a'])
  const unread = (): never => t.fail('it was read') as never
  const values = {
    stream,
    iterable: { [Symbol.iterator]: unread },
    asyncIterable: { [Symbol.asyncIterator]: unread },
    page: { next: unread, items: [] },
    link: { next: '/page/2', [Symbol.iterator]: unread },
    array: [1, 2],
    map: new Map([[1, 2]]),
    bytes: new Uint8Array(2),
    text: new String('two'),
  }
  const queue = new DispatchQueue<keyof typeof values, unknown>(name => values[name] as unknown, { clock })

  for (const name of Object.keys(values) as (keyof typeof values)[]) t.is(await queue.run(name), values[name])
  t.is(stream.readableFlowing, null)
})

test('F36: a generator that is cancelled runs its finally, and its slot is free only after that', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  let clean: () => void = () => {}
  const queue = new DispatchQueue<string, void>(
    function* (payload) {
      log.push(payload)
      if (payload === 'next') return
      try {
        yield never()
      } finally {
        yield new Promise<void>(resolve => {
          clean = resolve
        })
        log.push('cleaned')
      }
    },
    { clock },
  )
  const [job] = (await queue.putMany(['cut', 'next'])) as [Job<string, void>, unknown]
  await clock.settle()

  await job.cancel()
  await clock.settle()
  t.deepEqual(log, ['cut'])
  t.is(queue.counts.closing, 1)
  clean()
  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log, ['cut', 'cleaned', 'next'])
})

test.inMemory('F36: a generator whose finally never ends blocks neither the event loop nor stop', async t => {
  const { code, stdout, output } = await child(
    `
    const queue = new rdq.DispatchQueue(function* () {
      try { for (;;) yield } finally { for (;;) yield }
    })
    const job = await queue.put('a')
    setTimeout(async () => {
      await job.cancel()
      await new Promise(resolve => setTimeout(resolve, 20))
      print('the loop turns')
      process.exit(0)
    }, 20)`,
  )

  t.is(code, 0, output)
  t.is(stdout, 'the loop turns\n')
})

test('F37: a generator that yields for ever blocks neither the loop, nor other jobs, nor a stop', async t => {
  const log: string[] = []
  let steps = 0
  const queue = new DispatchQueue<string, string>(
    function* (payload) {
      try {
        for (let i = 0; payload === 'poisoned' || i < 1_000; i++) {
          steps++
          yield
        }
        return payload
      } finally {
        log.push(`${payload} closed`)
      }
    },
    { width: 3 },
  )
  await queue.put('poisoned')
  let turns = 0
  const tick = setInterval(() => turns++, 1)
  t.teardown(() => clearInterval(tick))

  t.deepEqual(await Promise.all([queue.run('a'), queue.run('b')]), ['a', 'b'])
  while (turns < 3) await new Promise(resolve => setImmediate(resolve))
  const { abandoned } = await queue.stop({ cancelUnderway: true })

  t.true(steps >= 2_000)
  t.deepEqual([(await unrun(queue)).length, abandoned.length], [1, 0])
  t.deepEqual(log, ['a closed', 'b closed', 'poisoned closed'])
})

test('F8: a loop that is blocked past many windows starts no more in any window than the rate allows', async t => {
  const clock = new VirtualClock()
  const starts: number[] = []
  const queue = new DispatchQueue<number, void>(
    n => {
      starts.push(clock.now())
      if (n % 5 === 0) clock.block(2_700)
    },
    { clock, width: 4, rate: { limit: 3, per: '1s' } },
  )
  await queue.putMany(Array.from({ length: 30 }, (_, i) => i))

  await drain(queue as DispatchQueue, clock)

  t.is(starts.length, 30)
  for (const start of starts) {
    const window = starts.filter(other => other > start - 1_000 && other <= start)
    t.true(window.length <= 3, `${window.length} in the second before ${start}`)
  }
})

test('F8: a late timeout after a blocked loop is decided by what happened in time', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    payload => {
      clock.block(10_000)
      return payload
    },
    { clock, timeout: '1s' },
  )

  const result = queue.run('a')
  await clock.advance(1)

  t.is(await result, 'a', 'it has ended before anybody could look')
})

test('F11: jumps of the wall clock affect neither the rate, nor a backoff, nor a timeout', async t => {
  const clock = new VirtualClock()
  const log: [string, number][] = []
  const queue = new DispatchQueue<string, void>(
    (payload, task) => {
      log.push([payload, clock.now()])
      clock.jumpWall(log.length % 2 ? 86_400_000 : -3 * 86_400_000)
      if (payload !== 'hangs' && task.attempt === 1) throw new Error('once more')
      return payload === 'hangs' ? never() : undefined
    },
    { clock, width: 5, rate: { limit: 1, per: '10s' }, retry: { attempts: 2, delay: '15s', jitter: false } },
  )
  queue.on('failed', () => {})
  await queue.putMany(['a', 'b'])
  const hangs = await queue.put('hangs', { timeout: '3s', retry: 1 })

  await clock.advance(60_000)

  t.deepEqual(log, [
    ['a', 0],
    ['b', 10_000],
    ['a', 20_000],
    ['b', 30_000],
    ['hangs', 40_000],
  ])
  t.is(hangs.state, 'failed')
  t.true(hangs.error instanceof TimeoutError)
})
