/** Ended jobs and ids: how long, and how many of them, are kept. */
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, keep, payloads, settle, wall } from './session.ts'

export const kept: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(kept)

it('B22: ended jobs are kept for their time, and stay counted when forgotten', async (t, { open }) => {
  const session = await open()
  const [a, b] = [job('a'), job('b')]
  await session.put([a, b], 0, wall)
  await claim(session)
  await exchange(session, { settled: [settle(a, 'finished'), settle(b, 'failed', { error: 'e' })] })
  t.deepEqual([await session.find(a), await session.find(b)], [undefined, b])
  await exchange(session, { now: 1_000 })
  t.is(await session.find(b), undefined)
  t.deepEqual([session.counts.finished, session.counts.failed], [1, 1])
})
it('B22: no more ended jobs are kept than `most`, and the oldest go first', async (t, { open }) => {
  const session = await open({ keep: { ...keep, most: 3 } })
  const jobs = Array.from({ length: 8 }, (_, i) => job(i))
  await session.put(jobs, 0, wall)
  await claim(session)
  const found = async (): Promise<number[]> => {
    const all = await Promise.all(jobs.map(one => session.find(one)))
    return all.flatMap((one, i) => (one && one.state !== 'underway' ? i : []))
  }
  for (const [i, one] of jobs.slice(0, 6).entries()) {
    await exchange(session, { now: i, settled: [settle(one, i % 2 ? 'failed' : 'cancelled', { error: 'e' })] })
  }
  t.deepEqual(await found(), [3, 4, 5])
  await exchange(session, { now: 6, settled: jobs.slice(6).map(one => settle(one, 'failed', { error: 'e' })) })
  t.deepEqual(await found(), [5, 6, 7])
  t.deepEqual([session.counts.failed, session.counts.cancelled], [5, 3])
  const query = { state: 'failed', key: undefined, limit: 9, after: undefined } as const
  t.deepEqual(payloads(await session.list(query)), [7, 6, 5])
})
it('B22: no more ids are remembered than `most`, and the oldest go first', async (t, { open }) => {
  const session = await open({ keep: { ...keep, most: 2 } })
  const ids = ['a', 'b', 'c', 'd']
  for (const [now, id] of ids.entries()) {
    const one = job(id, { id })
    await session.put([one], now, wall)
    await claim(session)
    await exchange(session, { now, settled: [settle(one, 'finished')] })
  }
  const existed = await Promise.all(ids.map(async id => (await session.put([job(id, { id })], 9, wall))?.size === 1))
  t.deepEqual(existed, [false, false, true, true])
})
it('B22: jobs beyond a lowered `most` are forgotten in bounded steps', async (t, { make, attach }) => {
  const backlog = await make()
  const first = await attach(backlog)
  const jobs = Array.from({ length: 400 }, (_, i) => job(i))
  await first.put(jobs, 0, wall)
  await claim(first, 400)
  await exchange(first, { settled: jobs.map(one => settle(one, 'failed', { error: 'e' })) })
  await first.close()
  const second = await attach(backlog, { keep: { ...keep, most: 10 } })
  const left = async (): Promise<number> => {
    const query = { state: 'failed', key: undefined, limit: 500, after: undefined } as const
    return (await second.list(query)).length
  }
  await exchange(second)
  t.true((await left()) >= 200, 'an exchange forgets a bounded number')
  for (let i = 0; i < 5; i++) await exchange(second)
  t.is(await left(), 10)
})
