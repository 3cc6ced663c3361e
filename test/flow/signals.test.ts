/** The signal of a put: once it has aborted, the body never begins, wherever the job is by then. */
import { getEventListeners } from 'node:events'
import { CancelledError, MemoryBacklog, type PutOptions } from '../../lib/index.ts'
import type { DispatchQueue as Queue } from '../../lib/queue.ts'
import { scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

interface Options {
  width?: number
  size?: number
  overflow?: 'wait'
  paused?: boolean
  retry?: { attempts: number; delay: number; jitter: false }
}

function parts(options: Options = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, ...options })
  return { clock, handler, queue }
}

const payloads = (jobs: readonly { payload: string }[]): string[] => jobs.map(({ payload }) => payload)
/** What an error says of itself, as far as it can be compared. */
const said = (error: unknown) => {
  const { name, code, reason, cause } = error as CancelledError
  return { name, code, reason, cause }
}
const left = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    error => error,
  )

const ways: Readonly<Record<string, (queue: Queue<string, string>, options: PutOptions) => Promise<unknown>>> = {
  put: (queue, options) => queue.put('a', options),
  putMany: (queue, options) => queue.putMany(['a', 'b'], options),
  'putMany, by one of many signals': (queue, options) => queue.putMany(['b', 'a'], p => (p === 'a' ? options : {})),
  run: (queue, options) => queue.run('a', options),
}

for (const [way, send] of Object.entries(ways)) {
  test(`${way} with a signal that has aborted puts nothing and rejects`, async t => {
    const { clock, handler, queue } = parts({ width: 5 })
    const reason = new Error('nobody waits any more')

    const error = await left(send(queue, { signal: AbortSignal.abort(reason) }))
    await clock.settle()

    t.true(error instanceof CancelledError)
    t.deepEqual(said(error), { name: 'CancelledError', code: 'CANCELLED', reason, cause: reason })
    t.deepEqual(handler.called, [])
    t.deepEqual(await queue.jobs(), [])
    t.like(queue.counts, { pending: 0, cancelled: 0 })
  })

  test(`${way} whose signal aborts before the put is sent rejects, and its neighbours keep their order`, async t => {
    const { clock, handler, queue } = parts({ width: 5 })
    const controller = new AbortController()
    const before = queue.put('before')
    const requested = left(send(queue, { signal: controller.signal }))
    const after = queue.put('after')

    controller.abort('gone')
    t.is(((await requested) as CancelledError).cause, 'gone')
    await Promise.all([before, after])
    await clock.settle()

    t.deepEqual(handler.called, ['before', 'after'])
    t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  })

  test(`the signal of a waiting ${way} withdraws it, and the puts behind it move up`, async t => {
    const { clock, handler, queue } = parts({ paused: true, size: 2, overflow: 'wait' })
    const controller = new AbortController()
    await queue.put('first')
    const filler = queue.putMany(['x', 'y'], { signal: controller.signal })
    const requested = left(send(queue, { signal: controller.signal }))
    const behind = queue.put('behind')
    await clock.settle()
    t.is(queue.counts.pending, 1)

    controller.abort('gone')

    t.is(said(await left(filler)).cause, 'gone')
    t.is(said(await requested).cause, 'gone')
    await behind
    t.deepEqual(payloads(await queue.jobs({ state: 'pending' })), ['first', 'behind'])
    queue.resume()
    await clock.settle()
    t.deepEqual(handler.called, ['first'])
    t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  })
}

test('whenever a signal aborts after the call, the body does not begin after it', async t => {
  const clock = new VirtualClock()
  const begun: string[] = []
  const aborted = new Set<string>()
  const queue = new DispatchQueue<string, void>(
    payload => {
      if (aborted.has(payload)) begun.push(payload)
    },
    { clock, width: 100 },
  )
  await queue.ready()
  const ended: Promise<unknown>[] = []
  for (let i = 0; i < 200; i++) {
    const controller = new AbortController()
    const options = { signal: controller.signal, ...(i % 5 === 0 && { id: `${i}` }) }
    const requested = i % 2 ? queue.run(`${i}`, options) : queue.put(`${i}`, options).then(job => job.result)
    ended.push(left(requested))
    for (let turns = i % 23; turns > 0; turns--) await undefined
    if (i % 7 === 0) await new Promise(resolve => setImmediate(resolve))
    aborted.add(`${i}`)
    controller.abort()
  }
  await clock.settle()
  const outcomes = await Promise.all(ended)

  t.deepEqual(begun, [])
  t.true(outcomes.every(outcome => outcome === 'done' || outcome instanceof CancelledError))
  t.true(outcomes.some(outcome => outcome instanceof CancelledError))
})

test('whenever a signal aborts after the call, the job does not wait any longer', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>(() => {}, { clock, paused: true })
  await queue.ready()
  for (let i = 0; i < 100; i++) {
    const controller = new AbortController()
    const put = left(queue.put(`${i}`, { signal: controller.signal, ...(i % 3 === 0 && { id: `${i}` }) }))
    for (let turns = i % 23; turns > 0; turns--) await undefined
    if (i % 7 === 0) await new Promise(resolve => setImmediate(resolve))
    controller.abort()
    await put
  }
  await clock.settle()

  t.like(queue.counts, { pending: 0, delayed: 0 })
  await queue.idle()
})

test('any number of queues have one listener on a signal of theirs, which stops them all', async t => {
  const controller = new AbortController()
  const { signal } = controller
  const queues = [...Array(20)].map((_, i) => new DispatchQueue(() => {}, { name: `${i}`, signal }))
  t.is(getEventListeners(signal, 'abort').length, 1)

  controller.abort()

  t.true(queues.every(({ stopped }) => stopped))
  await Promise.all(queues.map(queue => queue.stop()))
})

test('a signal that aborts in the handler of one job keeps the next from beginning, though both were claimed together', async t => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const called: string[] = []
  const seen: string[] = []
  const queue = new DispatchQueue<string, void>(
    payload => {
      called.push(payload)
      if (payload === 'a') controller.abort('by a')
    },
    { clock, width: 3, paused: true },
  )
  queue.on('underway', job => seen.push(job.payload as string))
  const [, b] = await Promise.all([queue.put('a'), queue.put('b', { signal: controller.signal }), queue.put('c')])
  queue.resume()
  await clock.settle()

  t.deepEqual(called, ['a', 'c'])
  t.deepEqual(seen, ['a', 'c'])
  t.is(b.state, 'cancelled')
  t.is(said(await left(b.result)).cause, 'by a')
  t.like(queue.counts, { finished: 2, cancelled: 1, closing: 0, underway: 0 })
})

test('a start that was granted to a job whose signal aborts before its launch is free for another', async t => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const called: string[] = []
  const queue = new DispatchQueue<string, void>(
    payload => {
      called.push(payload)
      controller.abort()
    },
    { clock, width: 3, paused: true, rate: { limit: 2, per: '1h' } },
  )
  await Promise.all([queue.put('a'), queue.put('b', { signal: controller.signal }), queue.put('c')])
  queue.resume()
  await clock.advance(1_000)

  t.deepEqual(called, ['a', 'c'])
})

test('a signal that aborts in a listener of underway keeps that very body from beginning', async t => {
  const { clock, handler, queue } = parts({ width: 2 })
  const controller = new AbortController()
  queue.on('underway', () => controller.abort('by a listener'))
  const error = left(queue.run('a', { signal: controller.signal }))
  await clock.settle()

  t.is(said(await error).cause, 'by a listener')
  t.deepEqual(handler.called, [])
})

test('a signal cancels a job that is delayed, and one that waits for its next attempt', async t => {
  const { clock, handler, queue } = parts({ width: 2, retry: { attempts: 3, delay: 1_000, jitter: false } })
  const controller = new AbortController()
  const { signal } = controller
  const [delayed, again] = await Promise.all([
    queue.put('delayed', { delay: 500, signal }),
    queue.put('again', { signal }),
  ])
  await clock.settle()
  handler.underway[0]?.fail(new Error('no'))
  await clock.settle()
  t.deepEqual([delayed.state, again.state], ['delayed', 'delayed'])

  controller.abort('gone')
  await clock.advance(10_000)

  t.deepEqual([delayed.state, again.state], ['cancelled', 'cancelled'])
  t.deepEqual(handler.called, ['again'])
})

test('a signal cancels a job that runs: run rejects, the signal of the body aborts, and the body keeps its slot', async t => {
  const { clock, handler, queue } = parts()
  const controller = new AbortController()
  const reason = new Error('gone')
  const run = left(queue.run('a', { signal: controller.signal }))
  await clock.settle()

  controller.abort(reason)
  const error = await run

  t.deepEqual(said(error), { name: 'CancelledError', code: 'CANCELLED', reason, cause: reason })
  t.is(handler.underway[0]?.task.signal.reason, error)
  await clock.settle()
  t.is(queue.counts.closing, 1)
})

test('the signal of a put whose id is remembered does not affect the existing job', async t => {
  const { clock, handler, queue } = parts()
  const controller = new AbortController()
  const first = await queue.put('a', { id: 'a', delay: 1_000 })
  const again = await queue.put('a', { id: 'a', signal: controller.signal })
  controller.abort()
  await clock.advance(1_000)

  t.true(again.existed)
  t.is(first.state, 'underway')
  t.deepEqual(handler.called, ['a'])
})

test('a job that its signal has cancelled runs when it is put anew by retry', async t => {
  const { clock, handler, queue } = parts({ paused: true })
  const controller = new AbortController()
  const job = await queue.put('a', { signal: controller.signal })
  controller.abort()
  await clock.settle()
  t.is(job.state, 'cancelled')

  await queue.retry(job)
  queue.resume()
  await clock.settle()

  t.deepEqual(handler.called, ['a'])
})

test('a signal that aborts after its job was cancelled and put anew by retry does not concern the job', async t => {
  const { clock, handler, queue } = parts({ width: 2, paused: true })
  const controller = new AbortController()
  const { signal } = controller
  const [waits, runs] = await Promise.all([queue.put('waits', { signal, priority: 1 }), queue.put('runs', { signal })])
  await Promise.all([queue.cancel(waits), queue.cancel(runs)])
  await Promise.all([queue.retry(waits), queue.retry(runs)])
  queue.width = 1
  queue.resume()
  await clock.settle()
  t.deepEqual(handler.called, ['runs'])

  controller.abort('gone')
  await clock.settle()
  t.false(handler.underway[0]?.task.signal.aborted)
  handler.underway[0]?.finish('')
  await clock.settle()
  handler.underway[0]?.finish('')
  await queue.idle()

  t.deepEqual(handler.called, ['runs', 'waits'])
  t.like(queue.counts, { finished: 2, cancelled: 0 })
})

test('a signal of a put by one queue object keeps the body from beginning in another one of the process', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const controllers = [...Array(20)].map(() => new AbortController())
  const called: string[] = []
  const worker = new DispatchQueue<number, void>(
    n => {
      called.push(`${n}`)
      // All were claimed together with the first.
      for (const controller of controllers.slice(1)) controller.abort()
    },
    { clock, backlog, name: 'n', width: 50, paused: true },
  )
  const web = new DispatchQueue<number, void>(null, { clock, backlog, name: 'n' })
  await web.putMany([...controllers.keys()], n => ({ signal: (controllers[n] as AbortController).signal }))
  worker.resume()
  await clock.settle()
  await web.idle()

  t.deepEqual(called, ['0'])
  t.like(worker.counts, { finished: 1, cancelled: 19 })
})

test('a job that was cancelled by the signal of a put elsewhere in the process runs when it is put anew', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const controller = new AbortController()
  const called: string[] = []
  const worker = new DispatchQueue<string, void>(
    payload => {
      called.push(payload)
      controller.abort()
    },
    { clock, backlog, name: 'n', width: 5, paused: true },
  )
  const web = new DispatchQueue<string, void>(null, { clock, backlog, name: 'n' })
  await web.put('a')
  const { id } = await web.put('b', { signal: controller.signal })
  worker.resume()
  await clock.settle()
  t.is((await web.get(id))?.state, 'cancelled')

  await web.retry(id)
  await clock.settle()

  t.deepEqual(called, ['a', 'b'])
})

test('no listener stays on the signal of a put whose job ran in another queue object', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const { signal } = new AbortController()
  const worker = new DispatchQueue<string, void>(() => {}, { clock, backlog, name: 'n' })
  const web = new DispatchQueue<string, void>(null, { clock, backlog, name: 'n' })
  await web.put('a', { signal })
  await worker.idle()
  await clock.settle()
  await web.idle()
  await clock.advance(1_000)

  t.is(worker.counts.finished, 1)
  t.deepEqual(getEventListeners(signal, 'abort'), [])
})

const requested: Readonly<Record<string, (queue: Queue<string, string>) => Promise<unknown>>> = {
  put: queue => queue.put('mine', { id: 'x' }),
  putMany: queue => queue.putMany(['beside', 'mine'], payload => (payload === 'mine' ? { id: 'x' } : {})),
  run: queue => queue.run('mine', { id: 'x' }),
}

for (const [way, send] of Object.entries(requested)) {
  test(`cancel by id: a waiting ${way} rejects, and the puts behind it move up`, async t => {
    const { clock, handler, queue } = parts({ paused: true, size: 2, overflow: 'wait' })
    await queue.putMany(['a', 'b'])
    const mine = left(send(queue))
    const again = left(queue.put('mine', { id: 'x' }))
    const behind = queue.put('behind')
    await clock.settle()
    // Asked in one breath: it finds what was put before it, and not what is put after it.
    const late = left(queue.put('late', { id: 'y' }))
    const cancelled = Promise.all([queue.cancel('x', 'gone'), queue.cancel('y', 'gone'), queue.cancel('z')])
    const later = queue.put('later', { id: 'x' })

    t.deepEqual(await cancelled, [true, true, false])
    for (const put of [mine, again, late]) t.like(said(await put), { code: 'CANCELLED', reason: 'gone' })
    t.false(await queue.cancel('y'))
    queue.resume()
    for (let i = 0; i < 5; i++) {
      await clock.settle()
      for (const run of handler.underway) run.finish('')
    }
    await Promise.all([behind, later])
    await queue.idle()
    t.deepEqual(handler.called, ['a', 'b', 'behind', 'later'])
    t.like(queue.counts, { finished: 4, cancelled: 0 })
  })
}

test('cancel by an id that the backlog knows cancels that job, and a waiting put of the id resolves with it', async t => {
  const { clock, queue } = parts({ paused: true, size: 2, overflow: 'wait' })
  const first = await queue.put('mine', { id: 'x' })
  await queue.put('b')
  const waits = queue.put('c')
  const again = queue.put('mine', { id: 'x' })
  await clock.settle()

  t.true(await queue.cancel('x'))

  t.is((await again).existed, true)
  t.is(first.state, 'cancelled')
  await waits
  t.like(queue.counts, { pending: 2, cancelled: 1 })
})

test('clear cancels puts that wait for space, and no put made after it', async t => {
  const { clock, handler, queue } = parts({ size: 1, overflow: 'wait', paused: true })
  await queue.put('first')
  const waits = left(queue.put('waits'))
  const runs = left(queue.run('runs'))
  const many = left(queue.putMany(['m']))
  await clock.settle()
  const cleared = queue.clear()
  const after = queue.put('after')

  t.is(await cleared, 4)
  for (const each of [waits, runs, many]) t.like(said(await each), { code: 'CANCELLED', reason: 'cleared' })
  await after
  queue.resume()
  await clock.settle()
  t.deepEqual(handler.called, ['after'])
})

test('jobs whose signal aborts while they are on their way are cancelled together', async t => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const backlog = new MemoryBacklog()
  const attach = backlog.attach.bind(backlog)
  backlog.attach = async options => {
    const session = await attach(options)
    const put = session.put.bind(session)
    const send = session.command.bind(session)
    session.put = async (...requested) => {
      controller.abort()
      return put(...requested)
    }
    session.command = async (...requested) => {
      await new Promise<void>(resolve => clock.at(clock.now() + 10, resolve))
      return send(...requested)
    }
    return session
  }
  const queue = new DispatchQueue<string, string>(() => '', { clock, paused: true, backlog })
  const puts = Array.from({ length: 500 }, () => queue.put('a', { signal: controller.signal }))
  await clock.settle()
  t.is((await Promise.all(puts)).length, 500)

  await clock.advance(100)

  t.is(queue.counts.cancelled, 500)
})
