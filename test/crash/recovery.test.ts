/** What eventually of jobs whose process died while they ran: again, failed, or as somebody says who knows. */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { readyIn } from '../support/file-check.ts'
import { passed, until } from '../support/suspend.ts'
import { endAll, filledFile, type WorkerProcess, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

type Snapshot = { readonly state: string; readonly attempt: number; readonly error?: string } | undefined

async function stopAll(worker: WorkerProcess): Promise<void> {
  await worker.send('stop')
  await worker.release()
}

test('jobs of a dead process go to a living one, which emits `recovered` first', async t => {
  const c = await filledFile([0, 1])
  const dying = c.start({ who: 'dying', body: 'deaf', width: 2 })
  await dying.reported('start', 2)
  const living = c.start({ who: 'living', body: 'end', width: 2 })
  await living.reported('ready')

  dying.kill()
  await living.reported('finished', 2)

  const seen = c.log().filter(({ who, what }) => who === 'living' && ['recovered', 'start', 'finished'].includes(what))
  for (const job of ['job-0', 'job-1']) {
    t.deepEqual(
      seen.filter(line => line.job === job).map(({ what }) => what),
      ['recovered', 'start', 'finished'],
    )
  }
  await stopAll(living)
  t.deepEqual(c.checkFile(), [])
})

test('an ending is emitted by the process that ran the job, and by no other', async t => {
  const c = await filledFile([0, 1])
  const keep = { finished: '1d' } as const
  const dying = c.start({ who: 'dying', body: 'deaf', keep })
  await dying.reported('start')
  // Its thread recovers while its loop is held up, so that it hears of it late.
  const late = c.start({ who: 'late', body: 'block', blockMs: 40_000, keep })
  await late.reported('start')
  // Hired when nothing is left to take, so that the one job is late's and the other is to be recovered.
  const quick = c.start({ who: 'quick', body: 'end', width: 2, keep })
  await quick.reported('ready')
  // It has just tried the locks of the others. Stopped while it does, it would keep the late one from trying them.
  await passed(300)
  await quick.halt()
  dying.kill()
  await until(() => readyIn(c.path) === 1, 'the job was recovered')
  quick.kill('SIGCONT')

  await quick.reported('finished')
  c.unblock()
  await late.send('idle')
  await late.reported('finished')

  t.deepEqual(c.jobs('start', 'quick'), ['job-0'])
  t.deepEqual(c.jobs('finished', 'late'), ['job-1'])
  await stopAll(quick)
  await stopAll(late)
  t.deepEqual(c.checkFile(), [])
})

test("afterCrash 'fail': the job fails, its error says why, and waiting jobs run", async t => {
  const c = await filledFile([0, 1])
  const dying = c.start({ body: 'deaf', afterCrash: 'fail' })
  await dying.reported('start')
  const living = c.start({ who: 'living', body: 'end', afterCrash: 'fail', width: 0 })
  await living.reported('ready')

  dying.kill()
  await living.reported('failed')
  await living.send('setWidth', 1)
  await living.reported('finished')

  t.deepEqual(c.jobs('start', 'living'), ['job-1'])
  t.deepEqual(c.jobs('failed'), ['job-0'])
  const failed = (await living.send('get', 'job-0')) as Snapshot
  t.is(failed?.state, 'failed')
  t.regex(String(failed?.error), /process died/)
  await stopAll(living)
  t.deepEqual(c.checkFile(), [])
})

for (const answer of ['again', 'finished', 'failed'] as const) {
  for (const who of ['one that lives', 'the next that opens the file'] as const) {
    test(`afterCrash: ${who} is called once for the run, and returns '${answer}'`, async t => {
      const c = await filledFile([0])
      const afterCrash = `ask: ${answer}` as const
      const keep = { finished: '1d' } as const
      const dying = c.start({ body: 'deaf', afterCrash })
      await dying.reported('start')
      const orders = { who: 'asks', body: 'end', afterCrash, keep } as const
      const early = who === 'one that lives' ? c.start(orders) : undefined
      await early?.reported('ready')
      dying.kill()
      await dying.exited
      const requests = early ?? c.start(orders)

      await requests.reported(answer === 'failed' ? 'failed' : 'finished')

      t.deepEqual(c.jobs('asking'), ['job-0'])
      // How often is held below.
      t.deepEqual([...new Set(c.jobs('recovered'))], ['job-0'])
      t.deepEqual(c.jobs('start', 'asks'), answer === 'again' ? ['job-0'] : [])
      const ended = (await requests.send('get', 'job-0')) as Snapshot
      t.is(ended?.state, answer === 'failed' ? 'failed' : 'finished')
      if (answer === 'failed')
        t.regex(String(ended?.error), /the process died while this job ran, and afterCrash answered 'failed'/)
      await stopAll(requests)
      t.deepEqual(c.checkFile(), [])
    })
  }
}

test('afterCrash: a job whose queue starts late is reported as recovered once', async t => {
  const c = await filledFile([0])
  const dying = c.start({ body: 'deaf', afterCrash: 'ask: again' })
  await dying.reported('start')
  dying.kill()
  await dying.exited
  const backlog = new SqliteBacklog(c.path, { durability: 'process' })
  // The file is opened for another name, and what the crash left is found then.
  const other = new DispatchQueue(null, { name: 'other', backlog })
  await other.put('x')
  await passed(100)

  const recovered: string[] = []
  const queue = new DispatchQueue(() => {}, { name: 'q', backlog, afterCrash: async () => 'again' })
  queue.on('recovered', job => recovered.push(job.id))
  await queue.idle()
  await queue.stop()
  await other.stop()

  t.deepEqual(recovered, ['job-0'])
})

test('afterCrash: a stop during the call closes the file, and the next queue gives the verdict', async t => {
  const c = await filledFile([0])
  const dying = c.start({ body: 'deaf', afterCrash: 'ask: again' })
  await dying.reported('start')
  dying.kill()
  await dying.exited
  const open = (afterCrash: () => Promise<'finished'>): DispatchQueue =>
    new DispatchQueue(() => {}, {
      ...{ name: 'q', backlog: new SqliteBacklog(c.path, { durability: 'process' }), afterCrash },
      keep: { finished: '1d' },
    })
  const stopped = await new Promise<DispatchQueue>(resolve => {
    const queue = open(() => {
      resolve(queue)
      return new Promise(() => {})
    })
  })

  await stopped.stop()

  const beside = readdirSync(dirname(c.path)).filter(name => name.startsWith(`${basename(c.path)}-rdq-`))
  t.deepEqual(beside, [])
  const next = open(async () => 'finished')
  await next.idle()
  t.is((await next.get('job-0'))?.state, 'finished')
  await next.stop()
  t.deepEqual(c.checkFile(), [])
})

test('afterCrash: if the process dies during the call, the next one gives the verdict, and the job has not crashed twice', async t => {
  const c = await filledFile([0])
  const parts = { body: 'end', crashLimit: 2, keep: { finished: '1d' } } as const
  const dying = c.start({ ...parts, body: 'deaf', afterCrash: 'ask: again' })
  await dying.reported('start')
  dying.kill()
  await dying.exited
  const requests = c.start({ ...parts, afterCrash: 'ask: again', killPoint: { at: 'asking' } })
  t.is(await requests.exited, 'SIGKILL')

  const next = c.start({ ...parts, who: 'next', afterCrash: 'ask: finished' })
  await next.reported('finished')

  t.deepEqual(c.jobs('asking'), ['job-0', 'job-0'])
  t.deepEqual(c.jobs('start', 'next'), [])
  await stopAll(next)
  t.deepEqual(c.checkFile(), [])
})

test('I17: a job that provably kills its process three times fails as poison, and the jobs behind it run', async t => {
  const c = await filledFile([0, 1])
  // Of the first death nobody knows whether the handler had been called; from then on it is told before.
  for (let i = 0; i < 4; i++) t.is(await c.start({ who: 'dies', body: 'die' }).exited, 'SIGKILL')

  const next = c.start({ who: 'next', body: 'end' })
  await next.reported('finished')

  t.deepEqual(c.jobs('start', 'dies'), ['job-0', 'job-0', 'job-0', 'job-0'])
  t.deepEqual(c.jobs('start', 'next'), ['job-1'])
  const poison = (await next.send('get', 'job-0')) as Snapshot
  t.is(poison?.state, 'failed')
  t.regex(String(poison?.error), /3/)
  // Somebody has mended it.
  await next.send('retry', 'job-0')
  await next.reported('finished', 2)
  await stopAll(next)
  t.deepEqual(c.checkFile(), [])
})

test('a crash uses no attempt: a second attempt that it cut short runs as the second again', async t => {
  const c = await filledFile([0])
  const retry = { attempts: 2, delay: '1ms', jitter: false } as const
  const dying = c.start({ body: 'limp', retry })
  await dying.reported('start', 2)
  dying.kill()
  await dying.exited

  const next = c.start({ who: 'next', body: 'end', retry })
  await next.reported('finished')

  t.deepEqual(
    c
      .log()
      .filter(({ what }) => what === 'start')
      .map(({ more }) => more),
    ['1', '2', '2'],
  )
  await stopAll(next)
  t.deepEqual(c.checkFile(), [])
})

test('F3: a handler that ends the process is a crash like any other', async t => {
  const c = await filledFile([0])
  t.is(await c.start({ body: 'exit' }).exited, 0)

  const next = c.start({ who: 'next', body: 'end' })
  await next.reported('finished')

  t.deepEqual(c.jobs('start', 'next'), ['job-0'])
  await stopAll(next)
  t.deepEqual(c.checkFile(), [])
})

test('a generator over many rows goes on from its last checkpoint, however often it is killed', async t => {
  const rows = 40
  const c = await filledFile([rows, rows, rows])
  const orders = { body: 'rows', width: 3, crashLimit: 100 } as const
  for (const nth of [5, 17, 29, 11]) {
    // By its own hand: a parent that is slow would find all rows done.
    const dying = c.start({ ...orders, killPoint: { at: 'stored', nth } })
    t.is(await dying.exited, 'SIGKILL')
    t.deepEqual(c.checkFile(), [])
  }

  const last = c.start({ ...orders, who: 'last' })
  await last.send('idle')
  await stopAll(last)

  for (const job of ['job-0', 'job-1', 'job-2']) {
    const mine = c.log().filter(line => line.job === job)
    let stored = 0
    for (const { what, more } of mine) {
      if (what === 'stored') stored = Number(more)
      // What was stored is never done again; of what was on its way nobody can tell.
      if (what === 'row')
        t.true(Number(more) === stored || Number(more) === stored + 1, `${job}: row ${more} after ${stored}`)
    }
    const done = mine.filter(({ what }) => what === 'row').map(({ more }) => Number(more))
    t.deepEqual(
      [...new Set(done)],
      Array.from({ length: rows }, (_, i) => i),
    )
  }
  t.deepEqual(c.checkFile(), [])
})

test('a generator of a million steps that is killed again and again goes on from its last checkpoint each time', async t => {
  const steps = 1_000_000
  const c = await filledFile([steps])
  const orders = { body: 'sum', crashLimit: 100, keep: { finished: '1d', results: true } } as const
  const fates = [
    { at: 'stored', nth: 21 },
    { at: 'row', nth: 217_500 },
    { at: 'stored', nth: 1 },
    { at: 'row', nth: 899_999 },
  ] as const
  for (const killPoint of fates) t.is(await c.start({ ...orders, killPoint }).exited, 'SIGKILL')
  const last = c.start(orders)
  await last.reported('finished')

  t.is(await last.send('resultOf', 'job-0'), (steps * (steps - 1)) / 2)
  const begun = c.log().filter(({ what }) => what === 'from')
  t.deepEqual(
    begun.map(({ more }) => Number(more)),
    [0, 210_000, 210_000, 220_000, 890_000],
  )
  await stopAll(last)
  t.deepEqual(c.checkFile(), [])
})

for (const at of ['received', 'committed'] as const) {
  test(`SIGKILL when a checkpoint was ${at}: the next run is given ${at === 'received' ? 'none' : 'it'}`, async t => {
    const c = workerPool()
    const dying = c.start({ body: 'rows', killPoint: { at, of: 'checkpoint' } })
    await dying.reported('ready')
    await dying.send('put', 3, { id: 'a' }).catch(() => {})
    t.is(await dying.exited, 'SIGKILL')

    const next = c.start({ who: 'next', body: 'rows' })
    await next.reported('finished')

    const done = c.log().filter(({ who, what }) => who === 'next' && what === 'row')
    t.deepEqual(
      done.map(({ more }) => more),
      at === 'received' ? ['0', '1', '2'] : ['1', '2'],
    )
    await stopAll(next)
    t.deepEqual(c.checkFile(), [])
  })
}
