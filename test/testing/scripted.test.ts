import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'

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
