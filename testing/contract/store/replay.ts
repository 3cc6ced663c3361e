/**
 * A turn whose reply was lost gets the same reply again: once it has changed the database, nothing else shows what it
 * reported.
 */
import { type ContractTest, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import type { Ending } from '../store-requests.ts'

export const replays: ContractTest<StoreSubject>[] = []
const test = testsInto(replays)

/** A process that takes turns, and another one on the same file. */
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
  await other.control({ kind: 'cancel', target: a.seq, reason: '"enough"' })

  const { notices } = await p.turn()

  t.deepEqual(notices?.cancelRequests, [{ seq: a.seq, reason: '"enough"' }])
  t.deepEqual((await p.turn({ number: p.number })).notices, notices)
})

test('replay: a repeated exchange reports the same lost runs, so that no ending of them is taken for stored', async (t, subject) => {
  const { p } = await two(subject)
  await p.put(['a'])
  const [a] = (await p.claim()) as [Ending]

  const { notices } = await p.turn({ settled: [{ ...a, fence: 7 }] })

  t.deepEqual(notices?.lostRuns, [a.seq])
  t.deepEqual((await p.turn({ number: p.number, settled: [{ ...a, fence: 7 }] })).notices, notices)
})

test('replay: a repeated exchange reports the same jobs of a dead process, as they are by now', async (t, subject) => {
  const { p, other } = await two(subject)
  await other.put(['a'])
  const [a] = (await other.launch()) as [Ending]
  await other.die()
  await p.recover(other)

  const { notices, claimed } = await p.turn({ room: 1 })

  t.like(notices?.recovered, [{ seq: a.seq, state: 'underway', crashes: 1 }])
  const again = await p.turn({ number: p.number })
  t.deepEqual([again.notices, again.claimed], [notices, claimed])
})

test('replay: a repeated exchange reports the same jobs that ended unrun, and how those of a dead process ended', async (t, subject) => {
  const { p, other } = await two(subject, {
    afterCrash: 'fail',
    rate: [{ limit: 1, perMs: 1_000, unit: 'n', burst: undefined }],
  })
  await other.put([{ payload: 'a', more: { cost: { n: 1 } } }])
  const [a] = (await other.launch()) as [Ending]
  const never = (await p.put([{ payload: 'b', more: { cost: { n: 1 } } }])).first
  await p.control({ kind: 'rate', rules: [{ limit: 0, perMs: 1_000, unit: 'n', burst: undefined }] })
  await other.die()
  await p.recover(other)

  const { notices, endedUnrun } = await p.turn({ room: 9 })

  t.deepEqual([notices?.endedByRecovery, endedUnrun.map(({ seq }) => seq)], [[a.seq], [never]])
  const again = await p.turn({ number: p.number })
  t.deepEqual([again.notices, again.endedUnrun], [notices, endedUnrun])
})

test('replay: each of several exchanges in flight is answered with notices of its own', async (t, subject) => {
  const { p } = await two(subject)
  await p.put(['a', 'b'])
  const [a, b] = (await p.claim()) as [Ending, Ending]
  const lost = async ({ seq }: Ending) => (await p.turn({ settled: [{ seq, fence: 7 }], acknowledged: 0 })).notices
  const [first, second] = [await lost(a), await lost(b)]
  const { number } = p
  t.deepEqual([(await p.turn({ number: number - 1 })).notices, (await p.turn({ number })).notices], [first, second])

  const heard = p.turn({ settled: [{ ...a, fence: 8 }], acknowledged: number })

  t.deepEqual((await heard).notices?.lostRuns, [a.seq])
})
