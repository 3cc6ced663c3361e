import test from 'ava'
import { makeId, nextSerial, serialOf } from '../../lib/job-id.ts'

test('job id: generated ids sort by time and then by the order of put', t => {
  const ids = [
    makeId(1, 5),
    makeId(1, 36 ** 5),
    makeId(2, 1),
    makeId(1_700_000_000_000, 1),
    makeId(1_700_000_000_001, 0),
  ]
  t.deepEqual([...ids].sort(), ids)
})

test('job id: a generated id contains its order of put, and any other id has none', t => {
  t.is(serialOf(makeId(1_700_000_000_000, 123_456)), 123_456)
  for (const id of ['', 'a', 'a-b', 'a-b-c', '--']) t.is(serialOf(id), undefined)
})

test('job id: serial numbers only grow', t => {
  const first = nextSerial()
  t.is(nextSerial(), first + 1)
})
