/** Events that gathered are read in linear time, and what was read is let go. */
import test, { type ExecutionContext } from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { EventStream } from '../../../lib/events/event-stream.ts'
import { SafeEmitter } from '../../../lib/events/events.ts'

const filled = (count: number): EventStream<[number]> => {
  const emitter = new SafeEmitter<unknown, unknown>('q', systemClock)
  const stream = new EventStream<[number]>(emitter, 'width', { most: Infinity }, () => () => {})
  for (let i = 0; i < count; i++) emitter.announce('width', i)
  return stream
}

/** How many elements these calls may have moved: each of them counts the whole array. */
function countMoved(t: ExecutionContext): { count: number } {
  const moved = { count: 0 }
  for (const name of ['shift', 'splice', 'slice'] as const) {
    const original = Array.prototype[name] as (...args: unknown[]) => unknown
    Array.prototype[name] = function (this: unknown[], ...args: unknown[]) {
      moved.count += this.length
      return original.apply(this, args)
    } as never
    t.teardown(() => (Array.prototype[name] = original as never))
  }
  return moved
}

test.serial(
  'event stream: however many unread events there are, to read them all moves each a few times at most',
  async t => {
    const count = 20_000
    const stream = filled(count)
    const moved = countMoved(t)

    for (let i = 0; i < count; i++) {
      const { value } = await stream.next()
      if ((value as [number])[0] !== i) t.fail(`${i} is ${value}`)
    }

    t.true(moved.count <= 3 * count, `${moved.count} moves`)
  },
)

test('event stream: reading while events arrive keeps the order and loses none', async t => {
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
