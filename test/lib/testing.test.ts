import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../lib/testing.ts'

test('testing: time stands still until it is turned, and each alarm rings at its instant, in order', async t => {
  const clock = new VirtualClock({ now: 100, wall: 5_000 })
  const rung: (readonly [string, number])[] = []
  clock.at(130, () => rung.push(['late', clock.now()]))
  clock.at(110, () => rung.push(['early', clock.now()]))
  clock.at(110, () => rung.push(['second', clock.now()]))
  clock.at(120, () => rung.push(['never', clock.now()])).cancel()

  await clock.advance(25)
  t.deepEqual(rung, [
    ['early', 110],
    ['second', 110],
  ])
  await clock.advance(5)

  t.deepEqual(rung[2], ['late', 130])
  t.deepEqual([clock.now(), clock.wall()], [130, 5_030])
})

test('testing: a blocked loop rings late, and a jump of the wall clock is none of the steady one', async t => {
  const clock = new VirtualClock()
  let rungAt = 0
  clock.at(10, () => {
    rungAt = clock.now()
  })
  clock.block(50)
  clock.jumpWall(-1_000_000)
  t.is(rungAt, 0)
  await clock.advance(0)

  t.is(rungAt, 50)
  t.is(clock.wall(), 1_700_000_000_050 - 1_000_000)
})

test('testing: the same seed gives the same chances', t => {
  const chances = (seed: number): number[] => {
    const clock = new VirtualClock({ seed })
    return Array.from({ length: 5 }, () => clock.random())
  }

  t.deepEqual(chances(7), chances(7))
  t.notDeepEqual(chances(7), chances(8))
  t.true(chances(7).every(chance => chance >= 0 && chance < 1))
})

test('testing: a scripted handler ends its runs when the test says so', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, number>()
  const queue = new DispatchQueue(handler, { clock, width: 2 })
  const results = [queue.run('a'), queue.run('b')]
  await clock.settle()
  t.deepEqual(
    handler.underway.map(call => call.payload),
    ['a', 'b'],
  )

  handler.underway[1]?.fail(new Error('no'))
  handler.underway[0]?.finish(1)

  t.is(await results[0], 1)
  await t.throwsAsync(results[1] as Promise<number>, { message: 'no' })
  t.deepEqual([handler.called, handler.underway.length], [['a', 'b'], 0])
})

test('testing: drain turns the clock from alarm to alarm until the queue is idle', async t => {
  const clock = new VirtualClock()
  const at: number[] = []
  const queue = new DispatchQueue<number>(() => void at.push(clock.now()), { clock })
  await queue.putMany([0, 5, 90], delay => ({ delay }))

  await drain(queue, clock)

  t.deepEqual(at, [0, 5, 90])
})

test('testing: drain says why when time does not help', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number>(() => {}, { clock, paused: true })
  await queue.put(1)

  await t.throwsAsync(drain(queue, clock), { message: /cannot drain: 1 pending/ })
})
