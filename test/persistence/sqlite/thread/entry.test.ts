/** The thread that holds the file: it is shared, it may die, and it lets go. */
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import test from 'ava'
import { OutcomeUnknownError, QueueNameTakenError } from '../../../../lib/errors.ts'
import type { JobRecord } from '../../../../lib/job.ts'
import { BacklogThreadError } from '../../../../persistence/sqlite/errors.ts'
import { ending, exchange, fileSessions, job, put } from '../../../support/file-sessions.ts'

const { at, deaths, shelf: open } = fileSessions()

const locksOf = (path: string): string[] =>
  readdirSync(dirname(path)).filter(name => name.startsWith(`${basename(path)}-rdq-`))

test('thread: the file, its log and its lock are readable by their owner only, and the lock goes with the last queue', async t => {
  const path = at('modes.db')
  const shelf = await open(path)
  await put(shelf, job(1))
  if (process.platform !== 'win32') t.is(statSync(path).mode & 0o777, 0o600)
  t.is(locksOf(path).length, 1)
  await shelf.close()
  t.deepEqual(locksOf(path), [])
  t.false(existsSync(`${path}-wal`))
})
test('thread: two objects on one file share one thread, also through a link, and a name works once', async t => {
  const path = at('real.db')
  mkdirSync(at('sub'))
  const one = await open(path, { name: 'a' })
  symlinkSync(path, at('sub/link.db'))
  const other = await open(at('sub/link.db'), { name: 'b' })
  t.is(locksOf(path).length, 1)
  t.deepEqual(locksOf(at('sub/link.db')), [])
  await t.throwsAsync(open(at('sub/link.db'), { name: 'a' }), { instanceOf: QueueNameTakenError })
  await one.close()
  await put(other, job(1))
  t.is(other.counts.pending, 1)
  t.is((await open(path, { name: 'a' })).counts.pending, 0)
})
test('thread: if it dies after a commit, the reply is looked up, and nothing is put twice', async t => {
  const path = at('after.db')
  const shelf = await open(path)
  deaths(path, 'answer')
  const [a, b] = await put(shelf, job('a'), job('b'))
  t.deepEqual([shelf.counts.pending, a?.state, b?.seq], [2, 'pending', (a?.seq as number) + 1])
  const { claimed } = await exchange(shelf, { room: 9 })
  t.deepEqual(
    claimed.map(({ payload }) => payload),
    ['a', 'b'],
  )
  t.true(claimed[0] === a)
})
test('thread: if it dies before it reads its messages, all requests are sent again', async t => {
  const path = at('before.db')
  const shelf = await open(path)
  deaths(path, 'ask')
  await put(shelf, job('a'))
  t.is(shelf.counts.pending, 1)
  t.is((await exchange(shelf, { room: 9 })).claimed.length, 1)
})
test('thread: an exchange whose reply was lost is answered, and its settles and claims count once', async t => {
  const path = at('exchange.db')
  const shelf = await open(path)
  const [a, b] = (await put(shelf, job('a'), job('b'))) as [ReturnType<typeof job>, ReturnType<typeof job>]
  await exchange(shelf, { room: 1 })
  deaths(path, 'answer')
  const { claimed } = await exchange(shelf, { room: 1, settled: [ending(a)] })
  t.deepEqual([a.state, b.state, claimed.length, b.attempt], ['finished', 'underway', 1, 1])
  await exchange(shelf, { settled: [ending(b)] })
  t.deepEqual([shelf.counts.finished, shelf.counts.underway], [2, 0])
})
test('thread: a command whose reply was lost rejects with an unknown outcome', async t => {
  const path = at('change.db')
  const shelf = await open(path)
  const [a] = await put(shelf, job('a'))
  deaths(path, 'answer')
  const change = shelf.command({ kind: 'cancel', target: a as ReturnType<typeof job>, reason: 'no' }, 0, 0)
  await t.throwsAsync(async () => change, { instanceOf: OutcomeUnknownError, code: 'OUTCOME_UNKNOWN' })
  t.is((await shelf.find((a as ReturnType<typeof job>).id))?.state, 'cancelled')
})
test('thread: a thread that dies before it has opened the file is restarted too', async t => {
  const path = at('first.db')
  deaths(path, 'start')
  const shelf = await open(path)
  await put(shelf, job('a'))
  t.is(shelf.counts.pending, 1)
})
test('thread: an override of the rate survives the death of the thread, because the new one declares nothing again', async t => {
  const path = at('rate.db')
  const rule = (limit: number) => ({ limit, perMs: 1_000, unit: undefined, burst: undefined })
  const shelf = await open(path, { rate: [rule(1)] })
  await shelf.command({ kind: 'rate', rules: [] }, 0, 0)
  await shelf.command({ kind: 'rate', rules: [rule(5)] }, 0, 0)
  deaths(path, 'ask')
  await put(shelf, job('a'))
  await exchange(shelf, {})
  t.deepEqual(shelf.rules, [rule(5)])
})
test('thread: a thread that dies twice in a row is not restarted, and every call rejects', async t => {
  const path = at('again.db')
  const shelf = await open(path)
  deaths(path, 'ask', 'start')
  await t.throwsAsync(put(shelf, job('a')), { instanceOf: OutcomeUnknownError })
  await t.throwsAsync(put(shelf, job('b')), { instanceOf: BacklogThreadError })
  t.true(shelf.troubles.some(error => error instanceof BacklogThreadError))
  const next = await open(path)
  t.is(next.counts.pending, 0)
})
test('thread: puts beyond the bound of unanswered ones wait on this side, in order', async t => {
  const shelf = await open(at('flow.db'))
  const batches = Array.from({ length: 30 }, (_, i) => Array.from({ length: 1_000 }, (_, j) => job(i * 1_000 + j)))
  await Promise.all(batches.map(batch => put(shelf, ...batch)))
  t.is(shelf.counts.pending, 30_000)
  const { claimed } = await exchange(shelf, { room: 3 })
  t.deepEqual(
    claimed.map(({ payload }) => payload),
    [0, 1, 2],
  )
})

for (const kind of ['finished', 'notLaunched'] as const) {
  test(`thread: a job that is read before the reply to its ending as ${kind} is freed, and its file is closed`, async t => {
    const path = at(`${kind}.db`)
    const shelf = await open(path, {
      keep: { finishedMs: 60_000, failedMs: 0, cancelledMs: 0, idsMs: 0, results: false, most: Infinity },
    })
    const [record] = await put(shelf, job('a'))
    await exchange(shelf, { room: 1 })
    t.is(locksOf(path).length, 1)

    // In one transaction; and where a put is told first, an exchange is told last.
    const [, , found] = await Promise.all([
      put(shelf, job('b')),
      exchange(shelf, { settled: [ending(record as JobRecord, kind)] }),
      shelf.find((record as JobRecord).id),
    ])
    t.is(found, record)
    await shelf.close()

    t.deepEqual(locksOf(path), [])
  })
}
