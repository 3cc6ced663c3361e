import test from 'ava'
import { JobExtras, JobRecord } from '../../../lib/job.ts'
import { type KeyOverride, noKeys, parseKeys } from '../../../lib/limits/keys.ts'
import { ReadyByKey } from '../../../persistence/memory/ready-by-key.ts'

let puts = 0
function job(key: string): JobRecord {
  const record = new JobRecord('', undefined, 0, 0, Object.assign(new JobExtras(), { key }))
  record.seq = ++puts
  return record
}

test('ready by key: a key is forgotten when it has neither jobs nor bodies, and its starts no longer count', t => {
  const keys = new ReadyByKey(parseKeys('keys', { width: 1, rate: { limit: 1, per: 100 } }), new Map())
  const one = job('a')
  keys.push(one)
  const entry = keys.next
  entry?.rate?.grant(undefined, 0, 0)
  if (entry) keys.claimed(entry, one)
  t.is(keys.entries.size, 1)

  keys.released(one, 50)
  t.is(keys.entries.size, 1)
  keys.recheckDue(99)
  t.is(keys.entries.size, 1)
  keys.recheckDue(100)

  t.is(keys.entries.size, 0)
})

test('ready by key: jobs of ten thousand keys leave nothing behind', t => {
  const keys = new ReadyByKey(parseKeys('keys', {}), new Map())
  const jobs = Array.from({ length: 10_000 }, (_, i) => job(`key ${i}`))
  for (const one of jobs) keys.push(one)
  t.deepEqual([keys.entries.size, keys.size], [10_000, 10_000])

  for (const one of jobs) keys.remove(one)

  t.deepEqual([keys.entries.size, keys.size, keys.next], [0, 0, undefined])
})

test('ready by key: held keys are not among those that take turns, and return when something may have changed', t => {
  const overrides = new Map<string, KeyOverride>([['a', { paused: true }]])
  const keys = new ReadyByKey(noKeys, overrides)
  const [a, b] = [job('a'), job('b')]
  keys.push(a)
  keys.push(b)
  const first = keys.next
  const refusal = first && keys.refusal(first, undefined, 0)
  t.like(refusal, { why: 'pause' })
  if (first && refusal) keys.holdUp(first, refusal)
  t.is(keys.next?.key, 'b')

  overrides.delete('a')
  keys.changed('a', 0)

  t.is(keys.next?.key, 'a')
})

for (const order of ['fair', 'priority'] as const) {
  test(`ready by key: a key keeps its place when it gets or loses jobs behind its first, in the order ${order}`, t => {
    const keys = new ReadyByKey(parseKeys('keys', { order }), new Map())
    for (const name of ['a', 'b', 'c']) keys.push(job(name))
    const places = (): unknown => ['a', 'b', 'c'].map(name => keys.find(name)?.at)
    const before = places()
    const further = ['a', 'b', 'c'].map(job)

    for (const one of further) keys.push(one)
    t.deepEqual(places(), before)
    for (const one of further) keys.remove(one)
    t.deepEqual(places(), before)
  })
}
