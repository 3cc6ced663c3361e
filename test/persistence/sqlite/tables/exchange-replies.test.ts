/**
 * An exchange whose answer was lost is told again all that it told: once it has changed the tables, nothing else knows.
 */
import test from 'ava'
import type { JobRecord } from '../../../../lib/job.ts'
import { finishWithin } from '../../../../persistence/sqlite/store/within.ts'
import { wall } from '../../../../testing/contract/store-requests.ts'
import { ending, exchange, fileSessions, job, put } from '../../../support/file-sessions.ts'
import { Database, fileName, Process } from '../../../support/sqlite-store.ts'

type Ending = ReturnType<Process['claim']>[number]

/** A process that makes exchanges, and another on the same file. */
const two = (parts: Parameters<Process['attach']>[0] = {}): { p: Process; other: Process; path: string } => {
  const path = fileName()
  const [p, other] = [new Process(path), new Process(path)]
  for (const process of [p, other]) process.attach(parts)
  return { p, other, path }
}

test('reply log: a repeated exchange reports again that the transaction of finishWithin was committed', t => {
  const { p, path } = two()
  p.put(['a'])
  const [a] = p.claim() as [Ending]
  const db = new Database(path)
  db.exec('begin immediate')
  finishWithin(db, a.seq, a.fence, null, { boot: 'boot', now: 0, wall, id: 'a', startedAt: wall })
  db.exec('commit')

  const { notices } = p.exchange({ settled: [{ ...a, kind: 'failed', extras: { within: true } }] })

  t.deepEqual(notices?.within, [a.seq])
  t.deepEqual(p.exchange({ number: p.number }).notices, notices)
})

test('reply log: each exchange in flight keeps its own notices, until its reply is acknowledged', t => {
  const { p } = two()
  p.put(['a', 'b'])
  const [a, b] = p.claim() as [Ending, Ending]
  const lost = ({ seq }: Ending) => p.exchange({ settled: [{ seq, fence: 7 }], acknowledged: 0 }).notices
  const [first, second] = [lost(a), lost(b)]
  const { number } = p
  t.deepEqual([p.exchange({ number: number - 1 }).notices, p.exchange({ number }).notices], [first, second])

  p.exchange({ settled: [{ ...a, fence: 8 }], acknowledged: number })

  t.is(p.rows('rdq_exchange_reply'), 1)
})

test('reply log: an exchange without notices writes no row, and the rows of a dead process are removed with it', t => {
  const { p, other } = two()
  other.put(['a'])
  const [a] = other.launch() as [Ending]
  t.is(p.rows('rdq_exchange_reply'), 0)
  other.exchange({ settled: [{ ...a, fence: 7 }] })
  t.is(p.rows('rdq_exchange_reply'), 1)
  other.die()

  p.store.recover(other.token, p.now, p.wall)

  t.is(p.rows('rdq_exchange_reply'), 0)
})

const { at, deaths, shelf } = fileSessions()

test('reply log: a cancel request reaches the run although the thread died with the reply that carried it', async t => {
  const path = at('cancel.db')
  const here = await shelf(path)
  const other = await shelf(path, { works: false })
  const [a] = (await put(here, job('a'))) as [JobRecord]
  await exchange(here, { room: 1 })
  await other.command({ kind: 'cancel', target: a.id, reason: 'enough' }, 0, 0)
  deaths(path, 'answer')

  const { notices } = await exchange(here)

  t.deepEqual(notices?.cancelRequests, [{ record: a, reason: 'enough' }])
})

test('reply log: an ignored ending emits nothing although the thread died with the reply that said so', async t => {
  const path = at('stale.db')
  const here = await shelf(path)
  const [a] = (await put(here, job('a'))) as [JobRecord]
  await exchange(here, { room: 1 })
  const settled = [{ ...ending(a), fence: a.fence - 1 }]
  deaths(path, 'answer')

  const { notices } = await exchange(here, { settled })

  t.deepEqual([notices?.ignoredSettles, a.state], [settled, 'underway'])
})

test('reply log: the last row is deleted once its reply is acknowledged, though no notice follows', t => {
  const { p } = two()
  p.put(['a'])
  const [a] = p.claim() as [Ending]
  p.exchange({ settled: [{ ...a, fence: 7 }], acknowledged: 0 })
  const { number } = p

  p.exchange({ acknowledged: number - 1 })
  t.is(p.rows('rdq_exchange_reply'), 1)
  p.exchange({ acknowledged: number })

  t.is(p.rows('rdq_exchange_reply'), 0)
})
