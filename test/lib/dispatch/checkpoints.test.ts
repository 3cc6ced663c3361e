import test from 'ava'
import type { Exchange, Notices } from '../../../lib/backlog.ts'
import { Checkpoints } from '../../../lib/dispatch/checkpoints.ts'
import { JobRecord } from '../../../lib/job.ts'

function scene() {
  const checkpoints = new Checkpoints()
  const exchange = { checkpoints: [] as unknown[] } as Exchange
  const reported: unknown[] = []
  let answer = (): void => {}
  const flush = (): Promise<void> => new Promise(resolve => (answer = resolve))
  return {
    exchange,
    reported,
    store: (record: JobRecord, value: unknown, fence = 0): Promise<void> =>
      checkpoints.store({ record, fence }, value, true, exchange, flush),
    answered: (lost: readonly JobRecord[] = []): void => {
      const notices = lost.length > 0 ? ({ lostRuns: lost, ignoredCheckpoints: [] } as unknown as Notices) : undefined
      checkpoints.answered(exchange, notices, (_, value) => reported.push(value.read()))
      answer()
    },
  }
}
const job = new JobRecord('a', null, 0, 0)

test('checkpoints: a checkpoint resolves when the exchange that stores it is answered, and its event is emitted', async t => {
  const { exchange, store, answered, reported } = scene()
  const stored = store(job, 1)
  t.is(exchange.checkpoints.length, 1)
  answered()
  await t.notThrowsAsync(stored)
  t.deepEqual(reported, [1])
})

test('checkpoints: the checkpoint of a run that has lost its job rejects, and emits no event', async t => {
  const { store, answered, reported } = scene()
  const stored = store(job, 1)
  answered([job])
  await t.throwsAsync(stored, { code: 'LEASE_LOST' })
  t.deepEqual(reported, [])
})

test('checkpoints: a checkpoint that was stored after the job had gone on to its next run emits no event', async t => {
  const { store, answered, reported } = scene()
  const stored = store(job, 1, -1)
  answered()
  await t.notThrowsAsync(stored)
  t.deepEqual(reported, [])
})

test('checkpoints: a value that no backlog can hold is refused before it is handed over', async t => {
  const { exchange, store } = scene()
  await t.throwsAsync(
    store(job, () => {}),
    { code: 'PAYLOAD' },
  )
  t.is(exchange.checkpoints.length, 0)
})
