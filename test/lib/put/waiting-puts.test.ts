import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import type { PutCall } from '../../../lib/put/entries.ts'
import { endOfFitting, WaitingPuts } from '../../../lib/put/waiting-puts.ts'

function one(payload: number, id?: string): JobRecord {
  const record = new JobRecord(id ?? '', payload, 0, 0)
  if (id !== undefined) record.ensureExtras().fingerprint = 'f'
  return record
}
const many = (...payloads: number[]): PutCall => ({
  record: undefined,
  records: payloads.map(payload => one(payload)),
  accepted: () => {},
  refused: () => {},
})

test('waiting puts: entries are taken up to the given number of jobs, and at least one', t => {
  const entries = [one(1), many(2, 3), one(4)]
  t.deepEqual(
    [-1, 0, 1, 2, 3, 4, Infinity].map(room => endOfFitting(entries, 0, room)),
    [1, 1, 1, 1, 2, 3, 3],
  )
  t.is(endOfFitting(entries, 1, 1), 2)
  t.is(endOfFitting([], 0, 5), 0)
})

test('waiting puts: an entry that is put back comes before all others, whether it was taken before or not', t => {
  const room = new WaitingPuts()
  const [a, b, c, d] = [one(1), one(2), one(3), one(4)] as const
  for (const entry of [a, b, c]) room.push(entry)
  t.deepEqual(room.take(2), [a, b])
  t.is(room.length, 1)
  room.putBack([b])
  room.putBack([d, a])
  t.is(room.length, 4)
  t.deepEqual(room.takeAll(), [d, a, b, c])
  t.is(room.length, 0)
  room.putBack([a])
  t.deepEqual(room.takeAll(), [a])
})

test('waiting puts: very many keep their order while some are taken, put back and added', t => {
  const room = new WaitingPuts()
  const all = [...Array(10_000).keys()].map(n => one(n))
  for (const entry of all.slice(0, 5_000)) room.push(entry)
  const taken: unknown[] = []
  for (let next = 5_000; room.length > 0; next++) {
    const [first, ...rest] = room.take(3)
    taken.push(first)
    room.putBack(rest)
    if (next < all.length) room.push(all[next] as JobRecord)
  }
  t.deepEqual(
    taken.map(entry => (entry as JobRecord).payload),
    all.map(({ payload }) => payload),
  )
})

test('waiting puts: a put is found by its id while it waits, and not while it is taken out or after it was withdrawn', t => {
  const room = new WaitingPuts()
  const entry = one(1, 'x')
  room.push(entry)
  t.deepEqual(room.of('x'), [entry])
  t.deepEqual(room.take(1), [entry])
  t.false(room.has('x'))
  room.putBack([entry])
  t.true(room.has('x'))
  room.forgetIds(entry)
  t.false(room.has('x'))
  t.is(room.length, 1)
  room.push(one(2, 'y'))
  room.takeAll()
  t.false(room.has('y'))
})
