/** Commands, delays and held keys: everything that happens to jobs that do not run. */
import { type ContractTest, testsInto } from '../contract.ts'
import { oneWorker, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, keep, namesOf, wall, zero } from '../store-requests.ts'

export const commands: ContractTest<StoreSubject>[] = []
const test = testsInto(commands)

test('delay: by the steady clock, and runAt by the wall, which may jump', async (t, subject) => {
  const p = await oneWorker(subject)
  const { counts, first } = await p.put([
    { payload: 'a', extras: { dueAt: 100 } },
    { payload: 'b', extras: { runAt: wall + 100 } },
    { payload: 'past', extras: { runAt: wall } },
  ])
  t.deepEqual(counts, { ...zero, pending: 1, delayed: 2 })
  t.like(await p.find(first), { state: 'delayed', extras: { dueAt: 100 } })
  t.like(await p.find(first + 1), { state: 'delayed', extras: { runAt: wall + 100 } })
  t.is((await p.exchange()).nextLookAt, 100)

  t.deepEqual(await p.claimed(), ['past'])
  t.deepEqual((await p.exchange({ now: 99, wall: wall + 100, room: 9 })).claimed.payloads, ['"b"'])
  t.deepEqual((await p.exchange({ now: 100, wall, room: 9 })).claimed.payloads, ['"a"'])
})

test('delay: if very many jobs come due at once, an exchange may release a part of them, and says to look again at once', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(Array.from({ length: 1_001 }, (_, i) => ({ payload: String(i), extras: { dueAt: 10 } })))

  p.pass(10)
  let exchange = await p.exchange()
  for (let i = 0; exchange.nextLookAt <= p.now && i < 5; i++) exchange = await p.exchange()

  t.deepEqual([exchange.nextLookAt, exchange.counts.pending], [Infinity, 1_001])
})

test('delay: another process of the same boot has the same clock', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  await a.attach()
  await a.put([{ payload: 'a', extras: { dueAt: 100 } }])
  b.wall += 1_000_000
  await b.attach()

  t.is((await b.exchange({ room: 1 })).nextLookAt, 100)
})

test('cancel, retry, reprioritize and remove change jobs that wait or have ended, and counts are conserved', async (t, subject) => {
  const p = await oneWorker(subject)
  const { first: a } = await p.put(['a', 'b', 'c', { payload: 'd', extras: { dueAt: 9 } }])
  const [b, c, d] = [a + 1, a + 2, a + 3]

  const cancelled = await p.command({ kind: 'cancel', target: a, reason: '"no"' })
  t.like(cancelled, { unchangedBecause: undefined, count: 1, counts: { pending: 2, cancelled: 1 } })
  t.like(cancelled.changed[0], { seq: a, state: 'cancelled', extras: { error: '"no"' } })
  t.is((await p.command({ kind: 'cancel', target: a, reason: undefined })).count, 0)
  t.is((await p.command({ kind: 'cancel', target: 'none', reason: undefined })).found, undefined)

  await p.command({ kind: 'reprioritize', target: c, priority: -1 })
  await p.command({ kind: 'reprioritize', target: d, priority: -2 })
  await p.command({ kind: 'retry', target: (await p.find(a))?.id as string })
  await p.command({ kind: 'remove', target: b })
  t.is(await p.find(b), undefined)
  t.deepEqual((await p.pass(9).exchange()).counts, { ...zero, pending: 3 })
  t.deepEqual(await p.claimed(), ['d', 'c', 'a'])

  for (const kind of ['retry', 'remove'] as const) {
    await t.throwsAsync(async () => await p.command({ kind, target: a }), { code: 'JOB_STATE' })
  }
  await t.throwsAsync(async () => await p.command({ kind: 'reprioritize', target: a, priority: 1 }), {
    code: 'JOB_STATE',
  })
  await t.throwsAsync(async () => await p.command({ kind: 'retry', target: 'none' }), { code: 'JOB_UNKNOWN' })
})

test('retry: changes nothing while a body of the job goes on, until that has ended or its process has died', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, web] = [await db.open(), await db.open()]
  await p.attach()
  await web.attach({ works: false })
  await p.put(['a', 'b'])
  const jobs = (await p.claim()) as [Ending, Ending]
  await p.exchange({
    settled: jobs.map(job => ({ ...job, kind: 'cancelled' as const, extras: { bodyContinues: true } })),
  })
  const [a, b] = jobs.map(({ seq }) => seq) as [number, number]
  const retry = async (target: number) => await web.command({ kind: 'retry', target })

  t.like(await retry(a), { unchangedBecause: 'bodyContinues', changed: [], found: { state: 'cancelled' } })
  await p.exchange({ endedBodies: [a] })
  t.like(await retry(a), { unchangedBecause: undefined, found: { state: 'pending' } })
  t.is((await retry(b)).unchangedBecause, 'bodyContinues')
  await p.die()
  await web.recover(p)
  t.is((await retry(b)).unchangedBecause, undefined)
})

test('retry: attempts count from 1 again, the fence goes on, and the checkpoint stays', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a'])
  const [job] = (await p.claim()) as [Ending]
  await p.exchange({
    checkpoints: [{ ...job, value: '"half"' }],
    settled: [{ ...job, kind: 'failed', extras: { error: '"e"' } }],
  })

  const { found } = await p.command({ kind: 'retry', target: job.seq })

  t.like(found, { state: 'pending', attempt: 0, extras: { checkpoint: '"half"' } })
  const { claimed } = await p.exchange({ room: 1 })
  t.deepEqual([claimed.attempts, claimed.fences], [[1], [2]])
  t.deepEqual(claimed.extras, [[0, { checkpoint: '"half"' }]])
})

test('cancel: of a job that runs in another process is requested of that process, once', async (t, subject) => {
  const db = await Workers.of(subject)
  const [worker, web] = [await db.open(), await db.open()]
  await worker.attach()
  await web.attach({ works: false })
  const { first } = await web.put(['a'])
  await worker.claim()

  const { unchangedBecause, found, changed } = await web.command({ kind: 'cancel', target: first, reason: '"no"' })

  t.deepEqual([unchangedBecause, found?.state, changed], ['cancelRequested', 'underway', []])
  t.deepEqual((await worker.exchange()).notices?.cancelRequests, [{ seq: first, reason: '"no"' }])
  t.is((await worker.exchange()).notices, undefined)
})

test('cancel: a run with a cancel request that goes back ends as cancelled, and one that finishes leaves no request behind', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a', 'b'])
  const [a, b] = (await p.claim()) as [Ending, Ending]
  for (const { seq } of [a, b]) await p.command({ kind: 'cancel', target: seq, reason: '"no"' })
  t.is((await p.exchange()).notices?.cancelRequests.length, 2)

  const { endedUnrun, counts } = await p.exchange({ settled: [{ ...a, kind: 'snooze' }, b] })

  t.deepEqual(
    endedUnrun.map(row => [row.seq, row.state, row.extras?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
})

test('cancel: a request is delivered to the queue object that runs the job, and to no other of its process', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a'])
  const [a] = (await p.claim()) as [Ending]
  await p.command({ kind: 'cancel', target: a.seq, reason: undefined })

  t.is((await p.exchange({ works: false })).notices, undefined)
  t.deepEqual((await p.exchange()).notices?.cancelRequests, [{ seq: a.seq, reason: undefined }])
})

test('cancel: a job that goes back before its process got the request is cancelled, and an ended one is left alone', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a', 'b'])
  const [a, b] = (await p.claim()) as [Ending, Ending]
  for (const { seq } of [a, b]) await p.command({ kind: 'cancel', target: seq, reason: '"no"' })

  const { endedUnrun, notices, counts } = await p.exchange({ settled: [{ ...a, kind: 'retry' }, b], room: 9 })

  t.deepEqual(
    endedUnrun.map(row => [row.seq, row.state, row.extras?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.is(notices, undefined)
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
})

test('pause: a shared pause is in force in every process', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()
  await a.put(['1'])

  await b.command({ kind: 'pause', paused: true })
  t.like(await a.exchange({ room: 9 }), { sharedPaused: true, claimed: { seqs: [] } })
  t.true((await (await db.open()).attach()).sharedPaused)
  await b.command({ kind: 'pause', paused: false })

  t.deepEqual(await a.claimed(), ['1'])
})

test('clear: waiting jobs are cancelled and listed in the order of start, and running ones are left alone', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put([{ payload: 'u', priority: -2 }])
  const [u] = (await p.claim()) as [Ending]
  await p.put(['a', { payload: 'b', extras: { dueAt: 9 } }, { payload: 'c', priority: -1 }])

  const { changed, count, counts } = await p.command({ kind: 'clear', reason: '"c"' })

  t.deepEqual([namesOf(changed), count], [['c', 'a', 'b'], 3])
  t.deepEqual(counts, { ...zero, underway: 1, cancelled: 3 })
  t.true(changed.every(row => row.state === 'cancelled' && row.extras?.error === '"c"'))
  t.deepEqual(namesOf(await p.list({ state: 'cancelled' })), ['c', 'b', 'a'])
  // Jobs that were underway at the clear may go back.
  await p.exchange({ settled: [{ ...u, kind: 'interrupted' }] })
  await p.put(['d'])
  t.deepEqual(await p.pass(9).claimed(), ['u', 'd'])
})

test('clear: very many jobs are cancelled at once, and may be counted without being listed', async (t, subject) => {
  const p = await oneWorker(subject)
  const { first } = await p.put(Array.from({ length: 1_200 }, (_, i) => String(i)))
  await p.put(Array.from({ length: 10 }, () => ({ payload: 'late', extras: { dueAt: 5 } })))

  const { changed, count, counts } = await p.command({ kind: 'clear', reason: '"c"' })

  t.true(changed.length === 0 || changed.length === 1_210)
  t.is(count, 1_210)
  t.deepEqual(counts, { ...zero, cancelled: 1_210 })
  t.like(await p.find(first + 700), { state: 'cancelled', extras: { error: '"c"' } })
  // They can be retried and removed, and not cancelled again.
  t.is((await p.command({ kind: 'retry', target: first + 1_100 })).counts.pending, 1)
  t.is((await p.command({ kind: 'remove', target: first + 1_101 })).count, 1)
  t.deepEqual((await p.command({ kind: 'cancel', target: first + 1_102, reason: undefined })).changed, [])
  await p.put(['after'])
  const exchange = await p.pass(5).exchange({ room: 9 })
  t.deepEqual(exchange.claimed.payloads, ['"1100"', '"after"'])
  // The remaining work is done by the exchanges that the store requests.
  for (let { nextLookAt } = exchange, exchanges = 0; nextLookAt < Infinity && exchanges < 20; exchanges++) {
    p.pass(Math.max(nextLookAt - p.now, 0))
    ;({ nextLookAt } = await p.exchange())
  }
  t.deepEqual((await p.exchange()).counts, { ...zero, underway: 2, cancelled: 1_208 })
})

test('clear: cleared jobs are kept for their time from then on', async (t, subject) => {
  const p = await oneWorker(subject, { keep: { ...keep, cancelledMs: 1_000 } })
  const { first } = await p.put(Array.from({ length: 1_001 }, (_, i) => String(i)))
  await p.command({ kind: 'clear', reason: undefined })

  await p.pass(999).exchange()
  t.is((await p.find(first))?.state, 'cancelled')
  p.pass(1)
  for (let i = 0; i < 14; i++) await p.exchange()

  t.deepEqual(await p.list(), [])
})

test('throttled: a held key delays its own jobs alone, until the hold is over', async (t, subject) => {
  const p = await oneWorker(subject)
  const k = (payload: string) => ({ payload, extras: { key: 'k' } })
  await p.put([k('a'), k('b'), 'c', k('d')])
  const [a] = (await p.claim(1)) as [Ending]
  const hold = { kind: 'throttled', extras: { waitMs: 50, heldKey: 'k' } } as const

  await p.exchange({ settled: [{ ...a, ...hold }] })

  p.pass(49)
  const { claimed, nextLookAt, counts } = await p.exchange({ room: 9 })
  t.deepEqual(claimed.payloads, ['"c"'])
  t.is(nextLookAt, 50)
  t.deepEqual(counts, { ...zero, pending: 3, underway: 1 })
  t.like(await p.find(a.seq), { state: 'pending' })
  t.like(await p.explain(a.seq), { why: 'hold', key: 'k', notBefore: 50 })
  // Jobs of a held key are ahead of no other job.
  t.is((await p.explain((await p.put(['e'])).first))?.position, 0)
  t.deepEqual(namesOf(await p.list({ state: 'pending' })), ['a', 'b', 'd', 'e'])
  await p.command({ kind: 'reprioritize', target: a.seq, priority: 1 })
  await p.command({ kind: 'cancel', target: a.seq + 1, reason: undefined })
  p.pass(1)
  t.deepEqual(await p.claimed(), ['d', 'e', 'a'])
})

test('throttled: the hold of a key applies in every process and after a restart, and is never shortened', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()
  await a.put([{ payload: 'a', extras: { key: 'k' } }])
  for (const waitMs of [100, 50]) {
    const [job] = (await a.claim()) as [Ending]
    if (job) await a.exchange({ settled: [{ ...job, kind: 'throttled', extras: { waitMs, heldKey: 'k' } }] })
  }
  await a.die()

  t.deepEqual(await b.pass(99).claimed(), [])
  t.deepEqual(await b.pass(1).claimed(), ['a'])
})

test('explain: gives the position, what delays a job, and until when', async (t, subject) => {
  const p = await oneWorker(subject, {
    rate: [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined }],
  })
  const { first } = await p.put([
    'a',
    'b',
    { payload: 'c', extras: { dueAt: 70 } },
    { payload: 'w', extras: { runAt: wall + 80 } },
  ])
  t.like(await p.explain(first + 1), { position: 1, why: undefined, rule: undefined })
  t.like(await p.explain(first + 2), { position: undefined, why: 'delay', notBefore: 70 })
  t.like(await p.explain(first + 3), { why: 'delay', notBefore: 80 })
  t.is(await p.explain('none'), undefined)

  const { grants } = await p.exchange({ room: 1 })
  await p.exchange({ confirmed: [grants?.[0] as number, 10] })

  t.like(await p.explain(first + 1), { position: 0, why: 'rate', notBefore: 1_010, rule: { limit: 1, perMs: 1_000 } })
})
