/** Rules with a name in the store: shared by all queues that have them, over all processes, restarts and crashes. */
import type { FurtherStart } from '../../../lib/backlog.ts'
import { furtherOf } from '../../../lib/decisions/grants.ts'
import { patienceMs } from '../../../lib/limits/rule-turns.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { ExchangeReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf, payloadsOf } from '../store-requests.ts'

export const namedRules: ContractTest<StoreSubject>[] = []
const test = testsInto(namedRules)

const rule = (limit: number, perMs = 1_000, name = 'gateway'): RateRule => ({
  ...{ limit, perMs, unit: undefined, burst: undefined },
  ...(name !== '' && { name }),
})
/** A process with the queue of that name. */
const opened = async (db: Workers, name: string, rate: readonly RateRule[] = [rule(3)]): Promise<StoreClient> => {
  const process = await db.open()
  await process.attach({ name, rate })
  return process
}
const jobs = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
const startsOf = ({ grants = [] }: ExchangeReply): readonly FurtherStart[] => grants.flatMap(furtherOf)
const count = ({ claimed }: ExchangeReply): number => claimed.seqs.length

test('named rules: queues of other names and processes share one limit, and each reply names the rule', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a'), await opened(db, 'b')]
  await a.put(jobs(9))
  await b.put(jobs(9))

  const first = await a.exchange({ room: 2 })
  t.is(count(first), 2)
  t.deepEqual(
    startsOf(first).map(({ of, name }) => [of, name]),
    [
      ['rule', 'gateway'],
      ['rule', 'gateway'],
    ],
  )
  t.is(count(await b.exchange({ room: 2 })), 1)
  const refused = await b.exchange({ room: 2 })

  t.deepEqual([count(refused), refused.nextLookAt, refused.nextLookExact], [0, 1_050, true])
  t.like(refused.limited, { rule: { name: 'gateway', limit: 3 }, until: b.wall + 1_050 })
})

test('named rules: Throttled with a rule holds it for all processes, over a restart, and its longest hold counts', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(9)]), await opened(db, 'b', [rule(9)])]
  await a.put(jobs(2))
  await b.put(jobs(2))
  const holding = (waitMs: number) => ({ kind: 'throttled' as const, extras: { waitMs, heldRule: 'gateway' } })
  const [one, two] = endingsOf(await a.exchange({ room: 2 }))
  await a.exchange({ settled: [{ ...(one as Ending), ...holding(500) }] })
  await a.exchange({ settled: [{ ...(two as Ending), ...holding(100) }] })

  const refused = await b.exchange({ room: 9 })
  t.deepEqual([count(refused), refused.nextLookAt, refused.nextLookExact], [0, 500, true])
  t.like(refused.limited, { rule: { name: 'gateway', limit: 9 }, until: b.wall + 500, hold: true })
  await b.die()
  const c = await opened(db, 'b', [rule(9)])
  await c.recover(b)

  t.is(count(await c.pass(499).exchange({ room: 9 })), 0)
  t.is(count(await c.pass(1).exchange({ room: 9 })), 2)
})

test('named rules: a start counts from its launch, and is free again if there was none', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(2)]), await opened(db, 'b', [rule(2)])]
  await a.put(jobs(9))
  await b.put(jobs(9))
  const first = await a.exchange({ room: 2 })
  const [launched] = startsOf(first)
  const [, back] = endingsOf(first)
  const settled = [{ ...(back as Ending), kind: 'notLaunched' as const }]

  await a.pass(5).exchange({ furtherConfirmed: [[launched as FurtherStart, 3]], settled })

  t.is(count(await b.pass(5).exchange({ room: 9 })), 1)
  t.is((await b.pass(993).exchange({ room: 9 })).nextLookAt, 1_003)
  t.is(count(await b.pass(5).exchange({ room: 9 })), 1)
})

test('named rules: a restart forgets no start, and one whose launch is unknown counts at the end of its grace', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, 'a', [rule(2)])
  await a.put(jobs(9))
  const first = await a.exchange({ room: 2 })
  await a.exchange({ furtherConfirmed: [[startsOf(first)[0] as FurtherStart, 20]] })
  await a.die()

  const b = await opened(db, 'b', [rule(2)])
  await b.put(jobs(9))
  await b.recover(a)

  t.is(count(await b.pass(1_019).exchange({ room: 9 })), 0)
  t.is(count(await b.pass(1).exchange({ room: 9 })), 1)
  t.is((await b.exchange({ room: 9 })).nextLookAt, 1_050)
})

test('named rules: a jump of the wall clock within a boot does not matter', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, 'a', [rule(1)])
  await a.put(jobs(2))
  const first = await a.exchange({ room: 1 })
  await a.exchange({ furtherConfirmed: [[startsOf(first)[0] as FurtherStart, 0]] })

  const b = await db.open()
  b.wall += 10_000_000
  await b.attach({ name: 'b', rate: [rule(1)] })
  await b.put(jobs(2))

  t.is((await b.exchange({ room: 9 })).nextLookAt, 1_000)
})

test('named rules: all rules are checked before any is charged', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [
    await opened(db, 'a', [rule(9), rule(1, 5_000, '')]),
    await opened(db, 'b', [rule(9), rule(1, 9_000, 'other')]),
  ]
  await a.put(jobs(9))
  await b.put(jobs(9))
  t.is(count(await a.exchange({ room: 9 })), 1)
  t.is(count(await b.exchange({ room: 9 })), 1)
  const c = await opened(db, 'c', [rule(9)])
  await c.put(jobs(9))

  t.is(count(await c.exchange({ room: 9 })), 7)
  const waits = await b.exchange({ room: 9 })
  t.like(waits.limited, { rule: { name: 'other' } })
})

test('named rules: queues that wait take turns, one start after the other, in any order of requests', async (t, subject) => {
  const db = await Workers.of(subject)
  const queues = [await opened(db, 'a', [rule(1)]), await opened(db, 'b', [rule(1)]), await opened(db, 'c', [rule(1)])]
  for (const queue of queues) await queue.put(jobs(9))
  const order: number[] = []
  for (let round = 0; round < 9; round++) {
    for (const [i, queue] of [...queues.entries()].reverse()) {
      const reply = await queue.exchange({ room: 9 })
      for (const start of startsOf(reply)) {
        order.push(i)
        await queue.exchange({ furtherConfirmed: [[start, queue.now]], settled: endingsOf(reply) })
      }
    }
    // The refused queue makes its next request at the instant that the reply gave.
    for (const queue of queues) await queue.exchange({ room: 9 })
    for (const queue of queues) queue.pass(1_000)
  }

  t.deepEqual(
    order.slice(1),
    [...order.slice(1)].map((_, i) => order[1 + (i % 3)] as number),
  )
  t.is(new Set(order.slice(1, 4)).size, 3)
})

test('named rules: waiting queues share the capacity for many starts, and do not wait for a queue that is late', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(10)]), await opened(db, 'b', [rule(10)])]
  await a.put(jobs(50))
  await b.put(jobs(50))
  t.is(count(await a.exchange({ room: 20 })), 10)
  t.is(count(await b.exchange({ room: 20 })), 0)
  const { nextLookAt } = await b.exchange({ room: 20 })
  a.pass(nextLookAt)
  b.pass(nextLookAt)

  t.is(count(await a.exchange({ room: 20 })), 5)
  t.is(count(await a.exchange({ room: 20 })), 0)
  a.pass(patienceMs)
  t.is(count(await a.exchange({ room: 20 })), 5)
})

test('named rules: a queue that is gone, or whose process died, is not waited for', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b, c] = [
    await opened(db, 'a', [rule(4)]),
    await opened(db, 'b', [rule(4)]),
    await opened(db, 'c', [rule(4)]),
  ]
  for (const queue of [a, b, c]) await queue.put(jobs(9))
  const first = await a.exchange({ room: 4 })
  for (const queue of [b, c]) t.is(count(await queue.exchange({ room: 9 })), 0)
  await a.exchange({ furtherConfirmed: startsOf(first).map(start => [start, 0]) })
  await b.detach()
  await c.die()
  await a.recover(c)

  t.is(count(await a.pass(1_000).exchange({ room: 9 })), 4)
})

test('named rules: a queue that is paused or has no more jobs gives up its turn', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b, c] = [
    await opened(db, 'a', [rule(4)]),
    await opened(db, 'b', [rule(4)]),
    await opened(db, 'c', [rule(4)]),
  ]
  for (const queue of [a, b, c]) await queue.put(jobs(9))
  const first = await a.exchange({ room: 4 })
  await a.exchange({ furtherConfirmed: startsOf(first).map(start => [start, 0]) })
  for (const queue of [b, c]) t.is(count(await queue.exchange({ room: 9 })), 0)
  await b.command({ kind: 'clear', reason: undefined })
  await b.exchange({ room: 9 })
  await c.exchange({ room: 0, mayLaunch: false })

  t.is(count(await a.pass(1_000).exchange({ room: 9 })), 4)
})

test('named rules: a queue that has got its rule taken is not waited for, nor one whose slots are all taken', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b, c] = [
    await opened(db, 'a', [rule(4)]),
    await opened(db, 'b', [rule(4), rule(9, 1, 'other')]),
    await opened(db, 'c', [rule(4)]),
  ]
  for (const queue of [a, b, c]) await queue.put(jobs(9))
  const first = await a.exchange({ room: 4 })
  await a.exchange({ furtherConfirmed: startsOf(first).map(start => [start, 0]) })
  for (const queue of [b, c]) t.is(count(await queue.exchange({ room: 9 })), 0)
  await c.exchange({ room: 0, isFull: true })
  await b.command({ kind: 'rate', rules: [rule(9, 1, 'other')] })
  t.true(await a.changed())

  t.is(count(await a.pass(1_000).exchange({ room: 9 })), 4)
})

test('named rules: an exchange without room keeps the turn of a queue with free slots', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(4)]), await opened(db, 'b', [rule(4)])]
  for (const queue of [a, b]) await queue.put(jobs(9))
  const first = await a.exchange({ room: 4 })
  await a.exchange({ furtherConfirmed: startsOf(first).map(start => [start, 0]) })
  t.is(count(await b.exchange({ room: 9 })), 0)
  await b.exchange({ room: 0 })

  t.is(count(await a.pass(1_000).exchange({ room: 9 })), 2)
})

test('named rules: a queue whose global width is reached is not waited for', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b, other] = [await opened(db, 'a', [rule(4)]), await db.open(), await db.open()]
  for (const process of [b, other]) await process.attach({ name: 'b', rate: [rule(4)], globalWidth: 1 })
  for (const queue of [a, b]) await queue.put(jobs(9))
  const first = await a.exchange({ room: 4 })
  await a.exchange({ furtherConfirmed: startsOf(first).map(start => [start, 0]) })
  t.is(count(await b.exchange({ room: 9 })), 0)
  await a.command({ kind: 'rate', rules: [rule(5)] })
  t.is(count(await other.exchange({ room: 1 })), 1)
  await a.command({ kind: 'rate', rules: [rule(4)] })

  t.is(count(await b.exchange({ room: 9 })), 0)
  t.is(count(await a.pass(1_100).exchange({ room: 9 })), 4)
})

test('named rules: a suspect that may not run is not waited for, and holds up no other job of its queue', async (t, subject) => {
  const db = await Workers.of(subject)
  const rate = [{ ...rule(10), unit: 'tokens' }]
  const put = (payload: string, tokens: number) => ({ payload, extras: { cost: { tokens } } })
  const [p, other] = [await db.open(), await opened(db, 'other', rate)]
  await p.attach({ rate })
  await p.put([put('running', 0), put('heavy', 9)])
  await db.crash(p, { rate })
  for (const process of [p, other]) process.pass(10_000)
  t.deepEqual(await p.claimed(1), ['running'])
  await other.put([put('first', 5), put('last', 4)])
  t.deepEqual(await other.claimed(1), ['first'])
  await p.put([put('light', 1)])

  t.deepEqual(await p.claimed(2), ['light'])
  t.deepEqual(await other.claimed(1), ['last'])
})

test('named rules: the last declaration holds for all, and an override does until it is cleared or newly declared', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, 'a', [rule(60)])
  const b = await db.open()
  t.like(await b.attach({ name: 'b', rate: [rule(30)] }), { rules: [{ limit: 30 }], replaced: [{ limit: 60 }] })
  t.like(await a.exchange(), { rules: [{ limit: 30, name: 'gateway' }], overridden: undefined })

  t.like(await a.command({ kind: 'rate', rules: [rule(2)] }), { rules: [{ limit: 2 }], overridden: { rate: true } })
  t.like(await b.exchange(), { rules: [{ limit: 2 }], overridden: { rate: true } })
  t.like(await (await opened(db, 'a', [rule(60)])).exchange(), { rules: [{ limit: 2 }] })
  t.like(await (await opened(db, 'b', [rule(30)])).exchange(), { rules: [{ limit: 2 }] })

  t.like(await b.command({ kind: 'clearOverrides', of: ['rate'] }), { rules: [{ limit: 30 }], overridden: undefined })
  t.like(await a.exchange(), { rules: [{ limit: 30 }] })
  await a.command({ kind: 'rate', rules: [rule(2)] })
  t.like(await (await opened(db, 'b', [rule(7)])).exchange(), { rules: [{ limit: 7 }], overridden: undefined })
  t.like(await a.exchange(), { rules: [{ limit: 7 }] })
})

test('named rules: another rule applies to the starts that are remembered, and to all queues', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(5)]), await opened(db, 'b', [rule(5)])]
  await a.put(jobs(9))
  await b.put(jobs(9))
  const first = await a.exchange({ room: 5 })
  await a.exchange({ furtherConfirmed: startsOf(first).map((start, i) => [start, i * 10]) })

  await b.command({ kind: 'rate', rules: [rule(2)] })

  t.is((await b.exchange({ room: 9 })).nextLookAt, 1_030)
  t.is((await a.exchange({ room: 9 })).nextLookAt >= 1_030, true)
})

test('named rules: a repeated exchange brings the same jobs with the same starts, and charges nothing', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a'), await opened(db, 'b')]
  await a.put(jobs(2))
  await b.put(jobs(9))

  const first = await a.exchange({ room: 2 })
  const repeated = await a.exchange({ number: a.number, room: 2 })

  t.deepEqual(payloadsOf(repeated), payloadsOf(first))
  t.deepEqual(repeated.grants, first.grants)
  t.is(repeated.graceUntil, first.graceUntil)
  t.is(count(await b.exchange({ room: 9 })), 1)
})

test('named rules: a cost counts in every queue, its correction too, and one above the limit is refused', async (t, subject) => {
  const db = await Workers.of(subject)
  const tokens: readonly RateRule[] = [{ ...rule(10), unit: 'tokens' }]
  const [a, b] = [await opened(db, 'a', tokens), await opened(db, 'b', tokens)]
  const cost = (tokens: number) => ({ extras: { cost: { tokens } } })
  await a.put([cost(5)])
  await b.put([cost(5), cost(5)])
  const { grants } = await a.exchange({ room: 1 })
  const grant = grants?.[0] ?? 0

  await a.exchange({ spent: [{ grant, cost: { tokens: 8 } }] })
  t.is(count(await b.exchange({ room: 9 })), 0)
  await a.exchange({ spent: [{ grant, cost: { tokens: 1 } }] })
  t.is(count(await b.exchange({ room: 9 })), 1)
  await t.throwsAsync(() => b.put([cost(11)]), { code: 'COST' })
})

test('named rules: explain names the rule that holds a job, and when it may start at the earliest', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, 'a', [rule(1)]), await opened(db, 'b', [rule(1)])]
  await a.put(jobs(1))
  const { first } = await b.put(jobs(1))
  await a.exchange({ room: 1 })

  t.like(await b.explain(first), { why: 'rate', rule: { name: 'gateway' }, notBefore: 1_050 })
})
