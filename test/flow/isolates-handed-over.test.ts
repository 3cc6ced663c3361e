/** Jobs that were handed over to an isolate and have not started, because its loop is blocked. In simulated time. */
import type { QueueOptions } from '../../lib/index.ts'
import { VirtualClock } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'
import { BlockableClock, SimulatedIsolates } from '../support/simulated-isolates.ts'

interface Start {
  readonly name: string
  readonly atMs: number
  readonly attempt: number
}

/** A queue with one isolate, whose module is loaded. */
async function staged(options: QueueOptions<string, string> = {}, bodyMs = 5) {
  const clock = new VirtualClock()
  const loop = new BlockableClock(clock)
  const starts: Start[] = []
  const isolates = new SimulatedIsolates(
    clock,
    new Chance(1),
    async (name: string, { attempt }, isolate) => {
      starts.push({ name, atMs: clock.now(), attempt })
      await isolate.sleep(bodyMs)
      return name
    },
    { start: () => loop, died: () => {} },
  )
  const queue = new DispatchQueue<string, string>(isolates.handler as never, {
    ...{ name: 'q', clock, width: 3, isolate: { kind: 'process', count: 1 }, keep: { finished: '1d' } },
    ...options,
  })
  /** The clock is turned meanwhile. */
  const turned = async <T>(promise: Promise<T>, ms = 5): Promise<T> => {
    await clock.advance(ms)
    return promise
  }
  await turned(queue.ready(), 50)
  const names = (): readonly string[] => starts.map(({ name }) => name)
  return { clock, turned, loop, queue, starts, names }
}

test('a job whose start would come too late for its rate goes back, and its start is given back', async t => {
  // So a job that was granted may start within the next 50 ms.
  const { clock, turned, loop, queue, starts, names } = await staged({ rate: { limit: 1, per: 1_000 } })
  let returned = 0
  loop.block()
  const [first, second] = await turned(queue.putMany(['first', 'second']))
  queue.on('pending', () => {
    returned++
  })
  await clock.advance(80)
  t.is(first?.state, 'underway')
  t.deepEqual(names(), [])
  const unblockedAtMs = clock.now()
  loop.unblock()
  await clock.advance(30)

  t.is(returned, 1)
  t.deepEqual(names(), ['first'])
  t.true((starts[0] as Start).atMs < unblockedAtMs + 30, 'it does not wait for the next window')
  t.deepEqual([starts[0]?.attempt, first?.state, second?.state], [1, 'finished', 'pending'])
  await clock.advance(2_000)
  t.deepEqual(names(), ['first', 'second'])
  t.true((starts[1] as Start).atMs >= (starts[0] as Start).atMs + 1_000)
  await turned(queue.stop(), 2_000)
})

test('a job whose start comes in time is not sent back, however long its isolate was blocked before', async t => {
  const { clock, turned, loop, queue, starts } = await staged({ rate: { limit: 1, per: 1_000 } })

  loop.block()
  const job = await turned(queue.put('in time'))
  await clock.advance(35)
  loop.unblock()
  await clock.advance(20)

  t.deepEqual([job.state, starts.length], ['finished', 1])
  await turned(queue.stop(), 2_000)
})

test('the rate counts a start from the report that its first line has run, although the body goes on', async t => {
  const { clock, turned, queue, starts } = await staged({ rate: { limit: 1, per: 1_000 } }, 10_000)

  await turned(queue.putMany(['first', 'second', 'third']))
  await clock.advance(3_000)

  t.is(starts.length, 3)
  for (const i of [1, 2]) {
    const betweenMs = (starts[i] as Start).atMs - (starts[i - 1] as Start).atMs
    t.true(betweenMs >= 1_000 && betweenMs < 1_030, `${betweenMs} ms`)
  }
  await turned(queue.stop({ cancelUnderway: true }), 20_000)
})

test('a pause withdraws jobs that were handed over and have not started, and is over once they are back', async t => {
  const { clock, turned, loop, queue, names, starts } = await staged()

  loop.block()
  const jobs = await turned(queue.putMany(['a', 'b', 'c']))
  await clock.advance(10)
  t.is(queue.counts.underway, 3)
  let paused: unknown
  void queue.pause().then(drained => {
    paused = drained
  })
  await clock.advance(100)
  t.is(paused, undefined, 'an isolate that is blocked may start them at any moment')
  loop.unblock()
  await clock.advance(20)

  t.is(paused, true)
  t.deepEqual(names(), [])
  t.deepEqual(
    jobs.map(({ state, attempt }) => [state, attempt]),
    Array(3).fill(['pending', 0]),
  )
  queue.resume()
  await clock.advance(50)
  t.deepEqual(names(), ['a', 'b', 'c'])
  t.true(starts.every(({ attempt }) => attempt === 1))
  await turned(queue.stop(), 2_000)
})

test('a stop withdraws jobs that were handed over and have not started', async t => {
  const { clock, turned, loop, queue, names } = await staged()

  loop.block()
  await turned(queue.putMany(['a', 'b', 'c']))
  await clock.advance(10)
  const stopped = queue.stop()
  await clock.advance(10)
  loop.unblock()
  await clock.advance(2_000)

  const { returned, left, abandoned } = await stopped
  t.deepEqual([returned.length, left, abandoned.length], durable() ? [0, 3, 0] : [3, 0, 0])
  t.deepEqual(names(), [])
})

test('a narrower width withdraws jobs that were handed over and have not started, and holds for them', async t => {
  const { clock, turned, loop, queue, names, starts } = await staged()

  loop.block()
  await turned(queue.putMany(['a', 'b', 'c']))
  await clock.advance(10)
  queue.width = 1
  await clock.advance(10)
  loop.unblock()
  await clock.advance(100)

  t.deepEqual(names(), ['a', 'b', 'c'])
  for (const [i, { atMs }] of starts.entries()) if (i > 0) t.true(atMs >= (starts[i - 1] as Start).atMs + 5)
  await turned(queue.stop(), 2_000)
})

test('the answer of an isolate to a pause that was over by then does not count for the next pause', async t => {
  const clock = new VirtualClock()
  let steps = 0
  const isolates = new SimulatedIsolates(clock, new Chance(1), function* (_: string, __, isolate) {
    for (;;) {
      steps++
      yield isolate.sleep(0.2)
    }
  })
  const queue = new DispatchQueue<string, string>(isolates.handler as never, {
    ...{ name: 'q', clock, isolate: { kind: 'process', count: 1 } },
  })
  await clock.advance(50)
  const put = queue.put('endless')
  await clock.advance(50)
  await put
  void queue.pause({ tasks: true })
  queue.resume()
  await clock.advance(50)

  let stepsAtPause: number | undefined
  void queue.pause({ tasks: true }).then(() => {
    stepsAtPause = steps
  })
  const stepsBefore = steps
  await clock.advance(50)

  t.true(steps > stepsBefore, 'the request takes a while to arrive')
  t.is(stepsAtPause, steps)
  const stopped = queue.stop({ cancelUnderway: true })
  await clock.advance(20_000)
  await stopped
})
