import type { Backlog } from '../../lib/backlog.ts'
import { QueueStoppedError } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, sharedBacklog, test, unrun } from '../support/backlog-under-test.ts'

function parts(width = 1) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, width })
  return { clock, handler, queue }
}

const payloads = (jobs: readonly { payload: string }[]): string[] => jobs.map(job => job.payload)

test('pause starts nothing more, and resolves true when nothing is underway', async t => {
  const { clock, handler, queue } = parts(2)
  await queue.putMany(['a', 'b', 'c'])
  await clock.settle()
  let resolved: boolean | undefined
  void queue.pause().then(drained => (resolved = drained))
  t.true(queue.paused)

  handler.underway[0]?.finish('')
  await clock.settle()
  t.is(resolved, undefined)
  handler.underway[0]?.finish('')
  await clock.settle()

  t.true(resolved)
  t.deepEqual(handler.called, ['a', 'b'])
  t.is((await queue.put('d')).state, 'pending')
})

test('a pause waits for bodies whose job has settled already', async t => {
  const { clock, handler, queue } = parts()
  const job = await queue.put('a')
  await clock.settle()
  await job.cancel()
  let resolved: boolean | undefined
  void queue.pause().then(drained => (resolved = drained))

  await clock.settle()
  t.is(resolved, undefined)
  handler.underway[0]?.finish('late')
  await clock.settle()

  t.true(resolved)
})

test('a pause resolves false when resume or stop comes first', async t => {
  const { clock, queue } = parts()
  await queue.put('a')
  await clock.settle()

  const first = queue.pause()
  queue.resume()
  const second = queue.pause()
  void queue.stop({ cancelUnderway: true })

  t.deepEqual(await Promise.all([first, second, queue.pause()]), [false, false, false])
  await clock.advance(5_000)
})

test('two pauses and one resume leave the width as it was, and a resume without a pause changes nothing', async t => {
  const { clock, handler, queue } = parts(2)
  queue.resume()
  t.deepEqual(await Promise.all([queue.pause(), queue.pause()]), [true, true])
  await queue.putMany(['a', 'b'])

  queue.resume()
  queue.resume()
  await clock.settle()

  t.is(queue.width, 2)
  t.deepEqual(handler.called, ['a', 'b'])
})

test('pause of tasks parks generators at their next yield, slots kept, and resume lets them go on', async t => {
  const clock = new VirtualClock()
  let steps = 0
  let end = false
  const queue = new DispatchQueue<string, string>(
    function* () {
      while (!end) {
        steps++
        yield
        if (steps % 100 === 0) yield new Promise(resolve => setImmediate(resolve))
      }
      return 'done'
    },
    { clock },
  )
  const result = queue.run('a')
  while (steps === 0) await new Promise(resolve => setImmediate(resolve))

  t.true(await queue.pause({ tasks: true }))
  const before = steps
  end = true
  await clock.settle()
  t.is(steps, before)
  t.is(queue.counts.underway, 1)
  queue.resume()

  t.is(await result, 'done')
})

test('a shared pause stops all queue objects of the name until a shared resume', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const handler = scripted<string, string>()
  const worker = new DispatchQueue<string, string>(handler, { clock, backlog, name: 'n' })
  const web = new DispatchQueue<string, string>(null, { clock, backlog, name: 'n' })
  await Promise.all([worker.ready(), web.ready()])
  t.true(await web.pause({ shared: true }))
  await web.put('a')
  await clock.settle()
  t.deepEqual(handler.called, [])
  t.true(worker.paused)
  t.is((await worker.explain((await web.jobs())[0]?.id as string)).why, 'shared pause')

  worker.resume()
  await clock.settle()
  t.deepEqual(handler.called, [])
  web.resume({ shared: true })
  await clock.settle()

  t.deepEqual(handler.called, ['a'])
  t.false(worker.paused)
})

/** A backlog that refuses so many shared pauses, each when `refuse` is called. */
function refusingPauses(many: number): { readonly backlog: Backlog; refuse(): void } {
  const backlog = sharedBacklog()
  const attach = backlog.attach.bind(backlog)
  const refusals: (() => void)[] = []
  let left = many
  backlog.attach = async options => {
    const session = await attach(options)
    const send = session.command.bind(session)
    session.command = (command, now, wall) => {
      if (command.kind !== 'pause' || left-- <= 0) return send(command, now, wall)
      return new Promise((_, reject) => refusals.push(() => reject(new Error('disk full'))))
    }
    return session
  }
  return { backlog, refuse: () => refusals.shift()?.() }
}

test('a shared pause that the backlog refuses pauses nothing', async t => {
  const clock = new VirtualClock()
  const { backlog, refuse } = refusingPauses(1)
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, backlog, name: 'n' })
  const seen: string[] = []
  queue.on('paused', () => seen.push('paused'))
  queue.on('resumed', () => seen.push('resumed'))
  await queue.ready()

  const paused = queue.pause({ shared: true })
  t.true(queue.paused)
  await queue.put('a')
  await clock.settle()
  t.deepEqual(handler.called, [])
  refuse()
  await t.throwsAsync(paused, { message: 'disk full' })
  await clock.settle()

  t.false(queue.paused)
  t.deepEqual(handler.called, ['a'])
  t.deepEqual(seen, ['paused', 'resumed'])
})

test('a shared pause that the backlog refuses undoes no other pause', async t => {
  const clock = new VirtualClock()
  const { backlog, refuse } = refusingPauses(2)
  const queue = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  await queue.ready()

  const refused = queue.pause({ shared: true })
  void queue.pause()
  await clock.settle()
  refuse()
  await t.throwsAsync(refused, { message: 'disk full' })
  t.true(queue.paused)
  queue.resume()
  t.false(queue.paused)

  const first = queue.pause({ shared: true })
  const second = queue.pause({ shared: true })
  await clock.settle()
  refuse()
  await t.throwsAsync(first, { message: 'disk full' })
  t.true(await second)
  await clock.settle()

  t.true(queue.paused)
})

test('put, putMany and run reject with QueueStoppedError by their own names after a stop, also while they wait for space', async t => {
  const queue = new DispatchQueue<string, string>(() => '', { paused: true, size: 1, overflow: 'wait' })
  await queue.put('a')
  const waiting = [queue.put('b'), queue.run('c'), queue.run('d', { priority: 1 }), queue.putMany(['e'])]
  const messages = Promise.all(waiting.map(each => each.then(String, ({ message }: Error) => message)))
  await queue.get('behind them')
  await queue.stop()
  const stopped = 'the queue was stopped'

  t.deepEqual(
    await messages,
    ['put', 'run', 'run', 'put'].map(verb => `cannot ${verb}: ${stopped}`),
  )
  await t.throwsAsync(queue.put('x'), { message: `cannot put: ${stopped}` })
  await t.throwsAsync(queue.putMany(['x']), { message: `cannot put: ${stopped}` })
  await t.throwsAsync(queue.run('x'), { message: `cannot run: ${stopped}` })
  await t.throwsAsync(queue.run('x', { priority: 1 }), { message: `cannot run: ${stopped}` })
})

test('a shared pause that parks tasks lets them go on with the shared resume', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  let steps = 0
  function* stepping() {
    for (; steps < 3; steps++) yield new Promise<void>(resolve => void clock.at(clock.now() + 10, resolve))
  }
  const worker = new DispatchQueue<string, void>(stepping, { clock, backlog, name: 'n' })
  const result = worker.run('a')
  await clock.settle()
  const parked = worker.pause({ tasks: true, shared: true })
  await clock.advance(100)
  t.true(await parked)
  t.true(steps < 3)
  // A turn by which the shared pause takes the place of the one that stood in for it.
  await worker.put('b', { delay: '1h' })
  await clock.settle()

  worker.resume({ shared: true })
  await clock.advance(100)

  t.is(await Promise.race([result.then(() => 'ended'), clock.advance(100).then(() => 'parked')]), 'ended')
})

test('stop lets bodies finish, starts nothing, and returns what did not run, most important first', async t => {
  const { clock, handler, queue } = parts()
  const a = await queue.put('a')
  await clock.settle()
  await queue.putMany(['c', 'd'])
  await queue.put('b', { priority: -1 })
  await queue.put('later', { delay: '1h', priority: 5 })

  const stop = queue.stop()
  t.is(queue.stop(), stop)
  t.true(queue.stopped)
  handler.underway[0]?.finish('ok')
  const { left, abandoned } = await stop

  t.is(a.state, 'finished')
  t.deepEqual(payloads(await unrun(queue)), ['b', 'c', 'd', 'later'])
  t.deepEqual([left, abandoned], [durable() ? 4 : 0, []])
  t.deepEqual(handler.called, ['a'])
  t.deepEqual([queue.counts.pending, queue.counts.delayed, queue.counts.underway], durable() ? [3, 1, 0] : [0, 0, 0])
})

test('stop partitions all jobs: finished, cut short and returned first, never run and returned, abandoned', async t => {
  const { clock, handler, queue } = parts(3)
  const jobs = await queue.putMany(['ends', 'fails', 'hangs', 'waits'])
  await clock.settle()
  const [ends, fails] = handler.underway

  const stop = queue.stop({ grace: '10s' })
  ends?.finish('ok')
  await clock.advance(10_000)
  t.true(fails?.task.signal.aborted)
  fails?.fail(new Error('aborted'))
  await clock.advance(5_000)
  const { abandoned } = await stop

  t.deepEqual(payloads(await unrun(queue)), ['fails', 'waits'])
  t.deepEqual(payloads(abandoned), ['hangs'])
  t.is(jobs[0]?.state, 'finished')
  t.is(jobs[1]?.attempt, 0, 'being cut short uses no attempt')
})

test('stop with a grace lets bodies finish that do so in time', async t => {
  const { clock, handler, queue } = parts()
  const result = queue.run('a')
  await clock.settle()
  const signal = handler.underway[0]?.task.signal as AbortSignal
  const stop = queue.stop({ grace: '10s' })

  await clock.advance(9_999)
  t.false(signal.aborted)
  handler.underway[0]?.finish('just in time')

  t.is(await result, 'just in time')
  await stop
  t.deepEqual(await unrun(queue), [])
})

test('stop with cancelUnderway aborts at once and runs the finally of generators', async t => {
  const clock = new VirtualClock()
  let cleaned = false
  const queue = new DispatchQueue<string, void>(
    function* () {
      try {
        yield new Promise(() => {})
      } finally {
        cleaned = true
      }
    },
    { clock },
  )
  await queue.put('a')
  await clock.settle()

  const { abandoned } = await queue.stop({ cancelUnderway: true })

  t.true(cleaned)
  t.deepEqual(payloads(await unrun(queue)), ['a'])
  t.deepEqual(abandoned, [])
})

test('a later, harsher stop escalates, a milder one changes nothing', async t => {
  const { clock, handler, queue } = parts()
  await queue.put('a')
  await clock.settle()
  const signal = handler.underway[0]?.task.signal as AbortSignal

  const stop = queue.stop()
  await clock.advance(3_600_000)
  t.false(signal.aborted)
  t.is(queue.stop({ grace: '1m' }), stop)
  t.is(queue.stop({ grace: '1h' }), stop)
  await clock.advance(59_999)
  t.false(signal.aborted)
  t.is(queue.stop({ cancelUnderway: true }), stop)
  t.true(signal.aborted)
  handler.underway[0]?.fail(signal.reason)

  await stop
  t.deepEqual(payloads(await unrun(queue)), ['a'])
})

test('every promise settles when the queue stops', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, size: 1, overflow: 'wait' })
  const hangs = await queue.put('hangs')
  await clock.settle()
  const waits = await queue.put('waits')
  const results = [hangs.result, waits.result, queue.put('no room'), queue.run('none either'), queue.idle()]
  const settled = Promise.allSettled(results)
  const pause = queue.pause()

  const stop = queue.stop({ cancelUnderway: true })
  await clock.advance(5_000)
  await stop

  for (const outcome of await settled) {
    t.is(outcome.status, 'rejected')
    if (outcome.status === 'rejected') t.true(outcome.reason instanceof QueueStoppedError, String(outcome.reason))
  }
  t.false(await pause)
  await t.throwsAsync(waits.result, { instanceOf: QueueStoppedError })
})

test('after stop puts reject, and setting width, rate or resume throws', async t => {
  const { queue } = parts()
  const stop = queue.stop()
  const expected = { instanceOf: QueueStoppedError, code: 'QUEUE_STOPPED' }

  await t.throwsAsync(queue.put('a'), expected)
  await t.throwsAsync(queue.putMany(['a']), expected)
  await t.throwsAsync(queue.run('a'), expected)
  t.throws(() => (queue.width = 2), expected)
  t.throws(() => (queue.rate = undefined), expected)
  t.throws(() => queue.resume(), expected)
  await stop

  await t.throwsAsync(queue.put('a'), expected)
})

test('a paused queue can be stopped, and the end of an `await using` block stops its queue', async t => {
  const { clock, handler, queue } = parts()
  await queue.pause()
  await queue.putMany(['a', 'b'])
  {
    await using _ = queue
  }

  t.deepEqual(payloads(await unrun(queue)), ['a', 'b'])
  t.deepEqual(handler.called, [])
  t.is(clock.next, undefined)
})

test('jobs that were put in the same turn of the event loop as stop were accepted, and are returned', async t => {
  const { queue } = parts()
  const put = queue.put('a')
  const stop = queue.stop()

  const job = await put
  await stop

  t.deepEqual(
    (await unrun(queue)).map(({ id }) => id),
    [job.id],
  )
})

test('the signal of the queue stops it as cancelUnderway does', async t => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, signal: controller.signal })
  await queue.put('a')
  await clock.settle()
  const signal = handler.underway[0]?.task.signal as AbortSignal

  controller.abort()

  t.true(signal.aborted && queue.stopped)
  handler.underway[0]?.fail(signal.reason)
  t.deepEqual(payloads(await unrun(queue)), ['a'])
})

test('a queue whose backlog did not open runs nothing, and a pause of it resolves at once', async t => {
  const clock = new VirtualClock()
  const backlog = { durable: true, strict: true, attach: () => Promise.reject(new Error('not today')) }
  const second = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  second.on('error', () => {})

  const drained: boolean[] = []
  const early = second.pause().then(all => drained.push(all))
  await t.throwsAsync(second.ready(), { message: 'not today' })
  await clock.settle()
  const late = second.pause().then(all => drained.push(all))
  await clock.settle()

  t.deepEqual(drained, [true, true])
  await Promise.all([early, late])
  await second.stop()
  // What could not be opened has no name.
  await new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' }).stop()
})

test('a name can be taken up again after stop', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const first = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  const again = (): unknown => new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  t.throws(again, { code: 'QUEUE_NAME_TAKEN' })
  await first.put('b')
  await drain(first as DispatchQueue, clock)
  const stop = first.stop()
  t.throws(again, { code: 'QUEUE_NAME_TAKEN' })
  await stop

  const third = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  await third.put('a')
  await drain(third as DispatchQueue, clock)

  t.is(third.counts.finished, 2)
})

test('idle() rejects if a stop comes before all jobs have run, whenever it was called, and `idle` is not emitted', async t => {
  const { clock, handler, queue } = parts()
  const seen: string[] = []
  queue.on('idle', () => seen.push('idle'))
  await queue.putMany(['a', 'b', 'c'])
  await clock.settle()
  const idle = t.throwsAsync(queue.idle(), { instanceOf: QueueStoppedError })
  const stop = queue.stop()
  const meanwhile = t.throwsAsync(queue.idle(), { instanceOf: QueueStoppedError })
  await clock.settle()
  handler.underway[0]?.finish('')
  await stop

  await idle
  await meanwhile
  await t.throwsAsync(queue.idle(), { instanceOf: QueueStoppedError })
  t.deepEqual(seen, [])
})

test('idle resolves when the last job ends while a stop waits for it, and after that stop', async t => {
  const { clock, handler, queue } = parts()
  const seen: string[] = []
  queue.on('idle', () => seen.push('idle'))
  void queue.put('a')
  await clock.settle()
  const idle = queue.idle()
  const stop = queue.stop()
  await clock.settle()
  handler.underway[0]?.finish('')
  await stop

  await idle
  await queue.idle()
  t.deepEqual(seen, ['idle'])
})

test('an idle() that is not awaited is no unhandled rejection when the queue stops', async t => {
  const { queue } = parts()
  const unhandled: unknown[] = []
  const listen = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', listen)
  void queue.pause()
  await queue.put('a')
  void queue.idle()
  await queue.stop()
  void queue.idle()
  await new Promise(resolve => setImmediate(resolve))
  process.off('unhandledRejection', listen)

  t.deepEqual(unhandled, [])
})
