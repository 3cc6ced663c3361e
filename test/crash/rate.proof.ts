/**
 * Ten processes on one file have one rate, and each its width. Checked by brute force over the instants at which handlers
 * were entered, which each process wrote down by the clock that all share, at its body's first line.
 */
import test from 'ava'
import { fullest } from '../support/fullest-window.ts'
import { endAll, filledFile, type Line, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

// Processes are killed here. One that was held up just before a body's first line, past its grace, and dies before it has
// reported it, may have started one job too many (docs/design/rate.md). In a long window the grace is long, too.
const limit = 100
const perMs = 4_000
const rate = { limit, per: perMs } as const

const startsOf = (log: readonly Line[]): number[] => log.filter(({ what }) => what === 'start').map(({ atMs }) => atMs)

test('the brute force finds a window that is too full', t => {
  t.is(fullest([0, 100, 499], 500), 3)
  t.is(fullest([0, 100, 500], 500), 2)
  t.is(fullest([700, 0, 600, 300, 1_100], 500), 3)
})

test('F28: ten processes share one rate, and each has its own width', async t => {
  const count = 200
  const c = await filledFile(Array.from({ length: count }, (_, i) => i))
  const workers = Array.from({ length: 10 }, (_, i) => c.start({ who: `w${i}`, body: 'slow', width: 2, rate }))
  await Promise.all(workers.map(worker => worker.reported('ready')))
  await Promise.all(workers.map(worker => worker.send('idle')))

  const log = c.log()
  const starts = startsOf(log)
  t.is(starts.length, count)
  t.is(new Set(c.jobs('start')).size, count)
  t.true(fullest(starts, perMs) <= limit, `${fullest(starts, perMs)} starts in a window`)
  // And it is used. Ten processes on two cores, and a machine that may be busy with others, are given plenty of time: a
  // limit that only one of them could use at a time would need ten times as much.
  const tookMs = Math.max(...starts) - Math.min(...starts)
  const leastMs = (count / limit - 1) * perMs
  t.true(tookMs < leastMs * 5, `${tookMs} ms where ${leastMs} ms would do`)
  for (const { who } of workers) {
    let underway = 0
    for (const line of log.filter(line => line.who === who)) {
      if (line.what === 'start') t.true(++underway <= 2)
      if (line.what === 'end') underway--
    }
  }
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({ exited }) => exited))
  t.deepEqual(c.checkFile(), [])
})

test('starts of killed processes still count after a restart', async t => {
  const c = await filledFile(Array.from({ length: 150 }, (_, i) => i))
  for (const until of [10, 25, 30]) {
    const dying = [1, 2].map(i => c.start({ who: `d${until}-${i}`, body: 'end', width: 3, rate }))
    // On a machine that holds this process up, they may have run all jobs by then.
    const idle = dying.map(worker => worker.reported('ready').then(() => worker.send('idle')))
    await Promise.race([...dying.map(worker => worker.reported('start', until / 2)), ...idle])
    for (const worker of dying) worker.kill()
    await Promise.all(dying.map(({ exited }) => exited))
  }
  const last = c.start({ who: 'last', body: 'end', width: 10, rate })
  await last.reported('ready')
  await last.send('idle')

  const starts = startsOf(c.log())
  t.true(starts.length >= 150)
  t.true(fullest(starts, perMs) <= limit, `${fullest(starts, perMs)} starts in a window`)
  await last.send('stop')
  await last.release()
  t.deepEqual(c.checkFile(), [])
})

test('a rate that one process changes holds in the other', async t => {
  const c = workerPool()
  const web = c.start({ who: 'web' })
  const worker = c.start({ who: 'worker', body: 'end', width: 50, rate: { limit: 1, per: '1h' } })
  await Promise.all([web.reported('ready'), worker.reported('ready')])
  for (let i = 0; i < 60; i++) await web.send('put', i, { id: `job-${i}` })
  await worker.reported('start')

  await web.send('setRate', { limit: 30, per: perMs })
  await worker.reported('start', 60)

  const starts = startsOf(c.log())
  t.true(fullest(starts, perMs) <= 30, `${fullest(starts, perMs)} starts in a window`)
  for (const each of [web, worker]) {
    await each.send('stop')
    await each.release()
  }
  t.deepEqual(c.checkFile(), [])
})
