/** One transaction for all requests of an exchange, notifications of others, and how a worker registers and leaves. */
import type { ExchangeReply, PutReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, rejects, testsInto } from '../contract.ts'
import { oneWorker, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf, keep, payloadsOf, zero } from '../store-requests.ts'

export const exchanges: ContractTest<StoreSubject>[] = []
const test = testsInto(exchanges)

test('exchange: a refused request changes nothing, and its neighbours take effect', async (t, subject) => {
  const p = await oneWorker(subject)

  const answers = await p.transact(p.putRequest(['a'], 9), p.putRequest(['b', 'c', 'd'], 3), p.putRequest(['e'], 9))

  t.deepEqual(
    answers.map(answer => ('error' in answer ? answer.error.code : 'ok')),
    ['ok', 'QUEUE_FULL', 'ok'],
  )
  t.deepEqual(await p.claimed(), ['a', 'e'])
})

test('exchange: a refused request stores nothing, for any reason of the refusal', async (t, subject) => {
  const p = await oneWorker(subject, { rate: [{ limit: 9, perMs: 1_000, unit: 'tokens', burst: undefined }] })
  const given = { payload: 'a', id: 'given', extras: { fingerprint: 'f' } }
  const { first } = await p.put([given])
  const before = [await p.list(), (await p.exchange()).counts]

  const answers = await p.transact(
    p.putRequest(['b', { ...given, extras: { fingerprint: 'other' } }]),
    p.putRequest(['b', { payload: 'c', extras: { cost: { tokens: 10 } } }]),
    p.putRequest(['b', { payload: 'c', extras: { cost: { toekns: 1 } } }]),
    p.putRequest(['b', 'c'], 2),
    p.commandRequest({ kind: 'retry', target: first }),
    p.commandRequest({ kind: 'reprioritize', target: first + 9, priority: 1 }),
  )

  t.deepEqual(
    answers.map(answer => ('error' in answer ? answer.error.code : 'ok')),
    ['ID_CONFLICT', 'COST', 'OPTION', 'QUEUE_FULL', 'JOB_STATE', 'JOB_UNKNOWN'],
  )
  t.deepEqual([await p.list(), (await p.exchange()).counts], before)
})

test('replay: an exchange that was done is not done again, and its reply has the jobs that it claimed', async (t, subject) => {
  const p = await oneWorker(subject, {
    rate: [{ limit: 10, perMs: 1_000, unit: undefined, burst: undefined }],
  })
  await p.put(['a', 'b', 'c', 'd'])
  const [a] = (await p.claim(1)) as [Ending]
  const first = await p.exchange({ settled: [{ ...a, kind: 'failed' }], room: 2 })

  const repeated = await p.exchange({ number: p.number, settled: [{ ...a, kind: 'failed' }], room: 2 })

  t.deepEqual([repeated.claimed, repeated.grants, repeated.counts], [first.claimed, first.grants, first.counts])
  t.is(repeated.graceUntil, first.graceUntil)
  t.is(repeated.notices, undefined)
  t.deepEqual(await p.claimed(), ['d'])
})

test('replay: the reply to a repeated exchange leaves out jobs that were settled since', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a', 'b'])
  const [a] = (await p.claim()) as [Ending]
  const { number } = p
  await p.exchange({ settled: [a] })

  t.deepEqual(payloadsOf(await p.exchange({ number })), ['b'])
})

test('change: a commit is reported to the other workers, and an exchange that changes nothing is not', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.attach(), await db.attach()]
  await a.exchange({ room: 9 })
  await b.changed()

  await a.exchange({ room: 9 })
  t.false(await b.changed())
  await a.put(['1'])
  t.true(await b.changed())
  t.false(await b.changed())
})

test('exchange: replies stand in the order of the requests, and each request sees the effects of those before it', async (t, subject) => {
  const p = await oneWorker(subject)
  const { queue, now, wall } = p
  const put = p.putRequest(['a'])
  const exchange = p.exchangeRequest({ room: 9 })
  const pause = { kind: 'command', queue, now, wall, command: { kind: 'pause', paused: true } } as const

  const answers = await p.transact(pause, put, exchange, { ...pause, command: { ...pause.command, paused: false } })

  const [, stored, claimed] = answers.map(answer => ('ok' in answer ? answer.ok : undefined))
  t.is(answers.length, 4)
  t.like(stored as PutReply, { counts: { pending: 1 } })
  t.like(claimed as ExchangeReply, { sharedPaused: true, counts: { pending: 1, underway: 0 } })
  t.deepEqual(await p.claimed(), ['a'])
})

test('exchange: a failed exchange has changed nothing, and can be repeated', async (t, subject) => {
  const p = await oneWorker(subject, {
    rate: [{ limit: 3, perMs: 1_000, unit: undefined, burst: undefined }],
  })
  await p.put(['a', 'b', 'c'])
  const [a] = (await p.claim(1)) as [Ending]
  const request = p.exchangeRequest({ room: 1, settled: [a], checkpoints: [] })
  const before = await p.list()
  const mend = p.breakCommits()
  t.true(await rejects(p.transact(p.putRequest(['d']), request)))
  t.true(await rejects(p.command({ kind: 'clear', reason: undefined })))
  mend()

  t.deepEqual(await p.list(), before)
  const { claimed, counts } = (await p.send(request)) as ExchangeReply
  t.deepEqual(claimed.payloads, ['"b"'])
  t.deepEqual(counts, { ...zero, pending: 1, underway: 1, finished: 1 })
  t.deepEqual(await p.claimed(), ['c'])
})

test('detach: a queue object that closes gives its jobs back, unless their bodies still run', async (t, subject) => {
  const p = await oneWorker(subject)
  await p.put(['a', 'b'])
  await p.claim(1)

  await p.detach({ keepLeases: true })
  await p.detach({ works: false })
  t.is((await p.attach()).counts.underway, 1)
  await p.detach()

  t.deepEqual((await p.attach()).counts, { ...zero, pending: 2 })
  t.deepEqual(
    endingsOf(await p.exchange({ room: 1 })).map(({ fence }) => fence),
    [2],
  )
})

test('detach: a job whose cancel was requested does not go back, and its ending is reported to the next queue', async (t, subject) => {
  const p = await oneWorker(subject, { keep: { ...keep, cancelledMs: 1_000 } })
  await p.put(['a', 'b'])
  const [a] = (await p.claim(1)) as [Ending]
  t.is((await p.command({ kind: 'cancel', target: a.seq, reason: '"no"' })).unchangedBecause, 'cancelRequested')

  await p.pass(500).detach()

  t.like(await p.find(a.seq), { state: 'cancelled', extras: { error: '"no"' } })
  const { counts } = await p.attach({ keep: { ...keep, cancelledMs: 1_000 } })
  t.deepEqual(counts, { ...zero, pending: 1, cancelled: 1 })
  const { notices } = await p.exchange()
  t.deepEqual([notices?.recovered[0]?.state, notices?.endedByRecovery], ['cancelled', [a.seq]])
  t.like(await p.find(a.seq), { state: 'cancelled' })
  await p.pass(700).exchange()
  t.like(await p.find(a.seq), { state: 'cancelled' })
  await p.pass(301).exchange()
  t.is(await p.find(a.seq), undefined)
})

test('close: a worker that holds no jobs is unregistered', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await db.open(), await db.open()]
  for (const p of [a, b]) await p.attach()
  await a.put(['1'])
  const settled = await a.claim()

  await a.close()
  t.deepEqual(await b.workers(), [a.token])
  await a.exchange({ settled })
  await a.close()

  t.deepEqual(await b.workers(), [])
})
