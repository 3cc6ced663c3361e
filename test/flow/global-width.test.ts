import { MemoryBacklog, OptionError } from '../../lib/index.ts'
import type { QueueOptions } from '../../lib/options/options.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'

function parts(options: Partial<QueueOptions<string, string>> = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, paused: true, width: 99, ...options })
  const running = (): string[] => handler.underway.map(call => call.payload)
  const end = async (payload: string): Promise<void> => {
    handler.underway.find(call => call.payload === payload)?.finish('')
    await clock.settle()
  }
  const resume = async (): Promise<void> => {
    queue.resume()
    await clock.settle()
  }
  return { clock, handler, queue, running, end, resume }
}

/** Two queue objects of one name: one that runs jobs, and one without a handler. */
async function two(options: Partial<QueueOptions<string, string>> = {}) {
  const backlog = sharedBacklog()
  const all = parts({ backlog, name: 'shared', paused: false, ...options })
  await all.queue.ready()
  const far = new DispatchQueue<string, string>(null, { backlog, clock: all.clock, name: 'shared' })
  await far.ready()
  const next = async (declared: Partial<QueueOptions<string, string>>): Promise<typeof all> => {
    await all.queue.stop()
    const after = parts({ backlog, name: 'shared', clock: all.clock, ...declared })
    await after.queue.ready()
    return after
  }
  return { ...all, backlog, far, next }
}

test('globalWidth: the smaller of both widths holds', async t => {
  const all = parts({ globalWidth: 2 })
  await all.queue.putMany(['1', '2', '3', '4'])
  await all.resume()
  t.deepEqual(all.running(), ['1', '2'])
  t.is(all.queue.globalWidth, 2)

  all.queue.width = 1
  await all.end('1')
  t.deepEqual(all.running(), ['2'])
  await all.end('2')
  t.deepEqual(all.running(), ['3'])
})

test('globalWidth: without a global width only the width of the queue object limits', async t => {
  const all = parts()
  await all.queue.putMany(['1', '2', '3'])
  await all.resume()

  t.is(all.queue.globalWidth, Infinity)
  t.deepEqual(all.running(), ['1', '2', '3'])
})

test('globalWidth: set wider it starts jobs at once, set narrower it interrupts none, and 0 stops all', async t => {
  const all = parts({ globalWidth: 1 })
  await all.queue.putMany(['1', '2', '3', '4', '5'])
  await all.resume()
  t.deepEqual(all.running(), ['1'])

  all.queue.globalWidth = 3
  t.is(all.queue.globalWidth, 3)
  await all.clock.settle()
  t.deepEqual(all.running(), ['1', '2', '3'])

  all.queue.globalWidth = 1
  await all.end('1')
  await all.end('2')
  t.deepEqual(all.running(), ['3'])
  await all.end('3')
  t.deepEqual(all.running(), ['4'])

  all.queue.globalWidth = 0
  await all.end('4')
  t.deepEqual(all.running(), [])
  all.queue.globalWidth = Infinity
  await all.clock.settle()
  t.deepEqual(all.running(), ['5'])
})

test('globalWidth: a body that goes on after its job has ended keeps its slot', async t => {
  const all = parts({ globalWidth: 1 })
  const [first] = await all.queue.putMany(['1', '2'])
  await all.resume()

  await first?.cancel()
  await all.clock.settle()
  t.is(first?.state, 'cancelled')
  t.deepEqual(all.running(), ['1'])

  await all.end('1')
  t.deepEqual(all.running(), ['2'])
})

test('globalWidth: a job that goes back, or comes again later, frees its slot', async t => {
  const all = parts({ globalWidth: 1, retry: { attempts: 2, delay: '1m', jitter: false } })
  await all.queue.putMany(['1', '2'])
  await all.resume()

  all.handler.underway[0]?.fail(new Error('again'))
  await all.clock.settle()
  t.deepEqual(all.running(), ['2'])
  await all.end('2')
  await all.clock.advance(60_000)

  t.deepEqual(all.running(), ['1'])
})

test('globalWidth: keys share the slots that it leaves', async t => {
  const all = parts({ globalWidth: 2, keys: {} })
  for (const payload of ['a1', 'a2', 'a3', 'b1']) await all.queue.put(payload, { key: payload[0] })
  await all.resume()

  t.deepEqual(all.running().sort(), ['a1', 'b1'])
})

test('globalWidth: explain names it, and only for jobs that are due', async t => {
  const all = parts({ globalWidth: 1 })
  const [, second] = await all.queue.putMany(['1', '2'])
  const later = await all.queue.put('3', { delay: '1h' })
  await all.resume()
  const why = async (job: typeof later | undefined) => (await all.queue.explain(job as typeof later)).why

  t.is(await why(second), 'globalWidth')
  t.is(await why(later), 'delay')
  all.queue.width = 1
  t.is(await why(second), 'width')
  all.queue.width = 2
  all.queue.globalWidth = Infinity
  await all.clock.settle()
  t.is(await why(second), undefined)
})

test('globalWidth: its event reports each change once, also one made elsewhere, and `width` is not emitted', async t => {
  const all = await two({ globalWidth: 3 })
  const seen: unknown[] = []
  all.queue.on('globalWidth', (...args) => seen.push(args))
  all.queue.on('width', () => seen.push('width'))
  const far: unknown[] = []
  all.far.on('globalWidth', (...args) => far.push(args))

  all.queue.globalWidth = 5
  all.queue.globalWidth = 5
  t.deepEqual(seen, [[5, 3]])
  await all.clock.settle()
  all.far.globalWidth = 4
  await all.clock.settle()

  t.deepEqual(seen, [
    [5, 3],
    [4, 5],
  ])
  t.deepEqual(far, [
    [5, 3],
    [4, 5],
  ])
  t.is(all.queue.globalWidth, 4)
})

test('rate: its event reports a change made elsewhere', async t => {
  const all = await two({ rate: { limit: 3, per: '1s' } })
  const seen: unknown[] = []
  all.queue.on('rate', ([now], [before]) => seen.push([now?.limit, before?.limit]))

  all.far.rate = { limit: 9, per: '1s' }
  await all.clock.settle()
  all.queue.rate = { limit: 5, per: '1s' }
  await all.clock.settle()

  t.deepEqual(seen, [
    [9, 3],
    [5, 9],
  ])
})

test('globalWidth: a queue without a handler sets it, also as the first to use the name', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const far = new DispatchQueue<string, string>(null, { backlog, clock, name: 'shared' })
  await far.ready()
  far.globalWidth = 2
  await clock.settle()

  const all = parts({ backlog, clock, name: 'shared', paused: false, globalWidth: 7 })
  await all.queue.ready()
  await far.putMany(['1', '2', '3'])
  await clock.settle()

  // A declaration is new the first time.
  t.is(all.queue.globalWidth, 7)
  far.globalWidth = 1
  await clock.settle()
  t.is(all.queue.globalWidth, 1)
  t.deepEqual(all.running(), ['1', '2', '3'])
})

test('globalWidth: a queue without a handler declares it', async t => {
  const backlog = sharedBacklog()
  const clock = new VirtualClock()
  const far = new DispatchQueue<string, string>(null, { backlog, clock, name: 'shared', globalWidth: 1 })
  await far.ready()
  const all = parts({ backlog, clock, name: 'shared', paused: false })
  await far.putMany(['1', '2'])
  await clock.settle()

  t.deepEqual(all.running(), ['1'])
})

// Declared and set.

test('globalWidth: an override stays when the same is declared again, and gives way to another declaration', async t => {
  const all = await two({ globalWidth: 3 })
  all.far.globalWidth = 5
  await all.clock.settle()

  const same = await all.next({ globalWidth: 3 })
  t.is(same.queue.globalWidth, 5)
  t.is(same.queue.overrides().globalWidth, 5)
  const silent = await same.queue.stop().then(() => all.next({}))
  t.is(silent.queue.globalWidth, 5)
  await silent.queue.stop()
  const other = await all.next({ globalWidth: 4 })

  t.is(other.queue.globalWidth, 4)
  t.is(other.queue.overrides().globalWidth, undefined)
})

test('globalWidth: a queue that opens emits the event if another value than its own is in force', async t => {
  const { queue, far, clock, backlog } = await two({ globalWidth: 3 })
  far.globalWidth = 5
  await clock.settle()
  await queue.stop()
  const seen: unknown[] = []

  const next = new DispatchQueue<string, string>(scripted(), { backlog, clock, name: 'shared', globalWidth: 3 })
  next.on('globalWidth', (...args) => seen.push(args))
  t.is(next.globalWidth, 3)
  await next.ready()

  t.deepEqual([next.globalWidth, seen], [5, [[5, 3]]])
})

test('overrides: it lists settings that differ from their declaration, and nothing else', async t => {
  const { queue, clock, far } = await two({ rate: { limit: 1, per: '1s' }, globalWidth: 3, keys: { width: 2 } })
  t.deepEqual(queue.overrides(), { rate: undefined, globalWidth: undefined, keys: new Map() })

  far.rate = { limit: 9, per: '1s' }
  queue.globalWidth = 2
  queue.key('a').width = 1
  await clock.settle()
  const { rate, globalWidth, keys } = queue.overrides()
  t.like(rate, [{ limit: 9 }])
  t.is(globalWidth, 2)
  t.deepEqual([...keys], [['a', { width: 1 }]])
  t.deepEqual(far.overrides(), queue.overrides())

  queue.rate = { limit: 1, per: '1s' }
  queue.globalWidth = 3
  queue.key('a').width = undefined
  await clock.settle()
  t.deepEqual(queue.overrides(), { rate: undefined, globalWidth: undefined, keys: new Map() })
})

test('clearOverrides: one of them goes back to what was declared, and the others stay', async t => {
  const { queue, clock } = await two({ rate: { limit: 1, per: '1s' }, globalWidth: 3 })
  const set = async (): Promise<void> => {
    queue.rate = { limit: 9, per: '1s' }
    queue.globalWidth = 2
    queue.key('a').width = 1
    await clock.settle()
  }
  const found = (): unknown => [queue.rate[0]?.limit, queue.globalWidth, queue.key('a').width]
  const seen: string[] = []
  queue.on('rate', () => seen.push('rate'))
  queue.on('globalWidth', () => seen.push('globalWidth'))
  await set()
  seen.length = 0

  await queue.clearOverrides('rate')
  t.deepEqual(found(), [1, 2, 1])
  await queue.clearOverrides('globalWidth')
  t.deepEqual(found(), [1, 3, 1])
  t.deepEqual(seen, ['rate', 'globalWidth'])
  await queue.clearOverrides('keys')
  t.deepEqual(found(), [1, 3, Infinity])
})

test('clearOverrides: without an argument all go back, in every queue object of the name', async t => {
  const all = await two({ rate: { limit: 1, per: '1s' }, globalWidth: 1, keys: {} })
  const { queue, far, clock } = all
  queue.rate = undefined
  queue.globalWidth = 9
  await queue.key('a').pause()
  await far.put('a1', { key: 'a' })
  await clock.settle()
  t.deepEqual(all.running(), [])

  await far.clearOverrides()
  await clock.settle()

  t.deepEqual(queue.overrides(), { rate: undefined, globalWidth: undefined, keys: new Map() })
  t.is(queue.globalWidth, 1)
  t.deepEqual(all.running(), ['a1'])
})

test('clearOverrides: without a declaration there is no rate and no global width', async t => {
  const { queue, clock } = await two()
  queue.rate = { limit: 1, per: '1h' }
  queue.globalWidth = 0
  await clock.settle()

  await queue.clearOverrides()

  t.deepEqual(queue.rate, [])
  t.is(queue.globalWidth, Infinity)
})

// Bad input.

test('globalWidth: a wrong value is refused by name, and changes nothing', async t => {
  for (const bad of [-1, 1.5, Number.NaN, '3', null, 2 ** 60, {}, true]) {
    const options = { globalWidth: bad } as QueueOptions<string, string>
    const error = t.throws(() => new DispatchQueue<string, string>(scripted(), options), { instanceOf: OptionError })
    t.is(error?.option, 'globalWidth')
    t.true(error?.message.includes('whole number of 0 or more, or Infinity'))
  }
  const { queue } = parts({ globalWidth: 3 })
  for (const bad of [-1, '3', undefined, null]) {
    t.throws(() => (queue.globalWidth = bad as number), { instanceOf: OptionError })
  }
  await t.throwsAsync(queue.clearOverrides('width' as 'keys'), { instanceOf: OptionError })
  t.is(queue.globalWidth, 3)
  await queue.stop()
  t.throws(() => (queue.globalWidth = 1), { code: 'QUEUE_STOPPED' })
  await t.throwsAsync(queue.clearOverrides(), { code: 'QUEUE_STOPPED' })
})

test('globalWidth: a value that cannot be stored emits error, and the former value reads again', async t => {
  const clock = new VirtualClock()
  const backlog = durable() ? sharedBacklog() : new MemoryBacklog()
  const attach = backlog.attach.bind(backlog)
  backlog.attach = async options => {
    const session = await attach(options)
    const send = session.command.bind(session)
    session.command = (command, ...instants) =>
      command.kind === 'globalWidth' ? Promise.reject(new Error('no')) : send(command, ...instants)
    return session
  }
  const all = parts({ backlog, clock, name: 'shared', globalWidth: 3, paused: false })
  const errors: unknown[] = []
  const seen: unknown[] = []
  all.queue.on('error', error => errors.push(error))
  all.queue.on('globalWidth', (...args) => seen.push(args))
  await all.queue.ready()

  all.queue.globalWidth = 1
  t.is(all.queue.globalWidth, 1)
  await clock.settle()

  t.is(all.queue.globalWidth, 3)
  t.is(errors.length, 1)
  t.deepEqual(seen, [
    [1, 3],
    [3, 1],
  ])
  await all.queue.put('1')
  await clock.settle()
  t.deepEqual(all.running(), ['1'])
})
