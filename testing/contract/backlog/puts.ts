/** Puts: accepted as a whole or not at all, and the ids that identify jobs. */
import { parseRate } from '../../../lib/rate/rules.ts'
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, payloads, settle, wall } from './session.ts'

export const puts: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(puts)

it('B10: a put is accepted whole and in order, or not at all', async (t, { open }) => {
  const session = await open({ size: 3 })
  await session.put([job(1), job(2)], 0, wall)
  await t.throwsAsync(async () => session.put([job(3), job(4)], 0, wall), { code: 'QUEUE_FULL' })
  t.is(session.counts.pending, 2)
  t.deepEqual(payloads(await claim(session)), [1, 2])
})
it('B10: a cost that no window holds is refused, with the whole batch', async (t, { open }) => {
  const session = await open({ rate: parseRate('rate', { limit: 10, per: 1_000, of: 'tokens' }) })
  await t.throwsAsync(async () => session.put([job(1), job(2, { cost: { tokens: 11 } })], 0, wall), { code: 'COST' })
  t.is(session.counts.pending, 0)
})
it('B11: an id is remembered while its job is kept and longer, and conflicts with another payload', async (t, {
  open,
}) => {
  const session = await open()
  const a = job('a', { id: 'x' })
  t.is(await session.put([a], 0, wall), undefined)
  const twin = job('a', { id: 'x' })
  t.is((await session.put([twin], 0, wall))?.get(twin), a)
  await t.throwsAsync(async () => session.put([job(1), job('b', { id: 'x' })], 0, wall), { code: 'ID_CONFLICT' })
  t.is(session.counts.pending, 1)
  await claim(session)
  await exchange(session, { settled: [settle(a, 'finished')] })
  t.true((await session.put([job('a', { id: 'x' })], 999, wall))?.size === 1)
  t.is(await session.put([job('b', { id: 'x' })], 1_000, wall), undefined)
})
