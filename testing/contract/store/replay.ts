/**
 * An exchange whose reply was lost gets the same reply again: once it has changed the database, nothing else shows what
 * it reported.
 */
import type { RateRule } from '../../../lib/rate/rules.ts'
import type { CommandRequest, PutReply } from '../../../persistence/durable/store.ts'
import { type ContractTest, rejects, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import type { Ending } from '../store-requests.ts'

export const replays: ContractTest<StoreSubject>[] = []
const test = testsInto(replays)

/** A process that makes exchanges, and another one on the same file. */
const two = async (
  subject: StoreSubject,
  parts: Parameters<StoreClient['attach']>[0] = {},
): Promise<{ p: StoreClient; other: StoreClient; db: Workers }> => {
  const db = await Workers.of(subject)
  const [p, other] = [await db.open(), await db.open()]
  for (const process of [p, other]) await process.attach(parts)
  return { p, other, db }
}

test('replay: a repeated exchange reports the same cancel requests', async (t, subject) => {
  const { p, other } = await two(subject)
  await p.put(['a'])
  const [a] = (await p.claim()) as [Ending]
  await other.command({ kind: 'cancel', target: a.seq, reason: '"enough"' })

  const { notices } = await p.exchange()

  t.deepEqual(notices?.cancelRequests, [{ seq: a.seq, reason: '"enough"' }])
  t.deepEqual((await p.exchange({ number: p.number })).notices, notices)
})

test('replay: a repeated exchange reports the same lost runs, so that no ending of them is taken for stored', async (t, subject) => {
  const { p } = await two(subject)
  await p.put(['a'])
  const [a] = (await p.claim()) as [Ending]

  const { notices } = await p.exchange({ settled: [{ ...a, fence: 7 }] })

  t.deepEqual(notices?.lostRuns, [a.seq])
  t.deepEqual((await p.exchange({ number: p.number, settled: [{ ...a, fence: 7 }] })).notices, notices)
})

test('replay: a repeated exchange reports the same jobs of a dead process, as they are by now', async (t, subject) => {
  const { p, other } = await two(subject)
  await other.put(['a'])
  const [a] = (await other.launch()) as [Ending]
  await other.die()
  await p.recover(other)

  const { notices, claimed } = await p.exchange({ room: 1 })

  t.like(notices?.recovered, [{ seq: a.seq, state: 'underway', crashes: 1 }])
  const repeated = await p.exchange({ number: p.number })
  t.deepEqual([repeated.notices, repeated.claimed], [notices, claimed])
})

test('replay: a repeated exchange reports the same jobs that ended unrun, and how those of a dead process ended', async (t, subject) => {
  const { p, other } = await two(subject, {
    afterCrash: 'fail',
    rate: [{ limit: 1, perMs: 1_000, unit: 'n', burst: undefined }],
  })
  await other.put([{ payload: 'a', extras: { cost: { n: 1 } } }])
  const [a] = (await other.launch()) as [Ending]
  const never = (await p.put([{ payload: 'b', extras: { cost: { n: 1 } } }])).first
  await p.command({ kind: 'rate', rules: [{ limit: 0, perMs: 1_000, unit: 'n', burst: undefined }] })
  await other.die()
  await p.recover(other)

  const { notices, endedUnrun } = await p.exchange({ room: 9 })

  t.deepEqual([notices?.endedByRecovery, endedUnrun.map(({ seq }) => seq)], [[a.seq], [never]])
  const repeated = await p.exchange({ number: p.number })
  t.deepEqual([repeated.notices, repeated.endedUnrun], [notices, endedUnrun])
})

test('replay: each of several exchanges in flight is answered with notices of its own', async (t, subject) => {
  const { p } = await two(subject)
  await p.put(['a', 'b'])
  const [a, b] = (await p.claim()) as [Ending, Ending]
  const lost = async ({ seq }: Ending) => (await p.exchange({ settled: [{ seq, fence: 7 }], acknowledged: 0 })).notices
  const [first, second] = [await lost(a), await lost(b)]
  const { number } = p
  t.deepEqual(
    [(await p.exchange({ number: number - 1 })).notices, (await p.exchange({ number })).notices],
    [first, second],
  )

  const received = p.exchange({ settled: [{ ...a, fence: 8 }], acknowledged: number })

  t.deepEqual((await received).notices?.lostRuns, [a.seq])
})

test('replay: the reply to a committed put can be requested by its number, though its jobs are gone, and by a worker that restarts', async (t, subject) => {
  const { p, db } = await two(subject)
  const given = { id: 'x', payload: 'x', extras: { fingerprint: 'f' } }
  await p.put([given])
  const request = p.putRequest(['a', given, 'b'])
  const { first, existed } = (await p.send(request)) as PutReply
  await p.exchange({ settled: await p.claim() })
  const restarted = await db.attach({}, p.token)

  t.is(existed.length, 1)
  for (const worker of [p, restarted]) t.deepEqual(await worker.replay(request), { first, existed })
})

test('replay: a put that was refused, or whose commit failed, has no reply, and neither has that of another worker', async (t, subject) => {
  const { p, other } = await two(subject)
  const refused = p.putRequest(['a', 'b'], 1)
  t.true(await rejects(p.send(refused)))
  const failed = p.putRequest(['c'])
  const mend = p.breakCommits()
  t.true(await rejects(p.send(failed)))
  mend()
  const elsewhere = other.putRequest(['d'])
  await other.send(elsewhere)

  t.is(await p.replay(refused), undefined)
  t.is(await p.replay(failed), undefined)
  t.is(await p.replay({ ...elsewhere, number: 3 }), undefined)
  t.truthy(await other.replay(elsewhere))
})

test('replay: the replies to puts outlast the recovery of their worker', async (t, subject) => {
  const { p, other, db } = await two(subject)
  const request = p.putRequest(['a'])
  const { first } = (await p.send(request)) as PutReply
  await p.die()
  await other.recover(p)

  const restarted = await db.attach({}, p.token)

  t.like(await restarted.replay(request), { first })
})

test('replay: a put acknowledges the puts before it, and no later ones', async (t, subject) => {
  const { p } = await two(subject)
  const [first, second] = [p.putRequest(['a']), p.putRequest(['b'])]
  await p.transact(first, second)

  await p.send({ ...p.putRequest(['c']), acknowledged: first.number })

  t.like(await p.replay(second), { existed: [] })
})

test('replay: a command that sets a value changes nothing the second time', async (t, subject) => {
  const { p, other } = await two(subject, { keys: { width: 2, rate: [], weight: 1, order: 'fair' } })
  const rule = { limit: 2, perMs: 1_000, unit: undefined, burst: undefined } as unknown as RateRule
  const commands: readonly CommandRequest['command'][] = [
    { kind: 'rate', rules: [rule] },
    { kind: 'globalWidth', width: 3 },
    { kind: 'pause', paused: true },
    { kind: 'key', key: 'a', change: { width: 1, paused: true } },
    { kind: 'clearOverrides', of: ['rate', 'keys'] },
  ]
  for (const command of commands) {
    // The version of the keys grows with each command.
    const { keys: _, keyChange: changed, ...first } = await p.command(command)
    const { keys } = await other.exchange({ mayLaunch: false, room: 0 })

    const { keys: __, keyChange: repeated, ...second } = await p.command(command)

    t.deepEqual(second, first, command.kind)
    t.deepEqual([repeated?.key, repeated?.override], [changed?.key, changed?.override], command.kind)
    const after = await other.exchange({ mayLaunch: false, room: 0 })
    t.deepEqual(after.keys?.overrides, keys?.overrides, command.kind)
  }
})
