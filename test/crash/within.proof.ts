/**
 * Effects in the same file happen exactly once: with the ending of their job (`finishWithin`), or with its putting
 * (`putWithin`). Killed at each statement of such a transaction, and at random, there are as many rows as jobs.
 */
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { eachStatement } from '../support/kill-at-each.ts'
import { endAll, filledFile, type WorkerPool, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

/** A file with a table of the user's own. */
async function withTable(payloads: readonly number[]): Promise<WorkerPool> {
  const c = await filledFile(payloads)
  const db = new (loadSqlite())(c.path)
  db.exec('create table mine (job text not null)')
  db.close()
  return c
}

function rows(c: WorkerPool): string[] {
  const db = new (loadSqlite())(c.path, { timeout: 5_000 })
  try {
    return db.prepare('select job from mine order by job').pluck().all() as string[]
  } finally {
    db.close()
  }
}

/** Does what is left, in this process, with the same effects. Answers the ids that ran. */
async function goOn(c: WorkerPool): Promise<string[]> {
  const ran: string[] = []
  const db = new (loadSqlite())(c.path, { timeout: 5_000 })
  const queue = new DispatchQueue(
    (payload, task) => {
      ran.push(task.id)
      db.exec('begin immediate')
      db.prepare('insert into mine (job) values (?)').run(task.id)
      task.finishWithin(db, payload)
      db.exec('commit')
    },
    { name: 'q', backlog: new SqliteBacklog(c.path, { durability: 'process' }) },
  )
  await queue.idle()
  await queue.stop()
  db.close()
  return ran
}

test('finishWithin: SIGKILL at each statement of the transaction leaves neither the row nor the ending, or both', async t => {
  const from = await withTable([0])
  const tried = await eachStatement(40, async nth => {
    const c = workerPool(from)
    const worker = c.start({ body: 'within', killPoint: { at: 'own statement', nth } })
    const survived = worker.reported('finished').then(() => false)
    const dead = await Promise.race([survived, worker.exited.then(() => true)]).catch(() => true)
    worker.kill()
    await worker.exited
    t.deepEqual(c.checkFile(), [], `statement ${nth}`)
    const before = rows(c)
    const ran = await goOn(c)
    t.deepEqual(rows(c), ['job-0'], `statement ${nth}`)
    t.deepEqual([...before, ...ran], ['job-0'], `statement ${nth}: it ran again if and only if its row was not there`)
    return dead
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})

for (const at of ['received', 'committed'] as const) {
  test(`finishWithin: SIGKILL after the commit, when the settle was ${at}: the job has ended and does not run again`, async t => {
    const c = await withTable([0])
    t.is(await c.start({ body: 'within', killPoint: { at, of: 'settle' } }).exited, 'SIGKILL')

    t.deepEqual(await goOn(c), [])

    t.deepEqual(rows(c), ['job-0'])
    t.deepEqual(c.checkFile(), [])
  })
}

test('finishWithin: rows are as many as jobs, whenever their processes are killed', async t => {
  const count = 200
  const c = await withTable(Array.from({ length: count }, (_, i) => i))
  const orders = { body: 'within', width: 2, crashLimit: 100 } as const
  for (const until of [3, 20, 11, 40]) {
    const workers = ['a', 'b'].map(who => c.start({ who, ...orders }))
    await Promise.race(workers.map(worker => worker.reported('end', until)))
    for (const worker of workers) worker.kill()
    await Promise.all(workers.map(({ exited }) => exited))
    t.deepEqual(c.checkFile(), [])
  }

  await goOn(c)

  const all = rows(c)
  t.deepEqual([all.length, new Set(all).size], [count, count])
  t.deepEqual(c.checkFile(), [])
})

test('putWithin: SIGKILL at each statement of the transaction leaves neither the row nor the job, or both', async t => {
  const from = await withTable([])
  const tried = await eachStatement(40, async nth => {
    const c = workerPool(from)
    const worker = c.start({ killPoint: { at: 'own statement', nth } })
    await worker.reported('ready')
    const dead = await worker.send('putWithin', 7, 'a').then(
      () => false,
      () => true,
    )
    worker.kill()
    t.is(await worker.exited, 'SIGKILL')
    t.deepEqual(c.checkFile(), [], `statement ${nth}`)
    const there = rows(c)
    if (!dead) t.deepEqual(there, ['a'])
    const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(c.path) })
    await queue.ready()
    t.is(queue.counts.pending, there.length, `statement ${nth}`)
    await queue.stop()
    return dead
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})
