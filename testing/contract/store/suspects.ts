/**
 * How jobs run that have a crash counted against them: one at a time, and alone before the crash that would fail them.
 */
import { noKeys } from '../../../lib/limits/keys.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf, payloadsOf } from '../store-requests.ts'

export const suspects: ContractTest<StoreSubject>[] = []
const test = testsInto(suspects)

/** A suspect that has waited for this long goes before other jobs. */
const patienceMs = 300_000

type Attach = Parameters<StoreClient['attach']>[0]
/** The cautions of a launch: it is reported before, or nothing runs beside it. */
const [first, alone] = [1, 2] as const

/** A process that works these queues on a file; 'q' if none is named. */
const worker = async (
  db: Workers,
  parts: Attach = {},
  names: readonly string[] = ['q'],
  token?: string,
): Promise<StoreClient> => {
  const process = await db.open(token)
  declared.set(process, parts)
  for (const name of [...names].reverse()) await process.attach({ name, ...parts })
  return process
}
const declared = new WeakMap<StoreClient, Attach>()
/** From now on its queue of that name makes the requests. */
const as = async (process: StoreClient, name: string): Promise<StoreClient> => {
  await process.attach({ name, ...declared.get(process) })
  return process
}
const finish = async (process: StoreClient, settled: readonly Ending[], room = 0) =>
  await process.exchange({ settled, room })

test('a worker runs one suspect at a time, over all of its queues, and other jobs beside it', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await worker(db, {}, ['q', 'r'])
  await p.put(['a', 'b'])
  await db.crash(p)
  await (await as(p, 'r')).put(['x', 'y'])
  const dying = await worker(db, {}, ['r'])
  await dying.launch()
  await dying.die()
  await p.recover(dying)
  await (await as(p, 'q')).put(['c', 'd'])

  const running = await p.exchange({ room: 3 })
  t.deepEqual(payloadsOf(running), ['a', 'c', 'd'])
  await (await as(p, 'r')).put(['z'])
  t.deepEqual(await p.claimed(), ['z'])
  t.deepEqual(await (await as(p, 'q')).claimed(), [])

  // The other queue is notified and goes first, because its suspect has waited longer.
  await finish(p, endingsOf(running))
  t.true(await p.changed())
  const next = await (await as(p, 'r')).exchange({ room: 9 })
  t.deepEqual(payloadsOf(next), ['x'])
  t.deepEqual(await (await as(p, 'q')).claimed(), [])
})

test('each worker runs a suspect of its own', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, other] = [await worker(db), await worker(db)]
  await p.put(['a', 'b', 'c'])
  await db.crash(p)

  t.deepEqual(
    [await p.claimed(), await other.claimed(), await p.claimed(), await other.claimed()],
    [['a'], ['b'], [], []],
  )
})

test('suspects with fewer crashes come first, then those put first', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 10 }
  const p = await worker(db, limit)
  await p.put([{ payload: 'b' }, { payload: 'c' }, { payload: 'a', priority: -1 }])
  await db.crash(p, limit)
  // The most important one was the first to be launched again.
  await db.crash(p, limit)
  p.pass(5_000)

  const order: unknown[] = []
  for (let i = 0; i < 3; i++) {
    const exchange = await p.exchange({ room: 9 })
    order.push(...payloadsOf(exchange))
    await finish(p, endingsOf(exchange))
  }
  t.deepEqual(order, ['b', 'c', 'a'])
})

test('a suspect keeps its place among the other jobs, and goes before all of them after a long wait', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await worker(db)
  await p.put([{ payload: 'suspect', priority: 5 }])
  await db.crash(p)
  await p.put(['a', 'b', 'c', 'd'])

  t.deepEqual(await p.claimed(1), ['a'])
  t.deepEqual(await p.claimed(1), ['b'])
  p.pass(patienceMs)
  t.deepEqual(await p.claimed(1), ['suspect'])
  t.deepEqual(await p.claimed(1), ['c'])
})

test('a suspect keeps its place among the jobs of other keys, of which those that a limit holds up are left out', async (t, subject) => {
  for (const order of ['fair', 'priority'] as const) {
    const db = await Workers.of(subject)
    const p = await worker(db, { keys: { ...noKeys, width: 1, order } })
    const jobs = (...payloads: string[]) =>
      payloads.map(payload => ({ payload, extras: { key: payload[0] as string } }))
    await p.put([{ payload: 'suspect', priority: 5, extras: { key: 's' } }])
    await db.crash(p)
    await p.put(jobs('a1', 'a2', 'b1', 'c1', 'c2'))

    t.deepEqual(await p.claimed(1), ['a1'])
    t.deepEqual(await p.claimed(1), ['b1'])
    t.deepEqual(await p.claimed(1), ['c1'])
    t.deepEqual(await p.claimed(1), ['suspect'])
  }
})

test('with crashLimit Infinity a job that kills its process each time lets others go first, for longer each time', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: Infinity }
  const p = await worker(db, limit)
  await p.put(['poison'])
  for (let i = 0; i < 6; i++) await db.crash(p, limit)
  await p.put(['a', 'b', 'c'])

  // After its sixth crash it waits 16 s.
  t.deepEqual(await p.claimed(1), ['a'])
  p.pass(15_999)
  t.deepEqual(await p.claimed(1), ['b'])
  p.pass(1)
  const exchange = await p.exchange({ room: 1 })
  t.deepEqual(payloadsOf(exchange), ['poison'])
  t.like(exchange.claimed.extras[0]?.[1], { crashes: 6, caution: first })
})

test('a job that kills its process need not let others go first where slots are free', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: Infinity }
  const p = await worker(db, limit)
  await p.put(['poison'])
  for (let i = 0; i < 6; i++) await db.crash(p, limit)
  await p.put([{ payload: 'a', priority: 1 }])

  t.deepEqual(await p.claimed(2), ['poison', 'a'].reverse())
})

test('a suspect with one crash left runs alone: no job of any queue starts until it has ended', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await p.put(['a'])
  await db.crash(p, limit)
  const b = (await p.put(['b'])).first
  await (await as(p, 'r')).put(['x'])

  const lone = await (await as(p, 'q')).exchange({ room: 9 })
  t.deepEqual(payloadsOf(lone), ['a'])
  t.is(lone.claimed.extras[0]?.[1].caution, alone)
  t.deepEqual([await p.claimed(), await (await as(p, 'r')).claimed()], [[], []])
  t.is((await (await as(p, 'q')).explain(b))?.why, 'suspect')

  t.deepEqual(payloadsOf(await finish(p, endingsOf(lone), 9)), ['b'])
  t.true(await p.changed())
  t.deepEqual(await (await as(p, 'r')).claimed(), ['x'])
})

test('a restarted worker still keeps itself empty for the job that runs alone in it', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit)
  await p.put(['a'])
  await db.crash(p, limit)
  await p.put(['b'])
  const { number } = p
  const lone = await p.exchange({ room: 9 })
  await p.die()

  const repeated = await worker(db, limit, ['q'], p.token)

  // The exchange is sent again and gets the same reply.
  const reported = await repeated.exchange({ number: number + 1, room: 9 })
  t.deepEqual(reported.claimed, lone.claimed)
  t.deepEqual((await repeated.exchange({ number: number + 2, room: 9 })).claimed.seqs, [])
})

test('a worker with nothing underway takes the suspect that must run alone first, whichever of its queues it belongs to', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await (await as(p, 'r')).put(['x', 'y'])
  const busy = await p.exchange({ room: 1 })
  await (await as(p, 'q')).put([{ payload: 'a', priority: 7 }])
  await db.crash(p, limit)
  await p.put(['b'])
  const beside = await p.exchange({ room: 1 })
  t.deepEqual(payloadsOf(beside), ['b'])
  await finish(p, endingsOf(beside))

  // Another queue of the process has come to its end: it claims nothing more, and the first is notified.
  t.deepEqual(payloadsOf(await finish(await as(p, 'r'), endingsOf(busy), 9)), [])
  t.true(await p.changed())
  const lone = await (await as(p, 'q')).exchange({ room: 9 })
  t.deepEqual(payloadsOf(lone), ['a'])
  await finish(p, endingsOf(lone))
  t.deepEqual(await (await as(p, 'r')).claimed(), ['y'])
})

test('a busy worker drains for a suspect that has waited to run alone for 5 minutes', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await p.put(['a'])
  await (await as(p, 'r')).put(['x', 'y', 'z'])
  const busy = await p.exchange({ room: 1 })
  await as(p, 'q')
  await db.crash(p, limit)
  await p.put(['b', 'c'])

  const beside = await p.exchange({ room: 1 })
  t.deepEqual(payloadsOf(beside), ['b'])
  t.is(beside.nextLookAt, patienceMs)
  p.pass(patienceMs)
  t.deepEqual(await p.claimed(1), [])
  t.deepEqual(payloadsOf(await finish(await as(p, 'r'), endingsOf(busy), 1)), [])
  const lone = await finish(await as(p, 'q'), endingsOf(beside), 9)
  t.deepEqual(payloadsOf(lone), ['a'])
  t.deepEqual(payloadsOf(await finish(p, endingsOf(lone), 9)), ['c'])
  t.deepEqual(await (await as(p, 'r')).claimed(), ['y', 'z'])
})

test('a queue that is paused, or closes, delays no other queue for its suspects', async (t, subject) => {
  for (const how of ['paused', 'gone', 'silent'] as const) {
    const db = await Workers.of(subject)
    const limit = { crashLimit: 2 }
    const p = await worker(db, limit, ['q', 'r'])
    await (await as(p, 'r')).put(['x', 'y'])
    const busy = await p.exchange({ room: 1 })
    await (await as(p, 'q')).put(['a'])
    await db.crash(p, limit)
    await p.exchange({ room: 1 })
    t.deepEqual(payloadsOf(await finish(await as(p, 'r'), endingsOf(busy), 1)), [])

    if (how === 'paused') await (await as(p, 'q')).exchange({ room: 0, mayLaunch: false })
    else if (how === 'gone') await (await as(p, 'q')).detach()
    else p.pass(1_000)

    t.deepEqual(await (await as(p, 'r')).claimed(), ['y'], how)
  }
})

test('while a body goes on after its job has ended or its queue has stopped, nothing runs alone, and no queue waits for it', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await (await as(p, 'r')).put(['x'])
  const [x] = (await p.claim()) as [Ending]
  await (await as(p, 'q')).put(['a', 'b'])
  await db.crash(p, limit, 1)
  p.pass(patienceMs)
  await finish(await as(p, 'r'), [{ ...x, kind: 'cancelled', extras: { bodyContinues: true } }])

  const beside = await (await as(p, 'q')).exchange({ room: 9 })
  t.deepEqual(payloadsOf(beside), ['b'])
  await finish(p, endingsOf(beside))
  t.deepEqual(await p.claimed(), [])
  await (await as(p, 'r')).exchange({ endedBodies: [x.seq] })
  t.deepEqual(await (await as(p, 'q')).claimed(), ['a'])
})

test('a job that must run alone starts as soon as its worker is empty, even if no other queue has anything to start', async (t, subject) => {
  for (const how of ['ends', 'closes', 'stops'] as const) {
    const db = await Workers.of(subject)
    const limit = { crashLimit: 2 }
    const p = await worker(db, limit, ['q', 'r'])
    await (await as(p, 'r')).put(['x'])
    const [x] = (await p.claim()) as [Ending]
    await (await as(p, 'q')).put(['a'])
    await db.crash(p, limit)
    if (how === 'closes') await finish(await as(p, 'r'), [{ ...x, kind: 'cancelled', extras: { bodyContinues: true } }])
    t.deepEqual(await (await as(p, 'q')).claimed(), [])
    await p.changed()

    await as(p, 'r')
    if (how === 'ends') await finish(p, [x], 9)
    else if (how === 'closes') await p.exchange({ endedBodies: [x.seq], room: 9 })
    else await p.detach()

    t.true(await p.changed(), how)
    t.deepEqual(await (await as(p, 'q')).claimed(), ['a'], how)
  }
})

test('a suspect waits at most a second for one of another queue that comes first and has no free slot', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await worker(db, {}, ['q', 'r'])
  await p.put(['a', 'b', 'c'])
  await db.crash(p, {}, 2)
  p.pass(10)
  await (await as(p, 'r')).put(['x', 'y'])
  const dying = await worker(db, {}, ['r'])
  await dying.launch()
  await dying.die()
  await p.recover(dying)
  const running = await (await as(p, 'r')).exchange({ room: 1 })
  t.deepEqual(payloadsOf(running), ['x'])
  t.deepEqual(await (await as(p, 'q')).claimed(1), ['c'])

  const next = await finish(await as(p, 'r'), endingsOf(running), 1)
  t.deepEqual(payloadsOf(next), [])
  t.true(next.nextLookAt <= p.now + 1_000)
  p.pass(1_000)
  t.deepEqual(await p.claimed(), ['y'])
})

test('a worker stops draining for a job that another worker has taken, even if its own queue has no free slot', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await p.put(['a'])
  await db.crash(p, limit)
  await p.put(['b', 'c'])
  await (await as(p, 'r')).put(['x', 'y'])
  const x = await p.claim(1)
  t.deepEqual(await (await as(p, 'q')).claimed(1), ['b'])
  p.pass(patienceMs)
  t.deepEqual(payloadsOf(await finish(await as(p, 'r'), x, 1)), [])

  t.deepEqual(await (await worker(db, limit)).claimed(), ['a'])
  await (await as(p, 'q')).exchange({ room: 0 })

  t.true(await p.changed())
  t.deepEqual(await (await as(p, 'r')).claimed(), ['y'])
})

test('no queue waits for a body whose queue has stopped, and that body no longer counts as alone', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await p.put(['a'])
  await db.crash(p, limit)
  await (await as(p, 'r')).put(['x'])
  await as(p, 'q')
  t.is((await p.launch()).length, 1)
  t.deepEqual(await (await as(p, 'r')).claimed(), [])

  await (await as(p, 'q')).detach({ keepLeases: true })

  t.true(await p.changed())
  await as(p, 'r')
  t.is((await p.launch()).length, 1)
  await p.die()
  const next = await worker(db, limit, ['q'])
  await next.recover(p)
  t.like((await next.exchange()).counts, { failed: 0, pending: 1 })
})

test('no worker drains for ever beside an abandoned body, even if its queue is opened again', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit, ['q', 'r'])
  await (await as(p, 'r')).put(['x', 'y'])
  await p.claim(1)
  await p.detach({ keepLeases: true })
  await (await as(p, 'q')).put(['a', 'b'])
  await db.crash(p, limit, 1)
  p.pass(patienceMs)

  await as(p, 'r')
  t.deepEqual(await (await as(p, 'q')).claimed(), ['b'])
  t.deepEqual(await (await as(p, 'r')).claimed(), ['y'])
})

test('a job that went back because other bodies ran is not tried there again for a while', async (t, subject) => {
  const db = await Workers.of(subject)
  const limit = { crashLimit: 2 }
  const p = await worker(db, limit)
  await p.put(['a'])
  await db.crash(p, limit)
  await p.put(['b'])
  const [a] = (await p.claim()) as [Ending]

  const next = await finish(p, [{ ...a, kind: 'notLaunched', extras: { notAlone: true } }], 9)

  t.deepEqual(payloadsOf(next), ['b'])
  t.is(next.nextLookAt, p.now + 10_000)
  await finish(p, endingsOf(next))
  t.deepEqual(await p.claimed(), [])
  p.pass(10_000)
  t.deepEqual(await p.claimed(), ['a'])
})

test('a suspect that goes back with a delay, or whose key is held, is still a suspect when it is due', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await worker(db)
  await p.put([{ payload: 'a' }, { payload: 'b', extras: { key: 'k' } }, { payload: 'c' }])
  await db.crash(p)
  const [a] = (await p.claim()) as [Ending]
  await finish(p, [{ ...a, kind: 'snooze', extras: { waitMs: 100 } }])
  const [b] = (await p.claim()) as [Ending]
  await finish(p, [{ ...b, kind: 'throttled', extras: { waitMs: 200, heldKey: 'k' } }])

  const [c] = (await p.claim()) as [Ending]
  t.like((await p.exchange()).counts, { pending: 1, delayed: 1, underway: 1 })
  p.pass(200)
  t.like((await p.exchange({ room: 9 })).counts, { pending: 2, underway: 1 })
  const next = await finish(p, [c], 9)
  t.deepEqual(payloadsOf(next), ['a'])
  t.deepEqual(payloadsOf(await finish(p, endingsOf(next), 9)), ['b'])
})

test('a rate holds for suspects, and a suspect that it delays delays no other job', async (t, subject) => {
  const db = await Workers.of(subject)
  const parts = { crashLimit: 2, rate: [{ limit: 2, perMs: 1_000, unit: undefined, burst: undefined }] }
  const p = await worker(db, parts, ['q', 'r'])
  await p.put(['a', 'b'])
  await (await as(p, 'r')).put(['x'])
  await db.crash(await as(p, 'q'), parts, 1)
  await p.put(['c'])
  const [a] = (await p.claim()) as [Ending]
  await finish(p, [{ ...a, kind: 'retry' }])

  const exchange = await p.exchange({ room: 9 })
  t.deepEqual(exchange.claimed.seqs, [])
  t.truthy(exchange.limited)
  t.deepEqual(await (await as(p, 'r')).claimed(), ['x'])
})
