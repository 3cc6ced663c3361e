import type { Job, JobState } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

function parts(options: { width?: number; keep?: { finished: string } } = {}) {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, ...(options as object) })
  queue.on('failed', () => {})
  return { clock, handler, queue }
}

function partsWith(options: { readonly bound?: true }) {
  const clock = new VirtualClock()
  const bound = options.bound ? { size: 10, overflow: 'wait' as const } : {}
  return { clock, queue: new DispatchQueue<string, string>(() => '', { clock, paused: true, ...bound }) }
}

const payloads = (jobs: readonly { payload: string }[]): string[] => jobs.map(job => job.payload)

test('jobs lists waiting jobs most important first, page by page, and by key', async t => {
  const { queue } = parts({ width: 0 })
  await queue.put('c', { priority: 2, key: 'k' })
  await queue.put('a')
  await queue.put('b', { key: 'k' })
  await queue.put('later', { delay: '1h' })

  const page = await queue.jobs({ state: 'pending', limit: 2 })
  t.deepEqual(payloads(page), ['a', 'b'])
  t.deepEqual(payloads(await queue.jobs({ state: 'pending', limit: 2, after: page[1]?.id as string })), ['c'])
  t.deepEqual(payloads(await queue.jobs({ state: 'pending', key: 'k' })), ['b', 'c'])
  t.deepEqual(payloads(await queue.jobs({ state: 'delayed' })), ['later'])

  await t.throwsAsync(queue.jobs({ state: 'waiting' as JobState }), { code: 'OPTION' })
  await t.throwsAsync(queue.jobs({ limit: 0 }), { code: 'OPTION' })
})

test('paging through jobs ends, whatever happens to the last job of a page', async t => {
  const { clock, queue } = parts({ width: 0 })
  await queue.putMany(['a', 'b', 'c', 'd', 'e'])
  const seen: string[] = []
  const become = [(job: Job<string, string>) => queue.remove(job), () => (queue.width = 3)]
  let after: Job<string, string> | undefined
  do {
    const page: Job<string, string>[] = await queue.jobs({ state: 'pending', limit: 2, ...(after && { after }) })
    after = page.at(-1)
    seen.push(...payloads(page))
    if (after) await become.shift()?.(after)
    await clock.settle()
  } while (after && seen.length < 9)

  t.deepEqual(seen, ['a', 'b', 'c', 'd', 'e'])
  await t.throwsAsync(queue.jobs({ after: 'nobody' }), { code: 'JOB_UNKNOWN', message: /nobody/ })
})

test('jobs lists ended ones newest first, as long as they are kept', async t => {
  const { clock, handler, queue } = parts({ width: 3, keep: { finished: '1h' } })
  await queue.putMany(['a', 'b'])
  await clock.settle()
  for (const call of [...handler.underway]) call.finish('')
  await clock.settle()
  t.deepEqual(payloads(await queue.jobs({ state: 'finished' })), ['b', 'a'])

  await clock.advance(3_600_000)
  await queue.put('wakes')
  await clock.settle()

  t.deepEqual(await queue.jobs({ state: 'finished' }), [])
})

test('get gives the same job, and undefined for an id that is not known', async t => {
  const { queue } = parts()
  const job = await queue.put('a', { id: 'x' })

  t.is(await queue.get('x'), job)
  t.is(await queue.get('y'), undefined)
  await t.throwsAsync(queue.get(1 as never), { code: 'OPTION' })
})

test('underway gives a copy, in the order of launch', async t => {
  const { clock, queue } = parts({ width: 2 })
  await queue.putMany(['a', 'b', 'c'])
  await clock.settle()

  queue.underway().length = 0

  t.deepEqual(payloads(queue.underway()), ['a', 'b'])
})

test('the six counts add up to what was put, whatever happens', async t => {
  const { clock, handler, queue } = parts({ width: 4 })
  let put = 0
  for (let turn = 0; turn < 150; turn++) {
    const delay = clock.random() < 0.3 ? 40 : 0
    const job = await queue.put(`${put++}`, { delay, retry: { attempts: 2, delay: 10 } })
    if (clock.random() < 0.2) await job.cancel()
    const call = handler.underway[0]
    if (clock.random() < 0.5) call?.finish('')
    else call?.fail(new Error('no'))
    await clock.advance(5)
    const { pending, delayed, underway, finished, failed, cancelled } = queue.counts
    t.is(pending + delayed + underway + finished + failed + cancelled, put)
    t.is(handler.underway.length, queue.underway().length)
    t.true(underway <= 4)
  }
})

test('cancel changes waiting jobs, and none that has ended', async t => {
  const { clock, handler, queue } = parts()
  const [a, b] = await queue.putMany(['a', 'b'])
  const later = await queue.put('later', { delay: '1h' })
  await clock.settle()

  t.true(await queue.cancel(b?.id as string, 'why'))
  t.true(await later.cancel())
  handler.underway[0]?.finish('')
  await clock.settle()
  t.false(await queue.cancel(a as NonNullable<typeof a>))
  t.false(await later.cancel())

  t.is(a?.state, 'finished')
  t.is((b as { error: { reason: unknown } } | undefined)?.error.reason, 'why')
  t.is(queue.counts.cancelled, 2)
  // On a file, running bodies are looked at for a while.
  await clock.advance(100)
  t.is(clock.next === undefined || clock.next > 2 ** 39, true)
})

test('retry puts a failed or cancelled job anew, its attempts counted from 1', async t => {
  const { clock, handler, queue } = parts()
  const [a, b] = (await queue.putMany(['a', 'b'])) as [Job<string, string>, Job<string, string>]
  await clock.settle()
  await b.cancel()
  handler.underway[0]?.fail(new Error('no'))
  await clock.settle()

  await queue.retry(b.id)
  await t.throwsAsync(queue.retry(b), { code: 'JOB_STATE' })
  const again = await queue.retry(a)
  t.is(again, a)
  await clock.settle()
  handler.underway[0]?.finish('')
  await clock.settle()
  handler.underway[0]?.finish('')
  await clock.settle()

  t.is(a.attempt, 1)
  t.deepEqual([queue.counts.finished, queue.counts.failed, queue.counts.cancelled], [2, 0, 0])
  await t.throwsAsync(queue.retry('nobody'), { code: 'JOB_UNKNOWN' })
})

test('a job cancelled and retried in one turn emits both events, in order, and settles the earlier result', async t => {
  const { clock, queue } = parts({ width: 0 })
  const job = await queue.put('a')
  const reported: string[] = []
  for (const event of ['cancelled', 'pending'] as const) queue.on(event, () => reported.push(event))
  let before: unknown
  job.result.catch(error => {
    before = error
  })

  const cancelled = job.cancel('no')
  const anew = queue.retry(job)
  t.deepEqual([await cancelled, await anew], [true, job])
  await clock.settle()

  t.like(before, { code: 'CANCELLED', reason: 'no' })
  t.deepEqual(reported, ['cancelled', 'pending'])
})

test('a cancelled job that is put anew starts only after its old body has ended', async t => {
  const { clock, handler, queue } = parts({ width: 2 })
  const job = await queue.put('a')
  await clock.settle()
  await job.cancel()
  const anew = queue.retry(job)
  await clock.settle()
  t.is(handler.underway.length, 1)

  handler.underway[0]?.finish('late')
  await anew
  await clock.settle()
  t.is(job.state, 'underway')
  handler.underway[0]?.finish('anew')

  t.is(await job.result, 'anew')
})

test('remove takes a job out for good, unless it is underway', async t => {
  const { clock, queue } = parts()
  const [a, b] = await queue.putMany(['a', 'b'])
  await clock.settle()

  t.true(await queue.remove(b as NonNullable<typeof b>))
  t.false(await queue.remove(b?.id as string))
  await t.throwsAsync(queue.remove(a as NonNullable<typeof a>), { code: 'JOB_STATE' })

  t.is(await queue.get(b?.id as string), undefined)
  t.is(queue.counts.pending, 0)
})

test('reprioritize moves waiting jobs and keeps counts, get and the order of put', async t => {
  const { clock, handler, queue } = parts()
  const [a, b, c, d] = await queue.putMany(['a', 'b', 'c', 'd'])
  await clock.settle()

  for (let i = 0; i < 20; i++) await queue.reprioritize(d as NonNullable<typeof d>, i % 2 ? -1 : 5)
  await queue.reprioritize(c as NonNullable<typeof c>, 3)
  await queue.reprioritize(b as NonNullable<typeof b>, 3)
  await t.throwsAsync(queue.reprioritize(a as NonNullable<typeof a>, 1), { code: 'JOB_STATE' })
  await t.throwsAsync(queue.reprioritize(b as NonNullable<typeof b>, Number.NaN), { code: 'OPTION' })
  t.is(queue.counts.pending, 3)
  t.is(await queue.get(d?.id as string), d)
  queue.width = 4
  await clock.settle()

  t.deepEqual(handler.called, ['a', 'd', 'b', 'c'])
})

test('clear cancels all waiting jobs, resolves with how many, and their ids and payloads may be put again', async t => {
  const { clock, handler, queue } = parts()
  await queue.putMany(['a', 'b', 'c'])
  await queue.put('later', { delay: '1h' })
  await clock.settle()

  t.is(await queue.clear(), 3)
  t.is(await queue.clear(), 0)
  await queue.put('b')
  handler.underway[0]?.finish('')
  await clock.settle()

  t.deepEqual(handler.called, ['a', 'b'])
  t.deepEqual([queue.counts.cancelled, queue.counts.delayed], [3, 0])
})

test('a command affects the jobs put before it, and none put after it, however close the calls are', async t => {
  for (const options of [{}, { id: true }, { run: true }, { bound: true }] as const) {
    const { clock, queue } = partsWith(options)
    const put = (name: string): Promise<unknown> => {
      const promise = 'run' in options ? queue.run(name) : queue.put(name, 'id' in options ? { id: name } : {})
      promise.catch(() => {})
      return promise
    }
    const none = queue.cancel('b')
    put('a')
    const first = queue.clear()
    put('b')
    put('c')
    const second = queue.clear()
    const third = queue.clear()
    put('d')
    await clock.settle()

    t.deepEqual([await none, await first, await second, await third], [false, 1, 2, 0])
    t.deepEqual(payloads(await queue.jobs({ state: 'pending' })), ['d'])
    await queue.stop()
  }
})

test('a command affects all jobs put before it, however many there are', async t => {
  const { queue } = partsWith({})
  const many = (name: string) => queue.putMany(Array.from({ length: 6_000 }, () => name))
  const puts = [many('a'), many('b')]
  const cleared = queue.clear()
  puts.push(queue.putMany(['c']))
  await Promise.all(puts)

  t.is(await cleared, 12_000)
  t.is(queue.counts.pending, 1)
})

test('commands on one job take effect in the order of the calls', async t => {
  const { clock, queue } = partsWith({})
  const { id } = await queue.put('a', { id: 'a' })
  for (const target of [id, await queue.get(id)]) {
    await queue.cancel(id)
    const changes = [queue.retry(target as string), queue.cancel(id), queue.reprioritize(id, 1).catch(() => 'refused')]
    await clock.settle()

    t.deepEqual((await Promise.all(changes)).slice(1), [true, 'refused'])
    t.is((await queue.get(id))?.state, 'cancelled')
    await queue.retry(id)
  }
})

test('a command takes effect while puts wait for space, and frees space', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>(() => {}, { clock, paused: true, size: 2, overflow: 'wait' })
  const accepted: string[] = []
  for (const name of ['a', 'b']) void queue.put(name).then(() => accepted.push(name))
  const waits = t.throwsAsync(queue.put('c'), { code: 'CANCELLED', message: /cleared/ })
  const cleared = queue.clear()
  void queue.put('d').then(() => accepted.push('d'))
  await clock.settle()

  t.is(await cleared, 3)
  await waits
  t.deepEqual(accepted, ['a', 'b', 'd'])
  t.deepEqual(payloads(await queue.jobs({ state: 'pending' })), ['d'])
})

test('idle resolves when nothing is pending, delayed or underway', async t => {
  const { clock, handler, queue } = parts()
  await queue.idle()
  await queue.put('a', { delay: 1_000 })
  let idle = false
  void queue.idle().then(() => (idle = true))

  await clock.advance(1_000)
  t.false(idle)
  handler.underway[0]?.finish('')
  await clock.settle()

  t.true(idle)
})

test('idle resolves also if the last request in flight was a command that changed nothing', async t => {
  const { clock, handler, queue } = parts()
  await queue.put('a', { id: 'a' })
  await clock.settle()
  handler.underway[0]?.finish('')
  await clock.settle()
  const again = queue.put('a', { id: 'a' })
  const cancelled = queue.cancel('nobody')
  let idle = false
  void queue.idle().then(() => (idle = true))
  await clock.settle()

  t.deepEqual([(await again).existed, await cancelled, idle], [true, false, true])
})

test('explain says what delays a job, and its position', async t => {
  const { clock, queue } = parts()
  const [a, b, c] = (await queue.putMany(['a', 'b', 'c'])) as [never, never, never]
  const later = await queue.put('later', { delay: '1h' })
  await clock.settle()
  t.is((await queue.explain(a)).why, undefined)
  t.deepEqual([(await queue.explain(b)).why, (await queue.explain(c)).position], ['width', 1])
  t.like(await queue.explain(later), { why: 'delay', notBefore: clock.wall() + 3_600_000 })

  void queue.pause()

  t.is((await queue.explain(b)).why, 'paused')
  await t.throwsAsync(queue.explain('nobody'), { code: 'JOB_UNKNOWN' })
})

test('the notBefore of explain is a true lower bound, and the head of the line starts exactly then', async t => {
  const clock = new VirtualClock()
  const started = new Map<number, number>()
  const queue = new DispatchQueue<number, void>(n => void started.set(n, clock.wall()), {
    clock,
    width: 3,
    rate: { limit: 2, per: '1s' },
  })
  const jobs = await queue.putMany([0, 1, 2, 3, 4, 5, 6, 7])
  jobs.push(await queue.put(8, { delay: 2_500 }))
  const bounds: [number, number][] = []
  queue.on('underway', () => {})
  for (let turn = 0; turn < 12; turn++) {
    for (const job of await queue.jobs({ state: 'pending' })) {
      bounds.push([job.payload, (await queue.explain(job)).notBefore as number])
    }
    await clock.advance(300)
  }
  await drain(queue as DispatchQueue, clock)

  t.true(bounds.length > 20)
  t.true(bounds.every(([n, notBefore]) => (started.get(n) as number) >= notBefore))
})

test('the result of a removed job can be read later, and rejects with that fact', async t => {
  const { queue } = parts({ width: 0 })
  const waits = await queue.put('waits')
  const requested = await queue.put('asked before')
  const before = requested.result
  await queue.remove(waits)
  await queue.remove(requested)

  const [after, ...same] = await Promise.all(
    [waits.result, before, requested.result].map(reported => reported.catch(String)),
  )
  t.regex(after as string, /CancelledError: .*removed/)
  t.deepEqual(same, [after, after])
})

test('events of commands that are called together come in their order', async t => {
  const { queue } = parts({ width: 0 })
  const cancelled: string[] = []
  queue.on('cancelled', job => cancelled.push(job.payload))
  const job = await queue.put('a')
  const result = job.result.catch(error => error.code)

  const [, count] = await Promise.all([queue.reprioritize(job, 1), queue.clear()])

  t.deepEqual([count, cancelled, job.state, await result], [1, ['a'], 'cancelled', 'CANCELLED'])
})
