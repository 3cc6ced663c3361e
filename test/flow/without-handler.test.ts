/** A queue without a handler takes what it can do, and refuses by name what only a queue with a handler honours. */
import { DispatchQueue as AnyQueue } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'

const only = {
  width: 2,
  timeout: '5s',
  retry: 3,
  slice: 10,
  afterCrash: 'fail',
  crashLimit: 1,
  maxHold: '1h',
  paused: true,
} as const

for (const [option, value] of Object.entries(only)) {
  test(`without a handler: the option ${option} is refused, and the error names the alternative`, t => {
    const shared = { backlog: sharedBacklog(), name: 'n' }
    const error = t.throws(() => new DispatchQueue(null, { ...shared, [option]: value }), { code: 'OPTION' })

    t.like(error, { option, value })
    t.regex(error?.message ?? '', new RegExp(`^${option} means nothing to a queue without a handler.*: (set|call)`))
    t.notThrows(() => new DispatchQueue(null, { ...shared, [option]: undefined }))
    t.notThrows(() => new DispatchQueue(() => {}, { [option]: value }))
  })
}

test('without a handler: a plain pause is refused, a shared one holds the others, and width cannot be set', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const worker = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  const web = new DispatchQueue<string, void>(null, { clock, backlog, name: 'n' })

  for (const options of [undefined, {}, { tasks: true }, { shared: false }]) {
    const error = await t.throwsAsync(web.pause(options), { code: 'OPTION' })
    t.regex(error?.message ?? '', /call pause\(\{ shared: true \}\)/)
  }
  t.false(web.paused)
  t.throws(() => (web.width = 3), { code: 'OPTION', message: /^width means nothing/ })
  t.throws(() => web.resume(3), { code: 'OPTION' })

  t.true(await web.pause({ shared: true }))
  await web.put('a')
  await clock.advance(100)
  t.deepEqual([web.paused, worker.paused, worker.counts.finished], [true, true, 0])
  web.resume({ shared: true })
  await drain(worker as DispatchQueue, clock)
  t.is(worker.counts.finished, 1)
})

test('without a handler: size, rate, keep and the options of a put are honoured', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const rate = { limit: 1, per: '1h' } as const
  const options = { clock, backlog, name: 'n', size: 1, rate, keep: { failed: '1h' } } as const
  const web = new DispatchQueue<string, void>(null, options)

  await web.put('a', { retry: 2, timeout: '1s', priority: 1 })

  await t.throwsAsync(web.put('b'), { code: 'QUEUE_FULL' })
  t.like(web.rate[0], { limit: 1, perMs: 3_600_000 })
})

test('without a handler: a backlog is required, because no other queue could take jobs from one of its own', async t => {
  for (const options of [undefined, {}, { name: 'n' }, { name: 'n', backlog: undefined }]) {
    const error = t.throws(() => new AnyQueue(null, options as object), { code: 'OPTION' })
    t.like(error, {
      option: 'backlog',
      value: undefined,
      message:
        'backlog is required without a handler, because no other queue could run the jobs in one of its own; give it that of the queue with the handler: the very object, or one on the same store',
    })
  }

  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const putter = new DispatchQueue<string, string>(null, shared)
  const worker = new DispatchQueue<string, string>(text => text.toUpperCase(), shared)
  const result = putter.run('a')
  await drain(worker as DispatchQueue, clock)
  const job = await putter.put('b')
  await drain(worker as DispatchQueue, clock)

  if (!durable()) t.is(await result, 'A')
  else await t.throwsAsync(result, { code: 'RESULT_NOT_KEPT' })
  t.is(worker.counts.finished, 2)
  t.false(job.existed)
})

test('without a handler: idle() and its event come once the last job has ended in the queue that has one', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const handler = scripted<string, void>()
  const worker = new DispatchQueue<string, void>(handler, shared)
  const putter = new DispatchQueue<string, void>(null, shared)
  const seen: string[] = []
  putter.on('idle', () => seen.push('event'))
  await putter.put('a')
  await clock.settle()
  void putter.idle().then(() => seen.push('idle()'))
  await clock.settle()
  t.deepEqual([seen, worker.underway().length], [[], 1])

  handler.underway[0]?.finish()
  await clock.settle()

  t.deepEqual(seen.sort(), ['event', 'idle()'])
  t.like(putter.counts, { underway: 0, finished: 1 })
})

test('without a handler: a waiting put is accepted once the working queue has started a job', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const handler = scripted<string, void>()
  const worker = new DispatchQueue<string, void>(handler, { ...shared, paused: true })
  const putter = new DispatchQueue<string, void>(null, { ...shared, size: 1, overflow: 'wait' })
  const put: string[] = []
  for (const payload of ['a', 'b']) void putter.put(payload).then(job => put.push(job.payload))
  await clock.settle()
  t.deepEqual(put, ['a'])

  worker.resume()
  await clock.settle()

  t.deepEqual(put, ['a', 'b'])
  t.is(handler.called.length, 1)
})

test('without a handler: its stop leaves the jobs to the queue that runs them', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const handler = scripted<string, string>()
  const worker = new DispatchQueue<string, string>(handler, shared)
  const web = new DispatchQueue<string, string>(null, shared)
  const runs = ['a', 'b'].map(payload => worker.run(payload))
  const job = await web.put('c')
  const awaited = web.run('d').catch((error: Error) => (error as { code?: string }).code)
  await clock.settle()

  const remains = await web.stop()
  for (let i = 0; i < 4; i++) {
    handler.underway[0]?.finish('done')
    await clock.settle()
  }

  t.deepEqual(remains, { returned: [], left: 3, abandoned: [] })
  t.deepEqual(await Promise.all(runs), ['done', 'done'])
  t.is(await awaited, durable() ? 'QUEUE_STOPPED' : 'done')
  t.is(worker.counts.finished, 4)
  if (!durable()) t.is(job.state, 'finished')
  await worker.stop()
})

const codeOf = (error: unknown): unknown => (error as { code?: string }).code

test('without a handler: queues that stop together leave no promise open, and the last one returns the jobs', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const [a, b] = [new DispatchQueue<string, string>(null, shared), new DispatchQueue<string, string>(null, shared)]
  const runs = [a.run('x'), b.run('y')].map(run => run.catch(codeOf))
  await clock.settle()

  const remains = await Promise.all([a.stop(), b.stop()])

  t.deepEqual(await Promise.all(runs), ['QUEUE_STOPPED', 'QUEUE_STOPPED'])
  // Over a network either may be the last, and put its job first.
  const returned = remains.flatMap(one => one.returned.map(({ payload }) => payload))
  t.deepEqual(returned.sort(), durable() ? [] : ['x', 'y'])
})

test('without a handler: a stop beside that of the working queue leaves no promise open', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const worker = new DispatchQueue<string, string>(scripted<string, string>(), { ...shared, paused: true })
  const web = new DispatchQueue<string, string>(null, shared)
  const runs = [web.run('x'), worker.run('y')].map(run => run.catch(codeOf))
  await clock.settle()

  await Promise.all([worker.stop(), web.stop()])

  t.deepEqual(await Promise.all(runs), ['QUEUE_STOPPED', 'QUEUE_STOPPED'])
})

test('without a handler: a result that is read after its stop rejects, and that of the working queue does not', async t => {
  const clock = new VirtualClock()
  const shared = { clock, backlog: sharedBacklog(), name: 'n' }
  const handler = scripted<string, string>()
  const worker = new DispatchQueue<string, string>(handler, { ...shared, paused: true })
  const web = new DispatchQueue<string, string>(null, shared)
  const run = worker.run('x', { id: 'x' })
  await clock.settle()
  const job = await web.get('x')
  await web.stop()

  await t.throwsAsync(job?.result as Promise<string>, { code: 'QUEUE_STOPPED', message: /later/ })
  worker.resume()
  await clock.settle()
  handler.underway[0]?.finish('done')

  t.is(await run, 'done')
  await worker.stop()
})
