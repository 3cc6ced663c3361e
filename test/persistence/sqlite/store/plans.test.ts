/** What the statements of the store walk: nothing that grows with the backlog. */
import test from 'ava'
import type { SqliteDatabase } from '../../../../persistence/sqlite/file/database.ts'
import { Store } from '../../../../persistence/sqlite/store/store.ts'
import { Database } from '../../../support/sqlite-store.ts'

/**
 * Tables with a row for each queue, named rule, process, clear, body that its job has ended before, worker that waits
 * for a slot, or put that is not acknowledged: few, however many jobs there are.
 */
const small = [
  'rdq_queue',
  'rdq_rule',
  'rdq_worker',
  'rdq_cleared_epoch',
  'rdq_continuing_body',
  'rdq_slot_wait',
  'rdq_put_reply',
  'rdq_meta',
  'rdq_seq_range',
  'sqlite_schema',
  // The keys that a call names.
  'e VIRTUAL TABLE',
]

/** What is sorted, and why that is no matter: few rows, or a look that somebody asked for. */
const sorted = [
  /from rdq_queue order by seen_at/,
  // The starts that a rate remembers, when another process has changed them.
  /from rdq_rate_start where rate/,
  // What one process holds, after an answer was lost.
  /u\.exchange = \?/,
  /^select seq from rdq_underway/,
  // Pages of a list: pending besides held ones, and delayed ones by priority.
  /rdq_pending_by_key where epoch/,
  /from rdq_delayed where epoch = \? and \(priority, seq\)/,
  /from rdq_delayed d cross join rdq_job/,
]

/** All plans of what a store prepares, by statement. */
const plansOf = (db: SqliteDatabase): Map<string, string[]> => {
  const plans = new Map<string, string[]>()
  const spy = new Proxy(db, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (property !== 'prepare') return typeof value === 'function' ? value.bind(target) : value
      return (sql: string) => {
        const statement = target.prepare(sql)
        if (!/^\s*(?:begin|commit)/.test(sql)) {
          const requested = target.prepare(`explain query plan ${sql}`)
          const count = sql.split('?').length - 1
          const rows = requested.all(...Array<null>(count).fill(null)) as { detail: string }[]
          plans.set(
            sql,
            rows.map(({ detail }) => detail),
          )
        }
        return statement
      }
    },
  })
  Store.open(spy, { worker: 'w', boot: 'b' })
  return plans
}

test('no statement scans a growing table, and few statements sort', t => {
  const db = new Database(':memory:')
  Store.open(db, { worker: 'v', boot: 'b' })

  const plans = plansOf(db)

  t.true(plans.size > 50)
  const scans = [...plans].flatMap(([sql, details]) =>
    details
      .filter(detail => /^SCAN (?!\d+ CONSTANT|\d+-ROW VALUES|\(|CONSTANT)/.test(detail))
      .filter(detail => !small.some(table => detail.startsWith(`SCAN ${table}`)))
      .map(detail => `${detail}: ${sql.trim()}`),
  )
  t.deepEqual(scans, [])
  // A range of an epoch is left by its whole key, because epochs are long.
  const wide = [...plans].filter(
    ([sql, details]) =>
      /^\s*delete/.test(sql) && !/limit/.test(sql) && details.some(detail => detail.endsWith('(epoch=?)')),
  )
  t.deepEqual([...wide.keys()], [])
  const sorts = [...plans].filter(([, details]) => details.some(detail => detail.includes('TEMP B-TREE')))
  const unexpected = sorts.map(([sql]) => sql.trim()).filter(sql => !sorted.some(few => few.test(sql)))
  t.deepEqual(unexpected, [])
})

test('no statement is planned anew with each call, as SQLite would do for a parameter as limit', t => {
  const statements = [...plansOf(new Database(':memory:')).keys()]

  t.deepEqual(
    statements.filter(sql => /limit\s*\?/i.test(sql)),
    [],
  )
  t.true(statements.filter(sql => /limit 0 \+ \?/.test(sql)).length > 10)
})
