/** Queries: which jobs are listed, in which order, and why a job waits. */
import type { JobRecord } from '../../../lib/job.ts'
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, payloads, settle, wall } from './session.ts'

export const queries: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(queries)

it('B23: a list of waiting jobs is in the order of start, any other has the latest first, and a cursor goes on', async (t, {
  open,
}) => {
  const session = await open()
  const [a, b, c] = [job('a', { priority: 1 }), job('b', { key: 'k' }), job('c')]
  await session.put([a, b, c], 0, wall)
  const query = { state: undefined, key: undefined, limit: 9, after: undefined }
  t.deepEqual(await session.list(query), [c, b, a])
  t.deepEqual(await session.list({ ...query, state: 'pending', limit: 2 }), [b, c])
  t.deepEqual(await session.list({ ...query, state: 'pending', after: c.id }), [a])
  t.deepEqual(await session.list({ ...query, key: 'k' }), [b])
})
it('B23: a list finds the few jobs of a key among many others, and returns as many as requested', async (t, {
  open,
}) => {
  const session = await open()
  const many = Array.from({ length: 2_500 }, (_, i) => job(i, { key: 'many' }))
  const [first, last] = [job('first', { key: 'few', priority: -1 }), job('last', { key: 'few', priority: 1 })]
  await session.put([last, ...many, first], 0, wall)
  const query = { state: undefined, key: 'few', limit: 9, after: undefined }
  t.deepEqual(payloads(await session.list({ ...query, state: 'pending' })), ['first', 'last'])
  t.deepEqual(payloads(await session.list({ ...query, state: 'pending', after: first })), ['last'])
  t.deepEqual(payloads(await session.list(query)), ['first', 'last'])
  t.deepEqual(await session.list({ ...query, key: 'none' }), [])
  const page = await session.list({ ...query, state: 'pending', key: 'many', limit: 2_400 })
  t.deepEqual(payloads(page), payloads(many.slice(0, 2_400)))
})
it('B23: a cursor goes on from where its job stood, also when that is gone', async (t, { open }) => {
  const session = await open()
  const [a, b, c, d] = [job('a'), job('b', { priority: 1 }), job('c', { priority: 1 }), job('d', { priority: 2 })]
  const [x, y, z] = [0, 1, 2].map(i => job(i, { dueAt: 70, priority: i })) as [JobRecord, JobRecord, JobRecord]
  await session.put([d, c, b, a, x, y, z], 0, wall)
  await session.command({ kind: 'remove', target: y }, 0, wall)
  const query = { state: 'pending', key: undefined, limit: 9, after: undefined } as const
  t.deepEqual(await session.list({ ...query, state: 'delayed', after: y }), [z])
  t.deepEqual(await session.list({ ...query, state: undefined, after: y }), [x, a, b, c, d])

  const page = await claim(session, 2)
  t.deepEqual(await session.list({ ...query, after: page[1] }), [b, d])
  await exchange(session, { settled: page.map(record => settle(record, 'finished')) })
  t.deepEqual(await session.list({ ...query, after: page[1] }), [b, d])
  t.deepEqual(await session.list({ ...query, state: undefined, after: c }), [d])
})
it('B23: a cursor by id goes on while its job is kept, and is refused when none is', async (t, { open }) => {
  const session = await open()
  const [a, b, c, d] = [job('a'), job('b', { id: 'given' }), job('c'), job('d')]
  await session.put([a, b, c, d], 0, wall)
  const query = { state: 'pending', key: undefined, limit: 9, after: undefined } as const
  const page = await claim(session, 2)
  t.deepEqual(await session.list({ ...query, after: a.id }), [c, d])
  await exchange(session, { settled: [settle(a, 'failed'), settle(b, 'finished')] })
  t.deepEqual(await session.list({ ...query, after: page[0]?.id }), [c, d])
  await session.command({ kind: 'remove', target: c }, 0, wall)
  const repeated = job('b', { id: 'given' })
  t.is((await session.put([repeated], 0, wall))?.get(repeated), repeated)
  for (const [after, id] of [
    ...['none', 'given', c.id].map(gone => [gone, gone] as const),
    [repeated, 'given'] as const,
  ]) {
    for (const state of ['pending', undefined] as const) {
      const error = await t.throwsAsync(async () => session.list({ ...query, state, after }), { code: 'JOB_UNKNOWN' })
      t.true(String(error).includes(id))
    }
  }
})
it('B24: explain gives the position, what delays a job, and until when', async (t, { open }) => {
  const session = await open()
  const [a, b, c] = [job('a'), job('b'), job('c', { dueAt: 70 })]
  await session.put([a, b, c], 0, wall)
  t.like(await session.explain(b, 0, wall), { position: 1, why: undefined })
  t.like(await session.explain(c.id, 0, wall), { position: undefined, why: 'delay', notBefore: 70 })
  t.is(await session.explain('none', 0, wall), undefined)
})
