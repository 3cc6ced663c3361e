/**
 * Where the outcome of a crash is reported: by the worker that goes on with the name, and to the caller that awaits the
 * job.
 */
import test, { type ExecutionContext } from 'ava'
import { endAll, filledFile, stopAll, type WorkerPool, type WorkerProcess, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

/** A worker that dies while it runs so many jobs, and a process without a handler, which is the only one to notice. */
async function noticedByWeb(jobs: number): Promise<{ c: WorkerPool; web: WorkerProcess }> {
  const c = await filledFile(Array.from({ length: jobs }, (_, i) => i))
  const dying = c.start({ who: 'dying', body: 'deaf', width: jobs, afterCrash: 'fail' })
  await dying.reported('start', jobs)
  const web = c.start({ who: 'web' })
  await web.reported('ready')
  dying.kill()
  await dying.exited
  return { c, web }
}
const counted = async (web: WorkerProcess, state: string, count: number): Promise<void> => {
  while (((await web.send('counts')) as Record<string, number>)[state] !== count) await web.send('jobs')
}
const seenBy = (c: WorkerPool, t: ExecutionContext, who: string, jobs: number): void => {
  const ids = Array.from({ length: jobs }, (_, i) => `job-${i}`)
  t.deepEqual(c.jobs('recovered', who), ids)
  t.deepEqual(c.jobs('failed', who), ids)
}

test('a worker that starts after a process without a handler noticed the death emits the endings once', async t => {
  const { c, web } = await noticedByWeb(3)
  await counted(web, 'failed', 3)

  const next = c.start({ who: 'next', body: 'end', afterCrash: 'fail' })
  await next.reported('failed', 3)
  await stopAll(next)
  const after = c.start({ who: 'after', body: 'end', afterCrash: 'fail' })
  await after.reported('ready')
  await after.send('idle')

  seenBy(c, t, 'next', 3)
  seenBy(c, t, 'web', 0)
  seenBy(c, t, 'after', 0)
  await stopAll(after, web)
  t.deepEqual(c.checkFile(), [])
})

test('a living worker emits the endings, whichever process noticed the death', async t => {
  const c = await filledFile([0, 1])
  const dying = c.start({ who: 'dying', body: 'deaf', width: 2, afterCrash: 'fail' })
  await dying.reported('start', 2)
  const webs = ['a', 'b', 'c'].map(who => c.start({ who }))
  for (const web of webs) await web.reported('ready')
  const living = c.start({ who: 'living', body: 'end', afterCrash: 'fail' })
  await living.reported('ready')

  dying.kill()
  await living.reported('failed', 2)

  seenBy(c, t, 'living', 2)
  await stopAll(living, ...webs)
  t.deepEqual(c.checkFile(), [])
})

test('a caller that awaits a result gets the failure of its job, though no worker is left', async t => {
  const c = workerPool()
  const web = c.start({ who: 'web' })
  await web.reported('ready')
  const dying = c.start({ who: 'dying', body: 'deaf', afterCrash: 'fail' })
  await dying.reported('ready')
  const run = web.send('run', 1)
  run.catch(() => {})
  await dying.reported('start')

  dying.kill()

  t.is(await run.catch(({ code }) => code), 'POISON')
  await stopAll(web)
  t.deepEqual(c.checkFile(), [])
})

test('a worker that dies after the first of the endings leaves none unreported', async t => {
  const { c, web } = await noticedByWeb(3)
  await counted(web, 'failed', 3)
  const short = c.start({ who: 'short', body: 'end', afterCrash: 'fail', killPoint: { at: 'recovered' } })
  await short.exited

  const next = c.start({ who: 'next', body: 'end', afterCrash: 'fail' })
  await next.reported('failed', 3)

  seenBy(c, t, 'next', 3)
  await stopAll(next, web)
  t.deepEqual(c.checkFile(), [])
})
