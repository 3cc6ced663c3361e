/** The jobs of a process that died, or that gave them up. */
import { errorFromJson } from '../../../persistence/durable/error-from-json.ts'
import type { JobRow } from '../../../persistence/durable/store.ts'
import { type ContractTest, rejects, testsInto } from '../contract.ts'
import { type StoreClient, type StoreSubject, Workers } from '../store-client.ts'
import { type Ending, endingsOf, keep, zero } from '../store-requests.ts'

export const crashes: ContractTest<StoreSubject>[] = []
const test = testsInto(crashes)

type Attach = Parameters<StoreClient['attach']>[0]

/** Two processes on a file; the second dies while it runs the jobs that were put. */
const crashed = async (
  subject: StoreSubject,
  count: number,
  parts: Attach = {},
  mine: Attach = parts,
): Promise<{ p: StoreClient; dead: StoreClient; db: Workers }> => {
  const db = await Workers.of(subject)
  const [p, dead] = [await db.open(), await db.open()]
  await dead.attach(parts)
  await p.attach(mine)
  await dead.put(Array.from({ length: count }, (_, i) => String(i)))
  await dead.launch(count)
  await dead.die()
  return { p, dead, db }
}
/** All reports on jobs of dead processes, in as many exchanges as that takes. */
const reported = async (p: StoreClient): Promise<JobRow[]> => {
  const rows: JobRow[] = []
  for (;;) {
    const { notices } = await p.exchange({ acknowledged: p.number })
    if (!notices) return rows
    rows.push(...notices.recovered)
  }
}
const die = async (db: Workers, parts: Attach = {}): Promise<string> => {
  const process = await db.open()
  await process.attach(parts)
  await process.launch()
  await process.die()
  return process.token
}

test(`afterCrash 'again': jobs go back to their old place without using an attempt, count one more crash, and are reported`, async (t, subject) => {
  const { p, dead } = await crashed(subject, 2)
  await p.put(['later'])
  t.deepEqual(await p.workers(), [dead.token])

  t.deepEqual(await p.recover(dead), [p.queue])

  t.deepEqual(await p.workers(), [])
  const { notices, claimed, counts } = await p.exchange({ room: 9 })
  // One of the jobs that were underway in the crash at a time, and the job that was not, beside it.
  t.deepEqual(counts, { ...zero, pending: 1, underway: 2 })
  t.deepEqual(claimed.payloads, ['"0"', '"later"'])
  t.deepEqual(
    [claimed.attempts, claimed.fences],
    [
      [1, 1],
      [2, 1],
    ],
  )
  t.deepEqual(
    notices?.recovered.map(row => [row.payload, row.crashes]),
    [
      ['"0"', 1],
      ['"1"', 1],
    ],
  )
  t.is((await p.exchange()).notices, undefined)
})

test(`afterCrash 'again': a job that two processes recover at once goes back once`, async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 2)
  const other = await db.open()
  await other.attach()

  t.deepEqual(await p.recover(dead), [p.queue])
  t.deepEqual(await other.recover(dead), [])

  t.is((await p.exchange()).counts.pending, 2)
  t.like((await p.list())[0], { crashes: 1 })
})

test(`afterCrash 'again': a job fails with PoisonError once its process has died as often as crashLimit says`, async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 1, { crashLimit: 2 })
  await p.recover(dead)
  await p.exchange()

  await p.recover(await die(db, { crashLimit: 2 }))

  const { notices, counts } = await p.exchange()
  t.deepEqual(counts, { ...zero, failed: 1 })
  const [row] = notices?.recovered ?? []
  t.like(row, { state: 'failed', crashes: 2, attempt: 1 })
  t.like(errorFromJson(row?.extras?.error ?? ''), { code: 'POISON', crashes: 2 })
  // After a retry it may crash as often again.
  t.like((await p.command({ kind: 'retry', target: row?.seq as number })).found, { crashes: 0, state: 'pending' })
})

test("afterCrash 'fail': launched jobs of a dead process fail", async (t, subject) => {
  const { p, dead } = await crashed(subject, 1, { afterCrash: 'fail' })

  await p.recover(dead)

  t.deepEqual((await p.exchange()).counts, { ...zero, failed: 1 })
})

test("afterCrash 'fail': a failed job that is not kept is still reported", async (t, subject) => {
  const parts = { afterCrash: 'fail', keep: { ...keep, failedMs: 0 } } as const
  const { p, dead } = await crashed(subject, 1, parts)

  await p.recover(dead)

  t.like((await p.exchange()).notices?.recovered[0], { state: 'failed', payload: '"0"', crashes: 1 })
  t.is((await p.list()).length, 0)
})

test('afterCrash ask: jobs are underway here by a new fence until the verdict, and reported once', async (t, subject) => {
  const { p, dead } = await crashed(subject, 2, { afterCrash: 'ask' })
  await p.recover(dead)

  const { notices, claimed, counts } = await p.exchange({ room: 9 })

  t.deepEqual([claimed.seqs, counts], [[], { ...zero, underway: 2 }])
  const requested = (notices?.needVerdict ?? []).map(({ seq, fence, attempt, state }) => ({
    seq,
    fence,
    attempt,
    state,
  }))
  t.deepEqual(
    requested.map(({ fence, attempt, state }) => [fence, attempt, state]),
    Array(2).fill([2, 1, 'underway']),
  )
  // The reply was lost: it is sent again, but nothing is claimed.
  const repeated = await p.exchange({ number: p.number })
  t.deepEqual([repeated.notices?.needVerdict.length, repeated.claimed.seqs.length], [2, 0])
  t.is((await p.exchange()).notices, undefined)
  const [first, second] = requested as unknown as [Ending, Ending]
  await p.exchange({ settled: [first, { ...second, kind: 'snooze' }] })
  t.deepEqual((await p.exchange()).counts, { ...zero, pending: 1, finished: 1 })
  t.like(await p.find(second.seq), { attempt: 0, crashes: 1 })
})

test('afterCrash ask: a job that a verdict failed and that is put anew awaits no verdict: its next crash counts', async (t, subject) => {
  const { p, dead } = await crashed(subject, 1, { afterCrash: 'ask' })
  await p.recover(dead)
  const [{ seq, fence }] = ((await p.exchange()).notices?.needVerdict ?? []) as [JobRow]
  await p.exchange({ settled: [{ seq, fence, kind: 'failed' }] })

  t.is((await p.command({ kind: 'retry', target: seq })).count, 1)

  const [anew] = (await p.launch()) as [Ending]
  t.deepEqual((await p.exchange({ number: p.number - 1 })).claimed.seqs, [anew.seq])
  await p.surrender()
  t.like(await p.find(seq), { state: 'underway', crashes: 1 })
})

test('afterCrash ask: a job that is cancelled while it awaits its verdict does not run again, also if the next worker gives the verdict', async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 2, { afterCrash: 'ask' })
  await p.recover(dead)
  const [a, b] = ((await p.exchange()).notices?.needVerdict ?? []) as unknown as [Ending, Ending]
  for (const { seq } of [a, b]) await p.command({ kind: 'cancel', target: seq, reason: '"no"' })
  t.is((await p.exchange()).notices?.cancelRequests.length, 2)

  const { endedUnrun } = await p.exchange({ settled: [{ ...a, kind: 'snooze' }] })
  await p.detach()
  const next = await db.open()
  await next.attach({ afterCrash: 'ask' })
  const { notices, counts } = await next.exchange({ room: 9 })

  t.deepEqual([endedUnrun[0]?.state, notices?.recovered[0]?.state], ['cancelled', 'cancelled'])
  t.deepEqual(counts, { ...zero, cancelled: 2 })
})

test('afterCrash ask: jobs wait for a queue that can give a verdict', async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 1, { afterCrash: 'ask' }, { works: false, afterCrash: 'ask' })

  await p.recover(dead)

  t.deepEqual(await p.workers(), [])
  t.deepEqual((await p.exchange()).counts, { ...zero, underway: 1 })
  const worker = await db.open()
  await worker.attach({ afterCrash: 'ask' })
  t.like((await worker.exchange()).notices, { needVerdict: [{ fence: 2, crashes: 1 }] })
})

test('afterCrash ask: a queue with afterCrash again takes over the jobs that waited for a verdict', async (t, subject) => {
  const { p, dead } = await crashed(subject, 1, { afterCrash: 'ask' }, { works: false, afterCrash: 'ask' })
  await p.recover(dead)

  await p.attach({ afterCrash: 'again' })

  t.deepEqual(await p.claimed(), ['0'])
})

test('afterCrash ask: a worker that dies before it has requested the verdict adds no crash', async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 1, { afterCrash: 'ask' })
  const second = await db.open()
  await second.attach({ afterCrash: 'ask' })
  await second.recover(dead)
  await second.exchange()
  await second.die()

  await p.recover(second)

  t.like((await p.exchange()).notices, { needVerdict: [{ crashes: 1, fence: 3 }] })
})

test('afterCrash ask: a restarted worker finds the jobs for which it was about to request a verdict', async (t, subject) => {
  const { p, dead, db } = await crashed(subject, 1, { afterCrash: 'ask' })
  await p.recover(dead)
  await p.die()

  const repeated = await db.open(p.token)
  await repeated.attach({ afterCrash: 'ask' })

  t.is((await repeated.exchange()).notices?.needVerdict.length, 1)
})

test('a cancel request that the dead process never received is kept', async (t, subject) => {
  const { p, dead } = await crashed(subject, 1)
  const [row] = await p.list()
  const { unchangedBecause } = await p.command({ kind: 'cancel', target: row?.seq as number, reason: '"no"' })
  t.is(unchangedBecause, 'cancelRequested')

  await p.recover(dead)

  t.deepEqual((await p.exchange()).counts, { ...zero, cancelled: 1 })
  t.like(await p.find(row?.seq as number), { state: 'cancelled', extras: { error: '"no"' } })
})

test('a thousand jobs are taken over and reported, none twice', async (t, subject) => {
  const { p, dead } = await crashed(subject, 1_000)

  await p.recover(dead)

  const seqs = new Set((await reported(p)).map(({ seq }) => seq))
  t.is(seqs.size, 1_000)
  t.is((await p.exchange()).counts.pending, 1_000)
  t.is(new Set((await p.list({ state: 'pending', limit: 1_000 })).map(({ seq }) => seq)).size, 1_000)
})

test('a recovery that failed can be repeated, and takes over all jobs', async (t, subject) => {
  const { p, dead } = await crashed(subject, 20)
  const mend = p.breakCommits()
  t.true(await rejects(p.recover(dead)))
  mend()

  t.deepEqual(await p.recover(dead), [p.queue])

  t.is((await reported(p)).length, 20)
  t.is((await p.exchange()).counts.pending, 20)
})

test('surrender: all jobs go back as from a dead process, and later settles of this process are ignored', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, other] = [await db.open(), await db.open()]
  for (const process of [p, other]) await process.attach()
  await p.put(['a'])
  const settled = await p.launch()

  await p.surrender()

  t.deepEqual(
    endingsOf(await other.exchange({ room: 9 })).map(({ fence }) => fence),
    [2],
  )
  t.like((await other.list())[0], { crashes: 1, attempt: 1 })
  t.is((await p.exchange({ settled })).notices?.lostRuns.length, 1)
  // It is still registered as having the file open.
  t.deepEqual(await other.workers(), [p.token])
})

test('a worker that was taken for dead by mistake registers again with its next transaction, and its later claims are recovered at its death', async (t, subject) => {
  const db = await Workers.of(subject)
  const [p, other] = [await db.open(), await db.open()]
  for (const process of [p, other]) await process.attach()
  await p.put(['a'])
  const settled = await p.claim()

  await other.recover(p)
  t.deepEqual(await other.workers(), [])

  // Its run is lost, and it may claim the job again.
  t.is((await p.exchange({ settled })).notices?.lostRuns.length, 1)
  t.deepEqual(await other.workers(), [p.token])
  t.is((await p.claim()).length, 1)
  await p.die()
  await other.recover(p)
  t.deepEqual((await other.exchange()).counts, { ...zero, pending: 1 })
  t.deepEqual(await other.workers(), [])
})

test('a queue that stops while a body of it goes on leaves the pending verdicts to the next queue', async (t, subject) => {
  const db = await Workers.of(subject)
  const policy = { afterCrash: 'ask' } as const
  const p = await db.open()
  await p.attach(policy)
  await p.put(['a', 'b'])
  const dying = await db.open()
  await dying.attach(policy)
  await dying.launch(1)
  await dying.die()
  await p.recover(dying)
  t.is((await p.exchange()).notices?.needVerdict.length, 1)
  t.is((await p.claim()).length, 1)

  await p.detach({ keepLeases: true })

  const other = await db.open()
  await other.attach(policy)
  const { notices, counts } = await other.exchange({ room: 9 })
  t.is(notices?.needVerdict.length, 1)
  t.is(counts.underway, 2)
})
