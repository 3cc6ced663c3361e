import test from 'ava'
import { furtherOf, grantOf, startOf, startOfKey } from '../../../lib/rules/grants.ts'

test('grants: a job that counts for the rate of its queue alone has a number, and a record has further starts', t => {
  const grant = grantOf(3, startOfKey('acme', 7))

  t.deepEqual([startOf(grant), furtherOf(grant)], [3, [{ of: 'key', name: 'acme', start: 7 }]])
  t.deepEqual([grantOf(3, []), startOf(3), furtherOf(3)], [3, 3, []])
})

test('grants: a key without a rate, and a job without a key, have no start of their own', t => {
  t.deepEqual(startOfKey('acme', 0), [])
  t.deepEqual(startOfKey(null, 7), [])
  t.deepEqual(startOfKey(undefined, 7), [])
})
