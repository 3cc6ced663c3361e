/**
 * Lock files that are cleaned away while their owners live, with real processes: no job runs twice at the same time for
 * it.
 */
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import test from 'ava'
import { passed, until } from '../support/suspend.ts'
import { endAll, filledFile, stopAll, type WorkerPool, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

const lockFiles = (c: WorkerPool): string[] =>
  readdirSync(dirname(c.path))
    .filter(name => name.startsWith(`${basename(c.path)}-rdq-`))
    .map(name => `${dirname(c.path)}/${name}`)

function cleanUp(c: WorkerPool): void {
  for (const file of lockFiles(c)) rmSync(file, { force: true })
}

/** The jobs that began while an earlier run of them was still going on, in whatever process. */
function twiceAtOnce(c: WorkerPool): string[] {
  const running = new Set<string>()
  const twice: string[] = []
  for (const { what, job } of c.log()) {
    if (what === 'start') {
      if (running.has(job)) twice.push(job)
      running.add(job)
    } else if (what === 'over') running.delete(job)
  }
  return twice
}

test('none of 80 jobs runs twice in two processes whose lock files are removed repeatedly', async t => {
  const count = 80
  const c = await filledFile(Array.from({ length: count }, (_, i) => i))
  const workers = ['a', 'b'].map(who => c.start({ who, body: 'long', width: 3, crashLimit: 100 }))
  await Promise.all(workers.map(worker => worker.reported('start')))
  while (new Set(c.jobs('finished')).size < count) {
    cleanUp(c)
    await passed(100)
  }
  await stopAll(...workers)

  t.deepEqual(twiceAtOnce(c), [])
  t.is(c.jobs('start').length, count, 'none ran again')
  t.deepEqual(lockFiles(c), [])
  t.deepEqual(c.checkFile(), [])
})

test('a process that starts after the lock file was removed waits until its owner has created it again', async t => {
  const c = await filledFile([0])
  const a = c.start({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.reported('start')
  cleanUp(c)
  const b = c.start({ who: 'b', body: 'end', crashLimit: 100 })
  await b.reported('ready')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await passed(500)

  t.deepEqual(c.jobs('start'), ['job-0'])
  a.kill()
  await a.exited
  await b.reported('finished')
  await stopAll(b)
  t.deepEqual(lockFiles(c), [])
  t.deepEqual(c.checkFile(), [])
})

test('a suspended process whose file was removed keeps its jobs from processes that saw it alive, and creates the file again when it continues', async t => {
  const c = await filledFile([0])
  const a = c.start({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.reported('start')
  const b = c.start({ who: 'b', body: 'end', crashLimit: 100 })
  await b.reported('ready')
  await b.send('put', 1)
  await b.reported('finished')
  await a.halt()
  cleanUp(c)
  // Longer than a worker without a file is taken to live.
  await passed(12_000)

  t.deepEqual(
    c.jobs('start').filter(job => job === 'job-0'),
    ['job-0'],
  )
  a.kill('SIGCONT')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await stopAll(a, b)
  t.deepEqual(twiceAtOnce(c), [])
  t.deepEqual(c.checkFile(), [])
})

test('a worker that died without a lock file counts as dead after a while, and its job runs', async t => {
  const c = await filledFile([0])
  const a = c.start({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.reported('start')
  a.kill()
  await a.exited
  cleanUp(c)
  const b = c.start({ who: 'b', body: 'end', crashLimit: 100 })
  await b.reported('finished')
  await stopAll(b)
  t.deepEqual(c.jobs('start'), ['job-0', 'job-0'])
  t.deepEqual(c.checkFile(), [])
})

test('a worker that was taken for dead while suspended registers again, and its later death is noticed', async t => {
  const c = await filledFile([0])
  const a = c.start({ who: 'a', body: 'hang', width: 2, crashLimit: 100 })
  await a.reported('start')
  await a.halt()
  cleanUp(c)
  // One that never saw it live.
  const b = c.start({ who: 'b', body: 'hang', crashLimit: 100 })
  await b.reported('start')
  a.kill('SIGCONT')
  await until(() => lockFiles(c).length === 2, 'the file is there again')
  await b.send('put', 1, { id: 'second' })
  await a.reported('start', 2)
  a.kill()
  await a.exited
  await b.send('cancel', 'job-0')
  await b.reported('start', 2)

  t.deepEqual(c.jobs('start', 'b'), ['job-0', 'second'])
  await stopAll(b)
  t.deepEqual(c.checkFile(), [])
})

test('a copy of a file in use is another file: jobs underway in the original run at once in the copy', async t => {
  const from = await filledFile([0])
  const a = from.start({ who: 'a', body: 'hang', crashLimit: 100 })
  await a.reported('start')
  const c = workerPool(from, 'without locks')
  const b = c.start({ who: 'b', body: 'end', crashLimit: 100 })
  await b.reported('finished')
  await stopAll(a, b)
  t.deepEqual(c.checkFile(), [])
})
