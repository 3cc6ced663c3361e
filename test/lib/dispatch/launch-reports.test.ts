import test from 'ava'
import type { Exchange } from '../../../lib/backlog.ts'
import { LaunchReports } from '../../../lib/dispatch/launch-reports.ts'
import { JobRecord } from '../../../lib/job.ts'
import { reported } from '../../../lib/run/launch-report-state.ts'
import { Run, type RunHost } from '../../../lib/run/run.ts'
import { VirtualClock } from '../../../testing/index.ts'

const host = {
  settled: () => {},
  released: () => {},
  handler: () => new Promise(() => {}),
  timeoutMs: Infinity,
  clock: new VirtualClock(),
} as unknown as RunHost

const parts = () => {
  const clock = new VirtualClock()
  const runs: Run[] = []
  const ready: Run[] = []
  let wakes = 0
  const launches = new LaunchReports(clock, { wake: () => wakes++ }, { runs, queueLaunch: run => ready.push(run) })
  const begin = (id: string, launched = true): Run => {
    const run = new Run(host)
    run.begin(new JobRecord(id, undefined, 0, 0), undefined, 0, Infinity)
    if (launched) run.launch(0)
    runs.push(run)
    if (launched) launches.watch()
    return run
  }
  const notified = (): Exchange['launchReports'] => {
    const begun: Exchange['launchReports'] = []
    launches.moveInto(begun)
    return begun
  }
  const ids = (begun: Exchange['launchReports']): string[] => begun.map(({ record }) => record.id)
  return { clock, launches, begin, notified, ids, ready, wakes: () => wakes }
}

test('launches: a body is reported once, when it has run for a while, together with all others that have', async t => {
  const { clock, begin, notified, ids, wakes } = parts()
  begin('a')
  begin('b')
  await clock.advance(60)
  t.deepEqual([ids(notified()), wakes()], [[], 0])

  await clock.advance(50)

  t.is(wakes(), 1)
  t.deepEqual(ids(notified()), ['a', 'b'])
  await clock.advance(1_000)
  t.deepEqual([ids(notified()), wakes(), clock.next], [[], 1, undefined])
})

test('launches: short bodies, one after the other, are never reported', async t => {
  const { clock, begin, notified, ids, wakes } = parts()
  for (let i = 0; i < 100; i++) {
    const run = begin(`${i}`)
    await clock.advance(7)
    run.cancel('over')
  }

  t.deepEqual([ids(notified()), wakes()], [[], 0])
  await clock.advance(100)
  t.is(clock.next, undefined)
})

test('launches: a run that has settled before the exchange is sent is not reported', async t => {
  const { clock, begin, notified, ids } = parts()
  const a = begin('a')
  begin('b')
  await clock.advance(110)
  a.cancel('over')

  t.deepEqual(ids(notified()), ['b'])
})

test('launches: a run that must be reported first is held back until its report is stored, also if the report was refused once', t => {
  const { launches, begin, notified, ids, ready, wakes } = parts()
  const a = begin('a', false)
  launches.reportFirst(a)
  t.is(wakes(), 1)

  const begun = notified()
  t.deepEqual([ids(begun), begun[0]?.first, a.launchReport], [['a'], true, reported])
  t.deepEqual([ids(notified()), ready], [[], []])
  launches.stored(begun)
  launches.stored(begun)
  t.deepEqual(ready, [a])
})

test('launches: a run that is held back loses its grant when grants are revoked', t => {
  const { launches, begin } = parts()
  const [a, b] = [begin('a', false), begin('b', false)]
  launches.reportFirst(a)

  launches.revoke()

  t.deepEqual([a.graceUntil, b.graceUntil], [-Infinity, Infinity])
})

test('launches: a run that is held back goes back when its report is refused for good', t => {
  const { launches, begin, notified, ready } = parts()
  const a = begin('a', false)
  launches.reportFirst(a)
  const [one] = notified() as [Exchange['launchReports'][number]]

  t.true(launches.refused(one))
  t.false(launches.refused(one))

  t.deepEqual([ready, a.graceUntil], [[a], -Infinity])
})

test('launch reports: they stop when the queue has stopped', async t => {
  const { clock, launches, begin, wakes } = parts()
  begin('a')

  launches.close()

  await clock.advance(1_000)
  t.deepEqual([wakes(), clock.next], [0, undefined])
})
