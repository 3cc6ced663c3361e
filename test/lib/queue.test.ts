/** The face of the queue: its members, what each refuses, and that the constructor connects the parts behind them. */
import test from 'ava'
import type { Backlog, SessionOptions } from '../../lib/backlog.ts'
import { DispatchQueue, type Job, MemoryBacklog } from '../../lib/index.ts'
import { maxPutMany } from '../../lib/queue.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'

type TextJob = Job<string, string>

function parts(options: object = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, ...options })
  queue.on('failed', () => {})
  return { clock, handler, queue }
}

/** A memory backlog that records how queues attach to it. */
function recording(refuse?: Error) {
  const attached: SessionOptions[] = []
  const memory = new MemoryBacklog() as unknown as Backlog
  const backlog: Backlog = {
    durable: memory.durable,
    strict: memory.strict,
    attach: options => {
      attached.push(options)
      if (refuse) return Promise.reject(refuse)
      return memory.attach(options)
    },
  }
  return { attached, backlog: backlog as unknown as MemoryBacklog }
}

test('queue: it has exactly the documented public members', t => {
  const members = Object.getOwnPropertyNames(DispatchQueue.prototype).filter(name => name !== 'constructor')

  t.deepEqual(members.sort(), [
    ...[
      'cancel',
      'clear',
      'clearOverrides',
      'counts',
      'events',
      'explain',
      'get',
      'globalWidth',
      'idle',
      'isolateCount',
      'isolates',
      'jobs',
      'key',
      'keys',
      'name',
    ],
    ...['overrides', 'pause', 'paused', 'promote', 'put', 'putMany', 'rate', 'ready', 'remove', 'reprioritize'],
    ...['reschedule', 'resume', 'retry', 'run', 'stop', 'stopped', 'underway', 'width'],
  ])
  t.is(typeof DispatchQueue.prototype[Symbol.asyncDispose], 'function')
})

test('queue: an invalid handler and invalid options are refused by name', t => {
  const make =
    (...args: unknown[]) =>
    () =>
      new DispatchQueue(...(args as [() => void]))

  t.throws(make({ width: 5 }), { code: 'OPTION', message: /^handler must be a function.*the handler comes first/ })
  t.throws(
    make(() => {}, { width: -1 }),
    { code: 'OPTION', message: /^width / },
  )
  t.throws(make(null, {}), { code: 'OPTION', message: /^backlog / })
  t.throws(make(null, { backlog: new MemoryBacklog(), width: 2 }), { code: 'OPTION', message: /^width / })
  const backlog = new MemoryBacklog()
  make(() => {}, { backlog, name: 'a' })()
  t.throws(
    make(() => {}, { backlog, name: 'a' }),
    { code: 'QUEUE_NAME_TAKEN' },
  )
})

test('queue: the constructor declares the queue to its backlog, once, and launches nothing', async t => {
  const { attached, backlog } = recording()
  const rate = { limit: 3, per: '1s' as const }
  const { clock, handler } = parts({
    backlog,
    name: 'mail',
    rate,
    size: 7,
    crashLimit: 2,
    afterCrash: async () => 'again',
  })

  const [declared, ...others] = attached
  t.deepEqual(others, [])
  t.like(declared, { name: 'mail', works: true, size: 7, crashLimit: 2, afterCrash: 'ask' })
  t.like(declared?.rate?.[0], { limit: 3, perMs: 1_000 })
  await clock.settle()
  t.is(handler.called.length, 0)
})

test('queue: a backlog that cannot be opened rejects every call that needs it, with its own error', async t => {
  const refusal = new Error('no disk')
  const { backlog } = recording(refusal)
  const { queue } = parts({ backlog, name: 'mail' })
  const calls: (() => Promise<unknown>)[] = [
    () => queue.ready(),
    () => queue.put('a'),
    () => queue.putMany(['a']),
    () => queue.run('a'),
    () => queue.get('a'),
    () => queue.jobs(),
    () => queue.explain('a'),
    () => queue.cancel('a'),
    () => queue.retry('a'),
    () => queue.remove('a'),
    () => queue.reprioritize('a', 1),
    () => queue.reschedule('a', 1),
    () => queue.promote('a'),
    () => queue.clear(),
    () => queue.idle(),
  ]

  for (const call of calls) t.is(await t.throwsAsync(call()), refusal, String(call))
  t.deepEqual(
    { ...queue.counts, asOf: 0 },
    {
      ...{ pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0, closing: 0, asOf: 0 },
    },
  )
  t.deepEqual(queue.rate, [])
  t.deepEqual(await queue.stop(), { returned: [], left: 0, abandoned: [] })
})

test('queue: after a stop each call rejects, throws, or returns that it changed nothing', async t => {
  const { queue } = parts()
  const job = await queue.put('a')
  const stopped = queue.stop({ cancelUnderway: true })
  const code = 'QUEUE_STOPPED'

  t.true(queue.stopped)
  t.is(queue.stop(), stopped)
  await t.throwsAsync(queue.put('b'), { code })
  await t.throwsAsync(queue.putMany(['b']), { code })
  await t.throwsAsync(queue.run('b'), { code })
  t.throws(() => (queue.width = 2), { code })
  t.throws(() => (queue.rate = { limit: 1, per: 1 }), { code })
  t.throws(() => queue.resume(), { code })
  t.false(await queue.pause())
  await t.throwsAsync(queue.clear(), { code })
  await t.throwsAsync(queue.remove(job), { code })
  await t.throwsAsync(queue.retry(job), { code })
  await t.throwsAsync(queue.reprioritize(job, 1), { code })
  await t.throwsAsync(queue.reschedule(job, 1), { code })
  await t.throwsAsync(queue.promote(job), { code })
  t.false(await queue.cancel('unknown'))
  await stopped
})

test('queue: illegal arguments are refused by their name before anything happens', async t => {
  const { queue } = parts()
  const refused = (call: () => Promise<unknown>, message: RegExp) => t.throwsAsync(call(), { code: 'OPTION', message })

  await refused(() => queue.putMany('ab' as never), /^payloads must be an array/)
  await refused(() => queue.putMany(Array(maxPutMany + 1).fill('')), /^payloads must be at most 50000/)
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is refused.
  await refused(() => queue.putMany(['a', , 'c'] as string[]), /^payloads\[1\] is a hole/)
  await refused(() => queue.pause({ tasks: 1 } as never), /^pause.tasks /)
  await refused(() => queue.pause({ shard: true } as never), /^pause.shard .*shared/)
  await refused(() => queue.stop({ grace: -1 }), /^stop.grace /)
  await refused(() => queue.get(1 as never), /^id must be a string/)
  await refused(() => queue.cancel({} as Job<string, string>), /^job must be a job or its id/)
  t.throws(() => queue.resume({ width: -1 }), { code: 'OPTION' })
  t.throws(() => queue.events('finshed' as 'finished'), { code: 'OPTION' })
  t.throws(() => (queue.width = 1.5), { code: 'OPTION' })
  t.throws(() => (queue.rate = { limit: 0, per: 1 }), { code: 'OPTION' })

  t.false(queue.paused || queue.stopped)
  t.is(queue.width, 1)
})

test('queue: a put goes all its way, from pending to its result', async t => {
  const { clock, handler, queue } = parts()
  const events: string[] = []
  for (const event of ['pending', 'underway', 'finished', 'settled', 'idle'] as const)
    queue.on(event, () => events.push(event))
  const job = await queue.put('a')
  await clock.settle()

  t.deepEqual(queue.underway(), [job])
  t.is(await queue.get(job.id), job)
  handler.underway[0]?.finish('done')
  t.is(await job.result, 'done')
  await clock.settle()
  t.deepEqual(events, ['pending', 'underway', 'finished', 'settled', 'idle'])
  t.like(queue.counts, { pending: 0, underway: 0, finished: 1 })
})

test('queue: run resolves with the result of the handler, and putMany with a job for each payload', async t => {
  const { clock, handler, queue } = parts({ width: 3 })
  const result = queue.run('a')
  const jobs = await queue.putMany(['b', 'c'], (_, i) => ({ priority: i }))
  await clock.settle()
  for (const call of [...handler.underway]) call.finish(`${call.payload}!`)

  t.is(await result, 'a!')
  t.deepEqual(await Promise.all(jobs.map(job => job.result)), ['b!', 'c!'])
})

test('queue: width and rate read what was set at once, and each change is an event', async t => {
  const { clock, handler, queue } = parts({ rate: { limit: 1, per: '1s' } })
  const changes: unknown[] = []
  queue.on('width', (now, before) => changes.push([now, before]))
  queue.on('rate', (now, before) => changes.push([now.length, before.length]))
  await queue.putMany(['a', 'b', 'c'])
  await clock.settle()
  t.is(handler.called.length, 1)

  queue.width = 3
  queue.width = 3
  queue.rate = undefined
  t.is(queue.width, 3)
  t.deepEqual(queue.rate, [])
  await clock.settle()

  t.is(handler.called.length, 3, 'the parts behind both act on the change')
  t.deepEqual(changes, [
    [3, 1],
    [0, 1],
  ])
})

test('queue: pause stops launches, resume allows them again and may set the width', async t => {
  const { clock, handler, queue } = parts()
  t.true(await queue.pause())
  t.true(queue.paused)
  await queue.putMany(['a', 'b'])
  await clock.settle()
  t.is(handler.called.length, 0)

  queue.resume({ width: 2 })
  await clock.settle()

  t.false(queue.paused)
  t.is(handler.called.length, 2)
})

test('queue: commands and queries reach the backlog', async t => {
  const { queue } = parts({ width: 0, name: 'mail' })
  const [a, b, c] = (await queue.putMany(['a', 'b', 'c'])) as [TextJob, TextJob, TextJob]
  const order = async () => (await queue.jobs({ state: 'pending' })).map(job => job.payload)

  t.is(queue.name, 'mail')
  await queue.ready()
  await queue.reprioritize(c, -1)
  t.deepEqual(await order(), ['c', 'a', 'b'])
  await queue.reschedule(a, '1h')
  t.deepEqual(await order(), ['c', 'b'])
  await queue.promote(a)
  t.deepEqual(await order(), ['c', 'a', 'b'])
  t.like(await queue.explain(b), { state: 'pending', why: 'width', position: 2 })
  t.true(await queue.cancel(b, 'not needed'))
  t.is(await queue.retry(b), b)
  t.true(await queue.remove(b))
  t.is(await queue.get(b.id), undefined)
  t.is(await queue.clear(), 2)
  await queue.idle()
})

test('queue: events can be iterated over, and a stop ends the iteration', async t => {
  const { queue } = parts({ width: 0 })
  const seen: string[] = []
  const loop = (async () => {
    for await (const [job] of queue.events('pending')) seen.push(job.payload)
  })()
  await queue.putMany(['a', 'b'])
  await queue.stop()
  await loop

  t.deepEqual(seen, ['a', 'b'])
})

test('queue: a stop returns what did not run, and `await using` stops', async t => {
  const { clock, queue } = parts({ width: 0 })
  const job = await queue.put('a')
  const { returned } = await queue.stop()
  t.deepEqual(returned, [job])

  const other = parts()
  const disposed = other.queue[Symbol.asyncDispose]()
  t.true(other.queue.stopped)
  await disposed
  await clock.settle()
})

test('queue: its signal stops it, and interrupts what runs', async t => {
  const controller = new AbortController()
  const { clock, handler, queue } = parts({ signal: controller.signal })
  await queue.put('a')
  await clock.settle()
  controller.abort()

  t.true(queue.stopped)
  await clock.settle()
  t.true(handler.underway[0]?.task.signal.aborted)
  handler.underway[0]?.finish('late')
  await queue.stop()
})

test('queue: the result, cancel and pause of a job work', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    function* () {
      yield new Promise(() => {})
      return ''
    },
    { clock },
  )
  const job = await queue.put('a')
  await clock.settle()
  job.pause()
  job.resume()
  t.true(await job.cancel('enough'))
  await t.throwsAsync(job.result, { code: 'CANCELLED' })
  await drain(queue, clock)

  t.throws(() => job.pause(), { code: 'JOB_STATE' })
})
