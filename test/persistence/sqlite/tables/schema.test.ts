/** The gate: which versions of rdq may write to a file, and that two may open it at once. */
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { SchemaError } from '../../../../persistence/sqlite/errors.ts'
import type { SqliteDatabase } from '../../../../persistence/sqlite/file/database.ts'
import { format, migrate, migrateWithin, type Step, steps } from '../../../../persistence/sqlite/tables/schema.ts'
import { Database, fileName, Process } from '../../../support/sqlite-store.ts'

test('schema: every table and index in the user’s file is named rdq_, and user_version is the user’s', t => {
  const db = new Database(':memory:')
  db.pragma('user_version = 7')

  migrate(db)

  const names = db.prepare(`select name from sqlite_schema where name not like 'rdq\\_%' escape '\\'`).pluck().all()
  t.deepEqual(
    names.filter(name => !String(name).startsWith('sqlite_autoindex_rdq_')),
    [],
  )
  t.is(db.pragma('user_version', { simple: true }), 7)
})

test('schema: opening again changes nothing, and keeps the jobs', t => {
  const path = fileName()
  const before = new Process(path)
  before.attach()
  before.put(['a'])
  before.die()

  const after = new Process(path)
  after.attach()

  t.deepEqual(after.claimed(), ['a'])
})

test('schema: a file that requires a newer writer is refused, and both versions are named', t => {
  const path = fileName()
  new Process(path).die()
  const db = new Database(path)
  const set = db.prepare('update rdq_meta set value = ? where key = ?')
  set.run(format + 2, 'format')
  set.run(format + 1, 'min_writer')
  const before = db.prepare('select * from sqlite_schema').all()

  const error = t.throws(() => migrate(db), { instanceOf: SchemaError, code: 'SCHEMA' })

  t.like(error, { format: format + 2, known: format })
  t.regex(error?.message ?? '', new RegExp(`format ${format + 2} .* up to ${format}:`))
  t.deepEqual(db.prepare('select * from sqlite_schema').all(), before)
})

test('schema: a newer file that lets this version write is used', t => {
  const path = fileName()
  new Process(path).die()
  const db = new Database(path)
  db.prepare(`update rdq_meta set value = ? where key = 'format'`).run(format + 1)

  t.notThrows(() => migrate(db))
  t.is(db.prepare(`select value from rdq_meta where key = 'format'`).pluck().get(), format + 1)
})

test('schema: a version that is no number is refused', t => {
  const path = fileName()
  new Process(path).die()
  const db = new Database(path)
  db.prepare(`update rdq_meta set value = 'x' where key = 'format'`).run()

  t.throws(() => migrate(db), { code: 'SCHEMA' })
})

test('schema: a step that fails leaves no part of it', t => {
  const db = new Database(':memory:')
  db.exec('create table rdq_job (mine)')

  t.throws(() => migrate(db), { any: true })

  t.deepEqual(db.prepare('select name from sqlite_schema').pluck().all(), ['rdq_job'])
  t.false(db.inTransaction)
})

test('schema: tables that another process creates between the check and the transaction are kept', t => {
  const path = fileName()
  const [slow, quick] = [new Database(path), new Database(path)]
  const late = new Proxy(slow, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property)
      if (property !== 'exec') return typeof value === 'function' ? value.bind(target) : value
      return (sql: string) => {
        if (sql === 'begin immediate') migrate(quick)
        return target.exec(sql)
      }
    },
  })

  t.notThrows(() => migrate(late))

  t.is(quick.prepare('select count(*) from rdq_worker').pluck().get(), 1)
})

test('schema: processes that open a new file at once create its tables once', async t => {
  const path = fileName()
  new Database(path).pragma('journal_mode = wal')

  t.deepEqual(await openedAtOnce(t, path, ['a', 'b', 'c', 'd']), Array(4).fill('opened'))

  t.is(new Process(path).store.workers().length, 4)
})

test('F25: processes that open a file of an older format at once migrate it once, and keep its jobs', async t => {
  const path = fileName()
  const before = new Process(path)
  before.attach()
  before.put(['a', 'b'])
  before.die()

  t.deepEqual(await openedAtOnce(t, path, ['a', 'b', 'c', 'd'], newer), Array(4).fill('opened'))

  const db = new Database(path)
  t.is(formatOf(db), format + 1)
  t.deepEqual(db.prepare('select colour from rdq_job').pluck().all(), ['red', 'red'])
})

test('schema: a new file takes all steps in their order, and records which versions may write to it', t => {
  const db = new Database(':memory:')

  migrate(db, newer)

  t.is(formatOf(db), format + 1)
  t.deepEqual(db.prepare(`select value from rdq_meta where key like 'min_%' order by key`).pluck().all(), [
    1,
    format + 1,
  ])
  t.deepEqual(db.prepare('select colour from rdq_job').all(), [])
})

test('schema: a step decides whether older versions may still write', t => {
  const [shut, open] = [new Database(':memory:'), new Database(':memory:')]

  migrate(shut, newer)
  migrate(open, [...steps, { ...colours, minWriter: 1 }])

  t.throws(() => migrate(shut), { code: 'SCHEMA' })
  t.notThrows(() => migrate(open))
})

test('schema: a step that fails leaves the file at the format that it had', t => {
  const db = new Database(':memory:')
  migrate(db)

  t.throws(() => migrate(db, [...newer, { ...colours, sql: 'create table rdq_more (a); no sql' }]), { any: true })

  t.is(formatOf(db), format)
  t.throws(() => db.prepare('select colour from rdq_job'), { any: true, message: /no such column/ })
})

test('schema: within a transaction of the user that is rolled back, no step was done', t => {
  const db = new Database(':memory:')
  migrate(db)

  db.exec('begin')
  migrateWithin(db, newer)
  db.exec('rollback')
  t.is(formatOf(db), format)

  db.exec('begin')
  migrateWithin(db, newer)
  db.exec('commit')
  t.is(formatOf(db), format + 1)
})

/** A step that a later version might add. Done twice it fails. */
const colours: Step = {
  ...{ minReader: 1, minWriter: format + 1 },
  sql: `alter table rdq_job add column colour text; update rdq_job set colour = 'red'`,
}
const newer: readonly Step[] = [...steps, colours]

function formatOf(db: SqliteDatabase): unknown {
  return db.prepare(`select value from rdq_meta where key = 'format'`).pluck().get()
}

/** What becomes of threads of these tokens, each of which opens the file when all of them are there. */
async function openedAtOnce(
  t: ExecutionContext,
  path: string,
  tokens: readonly string[],
  to?: readonly Step[],
): Promise<unknown[]> {
  const gate = new SharedArrayBuffer(4)
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { path, token, to } = workerData
    Promise.all([import(workerData.support), import(workerData.schema)]).then(([{ Database, Process }, { migrate }]) => {
      parentPort.postMessage('ready')
      Atomics.wait(new Int32Array(workerData.gate), 0, 0)
      if (to) migrate(new Database(path), to)
      else new Process(path, { token })
      parentPort.postMessage('opened')
    }).catch(error => parentPort.postMessage(String(error)))`
  const support = new URL('../../../support/sqlite-store.js', import.meta.url).href
  const schema = new URL('../../../../persistence/sqlite/tables/schema.js', import.meta.url).href
  const workers = tokens.map(
    token => new Worker(source, { eval: true, workerData: { support, schema, path, gate, token, to } }),
  )
  t.teardown(() => Promise.all(workers.map(worker => worker.terminate())))
  const next = (): Promise<unknown[]> =>
    Promise.all(workers.map(worker => new Promise(resolve => worker.once('message', resolve))))
  const ready = await next()
  if (!ready.every(said => said === 'ready')) return ready
  const opened = next()
  Atomics.store(new Int32Array(gate), 0, 1)
  Atomics.notify(new Int32Array(gate), 0)
  return opened
}
