/** Commands: they change jobs that wait or have ended. */
import type { DueTime } from '../../../lib/backlog.ts'
import type { JobRecord } from '../../../lib/job.ts'
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, payloads, settle, wall } from './session.ts'

export const commands: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(commands)

it('B20: cancel, retry, reprioritize and remove change jobs that wait or have ended, and counts are conserved', async (t, {
  open,
}) => {
  const session = await open()
  const [a, b, c] = [job('a'), job('b'), job('c')]
  await session.put([a, b, c], 0, wall)
  t.deepEqual((await session.command({ kind: 'cancel', target: a, reason: 'no' }, 0, wall)).changed, [a])
  t.is(a.extras?.error, 'no')
  await session.command({ kind: 'reprioritize', target: c, priority: -1 }, 0, wall)
  await session.command({ kind: 'retry', target: a.id }, 0, wall)
  await session.command({ kind: 'remove', target: b }, 0, wall)
  t.is(await session.find(b), undefined)
  t.deepEqual(session.counts, { pending: 2, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 })
  t.deepEqual(await claim(session), [c, a])
  t.deepEqual((await session.command({ kind: 'cancel', target: a, reason: 0 }, 0, wall)).changed, [])
})
it('B20: a retried job may start at once, shows no error, counts its attempts from 1, and keeps its place', async (t, {
  open,
}) => {
  const session = await open()
  const [a, b, c] = [job('a'), job('b', { dueAt: 500 }), job('c')]
  await session.put([a, b, c], 0, wall)
  await exchange(session, { room: 1 })
  const { fence } = a
  await exchange(session, { settled: [settle(a, 'failed', { error: 'e' })] })
  await session.command({ kind: 'cancel', target: b, reason: 'no' }, 0, wall)

  for (const target of [b, a]) await session.command({ kind: 'retry', target }, 0, wall)

  t.deepEqual([a.state, b.state], ['pending', 'pending'])
  t.deepEqual([a.extras?.error, b.extras?.error, b.extras?.dueAt], [undefined, undefined, undefined])
  t.deepEqual(await claim(session), [a, b, c])
  t.deepEqual([a.attempt, b.attempt], [1, 1])
  t.true(a.fence > fence)
})
it('B20: reschedule and promote change when a waiting job comes due, and it keeps its place', async (t, { open }) => {
  const session = await open()
  const [a, b, c] = [job('a'), job('b', { dueAt: 500 }), job('c', { runAt: wall + 500 })]
  await session.put([a, b, c], 0, wall)
  const change = (kind: 'reschedule' | 'promote', target: JobRecord, when: DueTime = {}) =>
    session.command({ kind, target, ...when }, 0, wall)

  t.deepEqual((await change('reschedule', a, { waitMs: 100 })).changed, [a])
  t.deepEqual((await change('reschedule', b, { runAt: wall + 200 })).changed, [b])
  t.deepEqual((await change('promote', c)).changed, [c])
  t.deepEqual((await change('promote', c)).changed, [])
  t.deepEqual([a.state, b.state, c.state], ['delayed', 'delayed', 'pending'])
  t.like(session.counts, { pending: 1, delayed: 2 })
  t.deepEqual([c.extras?.dueAt, c.extras?.runAt], [undefined, undefined])
  t.is((await exchange(session, {})).nextLookAt, 100)
  t.deepEqual(await claim(session), [c])
  t.deepEqual((await exchange(session, { now: 100, wall: wall + 100, room: 9 })).claimed, [a])
  t.deepEqual((await exchange(session, { now: 200, wall: wall + 200, room: 9 })).claimed, [b])
  for (const kind of ['reschedule', 'promote'] as const) {
    await t.throwsAsync(async () => change(kind, a), { code: 'JOB_STATE' })
    await t.throwsAsync(async () => session.command({ kind, target: 'none' }, 0, wall), { code: 'JOB_UNKNOWN' })
  }
})
it('B20: remove frees the id, also of a job that is gone', async (t, { open }) => {
  const session = await open()
  const [waits, ended] = [job('a', { id: 'waits' }), job('b', { id: 'ended', priority: -1 })]
  await session.put([waits, ended], 0, wall)
  await exchange(session, { room: 1 })
  await exchange(session, { settled: [settle(ended, 'finished')] })

  t.is((await session.command({ kind: 'remove', target: waits }, 0, wall)).count, 1)
  t.is((await session.command({ kind: 'remove', target: 'ended' }, 0, wall)).count, 1)
  t.is((await session.command({ kind: 'remove', target: 'ended' }, 0, wall)).count, 0)
  t.like(session.counts, { pending: 0, finished: 0 })
  t.is(await session.put([job('x', { id: 'waits' }), job('y', { id: 'ended' })], 0, wall), undefined)
})
for (const kind of ['clear', 'return'] as const) {
  it(`B21: ${kind} takes all waiting jobs, most important first, and leaves jobs underway`, async (t, sessions) => {
    const backlog = await sessions.make()
    // A durable backlog keeps its jobs and returns none.
    if (kind === 'return' && backlog.durable) return void t.true(backlog.durable)
    const session = await sessions.attach(backlog)
    const [a, b, c] = [job('a'), job('b', { dueAt: 9 }), job('c', { priority: -1 })]
    await session.put([job('u', { priority: -2 })], 0, wall)
    await claim(session)
    await session.put([a, b, c], 0, wall)
    t.deepEqual((await session.command({ kind }, 0, wall)).changed, [c, a, b])
    const cancelled = kind === 'clear' ? 3 : 0
    t.deepEqual(session.counts, { pending: 0, delayed: 0, underway: 1, finished: 0, failed: 0, cancelled })
  })
}
it('B21: return by a session that does not work the name leaves the jobs to the others that have it open', async (t, {
  make,
  attach,
}) => {
  const backlog = await make()
  const session = await attach(backlog)
  const other = await attach(backlog, { works: false })
  await other.put([job('a')], 0, wall)
  t.deepEqual((await other.command({ kind: 'return' }, 0, wall)).changed, [])
  await other.close()
  t.deepEqual(payloads(await claim(session)), ['a'])
})
it('B20: a job that is underway is neither retried, reprioritized nor removed', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  for (const kind of ['retry', 'remove'] as const) {
    await t.throwsAsync(async () => session.command({ kind, target: a }, 0, wall), { code: 'JOB_STATE' })
  }
  const change = { kind: 'reprioritize', target: a, priority: 1 } as const
  await t.throwsAsync(async () => session.command(change, 0, wall), { code: 'JOB_STATE' })
  await t.throwsAsync(async () => session.command({ ...change, target: 'none' }, 0, wall), { code: 'JOB_UNKNOWN' })
})
