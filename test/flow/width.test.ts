import { OptionError } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

function parts(options: { width?: number; paused?: boolean } = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, ...options })
  const running = (): string[] => handler.underway.map(call => call.payload)
  return { clock, handler, queue, running }
}

test('a wider queue starts more jobs at once', async t => {
  const { clock, queue, running } = parts()
  await queue.putMany(['a', 'b', 'c', 'd'])
  await clock.settle()
  t.deepEqual(running(), ['a'])

  queue.width = 3
  await clock.settle()

  t.deepEqual(running(), ['a', 'b', 'c'])
})

test('a narrower queue reads as its target at once, interrupts no job and starts none above it', async t => {
  const { clock, handler, queue, running } = parts({ width: 3 })
  await queue.putMany(['a', 'b', 'c', 'd', 'e'])
  await clock.settle()

  queue.width = 1
  t.is(queue.width, 1)
  await clock.settle()
  t.deepEqual(running(), ['a', 'b', 'c'])
  t.true(handler.underway.every(call => !call.task.signal.aborted))
  handler.underway[0]?.finish('')
  await clock.settle()
  t.deepEqual(running(), ['b', 'c'])
  queue.width = 2
  await clock.settle()
  t.deepEqual(running(), ['b', 'c'], 'two run and two may: it holds two')
  handler.underway[0]?.finish('')
  await clock.settle()

  t.deepEqual(running(), ['c', 'd'])
})

test('a width that is made narrower and wide again in one turn changes nothing', async t => {
  const { clock, queue, running } = parts({ width: 2 })
  await queue.putMany(['a', 'b', 'c', 'd'])
  await clock.settle()

  for (let i = 0; i < 10; i++) {
    queue.width = 0
    queue.width = 2
  }
  await clock.settle()

  t.deepEqual(running(), ['a', 'b'])
})

test('a width of 0 stops all until it is wider', async t => {
  const { clock, queue, running } = parts({ width: 0 })
  await queue.putMany(['a', 'b'])
  await clock.advance(86_400_000)
  t.deepEqual(running(), [])
  t.is(queue.counts.pending, 2)

  queue.width = 1
  await clock.settle()

  t.deepEqual(running(), ['a'])
})

test('a width of Infinity starts all jobs, also more than one exchange claims', async t => {
  const { clock, handler, queue } = parts({ width: Infinity })
  await queue.putMany(Array.from({ length: 2_500 }, (_, i) => `${i}`))

  await clock.settle()

  t.is(handler.underway.length, 2_500)
  t.is(queue.counts.underway, 2_500)
})

test('a width that is set while paused is what resume restores, and one given to resume wins', async t => {
  const { clock, queue, running } = parts({ width: 1, paused: true })
  await queue.putMany(['a', 'b', 'c', 'd'])
  queue.width = 2
  await clock.settle()
  t.deepEqual(running(), [])

  queue.resume()
  await clock.settle()
  t.deepEqual(running(), ['a', 'b'])
  void queue.pause()
  queue.width = 0
  queue.resume(3)
  await clock.settle()

  t.is(queue.width, 3)
  t.deepEqual(running(), ['a', 'b', 'c'])
})

test('a width that is not legal is refused and changes nothing', t => {
  const { queue } = parts({ width: 2 })

  for (const bad of [-1, 1.5, NaN, '2', null, undefined]) {
    t.throws(() => (queue.width = bad as number), { instanceOf: OptionError, message: /^width must be a whole number/ })
  }

  t.is(queue.width, 2)
})

test('lower priorities start first, and within one the first that was put', async t => {
  const { clock, handler, queue } = parts({ paused: true })
  const put = (payload: string, priority: number) => queue.put(payload, { priority })
  await Promise.all([put('c', 1), put('a', -5), put('d', 1), put('b', 0.5), put('e', 7), put('f', 1)])

  queue.resume(Infinity)
  await clock.settle()

  t.deepEqual(handler.called, ['a', 'b', 'c', 'd', 'f', 'e'])
})

test('a job put later with a lower priority overtakes waiting jobs, never running ones', async t => {
  const { clock, handler, queue, running } = parts()
  await queue.putMany(['a', 'b'])
  await clock.settle()
  await queue.put('urgent', { priority: -1 })
  await clock.settle()
  t.deepEqual(running(), ['a'])

  handler.underway[0]?.finish('')
  await clock.settle()

  t.deepEqual(running(), ['urgent'])
})

test('a job that goes back takes its old place', async t => {
  const clock = new VirtualClock()
  const called: string[] = []
  const queue = new DispatchQueue<string>(
    (payload, task) => {
      called.push(payload)
      if (payload === 'a' && task.attempt < 3) throw new Error('once more')
    },
    { clock, retry: { attempts: 3, delay: 0 } },
  )
  await queue.putMany(['a', 'b', 'c'])

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(called, ['a', 'a', 'a', 'b', 'c'])
})

test('a handler never runs inside put, resume, a wider width or another handler', async t => {
  const clock = new VirtualClock()
  let inside = false
  const seen: boolean[] = []
  const queue = new DispatchQueue<number>(
    n => {
      seen.push(inside)
      inside = true
      if (n > 0) void queue.put(n - 1)
      queue.width++
      inside = false
    },
    { clock, paused: true },
  )
  inside = true
  const put = queue.put(3)
  queue.resume(2)
  inside = false
  await put

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(seen, [false, false, false, false])
})

test('a first rate also holds jobs that were claimed before and not called', async t => {
  const clock = new VirtualClock()
  const startedAt: number[] = []
  const queue: DispatchQueue<number> = new DispatchQueue<number>(
    n => {
      startedAt.push(clock.now())
      if (n === 0) queue.rate = { limit: 1, per: 100 }
    },
    { clock, width: 10, paused: true },
  )
  await queue.putMany([0, 1, 2, 3])
  queue.resume()

  await drain(queue, clock)

  // The first started under no rate, which remembers nothing.
  t.deepEqual(startedAt, [0, 0, 100, 200])
  await queue.stop()
})

for (const change of ['cancel', 'remove', 'reprioritize'] as const) {
  test(`a job behind one that waits for the rate starts at once when a ${change} removes the one ahead`, async t => {
    const clock = new VirtualClock()
    const handler = scripted<string, string>()
    const rate = { limit: 10, per: '1h', of: 'tokens' } as const
    const queue = new DispatchQueue<string, string>(handler, { clock, width: 9, rate })
    await queue.put('a', { cost: { tokens: 5 } })
    const b = await queue.put('b', { cost: { tokens: 10 } })
    const c = await queue.put('c', { cost: { tokens: 5 } })
    await clock.settle()

    if (change === 'reprioritize') await queue.reprioritize(c, -1)
    else await queue[change](b)
    await clock.settle()

    t.deepEqual(
      handler.underway.map(({ payload }) => payload),
      ['a', 'c'],
    )
  })
}
