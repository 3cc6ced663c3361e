import test from 'ava'
import { Results } from '../../../lib/announce/results.ts'
import { JobRecord } from '../../../lib/job.ts'
import { Lifecycle } from '../../../lib/lifecycle.ts'
import type { Run } from '../../../lib/run/run.ts'

const record = (state: JobRecord['state'], run?: Partial<Run>): JobRecord => {
  const job = new JobRecord('x', 'payload', 0, 0)
  job.state = state
  job.run = run && ({ fence: job.fence, ...run } as Run)
  return job
}

test('results: job.result is the same promise before and after the end', async t => {
  const results = new Results(false, new Lifecycle(true, false))
  const job = record('underway', { kind: 'finished', value: 7 })
  const before = results.of(job)
  job.state = 'finished'
  results.settle(job)

  t.is(results.of(job), before)
  t.is(await before, 7)
})

test('results: run() and job.result settle alike, with the very error that was thrown', async t => {
  const results = new Results(false, new Lifecycle(true, false))
  const job = record('failed', { kind: 'failed' })
  const thrown = new Error('no')
  job.ensureExtras().error = thrown
  const ran = new Promise(resolve => {
    job.answer = resolve
  })
  const requested = results.of(job)
  results.settle(job)

  t.is(await t.throwsAsync(ran), thrown)
  t.is(await t.throwsAsync(requested), thrown)
})

test('results: a result that was not kept rejects with an error that says so', async t => {
  const job = record('finished')

  await t.throwsAsync(new Results(false, new Lifecycle(true, false)).of(job), { code: 'RESULT_NOT_KEPT', message: /x/ })
})

test('results: the return value of a run that has lost its job is not the result', async t => {
  const job = record('finished', { kind: 'finished', value: 'lost' })
  job.fence = 2

  await t.throwsAsync(new Results(true, new Lifecycle(true, false)).of(job), { code: 'RESULT_NOT_KEPT' })
})

test('results: a kept result is available without a run', async t => {
  const job = record('finished')
  job.ensureExtras().resultKept = true
  job.ensureExtras().value = undefined

  t.is(await new Results(true, new Lifecycle(true, false)).of(job), undefined)
})

test('results: after a stop a job that did not run rejects at once, and says whether it will run later', async t => {
  for (const durable of [false, true]) {
    const lifecycle = new Lifecycle(true, false)
    const results = new Results(durable, lifecycle)
    lifecycle.stop()
    lifecycle.end()
    const error = await t.throwsAsync(results.of(record('pending')), { code: 'QUEUE_STOPPED' })
    t.like(error, { willRunLater: durable })
  }
})
