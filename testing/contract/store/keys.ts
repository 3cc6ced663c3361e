/** Limits and sharing by key in the store: one for all processes of a name, across crashes and restarts. */
import type { FurtherStart, Grant } from '../../../lib/backlog.ts'
import { furtherOf } from '../../../lib/decisions/grants.ts'
import { type KeysPolicy, noKeys } from '../../../lib/limits/keys.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { ExchangeReply, KeysReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf, type Put, payloadsOf } from '../store-requests.ts'

export const keys: ContractTest<StoreSubject>[] = []
const test = testsInto(keys)

const policy = (parts: Partial<KeysPolicy> = {}): KeysPolicy => ({ ...noKeys, order: 'fair', ...parts })
const rule = (limit: number, perMs = 1_000): RateRule => ({ limit, perMs, unit: undefined, burst: undefined })
/** Jobs such as 'a1', whose key is their letter. */
const keyed = (...payloads: string[]): Put[] =>
  payloads.map(payload => ({ payload, ...(/^[a-z]/.test(payload) && { extras: { key: payload[0] as string } }) }))
const two = async (
  subject: StoreSubject,
  declared: Partial<KeysPolicy>,
): Promise<[StoreClient, StoreClient, Workers]> => {
  const db = await Workers.of(subject)
  return [await db.attach({ keys: policy(declared) }), await db.attach(), db]
}
const list = async (process: StoreClient): Promise<KeysReply['keys']> => {
  const { queue, now, wall } = process
  const query = { limit: 100 }
  return ((await process.store.query({ kind: 'keys', queue, query, now, wall })) as KeysReply).keys
}
const startsOf = ({ grants = [] }: ExchangeReply): readonly FurtherStart[] => grants.flatMap(furtherOf)
/** Claims jobs and launches them now. */
const launched = async (process: StoreClient, room: number): Promise<unknown[]> => {
  const reply = await process.exchange({ room })
  await process.exchange({ furtherConfirmed: startsOf(reply).map(start => [start, process.now]) })
  return payloadsOf(reply)
}

test('keys: the width of a key holds over all processes, and the end of a job in one frees its slot for the other', async (t, subject) => {
  const [a, b] = await two(subject, { width: 2 })
  await a.put(keyed('a1', 'a2', 'a3', 'a4', 'b1'))
  const first = await a.exchange({ room: 1 })
  t.deepEqual(payloadsOf(first), ['a1'])
  t.deepEqual(await b.claimed(), ['b1', 'a2'])
  t.deepEqual(await b.claimed(), [])

  await a.exchange({ settled: endingsOf(first) })

  t.deepEqual(await b.claimed(), ['a3'])
  t.deepEqual(await a.claimed(), [])
})

test('keys: a job that goes back, is retried later or is returned frees the slot of its key', async (t, subject) => {
  const [a, b] = await two(subject, { width: 1 })
  await a.put(keyed('a1', 'a2'))
  const end = async (kind: NonNullable<Ending['kind']>, waitMs = 0): Promise<unknown[]> => {
    const [job] = (await a.claim(1)) as [Ending]
    t.deepEqual(await b.claimed(), [])
    await a.exchange({ settled: [{ ...job, kind, extras: { waitMs } }] })
    const after = await b.exchange({ room: 9 })
    await b.exchange({ settled: endingsOf(after).map(one => ({ ...one, kind: 'notLaunched' })) })
    return payloadsOf(after)
  }

  t.deepEqual(await end('interrupted'), ['a1'])
  t.deepEqual(await end('notLaunched'), ['a1'])
  t.deepEqual(await end('retry', 60_000), ['a2'])
})

test('keys: a body that goes on keeps the slot of its key until it ends or its process dies', async (t, subject) => {
  const [a, b, db] = await two(subject, { width: 1 })
  await a.put(keyed('a1', 'a2', 'a3'))
  const [first] = (await a.claim(1)) as [Ending]
  await a.exchange({ settled: [{ ...first, kind: 'cancelled', extras: { bodyContinues: true } }] })
  t.deepEqual(await b.claimed(), [])
  t.like(await b.explain(first.seq + 1), { why: 'width', key: 'a' })
  await a.exchange({ endedBodies: [first.seq] })
  const second = (await b.claim(9)) as Ending[]
  t.is(second.length, 1)

  await b.exchange({ settled: second.map(one => ({ ...one, kind: 'cancelled', extras: { bodyContinues: true } })) })
  t.deepEqual(await a.claimed(), [])
  await b.die()
  await a.recover(b)

  t.deepEqual(await a.claimed(), ['a3'])
  t.is((await db.attach()).now, 0)
})

test("keys: the death of a process frees the slots of its jobs' keys", async (t, subject) => {
  const [a, b] = await two(subject, { width: 1, rate: [rule(9)] })
  await a.put(keyed('a1', 'a2', 'b1'))
  t.is((await b.claim()).length, 2)
  t.deepEqual(await a.claimed(), [])

  await b.die()
  await a.recover(b)

  t.deepEqual(await a.claimed(), ['a1', 'b1'])
})

test('keys: the rate of a key holds over all processes and restarts, each start at its real instant', async (t, subject) => {
  const [a, b, db] = await two(subject, { rate: [rule(2)] })
  await a.put(keyed('a1', 'a2', 'a3', 'b1', '1'))
  const first = await a.exchange({ room: 1 })
  t.deepEqual(payloadsOf(first), ['a1'])
  t.deepEqual(await b.claimed(), ['b1', '1', 'a2'])
  await a.pass(7).exchange({ furtherConfirmed: startsOf(first).map(start => [start, 7]) })

  const waits = await b.pass(7).exchange({ room: 9 })
  t.deepEqual([waits.nextLookAt, waits.nextLookExact, waits.limited?.key], [1_007, true, 'a'])
  await a.die()
  await b.die()

  const c = await db.attach()
  t.deepEqual(await c.pass(1_006).claimed(), [])
  t.deepEqual(await c.pass(1).claimed(1), ['a3'])
})

test('keys: a start whose job was not launched counts nowhere', async (t, subject) => {
  const [a, b] = await two(subject, { rate: [rule(1, 60_000)] })
  await a.put(keyed('a1', 'a2'))
  const first = await a.exchange({ room: 9 })
  t.is(payloadsOf(first).length, 1)
  const [grant] = first.grants ?? []

  await a.exchange({
    settled: endingsOf(first).map(one => ({ ...one, kind: 'notLaunched', extras: { grant: grant ?? 0 } })),
  })

  t.deepEqual(await b.claimed(), ['a1'])
})

test('keys: a corrected cost counts in the window of its key, in every process and after a restart', async (t, subject) => {
  const tokens: RateRule = { limit: 10, perMs: 1_000, unit: 'tokens', burst: undefined }
  const [a, b, db] = await two(subject, { rate: [tokens] })
  const job = (payload: string, cost: number): Put => ({
    payload,
    extras: { key: payload[0] as string, cost: { tokens: cost } },
  })
  await a.put([job('a1', 9), job('a2', 9), job('a3', 9), job('b1', 10)])
  const { grants = [] } = await a.exchange({ room: 1 })
  t.deepEqual(await b.claimed(), ['b1'])

  const report = { spent: [{ grant: grants[0] as Grant, cost: { tokens: 1 } }] }
  await a.exchange(report)
  await a.exchange({ number: a.number, ...report })
  await a.die()
  t.deepEqual(await b.claimed(), ['a2'])
  await b.die()

  const c = await db.attach()
  t.deepEqual(await c.claimed(), [])
  const waits = await c.exchange({ room: 9 })
  t.deepEqual([waits.limited?.key, waits.limited?.rule?.unit, waits.nextLookExact], ['a', 'tokens', true])
  t.like(await list(c), [{ key: 'a', why: 'rate' }])
  t.deepEqual(await c.pass(waits.nextLookAt).claimed(), ['a3'])
})

test('keys: a repeated exchange brings the same jobs with the same starts', async (t, subject) => {
  const [a] = await two(subject, { rate: [rule(1)] })
  await a.put(keyed('a1', 'a2', 'b1', '1'))

  const first = await a.exchange({ room: 9 })
  const repeated = await a.exchange({ number: a.number, room: 9 })

  const sorted = (reply: ExchangeReply): unknown[] =>
    payloadsOf(reply)
      .map((name, i) => [name, reply.grants?.[i]])
      .sort()
  t.deepEqual(sorted(repeated), sorted(first))
  t.is(repeated.graceUntil, first.graceUntil)
})

test('keys: keys take turns by weight, in all processes together', async (t, subject) => {
  const [a, b] = await two(subject, {})
  await a.command({ kind: 'key', key: 'a', change: { weight: 2 } })
  const many = (key: string): string[] => Array.from({ length: 30 }, (_, i) => `${key}${i}`)
  await a.put(keyed(...many('a'), ...many('b'), ...many('c')))
  const starts: Record<string, number> = {}
  for (let i = 0; i < 40; i++) {
    const [name] = (await (i % 3 ? a : b).claimed(1)) as [string]
    const key = name[0] as string
    starts[key] = (starts[key] ?? 0) + 1
  }

  t.deepEqual(starts, { a: 20, b: 10, c: 10 })
})

test('keys: a key that is held up is passed over, however many jobs it has, and its jobs keep their order', async (t, subject) => {
  const [a] = await two(subject, { width: 1 })
  await a.put(keyed(...Array.from({ length: 2_500 }, (_, i) => `a${i}`), 'b0', '1'))
  t.deepEqual((await a.claimed(2)).sort(), ['a0', 'b0'])

  t.deepEqual(await a.claimed(), ['1'])
  t.deepEqual(await a.claimed(), [])
})

test('keys: an override of a key is stored, reported to each process once, and stays when keys are declared anew', async (t, subject) => {
  const [a, b, db] = await two(subject, { width: 5 })
  await a.put(keyed('a1', 'a2', 'a3'))
  const { keyChange: set } = await b.command({ kind: 'key', key: 'a', change: { width: 1, paused: true } })
  t.like(set, { key: 'a', override: { width: 1, paused: true } })
  const overrides = [['a', set?.override]]
  t.like(await list(b), [{ key: 'a', pending: 3, delayed: 0, underway: 0, why: 'pause' }])

  const reported = await a.exchange({ room: 9 })
  t.deepEqual([payloadsOf(reported), reported.keys?.overrides], [[], overrides])
  const { version = 0 } = reported.keys ?? {}
  t.is(set?.version, version)
  t.is((await a.exchange({ keysVersion: version })).keys, undefined)

  const c = await db.open()
  const { keys: now } = await c.attach({ keys: policy({ width: 7 }) })
  t.deepEqual([now?.policy?.width, now?.overrides], [7, overrides])
  await c.command({ kind: 'key', key: 'a', change: { paused: undefined } })
  t.deepEqual(await c.claimed(), ['a1'])
  await c.command({ kind: 'clearOverrides', of: ['keys'] })
  t.deepEqual(await c.claimed(), ['a2', 'a3'])
})

test('keys: a declaration that repeats the last one leaves everything as it is', async (t, subject) => {
  const [a, , db] = await two(subject, { width: 5 })
  const { version } = (await a.exchange()).keys ?? {}

  const repeated = await (await db.open()).attach({ keys: policy({ width: 5 }) })

  t.is(repeated.keys?.version, version)
})

test('keys: rules that are declared anew count the starts that counted until then', async (t, subject) => {
  const [a, , db] = await two(subject, { rate: [rule(2, 30)] })
  await a.put(keyed('a1', 'a2'))
  t.deepEqual(await launched(a, 1), ['a1'])

  await (await db.open()).pass(1).attach({ keys: policy({ rate: [rule(1, 400)] }) })

  const waits = await a.pass(40).exchange({ room: 9 })
  t.deepEqual([payloadsOf(waits), waits.nextLookAt], [[], 400])
  t.deepEqual(await a.pass(360).claimed(), ['a2'])
})

test('keys: rules that are set for one key, or no longer are, count the starts that counted until then', async (t, subject) => {
  const [a] = await two(subject, { rate: [rule(1, 400)] })
  await a.command({ kind: 'key', key: 'a', change: { rate: [rule(2, 30)] } })
  await a.put(keyed('a1', 'a2', 'b1', 'b2'))
  t.deepEqual(await launched(a, 2), ['a1', 'b1'])

  await a.pass(1).command({ kind: 'key', key: 'b', change: { rate: [rule(1, 500)] } })
  await a.command({ kind: 'clearOverrides', of: ['keys'] })
  await a.command({ kind: 'key', key: 'b', change: { rate: [rule(1, 600)] } })

  t.deepEqual(await a.pass(398).claimed(), [])
  t.deepEqual(await a.pass(1).claimed(), ['a2'])
  t.deepEqual(await a.pass(199).claimed(), [])
  t.deepEqual(await a.pass(1).claimed(), ['b2'])
})

test('keys: keys that are declared while jobs wait and run hold for them too', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await db.attach()
  await a.put(keyed('a1', 'a2', 'b1', '1'))
  await a.put(['2', '3'])
  const running = await a.claim(1)

  const b = await db.attach({ keys: policy({ width: 1 }) })

  t.deepEqual(await b.claimed(), ['b1', '1', '2', '3'])
  await a.exchange({ settled: running })
  t.deepEqual(await b.claimed(), ['a2'])
})

test('keys: the jobs of one key are cleared, and only those', async (t, subject) => {
  const [a] = await two(subject, {})
  await a.put(keyed('a1', 'b1', 'a2', '1'))
  await a.put([{ payload: 'a3', extras: { key: 'a', dueAt: 9_000 } }])
  await a.claim(1)

  const { count } = await a.command({ kind: 'clear', reason: undefined, key: 'a' })

  t.is(count, 2)
  t.deepEqual(await a.claimed(), ['b1', '1'])
})

test('keys: explain names the key, the place of the job within it, and when it may start at the earliest', async (t, subject) => {
  const [a] = await two(subject, { rate: [rule(1)] })
  const { first } = await a.put(keyed('a1', 'b1', 'a2', 'a3'))
  await a.exchange({ room: 9 })

  const last = await a.explain(first + 3)

  t.like(last, { why: 'rate', key: 'a', position: 1, rule: { limit: 1 } })
  t.true((last?.notBefore ?? 0) >= 1_000)
})

test('keys: a suspect does not start beside a job that took the last slot of its key in the same claim', async (t, subject) => {
  const db = await Workers.of(subject)
  const p = await db.attach({ keys: policy({ width: 1 }) })
  await p.put(keyed('a1'))
  await db.crash(p)
  await p.put([{ payload: 'a0', priority: -1, extras: { key: 'a' } }])

  const both = await p.exchange({ room: 2 })
  t.deepEqual(payloadsOf(both), ['a0'])

  t.deepEqual(payloadsOf(await p.exchange({ settled: endingsOf(both), room: 2 })), ['a1'])
})

test('keys: a suspect waits for its key as other jobs do', async (t, subject) => {
  const [a, b] = await two(subject, { width: 1 })
  await a.put(keyed('a1', 'a2'))
  await b.launch(1)
  await b.die()
  await a.recover(b)
  await a.command({ kind: 'key', key: 'a', change: { paused: true } })
  t.deepEqual(await a.claimed(), [])

  await a.command({ kind: 'key', key: 'a', change: { paused: undefined } })
  const run: unknown[] = []
  for (let i = 0; i < 6; i++) {
    const exchange = await a.exchange({ room: 9, acknowledged: a.number })
    run.push(...payloadsOf(exchange))
    await a.exchange({ settled: endingsOf(exchange) })
  }

  t.deepEqual(run.sort(), ['a1', 'a2'])
})

test('keys: the report of a key counts its jobs wherever they are, and a clear finds all that wait', async (t, subject) => {
  const [a, b] = await two(subject, { width: 9 })
  await a.put(keyed('a1', 'a2', 'a3', 'a4', 'a5', 'b1'))
  const [delayed, ready, running] = (await b.claim(3)) as [Ending, Ending, Ending]
  await b.exchange({
    settled: [
      { ...delayed, kind: 'retry', extras: { waitMs: 60_000 } },
      { ...ready, kind: 'notLaunched' },
    ],
  })
  await b.begin([running])
  const counts = async () =>
    (await list(a)).map(({ key, pending, delayed, underway }) => [key, pending, delayed, underway])
  t.deepEqual(await counts(), [
    ['a', 3, 1, 1],
    ['b', 1, 0, 0],
  ])

  // The job that was running is a suspect now.
  await b.die()
  await a.recover(b)

  t.deepEqual(await counts(), [
    ['a', 4, 1, 0],
    ['b', 1, 0, 0],
  ])
  t.is((await a.command({ kind: 'clear', key: 'a', reason: undefined })).count, 5)
  t.deepEqual(await counts(), [['b', 1, 0, 0]])
})
