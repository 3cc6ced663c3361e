/** Exchanges: the jobs they settle, claim and charge to the rate. */
import type { Settlement } from '../../../lib/backlog.ts'
import { CostError } from '../../../lib/errors.ts'
import { parseKeys } from '../../../lib/limits/keys.ts'
import { parseRate } from '../../../lib/rate/rules.ts'
import { CheckpointValue } from '../../../lib/text/checkpoint-value.ts'
import type { ContractTest } from '../contract.ts'
import { type BacklogSubject, backlogTestsInto, claim, exchange, job, keep, payloads, settle, wall } from './session.ts'

export const exchanges: ContractTest<BacklogSubject>[] = []
const it = backlogTestsInto(exchanges)

it('B13: the most important jobs are claimed first, at most as many as there is room for', async (t, { open }) => {
  const session = await open()
  await session.put([job('a', { priority: 1 }), job('b'), job('c'), job('d', { priority: -1 })], 0, wall)
  const claimed = await claim(session, 3)
  t.deepEqual(payloads(claimed), ['d', 'b', 'c'])
  t.deepEqual(
    claimed.map(r => [r.state, r.attempt]),
    Array(3).fill(['underway', 1]),
  )
  t.deepEqual([session.counts.pending, session.counts.underway], [1, 3])
})
it('B14: an ending of another claim changes nothing', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  await exchange(session, { settled: [settle(a, 'finished', { fence: 2 })] })
  t.is(a.state, 'underway')
  await exchange(session, { settled: [settle(a, 'finished'), settle(a, 'failed')] })
  t.is(a.state, 'finished')
  t.deepEqual([session.counts.finished, session.counts.failed], [1, 0])
})
for (const kind of ['retry', 'snooze', 'throttled', 'interrupted', 'notLaunched'] as const) {
  it(`B15: ${kind} ${kind === 'retry' ? 'uses an attempt' : 'uses no attempt'} and takes the old place`, async (t, {
    open,
  }) => {
    const session = await open()
    const [a, b] = [job('a'), job('b')]
    await session.put([a, b], 0, wall)
    await claim(session, 1)
    await exchange(session, { settled: [settle(a, kind)] })
    t.is(a.attempt, kind === 'retry' ? 1 : 0)
    t.deepEqual(payloads(await claim(session)), ['a', 'b'])
  })
}
it('B15: retry and snooze wait from the exchange on', async (t, { open }) => {
  const session = await open()
  const a = job('a')
  await session.put([a], 0, wall)
  for (const [kind, now] of [
    ['retry', 0],
    ['snooze', 100],
  ] as const) {
    await claim(session, 1, now)
    const { nextLookAt } = await exchange(session, {
      now,
      wall: wall + now,
      settled: [settle(a, kind, { waitMs: 50 })],
    })
    t.is(nextLookAt, now + 50)
    t.is(a.state, 'delayed')
    t.is((await claim(session, 1, now + 49)).length, 0)
  }
  t.deepEqual(await claim(session, 1, 150), [a])
})
it('B15: throttled holds the rate of the queue, or of its key alone', async (t, { open }) => {
  const session = await open()
  const [a, b, c] = [job('a', { key: 'k' }), job('b', { key: 'k' }), job('c')]
  await session.put([a, b, c], 0, wall)
  await claim(session, 1)
  await exchange(session, { settled: [settle(a, 'throttled', { waitMs: 50, heldKey: 'k' })] })
  t.deepEqual(await claim(session, 9, 49), [c])
  t.like(await session.explain(a, 49, wall), { why: 'hold', key: 'k' })
  t.deepEqual(await claim(session, 9, 50), [a, b])
  await exchange(session, { now: 50, settled: [settle(a, 'throttled', { waitMs: 50 })] })
  t.deepEqual(await claim(session, 9, 99), [])
  t.deepEqual(await claim(session, 9, 100), [a])
})
it('B15: limited names the key that is held, also where no keys are declared', async (t, { open }) => {
  const session = await open()
  const [a, b, c] = [job('a', { key: 'k' }), job('b', { key: 'k' }), job('c', { key: 'l' })]
  await session.put([a, b, c], 0, wall)
  await claim(session, 3)
  const holds = [settle(a, 'throttled', { waitMs: 50, heldKey: 'k' })]
  const first = await exchange(session, {
    settled: [...holds, settle(c, 'throttled', { waitMs: 70, heldKey: 'l' })],
    room: 9,
  })
  t.deepEqual(first.limited, { rule: undefined, key: 'k', until: wall + 50 })
  t.deepEqual([first.nextLookAt, first.nextLookExact], [50, true])
  t.like((await session.listKeys({ limit: 9 }, 0, wall))[0], { key: 'k', why: 'hold', until: 50 })

  await claim(session, 9, 50)
  const second = await exchange(session, { now: 50, wall: wall + 50, room: 9 })
  t.deepEqual(second.limited, { rule: undefined, key: 'l', until: wall + 70 })

  await claim(session, 9, 70)
  t.is((await exchange(session, { now: 70, wall: wall + 70, room: 9 })).limited, undefined)
})
it('B15: throttled holds the named rule, and the key besides if it names both', async (t, { open }) => {
  const gateway = parseRate('rate', { name: 'gateway', limit: 9, per: 1_000 })
  const session = await open({ rate: gateway })
  const [a, b, c] = [job('a', { key: 'k' }), job('b', { key: 'k' }), job('c')]
  await session.put([a, b, c], 0, wall)
  await claim(session, 1)
  const holding = { waitMs: 50, heldRule: 'gateway' }
  const { limited, nextLookAt } = await exchange(session, { settled: [settle(a, 'throttled', holding)], room: 9 })
  t.like(limited, { rule: { name: 'gateway', limit: 9 }, until: wall + 50, hold: true })
  t.is(nextLookAt, 50)
  t.like(await session.explain(c, 49, wall), { why: 'hold', rule: { name: 'gateway' }, notBefore: 50 })
  t.deepEqual(await claim(session, 9, 49), [])
  t.deepEqual(await claim(session, 1, 50), [a])

  await exchange(session, { now: 50, settled: [settle(a, 'throttled', { ...holding, heldKey: 'k' })] })
  await exchange(session, { now: 50, settled: [settle(b, 'throttled', { ...holding, heldKey: 'k' })] })
  t.deepEqual(await claim(session, 9, 99), [])
  t.deepEqual(await claim(session, 9, 100), [a, b, c])
})
it('B15: throttled holds the queue if a command has taken the named rule from it', async (t, { open }) => {
  const session = await open({ rate: parseRate('rate', { name: 'gateway', limit: 9, per: 1_000 }) })
  const [a, b] = [job('a'), job('b')]
  await session.put([a, b], 0, wall)
  await claim(session, 1)
  await session.command({ kind: 'rate', rules: [] }, 0, wall)
  await exchange(session, { settled: [settle(a, 'throttled', { waitMs: 50, heldRule: 'gateway' })] })
  t.deepEqual(await claim(session, 9, 49), [])
  t.deepEqual(await claim(session, 9, 50), [a, b])
})
it('B15: where keys are limited, a key that was held is claimed at the instant at which its hold ends', async (t, {
  open,
}) => {
  const session = await open({ keys: parseKeys('keys', { width: 2 }) })
  const [a, b] = [job('a', { key: 'k' }), job('b', { key: 'k' })]
  await session.put([a, b], 0, wall)
  await claim(session, 1)
  await exchange(session, { settled: [settle(a, 'throttled', { waitMs: 50, heldKey: 'k' })] })
  t.deepEqual(await claim(session, 9, 49), [])
  t.deepEqual(await claim(session, 9, 50), [a, b])
})
it('B25: a delay is by the steady clock and runAt by the wall', async (t, { open }) => {
  const session = await open()
  const [a, b] = [job('a', { dueAt: 100 }), job('b', { runAt: wall + 100 })]
  await session.put([a, b], 0, wall)
  t.is(session.counts.delayed, 2)
  t.deepEqual((await exchange(session, { now: 99, wall: wall + 100, room: 9 })).claimed, [b])
  t.deepEqual((await exchange(session, { now: 100, wall, room: 9 })).claimed, [a])
})
it('B16: the rate is charged in the claim, refunded for notLaunched, and counts from the confirmed launch', async (t, {
  open,
}) => {
  const session = await open({ rate: parseRate('rate', { limit: 1, per: 1_000 }) })
  const [a, b] = [job('a'), job('b')]
  await session.put([a, b], 0, wall)
  const first = await exchange(session, { room: 9 })
  t.deepEqual(first.claimed, [a])
  t.is(first.nextLookExact, true)
  const grant = first.grants?.[0] as number
  const second = await exchange(session, { now: 10, room: 9, settled: [settle(a, 'notLaunched', { grant })] })
  t.deepEqual(second.claimed, [a])
  const confirmed = [{ grant: second.grants?.[0] as number, at: 20 }]
  t.is((await exchange(session, { now: 20, room: 9, confirmed })).nextLookAt, 1_020)
  t.deepEqual(await claim(session, 9, 1_019), [])
  t.deepEqual(await claim(session, 9, 1_020), [b])
})
it('B16: the grace grows while jobs go back because it was too short, and shrinks again', async (t, { open }) => {
  const session = await open({ rate: parseRate('rate', { limit: 1, per: 1_000 }) })
  const a = job('a')
  await session.put([a], 0, wall)
  const graces: number[] = []
  let now = 0
  let settled: Settlement[] = []
  for (const lateMs of [-1, 0, 7, -1, 0]) {
    const { claimed, grants, graceUntil } = await exchange(session, { now, room: 9, settled })
    t.deepEqual(claimed, [a])
    graces.push(graceUntil - now)
    settled = [settle(a, 'notLaunched', { grant: grants?.[0] as number })]
    now = graceUntil + lateMs
  }
  t.deepEqual(graces, [50, 50, 100, 200, 200])

  const { grants } = await exchange(session, { now, room: 9, settled })
  const confirmed = [{ grant: grants?.[0] as number, at: now }]
  await exchange(session, { now, confirmed, settled: [settle(a, 'throttled', { waitMs: 0 })] })
  const { graceUntil } = await exchange(session, { now: now + 1_000, room: 9 })
  t.is(graceUntil - now - 1_000, 392)
})
it('B17: a job that a lowered limit makes impossible fails instead of being claimed', async (t, { open }) => {
  const session = await open({ rate: parseRate('rate', { limit: 10, per: 1_000, of: 'tokens' }) })
  const a = job('a', { cost: { tokens: 5 } })
  await session.put([a], 0, wall)
  await session.command({ kind: 'rate', rules: parseRate('rate', { limit: 4, per: 1_000, of: 'tokens' }) }, 0, wall)
  t.deepEqual((await exchange(session, { room: 9 })).endedUnrun, [a])
  t.true(a.state === 'failed' && a.extras?.error instanceof CostError)
})
it('B14: a finished value is kept where results are, and a checkpoint is of the claim that runs', async (t, {
  open,
}) => {
  const session = await open({ keep: { ...keep, finishedMs: 10, results: true } })
  const a = job('a')
  await session.put([a], 0, wall)
  await claim(session)
  await exchange(session, { checkpoints: [{ record: a, fence: 2, value: CheckpointValue.of('no', true) }] })
  t.is(a.extras?.checkpoint, undefined)
  await exchange(session, { checkpoints: [{ record: a, fence: 1, value: CheckpointValue.of('yes', true) }] })
  await exchange(session, { settled: [settle(a, 'finished', { value: 7, text: '7' })] })
  t.deepEqual([a.extras?.checkpoint?.read(), a.extras?.resultKept, a.extras?.value], ['yes', true, 7])
})
it('B38: a settle with crashes makes a suspect of its job, and no more suspects are claimed than there is room for', async (t, {
  open,
}) => {
  const session = await open()
  const jobs = [job('a'), job('b'), job('c'), job('d')]
  await session.put(jobs, 0, wall)
  await claim(session)
  const crashes = [1, 1, 2, 2]
  const settled = jobs.map((record, i) => settle(record, 'interrupted', { crashes: crashes[i] }))
  await exchange(session, { settled })
  t.deepEqual(
    jobs.map(({ state, attempt, extras }) => [state, attempt, extras?.crashes]),
    crashes.map(count => ['pending', 0, count]),
  )
  const none = await exchange(session, { room: 4, now: 10_000, suspectRoom: { beside: 0, alone: 0 } })
  t.deepEqual(payloads(none.claimed), [])
  const some = await exchange(session, { room: 4, now: 10_000, suspectRoom: { beside: 1, alone: 1 } })
  t.deepEqual(payloads(some.claimed).sort(), ['a', 'c'])
  const all = await exchange(session, { room: 4, now: 10_000, suspectRoom: { beside: 5, alone: 5 } })
  t.deepEqual(payloads(all.claimed).sort(), ['b', 'd'])
  const end = all.claimed.map(record => settle(record, 'failed', { crashes: 3 }))
  await exchange(session, { settled: end, now: 10_000 })
  t.deepEqual([session.counts.failed, session.counts.underway], [2, 2])
})
