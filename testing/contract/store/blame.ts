/** Crashes count against jobs that were running, and those jobs run with caution from then on. */
import { errorFromJson } from '../../../persistence/durable/error-from-json.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, zero } from '../store-requests.ts'

export const blame: ContractTest<StoreSubject>[] = []
const test = testsInto(blame)

/** The launch must be reported before the body begins. */
const first = 1

const cautionsOf = async (process: StoreClient, room = 100): Promise<unknown[]> =>
  (await process.exchange({ room })).claimed.extras.map(([, { caution }]) => caution)
const pendingIn = async (process: StoreClient): Promise<unknown[]> =>
  (await process.list({ state: 'pending' })).map(({ payload }) => JSON.parse(payload))
const finish = async (process: StoreClient, settled: readonly Ending[], room = 0) =>
  await process.exchange({ settled, room })

test('a crash counts against the jobs whose launch was reported, and against no others', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach()
  await p.put(['a', 'b', 'c', 'd', 'e'])
  const dying = await db.attach()
  const jobs = await dying.claim()
  await dying.begin([jobs[0], jobs[1], jobs[3]] as Ending[])
  await dying.die()

  await p.recover(dying)

  const crashes = Object.fromEntries((await p.list()).map(row => [JSON.parse(row.payload), row.crashes]))
  t.deepEqual(crashes, { a: 1, b: 1, c: 0, d: 1, e: 0 })
})

test("afterCrash 'fail': a run that was not reported had not begun, and goes back", async (t, subject) => {
  const db = await Workers.of(subject)
  const policy = { afterCrash: 'fail' } as const
  const p = await db.attach(policy)
  await p.put(['a', 'b'])
  const dying = await db.attach(policy)
  const [a] = (await dying.claim()) as [Ending]
  await dying.begin([a], true)
  await dying.die()

  await p.recover(dying)

  t.deepEqual((await p.exchange()).counts, { ...zero, pending: 1, failed: 1 })
  t.like(errorFromJson((await p.list({ state: 'failed' }))[0]?.extras?.error ?? ''), { code: 'POISON', crashes: 1 })
})

test('a suspect that is retried by hand is no suspect any more', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach()
  const { first: seq } = await p.put(['a'])
  await db.crash(p)
  await finish(p, [{ ...((await p.claim())[0] as Ending), kind: 'failed' }])

  t.like((await p.command({ kind: 'retry', target: seq })).found, { crashes: 0 })

  t.deepEqual(await cautionsOf(p), [])
})
test('a crash before the launch was reported counts against no job, and the next run is reported first', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach()
  await p.put(['a', 'b'])
  for (let i = 0; i < 10; i++) {
    const dying = await db.attach()
    t.is((await dying.claim()).length, 2)
    await dying.die()
    await p.recover(dying)
  }

  t.deepEqual((await p.exchange()).counts, { ...zero, pending: 2 })
  t.deepEqual(
    (await p.list()).map(({ crashes }) => crashes),
    [0, 0],
  )
  t.deepEqual(await cautionsOf(p), [first, first])
})

test('a launch report for a lost claim changes nothing, and is answered as lost if a body waits for it', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach()
  await p.put(['a'])
  const [a] = (await p.claim()) as [Ending]
  await p.exchange({ settled: [{ ...a, kind: 'notLaunched' }], room: 1 })

  t.is((await p.begin([a])).notices, undefined)
  t.deepEqual((await p.begin([a], true)).notices?.lostRuns, [a.seq])
})

test('only a job that ran alone is condemned: after its limit was lowered it must run alone first', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach({ crashLimit: 9 })
  await p.put(['a', 'b'])
  await db.crash(p, { crashLimit: 9 })
  await db.crash(p, { crashLimit: 9 }, 1)
  const dying = await db.attach({ crashLimit: 9 })
  await dying.launch()
  await p.attach({ crashLimit: 2 })
  await dying.die()

  await p.recover(dying)

  t.is((await p.exchange()).counts.failed, 0)
  await db.crash(p, { crashLimit: 2 })
  await db.crash(p, { crashLimit: 2 })
  t.is((await p.exchange()).counts.failed, 2)
})

test('with a crashLimit of 1 the first proven crash fails a job, and the jobs that were underway beside it', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach({ crashLimit: 1 })
  await p.put(['a', 'b', 'c'])
  const dying = await db.attach({ crashLimit: 1 })
  const [a, b] = (await dying.claim()) as [Ending, Ending]
  await dying.begin([a, b])
  await dying.die()

  await p.recover(dying)

  t.deepEqual((await p.exchange()).counts, { ...zero, pending: 1, failed: 2 })
})

test('a verdict is requested if the run may have begun, and not if it is known not to have begun', async (t, subject) => {
  const db = await Workers.of(subject)
  const policy = { afterCrash: 'ask' } as const
  const p = await db.attach(policy)
  await p.put(['a'])
  const die = async (): Promise<unknown[]> => {
    const dying = await db.attach(policy)
    await dying.claim()
    await dying.die()
    await p.recover(dying)
    return [...((await p.exchange()).notices?.needVerdict ?? [])]
  }

  const [requested] = (await die()) as [Ending]
  t.like(requested, { crashes: 0 })
  await p.exchange({ settled: [{ ...requested, kind: 'snooze' }] })
  t.deepEqual(await die(), [])
  t.deepEqual(await cautionsOf(p), [first])
})

test('whatever the ending of a suspect, no other job is treated as one afterwards', async (t, subject) => {
  for (const kind of ['finished', 'failed', 'cancelled'] as const) {
    const db = await Workers.of(subject)
    const p = await db.attach()
    await p.put(['a', 'b', 'c', 'd'])
    await db.crash(p, {}, 1)
    const jobs = await p.claim()
    t.is(jobs.length, 4)
    await finish(
      p,
      jobs.map(job => ({ ...job, kind })),
    )

    await p.put(['e'])
    t.deepEqual(await cautionsOf(p), [])
  }
})

test('suspects are pending: listed in their place, counted, found, explained, and changed as others are', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach()
  const { first: seq } = await p.put(['a', 'b', 'c', 'd'])
  await db.crash(p)
  await p.put([{ payload: 'e', priority: -1 }, 'f'])

  t.deepEqual(await pendingIn(p), ['e', 'a', 'b', 'c', 'd', 'f'])
  t.deepEqual(
    (await p.list({ state: 'pending', limit: 2, after: { priority: 0, seq } })).map(({ payload }) => payload),
    ['"b"', '"c"'],
  )
  t.like(await p.explain(seq + 1), { position: 1, why: 'suspect' })
  t.like(await p.find(seq + 1), { state: 'pending', crashes: 1 })
  await p.command({ kind: 'reprioritize', target: seq + 2, priority: -2 })
  t.deepEqual(await pendingIn(p), ['c', 'e', 'a', 'b', 'd', 'f'])
  t.is((await p.explain(seq + 2))?.position, 0)
  t.is((await p.command({ kind: 'cancel', target: seq, reason: undefined })).count, 1)
  t.is((await p.command({ kind: 'remove', target: seq + 3 })).count, 1)
  t.like((await p.command({ kind: 'retry', target: seq })).found, { crashes: 0, state: 'pending' })
  t.is((await p.command({ kind: 'clear', reason: '"c"' })).count, 5)
  t.like(await p.find(seq + 1), { state: 'cancelled' })
  t.deepEqual((await p.exchange({ room: 9 })).counts, { ...zero, cancelled: 5 })
})
