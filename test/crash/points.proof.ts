/**
 * SIGKILL at each point at which a process can have told the file something, or the file the process: whatever it is,
 * nothing that was acknowledged is lost, no ending is recorded twice, and the next process goes on from there.
 */
import test, { type ExecutionContext } from 'ava'
import { type Counts, DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { eachStatement } from '../support/kill-at-each.ts'
import type { KillPoint } from '../support/kill-point.ts'
import { endAll, filledFile, type WorkerPool, workerPool } from '../support/worker-pool.ts'
import type { Orders } from '../support/worker-process.ts'

test.after.always('no process stays, and no file', endAll)

const keep = { finished: '1d' } as const

/** Dies as planned. Answers whether it did, for there may be no such point. */
async function killed(c: WorkerPool, killPoint: KillPoint, orders: Partial<Orders> = {}): Promise<boolean> {
  const worker = c.start({ who: 'dying', body: 'end', keep, killPoint, ...orders })
  const survived = worker.reported('finished').then(() => worker.send('idle'))
  const dead = await Promise.race([survived.then(() => false), worker.exited.then(() => true)]).catch(() => true)
  worker.kill()
  await worker.exited
  return dead
}

interface Seen {
  readonly counts: Counts
  readonly started: readonly (readonly [id: string, attempt: number])[]
  readonly recovered: readonly string[]
  readonly finished: readonly string[]
}

/** The next process does what is left. It is this one. */
async function goOn(c: WorkerPool): Promise<Seen> {
  const seen = { started: [] as [string, number][], recovered: [] as string[], finished: [] as string[] }
  const queue = new DispatchQueue((_, task) => void seen.started.push([task.id, task.attempt]), {
    name: 'q',
    backlog: new SqliteBacklog(c.path, { durability: 'process' }),
    keep,
  })
  queue.on('recovered', job => seen.recovered.push(job.id))
  queue.on('finished', job => seen.finished.push(job.id))
  await queue.idle()
  const { counts } = queue
  await queue.stop()
  return { ...seen, counts }
}

function sound(t: ExecutionContext, c: WorkerPool, what: string): void {
  t.deepEqual(c.checkFile(), [], what)
}

for (const at of ['received', 'committed'] as const) {
  test(`SIGKILL when a put was ${at}: a missing job was not acknowledged, and an existing one runs once`, async t => {
    const c = workerPool()

    t.true(await killed(c, { at, of: 'put' }, { puts: 1 }))

    sound(t, c, 'after the kill')
    t.deepEqual(c.jobs('accepted'), [])
    const { started, counts } = await goOn(c)
    t.is(counts.finished, at === 'committed' ? 1 : 0)
    t.deepEqual(started, at === 'committed' ? [['dying-0', 1]] : [])
    sound(t, c, 'at the end')
  })
}

test('SIGKILL at each statement of a put: no part of it is stored', async t => {
  const tried = await eachStatement(40, async nth => {
    const c = workerPool()
    const dead = await killed(c, { at: 'statement', of: 'put', nth }, { puts: 1 })
    sound(t, c, `statement ${nth}`)
    if (!dead) return false
    t.deepEqual(c.jobs('accepted'), [], `statement ${nth}`)
    t.deepEqual((await goOn(c)).started, [], `statement ${nth}`)
    return true
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})

for (const at of ['received', 'committed', 'underway', 'start', 'end'] as const) {
  test(`SIGKILL at '${at}' of a claim: the job runs again, in its place, and the crash used no attempt`, async t => {
    const c = await filledFile([0, 1])

    t.true(await killed(c, { at, of: 'claim' }))

    sound(t, c, 'after the kill')
    const { started, counts } = await goOn(c)
    t.deepEqual(started, [
      ['job-0', 1],
      ['job-1', 1],
    ])
    t.is(counts.finished, 2)
    sound(t, c, 'at the end')
  })
}

test('SIGKILL at each statement of a claim: the job waits as before', async t => {
  const from = await filledFile([0])
  const tried = await eachStatement(40, async nth => {
    const c = workerPool(from)
    const dead = await killed(c, { at: 'statement', of: 'claim', nth })
    sound(t, c, `statement ${nth}`)
    if (!dead) return false
    t.deepEqual(c.jobs('start'), [], `statement ${nth}`)
    t.deepEqual((await goOn(c)).started, [['job-0', 1]], `statement ${nth}`)
    return true
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})

for (const at of ['received', 'committed', 'finished'] as const) {
  test(`SIGKILL at '${at}' of a settle: the outcome is recorded once`, async t => {
    const c = await filledFile([0])

    t.true(await killed(c, { at, of: 'settle' }))

    sound(t, c, 'after the kill')
    const { started, counts } = await goOn(c)
    t.is(counts.finished, 1)
    t.deepEqual(started, at === 'received' ? [['job-0', 1]] : [])
    sound(t, c, 'at the end')
  })
}

test('SIGKILL at each statement of a settle: the job was not settled, and runs again', async t => {
  const from = await filledFile([0])
  const tried = await eachStatement(40, async nth => {
    const c = workerPool(from)
    const dead = await killed(c, { at: 'statement', of: 'settle', nth })
    sound(t, c, `statement ${nth}`)
    if (!dead) return false
    t.deepEqual(c.jobs('finished'), [], `statement ${nth}`)
    const { started, counts } = await goOn(c)
    t.deepEqual([started, counts.finished], [[['job-0', 1]], 1], `statement ${nth}`)
    return true
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})

test('SIGKILL at each statement of a recovery: the next recovery takes over the remaining jobs, once', async t => {
  const from = await filledFile([0, 1, 2])
  t.true(await killed(from, { at: 'start' }, { width: 3, body: 'deaf' }))
  const tried = await eachStatement(40, async nth => {
    const c = workerPool(from)
    const dead = await killed(c, { at: 'statement', of: 'recovery', nth }, { width: 3 })
    sound(t, c, `statement ${nth}`)
    if (!dead) return false
    const { started, counts } = await goOn(c)
    t.is(counts.finished, 3, `statement ${nth}`)
    t.deepEqual(started.map(([id]) => id).sort(), ['job-0', 'job-1', 'job-2'], `statement ${nth}`)
    return true
  })
  t.true(tried > 5 && tried < 40, `${tried} statements`)
  t.log(`${tried} statements tried`)
})

test('SIGKILL with a job underway: the next process emits `recovered`', async t => {
  const c = await filledFile([0, 1])
  t.true(await killed(c, { at: 'start' }))

  const { recovered } = await goOn(c)

  t.deepEqual(recovered, ['job-0'])
})
