/** Many runs of one turn of the loop wait in columns, without records: nobody who looks at them can tell. */
import test from 'ava'
import { DispatchQueue, type Job } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'

function parts(options: { paused?: boolean; width?: number } = {}) {
  const clock = new VirtualClock()
  const called: number[] = []
  const queue = new DispatchQueue<number, number>(
    n => {
      called.push(n)
      if (n % 10 === 9) throw new Error(`${n}`)
      return n
    },
    { clock, ...options },
  )
  queue.on('failed', () => {})
  const runs = Array.from({ length: 100 }, (_, n) => queue.run(n))
  const ended = Promise.allSettled(runs)
  return { clock, queue, called, runs, ended }
}

test('plain: each of many runs has its own result or error, in the order of put', async t => {
  const { clock, queue, called, ended } = parts({ width: 3 })

  await drain(queue as unknown as DispatchQueue, clock)

  t.deepEqual(called, [...Array(100).keys()])
  for (const [n, result] of (await ended).entries()) {
    if (n % 10 === 9) t.like(result, { status: 'rejected', reason: { message: `${n}` } })
    else t.deepEqual(result, { status: 'fulfilled', value: n })
  }
  t.is((await queue.jobs({ state: 'failed' })).length, 10)
})

test('plain: waiting jobs can be listed, found, explained, reprioritized, cancelled and removed', async t => {
  const { clock, queue, called, ended } = parts({ paused: true })
  const first = await queue.jobs({ state: 'pending', limit: 30 })
  const second = await queue.jobs({ state: 'pending', limit: 30, after: first[29] as Job<number, number> })
  t.deepEqual(
    [...first, ...second].map(({ payload }) => payload),
    [...Array(60).keys()],
  )
  t.is((await queue.jobs({ limit: 1 }))[0]?.payload, 99)

  const job = first[20] as Job<number, number>
  t.is(await queue.get(job.id), job)
  t.like(await queue.explain(job), { position: 20, why: 'paused' })
  await queue.reprioritize(second[5] as Job<number, number>, -1)
  t.true(await queue.cancel(first[0] as Job<number, number>, 'no'))
  t.true(await queue.remove(first[1] as Job<number, number>))
  t.like(await queue.explain(job), { position: 19 })
  t.is(queue.counts.pending, 98)
  queue.resume()
  await drain(queue as unknown as DispatchQueue, clock)

  t.deepEqual(called.slice(0, 4), [35, 2, 3, 4])
  t.is(called.length, 98)
  const [cancelled, removed] = await ended
  t.like(cancelled, { reason: { code: 'CANCELLED', reason: 'no' } })
  t.like(removed, { reason: { code: 'CANCELLED' } })
})

test('plain: listeners get the events of each job, with one Job object from its put to its end', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<number, number>(n => n, { clock, width: 7 })
  const seen = new Map<unknown, string[]>()
  for (const event of ['pending', 'underway', 'finished'] as const) {
    queue.on(event, job => seen.set(job, [...(seen.get(job) ?? []), event]))
  }
  const runs = Array.from({ length: 50 }, (_, n) => queue.run(n))
  await drain(queue as unknown as DispatchQueue, clock)

  t.is((await Promise.all(runs)).length, 50)
  t.is(seen.size, 50)
  for (const events of seen.values()) t.deepEqual(events, ['pending', 'underway', 'finished'])
})

test('plain: stop returns all of them in their order, and every promise settles', async t => {
  const { queue, ended } = parts({ paused: true })

  const { returned } = await queue.stop()

  t.deepEqual(
    returned.map(({ payload }) => payload),
    [...Array(100).keys()],
  )
  for (const result of await ended) t.like(result, { status: 'rejected', reason: { code: 'QUEUE_STOPPED' } })
})

test('plain: clear cancels all of them, and jobs of other forms keep their places in the order', async t => {
  const clock = new VirtualClock()
  const called: number[] = []
  const queue = new DispatchQueue<number, void>(n => void called.push(n), { clock, paused: true })
  const runs: Promise<unknown>[] = []
  for (let n = 0; n < 60; n++) runs.push(n % 20 === 10 ? queue.put(n) : queue.run(n))
  queue.resume()
  await drain(queue as unknown as DispatchQueue, clock)
  t.deepEqual(called, [...Array(60).keys()])
  void queue.pause()
  const more = Promise.allSettled(Array.from({ length: 40 }, (_, n) => queue.run(n)))

  t.is(await queue.clear(), 40)

  for (const result of await more) t.like(result, { reason: { code: 'CANCELLED' } })
  await Promise.all(runs)
})

test('plain: a payload may be a function, and the handler its caller', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<() => number, number>(job => job(), { clock })
  const runs = Array.from({ length: 30 }, (_, n) => queue.run(() => n))

  await drain(queue as unknown as DispatchQueue, clock)

  t.deepEqual(await Promise.all(runs), [...Array(30).keys()])
})
