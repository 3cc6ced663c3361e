import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { PastRun } from '../../../lib/run/past-run.ts'
import type { Run, RunHost } from '../../../lib/run/run.ts'
import { granted, lost } from '../../../lib/run/run-state.ts'
import { Runs } from '../../../lib/run/runs.ts'

const host = { settled: () => {}, released: () => {}, handler: () => 1, timeoutMs: Infinity } as unknown as RunHost
const job = (id: string): JobRecord => new JobRecord(id, id, 0, 0)

test('runs: runs are listed in the order of their claims, and any can be removed', t => {
  const runs = new Runs(host)
  const [a, b, c] = [job('a'), job('b'), job('c')]
  const made = [a, b, c].map(record => runs.add(record, undefined, 0, Infinity))
  runs.remove(made[1] as (typeof made)[0])

  t.deepEqual(
    [...runs].map(run => run.record.id),
    ['a', 'c'],
  )
  t.is(runs.of(c), made[2])
  t.is(runs.of(b), undefined)
  t.is(runs.byId('a'), made[0])
  runs.remove(made[0] as (typeof made)[0])
  runs.remove(made[2] as (typeof made)[0])
  t.deepEqual([...runs], [])
})

test('runs: a run with an ordinary end is reused without a trace of its former job', t => {
  const runs = new Runs(host)
  const run = runs.add(job('a'), undefined, 0, 99)
  run.launch(5)
  t.true(run.reusable)
  runs.remove(run)
  runs.reuse(run)

  const again = runs.add(job('b'), undefined, 0, Infinity)

  t.is(again, run)
  t.like(again, {
    kind: 'notLaunched',
    value: undefined,
    error: undefined,
    startedAt: undefined,
    grant: 0,
    settled: false,
  })
  t.like(again, { launched: false, bodyEnded: false, state: granted, waitMs: 0, heldKey: undefined })
  t.false(again.isOf(job('a'), 0))
})

test('runs: a run whose signal is still held is not reused', t => {
  const runs = new Runs(host)
  const run = runs.add(job('a'), undefined, 0, Infinity)
  t.false(run.signal.aborted)
  run.launch(5)
  runs.remove(run)
  runs.reuse(run)

  t.not(runs.add(job('b'), undefined, 0, Infinity), run)
})

test('runs: a run whose cost may still be corrected is not reused', t => {
  const runs = new Runs(host)
  const run = runs.add(job('a'), undefined, 7, Infinity)
  run.launch(5)
  runs.remove(run)
  runs.reuse(run)

  t.not(runs.add(job('b'), undefined, 0, Infinity), run)
})

test('runs: a lost job is announced once, if it was announced as underway, and its run settles nothing', t => {
  const runs = new Runs(host)
  const begin = (id: string): Run => {
    const record = job(id)
    const run = runs.add(record, undefined, 0, Infinity)
    record.run = run
    return run
  }
  const [waits, cancelled, back, running, ended] = ['a', 'b', 'c', 'd', 'e'].map(begin) as [Run, Run, Run, Run, Run]
  cancelled.cancel('reason')
  back.handBack()
  runs.remove(back)
  running.announced = ended.announced = true
  ended.launch(5)
  runs.remove(ended)

  const lose = (): boolean[] => [waits, cancelled, back, running, ended].map(({ record }) => runs.lose(record))
  t.deepEqual(lose(), [false, false, false, true, true])
  t.deepEqual(lose(), [false, false, false, false, false])
  t.deepEqual([waits.state, running.state], [lost, lost])
})

test('runs: a job without a run in this process, or with a past one only, has nothing announced to lose', t => {
  const runs = new Runs(host)
  const past = job('a')
  const run = runs.add(past, undefined, 0, Infinity)
  run.announced = true
  run.launch(5)
  past.run = new PastRun(run)
  runs.remove(run)

  t.deepEqual([runs.lose(past), runs.lose(job('b'))], [false, false])
})
