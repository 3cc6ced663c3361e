import test from 'ava'
import { furtherOf, grantOf, startOf, startOfKey } from '../../../lib/decisions/grants.ts'

test('grants: a grant is a number if only the rate of the queue counts, and a record with further starts', t => {
  const grant = grantOf(3, startOfKey('acme', 7))

  t.deepEqual([startOf(grant), furtherOf(grant)], [3, [{ of: 'key', name: 'acme', start: 7 }]])
  t.deepEqual([grantOf(3, []), startOf(3), furtherOf(3)], [3, 3, []])
})

test('grants: a key without a rate, and a job without a key, have no start of their own', t => {
  t.deepEqual(startOfKey('acme', 0), [])
  t.deepEqual(startOfKey(null, 7), [])
  t.deepEqual(startOfKey(undefined, 7), [])
})
