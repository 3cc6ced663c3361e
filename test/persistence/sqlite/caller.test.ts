/** A put inside a user's own transaction, as users call it, and the queue that sees it. */

import { once } from 'node:events'
import { createRequire } from 'node:module'
import test from 'ava'
import { OptionError, PayloadError } from '../../../lib/errors.ts'
import { DispatchQueue } from '../../../lib/index.ts'
import type { SqliteDatabase } from '../../../persistence/sqlite/database.ts'
import { BacklogFileError, putWithin, SecondSqliteError, SqliteBacklog } from '../../../persistence/sqlite/index.ts'
import { scene } from '../../support/scene.ts'

const Database = createRequire(import.meta.url)('better-sqlite3') as new (
  path: string,
) => SqliteDatabase & {
  transaction<T>(run: () => T): { (): T; immediate(): T }
}
const { at } = scene()

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
