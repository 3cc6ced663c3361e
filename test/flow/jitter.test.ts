import { Throttled } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

const rule = { limit: 2, per: '1s', jitter: 'learn' } as const
const parsed = { limit: 2, perMs: 1_000, unit: undefined, burst: undefined, jitter: 'learn' } as const

/** Two jobs at once, and two as soon as the rule allows; the first of these is refused, although the rule was kept. */
async function refusedOnce(options: object = {}) {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const handler = scripted<string, void>()
  const queue = new DispatchQueue<string, void>(handler, {
    clock,
    backlog,
    name: 'q',
    width: 10,
    rate: rule,
    ...options,
  })
  const seen: unknown[] = []
  queue.on('rate', (now, before) => seen.push([now[0]?.jitterMs, before[0]?.jitterMs]))
  queue.on('limited', ({ rule }) => rule && seen.push(rule.jitterMs))
  await queue.putMany(['a', 'b', 'c', 'd', 'e', 'f'], { key: 'acme' })
  await clock.advance(0)
  handler.underway[0]?.finish()
  handler.underway[0]?.finish()
  await clock.advance(1_000)
  return { clock, backlog, queue, handler, seen }
}

test('learn: a Throttled although the rule was kept lengthens the window; rate, limited and explain show it', async t => {
  const { clock, queue, handler, seen } = await refusedOnce()
  t.deepEqual(
    handler.underway.map(({ payload }) => payload),
    ['c', 'd'],
  )
  t.deepEqual(queue.rate, [{ ...parsed, jitterMs: 0 }])

  handler.underway[0]?.fail(new Throttled(1))
  await clock.advance(5)

  t.deepEqual(queue.rate, [{ ...parsed, jitterMs: 10 }])
  t.deepEqual(seen.slice(0, 2), [0, [10, 0]])
  const { why, rule, notBefore } = await queue.explain((await queue.jobs({ state: 'pending' }))[0] as never)
  t.deepEqual([why, rule?.jitterMs, (notBefore as number) - clock.wall()], ['rate', 10, 2_010 - 1_005])
  await clock.advance(1_004)
  t.deepEqual(
    handler.underway.map(({ payload }) => payload),
    ['d'],
  )
  await clock.advance(1)
  t.deepEqual(
    handler.underway.map(({ payload }) => payload),
    ['d', 'c', 'e'],
  )
  await clock.advance(1)
  t.is(seen.at(-1), 10)
})

test('learn: a rate that is read and set again keeps its learned jitter', async t => {
  const { clock, queue, handler, seen } = await refusedOnce()
  handler.underway[0]?.fail(new Throttled(1))
  await clock.advance(1)
  seen.length = 0

  const { rate } = queue
  queue.rate = rate
  await clock.advance(10)

  t.deepEqual(queue.rate, [{ ...parsed, jitterMs: 10 }])
  t.deepEqual(seen.filter(Array.isArray), [[10, 10]])
  queue.rate = { limit: 4, per: '1s', jitter: 'learn' }
  await clock.advance(10)
  t.deepEqual(queue.rate, [{ ...parsed, limit: 4, jitterMs: 10 }])
})

test('learn: a Throttled for another key than that of the job, or without a start of its own, teaches nothing', async t => {
  const { clock, queue, handler } = await refusedOnce()

  handler.underway[0]?.fail(new Throttled(1, { key: 'other' }))
  await clock.advance(10)

  t.is(queue.rate[0]?.jitterMs, 0)
})

test('learn: the rate of a key learns too', async t => {
  const { clock, queue, handler } = await refusedOnce({ rate: undefined, keys: { rate: rule } })

  handler.underway[0]?.fail(new Throttled(1, { key: 'acme' }))
  await clock.advance(5)

  const { why, rule: found } = await queue.explain((await queue.jobs({ state: 'pending' }))[0] as never)
  t.deepEqual([why, found?.jitterMs], ['rate', 10])
})

test('learn: the next queue that opens the name continues with the learned jitter', async t => {
  const { clock, backlog, queue, handler } = await refusedOnce()
  handler.underway[0]?.fail(new Throttled(1))
  await clock.advance(1)
  handler.underway[0]?.finish()
  await clock.advance(1)
  const stopped = queue.stop()
  await clock.advance(1)
  await stopped
  const next = new DispatchQueue<string, void>(handler, { clock, backlog, name: 'q', width: 10, rate: rule })
  await next.ready()

  t.is(next.rate[0]?.jitterMs, 10)
})
