import test from 'ava'
import type { JobRecord } from '../../../lib/job.ts'
import { PlainJobs, plainSlot } from '../../../lib/put/plain-jobs.ts'

function jobs(many: number): PlainJobs {
  const plain = new PlainJobs(5)
  for (let i = 0; i < many; i++) plain.push(`p${i}`, () => i)
  plain.first = 10
  return plain
}

test('plain: a record is made when it is first read, once, with all its data', t => {
  const plain = jobs(3)

  const record = plain.at(11) as JobRecord

  t.like(record, { payload: 'p1', seq: 11, priority: 0, state: 'pending', queuedAt: 5, memorySlot: plainSlot })
  t.is(record.answer?.(undefined) as unknown, 1)
  t.is(plain.at(11), record)
  t.deepEqual([...plain.entries()], [10, record, 12])
})

test('plain: the next job is the first that still waits, whatever jobs have left before', t => {
  const plain = jobs(4)
  const second = plain.at(11) as JobRecord
  second.memorySlot = -1
  const first = plain.next() as JobRecord
  t.is(first.seq, 10)
  first.memorySlot = -1
  t.is(plain.next()?.seq, 12)
  t.is(plain.waitingBefore(13), 1)
  t.deepEqual(
    [...plain.waiting()].map(({ seq }) => seq),
    [12, 13],
  )
  for (const left of [...plain.waiting()]) left.memorySlot = -1

  t.is(plain.next(), undefined)
  t.true(plain.passed)
  t.is(plain.left, 4)
})

test('plain: a job that has ended is removed', t => {
  const plain = jobs(2)
  const record = plain.at(10) as JobRecord
  plain.drop(record)
  plain.drop(record)

  t.is(plain.at(10), undefined)
  t.is(plain.left, 1)
  t.deepEqual([plain.has(9), plain.has(10), plain.has(11), plain.has(12)], [false, true, true, false])
})

test('plain: jobs that are sent as records equal jobs that never were in columns', t => {
  const plain = jobs(2)
  plain.first = 0

  t.deepEqual(
    plain.records().map(({ payload, seq, memorySlot }) => [payload, seq, memorySlot]),
    [
      ['p0', 0, -1],
      ['p1', 0, -1],
    ],
  )
})

test('plain: a backlog without columns iterates over records, which wait once it has accepted them', t => {
  const plain = new PlainJobs(5)
  for (let i = 0; i < 3; i++) plain.push(`p${i}`, () => i)

  const records = [...plain]
  for (const [i, record] of records.entries()) record.seq = 7 + i

  t.deepEqual([...plain], records)
  t.deepEqual([...plain.waiting()], records)
  t.deepEqual(
    records.map(({ seq, payload, memorySlot }) => [seq, payload, memorySlot]),
    [
      [7, 'p0', -1],
      [8, 'p1', -1],
      [9, 'p2', -1],
    ],
  )
  t.is(typeof records[0]?.answer, 'function')
})
