import { EventsLostError, type Job, type Limited } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

function parts(name = 'events') {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, name })
  return { clock, handler, queue }
}

test('pending comes first, underway before the first line, finished before the result settles', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const queue = new DispatchQueue<string, void>(() => void log.push('first line'), { clock })
  for (const event of ['pending', 'underway', 'finished', 'settled'] as const) {
    queue.on(event, job => void log.push(`${event} (${job.state})`))
  }
  queue.on('idle', () => void log.push('idle'))
  const job = await queue.put('a')
  void job.result.then(() => log.push('result'))

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(
    log.filter(line => line !== 'idle'),
    ['pending (pending)', 'underway (underway)', 'first line', 'finished (finished)', 'settled (finished)', 'result'],
  )
  t.is(log.filter(line => line === 'idle').length, 1)
})

test('`settled` is emitted after every ending', async t => {
  const { clock, handler, queue } = parts()
  const ends: string[] = []
  queue.on('settled', job => ends.push(`${job.payload} ${job.state}`))
  const [, , c] = await queue.putMany(['a', 'b', 'c'])
  await clock.settle()
  handler.underway[0]?.finish('')
  await clock.settle()
  handler.underway[0]?.fail(new Error('no'))
  await c?.cancel()
  await clock.settle()

  t.deepEqual([...ends].sort(), ['a finished', 'b failed', 'c cancelled'])
})

test('the event retry carries the error and the delay', async t => {
  const clock = new VirtualClock()
  const no = new Error('no')
  const queue = new DispatchQueue<string, void>(
    (_, task) => {
      if (task.attempt === 1) throw no
    },
    { clock, retry: { attempts: 2, delay: 700, jitter: false } },
  )
  const reported: unknown[] = []
  queue.on('retry', (job, error, delay) => reported.push([job.payload, error, delay, job.state]))
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(reported, [['a', no, 700, 'delayed']])
})

test('listeners that throw or reject harm no job or listener and are reported as error', async t => {
  const { clock, handler, queue } = parts()
  const errors: [unknown, unknown][] = []
  const observed: string[] = []
  queue.on('error', (error, context) => errors.push([(error as Error).message, context.event]))
  queue.on('underway', () => {
    throw new Error('thrown')
  })
  queue.on('underway', () => observed.push('second'))
  queue.on('finished', async () => {
    throw new Error('rejected')
  })
  const result = queue.run('a')
  await clock.settle()
  handler.underway[0]?.finish('fine')

  t.is(await result, 'fine')
  await clock.settle()
  t.deepEqual(observed, ['second'])
  t.deepEqual(errors, [
    ['thrown', 'underway'],
    ['rejected', 'finished'],
  ])
})

test('an error listener that throws is not called with its own error', async t => {
  const { clock, queue } = parts('error-throws')
  let calls = 0
  queue.on('error', () => {
    calls++
    throw new Error('again')
  })
  queue.on('pending', () => {
    throw new Error('first')
  })
  await queue.put('a')
  await clock.settle()

  t.is(calls, 1)
})

test('a listener may put re-entrantly, and the handler does not run inside it', async t => {
  const clock = new VirtualClock()
  let inside = false
  const called: number[] = []
  const queue = new DispatchQueue<number, void>(
    n => {
      t.false(inside)
      called.push(n)
    },
    { clock },
  )
  queue.on('finished', job => {
    inside = true
    if (job.payload < 3) void queue.put(job.payload + 1)
    inside = false
  })
  await queue.put(1)

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(called, [1, 2, 3])
})

test('a listener may remove itself and others while it is called', async t => {
  const { clock, handler, queue } = parts()
  const observed: string[] = []
  const first = (): void => {
    observed.push('first')
    queue.off('underway', first)
  }
  queue.on('underway', first)
  queue.on('underway', () => observed.push('second'))
  queue.once('underway', () => observed.push('once'))
  queue.width = 2
  await queue.putMany(['a', 'b'])
  await clock.settle()

  t.is(handler.underway.length, 2)
  t.deepEqual(observed, ['first', 'second', 'once', 'second'])
})

test.serial('errors without a listener become one warning a minute', async t => {
  const { clock, queue } = parts('unheard')
  const warnings: string[] = []
  const listen = (warning: Error): void => {
    if (warning.message.includes("'unheard'")) warnings.push(warning.message)
  }
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  queue.width = 0
  queue.on('pending', () => {
    throw new Error('nobody hears')
  })

  for (let i = 0; i < 5; i++) await queue.put('a')
  await clock.settle()
  t.is(warnings.length, 1)
  t.true(warnings[0]?.includes('nobody hears'))
  await clock.advance(60_000)
  await queue.put('a')
  await clock.settle()

  t.is(warnings.length, 2)
  t.true(warnings[1]?.includes('5 more unhandled errors'), warnings[1])
  for (let i = 0; i < 3; i++) await queue.put('a')
  await clock.settle()
  t.is(warnings.length, 2)
  await queue.stop()
  await clock.settle()
  t.is(warnings.length, 3)
  t.true(warnings[2]?.includes('3 more unhandled errors'), warnings[2])
})

test.serial('failures without a listener become a warning, unless a caller requested the result', async t => {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const listen = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const fails = (): void => {
    throw new Error('no')
  }
  const observed = new DispatchQueue<string, void>(fails, { clock, name: 'heard' })
  const unobserved = new DispatchQueue<string, void>(fails, { clock, name: 'failing' })

  await t.throwsAsync(observed.run('a'))
  await unobserved.put('a')
  await clock.settle()

  t.is(warnings.filter(text => text.includes("'heard'")).length, 0)
  const ofFailing = (): string[] => warnings.filter(text => text.includes("'failing'"))
  t.is(ofFailing().length, 1)
  t.regex(ofFailing()[0] ?? '', /^queue 'failing': an unhandled job failure; further ones .*: Error: no/)

  for (let i = 0; i < 4; i++) await unobserved.put('a')
  await clock.settle()
  t.is(ofFailing().length, 1)
  await unobserved.stop()
  await observed.stop()
  await clock.settle()

  t.is(ofFailing().length, 2)
  t.regex(ofFailing()[1] ?? '', /^queue 'failing': 4 more unhandled job failures; the first of them: Error: no/)
  t.false(warnings.some(text => text.includes("'heard'")))
})

test('queue.events iterates over later events and ends with the queue', async t => {
  const { clock, handler, queue } = parts()
  const seen: string[] = []
  const events = queue.events('finished')
  const reading = (async () => {
    for await (const [job] of events) seen.push(job.payload)
  })()
  await queue.putMany(['a', 'b'])
  for (let i = 0; i < 2; i++) {
    await clock.settle()
    handler.underway[0]?.finish('')
  }
  await clock.settle()
  await queue.stop()
  await reading

  t.deepEqual(seen, ['a', 'b'])
  t.is(queue.listenerCount('finished'), 0)
})

test('queue.events ends with its signal and leaves no listener', async t => {
  const { queue } = parts()
  const controller = new AbortController()
  const next = queue.events('finished', { signal: controller.signal }).next()
  controller.abort()

  t.true((await next).done)
  t.is(queue.listenerCount('finished'), 0)
})

test('queue.events of a stopped queue ends at once and leaves no listener', async t => {
  const { queue } = parts()
  await queue.stop()

  const events = queue.events('finished')

  t.deepEqual(await events.next(), { value: undefined, done: true })
  t.is(queue.listenerCount('finished'), 0)
})

test('queue.events ends with removeAllListeners, of its event or of all, and with no other', async t => {
  const { queue } = parts()
  const [finished, failed, other] = [queue.events('finished'), queue.events('failed'), queue.events('width')]
  const next = [finished.next(), failed.next(), other.next()]

  queue.removeAllListeners('finished')
  t.true((await next[0])?.done)
  queue.width = 7
  t.deepEqual((await next[2])?.value, [7, 1])
  queue.removeAllListeners()

  t.true((await next[1])?.done)
  t.true((await other.next()).done)
})

test('queue.events ends with an off that names its event and no listener', async t => {
  const { queue } = parts()
  const [finished, failed] = [queue.events('finished'), queue.events('failed')]
  const next = finished.next()
  void failed.next()

  queue.off('finished')

  t.true((await next).done)
  t.deepEqual([queue.listenerCount('finished'), queue.listenerCount('failed')], [0, 1])
})

test('queue.events: return() ends a pending next()', async t => {
  const { queue } = parts()
  const events = queue.events('finished')
  const next = events.next()

  await events.return()

  t.true((await next).done)
  await t.throwsAsync(queue.events('finished').throw(new Error('mine')), { message: 'mine' })
  t.is(queue.listenerCount('finished'), 0)
})

test('queue.events delivers buffered events before it ends, `stopped` included, in order', async t => {
  const { queue } = parts()
  const [widths, stopped] = [queue.events('width'), queue.events('stopped')]
  for (const width of [2, 3, 4]) queue.width = width
  await queue.stop()

  const read: unknown[] = []
  for await (const [now] of widths) read.push(now)
  for await (const args of stopped) read.push(args)

  t.deepEqual(read, [2, 3, 4, []])
})

test('queue.events buffers a bounded number of unread events, then rejects with the number lost', async t => {
  const { queue } = parts()
  const events = queue.events('width', { most: 3 })
  const unbounded = queue.events('width', { most: Infinity })
  for (let width = 1; width <= 9; width++) queue.width = width + 1

  const read: unknown[] = []
  for (let i = 0; i < 3; i++) read.push((await events.next()).value?.[0])
  const error = await t.throwsAsync(events.next(), { instanceOf: EventsLostError, code: 'EVENTS_LOST' })

  t.deepEqual(read, [2, 3, 4])
  t.is((error as EventsLostError).lost, 6)
  t.true((await events.next()).done)
  t.is(queue.listenerCount('width'), 1)
  for (let i = 0; i < 9; i++) t.is((await unbounded.next()).value?.[0], i + 2)
  await unbounded.return()
})

test('queue.events refuses unknown options and invalid bounds', t => {
  const { queue } = parts()
  const refused = (options: object): string | undefined =>
    t.throws(() => queue.events('finished', options), { code: 'OPTION' })?.message

  t.regex(refused({ max: 1 }) ?? '', /^events\.max/)
  t.regex(refused({ most: 0 }) ?? '', /^events\.most must be a whole number of 1 or more/)
  t.regex(refused({ signal: 'soon' }) ?? '', /^events\.signal must be an AbortSignal/)
  t.is(queue.listenerCount('finished'), 0)
})

test('`limited` reports the rule and its end once each time that a rule holds jobs up', async t => {
  const clock = new VirtualClock()
  const limited: Limited[] = []
  const queue = new DispatchQueue<number, void>(() => {}, { clock, width: 9, rate: { limit: 2, per: '1s' } })
  queue.on('limited', about => limited.push(about))
  await queue.putMany([1, 2, 3, 4])
  await clock.settle()
  t.is(limited.length, 1)
  t.is(limited[0]?.rule?.limit, 2)
  t.true((limited[0]?.until ?? 0) > clock.wall())

  await drain(queue as DispatchQueue, clock)

  t.is(queue.counts.finished, 4)
})

test('width, paused, resumed and stopped are emitted', async t => {
  const { queue } = parts()
  const reported: unknown[] = []
  queue.on('width', (now, before) => reported.push(['width', now, before]))
  for (const event of ['paused', 'resumed', 'stopped'] as const) queue.on(event, () => reported.push(event))

  queue.width = 4
  queue.width = 4
  void queue.pause()
  void queue.pause()
  queue.resume()
  await queue.stop()

  t.deepEqual(reported, [['width', 4, 1], 'paused', 'resumed', 'stopped'])
})

test('idle is emitted each time that no job is left', async t => {
  const { clock, handler, queue } = parts()
  let idles = 0
  queue.on('idle', () => idles++)
  for (let i = 0; i < 3; i++) {
    await queue.putMany(['a', 'b'])
    await clock.settle()
    t.is(idles, i)
    handler.underway[0]?.finish('')
    await clock.settle()
    handler.underway[0]?.finish('')
    await clock.settle()
    t.is(idles, i + 1)
  }
})

test('progress is emitted while the run is open', async t => {
  const { clock, handler, queue } = parts()
  const reported: [Job<string, string>, unknown][] = []
  queue.on('progress', (job, value) => reported.push([job, value]))
  const job = await queue.put('a')
  await clock.settle()
  const call = handler.underway[0]
  call?.task.progress(0.5)
  call?.finish('')
  await clock.settle()
  call?.task.progress(1)

  t.deepEqual(reported, [[job, 0.5]])
})
