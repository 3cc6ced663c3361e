/** What becomes of the puts of a batch that the backlog refuses. */
import test from 'ava'
import type { BacklogSession, PutBatch } from '../../../lib/backlog.ts'
import { IdConflictError, OutcomeUnknownError, QueueFullError, StoreError } from '../../../lib/errors.ts'
import { JobRecord } from '../../../lib/job.ts'
import { type QueueBound, recordsOf, type WaitingEntry } from '../../../lib/put/entries.ts'
import { Refusals } from '../../../lib/put/refusals.ts'
import { VirtualClock } from '../../../testing/index.ts'

const names = (records: Iterable<JobRecord>): string[] => [...records].map(({ payload }) => `${payload}`)
const job = (payload: string): JobRecord => new JobRecord('', payload, 0, 0)
const call = (...payloads: string[]): WaitingEntry => ({
  record: undefined,
  records: payloads.map(job),
  accepted: () => {},
  refused: () => {},
})

/** `put` is the backlog: it returns the error with which it refuses a batch. */
const setup = (put: (batch: readonly string[]) => unknown, bound: Partial<QueueBound> = {}) => {
  const batches: string[][] = []
  const log: string[] = []
  const refusals = new Refusals(
    new VirtualClock(),
    { waits: false, size: Infinity, ...bound },
    {
      accept: entry => log.push(`accepted ${names(recordsOf([entry]))}`),
      acceptAll: (_, records) => log.push(`accepted together ${names(records)}`),
      refuseAll: (entries, error) =>
        log.push(`refused ${names(recordsOf(entries as WaitingEntry[]))}: ${(error as Error).name}`),
    },
  )
  const session = {
    put: (batch: PutBatch) => {
      const payloads = names(batch)
      batches.push(payloads)
      const error = put(payloads)
      if (error) throw error
      return undefined
    },
  }
  refusals.open(session as unknown as BacklogSession)
  return { refusals, batches, log }
}

test('refusals: puts that the backlog accepts are sent once, together', async t => {
  const { refusals, batches, log } = setup(() => undefined)

  t.deepEqual(await refusals.send([job('a'), call('b', 'c')], false), [])
  t.deepEqual(batches, [['a', 'b', 'c']])
  t.deepEqual(log, ['accepted together a,b,c'])
})

test('refusals: the puts of a refused batch are sent one by one, and only the one at fault is refused', async t => {
  const { refusals, batches, log } = setup(batch => batch.includes('b') && new IdConflictError('b'))

  t.deepEqual(await refusals.send([job('a'), job('b'), job('c')], true), [])
  t.deepEqual(batches, [['a', 'b', 'c'], ['a'], ['b'], ['c']])
  t.deepEqual(log, ['accepted a', 'refused b: IdConflictError', 'accepted c'])
})

test('refusals: puts that may be stored are not sent twice', async t => {
  const { refusals, batches, log } = setup(() => new OutcomeUnknownError('the put', []))

  t.deepEqual(await refusals.send([job('a'), job('b')], true), [])
  t.deepEqual(batches, [['a', 'b']])
  t.deepEqual(log, ['refused a,b: OutcomeUnknownError'])
})

test("refusals: with overflow 'wait' the first put that finds no space is returned with all after it", async t => {
  const { refusals, batches, log } = setup(
    batch => batch.some(payload => payload !== 'a') && new QueueFullError(1, 1, 1),
    { waits: true, size: 1 },
  )
  const entries = [job('a'), job('b'), job('c')]

  t.deepEqual(await refusals.send(entries, true), entries.slice(1))
  t.deepEqual(batches, [['a', 'b', 'c'], ['a'], ['b']])
  t.deepEqual(log, ['accepted a'])
})

test('refusals: more jobs together than the queue can ever hold are refused, although puts wait for space', async t => {
  const { refusals, log } = setup(() => new QueueFullError(1, 1, 1), { waits: true, size: 1 })

  t.deepEqual(await refusals.send([call('a', 'b')], false), [])
  t.deepEqual(log, ['refused a,b: QueueFullError'])
})

test('refusals: a batch that cannot be stored is tried put by put, and any other refusal is for all of it', async t => {
  const store = setup(batch => batch.includes('b') && new StoreError('a job', { cause: undefined }))
  await store.refusals.refused([job('a'), job('b')], new StoreError('a job', { cause: undefined }))

  t.deepEqual(store.log, ['accepted a', 'refused b: StoreError'])

  const unknown = setup(() => undefined)
  await unknown.refusals.refused([job('a'), job('b')], new OutcomeUnknownError('the put', []))

  t.deepEqual(unknown.batches, [])
  t.deepEqual(unknown.log, ['refused a,b: OutcomeUnknownError'])
})
