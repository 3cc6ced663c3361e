/**
 * The contract of backlogs (lib/backlog.ts) for several processes, as a suite: each title begins with the number of its
 * rule.
 */

import type { JobRecord } from '../../../lib/job.ts'
import { Deferred } from '../../../lib/support/deferred.ts'
import { job, keep, payloads, settle } from '../backlog/session.ts'
import type { ContractTest } from '../contract.ts'
import { type SharedBacklogSubject, sharedTestsInto } from './worker.ts'

const tests: ContractTest<SharedBacklogSubject>[] = []
const it = sharedTestsInto(tests)

export const sharedBacklogContract: readonly ContractTest<SharedBacklogSubject>[] = tests

/** How long it may take until others notice that a process has died, or does not answer. */
const noticedMs = 5_000

const none = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }

// One backlog.

it('B13: no job is claimed by two processes', async (t, { start }) => {
  const [one, other] = [await start(), await start()]
  await one.put(...Array.from({ length: 20 }, (_, i) => job(i)))

  const exchanges = await Promise.all([one, other, one, other].map(worker => worker.claim(5)))

  t.deepEqual(
    exchanges.flatMap(claimed => payloads(claimed)).sort((a, b) => (a as number) - (b as number)),
    Array.from({ length: 20 }, (_, i) => i),
  )
})
it('B35: the rate is that of all processes together', async (t, { start }) => {
  const rate = [{ limit: 3, perMs: 60_000, unit: undefined, burst: undefined }]
  const [one, other] = [await start({ rate }), await start({ rate })]
  await one.put(...Array.from({ length: 9 }, (_, i) => job(i)))

  const first = await one.claim(2)
  const second = await other.claim(9)
  const third = await one.exchange({ room: 9 })

  t.deepEqual([first.length, second.length, third.claimed.length], [2, 1, 0])
  t.is(third.nextLookExact, true)
  t.true(third.nextLookAt > one.now)
})
it('B36: the global width is that of all processes together, also when one dies', async (t, { start, pass }) => {
  const [one, other] = [await start({ globalWidth: 3 }), await start({ globalWidth: 3 })]
  await one.put(...Array.from({ length: 9 }, (_, i) => job(i)))

  t.is((await one.claim(2)).length, 2)
  const [third] = (await other.claim(9)) as [JobRecord]
  t.deepEqual([(await other.claim(9)).length, (await one.claim(9)).length], [0, 0])
  await other.settle(third)
  t.is((await other.claim(9)).length, 1)

  one.die()
  await pass(noticedMs)
  t.is((await other.claim(9)).length, 2)
})
it('B35: a process reads a global width that another one has set with its next exchange', async (t, { start }) => {
  const [one, other] = [await start({ globalWidth: 1 }), await start({ works: false })]
  await one.put(job('a'), job('b'))
  t.is((await one.claim()).length, 1)

  await other.command({ kind: 'globalWidth', width: 2 })

  t.is((await one.claim()).length, 1)
  t.deepEqual([one.session.globalWidth, one.session.overridden], [2, { rate: false, globalWidth: true }])
})
it('B35: a process reads the overrides of keys that another one has set, also if it sets one itself first', async (t, {
  start,
}) => {
  const [one, other] = [await start(), await start({ works: false })]
  await other.command({ kind: 'key', key: 'a', change: { width: 1 } })
  await one.command({ kind: 'key', key: 'b', change: { width: 2 } })
  t.deepEqual(one.session.keys.overrides.get('b'), { width: 2 }, 'what it has set itself, at once')
  await one.exchange()
  await one.command({ kind: 'key', key: 'c', change: { width: 3 } })
  await other.exchange()

  for (const { session } of [one, other]) {
    t.deepEqual(
      ['a', 'b', 'c'].map(key => session.keys.overrides.get(key)),
      [{ width: 1 }, { width: 2 }, { width: 3 }],
    )
  }
  await one.command({ kind: 'key', key: 'c', change: { width: undefined } })
  t.false(one.session.keys.overrides.has('c'))
})
it('B28: a working session is woken by a put, a command and an ending in another process', async (t, {
  start,
  pass,
}) => {
  const [one, other] = [await start(), await start()]
  const wakes = async (does: () => Promise<unknown>): Promise<boolean> => {
    await pass(1_000)
    const before = one.woken
    await does()
    await pass(1_000)
    return one.woken > before
  }
  const [a] = [job('a')]

  t.true(await wakes(() => other.put(a)), 'a put')
  t.true(await wakes(() => other.command({ kind: 'reprioritize', target: a, priority: -1 })), 'a command')
  const [claimed] = (await other.claim()) as [JobRecord]
  t.true(await wakes(() => other.settle(claimed)), 'an ending')
})
it('B29: a shared pause stops every process, until a shared resume', async (t, { start }) => {
  const [one, other] = [await start(), await start()]
  await other.put(job('a'))

  await other.command({ kind: 'pause', paused: true })
  const running = await one.exchange({ room: 9 })
  t.deepEqual([running.sharedPaused, running.claimed.length], [true, 0])

  await other.command({ kind: 'pause', paused: false })
  t.is((await one.claim()).length, 1)
})
it('B11: an id names one job for all processes', async (t, { start }) => {
  const [one, other] = [await start(), await start()]
  await one.put(job('a', { id: 'x' }))

  await other.put(job('a', { id: 'x' }))
  await t.throwsAsync(() => other.put(job('b', { id: 'x' })), { code: 'ID_CONFLICT' })

  t.deepEqual(payloads(await one.claim()), ['a'])
})
it('B26: the jobs of a process that closes stay, and another takes them', async (t, { start }) => {
  const [one, other] = [await start(), await start()]
  await one.put(job('a'), job('b'))

  await one.close()

  t.deepEqual(payloads(await other.claim()), ['a', 'b'])
})

// Requests of one process to another.

it('B30: a cancel of a job that another process runs is delivered to that process, with its reason', async (t, {
  start,
  pass,
}) => {
  const [one, other] = [await start(), await start({ works: false })]
  const [a] = (await other.put(job('a'))) as [JobRecord]
  const [claimed] = (await one.launch()) as [JobRecord]

  const done = await other.command({ kind: 'cancel', target: a, reason: new Error('enough'), text: undefined })
  t.deepEqual([done.unchangedBecause, done.changed], ['cancelRequested', []])
  await pass(1_000)

  const { notices } = await one.exchange()
  t.deepEqual(
    notices?.cancelRequests.map(({ record }) => record === claimed),
    [true],
  )
  await one.settle(claimed, 'cancelled', { error: notices?.cancelRequests[0]?.reason })
  t.is((await other.find(a))?.state, 'cancelled')
})
it('B17: a job that goes back after another process has requested its cancel ends, and is reported', async (t, {
  start,
  pass,
}) => {
  const [one, other] = [await start(), await start({ works: false })]
  const [a] = (await other.put(job('a'))) as [JobRecord]
  const [claimed] = (await one.launch()) as [JobRecord]
  await other.command({ kind: 'cancel', target: a, reason: new Error('enough'), text: undefined })
  await pass(1_000)

  const { endedUnrun } = await one.settle(claimed, 'retry')

  t.deepEqual(
    endedUnrun.map(record => record === claimed && record.state),
    ['cancelled'],
  )
})
it('B31: an awaited job that another process ends is reported once, by the record held here', async (t, {
  start,
  pass,
}) => {
  const kept = { ...keep, finishedMs: 60_000, failedMs: 60_000, results: true }
  const [one, other] = [await start({ keep: kept }), await start({ works: false, keep: kept })]
  const [a, b] = (await other.put(job('a'), job('b'))) as [JobRecord, JobRecord]
  const followed = [a, b].map(record => {
    // Same as a queue whose `job.result` was requested.
    record.ensureLive().result = new Deferred<unknown>()
    return other.session.follow?.(record) ?? record
  })
  t.deepEqual(
    followed.map((record, i) => record === [a, b][i]),
    [true, true],
  )

  const [first, second] = (await one.launch()) as [JobRecord, JobRecord]
  await one.exchange({ settled: [settle(first, 'finished', { value: 7, text: '7' }), settle(second, 'failed')] })
  await pass(1_000)
  await other.exchange()
  await pass(1_000)

  t.deepEqual(other.over.map(record => [record === a || record === b, record.payload, record.state]).sort(), [
    [true, 'a', 'finished'],
    [true, 'b', 'failed'],
  ])
  t.is(a.extras?.value, 7)
})

it('B9: a job that another queue object has put comes whole, with its key and its options', async (t, { start }) => {
  const [one, other] = [await start(), await start({ works: false })]
  await other.put(job('a'), job('b', { key: 'k' }), job('c', { key: 'l', timeoutMs: 5, priority: 1 }))

  const claimed = await one.claim(9)

  t.deepEqual(
    claimed.map(({ payload, priority, extras }) => [payload, priority, extras?.key, extras?.timeoutMs]),
    [
      ['a', 0, undefined, undefined],
      ['b', 0, 'k', undefined],
      ['c', 1, 'l', 5],
    ],
  )
})

it('B9: a job that another queue object has retried or promoted comes without its former error and delay', async (t, {
  start,
  pass,
}) => {
  const kept = { ...keep, failedMs: 60_000 }
  const [one, other] = [await start({ keep: kept }), await start({ works: false, keep: kept })]
  const failing = [job('a'), job('b', { key: 'k' })]
  const delayed = [job('c', { dueAt: 1e6 }), job('d', { dueAt: 1e6, key: 'k' })]
  await one.put(...failing, ...delayed)
  const launched = await one.launch()
  await one.exchange({ settled: launched.map(record => settle(record, 'failed', { error: new Error('no') })) })
  await pass(1_000)
  for (const { id } of failing) await other.command({ kind: 'retry', target: id })
  for (const { id } of delayed) await other.command({ kind: 'promote', target: id })
  await pass(1_000)

  const claimed = await one.claim(9)

  t.deepEqual(
    claimed.map(({ payload, attempt, extras }) => [payload, attempt, extras?.key, extras?.error, extras?.dueAt]),
    [
      ['a', 1, undefined, undefined, undefined],
      ['b', 1, 'k', undefined, undefined],
      ['c', 1, undefined, undefined, undefined],
      ['d', 1, 'k', undefined, undefined],
    ],
  )
})

// Processes that die.

it('B32: the jobs of a process that died go back to their places, and are reported', async (t, { start, pass }) => {
  const [one, dying] = [await start(), await start()]
  await dying.put(job('a'), job('b', { priority: 1 }))
  await dying.launch(1)

  dying.die()
  await pass(noticedMs)

  const { claimed, notices } = await one.exchange({ room: 9 })
  t.deepEqual(payloads(notices?.recovered ?? []), ['a'])
  t.deepEqual(
    claimed.map(({ payload, attempt, fence, extras }) => [payload, attempt, fence, extras?.crashes ?? 0]),
    [
      ['a', 1, 2, 1],
      ['b', 1, 1, 0],
    ],
  )
  t.is((await one.exchange()).notices, undefined)
})
it("B32: with afterCrash 'fail' the jobs of a dead process fail, and are reported as ended by the recovery", async (t, {
  start,
  pass,
}) => {
  const [one, dying] = [await start({ afterCrash: 'fail' }), await start({ afterCrash: 'fail' })]
  await dying.put(job('a'))
  await dying.launch()

  dying.die()
  await pass(noticedMs)

  const { notices, claimed } = await one.exchange({ room: 9 })
  t.deepEqual(
    [notices?.recovered, notices?.endedByRecovery].map(records =>
      records?.map(({ payload, state }) => [payload, state]),
    ),
    [[['a', 'failed']], [['a', 'failed']]],
  )
  t.deepEqual(claimed, [])
  t.deepEqual(one.session.counts, { ...none, failed: 1 })
})
it("B32: with afterCrash 'ask' each awaits a verdict by its new fence, and the verdict settles it", async (t, {
  start,
  pass,
}) => {
  const [one, dying] = [await start({ afterCrash: 'ask' }), await start({ afterCrash: 'ask' })]
  await dying.put(job('a'), job('b'))
  await dying.launch()

  dying.die()
  await pass(noticedMs)

  const { notices } = await one.exchange()
  const doubted = notices?.needVerdict ?? []
  t.deepEqual(
    doubted.map(({ payload, state, fence }) => [payload, state, fence > 1]),
    [
      ['a', 'underway', true],
      ['b', 'underway', true],
    ],
  )
  await one.exchange({ settled: doubted.map((record, i) => settle(record, i === 0 ? 'finished' : 'snooze')) })
  t.deepEqual(one.session.counts, { ...none, pending: 1, finished: 1 })
  t.deepEqual(payloads(await one.claim()), ['b'])
})
it('B33: a crash counts against a job whose launch was reported, and against no other', async (t, { start, pass }) => {
  const [one, dying] = [await start(), await start()]
  await dying.put(job('a'), job('b'))
  const [a] = (await dying.claim()) as [JobRecord]
  await dying.exchange({ launchReports: [{ record: a, fence: a.fence, first: false }] })

  dying.die()
  await pass(noticedMs)

  const { notices } = await one.exchange()
  t.deepEqual((notices?.recovered ?? []).map(({ payload, extras }) => [payload, extras?.crashes ?? 0]).sort(), [
    ['a', 1],
    ['b', 0],
  ])
})
it('B33: a job fails with PoisonError once as many of its runs have ended with their process as the limit says', async (t, {
  start,
  pass,
}) => {
  const one = await start({ crashLimit: 2 })
  await one.put(job('a'))
  for (let i = 0; i < 2; i++) {
    const dying = await start({ crashLimit: 2 })
    t.is((await dying.launch()).length, 1)
    dying.die()
    await pass(noticedMs)
  }

  const { notices } = await one.exchange({ room: 9 })

  t.deepEqual(
    notices?.endedByRecovery.map(({ payload, state, extras }) => [
      payload,
      state,
      (extras?.error as { code?: string } | undefined)?.code,
    ]),
    [['a', 'failed', 'POISON']],
  )
})
it('B34: a process that does not answer loses its jobs, and the endings of its runs are reported as ignored', async (t, {
  start,
  pass,
}) => {
  const [one, other] = [await start(), await start()]
  await one.put(job('a'))
  const [a] = (await one.launch()) as [JobRecord]

  one.process.block(noticedMs + 1_000)
  await pass(noticedMs)
  const [taken] = (await other.claim()) as [JobRecord]
  t.is(taken?.payload, 'a')
  await pass(noticedMs)
  const ending = settle(a, 'finished')
  const { notices } = await one.exchange({ settled: [ending] })
  await other.settle(taken, 'failed', { error: new Error('elsewhere') })

  t.is(one.stalled, 1)
  t.true(
    notices?.lostRuns.includes(a) === true || notices?.ignoredSettles[0] === ending,
    'the run is reported as lost, or its ending as ignored',
  )
  t.is(other.session.counts.finished, 0)
  t.is(other.session.counts.failed, 1)
})
it('B14: an ending of a run that was lost is reported by the very object that was passed in', async (t, {
  start,
  pass,
}) => {
  const [one, other] = [await start(), await start()]
  await one.put(job('a'))
  const [a] = (await one.launch()) as [JobRecord]
  one.process.block(noticedMs + 1_000)
  await pass(noticedMs)
  await other.claim()
  await pass(noticedMs)
  const lost = (await one.exchange()).notices?.lostRuns ?? []
  const ending = settle(a, 'finished')

  const { notices } = await one.exchange({ settled: [ending] })

  t.true([...lost, ...(notices?.lostRuns ?? [])].includes(a))
  t.true(notices === undefined || notices.ignoredSettles.every(one => one === ending))
  t.is(one.session.counts.finished, 0)
})

// Replies that are lost.

it('B5: an exchange whose reply is lost takes effect once, and is answered', async (t, { start }) => {
  const one = await start()
  await one.put(job('a'), job('b'), job('c'))
  const [a] = (await one.claim(1)) as [JobRecord]

  one.process.loseReply()
  const { claimed, notices } = await one.exchange({ settled: [settle(a, 'finished')], room: 1 })

  t.deepEqual(payloads(claimed), ['b'])
  t.is(notices, undefined)
  t.is(a.state, 'finished')
  t.deepEqual(one.session.counts, { ...none, pending: 1, underway: 1, finished: 1 })
  t.deepEqual(payloads(await one.claim()), ['c'])
})
it('B5: a put whose reply is lost is accepted once', async (t, { start }) => {
  const one = await start()

  one.process.loseReply()
  const [a, b] = (await one.put(job('a', { id: 'a' }), job('b'))) as [JobRecord, JobRecord]

  t.deepEqual([a.state, b.state, a.seq < b.seq], ['pending', 'pending', true])
  t.deepEqual(await one.claim(), [a, b])
  t.deepEqual(one.session.counts, { ...none, underway: 2 })
})
it('B6: a command whose reply is lost has taken effect once, or rejects with an unknown outcome', async (t, {
  start,
}) => {
  const one = await start()
  const [a] = (await one.put(job('a'))) as [JobRecord]

  one.process.loseReply()
  const error = await one.command({ kind: 'cancel', target: a, reason: new Error('no'), text: undefined }).then(
    () => undefined,
    (reason: { code?: string }) => reason,
  )

  t.true(error === undefined || error.code === 'OUTCOME_UNKNOWN')
  t.is((await one.find(a))?.state, 'cancelled')
})
