/** A put inside a user's own transaction, as users call it, and the queue that sees it. */

import { once } from 'node:events'
import { linkSync } from 'node:fs'
import { createRequire } from 'node:module'
import test, { type ExecutionContext } from 'ava'
import { OptionError, PayloadError } from '../../../lib/errors.ts'
import { DispatchQueue, type PutOptions, Throttled } from '../../../lib/index.ts'
import type { SqliteDatabase } from '../../../persistence/sqlite/file/database.ts'
import { putWithin, SecondSqliteError, SqliteBacklog } from '../../../persistence/sqlite/index.ts'
import { type ScriptedHandler, scripted, VirtualClock } from '../../../testing/index.ts'
import { fileSessions } from '../../support/file-sessions.ts'

const Database = createRequire(import.meta.url)('better-sqlite3') as new (
  path: string,
) => SqliteDatabase & {
  transaction<T>(run: () => T): { (): T; immediate(): T }
}
const { at } = fileSessions()

type Handler = ScriptedHandler<string, void>
/** A queue on a file that has a job underway, and puts in transactions of the user's own, by the same clock. */
async function working(t: ExecutionContext, { width = 1 } = {}) {
  const path = at(`${t.title.replace(/\W+/g, '-')}.db`)
  const clock = new VirtualClock()
  const handler: Handler = scripted()
  const backlog = new SqliteBacklog(path, { durability: 'process' })
  const queue = new DispatchQueue<string, void>(handler, { name: 'q', width, clock, backlog })
  await queue.put('first')
  const db = new Database(path)
  t.teardown(async () => {
    for (const call of [...handler.underway]) call.finish()
    await queue.stop()
    db.close()
  })
  await clock.settle()
  return {
    ...{ clock, handler, queue },
    within: (payload: string, options: PutOptions = {}): string =>
      db.transaction(() => putWithin(db, 'q', payload, { ...options, clock })).immediate(),
    /** Ends what is underway, one after the other, until nothing more starts. */
    async runOut(): Promise<readonly string[]> {
      await clock.settle()
      while (handler.underway.length > 0) {
        for (const call of [...handler.underway]) call.finish()
        await clock.settle()
      }
      return handler.called.slice(1)
    },
  }
}

test('putWithin: an id that a queue has put stands for the same payload here, and for no other', async t => {
  const { queue, within } = await working(t)
  await queue.put('second', { id: 'x', delay: '1h' })

  t.is(within('second', { id: 'x' }), 'x')
  t.throws(() => within('third', { id: 'x' }), { code: 'ID_CONFLICT' })
})

test('putWithin: a job that is put in a transaction runs after its commit, and does not exist after a rollback', async t => {
  const path = at('within.db')
  const seen: unknown[] = []
  const queue = new DispatchQueue(payload => void seen.push(payload), { name: 'q', backlog: new SqliteBacklog(path) })
  await queue.ready()
  const db = new Database(path)
  db.exec('create table mine (id)')
  const both = db.transaction(() => {
    db.exec('insert into mine values (1)')
    return putWithin(db, 'q', { order: 1 }, { priority: 3 })
  })
  const finished = once(queue as never, 'finished')
  const id = both.immediate()
  const [job] = await finished
  t.is(job.id, id)
  t.deepEqual(seen, [{ order: 1 }])

  const undone = db.transaction(() => {
    putWithin(db, 'q', 2)
    throw new Error('no')
  })
  t.throws(() => undone.immediate(), { message: 'no' })
  t.is(db.prepare('select count(*) from mine').pluck().get(), 1)
  t.throws(() => putWithin(db, 'q', 2), { code: 'NO_TRANSACTION' })
  await queue.stop()
  t.is(queue.counts.pending, 0)
  db.close()
})
test('putWithin: jobs start by their priority, also among jobs that were put by a queue', async t => {
  const { queue, within, runOut } = await working(t)

  await queue.put('a')
  within('b', { priority: -1 })
  within('c')
  within('d', { priority: 1 })
  await queue.put('e', { priority: -1 })

  t.deepEqual(await runOut(), ['b', 'e', 'a', 'c', 'd'])
})
for (const [what, options] of [
  ['a delay', () => ({ delay: '1s' })],
  ['a runAt', clock => ({ runAt: new Date(clock.wall() + 1_000) })],
] as [string, (clock: VirtualClock) => PutOptions][]) {
  test(`putWithin: a job with ${what} starts when it is due, not before`, async t => {
    const { clock, queue, handler, within } = await working(t, { width: 5 })

    const id = within('later', options(clock))
    await queue.put('now')
    await clock.advance(999)

    t.deepEqual(handler.called, ['first', 'now'])
    t.like(await queue.explain(id), { state: 'delayed', why: 'delay', notBefore: clock.wall() + 1 })
    await clock.advance(1)
    t.deepEqual(handler.called, ['first', 'now', 'later'])
  })
}
test('putWithin: a runAt in the past is now', async t => {
  const { clock, queue, within, runOut } = await working(t)

  within('a', { runAt: clock.wall() - 1 })
  await queue.put('b')

  t.deepEqual(await runOut(), ['a', 'b'])
})
test('putWithin: a job has its given id, and is put once under it, by any process', async t => {
  const { clock, queue, handler, within, runOut } = await working(t, { width: 5 })

  t.is(within('a', { id: 'order-1' }), 'order-1')
  t.is(within('a', { id: 'order-1' }), 'order-1')
  const again = await queue.put('a', { id: 'order-1' })
  await queue.put('b', { id: 'order-2' })

  t.true(again.existed)
  t.is(within('b', { id: 'order-2' }), 'order-2')
  t.throws(() => within('c', { id: 'order-1' }), { code: 'ID_CONFLICT' })
  await clock.settle()
  t.deepEqual(
    handler.underway.slice(1).map(({ task }) => task.id),
    ['order-1', 'order-2'],
  )
  t.deepEqual(await runOut(), ['a', 'b'])
  // Remembered when it has ended, too.
  t.is(within('a', { id: 'order-1' }), 'order-1')
  await queue.put('last')
  t.deepEqual(await runOut(), ['a', 'b', 'last'])
})
test('putWithin: a job has the key it was given, and waits where that key is held', async t => {
  const { clock, queue, handler, within } = await working(t, { width: 5 })
  await queue.put('x1', { key: 'x' })
  await clock.settle()
  handler.underway.find(({ payload }) => payload === 'x1')?.fail(new Throttled('30s', { key: 'x' }))
  await clock.settle()

  const ids = [within('x2', { key: 'x' }), within('y', { key: 'y' })]
  await queue.put('none')
  await clock.advance(29_999)

  t.deepEqual(handler.called, ['first', 'x1', 'y', 'none'])
  t.deepEqual(
    (await queue.jobs({ state: 'pending', key: 'x' })).map(({ payload }) => payload),
    ['x1', 'x2'],
  )
  t.like(await queue.explain(ids[0] as string), { why: 'hold', key: 'x', notBefore: clock.wall() + 1 })
  t.is(handler.underway.find(({ task }) => task.id === ids[1])?.task.key, 'y')
  await clock.advance(1)
  t.deepEqual(handler.called.slice(-2), ['x1', 'x2'])
})
test('putWithin: illegal options are refused as put refuses them', t => {
  const db = new Database(at('refused.db'))
  const within = (run: () => unknown) => t.throws(() => db.transaction(run).immediate())
  t.true(within(() => putWithin(db, 'q', () => {})) instanceof PayloadError)
  t.true(within(() => putWithin(db, '', 1)) instanceof OptionError)
  t.true(within(() => putWithin(db, 'q', 1, { prority: 1 } as never)) instanceof OptionError)
  t.true(within(() => putWithin(db, 'q', 1, { id: '\ud800' })) instanceof OptionError)
  t.deepEqual(tablesOf(db), [], 'what is refused makes no tables')
  db.close()
})

const tablesOf = (db: SqliteDatabase): unknown[] => db.prepare('select name from sqlite_schema').pluck().all()
const worked = async (path: string, name = 'q'): Promise<unknown[]> => {
  const seen: unknown[] = []
  const queue = new DispatchQueue(payload => void seen.push(payload), { name, backlog: new SqliteBacklog(path) })
  await queue.idle()
  await queue.stop()
  return seen
}

for (const mode of ['delete', 'wal']) {
  test(`putWithin: on a new file in journal mode ${mode} the commit creates tables and jobs, and a worker runs them`, async t => {
    const path = at(`new-${mode}.db`)
    const db = new Database(path)
    db.pragma(`journal_mode = ${mode}`)
    db.exec('create table mine (id)')
    const ids = db
      .transaction(() => {
        db.exec('insert into mine values (1)')
        return [putWithin(db, 'q', 'a'), putWithin(db, 'q', 'b', { priority: -1 }), putWithin(db, 'other', 'c')]
      })
      .immediate()
    t.is(new Set(ids).size, 3)

    // The handle stays open: the worker changes the mode beside it.
    t.deepEqual(await worked(path), ['b', 'a'])
    t.deepEqual(await worked(path, 'other'), ['c'])
    db.transaction(() => putWithin(db, 'q', 'd')).immediate()
    t.deepEqual(await worked(path), ['d'])
    t.is(db.prepare('select count(*) from mine').pluck().get(), 1)
    db.close()
  })
}
test('putWithin: its rows disappear with a rollback, and the next put creates them again, by this handle or by a queue', async t => {
  const path = at('rolled-back.db')
  const db = new Database(path)
  db.pragma('journal_mode = wal')
  const undone = (): void =>
    db
      .transaction(() => {
        putWithin(db, 'q', 'undone')
        throw new Error('no')
      })
      .immediate()
  for (let round = 0; round < 3; round++) {
    t.throws(undone, { message: 'no' })
    t.deepEqual(tablesOf(db), [])
  }
  db.transaction(() => putWithin(db, 'q', 'a')).immediate()
  t.throws(undone, { message: 'no' })
  t.deepEqual(await worked(path), ['a'])

  // A nested transaction that is undone takes its own job with it, and no more.
  db.transaction(() => {
    putWithin(db, 'q', 'outer')
    t.throws(undone, { message: 'no' })
  }).immediate()
  t.deepEqual(await worked(path), ['outer'])
  db.close()
})
test('putWithin: tables that were made in a savepoint and undone are made again in the same transaction', async t => {
  const path = at('savepoint.db')
  const db = new Database(path)
  db.transaction(() => {
    t.throws(() =>
      db.transaction(() => {
        putWithin(db, 'q', 'undone')
        throw new Error('no')
      })(),
    )
    putWithin(db, 'q', 'a')
  }).immediate()
  t.deepEqual(await worked(path), ['a'])
  db.close()
})
test('putWithin: an undeclared name has no bound, and a declared one has its own', async t => {
  const path = at('bounds.db')
  const db = new Database(path)
  const put = (payload: number): string => db.transaction(() => putWithin(db, 'q', payload)).immediate()
  for (let i = 0; i < 50; i++) put(i)
  const queue = new DispatchQueue(() => {}, { name: 'q', size: 50, paused: true, backlog: new SqliteBacklog(path) })
  await queue.ready()
  t.throws(() => put(50), { code: 'QUEUE_FULL' })
  await queue.stop()
  db.close()
})
test('putWithin: tables in an attached database are used there, and none are created', async t => {
  const path = at('attached.db')
  await worked(path)
  const db = new Database(at('main.db'))
  db.exec(`attach '${path}' as jobs`)
  db.transaction(() => putWithin(db, 'q', 'a')).immediate()
  t.deepEqual(tablesOf(db), [])
  db.close()
  t.deepEqual(await worked(path), ['a'])
})
test('putWithin: a database in memory, or behind a hard link, is refused, because no queue would see the job', t => {
  const memory = new Database(':memory:')
  const refusal = t.throws(() => memory.transaction(() => putWithin(memory, 'q', 1)).immediate())
  t.like(refusal, { code: 'BACKLOG_FILE', problem: 'not a file' })
  new Database(at('named.db')).close()
  linkSync(at('named.db'), at('named-too.db'))
  const db = new Database(at('named-too.db'))
  const linked = t.throws(() => db.transaction(() => putWithin(db, 'q', 1)).immediate())
  t.like(linked, { code: 'BACKLOG_FILE', problem: 'hard links' })
  for (const each of [memory, db]) each.close()
})
test('putWithin: a handle of another copy of better-sqlite3 is refused', t => {
  t.throws(() => putWithin({ prepare: () => {}, inTransaction: true }, 'q', 1), { instanceOf: SecondSqliteError })
})
