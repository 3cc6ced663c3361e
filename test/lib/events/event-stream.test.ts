/** Events that gathered are read in linear time, and what was read is let go. */
import { EventEmitter, on } from 'node:events'
import test from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { EventStream } from '../../../lib/events/event-stream.ts'
import { SafeEmitter } from '../../../lib/events/events.ts'

const filled = (count: number): EventStream<[number]> => {
  const emitter = new SafeEmitter<unknown, unknown>('q', systemClock)
  const stream = new EventStream<[number]>(emitter, 'width', { most: Infinity }, () => () => {})
  for (let i = 0; i < count; i++) emitter.announce('width', i)
  return stream
}

test('event stream: 200,000 unread events are read in a time like that of node:events', async t => {
  const count = 200_000
  const stream = filled(count)
  const emitter = new EventEmitter()
  const node = on(emitter, 'x')
  for (let i = 0; i < count; i++) emitter.emit('x', i)
  const timed = async (next: () => Promise<{ value?: unknown }>): Promise<number> => {
    const before = performance.now()
    for (let i = 0; i < count; i++) {
      const { value } = await next()
      if ((value as [number])[0] !== i) t.fail(`${i} is ${value}`)
    }
    return performance.now() - before
  }

  const nodeMs = await timed(() => node.next())
  const ms = await timed(() => stream.next())

  t.true(ms < 500 + 10 * nodeMs, `${ms} ms, and node:events ${nodeMs} ms`)
})

test('event stream: reading beside what comes keeps the order and loses nothing', async t => {
  const emitter = new SafeEmitter<unknown, unknown>('q', systemClock)
  const stream = new EventStream<[number]>(emitter, 'width', {}, () => () => {})
  let sent = 0
  let read = 0
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 37; i++) emitter.announce('width', sent++)
    for (let i = 0; i < (round < 100 ? 17 : 57); i++) {
      const { value } = await stream.next()
      if (value?.[0] !== read++) t.fail(`${value?.[0]} for ${read - 1}`)
    }
  }
  t.is(read, sent)
  const both = Promise.all([stream.next(), stream.next()])
  emitter.announce('width', 'a')
  emitter.announce('width', 'b')

  t.deepEqual(
    (await both).map(({ value }) => value),
    [['a'], ['b']] as never,
  )
})
