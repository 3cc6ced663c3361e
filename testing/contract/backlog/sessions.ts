/** Sessions of one name in one process: which one works the name, what they share, and how they notify one another. */
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, payloads, settle, wall } from './session.ts'

export const sessions: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(sessions)

it('B29: a shared pause stops all sessions of the name, and wakes them, as puts and rates do', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  let woken = 0
  const session = await attach(backlog, { wake: () => woken++ })
  const other = await attach(backlog, { works: false })
  await other.put([job('a')], 0, wall)
  await other.command({ kind: 'pause', paused: true }, 0, wall)
  await other.command({ kind: 'rate', rules: [] }, 0, wall)
  // Over a network a wake may arrive after the reply to what has caused it.
  for (let i = 0; i < 100 && woken < 3; i++) await exchange(session)
  t.is(woken, 3)
  const { sharedPaused, claimed } = await exchange(session, { room: 9 })
  t.deepEqual([sharedPaused, claimed.length], [true, 0])
  await other.command({ kind: 'pause', paused: false }, 0, wall)
  t.is((await claim(session)).length, 1)
})
it('B27: a repeated declaration leaves an override in force, and counts again once the override is cleared', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  const rule = (limit: number) => ({ limit, perMs: 100, unit: undefined, burst: undefined })
  const rulesAfter = async (set: readonly ReturnType<typeof rule>[]): Promise<readonly unknown[]> => {
    const session = await attach(backlog, { rate: [rule(1)] })
    const { rules } = session
    await session.command({ kind: 'rate', rules: set }, 0, wall)
    await session.close()
    return rules
  }
  t.deepEqual(await rulesAfter([rule(5)]), [rule(1)])
  t.deepEqual(await rulesAfter([]), [rule(5)])
  t.deepEqual(await rulesAfter([rule(5)]), [rule(1)])
})
it('B26: a name is taken by its working session until that closes, and its jobs stay', async (t, { make, attach }) => {
  const backlog = await make()
  const session = await attach(backlog)
  await session.put([job('a')], 0, wall)
  await t.throwsAsync(() => attach(backlog), { code: 'QUEUE_NAME_TAKEN' })
  await session.close()
  t.is((await attach(backlog)).counts.pending, 1)
})
it('B27: a repeated declaration of the global width leaves an override in force, and another one replaces it', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  const after = async (globalWidth: number | undefined, set: number): Promise<unknown> => {
    const session = await attach(backlog, { globalWidth })
    const found = [session.globalWidth, session.overridden?.globalWidth ?? false]
    await session.command({ kind: 'globalWidth', width: set }, 0, wall)
    await session.close()
    return found
  }
  t.deepEqual(await after(3, 5), [3, false])
  t.deepEqual(await after(3, 5), [5, true])
  t.deepEqual(await after(undefined, 3), [5, true])
  t.deepEqual(await after(3, 0), [3, false])
  t.deepEqual(await after(Infinity, 0), [Infinity, false])
})
it('B36: the global width bounds the bodies of all sessions, and one without a handler sets it', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  let wake = (): void => {}
  const session = await attach(backlog, { globalWidth: 2, wake: () => wake() })
  const other = await attach(backlog, { works: false })
  await session.put([job('a'), job('b'), job('c'), job('d')], 0, wall)
  const [a, b] = (await claim(session)) as [ReturnType<typeof job>, ReturnType<typeof job>]
  t.deepEqual([a.payload, b.payload, other.globalWidth], ['a', 'b', 2])

  t.deepEqual(await claim(session), [])
  const woken = new Promise<void>(resolve => {
    wake = resolve
  })
  await other.command({ kind: 'globalWidth', width: 3 }, 0, wall)
  await woken
  t.deepEqual(payloads(await claim(session)), ['c'])
  t.is(session.globalWidth, 3)

  await exchange(session, { settled: [settle(a, 'cancelled', { bodyContinues: true })] })
  t.deepEqual(await claim(session), [])
  await exchange(session, { endedBodies: [a] })
  t.deepEqual(payloads(await claim(session)), ['d'])
})
it('B36: each override can be removed alone, and the last declaration is in force again', async (t, { open }) => {
  const rule = (limit: number) => ({ limit, perMs: 100, unit: undefined, burst: undefined })
  const session = await open({ rate: [rule(1)], globalWidth: 2 })
  await session.command({ kind: 'rate', rules: [rule(5)] }, 0, wall)
  await session.command({ kind: 'globalWidth', width: 9 }, 0, wall)
  t.deepEqual(session.overridden, { rate: true, globalWidth: true })

  await session.command({ kind: 'clearOverrides', of: ['globalWidth'] }, 0, wall)
  t.deepEqual([session.globalWidth, session.rules], [2, [rule(5)]])
  await session.command({ kind: 'clearOverrides', of: ['rate', 'keys'] }, 0, wall)
  t.deepEqual([session.globalWidth, session.rules, session.overridden], [2, [rule(1)], undefined])
})
it('B37: queues of other names share a named rule, its starts and what holds for it, and one is woken by the other', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  const rule = (limit: number) => ({ limit, perMs: 1_000, unit: undefined, burst: undefined, name: 'gateway' })
  let woken = 0
  const a = await attach(backlog, { name: 'a', rate: [rule(2)] })
  const b = await attach(backlog, { name: 'b', rate: [rule(2)], wake: () => woken++ })
  await a.put([job('a1'), job('a2')], 0, wall)
  await b.put([job('b1'), job('b2')], 0, wall)
  t.deepEqual(payloads(await claim(a)), ['a1', 'a2'])
  const refused = await exchange(b, { room: 9 })
  t.deepEqual([refused.claimed.length, refused.limited?.rule?.name], [0, 'gateway'])

  await a.command({ kind: 'rate', rules: [rule(3)] }, 0, wall)
  t.deepEqual(payloads(await claim(b)), ['b1'])
  t.true(woken > 0)
  t.is(b.rules[0]?.limit, 3)
  t.is(b.overridden?.rate, true)
  await b.command({ kind: 'clearOverrides', of: ['rate'] }, 0, wall)
  await exchange(a)
  t.deepEqual([a.rules[0]?.limit, a.overridden], [2, undefined])
})
