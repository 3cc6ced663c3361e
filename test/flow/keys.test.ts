import { OptionError, Throttled } from '../../lib/index.ts'
import type { QueueOptions } from '../../lib/options/options.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

function parts(options: Partial<QueueOptions<string, string>> = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, paused: true, ...options })
  const running = (): string[] => handler.underway.map(call => call.payload)
  /** Puts jobs such as 'a1', whose key is their letter. Without a letter there is none. */
  const put = (...payloads: string[]) =>
    queue.putMany(payloads, payload => (/^[a-z]/.test(payload) ? { key: payload[0] } : {}))
  const end = async (payload: string): Promise<void> => {
    handler.underway.find(call => call.payload === payload)?.finish('')
    await clock.settle()
  }
  const resume = async (): Promise<void> => {
    queue.resume()
    await clock.settle()
  }
  return { clock, handler, queue, running, put, end, resume }
}

/** Lets jobs run one after the other, and returns them in the order of their launch. */
async function inOrder({ running, end }: ReturnType<typeof parts>, count: number): Promise<string[]> {
  const order: string[] = []
  for (let i = 0; i < count; i++) {
    const [first] = running()
    if (first === undefined) break
    order.push(first)
    await end(first)
  }
  return order
}

// Sharing.

test('keys share: each key starts a job in turn, whichever has more or older jobs', async t => {
  const all = parts({ keys: {} })
  await all.put('a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1')
  await all.resume()

  t.deepEqual(await inOrder(all, 7), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4'])
})

test('keys share: jobs without a key are one key', async t => {
  const all = parts({ keys: {} })
  await all.put('1', '2', '3', 'a1', 'a2')
  await all.resume()

  t.deepEqual(await inOrder(all, 5), ['1', 'a1', '2', 'a2', '3'])
})

test('keys share: priority decides within a key, and not between keys', async t => {
  const all = parts({ keys: {} })
  await all.put('a1', 'a2')
  await all.queue.putMany(['b1', 'b2'], payload => ({ key: 'b', priority: payload === 'b2' ? -9 : 9 }))
  await all.resume()

  t.deepEqual(await inOrder(all, 4), ['a1', 'b2', 'a2', 'b1'])
})

test('keys share: with order priority the most important job is next, whatever its key', async t => {
  const all = parts({ keys: { order: 'priority' } })
  await all.put('a1', 'a2', 'b1')
  await all.queue.put('b2', { key: 'b', priority: -1 })
  await all.resume()

  t.deepEqual(await inOrder(all, 4), ['b2', 'a1', 'a2', 'b1'])
})

test('keys share: a job that becomes more important moves ahead within its key', async t => {
  const all = parts({ keys: {} })
  const [, , last] = await all.put('a1', 'a2', 'a3', 'b1')
  await all.queue.reprioritize(last as NonNullable<typeof last>, -1)
  await all.resume()

  t.deepEqual(await inOrder(all, 4), ['a3', 'b1', 'a1', 'a2'])
})

test('keys share: a key of weight 3 starts three jobs where one of weight 1 starts one', async t => {
  const all = parts({ keys: {} })
  all.queue.key('a').weight = 3
  await all.queue.key('a').stored()
  await all.put(...Array.from({ length: 30 }, (_, i) => `a${i}`), ...Array.from({ length: 30 }, (_, i) => `b${i}`))
  await all.resume()

  const order = await inOrder(all, 20)

  t.is(order.filter(payload => payload.startsWith('a')).length, 15)
})

test('keys share: a key that puts one job at a time does not overtake one that waits', async t => {
  const all = parts({ keys: {} })
  await all.put('a1', 'a2', 'a3', 'a4', 'b1')
  await all.resume()
  const order: string[] = []
  for (let i = 2; i < 6; i++) {
    const [first] = all.running()
    order.push(first as string)
    if (first?.startsWith('b')) await all.put(`b${i}`)
    await all.end(first as string)
  }

  t.deepEqual(order, ['a1', 'b1', 'a2', 'b3'])
})

test('without keys the most important job is next, and labels do not take turns', async t => {
  const all = parts()
  await all.put('a1', 'a2', 'b1')
  await all.resume()

  t.deepEqual(await inOrder(all, 3), ['a1', 'a2', 'b1'])
})

// Width.

test('keys.width: a key runs no more jobs than its width, and others go on', async t => {
  const all = parts({ width: 9, keys: { width: 2 } })
  await all.put('a1', 'a2', 'a3', 'a4', 'b1', '1', '2', '3')
  await all.resume()

  t.deepEqual(all.running().sort(), ['1', '2', '3', 'a1', 'a2', 'b1'])
  await all.end('a2')
  t.deepEqual(all.running().sort(), ['1', '2', '3', 'a1', 'a3', 'b1'])
})

test('keys.width: a body that goes on after its job has ended keeps the slot of its key', async t => {
  const all = parts({ width: 9, keys: { width: 1 } })
  const [first] = await all.put('a1', 'a2')
  await all.resume()

  await first?.cancel()
  await all.clock.settle()
  t.deepEqual(all.running(), ['a1'])

  await all.end('a1')
  t.deepEqual(all.running(), ['a2'])
})

test('keys.width: a job that goes back frees the slot of its key', async t => {
  const all = parts({ width: 9, keys: { width: 1 }, retry: { attempts: 2, delay: '1m', jitter: false } })
  await all.put('a1', 'a2')
  await all.resume()

  all.handler.underway[0]?.fail(new Error('not now'))
  await all.clock.settle()

  t.deepEqual(all.running(), ['a2'])
})

test('keys.width: a job that comes due, or is put with a delay, waits for the slot of its key', async t => {
  const all = parts({ width: 9, keys: { width: 1 } })
  await all.put('a1')
  await all.queue.put('a2', { key: 'a', delay: '1s' })
  await all.resume()
  await all.clock.advance(2_000)

  t.deepEqual(all.running(), ['a1'])
  await all.end('a1')
  t.deepEqual(all.running(), ['a2'])
})

test('keys.width: 0 stops every key, and no job without one', async t => {
  const all = parts({ width: 9, keys: { width: 0 } })
  await all.put('a1', '1')
  await all.resume()
  t.deepEqual(all.running(), ['1'])

  all.queue.key('a').width = 1
  await all.queue.key('a').stored()
  await all.clock.settle()

  t.deepEqual(all.running().sort(), ['1', 'a1'])
})

// Rate.

test('keys.rate: each key starts at its own rate', async t => {
  const all = parts({ width: 99, keys: { rate: { limit: 2, per: '1s' } } })
  await all.put('a1', 'a2', 'a3', 'b1', 'b2', 'b3', '1', '2', '3')
  await all.resume()
  t.deepEqual(all.running().sort(), ['1', '2', '3', 'a1', 'a2', 'b1', 'b2'])

  await all.clock.advance(990)
  t.is(all.running().length, 7)
  await all.clock.advance(20)

  t.deepEqual(all.running().sort(), ['1', '2', '3', 'a1', 'a2', 'a3', 'b1', 'b2', 'b3'])
})

test('keys.rate: the rate of the queue holds for all keys together', async t => {
  const all = parts({ width: 99, rate: { limit: 3, per: '1s' }, keys: { rate: { limit: 2, per: '1s' } } })
  await all.put('a1', 'a2', 'a3', 'b1', 'b2', 'b3')
  await all.resume()

  t.deepEqual(all.running(), ['a1', 'b1', 'a2'])
})

test('keys.rate: a job that goes back before its launch uses up none of the rate', async t => {
  const all = parts({ width: 99, keys: { rate: { limit: 1, per: '1m' } } })
  await all.put('a1', 'a2')
  all.queue.once('underway', () => void all.queue.pause())
  await all.resume()
  t.deepEqual(all.running(), [])

  await all.resume()

  t.deepEqual(all.running(), ['a1'])
})

test('keys.rate: a cost counts in the window of the key, spent corrects it, and a cost that never fits is refused', async t => {
  const all = parts({ width: 99, keys: { rate: { limit: 10, per: '1s', of: 'tokens' } } })
  const put = (payload: string, tokens: number) => all.queue.put(payload, { key: 'a', cost: { tokens } })
  await put('a1', 6)
  await put('a2', 6)
  await t.throwsAsync(put('a3', 11), { code: 'COST' })
  await t.throwsAsync(all.queue.put('a4', { key: 'a', cost: { euros: 1 } }), { instanceOf: OptionError })
  await all.resume()
  t.deepEqual(all.running(), ['a1'])

  all.handler.underway[0]?.task.spent({ tokens: 4 })
  await all.clock.settle()

  t.deepEqual(all.running(), ['a1', 'a2'])
})

for (const order of ['fair', 'priority'] as const) {
  test(`keys: a key keeps its turn while its only job is reprioritized again and again, in the order ${order}`, async t => {
    const all = parts({ keys: { order } })
    await all.put(...Array.from({ length: 20 }, (_, i) => `b${i}`))
    await all.resume()
    const [small] = await all.put('s1')

    for (let i = 0; i < 6 && !all.running().includes('s1'); i++) {
      await all.queue.reprioritize(small as NonNullable<typeof small>, i % 2 ? -1 : -2)
      await all.end(all.running()[0] as string)
    }

    t.deepEqual(all.running(), ['s1'])
    t.like(all.queue.counts, { pending: order === 'fair' ? 18 : 19 })
  })
}

test('keys.rate: a body corrects its own start alone, though the rate was taken away and set again meanwhile', async t => {
  const all = parts({ width: 99 })
  const put = (payload: string, tokens: number) => all.queue.put(payload, { key: 'a', cost: { tokens } })
  const key = all.queue.key('a')
  const rule = { limit: 10, per: '1s', of: 'tokens' }
  key.rate = rule
  await key.stored()
  await put('a1', 1)
  await all.resume()
  key.rate = undefined
  key.rate = rule
  await key.stored()
  await put('a2', 10)
  await all.clock.settle()
  await put('a3', 10)
  await all.clock.settle()
  t.deepEqual(all.running(), ['a1', 'a2'])

  all.handler.underway[0]?.task.spent({ tokens: 0 })
  await all.clock.settle()

  t.deepEqual(all.running(), ['a1', 'a2'])
  await all.clock.advance(1_100)
  t.deepEqual(all.running(), ['a1', 'a2', 'a3'])
})

test('keys: Throttled for a key holds its jobs and no others', async t => {
  const all = parts({ width: 99, keys: { width: 1 } })
  await all.put('a1', 'b1', 'a2', 'b2')
  await all.resume()

  all.handler.underway[0]?.fail(new Throttled('5s', { key: 'a' }))
  await all.clock.settle()
  t.deepEqual(all.running(), ['b1'])
  const [a] = await all.queue.keys()
  t.like(a, { key: 'a', pending: 2, why: 'hold' })
  await all.end('b1')
  await all.end('b2')
  await all.clock.advance(4_990)
  t.deepEqual(all.running(), [])

  await all.clock.advance(20)
  t.deepEqual(all.running(), ['a1'])
})

test('keys: Throttled with key true holds the key of the job, and the queue if the job has none', async t => {
  const all = parts({ width: 99, keys: { width: 1 }, maxHold: '2s' })
  await all.put('a1', 'b1', '1', 'a2', 'b2', '2')
  await all.resume()
  const limited: unknown[] = []
  all.queue.on('limited', ({ rule, key, until }) => limited.push([rule, key, until - all.clock.wall()]))

  all.handler.underway.find(({ payload }) => payload === 'a1')?.fail(new Throttled('5m', { key: true }))
  await all.clock.settle()
  await all.end('b1')
  t.deepEqual(all.running(), ['1', '2', 'b2'])
  t.deepEqual(limited, [[undefined, 'a', 2_000]])
  await all.clock.advance(2_010)
  t.deepEqual(all.running(), ['1', '2', 'b2', 'a1'])

  all.handler.underway.find(({ payload }) => payload === '1')?.fail(new Throttled('5m', { key: true }))
  await all.clock.settle()
  await all.end('a1')
  t.deepEqual(all.running(), ['2', 'b2'])
  await all.clock.advance(2_010)
  t.deepEqual(all.running().sort(), ['1', '2', 'a2', 'b2'])
})

test('keys: jobs that a hold keeps back start after it, also if a key is limited only then', async t => {
  const all = parts({ width: 1 })
  await all.put('a1', 'a2', 'b1')
  await all.resume()
  all.handler.underway[0]?.fail(new Throttled('5s', { key: 'a' }))
  await all.clock.settle()
  t.deepEqual(all.running(), ['b1'])

  all.queue.key('c').width = 1
  await all.queue.key('c').stored()
  await all.end('b1')
  t.deepEqual(all.running(), [])
  await all.clock.advance(5_000)

  t.deepEqual(all.running(), ['a1'])
})

// A single key.

test('queue.key: an override reads at once, replaces the default, and can be removed', async t => {
  const all = parts({ width: 99, keys: { width: 1, weight: 2 } })
  const key = all.queue.key('a')
  await all.put('a1', 'a2', 'a3', 'b1', 'b2')
  t.deepEqual([key.name, key.width, key.weight, key.rate], ['a', 1, 2, []])
  await all.resume()

  key.width = 2
  t.is(key.width, 2)
  await key.stored()
  await all.clock.settle()
  t.deepEqual(all.running().sort(), ['a1', 'a2', 'b1'])
  t.deepEqual([...all.queue.overrides().keys], [['a', { width: 2 }]])

  key.width = undefined
  t.is(key.width, 1)
  await key.stored()
  t.deepEqual([...all.queue.overrides().keys], [])
  await all.end('a1')
  t.deepEqual(all.running().sort(), ['a2', 'b1'])
})

test('queue.key: its rate can be set, changed and removed while jobs wait', async t => {
  const all = parts({ width: 99 })
  const key = all.queue.key('a')
  key.rate = { limit: 1, per: '1m' }
  t.like(key.rate[0], { limit: 1, perMs: 60_000 })
  await key.stored()
  await all.put('a1', 'a2', 'a3', 'a4')
  await all.resume()
  t.deepEqual(all.running(), ['a1'])

  key.rate = { limit: 3, per: '1m' }
  await key.stored()
  await all.clock.settle()
  t.deepEqual(all.running(), ['a1', 'a2', 'a3'])

  key.rate = undefined
  await key.stored()
  await all.clock.settle()
  t.deepEqual(all.running(), ['a1', 'a2', 'a3', 'a4'])
})

test('queue.key: a paused key starts nothing, shows it, and goes on when resumed', async t => {
  const all = parts({ width: 99, keys: {} })
  const key = all.queue.key('a')
  await key.pause()
  const [waiting] = await all.put('a1', 'b1')
  await all.resume()
  t.deepEqual(all.running(), ['b1'])
  t.true(key.paused)
  t.like(await all.queue.explain(waiting as NonNullable<typeof waiting>), { why: 'pause', key: 'a', position: 0 })
  t.like(await all.queue.keys(), [
    { key: 'a', pending: 1, underway: 0, why: 'pause' },
    { key: 'b', pending: 0, underway: 1, why: undefined },
  ])

  await key.resume()
  await all.clock.settle()

  t.false(key.paused)
  t.deepEqual(all.running().sort(), ['a1', 'b1'])
})

test('queue.key: it counts and clears its own jobs', async t => {
  const all = parts({ width: 1, keys: { width: 1 } })
  await all.put('a1', 'a2', 'b1', 'b2')
  await all.queue.put('a3', { key: 'a', delay: '1h' })
  await all.resume()
  t.deepEqual(await all.queue.key('a').counts(), { pending: 1, delayed: 1, underway: 1 })
  t.deepEqual(await all.queue.key('nobody').counts(), { pending: 0, delayed: 0, underway: 0 })

  t.is(await all.queue.key('a').clear(), 2)

  t.deepEqual(await all.queue.key('a').counts(), { pending: 0, delayed: 0, underway: 1 })
  t.like(all.queue.counts, { pending: 2, delayed: 0, cancelled: 2 })
  t.deepEqual(await inOrder(all, 4), ['a1', 'b1', 'b2'])
})

test('queue.keys: pages of keys in their order, by state', async t => {
  const all = parts({ keys: {} })
  await all.put('c1', 'a1', 'b1', '1')
  await all.queue.put('d1', { key: 'd', delay: '1h' })
  await all.queue.key('e').pause()
  const names = async (query?: Parameters<typeof all.queue.keys>[0]): Promise<string[]> =>
    (await all.queue.keys(query)).map(({ key }) => key)

  t.deepEqual(await names(), ['a', 'b', 'c', 'd', 'e'])
  t.deepEqual(await names({ limit: 2, after: 'a' }), ['b', 'c'])
  t.deepEqual(await names({ state: 'delayed' }), ['d'])
  t.deepEqual(await names({ state: 'underway' }), [])
})

test('explain: names the limit of the key, the place within it, and a true lower bound', async t => {
  const all = parts({ width: 99, keys: { rate: { limit: 1, per: '1s' }, width: 2 } })
  await all.put('a1', 'b1')
  const [second, third] = await all.put('a2', 'a3')
  await all.resume()
  const explain = (job: typeof second) => all.queue.explain(job as NonNullable<typeof job>)

  const reason = await explain(third)
  t.like(reason, { why: 'rate', key: 'a', position: 1, rule: { limit: 1 } })
  t.true((reason.notBefore ?? 0) - all.clock.wall() > 900)
  await all.clock.advance(1_100)
  t.deepEqual(all.running().sort(), ['a1', 'a2', 'b1'])

  await all.clock.advance(5_000)
  t.like(await explain(third), { why: 'width', key: 'a', position: 0 })
  t.like(await explain(second), { why: undefined, position: undefined })
})

test('limited names the key whose rule holds jobs', async t => {
  const all = parts({ width: 99, keys: { rate: { limit: 1, per: '1s' } } })
  const limited: unknown[] = []
  all.queue.on('limited', event => limited.push(event))
  await all.put('a1', 'a2', 'b1')
  await all.resume()

  t.like(limited, [{ key: 'a', rule: { limit: 1 } }])
})

test('clearOverrides goes back to what is declared for all keys', async t => {
  const all = parts({ width: 99, keys: { width: 1 } })
  all.queue.key('a').width = 2
  await all.queue.key('b').pause()
  await all.put('a1', 'a2', 'b1')

  await all.queue.clearOverrides('keys')
  await all.resume()

  t.is(all.queue.overrides().keys.size, 0)
  t.deepEqual(all.running().sort(), ['a1', 'b1'])
})

test('keys hold for all queue objects of a name, and a queue without a handler sets them', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const backlog = sharedBacklog()
  const worker = new DispatchQueue<string, string>(handler, { backlog, clock, name: 'shared', width: 9, keys: {} })
  await worker.ready()
  const far = new DispatchQueue<string, string>(null, { backlog, clock, name: 'shared' })
  await far.key('a').pause()
  await far.put('a1', { key: 'a' })
  await far.put('b1', { key: 'b' })
  await clock.settle()
  t.deepEqual(
    handler.underway.map(call => call.payload),
    ['b1'],
  )
  t.true(worker.key('a').paused)

  await far.key('a').resume()
  await clock.settle()

  t.deepEqual(handler.underway.map(call => call.payload).sort(), ['a1', 'b1'])
})

test('queue.key: overrides that two queue objects set by turns are known to both', async t => {
  const [clock, backlog] = [new VirtualClock(), sharedBacklog()]
  const a = new DispatchQueue<string, string>(() => '', { clock, backlog, name: 'shared' })
  await a.ready()
  const b = new DispatchQueue<string, string>(null, { clock, backlog, name: 'shared' })
  await b.ready()

  // At once, so that neither has been notified of what the other one sets.
  for (const [i, queue] of [a, b, a, b].entries()) queue.key(`k${i}`).width = i
  // A put is answered after the settings that came before it.
  await Promise.all([a.put('x'), b.put('x')])
  await clock.settle()
  const widths = () => [a, b].map(queue => [0, 1, 2, 3].map(i => queue.key(`k${i}`).width))
  t.deepEqual(widths(), Array(2).fill([0, 1, 2, 3]))

  a.key('k1').width = undefined
  await Promise.all([a.put('x'), b.put('x')])
  await clock.settle()
  t.deepEqual(widths(), Array(2).fill([0, Infinity, 2, 3]))
  await Promise.all([a.stop(), b.stop()])
})

test('queue.key: a paused key without jobs is still listed, also by a queue that opens later', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const options = { backlog, clock, name: 'forgetful', keys: {} }
  // While a queue is open, so is the backlog in memory.
  const watcher = new DispatchQueue<string, string>(null, { backlog, clock, name: 'forgetful' })
  const former = new DispatchQueue<string, string>(scripted<string, string>(), options)
  await former.key('a').pause()
  await former.stop()

  const handler = scripted<string, string>()
  const later = new DispatchQueue<string, string>(handler, options)
  const job = await later.put('a1', { key: 'a' })
  await clock.settle()

  t.deepEqual(handler.underway, [])
  t.is(later.counts.pending, 1)
  t.true(later.key('a').paused)
  t.like(await later.explain(job), { why: 'pause', key: 'a' })
  await later.cancel(job)
  t.like(await later.keys(), [{ key: 'a', pending: 0, why: 'pause' }], 'though it has no job')
  t.deepEqual([...later.overrides().keys.keys()], ['a'])
  await watcher.stop()
})

test('keys: if two queues declare different keys, the last declaration holds, and overrides stay', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const handler = scripted<string, string>()
  const declare = (width: number, handled: typeof handler | null) =>
    new DispatchQueue<string, string>(handled, { backlog, clock, name: 'contested', keys: { width } })
  const worker = new DispatchQueue<string, string>(handler, { backlog, clock, name: 'contested', width: 9 })
  await worker.ready()
  const key = worker.key('own')
  key.width = 5
  await key.stored()

  for (const width of [1, 2, 1, 3]) {
    const other = declare(width, null)
    await other.ready()
    await clock.settle()
    t.is(other.key('a').width, width)
    t.is(other.key('own').width, 5)
    await other.stop()
  }
  await worker.putMany(['a1', 'a2', 'a3', 'a4'], { key: 'a' })
  await clock.settle()

  t.is(handler.underway.length, 3)
})

// Many keys, and bad input.

test('very many keys with one job each start in order, and leave nothing behind', async t => {
  const all = parts({ width: Infinity, keys: { width: 1, rate: { limit: 1, per: '1s' } } })
  const many = 3_000
  await all.queue.putMany(
    Array.from({ length: many }, (_, i) => `${i}`),
    payload => ({ key: payload }),
  )
  await all.resume()
  await all.clock.advance(100)
  t.is(all.running().length, many)
  for (const call of [...all.handler.underway]) call.finish('')
  await all.clock.settle()
  await all.clock.advance(3_000)

  t.deepEqual(await all.queue.keys(), [])
})

test('keys with the names of prototype members are ordinary keys', async t => {
  const names = [
    '__proto__',
    'constructor',
    '%_',
    "'; drop table rdq_job; --",
    ' ',
    'NaN',
    '🙂'.repeat(50),
    '0',
    'null',
    // Equal once they are normalised, and two names all the same.
    '\u00e9',
    'e\u0301',
    // Nothing cuts a name short, or is left out at its ends.
    'a',
    'a\0b',
    'a ',
    'b'.repeat(200),
  ]
  const all = parts({ width: 99, keys: { width: 1 } })
  for (const key of names) {
    await all.queue.put(`${key}1`, { key })
    await all.queue.put(`${key}2`, { key })
  }
  await all.resume()

  t.deepEqual(
    all.running(),
    names.map(key => `${key}1`),
  )
  t.deepEqual((await all.queue.keys()).map(({ key }) => key).sort(), [...names].sort())
})

test('wrong options of keys are refused by name', t => {
  const refused: [unknown, string][] = [
    [{ weight: 0 }, 'keys.weight'],
    [{ weight: -1 }, 'keys.weight'],
    [{ weight: Number.NaN }, 'keys.weight'],
    [{ weight: Infinity }, 'keys.weight'],
    [{ weight: '2' }, 'keys.weight'],
    [{ width: -1 }, 'keys.width'],
    [{ width: 1.5 }, 'keys.width'],
    [{ rate: { limit: 0, per: '1s' } }, 'keys.rate.limit'],
    [{ rate: [{ limit: 1, per: 'soon' }] }, 'keys.rate[0].per'],
    [{ order: 'lifo' }, 'keys.order'],
    [{ concurrency: 2 }, 'keys.concurrency'],
    ['acme', 'keys'],
    [[], 'keys'],
    [null, 'keys'],
  ]
  for (const [keys, option] of refused) {
    const options = { keys } as QueueOptions<string, string>
    t.is(
      t.throws(() => new DispatchQueue<string, string>(scripted(), options), { instanceOf: OptionError })?.option,
      option,
    )
  }
})

test('a wrong override of a key is refused, and changes nothing', async t => {
  const { queue } = parts({ keys: { width: 3 } })
  const key = queue.key('a')

  t.throws(() => queue.key(''), { instanceOf: OptionError })
  t.throws(() => (key.width = -1), { instanceOf: OptionError })
  t.throws(() => (key.weight = 0), { instanceOf: OptionError })
  t.throws(() => (key.rate = { limit: 0, per: 1 }), { instanceOf: OptionError })
  await t.throwsAsync(queue.keys({ limit: 0 }), { instanceOf: OptionError })
  await t.throwsAsync(queue.clearOverrides('key' as 'keys'), { instanceOf: OptionError })
  t.deepEqual([key.width, key.weight], [3, 1])
})

test('a key cannot be set once the queue has stopped', async t => {
  const { queue } = parts({ keys: {} })
  await queue.stop()

  t.throws(() => (queue.key('a').width = 1), { code: 'QUEUE_STOPPED' })
  await t.throwsAsync(queue.key('a').pause(), { code: 'QUEUE_STOPPED' })
})

test('a queue with keys comes to its end with every job run once', async t => {
  const clock = new VirtualClock()
  const runs = new Map<string, number>()
  const queue = new DispatchQueue<string, void>(async payload => void runs.set(payload, (runs.get(payload) ?? 0) + 1), {
    clock,
    width: 3,
    keys: { width: 2, rate: { limit: 5, per: '100ms' } },
  })
  await queue.putMany(
    Array.from({ length: 200 }, (_, i) => `${i}`),
    (_, i) => (i % 3 === 0 ? {} : { key: `key ${i % 7}`, priority: i % 2 }),
  )
  await drain(queue, clock)

  t.is(runs.size, 200)
  t.true([...runs.values()].every(count => count === 1))
})
