/** Two processes and one name: what one does, the other sees; and a queue without a handler is as good as any for it. */
import test from 'ava'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { putWithin } from '../../persistence/sqlite/index.ts'
import { passed } from '../support/suspend.ts'
import { endAll, eventually, filledFile, stopAll, type WorkerProcess, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

type Snapshot =
  | { readonly id: string; readonly state: string; readonly payload: number; readonly existed: boolean }
  | undefined

const keep = { finished: '1d' } as const

test('a queue without a handler puts, queries and commands jobs that another process runs', async t => {
  const c = workerPool()
  const web = c.start({ who: 'web', keep })
  const worker = c.start({ who: 'worker', body: 'hang', keep })
  await Promise.all([web.reported('ready'), worker.reported('ready')])

  for (const [i, id] of ['a', 'b', 'c', 'd'].entries()) await web.send('put', i, { id })
  await worker.reported('start')
  const state = async (id: string): Promise<string | undefined> => ((await web.send('get', id)) as Snapshot)?.state

  t.is(
    await eventually(
      () => state('a'),
      found => found === 'underway',
    ),
    'underway',
  )
  // Counts are those of the last answer, and follow when the file has changed.
  const counted = await eventually(
    () => web.send('counts') as Promise<{ underway: number; pending: number }>,
    ({ underway }) => underway === 1,
  )
  t.like(counted, { underway: 1, pending: 3 })
  await web.send('reprioritize', 'c', -1)
  t.deepEqual(
    ((await worker.send('jobs', { state: 'pending' })) as { id: string }[]).map(({ id }) => id),
    ['c', 'b', 'd'],
  )
  t.is(await web.send('remove', 'd'), true)
  // Underway in the other process: its signal aborts, and its slot goes to the next.
  t.is(await web.send('cancel', 'a', 'not wanted'), true)
  await worker.reported('aborted')
  await worker.reported('cancelled')
  await worker.reported('start', 2)
  t.is(
    await eventually(
      () => state('a'),
      found => found === 'cancelled',
    ),
    'cancelled',
  )
  t.deepEqual(c.jobs('start'), ['a', 'c'])
  // Waiting: cancelled at once.
  t.is(await web.send('cancel', 'b'), true)
  t.is(await state('b'), 'cancelled')
  await web.send('retry', 'b')
  t.is(await state('b'), 'pending')
  await web.send('put', 4, { id: 'e' })
  t.is(await web.send('clear'), 2)
  t.like(await web.send('counts'), { pending: 0, underway: 1 })
  t.deepEqual(await web.send('jobs', { state: 'pending' }), [])
  await stopAll(worker, web)
  t.deepEqual(c.jobs('start'), ['a', 'c'])
  t.deepEqual(c.checkFile(), [])
})

test('an id that two processes put at once is put once', async t => {
  const c = workerPool()
  const workers = ['a', 'b'].map(who => c.start({ who, keep }))
  await Promise.all(workers.map(worker => worker.reported('ready')))

  const ids = Array.from({ length: 50 }, (_, i) => `id-${i}`)
  const puts = await Promise.all(
    workers.map(worker => Promise.all(ids.map(id => worker.send('put', 7, { id }) as Promise<Snapshot>))),
  )
  const conflict = await (workers[0] as WorkerProcess)
    .send('put', 8, { id: 'id-0' })
    .catch((error: { code: string }) => error.code)

  for (const i of ids.keys()) t.deepEqual([puts[0]?.[i]?.existed, puts[1]?.[i]?.existed].sort(), [false, true])
  t.is(conflict, 'ID_CONFLICT')
  t.like(await workers[1]?.send('counts'), { pending: 50 })
  await stopAll(...workers)
  t.deepEqual(c.checkFile(), [])
})

test('two workers of one name run each job once, keep their own widths, and share the work', async t => {
  const c = await filledFile(Array.from({ length: 300 }, (_, i) => i))
  // Held until both are there: on a busy machine the first might have done all by then.
  const web = c.start({ who: 'web' })
  t.true(await web.send('pause', { shared: true }))
  const workers = ['a', 'b'].map(who => c.start({ who, body: 'slow', width: 3 }))
  await Promise.all(workers.map(worker => worker.reported('ready')))
  await web.send('resume', { shared: true })
  await Promise.all(workers.map(worker => worker.send('idle')))

  const started = c.jobs('start')
  t.deepEqual([started.length, new Set(started).size], [300, 300])
  const shares = workers.map(({ who }) => {
    let underway = 0
    let most = 0
    for (const line of c.log().filter(line => line.who === who)) {
      if (line.what === 'start') most = Math.max(most, ++underway)
      if (line.what === 'end') underway--
    }
    t.is(most, 3)
    return c.jobs('end', who).length
  })
  t.true(Math.min(...shares) > 0, `shares of ${shares}`)
  await stopAll(web, ...workers)
  t.deepEqual(c.checkFile(), [])
})

test('a shared pause is in force in the other process, over the end of all processes, and until a shared resume', async t => {
  const c = workerPool()
  const web = c.start({ who: 'web' })
  const first = c.start({ who: 'first', body: 'end' })
  await Promise.all([web.reported('ready'), first.reported('ready')])

  t.is(await web.send('pause', { shared: true }), true)
  await eventually(
    () => first.send('paused'),
    paused => paused === true,
  )
  await web.send('put', 1, { id: 'a' })
  await first.send('put', 2, { id: 'b' })
  await passed(200)
  t.deepEqual(c.jobs('start'), [])
  t.regex(JSON.stringify(await first.send('explain', 'a')), /pause/)
  for (const worker of [web, first]) worker.kill()
  await Promise.all([web.exited, first.exited])

  const next = c.start({ who: 'next', body: 'end' })
  const other = c.start({ who: 'other' })
  await Promise.all([next.reported('ready'), other.reported('ready')])
  await passed(200)
  t.deepEqual(c.jobs('start'), [])
  // A plain resume is of one object, and takes no shared pause back.
  await next.send('resume')
  await passed(200)
  t.deepEqual(c.jobs('start'), [])
  await other.send('resume', { shared: true })
  await next.reported('finished', 2)
  t.is(await next.send('paused'), false)
  await stopAll(next, other)
  t.deepEqual(c.checkFile(), [])
})

test('a process that was alone with the file for long notices a putWithin and both puts of another process', async t => {
  const c = workerPool()
  const worker = c.start({ who: 'worker', body: 'end' })
  await worker.reported('ready')
  const db = new (loadSqlite())(c.path)
  // Until its thread sleeps: after 2 s without work. How soon it notices: thread/loop.test.ts, and noticed.proof.ts.
  await passed(2_500)
  db.exec('create table mine (job text); begin immediate')
  putWithin(db, 'q', 0, { id: 'job-0' })
  db.exec('commit')
  db.close()
  await worker.reported('start')

  const web = c.start({ who: 'web' })
  await web.reported('ready')
  for (let i = 1; i < 7; i++) {
    if (i % 2 === 0) await web.send('putWithin', i, `job-${i}`)
    else await web.send('put', i, { id: `job-${i}` })
    await worker.reported('start', i + 1)
  }

  t.deepEqual(c.jobs('start', 'worker'), ['job-0', 'job-1', 'job-2', 'job-3', 'job-4', 'job-5', 'job-6'])
  await stopAll(web, worker)
  t.deepEqual(c.checkFile(), [])
})
