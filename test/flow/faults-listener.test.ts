/**
 * Faults of listeners and of storms of commands: rows F38, F47 and F48 of our fault catalogue.
 *
 * Held elsewhere already:
 * - F38: events.test.ts, "listeners that throw or reject harm nobody and are reported as error", "a listener may put
 *   re-entrantly, and the handler does not run inside it", "a listener may remove itself and others while it is called"
 * - F39, unheard errors: events.test.ts, "errors without a listener become one warning a minute"
 * - F48: pause-stop.test.ts, "stop lets bodies finish …" (the same promise), "after stop puts reject, and setting width, …"
 */
import type { Job } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test, unrun } from '../support/backlog-under-test.ts'

const jobEvents = [
  'pending',
  'delayed',
  'underway',
  'progress',
  'checkpoint',
  'retry',
  'finished',
  'failed',
  'cancelled',
  'settled',
] as const

test('F38: listeners of every event that throw harm no job, and each throw is reported once', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, string>(
    async (payload, task) => {
      task.progress(1)
      await task.checkpoint(1)
      if (payload === 'fails' || task.attempt === 1) throw new Error('no')
      return payload
    },
    { clock, width: 2, retry: { attempts: 2, delay: 10 } },
  )
  const thrown: string[] = []
  const reported: string[] = []
  const events = [...jobEvents, 'width', 'rate', 'paused', 'resumed', 'limited', 'idle', 'stopped'] as const
  for (const event of events) {
    queue.on(event as 'idle', () => {
      thrown.push(event)
      throw new Error(event)
    })
  }
  queue.on('error', (error, { event }) => {
    t.is((error as Error).message, event as string)
    reported.push(event as string)
  })
  queue.width = 3
  queue.rate = { limit: 1, per: '1s' }
  void queue.pause()
  const ends = await queue.put('ends')
  const fails = await queue.put('fails')
  const cancelled = await queue.put('cancelled', { delay: '1h' })
  queue.resume()
  await cancelled.cancel()

  await drain(queue as DispatchQueue, clock)
  await queue.stop()

  t.deepEqual(
    [ends, fails, cancelled].map(job => job.state),
    ['finished', 'failed', 'cancelled'],
  )
  t.is(await ends.result, 'ends')
  t.deepEqual(reported, thrown)
  t.deepEqual([...new Set(reported)].sort(), [...events].sort(), 'every event came')
})

test('F38: all listeners get the events of a job in one order, with nothing after its ending', async t => {
  const clock = new VirtualClock({ seed: 3 })
  const queue = new DispatchQueue<number, void>(
    async (n, task) => {
      task.progress('half')
      await task.checkpoint(n)
      if (n % 3 === 0) throw new Error('no')
    },
    { clock, width: 4, retry: { attempts: 2, delay: 5 } },
  )
  const logs: string[][] = [[], []]
  for (const log of logs) {
    for (const event of jobEvents) queue.on(event as 'pending', job => log.push(`${job.payload} ${event}`))
  }
  const jobs = await queue.putMany([0, 1, 2, 3, 4, 5, 6])
  await jobs[6]?.cancel()

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(logs[0], logs[1])
  const run = 'underway progress checkpoint'
  for (const [n, grammar] of [
    [1, `pending ${run} finished settled`],
    [3, `pending ${run} retry delayed ${run} failed settled`],
  ] as const) {
    t.is(
      logs[0]
        ?.filter(line => line.startsWith(`${n} `))
        .map(line => line.slice(2))
        .join(' '),
      grammar,
    )
  }
  t.is(logs[0]?.filter(line => line.startsWith('6 ')).at(-1), '6 settled')
})

test('F38: no checkpoint event of a job comes after its ending', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>((_, task) => void task.checkpoint('last').catch(() => {}), { clock })
  const log: string[] = []
  queue.on('checkpoint', () => log.push('checkpoint'))
  queue.on('finished', () => log.push('finished'))
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.is(log.at(-1), 'finished')
})

test('F38: a listener of underway that stops the queue keeps the body from starting, and the job is handed back', async t => {
  const { clock, handler, queue } = parts()
  queue.on('underway', () => void queue.stop())
  const [a, b] = await queue.putMany(['a', 'b'])

  await clock.settle()
  const { abandoned } = await queue.stop()

  t.deepEqual(handler.called, [])
  t.deepEqual(
    (await unrun(queue)).map(({ id }) => id),
    [a?.id, b?.id],
  )
  t.deepEqual([abandoned.length, a?.attempt], [0, 0])
})

test('F38: a listener of underway that pauses the queue keeps the body from starting until resume', async t => {
  const { clock, handler, queue } = parts()
  queue.once('underway', () => void queue.pause())
  const [a] = await queue.putMany(['a', 'b'])
  await clock.settle()
  t.deepEqual([handler.called.length, a?.attempt, a?.state], [0, 0, 'pending'])

  queue.resume()
  await clock.settle()

  t.deepEqual(handler.called, ['a'])
  t.is(a?.attempt, 1)
})

test('F38: a listener of underway that narrows the width to 0 keeps the body from starting', async t => {
  const { clock, handler, queue } = parts()
  queue.once('underway', () => (queue.width = 0))
  await queue.putMany(['a', 'b'])

  await clock.settle()

  t.deepEqual(handler.called, [])
})

test('F47: a width that a handler narrows also holds for jobs granted in the same exchange', async t => {
  const clock = new VirtualClock()
  const called: number[] = []
  const queue = new DispatchQueue<number, void>(
    n => {
      called.push(n)
      clock.block(10)
      if (n === 0) queue.width = 1
      return new Promise(() => {})
    },
    { clock, width: 5 },
  )
  await queue.putMany([0, 1, 2, 3, 4])

  await clock.settle()

  t.deepEqual(called, [0])
})

test('F47: the last of many changes of width, rate, pause and resume counts, and no job starts twice', async t => {
  const { clock, handler, queue } = parts()
  await queue.putMany(['a', 'b', 'c', 'd', 'e', 'f'])
  for (let i = 0; i < 500; i++) {
    queue.width = i % 7
    queue.rate = i % 2 ? { limit: 1 + (i % 3), per: '1h' } : undefined
    if (i % 3) void queue.pause()
    else queue.resume()
  }
  queue.rate = undefined
  queue.width = 4
  queue.resume()

  await clock.settle()

  t.is(new Set(handler.called).size, handler.called.length)
  t.is(handler.called.length, 4)
  t.deepEqual([queue.counts.underway, queue.counts.pending], [4, 2])
})

test('F47: pause and resume in one tick change nothing, in either order', async t => {
  const { clock, handler, queue } = parts()
  await queue.put('a')
  const first = queue.pause()
  queue.resume()
  await clock.settle()
  t.deepEqual(handler.called, ['a'])

  queue.resume()
  const second = queue.pause()
  await queue.put('b')
  handler.underway[0]?.finish('')
  await clock.settle()

  t.deepEqual(await Promise.all([first, second]), [false, true])
  t.deepEqual(handler.called, ['a'])
})

for (const at of ['before anything opened', 'with a put on its way', 'between the claim and the launch'] as const) {
  test(`F47: a stop ${at} loses no job and starts none`, async t => {
    const clock = new VirtualClock()
    const called: string[] = []
    const queue = new DispatchQueue<string, void>(
      payload => {
        called.push(payload)
        clock.block(10) // The slice is over: the others have been claimed and wait for the next.
        if (payload === 'first') void queue.stop()
      },
      { clock, width: 9 },
    )
    const puts: Promise<Job<string, void>>[] = []
    if (at === 'with a put on its way') puts.push(queue.put('a'), queue.put('b'))
    if (at === 'between the claim and the launch') puts.push(queue.put('first'), queue.put('a'), queue.put('b'))
    if (at !== 'between the claim and the launch') void queue.stop()

    await clock.settle()
    await queue.stop()

    t.deepEqual(called, at === 'between the claim and the launch' ? ['first'] : [])
    t.deepEqual(
      (await unrun(queue)).map(job => [job.payload, job.attempt]),
      at === 'before anything opened'
        ? []
        : [
            ['a', 0],
            ['b', 0],
          ],
    )
    t.is((await Promise.all(puts)).length, puts.length)
    t.is(clock.next, undefined)
  })
}

test('F47: a job that is cancelled between its claim and its launch is not called, and can be put anew', async t => {
  const clock = new VirtualClock()
  const called: string[] = []
  const queue = new DispatchQueue<string, void>(
    payload => {
      called.push(payload)
      clock.block(10)
      if (payload === 'first') void queue.cancel('second').then(() => queue.retry('second'))
    },
    { clock, width: 2 },
  )
  await queue.putMany(['first', 'second'], payload => ({ id: payload }))

  await clock.advance(60_000)

  t.deepEqual(called, ['first', 'second'])
})

test('F48: two stops of either kind are one stop with one event, and resolve alike', async t => {
  const { clock, queue } = parts()
  let stopped = 0
  queue.on('stopped', () => stopped++)
  await queue.put('a')
  await clock.settle()

  const stops = [queue.stop(), queue.stop({ grace: '1s' }), queue.stop({ cancelUnderway: true }), queue.stop()]
  await clock.advance(5_000)
  stops.push(queue.stop())

  t.is(new Set(stops).size, 1)
  t.is(new Set(await Promise.all(stops)).size, 1)
  t.is(stopped, 1)
})

test('F48: a stop with an option that is not legal rejects and does not stop', async t => {
  const { clock, handler, queue } = parts()

  await t.throwsAsync(queue.stop({ grace: -1 }), { code: 'OPTION' })
  await t.throwsAsync(queue.stop({ now: true } as object), { code: 'OPTION' })
  t.false(queue.stopped)
  await queue.put('a')
  await clock.settle()

  t.deepEqual(handler.called, ['a'])
})

function parts() {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock })
  return { clock, handler, queue }
}
