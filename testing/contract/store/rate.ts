/** The rate in the store: one for all processes of a name, across restarts. */
import type { RateRule } from '../../../lib/rate/rules.ts'
import { errorFromJson } from '../../../persistence/durable/error-from-json.ts'
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import type { Ending } from '../store-requests.ts'

export const rates: ContractTest<StoreSubject>[] = []
const test = testsInto(rates)

const rule = (limit: number, perMs = 1_000, parts: Partial<RateRule> = {}): RateRule => ({
  ...{ limit, perMs, unit: undefined, burst: undefined },
  ...parts,
})
const opened = async (db: Workers, rate: readonly RateRule[] | undefined): Promise<StoreClient> => {
  const process = await db.open()
  await process.attach({ rate })
  return process
}
const jobs = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

test('rate: processes that share a name share its limit, also when they alternate', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, [rule(3)]), await opened(db, undefined)]
  await a.put(jobs(9))

  t.is((await a.claimed(2)).length, 2)
  t.is((await b.claimed(2)).length, 1)
  const { claimed, nextLookAt, nextLookExact, limited } = await a.exchange({ room: 2 })

  t.deepEqual([claimed.seqs.length, nextLookAt, nextLookExact], [0, 1_050, true])
  t.like(limited, { rule: { limit: 3 }, until: a.wall + 1_050 })
})

test('rate: a start counts from its launch, is free again if there was none, and grace is bounded', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, [rule(2)]), await opened(db, undefined)]
  await a.put(jobs(9))
  const { claimed, grants, graceUntil } = await a.exchange({ room: 2 })
  t.is(graceUntil, 50)

  const settled = [{ seq: claimed.seqs[1] as number, fence: 1, kind: 'notLaunched' as const }]
  await a.pass(5).exchange({ confirmed: [grants?.[0] as number, 3], settled })

  t.deepEqual(await b.pass(5).claimed(), ['1'])
  t.is((await b.pass(998 - 5).exchange({ room: 9 })).nextLookAt, 1_003)
  t.deepEqual(await b.pass(5).claimed(), ['2'])
})

test('rate: the grace is longer by twice the clock error of the requesting process', async (t, subject) => {
  const a = await opened(await Workers.of(subject), [rule(9)])
  await a.put(jobs(2))

  const exact = await a.exchange({ room: 1 })
  const rough = await a.exchange({ room: 1, errorMs: 40 })

  t.is(exact.graceUntil - a.now, 50)
  t.is(rough.graceUntil - a.now, 130)
})

test('rate: the grace grows while jobs go back because it was too short, up to a bound, and shrinks again', async (t, subject) => {
  const a = await opened(await Workers.of(subject), [rule(1, 100)])
  await a.put(jobs(1))
  const graces: number[] = []
  const back = async (lateMs: number): Promise<void> => {
    const { claimed, graceUntil } = await a.exchange({ room: 1 })
    graces.push(graceUntil - a.now)
    const [seq, fence] = [claimed.seqs[0] as number, claimed.fences[0] as number]
    await a.pass(graceUntil - a.now + lateMs).exchange({ settled: [{ seq, fence, kind: 'notLaunched' }] })
  }

  await back(-1)
  await back(0)
  await back(7)
  await back(-1)
  t.deepEqual(graces, [5, 5, 10, 20])
  for (let i = 0; i < 20; i++) await back(0)
  t.is(graces.at(-1), 5_000)

  for (let i = 0; i < 400; i++) {
    await a.put(jobs(1))
    const { grants, claimed } = await a.exchange({ room: 1 })
    const [seq, fence] = [claimed.seqs[0] as number, claimed.fences[0] as number]
    await a.exchange({ confirmed: [grants?.[0] as number, a.now], settled: [{ seq, fence, kind: 'finished' }] })
    a.pass(100)
  }
  t.is((await a.exchange({ room: 1 })).graceUntil - a.now, 5)
})

test('rate: a restart forgets no start, and an unconfirmed one counts at the end of its grace', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, [rule(2)])
  await a.put(jobs(9))
  const { grants } = await a.exchange({ room: 2 })
  await a.exchange({ confirmed: [grants?.[0] as number, 20] })
  await a.die()

  const b = await opened(db, undefined)
  b.pass(1_019)
  t.deepEqual(await b.claimed(), [])
  t.is((await b.pass(1).claimed()).length, 1)
  t.is((await b.exchange({ room: 9 })).nextLookAt, 1_050)
})

test('rate: a jump of the wall clock within a boot does not matter', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, [rule(1)])
  await a.put(jobs(9))
  const { grants } = await a.exchange({ room: 1 })
  await a.exchange({ confirmed: [grants?.[0] as number, 0] })
  await a.die()

  const b = await db.open()
  b.wall += 10_000_000
  await b.attach()

  t.is((await b.exchange({ room: 9 })).nextLookAt, 1_000)
})

test('rate: each claim has a start of its own, whether jobs are claimed in a row or not', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, [rule(50)])
  await a.put(jobs(6))
  const [first] = await a.claim(6)
  await a.put([{ payload: 'soon', priority: -1 }, 'x', 'y'])
  await a.exchange({ settled: [{ ...(first as Ending), kind: 'interrupted' }] })

  const { claimed, grants } = await a.exchange({ room: 9 })

  t.deepEqual(claimed.payloads, ['"soon"', '"0"', '"x"', '"y"'])
  t.is(new Set(grants).size, 4)
  // The same when the reply is lost.
  t.deepEqual((await a.exchange({ number: a.number, room: 9 })).grants, grants)
})

test('rate: a declaration counts if it differs from the last one; until then an override stays', async (t, subject) => {
  const db = await Workers.of(subject)
  const declared = [rule(5)]
  t.like(await (await opened(db, declared)).attach({ rate: declared }), { rules: [{ limit: 5 }] })
  const a = await opened(db, declared)

  t.like(await a.command({ kind: 'rate', rules: [rule(2)] }), { rules: [{ limit: 2 }] })

  t.like(await (await opened(db, declared)).exchange(), { rules: [{ limit: 2 }] })
  t.like(await (await opened(db, undefined)).exchange(), { rules: [{ limit: 2 }] })
  t.like(await (await opened(db, [rule(7)])).exchange(), { rules: [{ limit: 7 }] })
})

test('rate: an override that is cleared leaves no limit, until the name is declared again', async (t, subject) => {
  const db = await Workers.of(subject)
  const declared = [rule(1)]
  const a = await opened(db, declared)
  await a.put(jobs(9))
  await a.command({ kind: 'rate', rules: [] })

  const { claimed, grants } = await a.exchange({ room: 3 })
  t.deepEqual([claimed.seqs.length, grants], [3, undefined])

  t.like(await (await opened(db, declared)).exchange(), { rules: [{ limit: 1 }] })
})

test('rate: a limit lowered below the current starts lets nothing start until they have left the window, in every process', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, [rule(5)]), await opened(db, undefined)]
  await a.put(jobs(9))
  const { grants } = await a.exchange({ room: 5 })
  await a.exchange({ confirmed: (grants ?? []).flatMap((grant, i) => [grant as number, i * 10]) })

  await b.command({ kind: 'rate', rules: [rule(2)] })

  t.is((await a.exchange({ room: 9 })).nextLookAt, 1_030)
  await a.die()
  const c = await opened(db, undefined)
  t.is((await c.pass(100).exchange({ room: 9 })).nextLookAt, 1_030)
})

test('rate: a job that a lowered limit makes impossible fails instead of being claimed', async (t, subject) => {
  const db = await Workers.of(subject)
  const tokens = (limit: number) => [rule(limit, 1_000, { unit: 'tokens' })]
  const a = await opened(db, tokens(10))
  await a.put([
    { payload: 'a', extras: { cost: { tokens: 5 } } },
    { payload: 'b', extras: { cost: { tokens: 1 } } },
  ])
  await a.command({ kind: 'rate', rules: tokens(4) })

  const { endedUnrun, claimed, counts } = await a.exchange({ room: 9 })

  t.like(endedUnrun[0], { payload: '"a"', state: 'failed' })
  t.like(errorFromJson(endedUnrun[0]?.extras?.error ?? ''), { code: 'COST', unit: 'tokens', cost: 5, limit: 4 })
  t.deepEqual(claimed.payloads, ['"b"'])
  t.is(counts.failed, 1)
})

test('rate: a cost that is corrected counts in every process', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, [rule(10, 1_000, { unit: 'tokens' })]), await opened(db, undefined)]
  const cost = (tokens: number) => ({ extras: { cost: { tokens } } })
  await a.put([cost(5), cost(5), cost(5)])
  const { grants } = await a.exchange({ room: 1 })
  const grant = grants?.[0] as number

  await a.exchange({ confirmed: [grant, 0], spent: [{ grant, cost: { tokens: 8 } }] })

  t.is((await b.exchange({ room: 9 })).claimed.seqs.length, 0)
  await a.exchange({ spent: [{ grant, cost: { tokens: 1 } }] })
  t.is((await b.exchange({ room: 9 })).claimed.seqs.length, 1)
})

test('rate: a corrected cost counts after a restart, each unit by itself, and a repeated exchange corrects it once', async (t, subject) => {
  const db = await Workers.of(subject)
  const a = await opened(db, [rule(10, 1_000, { unit: 'tokens' }), rule(5, 1_000, { unit: 'images' })])
  const cost = (tokens: number, images: number) => ({ extras: { cost: { tokens, images } } })
  await a.put([cost(9, 1), cost(9, 1), cost(1, 4), cost(1, 1)])
  const { grants } = await a.exchange({ room: 1 })
  const grant = grants?.[0] as number
  const report = { confirmed: [grant, 0] as number[], spent: [{ grant, cost: { tokens: 1 } }] }
  await a.exchange(report)
  await a.exchange({ number: a.number, ...report })
  await a.die()

  const b = await opened(db, undefined)
  t.is((await b.exchange({ room: 9 })).claimed.seqs.length, 1)
  await b.die()

  // The tokens are 1 + 9. Of the images none was corrected.
  const c = await opened(db, undefined)
  t.deepEqual((await c.exchange({ room: 9 })).claimed.seqs, [])
  await c.command({ kind: 'rate', rules: [rule(99, 1_000, { unit: 'tokens' }), rule(6, 1_000, { unit: 'images' })] })
  t.is((await c.exchange({ room: 9 })).claimed.seqs.length, 1)
})

test('rate: a jitter that is learned is one for all processes, and a restart keeps it', async (t, subject) => {
  const db = await Workers.of(subject)
  const declared = [rule(2, 1_000, { jitter: 'learn', jitterMs: 0 })]
  const a = await opened(db, declared)
  await a.put(jobs(9))
  const { grants } = await a.exchange({ room: 2 })
  await a.exchange({ confirmed: (grants ?? []).flatMap(grant => [grant as number, 0]) })
  a.pass(1_000)
  const second = await a.exchange({ room: 2 })
  const [seq, fence] = [second.claimed.seqs[0] as number, second.claimed.fences[0] as number]
  const confirmed = (second.grants ?? []).flatMap(grant => [grant as number, 1_000])

  // The launch and the refusal are reported together.
  const reply = await a.exchange({ confirmed, settled: [{ seq, fence, kind: 'throttled', extras: { waitMs: 0 } }] })

  t.like(reply.rules, { 0: { jitterMs: 10, jitter: 'learn' }, length: 1 })
  const b = await opened(db, undefined)
  t.is((await b.pass(1_000).exchange({ room: 9 })).nextLookAt, 2_010)
  await a.die()
  await b.die()
  const c = await opened(db, declared)
  t.like((await c.attach({ rate: declared })).rules, { 0: { jitterMs: 10 }, length: 1 })
  t.is((await c.pass(1_000).exchange({ room: 9 })).nextLookAt, 2_010)
  t.like((await c.command({ kind: 'rate', rules: [rule(5, 1_000, { jitter: 'learn', jitterMs: 0 })] })).rules, {
    0: { limit: 5, jitterMs: 10 },
  })
})

test('throttled: the hold of a queue applies in every process and after a restart', async (t, subject) => {
  const db = await Workers.of(subject)
  const [a, b] = [await opened(db, undefined), await opened(db, undefined)]
  await a.put(jobs(2))
  const [job] = await a.claim(1)

  await a.exchange({
    settled: [{ ...(job as { seq: number; fence: number }), kind: 'throttled', extras: { waitMs: 50 } }],
  })

  const { nextLookAt, limited, nextLookExact } = await b.exchange({ room: 9 })
  t.deepEqual([nextLookAt, limited?.rule, nextLookExact], [50, undefined, true])
  t.is((await (await opened(db, undefined)).exchange({ room: 9 })).nextLookAt, 50)
  t.is((await b.pass(50).claimed()).length, 2)
})
