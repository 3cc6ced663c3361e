/** Sessions of one name in one process: which one works the name, what they share, and how they notify one another. */
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, job, turn, wall } from './session.ts'

export const sessions: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(sessions)

it('B29: a shared pause holds all sessions of the name, and wakes them, as puts and rates do', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  let woken = 0
  const session = await attach(backlog, { wake: () => woken++ })
  const other = await attach(backlog, { works: false })
  await other.put([job('a')], 0, wall)
  await other.control({ kind: 'pause', paused: true }, 0, wall)
  await other.control({ kind: 'rate', rules: [] }, 0, wall)
  t.is(woken, 3)
  const { sharedPaused, claimed } = await turn(session, { room: 9 })
  t.deepEqual([sharedPaused, claimed.length], [true, 0])
  await other.control({ kind: 'pause', paused: false }, 0, wall)
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
    await session.control({ kind: 'rate', rules: set }, 0, wall)
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
