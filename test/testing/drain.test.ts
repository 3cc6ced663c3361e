import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'

test('testing: drain turns the clock from alarm to alarm until the queue is idle', async t => {
  const clock = new VirtualClock()
  const at: number[] = []
  const queue = new DispatchQueue<number>(() => void at.push(clock.now()), { clock })
  await queue.putMany([0, 5, 90], delay => ({ delay }))

  await drain(queue, clock)

  t.deepEqual(at, [0, 5, 90])
})

test('testing: drain reports the cause if passing time does not help', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number>(() => {}, { clock, paused: true })
  await queue.put(1)

  await t.throwsAsync(drain(queue, clock), { message: /cannot drain: 1 pending/ })
})
