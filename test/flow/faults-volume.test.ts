/**
 * Faults of volume and of leaks: rows F49 and F50 of our fault catalogue.
 *
 * Held elsewhere already: F49, a bound: put.test.ts, "a full queue rejects puts until there is room, …" and "puts wait
 * for room in their order where overflow is wait"; F49, a hundred thousand jobs: volume.proof.ts; F50, events:
 * events.test.ts, "queue.events ends with its signal and leaves …"
 */
import { getEventListeners } from 'node:events'
import type { Job, QueueEvents } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'
import { child } from '../support/child-process.ts'
import { until } from '../support/suspend.ts'

/** In the child: the least of several readings, for some of what is dropped is only freed a few turns later. */
const heapUsed = `
    const used = async () => {
      let least = Infinity
      for (let i = 0; i < 20; i++) {
        await new Promise(setImmediate)
        gc()
        least = Math.min(least, process.memoryUsage().heapUsed)
      }
      return least
    }`

test('F49: any of thousands of waiting jobs can be reprioritized, cancelled and removed, and the others run', async t => {
  const clock = new VirtualClock()
  let ran = 0
  const queue = new DispatchQueue<number, void>(() => void ran++, { clock, width: 10, paused: true })
  const jobs = await queue.putMany(Array.from({ length: 3_000 }, (_, n) => n))

  for (let i = 0; i < 300; i++) {
    const job = jobs[(i * 31) % jobs.length] as Job<number, void>
    if (i % 3 === 0) await queue.reprioritize(job, (i % 17) - 8)
    else if (i % 3 === 1) await job.cancel()
    else await queue.remove(job)
  }
  queue.resume()
  await drain(queue as DispatchQueue, clock)

  t.is(ran, 2_800)
  t.is(queue.counts.finished, 2_800)
})

test('F49: puts beyond `size` wait, and pending and delayed jobs never exceed it', async t => {
  const clock = new VirtualClock()
  let most = 0
  const queue = new DispatchQueue<number, void>(
    () => {
      const { pending, delayed } = queue.counts
      most = Math.max(most, pending + delayed)
    },
    { clock, width: 3, size: 100, overflow: 'wait', paused: true },
  )
  const puts = Array.from({ length: 1_000 }, (_, n) => queue.put(n))
  await until(() => queue.counts.pending === 100, 'a hundred were inside')
  queue.resume()

  await Promise.all(puts)
  await drain(queue as DispatchQueue, clock)

  t.is(queue.counts.finished, 1_000)
  t.true(most > 0 && most <= 100, `${most} waited`)
})

test('F49: at most keep.most ended jobs are kept, even if nothing runs any more', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number, void>(() => {}, { clock, paused: true, keep: { most: 100 } })
  for (let i = 0; i < 5; i++) await queue.putMany(Array.from({ length: 200 }, (_, n) => n))

  t.is(await queue.clear(), 1_000)
  await drain(queue as DispatchQueue, clock)

  if (!durable()) t.is((await queue.jobs({ state: 'cancelled', limit: 1_000 })).length, 100)
  t.is(queue.counts.cancelled, 1_000)
  await queue.stop()
})

test.inMemory('F49: finished jobs leave no memory behind', async t => {
  const { code, output } = await child(
    `
    const queue = new rdq.DispatchQueue(async n => n, { width: 10 })
    const round = async () => {
      const jobs = []
      for (let i = 0; i < 20_000; i++) jobs.push(queue.run({ i }, i % 4 ? undefined : { key: 'k' + i, priority: i % 5 }))
      await Promise.all(jobs)
    }
    ${heapUsed}
    await round()
    const before = await used()
    for (let i = 0; i < 4; i++) await round()
    const more = (await used()) - before
    print(more)
    // A record of 130 bytes that stayed for each of 80,000 jobs would be 10 MB.
    process.exit(more < 4_000_000 ? 0 : 1)`,
    { flags: ['--expose-gc'] },
  )

  t.is(code, 0, output)
})

for (const how of ['finished', 'failed', 'cancelled', 'removed', 'cleared', 'refused', 'stopped'] as const) {
  test(`F50: no listener stays on the signal of a put whose job was ${how}`, async t => {
    const clock = new VirtualClock()
    const handler = scripted<string, string>()
    const size = how === 'refused' ? 1 : Infinity
    const queue = new DispatchQueue<string, string>(handler, { clock, size, width: how === 'refused' ? 0 : 1 })
    queue.on('failed', () => {})
    const { signal } = new AbortController()
    const listeners = (): number => getEventListeners(signal, 'abort').length
    const waits = how === 'removed' || how === 'cleared' || how === 'stopped'
    if (waits || how === 'refused') await queue.put('before')
    const job = queue.put('a', { signal })
    const run = queue.run('b', { signal })
    const ended = Promise.allSettled([job, run])
    await clock.settle()
    if (how !== 'refused') t.is(listeners(), 1, 'one for both')

    for (let i = 0; i < 2; i++) {
      if (how === 'finished') handler.underway[0]?.finish('')
      else if (how === 'failed') handler.underway[0]?.fail(new Error('no'))
      else if (how === 'cancelled') for (const one of await queue.jobs()) await one.cancel()
      else if (how === 'removed') for (const one of await queue.jobs({ state: 'pending' })) await queue.remove(one)
      else if (how === 'cleared') await queue.clear()
      await clock.settle()
    }
    if (how === 'stopped') {
      const stop = queue.stop({ cancelUnderway: true })
      await clock.advance(5_000)
      await stop
    }
    if (how !== 'stopped') handler.underway[0]?.finish('')
    await clock.settle()
    await ended

    t.is(listeners(), 0)
  })
}

test('F50: no listener stays on the signal of a run whose id names an earlier job', async t => {
  const { clock, handler, queue } = parts()
  await queue.put('a', { id: 'a' })
  const { signal } = new AbortController()
  const run = queue.run('a', { id: 'a', signal })
  await clock.settle()
  handler.underway[0]?.finish('one')

  t.is(await run, 'one')

  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('F50: no listener stays on the signal of a queue that has stopped', async t => {
  const { signal } = new AbortController()
  for (let i = 0; i < 3; i++) await new DispatchQueue(() => {}, { signal }).stop()

  t.is(getEventListeners(signal, 'abort').length, 0)
})

test.serial('F50: a signal shared by a thousand jobs causes no leak warning, and cancels all of them', async t => {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const listen = (warning: Error): void => void warnings.push(warning.name)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const queue = new DispatchQueue<number, void>(() => {}, { clock, width: 0 })
  const controller = new AbortController()
  await queue.putMany(Array(1_000).fill(0), { signal: controller.signal })

  controller.abort()
  await clock.settle()

  t.is(queue.counts.cancelled, 1_000)
  t.deepEqual(
    warnings.filter(name => name === 'MaxListenersExceededWarning'),
    [],
  )
})

test.inMemory('F50: listeners that are added and removed leave no memory behind', async t => {
  const { code, output } = await child(
    `
    const queue = new rdq.DispatchQueue(async n => n)
    const comeAndGo = async () => {
      for (let i = 0; i < 20_000; i++) {
        const listener = () => i
        queue.on('finished', listener)
        queue.off('finished', listener)
      }
      for (let i = 0; i < 5_000; i++) {
        const events = queue.events('finished')
        await events.return()
      }
    }
    ${heapUsed}
    await comeAndGo()
    const before = await used()
    await comeAndGo()
    const grown = (await used()) - before
    print('grown by ' + grown)
    process.exit(grown < 1_000_000 ? 0 : 1)`,
    { flags: ['--expose-gc'] },
  )

  t.is(code, 0, output)
})

test('F50: an abandoned events iterator leaves no listener, whether it was read or not', async t => {
  const queue = new DispatchQueue<number, number>(n => n)
  const { signal } = new AbortController()
  const left = new AbortController()
  const count = (): number => queue.listenerCount('finished') + queue.listenerCount('stopped')

  await queue.events('finished', { signal }).return()
  const begun = queue.events('finished', { signal: left.signal })
  const next = begun.next()
  await queue.run(1)
  t.is((await next).value?.[0].payload, 1)
  queue.events('finished', { signal: left.signal })
  queue.events('finished', { signal: AbortSignal.abort() })
  t.is(count(), 2)
  left.abort()

  t.is(count(), 0)
  t.deepEqual(
    [signal, left.signal].flatMap(each => getEventListeners(each, 'abort')),
    [],
  )
  t.true((await begun.next()).done)
})

test('F50: iterating over events many times leaves no listener on the queue', async t => {
  const { clock, handler, queue } = parts()
  const before = (['finished', 'stopped'] as const).map(event => queue.listenerCount(event))
  for (let i = 0; i < 20; i++) {
    await queue.put('a')
    await clock.settle()
    setImmediate(() => handler.underway[0]?.finish(''))
    for await (const [job] of queue.events('finished')) {
      t.is(job.payload, 'a')
      break
    }
  }

  t.deepEqual(
    (['finished', 'stopped'] as (keyof QueueEvents)[]).map(event => queue.listenerCount(event)),
    before,
  )
})

function parts() {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock })
  return { clock, handler, queue }
}
