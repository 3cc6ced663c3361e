/** Which puts can be withdrawn, and what becomes of a withdrawn one when its turn comes. */
import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { CommandEntry, type PutCall } from '../../../lib/put/entries.ts'
import { Withdrawals } from '../../../lib/put/withdrawals.ts'

const job = (payload: unknown): JobRecord => new JobRecord('', payload, 0, 0)
const call = (...records: JobRecord[]): PutCall => ({
  record: undefined,
  records,
  accepted: () => {},
  refused: () => {},
})

test('withdrawals: a withdrawn put keeps its place until its turn comes, and is then passed over once', t => {
  const withdrawals = new Withdrawals()
  const [a, b] = [job('a'), job('b')]
  withdrawals.allow(a, a)
  withdrawals.withdraw(a)
  t.is(withdrawals.count, 1)

  t.deepEqual(withdrawals.remaining([a, b]), [b])
  t.is(withdrawals.count, 0)
  // The same record may be put once more.
  t.deepEqual(withdrawals.remaining([a, b]), [a, b])
})

test('withdrawals: the signal of any job withdraws all jobs of the same putMany', t => {
  const withdrawals = new Withdrawals()
  const [a, b] = [job('a'), job('b')]
  const both = call(a, b)
  withdrawals.allow(a, both)
  withdrawals.allow(b, both)

  t.is(withdrawals.find(b), both)
  withdrawals.withdraw(both)
  t.is(withdrawals.find(a), undefined, 'it would be refused twice')
  t.deepEqual(withdrawals.remaining([both]), [])
})

test('withdrawals: a put that is sent can no longer be withdrawn, unless it comes back to wait', t => {
  const withdrawals = new Withdrawals()
  const [a, b] = [job('a'), job('b')]
  withdrawals.allow(a, a)
  withdrawals.allow(b, b)

  t.deepEqual(withdrawals.remaining([a]), [a])
  t.is(withdrawals.find(a), undefined)
  t.is(withdrawals.find(b), b, 'it was not sent')
  withdrawals.allow(a, a)
  t.is(withdrawals.find(a), a)
})

test('withdrawals: commands are never passed over', t => {
  const withdrawals = new Withdrawals()
  const a = job('a')
  const command = new CommandEntry(
    () => {},
    () => {},
  )
  withdrawals.withdraw(a)

  t.deepEqual(withdrawals.remaining([command, a]), [command])
})
