/** Looking at a name makes nothing in the file; and a handle says as of when it knows its job. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { remove, temporary } from '../support/temporary-folder.ts'
import { endAll, stopAll, workerPool } from '../support/worker-pool.ts'

const folder = temporary('looking')
test.after.always(() => remove(folder))
test.after.always('no process stays, and no file', endAll)

const Database = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => SqliteDatabase
const namesIn = (path: string): unknown[] => {
  const db = new Database(path)
  const names = db.prepare('select name from rdq_queue').pluck().all()
  db.close()
  return names
}

test('queries: of a name that no queue has declared or put under, they return nothing and create nothing', async t => {
  const path = join(folder, 'typo.db')
  const typo = new DispatchQueue<number>(null, { name: 'mesages', backlog: new SqliteBacklog(path) })
  await typo.ready()

  t.is(await typo.get('a'), undefined)
  t.deepEqual(await typo.jobs(), [])
  t.like(typo.counts, { pending: 0, finished: 0 })
  t.deepEqual([typo.rate, typo.paused], [[], false])
  t.is(await typo.cancel('a'), false)
  t.is(await typo.remove('a'), false)
  t.is(await typo.clear(), 0)
  await t.throwsAsync(typo.explain('a'), { code: 'JOB_UNKNOWN' })
  await t.throwsAsync(typo.retry('a'), { code: 'JOB_UNKNOWN' })
  await t.throwsAsync(typo.reprioritize('a', 1), { code: 'JOB_UNKNOWN' })
  await t.throwsAsync(typo.jobs({ after: 'a' }), { code: 'JOB_UNKNOWN' })
  await typo.idle()
  typo.resume({ shared: true })
  await typo.stop()

  t.deepEqual(namesIn(path), [])
})

const makers = {
  'a put': (queue: DispatchQueue<number>) => queue.put(1),
  'several puts at once': (queue: DispatchQueue<number>) => Promise.all([queue.put(1), queue.putMany([2, 3])]),
  'a rate': (queue: DispatchQueue<number>) => {
    queue.rate = { limit: 1, per: '1s' }
    return queue.get('behind it')
  },
  'a shared pause': (queue: DispatchQueue<number>) => queue.pause({ shared: true }),
}
for (const [what, make] of Object.entries(makers)) {
  test(`queries: ${what} creates the name, once`, async t => {
    const path = join(folder, `${what}.db`)
    const queue = new DispatchQueue<number>(null, { name: 'new', backlog: new SqliteBacklog(path) })
    await queue.ready()
    await make(queue)
    const jobs = (await queue.jobs()).map(({ payload }) => payload)
    await queue.stop()

    t.deepEqual(namesIn(path), ['new'])
    t.is(jobs.length, { 'a put': 1, 'several puts at once': 3 }[what] ?? 0)
  })
}

test('queries: a declared rate creates the name, and a name created meanwhile is found', async t => {
  const backlog = new SqliteBacklog(join(folder, 'meanwhile.db'))
  const first = new DispatchQueue<number>(null, { name: 'late', backlog })
  await first.ready()
  t.is(await first.get('a'), undefined)
  const declares = new DispatchQueue<number>(null, { name: 'late', backlog, rate: { limit: 3, per: '1s' } })
  await declares.put(1, { id: 'a' })

  t.is((await first.get('a'))?.payload, 1)
  t.like(first.rate[0], { limit: 3 })
  t.is(first.counts.pending, 1)
  await Promise.all([first.stop(), declares.stop()])
})

test('as of: the job of a put without a handler is a snapshot, and a job that runs here is live', async t => {
  const backlog = new SqliteBacklog(join(folder, 'as-of.db'))
  const web = new DispatchQueue<number>(null, { name: 'q', backlog })
  const before = Date.now()
  const job = await web.put(1, { id: 'a' })
  t.is(job.asOf, job.queuedAt)
  t.true((job.asOf ?? 0) >= before)
  const worker = new DispatchQueue<number>(async () => {}, {
    name: 'q',
    backlog,
    paused: true,
    keep: { finished: '1h' },
  })
  const own = await worker.put(2)
  t.is(own.asOf, undefined)
  worker.resume()
  await worker.idle()

  t.deepEqual([own.state, own.asOf], ['finished', undefined])
  const found = await web.get('a')
  t.is(found?.state, 'finished')
  t.true((found?.asOf ?? 0) > (job.queuedAt ?? 0))
  t.is(job.state, 'finished')
  await Promise.all([web.stop(), worker.stop()])
})

test('as of: a job that waits here has `asOf` once another process may have claimed it', async t => {
  const c = workerPool()
  const worker = new DispatchQueue<number>(async () => {}, { name: 'q', backlog: new SqliteBacklog(c.path), width: 0 })
  const job = await worker.put(1, { id: 'a' })
  t.is(job.asOf, undefined)

  const other = c.start({ who: 'other', body: 'hang' })
  await other.reported('start')
  while (job.asOf === undefined) await worker.get('nothing')

  t.is(job.asOf, job.queuedAt)
  t.is((await worker.get('a'))?.state, 'underway')
  t.true((job.asOf ?? 0) > job.queuedAt)
  await stopAll(other)
  await worker.stop()
})
