/** `adapt(queue, { key })`: the width of one key finds itself, by the runs of its own jobs. */
import { adapt } from '../../lib/adaptive/index.ts'
import { OptionError, Throttled } from '../../lib/index.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

/** A queue with a scripted handler in which `a` and `b` always have work, and what its `width` events say. */
async function scriptedQueue(keyWidth: number) {
  const clock = new VirtualClock()
  const handler = scripted<string, void>()
  const retry = { attempts: 100, delay: 1, jitter: false }
  const queue = new DispatchQueue(handler, { clock, width: 20, paused: true, retry, keys: { width: keyWidth } })
  const widths: unknown[] = []
  queue.on('width', (...args) => void widths.push(args))
  for (const key of ['a', 'b']) await queue.putMany(Array<string>(60).fill(key), { key })
  const start = async (): Promise<void> => {
    queue.resume()
    await clock.settle()
  }
  const running = (key: string) => handler.underway.filter(({ payload }) => payload === key)
  /** Ends all runs of the key that there are now. */
  const endAll = async (key: string, error?: Error): Promise<void> => {
    await clock.advance(10)
    for (const call of running(key)) error ? call.fail(error) : call.finish()
    await clock.settle()
    await queue.key(key).stored()
    await clock.settle()
  }
  return { queue, widths, running, start, endAll }
}

test('adaptive: the width event names the key whose width a controller has set, with the reason', async t => {
  const { queue, widths, start, endAll } = await scriptedQueue(2)
  adapt(queue, { key: 'a', max: 10 })
  await start()

  await endAll('a')
  queue.width = 30

  const reason = 'Widened from 2 to 3: 2 runs in a row ended well with all slots taken.'
  t.deepEqual(widths, [
    [3, 2, reason, 'a'],
    [30, 20],
  ])
})

test('adaptive: a key is fed by its own jobs alone, and grows only while its own slots are taken', async t => {
  const { queue, running, start, endAll } = await scriptedQueue(2)
  adapt(queue, { key: 'a', max: 10 })
  await start()

  await endAll('b', new Throttled(1, { key: 'b' }))
  for (let i = 0; i < 5; i++) await endAll('b')
  t.is(queue.key('a').width, 2)

  await endAll('a')
  t.is(queue.key('a').width, 3)
  // As many as its width says, while the queue has room for more.
  t.is(running('a').length, 3)
  // With the queue full of others, not all slots of the key are taken.
  queue.key('b').width = 10
  await queue.key('b').stored()
  await endAll('a')
  queue.width = 12
  await endAll('a')
  const { width } = queue.key('a')
  for (let i = 0; i < 6; i++) await endAll('a')
  t.is(queue.key('a').width, width)
})

test('adaptive: Throttled for its own key narrows a key, and does not narrow the queue', async t => {
  const { queue, start, endAll } = await scriptedQueue(8)
  adapt(queue, { max: 40 })
  adapt(queue, { key: 'a', max: 40 })
  await start()

  await endAll('a', new Throttled(1, { key: true }))
  t.deepEqual([queue.width, queue.key('a').width], [20, 7])

  await endAll('b', new Throttled(1))
  t.deepEqual([queue.width, queue.key('a').width], [18, 7])
})

test('adaptive: the queue and any number of keys are adapted at once, each by one controller', async t => {
  const { queue, start, endAll } = await scriptedQueue(1)
  const first = adapt(queue, { key: 'a', max: 10 })
  const other = adapt(queue, { key: 'b', max: 10 })
  const whole = adapt(queue, { max: 20 })
  await start()
  const error = { instanceOf: OptionError, message: /^adapt\.key is adapted already/ }
  t.throws(() => adapt(queue, { key: 'a', max: 10 }), error)

  first.stop()
  const second = adapt(queue, { key: 'a', max: 10 })
  first.stop()
  t.throws(() => adapt(queue, { key: 'a', max: 10 }), error)
  await endAll('a')
  t.deepEqual([second.width, other.width], [2, 1])

  for (const one of [second, other, whole]) one.stop()
  await endAll('a')
  await endAll('a')
  t.is(queue.key('a').width, 2)
})

test('adaptive: the controller continues from a width set for the key by hand, and a width out of bounds suspends it', async t => {
  const { queue, running, start, endAll } = await scriptedQueue(2)
  const key = queue.key('a')
  const adaptation = adapt(queue, { key: 'a', max: 10 })
  await start()

  key.width = 0
  await endAll('a')
  t.deepEqual([key.width, running('a').length], [0, 0])

  key.width = 5
  await endAll('a')
  await endAll('a')
  t.true(adaptation.width > 5)

  adaptation.stop()
  key.width = undefined
  await key.stored()
  t.is(adaptation.width, 2)
})

test('adaptive: a key without a width of its own begins at the greatest, and a wrong name is refused', async t => {
  const { queue } = await scriptedQueue(Infinity)

  t.is(adapt(queue, { key: 'a', min: 2, max: 6 }).width, 6)
  t.throws(() => adapt(queue, { key: '', max: 6 }), { instanceOf: OptionError, message: /^adapt\.key must be/ })
  t.throws(() => adapt(queue, { key: true as never, max: 6 }), { instanceOf: OptionError, message: /^adapt\.key/ })
})
