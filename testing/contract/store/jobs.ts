/** The life of a job: put, claim, settle, query. */
import type { ExchangeReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { oneWorker, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, keep, namesOf, payloadsOf, wall, zero } from '../store-requests.ts'

export const jobs: ContractTest<StoreSubject>[] = []
const test = testsInto(jobs)

test('put: jobs are taken in order, and all or none', async (t, subject) => {
  const p = await oneWorker(subject)
  const { first } = await p.put(['a', 'b'])

  const error = await t.throwsAsync(async () => await p.put(['c', 'd'], { size: 3 }), { code: 'QUEUE_FULL' })

  t.like(error, { fields: { size: 3 } })
  t.is((await p.find(first + 1))?.payload, '"b"')
  t.deepEqual(await p.claimed(), ['a', 'b'])
})

test('put: the size counts the jobs of all processes', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  await a.attach()
  await b.attach({ works: false })

  await a.put(['a'], { size: 2 })
  await b.put(['b'], { size: 2 })

  await t.throwsAsync(async () => await a.put(['c'], { size: 2 }), { code: 'QUEUE_FULL' })
})

test('put: the order is that of all processes together', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()

  await a.put(['1'])
  await b.put(['2'])
  await a.put(['3'])

  t.deepEqual(await b.claimed(), ['1', '2', '3'])
})

test('put: an id stands for one job: within a batch, while the job is kept, and for keep.ids after that', async (t, subject) => {
  const p = await oneWorker(subject)
  const x = { id: 'x', payload: 'a', extras: { fingerprint: 'fa' } }
  const { first, existed } = await p.put([x, x, 'b'])
  t.deepEqual(
    existed.map(([index, row]) => [index, row.seq]),
    [[1, first]],
  )
  t.is((await p.put([x])).existed[0]?.[1].state, 'pending')

  await p.exchange({ settled: await p.claim(1) })

  t.like((await p.put([x])).existed[0]?.[1], { seq: 0, id: 'x', state: 'finished' })
  t.is(await p.find('x'), undefined)
  const other = { id: 'x', payload: 'c', extras: { fingerprint: 'fc' } }
  await t.throwsAsync(async () => await p.put(['z', other]), { code: 'ID_CONFLICT' })
  p.pass(1_000)
  t.is((await p.put([other])).existed.length, 0)
  t.deepEqual(await p.claimed(), ['b', 'c'])
})

test('put: a cost that no window can hold is refused, with its whole batch', async (t, subject) => {
  const p = await oneWorker(subject, {
    rate: [{ limit: 10, perMs: 1_000, unit: 'tokens', burst: undefined }],
  })

  const error = await t.throwsAsync(
    async () => await p.put(['a', { payload: 'b', extras: { cost: { tokens: 11 } } }]),
    {
      code: 'COST',
    },
  )

  t.like(error, { fields: { unit: 'tokens', cost: 11, limit: 10 } })
  t.deepEqual((await p.exchange()).counts, zero)
})

test('claim: the most important come first, then in order of put, and no more than there are free slots', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put([{ payload: 'a', priority: 1.5 }, 'b', 'c', { payload: 'd', priority: -1 }])

  const { claimed, counts, graceUntil } = await p.exchange({ room: 3 })

  t.deepEqual(claimed.payloads, ['"d"', '"b"', '"c"'])
  t.deepEqual(
    [claimed.attempts, claimed.fences, claimed.priorities],
    [
      [1, 1, 1],
      [1, 1, 1],
      [-1, 0, 0],
    ],
  )
  t.deepEqual(counts, { ...zero, pending: 1, underway: 3 })
  t.is(graceUntil, Infinity)
})

test('claim: a job goes to one process', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()
  await a.put(['1', '2', '3'])

  t.deepEqual([await a.claimed(2), await b.claimed(9), await a.claimed(9)], [['1', '2'], ['3'], []])
})

test('claim: of very many jobs an exchange may hand out a part, and says to look again at once', async (t, subject) => {
  const p = await oneWorker(subject)
  const names = Array.from({ length: 1_500 }, (_, i) => String(i))
  await p.put(names)

  const claimed: unknown[] = []
  let exchange: ExchangeReply
  do {
    exchange = await p.exchange({ room: 5_000 })
    claimed.push(...payloadsOf(exchange))
  } while (exchange.nextLookAt <= p.now && claimed.length < 1_500)

  t.deepEqual(claimed, names)
  t.is((await p.exchange({ room: 5_000 })).nextLookAt, Infinity)
})

test('claim: optional fields come with the job', async (t, subject) => {
  const p = await oneWorker(subject)
  const { key, ...others } = { key: 'k', cost: { n: 2 }, retry: '{"attempts":3}', timeoutMs: 5, fingerprint: 'f' }
  await p.put([{ payload: 'a', id: 'x', extras: { key, ...others } }, 'b', { payload: 'c', extras: { key } }])

  const { claimed } = await p.exchange({ room: 9 })

  t.deepEqual(claimed.keys, ['k', null, 'k'])
  t.deepEqual(claimed.extras, [[0, others]])
  t.is(claimed.ids[0], 'x')
})

test('claim: texts come back as they were put, whatever they contain', async (t, subject) => {
  const p = await oneWorker(subject)
  const hostile = [`'; drop table rdq_job; --`, 'a\0b', '😀 ñ 漢', 'x'.repeat(10_000), '', '{"a":1}', '?1 :a @b $c']
  for (const name of hostile) {
    await p.attach({ name })
    const extras = { key: name, fingerprint: name }
    const { first } = await p.put([{ id: `id ${name}`, payload: name, extras }])
    t.like(await p.find(`id ${name}`), { seq: first, payload: JSON.stringify(name), extras })
    t.deepEqual(await p.claimed(), [name])
  }
})

test('settle: finished jobs that are not kept leave no row, settled singly or in succession', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['1', '2', '3', '4', '5', '6', '7'])
  const claimed = await p.claim()
  const pick = (...which: number[]) => which.map(i => claimed[i] as (typeof claimed)[number])

  // A run of three, a single one, and the rest out of order.
  await p.exchange({ settled: pick(0, 1, 2, 5) })
  const { counts, notices } = await p.exchange({ settled: pick(6, 3, 4) })

  t.deepEqual(counts, { ...zero, finished: 7 })
  t.is(notices, undefined)
  t.deepEqual(await p.list(), [])
})

test('settle: endings in a row settle even if one of them has an old fence', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['1', '2', '3', '4'])
  const [a, b, c, d] = (await p.claim()) as [Ending, Ending, Ending, Ending]
  await p.exchange({ settled: [{ ...b, kind: 'interrupted' }] })

  const { counts, notices } = await p.exchange({ settled: [a, b, c, d] })

  t.deepEqual(notices?.lostRuns, [b.seq])
  t.deepEqual(counts, { ...zero, pending: 1, finished: 3 })
  t.deepEqual(await p.claimed(), ['2'])
})

test('settle: endings in a row with fences of an earlier claim change nothing', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['1', '2', '3'])
  const settled = await p.claim()
  await p.exchange({ settled: settled.map(job => ({ ...job, kind: 'interrupted' })), room: 3 })

  const { counts, notices } = await p.exchange({ settled })

  t.is(notices?.lostRuns.length, 3)
  t.deepEqual(counts, { ...zero, underway: 3 })
})

test('settle: an ending of another claim, or of another process, changes nothing and is reported as lost', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()
  await a.put(['1'])
  const [job] = (await a.claim()) as [Ending]

  t.deepEqual((await b.exchange({ settled: [job] })).notices?.lostRuns, [job.seq])
  t.deepEqual((await a.exchange({ settled: [{ ...job, fence: 2 }] })).notices?.lostRuns, [job.seq])
  t.is((await a.find(job.seq))?.state, 'underway')

  const { counts, notices } = await a.exchange({ settled: [job, { ...job, kind: 'failed' }] })
  t.deepEqual(counts, { ...zero, finished: 1 })
  t.deepEqual(notices?.lostRuns, [job.seq])
})

for (const kind of ['retry', 'snooze', 'throttled', 'interrupted', 'notLaunched'] as const) {
  test(`settle: ${kind} ${kind === 'retry' ? 'uses' : 'gives back'} the attempt, never the fence, and takes the old place`, async (t, subject) => {
    const p = await oneWorker(subject)
    await p.put(['a', 'b'])
    const [job] = (await p.claim(1)) as [Ending]

    const { counts } = await p.exchange({ settled: [{ ...job, kind }] })

    t.deepEqual(counts, { ...zero, pending: 2 })
    t.like(await p.find(job.seq), { attempt: kind === 'retry' ? 1 : 0, fence: 1, state: 'pending' })
    const { claimed } = await p.exchange({ room: 9 })
    t.deepEqual(claimed.payloads, ['"a"', '"b"'])
    t.deepEqual(claimed.fences, [2, 1])
  })
}

test('settle: retry and snooze wait from the exchange on, and retry keeps what the run threw', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a'])
  for (const kind of ['retry', 'snooze'] as const) {
    const [job] = (await p.claim()) as [Ending]
    const { nextLookAt, counts } = await p.exchange({
      settled: [{ ...job, kind, extras: { waitMs: 50, error: '"e"' } }],
    })
    t.is(nextLookAt, p.now + 50)
    t.is(counts.delayed, 1)
    t.like(await p.find(job.seq), { state: 'delayed', extras: { dueAt: p.now + 50, error: '"e"' } })
    p.pass(49)
    t.deepEqual(await p.claimed(), [])
    p.pass(1)
  }
  const { claimed } = await p.exchange({ room: 1 })
  t.deepEqual(claimed.extras, [[0, { error: '"e"' }]])
  t.deepEqual(claimed.attempts, [2])
})

test('settle: an ended job is kept with its times, error and value, then forgotten, and stays counted', async (t, subject) => {
  const p = await oneWorker(subject, { keep: { ...keep, finishedMs: 500, results: true } })
  const { first } = await p.put(['a', 'b', 'c'])
  const [a, b, c] = (await p.claim()) as [Ending, Ending, Ending]

  await p.exchange({
    settled: [
      { ...a, extras: { value: '7' } },
      { ...b, kind: 'failed', extras: { error: '"e"' } },
      { ...c, kind: 'cancelled', extras: { error: '"c"' } },
    ],
  })

  const times = { startedAt: wall, stoppedAt: wall + 1, attempt: 1 }
  t.like(await p.find(first), { state: 'finished', ...times, extras: { value: '7' } })
  t.like(await p.find(first + 1), { state: 'failed', ...times, extras: { error: '"e"' } })
  t.like(await p.find(first + 2), { state: 'cancelled', ...times, extras: { error: '"c"' } })
  await p.pass(500).exchange()
  t.is(await p.find(first), undefined)
  t.is((await p.find(first + 1))?.state, 'failed')
  const { counts } = await p.pass(500).exchange()
  t.deepEqual(counts, { ...zero, finished: 1, failed: 1, cancelled: 1 })
  t.deepEqual(await p.list(), [])
})

test('settle: a value is not stored unless results are kept', async (t, subject) => {
  const p = await oneWorker(subject, { keep: { ...keep, finishedMs: 500 } })
  const { first } = await p.put(['a'])

  await p.exchange({ settled: [{ ...((await p.claim())[0] as Ending), extras: { value: '7' } }] })

  t.is((await p.find(first))?.extras, undefined)
})

test('settle: a queue without a handler does not change the keep policy of a working one', async (t, subject) => {
  const db = await Workers.of(subject)
  const [worker, web] = [await db.open(), await db.open()]
  await worker.attach()
  await web.attach({ works: false, keep: { ...keep, failedMs: 0 } })
  const { first } = await web.put(['a'])

  await worker.exchange({ settled: [{ ...((await worker.claim())[0] as Ending), kind: 'failed' }] })

  t.is((await web.find(first))?.state, 'failed')
})

test('checkpoint: a checkpoint of the current claim is there in the next run, and one of another claim is reported as lost', async (t, subject) => {
  const p = await oneWorker(subject)
  const { first } = await p.put(['a'])
  const [job] = (await p.claim()) as [Ending]

  const { notices } = await p.exchange({ checkpoints: [{ ...job, fence: 2, value: '"no"' }] })
  t.deepEqual(notices?.lostRuns, [first])
  // The last checkpoint and the ending of its run may come in one exchange.
  await p.exchange({ checkpoints: [{ ...job, value: '"yes"' }], settled: [{ ...job, kind: 'retry' }] })

  t.deepEqual((await p.exchange({ room: 1 })).claimed.extras, [[0, { checkpoint: '"yes"' }]])
})

test('list: waiting jobs are in the order of start, any other list has the latest first, and a cursor goes on', async (t, subject) => {
  const p = await oneWorker(subject)
  const { first } = await p.put([{ payload: 'a', priority: 1 }, { payload: 'b', extras: { key: 'k' } }, 'c'])
  t.deepEqual(namesOf(await p.list()), ['c', 'b', 'a'])
  t.deepEqual(namesOf(await p.list({ state: 'pending', limit: 2 })), ['b', 'c'])
  t.deepEqual(namesOf(await p.list({ state: 'pending', after: { priority: 0, seq: first + 2 } })), ['a'])
  t.deepEqual(namesOf(await p.list({ after: { priority: 0, seq: first + 2 } })), ['b', 'a'])
  t.deepEqual(namesOf(await p.list({ key: 'k' })), ['b'])
  t.deepEqual(namesOf(await p.list({ key: 'k', state: 'pending' })), ['b'])

  const [b, c, a] = (await p.claim()) as [Ending, Ending, Ending]
  t.deepEqual(namesOf(await p.list({ state: 'underway' })), ['c', 'b', 'a'])
  await p.exchange({ settled: [a, b, c].map(job => ({ ...job, kind: 'failed' })) })
  t.deepEqual(namesOf(await p.list({ state: 'failed', limit: 2 })), ['c', 'b'])
  t.deepEqual(namesOf(await p.list({ state: 'failed', after: { priority: 0, seq: first + 1 } })), ['a'])
})

test('list: jobs of other queues are not listed, and do not disturb it', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a'])
  await p.attach({ name: 'other' })
  await p.put(['o'])

  t.deepEqual(namesOf(await p.list()), ['o'])
  await p.attach()
  t.deepEqual(namesOf(await p.list()), ['a'])
  t.is((await p.find((await p.list())[0]?.id as string))?.payload, '"a"')
})
