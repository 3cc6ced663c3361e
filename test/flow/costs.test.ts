/** Costs in units: the default of a queue, several units and rules at once, heavy jobs, and corrections. */
import { CostError, OptionError } from '../../lib/index.ts'
import type { QueueOptions } from '../../lib/options/options.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

function parts(options: Partial<QueueOptions<string, string>> = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, width: 99, paused: true, ...options })
  const running = (): string[] => handler.underway.map(call => call.payload)
  const taskOf = (payload: string) => handler.underway.find(call => call.payload === payload)?.task
  const resume = async (): Promise<void> => {
    queue.resume()
    await clock.settle()
  }
  return { clock, handler, queue, running, taskOf, resume }
}
const tokens = (limit: number) => ({ limit, per: '1s', of: 'tokens' }) as const

// The default cost of a queue.

test('cost: a job that is put without a cost has the default of the queue, by put, putMany and run', async t => {
  const { queue, running, resume, clock } = parts({ rate: tokens(10), cost: { tokens: 4 } })
  const result = queue.run('a')
  await queue.put('b', { priority: 1 })
  await queue.putMany(['c', 'd'], { priority: 2 })
  await resume()
  t.deepEqual(running(), ['a', 'b'])

  await clock.advance(1_100)

  t.deepEqual(running(), ['a', 'b', 'c', 'd'])
  void result.catch(() => {})
})

test('cost: a function computes the default from the payload', async t => {
  const { queue, running, resume } = parts({
    rate: tokens(10),
    cost: payload => ({ tokens: payload.length }),
  })
  await queue.putMany(['1234', '123456', '1'])
  await resume()

  t.deepEqual(running(), ['1234', '123456'])
})

test('cost: a cost given with the put replaces the default as a whole', async t => {
  const rate = [tokens(10), { limit: 2, per: '1s', of: 'images' }] as const
  const { queue, running, resume, clock } = parts({ rate, cost: { tokens: 5, images: 1 } })
  await queue.put('default')
  await queue.put('no images', { cost: { tokens: 1 } })
  await queue.put('nothing', { cost: {} })
  await queue.put('undefined', { cost: undefined, priority: 1 })
  await resume()
  t.deepEqual(running(), ['default', 'no images', 'nothing'])

  // 4 tokens are left, and one image.
  await queue.put('the rest', { cost: { tokens: 4, images: 1 }, priority: -1 })
  await clock.settle()
  t.deepEqual(running().at(-1), 'the rest')
})

test('cost: a function that throws, or returns no cost, refuses that put alone, and the error names it', async t => {
  const boom = new Error('boom')
  const results: Record<string, () => unknown> = {
    throws: () => {
      throw boom
    },
    nothing: () => undefined,
    late: async () => ({ tokens: 1 }),
    rejects: () => Promise.reject(boom),
    number: () => 5,
    list: () => [5],
    map: () => new Map([['tokens', 5]]),
    negative: () => ({ tokens: -1 }),
    nan: () => ({ tokens: Number.NaN }),
    text: () => ({ tokens: '5' }),
    infinite: () => ({ tokens: Infinity }),
  }
  const { queue } = parts({
    rate: tokens(10),
    cost: payload => (payload === 'good' ? { tokens: 1 } : (results[payload]?.() as { tokens: number })),
  })
  const good = [queue.put('good')]
  for (const payload of Object.keys(results)) {
    const error = await t.throwsAsync(queue.put(payload), { instanceOf: OptionError }, payload)
    t.regex(error?.option ?? '', /^cost(\.tokens)?$/, payload)
    good.push(queue.put('good'))
  }
  const thrown = await t.throwsAsync(queue.run('throws'), { message: /^cost could not be computed: .*boom/ })
  t.is(thrown?.cause, boom)
  await Promise.all(good)

  t.is(queue.counts.pending, good.length)
})

test('cost: if the function refuses one payload of a putMany, no job is put', async t => {
  const { queue } = parts({
    rate: tokens(10),
    cost: payload => ({ tokens: Number(payload) }),
  })

  await t.throwsAsync(queue.putMany(['1', '2', 'x', '4']), { message: /^cost\.tokens must be a finite number/ })
  await t.throwsAsync(queue.putMany(['1', '11']), { instanceOf: CostError })

  t.is(queue.counts.pending, 0)
})

test('cost: a default above a whole window refuses the put, as a given cost does', async t => {
  const { queue } = parts({ rate: tokens(10), cost: { tokens: 11 } })

  await t.throwsAsync(queue.run('a'), { instanceOf: CostError })
  await t.notThrowsAsync(queue.put('b', { cost: { tokens: 10 } }))
})

test('cost: a default in a unit that no declared rule counts is refused by the constructor', t => {
  const refused = (options: QueueOptions<string, string>): string | undefined =>
    t.throws(() => new DispatchQueue<string, string>(() => '', options), { instanceOf: OptionError })?.message

  t.regex(refused({ rate: tokens(10), cost: { token: 1 } }) ?? '', /^cost\.token is not a unit .* mean cost\.tokens\?$/)
  t.regex(refused({ keys: { rate: tokens(10) }, cost: { token: 1 } }) ?? '', /^cost\.token is not a unit/)
  t.notThrows(() => parts({ cost: { token: 1 } }))
})

test('cost: a queue without a handler gives its jobs its default cost', async t => {
  const backlog = sharedBacklog()
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const options = { backlog, clock, name: 'tokens' }
  const worker = new DispatchQueue<string, string>(handler, { ...options, width: 99, rate: tokens(10) })
  const web = new DispatchQueue<string>(null, { ...options, cost: payload => ({ tokens: payload.length }) })
  await Promise.all([worker.ready(), web.ready()])

  await web.putMany(['12345', '1234', '12'])
  await clock.settle()
  await clock.settle()

  t.deepEqual(
    handler.underway.map(call => call.payload),
    ['12345', '1234'],
  )
})

// Units.

test('units: a cost names units of any rule for the job: of the queue, of its keys, and of its own key', async t => {
  const rate = { limit: 9, per: '1s', of: 'images' } as const
  const { queue } = parts({ rate, keys: { rate: tokens(10) } })
  const own = queue.key('own')
  own.rate = { limit: 9, per: '1s', of: 'calls' }
  const free = queue.key('free')
  free.rate = []
  await own.stored()
  const known = { images: 1, tokens: 1 }

  for (const key of [undefined, 'a', 'own', 'free']) await t.notThrowsAsync(queue.put('x', { key, cost: known }))
  await t.notThrowsAsync(queue.put('x', { key: 'own', cost: { ...known, calls: 1 } }))
  for (const key of [undefined, 'a', 'free']) {
    await t.throwsAsync(queue.put('x', { key, cost: { calls: 1 } }), { message: /^cost\.calls is not a unit/ })
  }
  await t.throwsAsync(queue.put('x', { key: 'own', cost: { call: 1 } }), { message: /did you mean cost\.calls\?$/ })
})

test('units: task.spent knows the units of the rules of its own key', async t => {
  const { queue, clock, taskOf, resume } = parts({ keys: {} })
  const own = queue.key('own')
  own.rate = { limit: 9, per: '1s', of: 'calls' }
  await own.stored()
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))
  await queue.put('a', { key: 'own', cost: { calls: 1 } })
  await resume()

  taskOf('a')?.spent({ calls: 3 })
  await clock.settle()
  t.deepEqual(errors, [])
  taskOf('a')?.spent({ call: 3 })
  await clock.settle()
  t.regex(String(errors[0]), /spent\.call is not a unit/)
})

test('units: a job keeps a cost that later rules do not count, and it costs nothing there', async t => {
  const { queue, running, resume } = parts({ rate: tokens(10) })
  await queue.putMany(['a', 'b', 'c'], { cost: { tokens: 9 } })

  queue.rate = { limit: 2, per: '1s', of: 'images' }
  await resume()
  t.deepEqual(running(), ['a', 'b', 'c'])

  await t.throwsAsync(queue.put('d', { cost: { tokens: 9 } }), { instanceOf: OptionError })
})

test('units: a rule that counts a unit later counts what jobs have spent of it before', async t => {
  const { queue, running, resume, clock } = parts({ rate: { limit: 9, per: '1s' } })
  await queue.putMany(['a', 'b', 'c'], { cost: { tokens: 4 } })
  await queue.put('d', { cost: { tokens: 4 }, delay: 10 })
  await resume()
  t.deepEqual(running(), ['a', 'b', 'c'])

  queue.rate = tokens(15)
  await clock.advance(500)
  t.deepEqual(running(), ['a', 'b', 'c'])

  await clock.advance(600)
  t.deepEqual(running(), ['a', 'b', 'c', 'd'])
})

// Several rules.

test('rules: a job that one rule refuses is charged to none', async t => {
  const rate = [tokens(10), { limit: 3, per: '10s', of: 'images' }, { limit: 9, per: '1s' }] as const
  const { queue, running, resume, clock } = parts({ rate })
  await queue.put('a', { cost: { tokens: 4, images: 2 } })
  await queue.put('b', { cost: { tokens: 6, images: 2 } })
  await resume()
  t.deepEqual(running(), ['a'])
  // b has waited for images through many windows of tokens.
  await clock.advance(5_000)

  await queue.put('c', { cost: { tokens: 10 }, priority: -1 })
  await clock.settle()
  t.deepEqual(running(), ['a', 'c'])
  await clock.advance(5_100)
  t.deepEqual(running(), ['a', 'c', 'b'])
})

test('rules: a job that the rule of a key refuses is not charged to the queue, and the reverse', async t => {
  const { queue, running, resume, clock } = parts({ rate: tokens(10), keys: { rate: tokens(6) } })
  const put = (payload: string, cost: number) =>
    queue.put(payload, { key: payload[0] as string, cost: { tokens: cost } })
  await put('a1', 4)
  await put('a2', 4)
  await put('b1', 5)
  await put('b2', 1)
  await resume()
  // a2 is held up by its key, and b2 is the 10th token.
  t.deepEqual(running(), ['a1', 'b1', 'b2'])

  await put('c1', 6)
  await clock.advance(1_100)
  // a2 and c1: the queue has room for both.
  t.deepEqual(running(), ['a1', 'b1', 'b2', 'a2', 'c1'])
})

// Heavy jobs.

test('heavy: a job that waits for its cost is not overtaken by lighter ones of its key, and other keys go on', async t => {
  const { queue, running, resume, clock } = parts({ keys: { rate: tokens(10) } })
  const put = (payload: string, cost: number) =>
    queue.put(payload, { key: payload[0] as string, cost: { tokens: cost } })
  await put('a1', 1)
  await put('a heavy', 10)
  await put('a2', 1)
  await put('b1', 1)
  await put('b2', 1)
  await resume()
  t.deepEqual(running(), ['a1', 'b1', 'b2'])
  await put('a3', 1)
  await put('b3', 1)
  await clock.settle()
  t.deepEqual(running(), ['a1', 'b1', 'b2', 'b3'])

  await clock.advance(1_100)
  t.deepEqual(running(), ['a1', 'b1', 'b2', 'b3', 'a heavy'])
  await clock.advance(1_100)
  t.deepEqual(running().slice(5), ['a2', 'a3'])
})

test('heavy: when another job becomes the next of its key, it starts at once if the rate allows', async t => {
  const { queue, running, resume, clock } = parts({ keys: { rate: tokens(10) } })
  const put = (payload: string, cost: number, priority = 0) =>
    queue.put(payload, { key: payload[0] as string, cost: { tokens: cost }, priority })
  for (const key of ['a', 'b', 'c', 'd']) {
    await put(`${key}1`, 3)
    if (key !== 'd') await put(`${key} heavy`, 9)
    if (key !== 'd') await put(`${key}2`, 4)
  }
  const jobs = await queue.jobs()
  const heavyB = jobs.find(({ payload }) => payload === 'b heavy')
  const heavyC = jobs.find(({ payload }) => payload === 'c heavy')
  await resume()
  t.deepEqual(running().sort(), ['a1', 'b1', 'c1', 'd1'])

  await put('a first', 5, -1)
  await clock.settle()
  t.is(running().at(-1), 'a first')
  await queue.cancel(heavyB as NonNullable<typeof heavyB>)
  await clock.settle()
  t.is(running().at(-1), 'b2')
  await queue.reprioritize(heavyC as NonNullable<typeof heavyC>, 1)
  await clock.settle()
  t.is(running().at(-1), 'c2')
  t.is(running().length, 7)
})

test('heavy: `limited` and `explain` name the rule that a heavy job waits for, with its instant', async t => {
  const { queue, resume, clock } = parts({ keys: { rate: tokens(10) } })
  const limited: unknown[] = []
  queue.on('limited', ({ key, rule, until }) => limited.push([key, rule?.unit, until > clock.wall()]))
  await queue.putMany(['a1', 'heavy'], payload => ({ key: 'a', cost: { tokens: payload === 'heavy' ? 10 : 1 } }))
  await resume()

  t.deepEqual(limited.at(-1), ['a', 'tokens', true])
  const [a] = await queue.keys()
  t.deepEqual([a?.why, (a?.until ?? 0) - clock.wall()], ['rate', 1_000])
})

test('heavy: no job of any key overtakes a job that waits for the rate of the queue', async t => {
  const { queue, running, resume, clock } = parts({ rate: tokens(10), keys: {} })
  const put = (payload: string, cost: number) =>
    queue.put(payload, { key: payload[0] as string, cost: { tokens: cost } })
  await put('a1', 2)
  await put('b heavy', 10)
  await put('c1', 1)
  await put('a2', 1)
  await resume()
  t.deepEqual(running(), ['a1'])
  await clock.advance(900)
  t.deepEqual(running(), ['a1'])

  await clock.advance(200)
  t.deepEqual(running(), ['a1', 'b heavy'])
})

test('heavy: light jobs of other keys do not starve a heavy one', async t => {
  const { queue, running, resume, clock, handler } = parts({ rate: tokens(10), keys: {}, width: 3 })
  await queue.putMany(['heavy'], { key: 'heavy', cost: { tokens: 10 } })
  for (const key of ['a', 'b', 'c']) {
    await queue.putMany(
      Array.from({ length: 40 }, (_, i) => `${key}${i}`),
      { key, cost: { tokens: 1 } },
    )
  }
  queue.key('a').weight = 3
  await queue.key('a').stored()
  const started = (): boolean => running().includes('heavy')
  await resume()

  for (let step = 0; step < 25 && !started(); step++) {
    for (const call of handler.underway.filter(({ payload }) => payload !== 'heavy')) call.finish('')
    await clock.advance(100)
  }

  t.true(started())
})

// Corrections.

test('spent: each unit is corrected separately, for the queue and for the key, and the last call counts', async t => {
  const rate = [tokens(20), { limit: 9, per: '1s', of: 'images' }] as const
  const { queue, running, resume, clock, taskOf } = parts({ rate, keys: { rate: tokens(10) } })
  const put = (payload: string, cost: Record<string, number>) => queue.put(payload, { key: payload[0] as string, cost })
  await put('a1', { tokens: 9, images: 9 })
  await put('a2', { tokens: 9 })
  await put('a3', { images: 1 })
  await resume()
  t.deepEqual(running(), ['a1'])

  taskOf('a1')?.spent({ tokens: 30 })
  taskOf('a1')?.spent({ tokens: 1 })
  await clock.settle()
  // The images of a1 are as before.
  t.deepEqual(running(), ['a1', 'a2'])

  taskOf('a1')?.spent({ images: 8 })
  await clock.settle()
  t.deepEqual(running(), ['a1', 'a2', 'a3'])
})
