/** Puts that wait for room: how many are sent at a time, in which order, and how they are found to be withdrawn. */
import test from 'ava'
import type { BacklogSession, PutBatch } from '../../../lib/backlog.ts'
import { QueueFullError } from '../../../lib/errors.ts'
import { JobRecord } from '../../../lib/job.ts'
import { Lifecycle } from '../../../lib/lifecycle.ts'
import { recordsOf, type WaitingEntry } from '../../../lib/put/entries.ts'
import { Overflow } from '../../../lib/put/overflow.ts'
import { Refusals } from '../../../lib/put/refusals.ts'
import { Withdrawals } from '../../../lib/put/withdrawals.ts'
import { VirtualClock } from '../../../testing/index.ts'

const names = (records: Iterable<JobRecord>): string[] => [...records].map(({ payload }) => `${payload}`)
const job = (payload: string, signal?: AbortSignal): JobRecord => {
  const record = new JobRecord('', payload, 0, 0)
  if (signal) record.ensureLive().signal = signal
  return record
}

/** A queue of `size` jobs, of which the backlog has `pending`. */
const setup = (size: number, pending = 0) => {
  const lifecycle = new Lifecycle(true, false)
  const withdrawals = new Withdrawals()
  const batches: string[][] = []
  const waits: string[] = []
  const counts = { pending, delayed: 0 }
  const session = {
    counts,
    put: (batch: PutBatch) => {
      const payloads = names(batch)
      batches.push(payloads)
      if (counts.pending + payloads.length > size) throw new QueueFullError(payloads.length, size, counts.pending)
      counts.pending += payloads.length
      return undefined
    },
  } as unknown as BacklogSession
  const bound = { waits: true, size }
  const replies = { accept: () => {}, acceptAll: () => {}, refuseAll: () => {} }
  const refusals = new Refusals(new VirtualClock(), bound, replies)
  const overflow = new Overflow(lifecycle, bound, refusals, withdrawals, {
    waitsForSpace: record => waits.push(`${record.payload}`),
  })
  refusals.open(session)
  overflow.open(session)
  const left = (): string[] => names(recordsOf(overflow.takeAll()))
  return { overflow, withdrawals, lifecycle, batches, waits, counts, left }
}
const jobs = (...payloads: string[]): WaitingEntry[] => payloads.map(payload => job(payload))

test('overflow: as many puts are sent at once as there is space for, and the others wait in their order', async t => {
  const { overflow, batches, left } = setup(2)
  await overflow.send(jobs('a', 'b', 'c', 'd'), true)

  // One more is tried, because another process may have made room.
  t.deepEqual(batches, [['a', 'b'], ['c']])
  t.is(overflow.length, 2)
  t.deepEqual(left(), ['c', 'd'])
})

test('overflow: waiting puts go before all later ones', async t => {
  const { overflow, batches, counts, left } = setup(1)
  await overflow.send(jobs('a', 'b'), true)
  counts.pending = 0
  batches.length = 0
  await overflow.send(jobs('c'), true)

  t.deepEqual(batches, [['b'], ['c']])
  t.deepEqual(left(), ['c'])
})

test('overflow: puts that are put back wait before all others', async t => {
  const { overflow, left } = setup(1, 1)
  await overflow.send(jobs('a', 'b'), true)
  const taken = overflow.takeAll()
  await overflow.send(jobs('c'), true)
  overflow.putBack(taken)

  t.deepEqual(left(), ['a', 'b', 'c'])
})

test('overflow: no waiting put is sent after a stop', async t => {
  const { overflow, lifecycle, counts, batches } = setup(1)
  await overflow.send(jobs('a', 'b'), true)
  lifecycle.stop()
  counts.pending = 0
  batches.length = 0

  t.false(overflow.hasNext)
  await overflow.send([], false)
  t.deepEqual(batches, [])
})

test('overflow: a signal withdraws a put as soon as it waits, also one that waited before', async t => {
  const { overflow, withdrawals, waits } = setup(1, 1)
  const { signal } = new AbortController()
  const record = job('a', signal)
  await overflow.send([record, job('b')], true)

  t.is(withdrawals.find(record), record)
  t.deepEqual(waits, ['a'], 'a signal that aborted on the way would be overlooked')
  overflow.putBack(overflow.takeAll())
  t.is(withdrawals.find(record), record)
})

test('overflow: a waiting put is found by its id until it is withdrawn', async t => {
  const { overflow, withdrawals, left } = setup(1, 1)
  const record = new JobRecord('x', 'a', 0, 0)
  record.ensureExtras().fingerprint = 'f'
  await overflow.send([record], true)

  t.true(overflow.has('x'))
  t.deepEqual(overflow.of('x'), [record])
  withdrawals.withdraw(record)
  overflow.forget(record)
  t.false(overflow.has('x'))
  t.deepEqual(left(), [])
})
