import test from 'ava'
import { adapt, type ClassifiedRun } from '../../lib/adaptive/index.ts'
import { DispatchQueue, OptionError, QueueStoppedError, Throttled } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { SimulatedServer } from '../support/simulated-server.ts'

/** A queue with a scripted handler that always has work, and the reasons of its `width` events. */
async function scriptedQueue(width: number) {
  const clock = new VirtualClock()
  const handler = scripted<number, void>()
  const queue = new DispatchQueue(handler, { clock, width, retry: { attempts: 100, delay: 1 } })
  const reasons: (string | undefined)[] = []
  queue.on('width', (_now, _before, reason) => void reasons.push(reason))
  await queue.putMany(Array.from({ length: 1_000 }, (_, n) => n))
  await clock.settle()
  const end = async (): Promise<void> => {
    const stopped = queue.stop()
    for (const call of [...handler.underway]) call.finish()
    await clock.settle()
    await stopped
  }
  return { clock, handler, queue, reasons, end }
}

for (const [algorithm, refusesAt] of [
  ['aimd', 1.2],
  ['gradient', undefined],
] as const) {
  test(`adaptive: with ${algorithm} a queue finds the capacity of a service, also when half of it is lost`, async t => {
    const clock = new VirtualClock()
    const capacity = (now: number): number => (now < 15_000 ? 24 : 12)
    const server = new SimulatedServer({ clock, capacity, workMs: () => 400, loss: 0.2, refusesAt })
    const request = (): Promise<void> =>
      new Promise((resolve, reject) => {
        server.request(refused => (refused ? reject(Object.assign(new Error('503'), { status: 503 })) : resolve()))
      })
    const queue = new DispatchQueue(request, { clock, width: 8, retry: { attempts: Infinity, delay: 1 } })
    await queue.putMany(Array.from({ length: 5_000 }, () => undefined))
    const adaptation = adapt(queue, { max: 200, algorithm })

    await clock.advance(15_000)
    const before = adaptation.width
    await clock.advance(15_000)
    const after = adaptation.width

    t.true(before > 16 && before < 36, String(before))
    t.true(after > 8 && after < 18, String(after))
    const stopped = queue.stop({ cancelUnderway: true })
    await clock.advance(5_000)
    await stopped
  })

  test(`adaptive: with ${algorithm} a key finds the capacity of its service, and the queue keeps its width`, async t => {
    const clock = new VirtualClock()
    const server = new SimulatedServer({ clock, capacity: () => 12, workMs: () => 400, loss: 0.2, refusesAt })
    const request = (key: string): Promise<void> =>
      key === 'b'
        ? new Promise(resolve => clock.at(clock.now() + 100, resolve))
        : new Promise((resolve, reject) => {
            server.request(refused => (refused ? reject(Object.assign(new Error('503'), { status: 503 })) : resolve()))
          })
    const retry = { attempts: Infinity, delay: 1, jitter: false }
    const queue = new DispatchQueue(request, { clock, width: 50, retry, keys: { width: 4 } })
    await queue.putMany(Array<string>(1_000).fill('a'), { key: 'a' })
    await queue.putMany(Array<string>(100).fill('b'), { key: 'b' })
    queue.key('a').width = 8
    const adaptation = adapt(queue, { key: 'a', max: 40, algorithm })

    await clock.advance(16_000)

    const { width } = adaptation
    t.true(width > 5 && width < 19, String(width))
    t.deepEqual([queue.width, queue.key('a').width, queue.key('b').width], [50, width, 4])
    const stopped = queue.stop({ cancelUnderway: true })
    await clock.advance(5_000)
    await stopped
  })
}

test('adaptive: the width event has the reason as a sentence; without a controller it has none', async t => {
  const { clock, handler, queue, reasons, end } = await scriptedQueue(1)
  queue.width = 2
  adapt(queue, { max: 10 })
  await clock.settle()

  for (let n = 0; n < 4; n++) {
    await clock.advance(10)
    handler.underway[0]?.finish()
    await clock.settle()
  }
  await clock.advance(10)
  handler.underway[0]?.fail(new Throttled(1))
  await clock.settle()

  t.deepEqual(reasons, [
    undefined,
    'Widened from 2 to 3: 2 runs in a row ended well with all slots taken.',
    'Narrowed from 3 to 2: a run was overloaded.',
  ])
  await end()
})

test('adaptive: the controller gets run times, which exclude the time that a job waits', async t => {
  const { clock, handler, queue, end } = await scriptedQueue(1)
  const runs: ClassifiedRun<number, void>[] = []
  const classify = (run: ClassifiedRun<number, void>) => {
    runs.push(run)
    return 'ignore' as const
  }
  adapt(queue, { max: 10, classify })
  // Launched before the controller came, so its run time is unknown.
  handler.underway[0]?.finish()
  await clock.settle()

  await clock.advance(30)
  handler.underway[0]?.finish()
  await clock.settle()
  await clock.advance(5_000)
  const failure = new Error('no')
  handler.underway[0]?.fail(failure)
  await clock.settle()

  t.deepEqual(
    runs.map(({ job, error, runMs }) => [job.payload, error, runMs]),
    [
      [1, undefined, 30],
      [2, failure, 5_000],
    ],
  )
  t.is(queue.width, 1)
  await end()
})

test('adaptive: runs that a cancel cut short are not classified', async t => {
  const { clock, handler, queue, end } = await scriptedQueue(2)
  const classified: unknown[] = []
  adapt(queue, { max: 10, classify: ({ job }) => (classified.push(job.payload) > 0 ? 'ok' : 'ignore') })
  for (const call of [...handler.underway]) call.finish()
  await clock.settle()

  const [job] = queue.underway()
  await job?.cancel()
  for (const call of [...handler.underway]) call.finish()
  await clock.settle()

  t.deepEqual(classified, [3])
  await end()
})

test('adaptive: the controller starts from the current width, brought within the bounds', async t => {
  for (const [width, expected] of [
    [5, 5],
    [1, 2],
    [100, 8],
    [Infinity, 8],
    [0, 2],
  ] as const) {
    const queue = new DispatchQueue(async () => {}, { width })
    const { width: adapted } = adapt(queue, { min: 2, max: 8 })
    t.deepEqual([adapted, queue.width], [expected, expected])
    await queue.stop()
  }
})

test('adaptive: the controller continues from a width set by hand, and one out of bounds suspends it until one within them', async t => {
  const { clock, handler, queue, end } = await scriptedQueue(1)
  adapt(queue, { max: 10 })
  const endAll = async (): Promise<void> => {
    await clock.advance(10)
    for (const call of [...handler.underway]) call.finish()
    await clock.settle()
  }
  await endAll()
  await endAll()
  t.is(queue.width, 2)

  queue.width = 0
  await endAll()
  await endAll()
  t.deepEqual([queue.width, handler.underway.length], [0, 0])

  queue.width = 20
  await clock.advance(10)
  handler.underway[0]?.fail(Object.assign(new Error('refused'), { status: 503 }))
  await clock.settle()
  t.is(queue.width, 20)
  await endAll()

  queue.width = 4
  await clock.settle()
  await endAll()
  await endAll()
  t.true(queue.width > 4)
  await end()
})

test('adaptive: after stop() the width stays as it is, and another adaptation may begin', async t => {
  const { clock, handler, queue, end } = await scriptedQueue(1)
  const adaptation = adapt(queue, { max: 10 })
  t.throws(() => adapt(queue, { max: 10 }), { instanceOf: OptionError, message: /adapted already/ })

  adaptation.stop()
  for (let n = 0; n < 5; n++) {
    await clock.advance(10)
    handler.underway[0]?.finish()
    await clock.settle()
  }

  t.is(queue.width, 1)
  const second = adapt(queue, { max: 10 })
  adaptation.stop()
  t.throws(() => adapt(queue, { max: 10 }), { message: /adapted already/ }, 'the first stop() must not end the second')
  second.stop()
  await end()
})

test('adaptive: a stop of the queue ends the adaptation, and its last runs change no width', async t => {
  const { clock, handler, queue, reasons } = await scriptedQueue(1)
  adapt(queue, { max: 10 })
  const stopped = queue.stop()
  for (const call of [...handler.underway]) call.finish()
  await clock.settle()
  await stopped

  t.deepEqual(reasons, [])
  t.throws(() => adapt(queue, { max: 10 }), { instanceOf: QueueStoppedError })
})

test('adaptive: a classify that throws, or answers something else, is reported, and its run is ignored', async t => {
  const { clock, handler, queue, end } = await scriptedQueue(1)
  const errors: unknown[] = []
  queue.on('error', (error, { job }) => void errors.push([error, job?.payload]))
  const failure = new Error('planted')
  const answers = [
    () => {
      throw failure
    },
    () => 'fine' as 'ok',
  ]
  adapt(queue, { max: 10, classify: () => (answers.shift() ?? (() => 'ignore' as const))() })
  for (let n = 0; n < 4; n++) {
    await clock.advance(10)
    handler.underway[0]?.finish()
    await clock.settle()
  }

  t.deepEqual(errors[0], [failure, 1])
  t.regex(String((errors[1] as unknown[])[0]), /adapt\.classify must return 'ok', 'overload' or 'ignore', got 'fine'/)
  t.deepEqual([errors.length, queue.width], [2, 1])
  await end()
})

test('adaptive: a wrong option is refused by its name', async t => {
  const queue = new DispatchQueue(async () => {})
  const wrong: readonly [unknown, RegExp][] = [
    [{}, /^adapt\.max must be a whole number of 1 or more, got undefined/],
    [{ max: 0 }, /^adapt\.max must be/],
    [{ max: Infinity }, /^adapt\.max must be a whole number of 1 or more, got Infinity/],
    [{ max: 2.5 }, /^adapt\.max/],
    [{ min: 0, max: 5 }, /^adapt\.min must be a whole number of 1 or more, got 0/],
    [{ min: 6, max: 5 }, /^adapt\.max must be a whole number of 6 or more, got 5/],
    [{ max: 5, algorithm: 'vegas' }, /^adapt\.algorithm must be 'aimd' or 'gradient', got 'vegas'/],
    [{ max: 5, classify: 'ok' }, /^adapt\.classify must be a function/],
    [{ max: 5, clasify: () => 'ok' }, /classify/],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => adapt(queue, options as never), { instanceOf: OptionError, message }, JSON.stringify(options))
  }
  t.throws(() => adapt({ width: 1 } as never, { max: 5 }), { message: /queue must be a DispatchQueue/ })
  await queue.stop()
})

test('adaptive: a value that is no queue is refused by name, a revoked proxy too', t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()

  for (const value of [proxy, {}, null, Symbol('queue')]) {
    t.throws(() => adapt(value as never, { max: 5 }), { code: 'OPTION', message: /^queue must be a DispatchQueue/ })
  }
})
