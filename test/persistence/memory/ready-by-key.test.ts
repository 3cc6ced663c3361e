import test from 'ava'
import { JobExtras, JobRecord } from '../../../lib/job.ts'
import { type KeyOverride, noKeys, parseKeys } from '../../../lib/limits/keys.ts'
import type { Refusal } from '../../../lib/limits/limit.ts'
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

  t.deepEqual([keys.entries.size, keys.entries.spares, keys.size, keys.next], [0, 0, 0, undefined])
})

/** Keys of which `other` is in use, so that `name` stays as a spare once its only job was removed. */
function withSpare(keys: ReadyByKey, name: string): void {
  keys.push(job('other'))
  const one = job(name)
  keys.push(one)
  keys.remove(one)
}

test('ready by key: a key that was forgotten is not found, and has no state', t => {
  const keys = new ReadyByKey(parseKeys('keys', {}), new Map())

  withSpare(keys, 'a')

  t.is(keys.find('a'), undefined)
  t.deepEqual([keys.entries.size, [...keys.entries].map(({ key }) => key)], [1, ['other']])
})

test('ready by key: a forgotten key that comes back begins anew, with the settings now in force', t => {
  const overrides = new Map<string, KeyOverride>()
  const keys = new ReadyByKey(parseKeys('keys', { rate: { limit: 1, per: 100 } }), overrides)
  keys.push(job('other'))
  const one = job('a')
  keys.push(one)
  const former = keys.find('a')
  former?.rate?.grant(undefined, 0, 0)
  keys.hold('a', 50, 0)
  if (former) keys.claimed(former, one)
  keys.released(one, 0)
  keys.recheckDue(100)
  t.is(keys.find('a'), undefined)
  overrides.set('a', { weight: 2, width: 3 })
  keys.changed('a', 100)

  keys.push(job('a'))

  const entry = keys.find('a')
  t.like(entry, { width: 3, bodies: 0, heldUntil: -Infinity, refusal: undefined, tag: 1.5 })
  t.is(entry?.rate?.emptyAt(0), -Infinity)
  t.is(keys.entries.size, 2)
})

test('ready by key: the spare of a key keeps no lanes for the priorities of its former jobs', t => {
  const keys = new ReadyByKey(parseKeys('keys', {}), new Map())
  keys.push(job('other'))
  const jobs = [1, 2, 3].map(priority => Object.assign(job('a'), { priority }))
  for (const one of jobs) keys.push(one)
  const entry = keys.find('a')
  t.true(entry?.jobs.hasLanes)

  for (const one of jobs) keys.remove(one)

  t.like(entry, { isSpare: true, jobs: { hasLanes: false } })
})

test('ready by key: another declaration changes the keys that come back later', t => {
  const keys = new ReadyByKey(parseKeys('keys', { rate: { limit: 1, per: 100 } }), new Map())
  withSpare(keys, 'a')

  keys.declare(parseKeys('keys', { width: 2 }), 0)
  t.is(keys.entries.size, 1)
  keys.push(job('a'))

  t.like(keys.find('a'), { width: 2, rate: undefined })
})

test('ready by key: however many keys come and go, few entries are left of them', t => {
  const keys = new ReadyByKey(parseKeys('keys', {}), new Map())
  const waiting = Array.from({ length: 100 }, (_, i) => job(`first ${i}`))
  for (const one of waiting) keys.push(one)
  let most = 0
  for (let i = 0; i < 10_000; i++) {
    keys.remove(waiting[i] as JobRecord)
    waiting.push(job(`key ${i}`))
    keys.push(waiting.at(-1) as JobRecord)
    most = Math.max(most, keys.entries.spares)
  }

  t.is(keys.entries.size, 100)
  t.true(most >= 99 && most <= 300, `${most} spares`)
})

test('ready by key: nothing is left of many keys that come and go once no key may start a job', t => {
  const keys = new ReadyByKey(parseKeys('keys', { width: 1 }), new Map())
  const running = job('other')
  keys.push(running)
  const entry = keys.next
  if (entry) keys.claimed(entry, running)
  const jobs = Array.from({ length: 100 }, (_, i) => job(`key ${i}`))
  for (const one of jobs) keys.push(one)
  for (const one of jobs) keys.remove(one)
  t.is(keys.entries.spares, 100)

  keys.recheckDue(0)

  t.deepEqual([keys.entries.size, keys.entries.spares], [1, 0])
})

test('ready by key: to take the jobs of all held keys takes one walk over the keys', t => {
  const keys = new ReadyByKey(parseKeys('keys', { width: 0 }), new Map())
  const jobs = Array.from({ length: 1_000 }, (_, i) => job(`key ${i}`))
  for (const one of jobs) keys.push(one)
  for (let next = keys.next; next; next = keys.next) {
    keys.holdUp(next, keys.refusal(next, undefined, 0) as Refusal)
  }
  let looks = 0
  for (const entry of keys.entries) {
    let { isSpare } = entry
    const get = (): boolean => {
      looks++
      return isSpare
    }
    const set = (value: boolean): void => {
      isSpare = value
    }
    Object.defineProperty(entry, 'isSpare', { get, set })
  }

  const taken: JobRecord[] = []
  for (let one = keys.any; one; one = keys.any) {
    keys.remove(one)
    taken.push(one)
  }

  t.deepEqual(taken, jobs)
  t.true(looks <= 2 * jobs.length, `${looks} looks`)
  const late = job('late')
  keys.push(late)
  t.is(keys.any, late)
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
