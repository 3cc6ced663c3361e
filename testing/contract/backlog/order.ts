/** Order and identity: when replies come, what they show, and which objects they refer to. */
import type { MaybePromise } from '../../../lib/backlog.ts'
import type { JobRecord } from '../../../lib/job.ts'
import { parseRate } from '../../../lib/rate/rules.ts'
import { CheckpointValue } from '../../../lib/text/checkpoint-value.ts'
import { VirtualClock } from '../../virtual-clock.ts'
import type { ContractTest } from '../contract.ts'
import {
  type BacklogSubject,
  backlogTestsInto,
  claim,
  exchange,
  exchangeOf,
  job,
  payloads,
  settle,
  wall,
} from './session.ts'

export const order: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(order)

/** Calls `act` as a queue would: at once, or in the first reaction to the promise. */
function when<T>(answer: MaybePromise<T>, act: (value: T) => void): Promise<void> {
  if (answer instanceof Promise) return answer.then(act)
  act(answer)
  return Promise.resolve()
}

it('B1: exchanges take effect in the order in which they were made, however many are in flight', async (t, {
  open,
}) => {
  const session = await open()
  const jobs = Array.from({ length: 40 }, (_, i) => job(i))
  await session.put(jobs, 0, wall)

  const exchanges = await Promise.all(Array.from({ length: 8 }, () => exchange(session, { room: 5 })))

  t.deepEqual(
    exchanges.flatMap(({ claimed }) => payloads(claimed)),
    jobs.map((_, i) => i),
  )
})
it('B1: puts take effect in the order in which they were made', async (t, { open }) => {
  const session = await open()

  await Promise.all(Array.from({ length: 20 }, (_, i) => session.put([job(2 * i), job(2 * i + 1)], 0, wall)))

  t.deepEqual(
    payloads(await claim(session)),
    Array.from({ length: 40 }, (_, i) => i),
  )
})
it('B2: a put is answered before an exchange that hands out its jobs', async (t, { open }) => {
  const clock = new VirtualClock()
  const session = await open({ clock })
  const received: string[] = []
  const all: Promise<void>[] = []
  for (let i = 0; i < 30; i++) {
    all.push(when(session.put([job(i)], 0, wall), () => received.push(`put ${i}`)))
    const exchange = session.exchange(exchangeOf({ room: 9 }))
    all.push(when(exchange, ({ claimed }) => received.push(...claimed.map(({ payload }) => `claimed ${payload}`))))
    if (i % 3 === 0) await new Promise<void>(resolve => clock.soon(resolve))
  }
  await Promise.all(all)
  received.push(...(await claim(session)).map(({ payload }) => `claimed ${payload}`))

  for (let i = 0; i < 30; i++) {
    const [put, claimed] = [received.indexOf(`put ${i}`), received.indexOf(`claimed ${i}`)]
    t.true(put >= 0 && put < claimed, `job ${i}: put at ${put}, claimed at ${claimed}`)
  }
})
it('B2: a command that makes a job wait again is answered before an exchange that hands it out', async (t, {
  open,
}) => {
  for (const kind of ['retry', 'promote', 'reschedule'] as const) {
    const session = await open()
    const a = job('a', kind === 'retry' ? {} : { dueAt: 1_000 })
    await session.put([a], 0, wall)
    if (kind === 'retry') await session.command({ kind: 'cancel', target: a, reason: 'no' }, 0, wall)
    const received: string[] = []

    const command = when(session.command({ kind, target: a }, 0, wall), () => received.push(kind))
    const exchange = when(session.exchange(exchangeOf({ room: 9 })), ({ claimed }) =>
      received.push(...claimed.map(() => 'claimed')),
    )
    await Promise.all([command, exchange])
    received.push(...(await claim(session)).map(() => 'claimed'))

    t.deepEqual(received, [kind, 'claimed'])
  }
})
it('B2: a query that shows an ending is answered after the exchange that brought it', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  const received: string[] = []

  const exchange = when(session.exchange(exchangeOf({ settled: [settle(a, 'failed', { error: 'e' })] })), () =>
    received.push('settled'),
  )
  const query = when(session.find(a), found => received.push(`found ${found?.state}`))
  await Promise.all([exchange, query])

  // If the query is executed first, it does not show the ending.
  t.true(received[0] === 'settled' || received[0] === 'found underway', String(received))
  t.deepEqual([received.length, (await session.find(a))?.state], [2, 'failed'])
})
it('B3: counts, rules and the shared pause of a session are as of its last reply', async (t, { open }) => {
  const session = await open()
  const rules = [{ limit: 5, perMs: 1_000, unit: undefined, burst: undefined }]
  const seen: unknown[] = []
  const see = (): void =>
    void seen.push([session.counts.pending, session.counts.underway, session.rules.length, session.sharedPaused])

  await when(session.put([job(1), job(2)], 0, wall), see)
  await when(session.exchange(exchangeOf({ room: 1 })), see)
  await when(session.command({ kind: 'rate', rules }, 0, wall), see)
  await when(session.command({ kind: 'pause', paused: true }, 0, wall), () => {})
  await when(session.exchange(exchangeOf()), see)

  t.deepEqual(seen, [
    [2, 0, 0, false],
    [1, 1, 0, false],
    [1, 1, 1, false],
    [1, 1, 1, true],
  ])
})
it('B4: a clock that a test turns waits for what is in flight', async (t, { open }) => {
  const clock = new VirtualClock()
  const session = await open({ clock })
  const received: string[] = []

  // So many that a thread or a network needs a while for them.
  const many = Array.from({ length: 10_000 }, (_, i) => job(i))
  void when(session.put(many, 0, wall), () => received.push('put'))
  void when(session.exchange(exchangeOf()), () => received.push('exchange'))
  void when(session.command({ kind: 'clear' }, 0, wall), () => received.push('clear'))
  void when(session.find('none'), () => received.push('find'))
  await clock.settle()

  t.deepEqual(received.sort(), ['clear', 'exchange', 'find', 'put'])
})
it('B6: a put and a command that are refused have changed nothing', async (t, { open }) => {
  const session = await open({ size: 1 })
  const a = job('a', { id: 'a' })
  await session.put([a], 0, wall)

  await t.throwsAsync(async () => session.put([job('b', { id: 'b' })], 0, wall), { code: 'QUEUE_FULL' })
  await t.throwsAsync(async () => session.command({ kind: 'retry', target: a }, 0, wall), { code: 'JOB_STATE' })

  t.is(await session.find('b'), undefined)
  t.is(a.state, 'pending')
  t.deepEqual(session.counts, { pending: 1, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 })
})
it('B8: a job that was put here is the same record in every reply, while it waits, runs and is kept', async (t, {
  open,
}) => {
  const session = await open()
  const [a, b] = [job('a', { id: 'a' }), job('b', { id: 'b' })]
  await session.put([a, b], 0, wall)
  const query = { state: undefined, key: undefined, limit: 9, after: undefined }

  t.is(await session.find(a), a)
  t.is(await session.find('a'), a)
  t.deepEqual(await session.list(query), [b, a])
  t.is((await session.list(query))[1], a)
  t.is((await session.explain('b', 0, wall))?.record, b)
  t.is((await claim(session, 1))[0], a)
  await exchange(session, { settled: [settle(a, 'retry')] })
  t.is((await claim(session, 1))[0], a)
  t.is((await session.command({ kind: 'cancel', target: 'b', reason: 'no' }, 0, wall)).changed[0], b)
  const twin = job('a', { id: 'a' })
  t.is((await session.put([twin], 0, wall))?.get(twin), a)
})
it('B9: a record has been written when the reply arrives', async (t, { open }) => {
  const session = await open()
  const [a, b] = [job('a'), job('b', { dueAt: 50 })]
  const seen: unknown[] = []
  const see = ({ seq, state, attempt, fence }: JobRecord): unknown => [seq > 0, state, attempt, fence]

  await when(session.put([a, b], 0, wall), () => seen.push(see(a), see(b)))
  t.true(a.seq < b.seq)
  await when(session.exchange(exchangeOf({ room: 9 })), () => seen.push(see(a)))
  await when(session.exchange(exchangeOf({ settled: [settle(a, 'retry', { error: 'e', waitMs: 20 })] })), () => {
    seen.push([...(see(a) as unknown[]), a.extras?.error, a.extras?.dueAt])
  })
  await when(session.exchange(exchangeOf({ now: 20, wall: wall + 20, room: 9 })), () => seen.push(see(a)))
  const value = CheckpointValue.of('half', true)
  await when(session.exchange(exchangeOf({ checkpoints: [{ record: a, fence: a.fence, value }] })), () => {
    seen.push(a.extras?.checkpoint?.read())
  })
  await when(session.exchange(exchangeOf({ settled: [settle(a, 'failed', { error: 'last' })] })), () => {
    seen.push([...(see(a) as unknown[]), a.extras?.error])
  })
  await when(session.command({ kind: 'retry', target: a }, 0, wall), () => {
    seen.push([...(see(a) as unknown[]), a.extras?.error])
  })

  t.deepEqual(seen, [
    [true, 'pending', 0, 0],
    [true, 'delayed', 0, 0],
    [true, 'underway', 1, 1],
    [true, 'delayed', 1, 1, 'e', 20],
    [true, 'underway', 2, 2],
    'half',
    [true, 'failed', 2, 2, 'last'],
    [true, 'pending', 0, 2, undefined],
  ])
})
it('B12: reports of a run take effect before its ending, and endings before claims', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  const value = CheckpointValue.of('half', true)

  const { claimed } = await exchange(session, {
    settled: [settle(a, 'snooze')],
    checkpoints: [{ record: a, fence: 1, value }],
    room: 9,
  })

  t.deepEqual(claimed, [a])
  t.deepEqual([a.extras?.checkpoint?.read(), a.attempt, a.fence], ['half', 1, 2])
})
it('B12: a launch takes effect before an ending that gives its start back', async (t, { open }) => {
  const session = await open({ rate: parseRate('rate', { limit: 1, per: 1_000 }) })
  const a = job('a')
  await session.put([a], 0, wall)
  const { grants } = await exchange(session, { room: 9 })
  const grant = grants?.[0] as number

  const { claimed } = await exchange(session, {
    ...{ confirmed: [{ grant, at: 5 }], settled: [settle(a, 'notLaunched', { grant })] },
    ...{ now: 10, wall: wall + 10, room: 9 },
  })

  t.deepEqual(claimed, [a])
})
it('B18: nextLookAt is the instant at which a delayed job comes due', async (t, { open }) => {
  const session = await open()
  t.is((await exchange(session, { room: 9 })).nextLookAt, Infinity)
  await session.put([job('a', { dueAt: 70 }), job('b', { dueAt: 40 })], 0, wall)

  t.is((await exchange(session, { room: 9 })).nextLookAt, 40)
  t.is((await exchange(session, { now: 40, wall: wall + 40, room: 9 })).nextLookAt, 70)
})
it('B19: a job whose body goes on is put anew only once that has ended', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  await exchange(session, { settled: [settle(a, 'cancelled', { error: 'e', bodyContinues: true })] })

  const refused = await session.command({ kind: 'retry', target: a }, 0, wall)
  t.deepEqual([refused.changed, refused.unchangedBecause, a.state], [[], 'bodyContinues', 'cancelled'])

  await exchange(session, { endedBodies: [a] })
  t.deepEqual((await session.command({ kind: 'retry', target: a }, 0, wall)).changed, [a])
  t.is(a.state, 'pending')
})
