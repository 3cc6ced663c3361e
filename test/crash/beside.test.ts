/** A process without a handler beside one that works: all that it may ask of the jobs of the other. */
import test from 'ava'
import { systemClock } from '../../lib/clock.ts'
import type { Counts, Explanation } from '../../lib/index.ts'
import { endAll, eventually, stopAll, type WorkerPool, type WorkerProcess, workerPool } from '../support/worker-pool.ts'
import type { Orders } from '../support/worker-process.ts'

test.after.always('no process stays, and no file', endAll)

interface Snapshot {
  readonly id: string
  readonly state: string
  readonly attempt: number
  readonly error?: string
}

/** The worker comes last, so that its `keep` counts. */
async function pair(orders: Partial<Orders>): Promise<{ c: WorkerPool; web: WorkerProcess; worker: WorkerProcess }> {
  const c = workerPool()
  const web = c.start({ who: 'web' })
  await web.reported('ready')
  const worker = c.start({ who: 'worker', ...orders })
  await worker.reported('ready')
  return { c, web, worker }
}
const range = (length: number): number[] => Array.from({ length }, (_, i) => i)

test('the jobs of a key are listed page by page in their order, without those of another key', async t => {
  const { c, web, worker } = await pair({ body: 'hang' })
  await web.send('put', 0, { id: 'first' })
  await worker.reported('start')
  for (const i of range(7)) {
    await web.send('put', i, { id: `k${i}`, key: 'k', priority: i % 2 })
    await web.send('put', i, { id: `l${i}`, key: 'l' })
  }

  const pages: string[][] = []
  for (let after: string | undefined; pages.length < 9; after = pages.at(-1)?.at(-1)) {
    const query = { state: 'pending', key: 'k', limit: 3, ...(after !== undefined && { after }) }
    const page = (await web.send('jobs', query)) as Snapshot[]
    if (page.length === 0) break
    pages.push(page.map(({ id }) => id))
  }
  const latest = (await web.send('jobs', { key: 'l', limit: 2, after: 'l5' })) as Snapshot[]

  t.deepEqual(pages, [['k0', 'k2', 'k4'], ['k6', 'k1', 'k3'], ['k5']])
  t.deepEqual(
    latest.map(({ id }) => id),
    ['l4', 'l3'],
  )
  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})

test('explain uses what the worker has declared and done', async t => {
  const { c, web, worker } = await pair({ body: 'hang', width: 2, rate: { limit: 2, per: '1h' } })
  const before = systemClock.wall()
  for (const id of ['a', 'b', 'c', 'd']) await web.send('put', 1, { id })
  await worker.reported('start', 2)
  await web.send('put', 1, { id: 'later', delay: '2h' })

  const explained = (id: string): Promise<Explanation> => web.send('explain', id) as Promise<Explanation>
  t.like(await explained('a'), { state: 'underway' })
  const behind = await eventually(
    () => explained('d'),
    ({ position }) => position === 1,
  )
  t.like(behind, { state: 'pending', why: 'rate', position: 1, rule: { limit: 2 } })
  const hours = ({ notBefore = 0 }: Explanation): number => (notBefore - before) / 3_600_000
  t.true(hours(behind) >= 1 && hours(behind) < 1.1, `${hours(behind)} h`)
  const later = await explained('later')
  t.like(later, { state: 'delayed', why: 'delay' })
  t.true(hours(later) >= 2 && hours(later) < 2.1, `${hours(later)} h`)
  t.is(await web.send('explain', 'nobody').catch(({ code }) => code), 'JOB_UNKNOWN')
  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})

test('kept results and errors reach a queue without a handler, and a job that it retries runs in the worker', async t => {
  const { c, web, worker } = await pair({ body: 'broken', keep: { finished: '1d', results: true } })
  const get = (): Promise<Snapshot> => web.send('get', 'a') as Promise<Snapshot>
  const result = (): Promise<unknown> => web.send('resultOf', 'a').catch(({ name, message }) => ({ name, message }))
  await web.send('put', 21, { id: 'a' })
  await worker.reported('failed')

  t.like(await get(), { state: 'failed', attempt: 1, error: '21 is too much' })
  t.deepEqual(await result(), { name: 'RangeError', message: '21 is too much' })
  c.unblock()
  await web.send('retry', 'a')
  await worker.reported('finished')

  t.deepEqual(await get(), {
    id: 'a',
    payload: 21,
    state: 'finished',
    attempt: 1,
    existed: false,
    priority: 0,
  } as never)
  t.is(await result(), 42)
  t.deepEqual(c.jobs('start', 'worker'), ['a', 'a'])
  t.is(await web.send('retry', 'a').catch(({ code }) => code), 'JOB_STATE')
  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})

test('a result that the worker does not keep rejects with ResultNotKeptError', async t => {
  const { c, web, worker } = await pair({ body: 'end', keep: { finished: '1d' } })
  await web.send('put', 1, { id: 'a' })
  await worker.reported('finished')

  t.is(await web.send('resultOf', 'a').catch(({ code }) => code), 'RESULT_NOT_KEPT')

  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})

test('clear cancels thousands of waiting jobs at once, and neither running jobs nor those put after it', async t => {
  const { c, web, worker } = await pair({ body: 'hang' })
  await web.send('put', 0, { id: 'first' })
  await worker.reported('start')
  const ids = (await web.send('putMany', range(1_500))) as Snapshot[]
  ids.push(...((await web.send('putMany', range(1_200), { priority: 1, key: 'k' })) as Snapshot[]))
  ids.push(...((await web.send('putMany', range(300), { delay: '1h' })) as Snapshot[]))

  t.is(await web.send('clear'), 3_000)
  await web.send('put', 1, { id: 'after' })

  const counts = { pending: 1, delayed: 0, underway: 1, cancelled: 3_000 }
  t.like(await web.send('counts'), counts)
  for (const i of [0, 1_499, 1_500, 2_699, 2_700, 2_999]) {
    t.like(await web.send('get', ids[i]?.id), { state: 'cancelled' }, `job ${i}`)
  }
  const seen = await eventually(
    () => worker.send('counts') as Promise<Counts>,
    ({ cancelled, pending }) => cancelled === 3_000 && pending === 1,
  )
  t.like(seen, counts)
  // Its rows are swept little by little, and its counters know at once.
  const listed = await eventually(
    () => web.send('jobs', { state: 'cancelled', limit: 10_000 }) as Promise<Snapshot[]>,
    ({ length }) => length === 3_000,
  )
  t.deepEqual(listed.map(({ id }) => id).sort(), ids.map(({ id }) => id).sort())
  await web.send('cancel', 'first')
  await worker.reported('start', 2)
  t.deepEqual(c.jobs('start'), ['first', 'after'])
  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})

test('ended jobs and their ids are forgotten after the time that the worker sets, and stay counted', async t => {
  const { c, web, worker } = await pair({ body: 'end', width: 50, keep: { finished: 300, ids: 600 } })
  const ids = range(250).map(i => `job-${i}`)
  for (const id of ids) await web.send('put', 1, { id })
  await worker.reported('finished', 250)

  // What is forgotten is so in turns, a bounded number in each.
  let puts = 0
  const left = await eventually(
    async () => {
      await web.send('put', 1, { id: `more-${puts++}` })
      return ((await web.send('jobs', { limit: 1_000 })) as Snapshot[]).filter(({ id }) => ids.includes(id))
    },
    ({ length }) => length === 0,
  )

  t.deepEqual(left, [])
  t.is(await web.send('get', 'job-0'), null)
  const again = await eventually(
    () => web.send('put', 2, { id: 'job-0' }).catch(({ code }) => code) as Promise<{ existed: boolean } | string>,
    put => put !== 'ID_CONFLICT',
  )
  t.like(again, { existed: false } as never)
  await worker.reported('finished', 251 + puts)
  const counted = await eventually(
    () => web.send('counts') as Promise<Counts>,
    ({ finished }) => finished === 251 + puts,
  )
  t.is(counted.finished, 251 + puts)
  await stopAll(worker, web)
  t.deepEqual(c.checkFile(), [])
})
