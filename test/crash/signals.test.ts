/** Signals that do not kill: a process that is asked to end, and one that is stopped and goes on. */
import test from 'ava'
import { passed } from '../support/suspend.ts'
import { endAll, filledFile } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

test('F4: SIGTERM: bodies that end within the grace finish, nothing starts, and the process ends by itself', async t => {
  const c = await filledFile(Array.from({ length: 40 }, (_, i) => i))
  const stops = c.start({ who: 'stops', body: 'slow', width: 2, grace: 30_000, keep: { finished: '1d' } })
  await stops.reported('finished', 3)

  stops.kill('SIGTERM')

  t.is(await stops.exited, 0)
  const log = c.log()
  const started = c.jobs('start')
  t.deepEqual(c.jobs('finished').sort(), [...started].sort(), 'all that started finished')
  t.deepEqual(
    log.filter(({ what }) => what === 'stopped').map(({ more }) => more),
    [`${40 - started.length} 0`],
  )
  t.deepEqual(c.checkFile(), [])
})

test('F4: SIGTERM: a body is cut short when the grace is over; its job uses no attempt and keeps its place', async t => {
  const c = await filledFile([0, 1])
  const stops = c.start({ body: 'hang', grace: 100 })
  await stops.reported('start')

  stops.kill('SIGTERM')

  t.is(await stops.exited, 0)
  t.deepEqual(c.jobs('aborted'), ['job-0'])
  t.deepEqual(c.checkFile(), [])
  const next = c.start({ who: 'next', body: 'end' })
  await next.reported('finished', 2)
  t.deepEqual(
    c
      .log()
      .filter(({ who, what }) => who === 'next' && (what === 'start' || what === 'recovered'))
      .map(({ job, more }) => [job, more]),
    [
      ['job-0', '1'],
      ['job-1', '1'],
    ],
  )
  next.kill()
})

test('SIGTERM: a body that ignores its signal is abandoned, and its job runs elsewhere only when its process is gone', async t => {
  const c = await filledFile([0])
  const stops = c.start({ who: 'stops', body: 'deaf', grace: 0 })
  await stops.reported('start')
  const other = c.start({ who: 'other', body: 'end' })
  await other.reported('ready')

  stops.kill('SIGTERM')
  t.is(await stops.exited, 0)
  await other.reported('finished')

  const at = (who: string, what: string): number =>
    c.log().find(line => line.who === who && line.what === what)?.atMs ?? Number.NaN
  t.deepEqual(
    c
      .log()
      .filter(({ what }) => what === 'stopped')
      .map(({ more }) => more),
    ['0 1'],
  )
  t.true(at('other', 'start') > at('stops', 'stopped'))
  other.kill()
})

test('SIGKILL in the middle of a stop loses no job', async t => {
  const c = await filledFile([0, 1])
  const stops = c.start({ body: 'deaf', grace: 60_000 })
  await stops.reported('start')
  stops.kill('SIGTERM')
  await passed(100)
  stops.kill()
  t.is(await stops.exited, 'SIGKILL')

  const next = c.start({ who: 'next', body: 'end' })
  await next.reported('finished', 2)

  t.deepEqual(c.jobs('start', 'next'), ['job-0', 'job-1'])
  next.kill()
  await next.exited
  t.deepEqual(c.checkFile(), [])
})

test('F7: a suspended process is not taken for dead: its job stays its own, and ends when it continues', async t => {
  const c = await filledFile([0])
  const sleeper = c.start({ who: 'sleeper', body: 'hang' })
  await sleeper.reported('start')
  const other = c.start({ who: 'other', body: 'end', width: 5 })
  await other.reported('ready')

  await sleeper.halt()
  await passed(1_500)
  t.deepEqual(c.jobs('start', 'other'), [])
  t.true(await other.send('cancel', 'job-0'), 'it can be asked to cancel, and hears of it when it wakes')
  await passed(300)
  sleeper.kill('SIGCONT')
  await sleeper.reported('cancelled')

  t.deepEqual(c.jobs('aborted'), ['job-0'])
  t.deepEqual([c.jobs('lost'), c.jobs('start', 'other')], [[], []])
  for (const worker of [sleeper, other]) {
    await worker.send('stop')
    t.is(await worker.release(), 0)
  }
  t.deepEqual(c.checkFile(), [])
})

test('F7: repeated SIGSTOPs of two working processes: each job ends once', async t => {
  const c = await filledFile(Array.from({ length: 300 }, (_, i) => i))
  const workers = ['a', 'b'].map(who => c.start({ who, body: 'slow', width: 3 }))
  await Promise.all(workers.map(worker => worker.reported('ready')))

  for (let i = 0; i < 6; i++) {
    workers[i % 2]?.kill('SIGSTOP')
    await passed(60)
    workers[i % 2]?.kill('SIGCONT')
  }
  await Promise.all(workers.map(worker => worker.send('idle')))

  const finished = c.jobs('finished')
  t.deepEqual([finished.length, new Set(finished).size], [300, 300])
  t.is(c.jobs('start').length, 300)
  t.deepEqual([c.jobs('recovered'), c.jobs('lost')], [[], []])
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({ exited }) => exited))
  t.deepEqual(c.checkFile(), [])
})
