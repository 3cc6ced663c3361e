import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import type { PutCall } from '../../../lib/put/entries.ts'
import { WaitingIds } from '../../../lib/put/waiting-ids.ts'

function given(id: string): JobRecord {
  const record = new JobRecord(id, null, 0, 0)
  record.ensureExtras().fingerprint = 'f'
  return record
}
const many = (...records: JobRecord[]): PutCall => ({
  record: undefined,
  records,
  accepted: () => {},
  refused: () => {},
})

test('waiting ids: each put is found by every id that was given in it, until it leaves', t => {
  const ids = new WaitingIds()
  const one = given('x')
  const both = many(given('x'), given('y'), new JobRecord('', null, 0, 0))

  ids.add(one)
  ids.add(both)
  t.deepEqual(ids.of('x'), [one, both])
  t.deepEqual(ids.of('y'), [both])
  ids.delete(both)
  t.deepEqual(ids.of('x'), [one])
  t.false(ids.has('y'))
  ids.delete(both)
  t.true(ids.has('x'))
  ids.clear()

  t.deepEqual(
    ['x', 'y', ''].map(id => ids.has(id)),
    [false, false, false],
  )
})

test('waiting ids: a generated id is not found, because no caller knows it', t => {
  const ids = new WaitingIds()
  const made = new JobRecord('', null, 0, 0)
  ids.add(made)

  t.false(ids.has(made.id))
})
