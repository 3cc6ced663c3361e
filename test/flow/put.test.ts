import type { Backlog } from '../../lib/backlog.ts'
import { MemoryBacklog, OptionError, PayloadError, type PutOptions } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, strict, test } from '../support/backlog-under-test.ts'

function parts(options: { size?: number; overflow?: 'reject' | 'wait'; backlog?: Backlog } = {}) {
  const clock = new VirtualClock()
  const handler = scripted<unknown, unknown>()
  const queue = new DispatchQueue<unknown, unknown>(handler, { clock, ...options })
  return { clock, handler, queue }
}

test('a put of a remembered id puts nothing and resolves with that job', async t => {
  const { clock, handler, queue } = parts()
  const first = await queue.put({ a: 1, b: 2 }, { id: 'x' })

  const again = await queue.put({ b: 2, a: 1 }, { id: 'x' })
  await clock.settle()

  t.deepEqual([first.existed, again.existed, again.id], [false, true, 'x'])
  t.is(handler.called.length, 1)
  handler.underway[0]?.finish('one result')
  t.is(await first.result, 'one result')
})

test('a put of a remembered id with another payload is refused', async t => {
  const { queue } = parts()
  await queue.put({ a: 1 }, { id: 'x' })

  await t.throwsAsync(queue.put({ a: 2 }, { id: 'x' }), { code: 'ID_CONFLICT', message: /'x'/ })

  t.is((await queue.jobs()).length, 1)
})

test('the id of an ended job is remembered for an hour, in a durable backlog for seven days, then forgotten', async t => {
  const { clock, handler, queue } = parts()
  const rememberedMs = durable() ? 7 * 86_400_000 : 3_600_000
  await queue.put('p', { id: 'x' })
  await clock.settle()
  handler.underway[0]?.finish('')
  await clock.advance(rememberedMs - 1)
  t.true((await queue.put('p', { id: 'x' })).existed)

  await clock.advance(2)
  const anew = await queue.put('other', { id: 'x' })

  t.false(anew.existed)
})

test('generated ids are unique and sort by the time of put', async t => {
  const { clock, queue } = parts()
  const ids: string[] = []
  for (let i = 0; i < 50; i++) {
    ids.push(...(await queue.putMany([1, 2, 3])).map(job => job.id))
    await clock.advance(1)
  }

  t.is(new Set(ids).size, 150)
  t.deepEqual([...ids].sort(), ids)
})

test('a full queue rejects puts until there is space, and running jobs take none', async t => {
  const { clock, handler, queue } = parts({ size: 2 })
  await queue.put('underway')
  await clock.settle()
  await queue.putMany(['a', 'b'])

  await t.throwsAsync(queue.put('c'), { code: 'QUEUE_FULL', message: /2 of 2 places/ })
  handler.underway[0]?.finish('')
  await clock.settle()

  t.is((await queue.put('c')).state, 'pending')
})

test('reprioritize on a full queue loses no job', async t => {
  const { clock, handler, queue } = parts({ size: 2 })
  await queue.put('underway')
  await clock.settle()
  const [, b] = await queue.putMany(['a', 'b'])

  await queue.reprioritize(b as NonNullable<typeof b>, -1)
  t.is(queue.counts.pending, 2)
  queue.width = 3
  await clock.settle()

  t.deepEqual(handler.called, ['underway', 'b', 'a'])
})

test("with overflow 'wait' puts wait for space in their order", async t => {
  const { clock, handler, queue } = parts({ size: 1, overflow: 'wait' })
  await queue.put('a')
  await clock.settle()
  const accepted: string[] = []
  for (const payload of ['b', 'c', 'd']) void queue.put(payload).then(() => accepted.push(payload))
  await clock.settle()
  t.deepEqual(accepted, ['b'])

  handler.underway[0]?.finish('')
  await clock.settle()
  t.deepEqual(accepted, ['b', 'c'])
  handler.underway[0]?.finish('')
  await clock.settle()

  t.deepEqual(accepted, ['b', 'c', 'd'])
})

test('waiting puts keep their order when a clear fails', async t => {
  class Failing extends MemoryBacklog {
    override async attach(options: Parameters<Backlog['attach']>[0]) {
      const session = await super.attach(options)
      const send = session.command.bind(session)
      session.command = async (command, now, wall) => {
        if (command.kind !== 'clear') return send(command, now, wall)
        void queue.put('d').then(() => accepted.push('d'))
        throw new Error('busy')
      }
      return session
    }
  }
  const { clock, handler, queue } = parts({ size: 1, overflow: 'wait', backlog: new Failing() })
  const accepted: string[] = []
  await queue.put('a')
  await clock.settle()
  await queue.put('b')
  const controller = new AbortController()
  void queue.put('c').then(() => accepted.push('c'))
  const unwanted = queue.put('x', { signal: controller.signal })
  await clock.settle()

  await t.throwsAsync(queue.clear(), { message: 'busy' })
  controller.abort()
  await t.throwsAsync(unwanted, { code: 'CANCELLED' })
  for (let i = 0; i < 3; i++) {
    handler.underway[0]?.finish('')
    await clock.settle()
  }

  t.deepEqual(accepted, ['c', 'd'])
})

test('a stop during a failing clear refuses the waiting puts', async t => {
  class Failing extends MemoryBacklog {
    override async attach(options: Parameters<Backlog['attach']>[0]) {
      const session = await super.attach(options)
      const send = session.command.bind(session)
      session.command = async (command, now, wall) => {
        if (command.kind !== 'clear') return send(command, now, wall)
        stopped = queue.stop()
        throw new Error('busy')
      }
      return session
    }
  }
  let stopped: Promise<unknown> | undefined
  const { clock, queue } = parts({ size: 1, overflow: 'wait', backlog: new Failing() })
  await queue.pause()
  await queue.put('a')
  const waits = queue.put('b')
  await clock.settle()

  await t.throwsAsync(queue.clear(), { message: 'busy' })

  await t.throwsAsync(waits, { code: 'QUEUE_STOPPED' })
  await stopped
})

test('the endings of jobs that a clear has cancelled are emitted even if a later step of it fails', async t => {
  let steps = 0
  class Failing extends MemoryBacklog {
    override async attach(options: Parameters<Backlog['attach']>[0]) {
      const session = await super.attach(options)
      const send = session.command.bind(session)
      session.command = async (command, now, wall) => {
        if (command.kind !== 'clear') return send(command, now, wall)
        if (steps++ > 0) throw new Error('busy')
        return { ...(await send(command, now, wall)), hasMore: true }
      }
      return session
    }
  }
  const { queue } = parts({ backlog: new Failing() })
  await queue.pause()
  const result = queue.run('a')

  await t.throwsAsync(queue.clear(), { message: 'busy' })

  await t.throwsAsync(result, { code: 'CANCELLED' })
  await queue.idle()
  t.is(queue.counts.cancelled, 1)
})

test('a put is accepted although space is freed while it is in flight', async t => {
  const { clock, handler, queue } = parts({ size: 1, overflow: 'wait' })
  await queue.put('a')
  await clock.settle()
  await queue.put('b')
  let accepted = false
  void queue.put('c').then(() => (accepted = true))

  handler.underway[0]?.finish('')
  await clock.settle()

  t.true(accepted)
  t.is(queue.counts.pending, 1)
})

test('a job that goes back is never refused by a full queue', async t => {
  const clock = new VirtualClock()
  let runs = 0
  const queue = new DispatchQueue<string, string>(
    () => {
      if (++runs === 1) throw new Error('no')
      return 'yes'
    },
    { clock, size: 1, retry: { attempts: 2, delay: 10 } },
  )
  const result = queue.run('a')
  await drain(queue as DispatchQueue, clock)

  t.is(await result, 'yes')
})

test('putMany is all or nothing', async t => {
  const { queue } = parts({ size: 3 })
  void queue.pause()
  await queue.put('taken', { id: 'x' })

  await t.throwsAsync(queue.putMany([1, 2, 3]), { code: 'QUEUE_FULL' })
  await t.throwsAsync(
    queue.putMany([1, 2], (_, i) => (i === 1 ? { id: 'x' } : {})),
    { code: 'ID_CONFLICT' },
  )
  await t.throwsAsync(queue.putMany([1, 2], { key: '' }), { code: 'OPTION' })
  t.is(queue.counts.pending, 1)
  t.deepEqual(await queue.putMany([]), [])

  t.deepEqual(
    (await queue.putMany([1, 2], (n, i) => ({ id: `${n} ${i}` }))).map(job => job.id),
    ['1 0', '2 1'],
  )
})

test('putMany refuses more than 50,000', async t => {
  const { queue } = parts()

  await t.throwsAsync(queue.putMany(new Array(50_001).fill(0)), { instanceOf: OptionError, message: /at most 50000/ })

  t.is((await queue.putMany(new Array(50_000).fill(0))).length, 50_000)
})

test('a delayed job starts when its delay is over, not before', async t => {
  const { clock, handler, queue } = parts()
  const job = await queue.put('a', { delay: '10s' })
  t.is(job.state, 'delayed')
  clock.jumpWall(-3_600_000)
  await clock.advance(9_999)
  t.deepEqual(handler.called, [])

  await clock.advance(1)

  t.deepEqual(handler.called, ['a'])
})

test('runAt follows the wall clock when it jumps, and is now when it is past', async t => {
  const { clock, handler, queue } = parts()
  queue.width = 3
  await queue.put('hour', { runAt: clock.wall() + 3_600_000 })
  await queue.put('date', { runAt: new Date(clock.wall() + 7_200_000) })
  await queue.put('past', { runAt: clock.wall() - 1 })
  await clock.settle()
  t.deepEqual(handler.called, ['past'])

  clock.jumpWall(3_600_000)
  await clock.advance(60_000)
  t.deepEqual(handler.called, ['past', 'hour'])
  clock.jumpWall(-3_600_000)
  await clock.advance(3_600_000)

  t.deepEqual(handler.called, ['past', 'hour'])
})

test('the signal of a put cancels the job, waiting or underway', async t => {
  const { clock, handler, queue } = parts()
  const one = new AbortController()
  const two = new AbortController()
  const underway = await queue.put('a', { signal: one.signal })
  const waits = await queue.put('b', { signal: two.signal })
  await clock.settle()

  two.abort('not wanted')
  one.abort('nor this')
  await clock.settle()

  t.deepEqual(
    [underway, waits].map(job => job.state),
    ['cancelled', 'cancelled'],
  )
  t.deepEqual(handler.called, ['a'])
  await t.throwsAsync(waits.result, { code: 'CANCELLED', message: /not wanted/ })
})

for (const [payload, path] of [
  [() => {}, 'payload'],
  [{ to: [1, { send: () => {} }] }, 'payload.to[1].send'],
  [[Symbol('s')], 'payload[0]'],
] as const) {
  test(`a strict backlog refuses a function or symbol at ${path}, with its path`, async t => {
    const { queue } = parts(strict())

    const error = await t.throwsAsync(queue.put(payload), { instanceOf: PayloadError })

    t.is((error as PayloadError).path, path)
    if (!durable()) await t.notThrowsAsync(parts().queue.put(payload))
  })
}

for (const [what, payload, path] of [
  ['a Date', { at: new Date(0) }, 'payload.at'],
  ['NaN', [Number.NaN], 'payload[0]'],
  ['undefined in an object', { a: undefined }, 'payload.a'],
  ['a Map', { map: new Map() }, 'payload.map'],
  ['a bigint', { n: 1n }, 'payload.n'],
] as const) {
  test(`a strict backlog refuses ${what}, which JSON would change`, async t => {
    const { queue } = parts(strict())

    const error = await t.throwsAsync(queue.put(payload), { instanceOf: PayloadError })

    t.is((error as PayloadError).path, path)
    if (!durable()) await t.notThrowsAsync(parts().queue.put(payload))
  })
}

for (const [name, meant] of [
  ['concurrency', 'width'],
  ['interval', 'rate'],
  ['limiter', 'rate'],
  ['witdh', 'width'],
  ['time0ut', 'timeout'],
] as const) {
  test(`the unknown option ${name} is refused, and ${meant} proposed`, t => {
    t.throws(() => new DispatchQueue(() => {}, { [name]: 1 }), {
      instanceOf: OptionError,
      message: new RegExp(`${name} is not an option; did you mean ${meant}\\?`),
    })
  })
}

test('an unknown option of a put or of retry is refused too, with its path', async t => {
  const { queue } = parts()

  await t.throwsAsync(queue.put(1, { prioritty: 1 } as PutOptions), { message: /did you mean priority\?/ })
  await t.throwsAsync(queue.put(1, { retry: { atempts: 1 } } as PutOptions), {
    message: /did you mean retry\.attempts/,
  })
})

for (const [option, values] of Object.entries({
  name: ['', 'x'.repeat(201), 1],
  width: [-1, 0.5, '3', Number.NaN],
  backlog: [{}, null, 'memory'],
  retry: [0, -1, 1.5, 'often', { attempts: 0 }, { factor: 0.5 }, { jitter: 1 }, { delay: 'soon' }],
  timeout: [0, -1, '10 parsecs', Number.NaN],
  afterCrash: ['maybe', 1],
  crashLimit: [0, 'three'],
  size: [0, -1, 1.5],
  overflow: ['block'],
  slice: [0, 'short'],
  context: ['none'],
  keep: [{ finished: -1 }, { results: 'yes' }, { forever: true }],
  paused: ['no', 0],
  signal: [{}, new AbortController()],
  clock: [{}, Date],
  maxHold: [0, 'long'],
})) {
  for (const [i, value] of values.entries()) {
    test(`the option ${option} refuses ${JSON.stringify(value)?.slice(0, 40)} (bad value ${i + 1}) by its name`, t => {
      const error = t.throws(() => new DispatchQueue(() => {}, { [option]: value }), { instanceOf: OptionError })

      t.true(error.option.startsWith(option), error.message)
    })
  }
}

for (const [option, values] of Object.entries({
  priority: [Number.NaN, Infinity, '1', null],
  delay: [-1, 'soon'],
  runAt: [Number.NaN, 'tomorrow', new Date(Number.NaN)],
  key: ['', 1],
  id: ['', 'x'.repeat(201), 7],
  cost: [1, { tokens: -1 }, []],
  retry: [0],
  timeout: [0],
  signal: [{}],
})) {
  test(`put rejects, never throws, for a bad ${option}`, async t => {
    const { queue } = parts()
    for (const value of values) {
      const error = await t.throwsAsync(queue.put(1, { [option]: value }), { instanceOf: OptionError })
      t.true(error.option.startsWith(option), error.message)
    }
    t.is(queue.counts.pending, 0)
  })
}

test('delay and runAt together are refused', async t => {
  await t.throwsAsync(parts().queue.put(1, { delay: 1, runAt: 1 }), { instanceOf: OptionError })
})
