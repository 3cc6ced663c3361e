/** How soon a process notices what another one has put. What it notices, and that it does: crash/shared.test.ts. */
import test from 'ava'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { putWithin } from '../../persistence/sqlite/index.ts'
import { passed } from '../support/suspend.ts'
import { endAll, sharedMs, stopAll, type WorkerPool, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

const startedMs = (c: WorkerPool, id: string): number =>
  c.log().find(({ what, job }) => what === 'start' && job === id)?.atMs as number

test.serial('putWithin is noticed soon also by a process that was alone with the file for long', async t => {
  const c = workerPool()
  const worker = c.start({ who: 'worker', body: 'end' })
  await worker.reported('ready')
  const db = new (loadSqlite())(c.path)
  const noticedMs: number[] = []
  // A machine that has other things to do gets more tries. A thread that checks every 900 ms would need luck each time.
  const soon = (): number => noticedMs.filter(ms => ms < 150).length
  for (let i = 0; soon() < 4 && i < 12; i++) {
    await passed(2_500)
    const before = sharedMs()
    db.exec('begin immediate')
    putWithin(db, 'q', i, { id: `job-${i}` })
    db.exec('commit')
    await worker.reported('start', i + 1)
    noticedMs.push(startedMs(c, `job-${i}`) - before)
  }
  db.close()

  t.true(soon() >= 4, `${noticedMs}`)
  await stopAll(worker)
  t.deepEqual(c.checkFile(), [])
})

test.serial('putWithin and put in another process are noticed soon by one that waits', async t => {
  const c = workerPool()
  const worker = c.start({ who: 'worker', body: 'end' })
  await worker.reported('ready')
  const web = c.start({ who: 'web' })
  await web.reported('ready')
  const db = new (loadSqlite())(c.path)
  db.exec('create table mine (job text)')
  db.close()

  // The file is checked every 25 ms. A machine that has other things to do takes longer, and gets more rounds. A
  // thread that checks every 900 ms would need 450 ms.
  const medians: number[] = []
  for (let round = 0; round < 5 && !medians.some(ms => ms < 300); round++) {
    const latencies: number[] = []
    for (let i = round * 12; i < round * 12 + 12; i++) {
      const before = sharedMs()
      if (i % 2 === 0) await web.send('putWithin', i, `job-${i}`)
      else await web.send('put', i, { id: `job-${i}` })
      await worker.reported('start', i + 1)
      latencies.push(startedMs(c, `job-${i}`) - before)
      await passed(40)
    }
    medians.push(latencies.sort((a, b) => a - b)[6] as number)
  }

  t.true(
    medians.some(ms => ms < 300),
    `medians of ${medians}`,
  )
  await stopAll(web, worker)
  t.deepEqual(c.checkFile(), [])
})
