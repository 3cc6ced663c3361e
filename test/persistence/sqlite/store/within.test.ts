/** Puts and endings inside a user's own transaction, on the user's own handle. */
import test from 'ava'
import { noKeys } from '../../../../lib/limits/keys.ts'
import type { SqliteDatabase } from '../../../../persistence/sqlite/file/database.ts'
import { finishWithin, type PutWithin, putWithin } from '../../../../persistence/sqlite/store/within.ts'
import { keep, wall } from '../../../../testing/contract/store-requests.ts'
import { Database, fileName, Process } from '../../../support/sqlite-store.ts'

type Ending = ReturnType<Process['claim']>[number]
const circumstances = { boot: 'boot', now: 0, wall }
const options = (id: string, parts: Partial<PutWithin> = {}): PutWithin => ({
  ...{ ...circumstances, id, priority: 0, extras: undefined },
  ...parts,
})
const scene = (parts: Parameters<Process['attach']>[0] = {}): { p: Process; db: SqliteDatabase } => {
  const path = fileName()
  const p = new Process(path)
  p.attach(parts)
  const db = new Database(path)
  db.exec('create table mine (x)')
  return { p, db }
}
const transaction = (db: SqliteDatabase, run: () => void, end: 'commit' | 'rollback' = 'commit'): void => {
  db.exec('begin immediate')
  try {
    run()
    db.exec(end)
  } catch (error) {
    db.exec('rollback')
    throw error
  }
}

test('putWithin: the job exists with the commit of the user, or not at all', t => {
  const { p, db } = scene()

  transaction(db, () => t.is(putWithin(db, 'q', '"a"', options('a')), 'a'))
  transaction(db, () => putWithin(db, 'q', '"b"', options('b')), 'rollback')
  transaction(db, () => putWithin(db, 'q', '"c"', options('c', { priority: -1, extras: { key: 'k' } })))

  t.is(p.exchange().counts.pending, 2)
  t.deepEqual(p.claimed(), ['c', 'a'])
})

test('putWithin: a name without a worker so far is created', t => {
  const { p, db } = scene()

  transaction(db, () => putWithin(db, 'new', '"a"', options('a')))

  p.attach({ name: 'new' })
  t.deepEqual(p.claimed(), ['a'])
})

test('putWithin: the checks are those of put', t => {
  const { db } = scene({ size: 1, rate: [{ limit: 1, perMs: 1_000, unit: 'n', burst: undefined }] })
  const put = (id: string, extras?: PutWithin['extras']) =>
    transaction(db, () => putWithin(db, 'q', '"a"', options(id, { extras })))
  put('a', { fingerprint: 'f' })

  put('a', { fingerprint: 'f' })
  t.throws(() => put('a', { fingerprint: 'g' }), { code: 'ID_CONFLICT' })
  t.throws(() => put('b'), { code: 'QUEUE_FULL' })
  t.throws(() => put('b', { cost: { n: 2 } }), { code: 'COST' })
})

test('putWithin: a call outside of a transaction is refused', t => {
  const { db } = scene()

  t.throws(() => putWithin(db, 'q', '"a"', options('a')), { code: 'NO_TRANSACTION' })
})

test('finishWithin: the ending is stored with the effects of the user, and the settle that follows is not reported as lost', t => {
  const { p, db } = scene({ keep: { ...keep, finishedMs: 100, results: true } })
  p.put(['a'])
  const [job] = p.claim() as [Ending]

  transaction(db, () => {
    db.exec('insert into mine values (1)')
    finishWithin(db, job.seq, job.fence, '7', { ...circumstances, id: 'x', startedAt: wall })
  })
  const { notices, counts } = p.exchange({ settled: [{ ...job, extras: { within: true } }] })

  t.like(notices, { lostRuns: [], within: [job.seq] })
  t.like(counts, { underway: 0, finished: 1 })
  t.like(p.find(job.seq), { state: 'finished', extras: { value: '7' } })
})

test('finishWithin: the body keeps its slots until it returns, however the job ended', t => {
  for (const limits of [{ globalWidth: 1 }, { keys: { ...noKeys, width: 1 } }]) {
    const { p, db } = scene(limits)
    p.put([
      { payload: 'a', extras: { key: 'k' } },
      { payload: 'b', extras: { key: 'k' } },
    ])
    const [job] = p.claim(1) as [Ending]

    transaction(db, () => {
      finishWithin(db, job.seq, job.fence, null, { ...circumstances, id: 'x', startedAt: wall })
    })
    t.deepEqual(p.claimed(), [])

    p.exchange({ settled: [{ ...job, kind: 'cancelled', extras: { within: true, bodyContinues: true } }] })
    t.deepEqual(p.claimed(), [])
    p.exchange({ settled: [{ ...job, extras: { within: true } }] })
    t.deepEqual(p.claimed(), ['b'])
  }
})

test('finishWithin: after a rollback the settle that follows counts', t => {
  const { p, db } = scene()
  p.put(['a'])
  const [job] = p.claim() as [Ending]
  transaction(
    db,
    () => finishWithin(db, job.seq, job.fence, null, { ...circumstances, id: 'x', startedAt: wall }),
    'rollback',
  )

  const { counts } = p.exchange({ settled: [{ ...job, kind: 'failed', extras: { within: true } }] })

  t.like(counts, { underway: 0, failed: 1, finished: 0 })
})

for (const [crashLimit, state] of [
  [1, 'failed'],
  [3, 'pending'],
] as const) {
  test(`finishWithin: after a rollback, if the job was ${state} elsewhere meanwhile, the settle that follows is reported as lost`, t => {
    const { p, db } = scene({ crashLimit })
    p.put(['a'])
    const [job] = p.launch() as [Ending]
    transaction(
      db,
      () => finishWithin(db, job.seq, job.fence, null, { ...circumstances, id: 'x', startedAt: wall }),
      'rollback',
    )
    p.store.surrender(p.now, p.wall)

    const { notices, counts } = p.exchange({ settled: [{ ...job, extras: { within: true } }] })

    t.like(notices, { lostRuns: [job.seq], within: [] })
    t.like(counts, { [state]: 1, finished: 0 })
  })
}

test('finishWithin: a run that has lost its job gets an error, and its effects are rolled back', t => {
  const { p, db } = scene()
  p.put(['a'])
  const [job] = p.claim() as [Ending]
  p.exchange({ settled: [{ ...job, kind: 'interrupted' }], room: 1 })

  const late = () =>
    transaction(db, () => {
      db.exec('insert into mine values (1)')
      finishWithin(db, job.seq, job.fence, null, { ...circumstances, id: 'x', startedAt: wall })
    })

  t.throws(late, { code: 'LEASE_LOST' })
  t.is(db.prepare('select count(*) from mine').pluck().get(), 0)
  t.is(p.exchange().counts.underway, 1)
})
