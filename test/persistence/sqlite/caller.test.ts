/** A put inside a user's own transaction, as users call it, and the queue that sees it. */

import { once } from 'node:events'
import { createRequire } from 'node:module'
import test, { type ExecutionContext } from 'ava'
import { OptionError, PayloadError } from '../../../lib/errors.ts'
import { DispatchQueue, type PutOptions, Throttled } from '../../../lib/index.ts'
import type { SqliteDatabase } from '../../../persistence/sqlite/database.ts'
import { BacklogFileError, putWithin, SecondSqliteError, SqliteBacklog } from '../../../persistence/sqlite/index.ts'
import { type ScriptedHandler, scripted, VirtualClock } from '../../../testing/index.ts'
import { scene } from '../../support/scene.ts'

const Database = createRequire(import.meta.url)('better-sqlite3') as new (
  path: string,
) => SqliteDatabase & {
  transaction<T>(run: () => T): { (): T; immediate(): T }
}
const { at } = scene()

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

test('putWithin: what is put in a transaction runs after its commit, and never was when it rolls back', async t => {
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
test('putWithin: jobs start by their priority, among those that were put otherwise too', async t => {
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
test('putWithin: a runAt that is past is now', async t => {
  const { clock, queue, within, runOut } = await working(t)

  within('a', { runAt: clock.wall() - 1 })
  await queue.put('b')

  t.deepEqual(await runOut(), ['a', 'b'])
})
test('putWithin: a job has the id it was given, and is put once under it, by whomever', async t => {
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
  t.like(await queue.explain(ids[0] as string), { why: 'key', notBefore: clock.wall() + 1 })
  t.is(handler.underway.find(({ task }) => task.id === ids[1])?.task.key, 'y')
  await clock.advance(1)
  t.deepEqual(handler.called.slice(-2), ['x1', 'x2'])
})
test('putWithin: what is not legal is refused as put refuses it', t => {
  const db = new Database(at('refused.db'))
  const within = (run: () => unknown) => t.throws(() => db.transaction(run).immediate())
  t.true(within(() => putWithin(db, 'q', () => {})) instanceof PayloadError)
  t.true(within(() => putWithin(db, '', 1)) instanceof OptionError)
  t.true(within(() => putWithin(db, 'q', 1, { prority: 1 } as never)) instanceof OptionError)
  t.true(within(() => putWithin(db, 'q', 1, { id: '\ud800' })) instanceof OptionError)
  const unopened = within(() => putWithin(db, 'q', 1))
  t.true(unopened instanceof BacklogFileError)
  t.regex(unopened?.message ?? '', /no queue has opened it/)
  db.close()
})
test('putWithin: a handle of another copy of better-sqlite3 is refused', t => {
  t.throws(() => putWithin({ prepare: () => {}, inTransaction: true }, 'q', 1), { instanceOf: SecondSqliteError })
})
