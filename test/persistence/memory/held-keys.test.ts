/** The keys that are held in a queue without limits by key, and their jobs. */
import test from 'ava'
import { JobRecord } from '../../../lib/job.ts'
import { HeldKeys } from '../../../persistence/memory/held-keys.ts'

function jobOf(key: string | undefined): JobRecord {
  const job = new JobRecord('id', 'payload', 0, 0)
  if (key !== undefined) job.ensureExtras().key = key
  return job
}

test('held keys: jobs of a held key are set aside until its hold ends, and others are not', t => {
  const keys = new HeldKeys()
  keys.hold('a', 10)
  keys.hold('a', 5)
  const [a, b, none] = [jobOf('a'), jobOf('b'), jobOf(undefined)]

  t.deepEqual(
    [a, b, none].map(job => keys.setAside(job)),
    [true, false, false],
  )
  t.deepEqual([keys.until('a'), keys.first, keys.any], [10, { key: 'a', until: 10 }, a])
  t.deepEqual(keys.takeExpired(9), [])
  t.deepEqual(keys.takeExpired(10), [a])
  t.deepEqual([keys.until('a'), keys.first, keys.any], [undefined, undefined, undefined])
})

test('held keys: a job that leaves is not given back, and a hold without jobs is not the first', t => {
  const keys = new HeldKeys()
  keys.hold('a', 10)
  keys.hold('b', 20)
  const [a, b] = [jobOf('a'), jobOf('b')]
  keys.setAside(a)
  keys.setAside(b)

  t.true(keys.remove(a))
  t.false(keys.remove(a))
  t.deepEqual([keys.has(a), keys.has(b), keys.first], [false, true, { key: 'b', until: 20 }])
  t.deepEqual(
    keys.takeAll().map(([key]) => key),
    ['a', 'b'],
  )
  t.deepEqual([...keys.jobs()], [])
})

test('held keys: any number of jobs comes back', t => {
  const keys = new HeldKeys()
  keys.hold('a', 10)
  for (let i = 0; i < 300_000; i++) keys.setAside(jobOf('a'))

  t.is(keys.takeExpired(10).length, 300_000)
})
