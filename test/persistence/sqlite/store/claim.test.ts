/** Jobs of a ready range are claimed as one. However jobs wait, they are the same jobs, in the same order. */
import test from 'ava'
import { noKeys } from '../../../../lib/limits/keys.ts'
import { type Ending, endingsOf, type Put } from '../../../../testing/contract/store-requests.ts'
import { Process } from '../../../support/sqlite-store.ts'

const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const process = new Process()
  process.attach(parts)
  return process
}
const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `job ${from + i}`)

test('claim: many jobs with only a payload are claimed in order, each as it was put', t => {
  const p = opened()
  const hostile = ['a b', 'line\nbreak', '\u001e', '"', 'é\u{1f600}', '', ' '.repeat(1_000)]
  const { first } = p.put([...names(20), ...hostile])
  p.pass(5).put(names(10, 20))

  const { claimed, counts } = p.exchange({ room: 100 })

  t.is(claimed.seqs.length, 37)
  t.deepEqual(
    claimed.payloads.map(payload => JSON.parse(payload)),
    [...names(20), ...hostile, ...names(10, 20)],
  )
  t.deepEqual(
    claimed.seqs,
    Array.from({ length: 37 }, (_, i) => first + i),
  )
  t.deepEqual(claimed.extras, [])
  t.deepEqual(new Set(claimed.queuedAt.slice(0, 27)), new Set([p.wall - 5]))
  t.deepEqual(new Set(claimed.queuedAt.slice(27)), new Set([p.wall]))
  t.like(p.find(first + 30), { id: claimed.ids[30], state: 'underway', attempt: 1, fence: 1 })
  t.like(counts, { pending: 0, underway: 37 })
})

test('claim: at most `room` jobs are claimed, in their order, and the rest waits', t => {
  const p = opened()
  p.put(names(50))

  t.deepEqual(p.claimed(20), names(20))
  t.deepEqual(p.claimed(20), names(20, 20))
  t.deepEqual(p.claimed(20), names(10, 40))
})

for (const [what, odd] of [
  ['a priority', { priority: -1 }],
  ['a later priority', { priority: 1 }],
  ['a key', { extras: { key: 'k' } }],
  ['a given id', { id: 'given', extras: { fingerprint: 'f' } }],
  ['a cost', { extras: { cost: { tokens: 1 } } }],
  ['a long payload', { payload: 'x'.repeat(5_000) }],
] as [string, Put][]) {
  test(`claim: if one of many jobs has ${what}, all are claimed in order, and nothing of it is lost`, t => {
    const p = opened()
    p.put([...names(20), { payload: 'odd', ...odd }, ...names(20, 20)])

    const { claimed } = p.exchange({ room: 100 })

    t.is(claimed.seqs.length, 41)
    const at = odd.priority === -1 ? 0 : odd.priority === 1 ? 40 : 20
    t.is(JSON.parse(claimed.payloads[at] as string), odd.payload ?? 'odd')
    t.is(claimed.priorities[at], odd.priority ?? 0)
    const { key, ...others } = odd.extras ?? {}
    t.is(claimed.keys?.[20], key)
    t.deepEqual(claimed.extras, Object.keys(others).length > 0 ? [[20, others]] : [])
  })
}

test('claim: a job that was claimed before comes with the attempt and the fence of its next run', t => {
  for (const [kind, attempt, fence] of [
    ['notLaunched', 1, 2],
    ['retry', 2, 2],
  ] as const) {
    const p = opened()
    p.put(names(20))
    const settled = p.claim(1).map(one => ({ ...one, kind }))
    p.exchange({ settled })

    const { claimed } = p.exchange({ room: 100 })

    t.deepEqual([claimed.attempts[0], claimed.fences[0]], [attempt, fence])
    t.deepEqual([claimed.attempts[1], claimed.fences[1]], [1, 1])
  }
})

test('claim: a row that foreign code has changed or deleted costs no other job anything', t => {
  for (const harm of [
    "update rdq_job set payload = '1' || char(30) || '2' where seq = ?",
    "update rdq_job set id = 'a b' where seq = ?",
    "update rdq_job set key = 'k' where seq = ?",
    'delete from rdq_job where seq = ?',
  ]) {
    const p = opened()
    const { first } = p.put(names(40))
    p.db.prepare(harm).run(first + 7)

    const { claimed } = p.exchange({ room: 100 })

    t.deepEqual(
      claimed.seqs.filter(seq => seq !== first + 7),
      Array.from({ length: 40 }, (_, i) => first + i).filter(seq => seq !== first + 7),
    )
  }
})

test('claim: with a rate each job comes with the start that it was granted', t => {
  const p = opened({ rate: [{ limit: 30, perMs: 1_000, unit: undefined, burst: undefined }] })
  p.put(names(40))

  const { claimed, grants } = p.exchange({ room: 100 })

  t.deepEqual([grants?.length, claimed.seqs.length], [30, 30])
})

const keyRule = { limit: 1, perMs: 1_000, unit: undefined, burst: undefined }
/** One job for each of 1,000 keys, and `each` for each of 10 keys behind them. */
const jobsOfKeys = (each: number): Put[] => [
  ...Array.from({ length: 1_000 }, (_, i) => ({ payload: 'single', extras: { key: `a ${i}` } })),
  ...Array.from({ length: 10 * each }, (_, i) => ({ payload: `job ${i}`, extras: { key: `b ${i % 10}` } })),
]
/** Claims for as long as the store says that there is more to claim now. */
const claimAll = (p: Process, settled: readonly Ending[] = []): Ending[] => {
  let reply = p.exchange({ room: 5_000, settled })
  const claimed = endingsOf(reply)
  while (reply.nextLookAt <= p.now) {
    reply = p.exchange({ room: 5_000 })
    claimed.push(...endingsOf(reply))
  }
  return claimed
}

/** How many statements on keys and their jobs are executed while `run` does its work. */
const statementsIn = (p: Process, run: () => void): number => {
  const prototype = Object.getPrototypeOf(p.db.prepare('select 1')) as Record<string, (...values: unknown[]) => unknown>
  const names = ['run', 'get', 'all']
  const real = names.map(name => prototype[name] as (...values: unknown[]) => unknown)
  let count = 0
  for (const [i, name] of names.entries()) {
    prototype[name] = function (this: { readonly source: string }, ...values) {
      if (/rdq_(?:key|pending_by_key|underway)/.test(this.source)) count++
      return real[i]?.apply(this, values)
    }
  }
  try {
    run()
  } finally {
    for (const [i, name] of names.entries()) prototype[name] = real[i] as (...values: unknown[]) => unknown
  }
  return count
}

test('claim: 64 keys take little more statements than one, and a key without further jobs has no row', t => {
  const p = opened({ keys: { ...noKeys, width: 9, order: 'fair' } })
  const claimOf = (keys: number): number => {
    p.put(Array.from({ length: 64 }, (_, i) => ({ payload: `job ${i}`, extras: { key: `k ${i % keys}` } })))
    let settled: readonly Ending[] = []
    const statements = statementsIn(p, () => {
      settled = endingsOf(p.exchange({ room: 64 }))
    })
    t.is(settled.length, keys === 1 ? 9 : 64)
    t.is(p.rows('rdq_key'), keys === 1 ? 1 : 0)
    p.exchange({ room: 0, settled })
    return statements
  }
  const ofMany = claimOf(64)

  t.true(ofMany < claimOf(1) + 16, `${ofMany} statements`)
})

test('claim: many jobs of one key take as many statements as a few', t => {
  const p = opened({ keys: { ...noKeys, order: 'fair' } })
  const claimOf = (jobs: number): number => {
    p.put(Array.from({ length: jobs + 200 }, (_, i) => ({ payload: `job ${i}`, extras: { key: 'k' } })))
    return statementsIn(p, () => t.is(p.exchange({ room: jobs }).claimed.seqs.length, jobs))
  }

  claimOf(10) // The first claim of all has the jobs of its put to sort.
  const ofFew = claimOf(10)

  t.is(claimOf(200), ofFew)
})

test('claim: a key whose body has ended is checked, however many keys without jobs come before it', t => {
  // Their starts count for a while, so the file has rows of the keys without jobs.
  const p = opened({ keys: { ...noKeys, width: 1, rate: [{ ...keyRule, limit: 9 }] } })
  p.put(jobsOfKeys(2))
  const running = claimAll(p)
  t.is(running.length, 1_010)

  t.is(claimAll(p, running).length, 10)
})

test('claim: a key whose instant has come is checked, however many keys without jobs come before it', t => {
  const p = opened({ keys: { ...noKeys, rate: [keyRule] } })
  p.put(jobsOfKeys(2))
  const { first } = p.put(jobsOfKeys(0))
  t.is(claimAll(p).length, 1_010)
  const { nextLookAt } = p.exchange({ room: 5_000 })
  for (let i = 0; i < 1_000; i++) p.command({ kind: 'cancel', target: first + i, reason: undefined })

  p.pass(nextLookAt)

  t.is(claimAll(p).length, 10)
})

test('claim: a key is checked at its instant, also if its limit was removed before', t => {
  const p = opened({ keys: { ...noKeys, rate: [keyRule] } })
  p.put(jobsOfKeys(2))
  claimAll(p)
  const { nextLookAt } = p.exchange({ room: 5_000 })
  p.db.exec('delete from rdq_rate_start')
  p.db.exec('update rdq_key set rate_version = rate_version + 1')

  t.is(p.exchange({ room: 5_000 }).nextLookAt, nextLookAt)
})

test('claim: nothing of thousands of keys stays in the file once their jobs have ended and their starts count no more', t => {
  for (const keys of [{ width: 1 }, { rate: [keyRule] }, { width: 1, rate: [keyRule] }]) {
    const p = opened({ keys: { ...noKeys, ...keys } })
    p.put(Array.from({ length: 2_500 }, (_, i) => ({ payload: 'single', extras: { key: `k ${i}` } })))

    p.exchange({ room: 0, settled: claimAll(p) })
    for (let { nextLookAt } = p.exchange({ room: 9 }); nextLookAt < Infinity; ) {
      p.pass(Math.max(nextLookAt - p.now, 0))
      nextLookAt = p.exchange({ room: 9 }).nextLookAt
    }

    t.deepEqual([p.rows('rdq_key'), p.rows('rdq_key_released'), p.rows('rdq_rate_start')], [0, 0, 0])
  }
})

test('claim: a job is listed by its key only once it waits elsewhere than among the jobs of that key', t => {
  const p = opened({ keys: { ...noKeys, width: 1 } })
  const listed = (): number => p.db.prepare('select count(*) from rdq_job where listed = 1').pluck().get() as number
  p.put(Array.from({ length: 3 }, (_, i) => ({ payload: `job ${i}`, extras: { key: 'k' } })))
  const first = p.claim(1)

  t.is(listed(), 0)
  p.exchange({ settled: first.map(one => ({ ...one, kind: 'retry' as const })) })

  t.is(listed(), 1)
})

test('claim: a key that a claim holds up is looked at if a body of it ends in the same transaction', t => {
  const p = opened({ keys: { ...noKeys, width: 1 } })
  const jobs = ['one', 'two', 'three'].map(payload => ({ payload, extras: { key: 'k' } }))
  p.put(jobs.slice(0, 1))
  const running = p.claim()
  const { first } = p.put([...jobs.slice(1), { payload: 'other', extras: { key: 'l' } }])

  const replies = p.store.transact([
    p.exchangeRequest({ room: 1, keysVersion: 1 }),
    p.exchangeRequest({ settled: running, keysVersion: 1 }),
  ])

  t.is(replies.length, 2)
  t.deepEqual(
    p.claim().map(({ seq }) => seq),
    [first],
  )
})
