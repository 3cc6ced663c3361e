/** The store in the order of a job's way: put, claim, settle, look, change. Two processes are two stores on one file. */
import test from 'ava'
import type { JobRow, JobRowExtras, ListCursor, ListRequest } from '../../../../persistence/durable/store.ts'
import { maxRowsInStep } from '../../../../persistence/sqlite/store/query.ts'
import { keep, namesOf, type Put } from '../../../../testing/contract/store-requests.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
/** All tables in which a job could be left behind. */
const tables = [
  'rdq_job',
  'rdq_ready',
  'rdq_delayed',
  'rdq_pending_by_key',
  'rdq_underway',
  'rdq_ended',
  'rdq_last_run',
  'rdq_remembered_id',
]
const left = (process: Process): string[] => tables.filter(table => process.rows(table) > 0)

const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const process = new Process()
  process.attach(parts)
  return process
}

test('put: a repeated put with generated and given ids records only where the generated ones are', t => {
  const p = opened()
  const given = (id: string) => ({ id, payload: 'b', extras: { fingerprint: 'f' } })
  const put = () => p.put([{ id: 'made-1', payload: 'a' }, given('g-7'), { id: 'made-2', payload: 'c' }, given('g-9')])
  put()
  const rows = p.rows('rdq_generated_ids')

  put()

  t.is(p.rows('rdq_generated_ids'), rows)
})

test('claim: an exchange hands out a thousand jobs, and requests another look at once if more can be claimed at once', t => {
  const p = opened()
  p.put(Array.from({ length: 1_500 }, (_, i) => String(i)))

  const first = p.exchange({ room: 5_000 })
  const second = p.exchange({ room: 5_000 })

  t.deepEqual([first.claimed.seqs.length, second.claimed.seqs.length], [1_000, 500])
  t.deepEqual([first.nextLookAt, second.nextLookAt], [0, Infinity])
})

test('claim: a payload that is not JSON fails its own job, and the others run', t => {
  const p = opened()
  const { first } = p.put(['a', { payload: 'b', extras: { key: 'k' } }, 'c'])
  p.db.prepare('update rdq_job set payload = ? where seq = ?').run('{oops', first + 1)

  const { claimed, endedUnrun, counts } = p.exchange({ room: 9 })

  t.deepEqual(claimed.payloads, ['"a"', '"c"'])
  t.deepEqual(
    endedUnrun.map(row => [row.seq, row.state, JSON.parse(row.extras?.error ?? '').code, row.payload]),
    [[first + 1, 'failed', 'UNREADABLE', 'null']],
  )
  t.deepEqual(counts, { ...zero, underway: 2, failed: 1 })
})

test('claim: a ready row whose job row a foreign program has deleted is passed over', t => {
  const p = opened()
  const { first } = p.put(['a', 'b'])
  p.db.prepare('delete from rdq_job where seq = ?').run(first)

  const { claimed, counts } = p.exchange({ room: 9 })

  t.deepEqual(claimed.payloads, ['"b"'])
  t.deepEqual(counts, { ...zero, underway: 1 })
})

test('settle: finished jobs that are not kept leave no row, settled singly or in succession', t => {
  const p = opened()
  p.put(['1', '2', '3', '4', '5', '6', '7'])
  const claimed = p.claim()
  const pick = (...which: number[]) => which.map(i => claimed[i] as (typeof claimed)[number])

  // A row of three, one by itself, and the rest out of order.
  p.exchange({ settled: pick(0, 1, 2, 5) })
  const { counts, notices } = p.exchange({ settled: pick(6, 3, 4) })

  t.deepEqual(counts, { ...zero, finished: 7 })
  t.is(notices, undefined)
  t.deepEqual(left(p), [])
})
type Ending = ReturnType<Process['claim']>[number]

test('exchange: an exchange that changes nothing writes nothing', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.exchange({ room: 9 })
  const version = b.db.pragma('data_version', { simple: true })

  a.exchange({ room: 9 })

  t.is(b.db.pragma('data_version', { simple: true }), version)
})

test('exchange: an error of SQLite undoes the whole exchange, in the file and in the caches of the store', t => {
  const p = opened({ rate: [{ limit: 3, perMs: 1_000, unit: undefined, burst: undefined }] })
  p.put(['a', 'b'])
  const before = p.db.prepare('select * from rdq_queue').get()
  p.db.exec(`create temp trigger full before insert on rdq_underway begin select raise(abort, 'full'); end`)

  t.throws(() => p.exchange({ room: 9 }), { any: true, message: 'full' })

  t.false(p.db.inTransaction)
  t.deepEqual(p.db.prepare('select * from rdq_queue').get(), before)
  p.db.exec('drop trigger full')
  const { claimed } = p.exchange({ room: 9 })
  t.deepEqual(claimed.payloads, ['"a"', '"b"'])
})

test('list: a step visits a bounded number of jobs, however few match, and all steps together give the list', t => {
  const p = opened()
  const jobs = Array.from({ length: 4_000 }, (_, i): Put => {
    const key = ['rare', 'held', 'many'][i % 1_000 === 0 ? 0 : i % 2 ? 1 : 2] as string
    const extras: JobRowExtras = { key, ...(i % 8 > 5 && { dueAt: 100 }) }
    return { payload: String(i), priority: (i % 7) - 3, ...(i % 5 ? { extras } : {}) }
  })
  const { first } = p.put([{ payload: 'first', extras: { key: 'held' } }])
  p.exchange({
    settled: p.claim().map(job => ({ ...job, kind: 'throttled', extras: { waitMs: 50, heldKey: 'held' } })),
  })
  p.put(jobs)
  p.put(Array.from({ length: 1_499 }, (_, i) => `plain ${i}`))
  const running = p.claim(1_000)
  p.exchange({ settled: running.slice(0, 500).map(job => ({ ...job, kind: 'failed' })) })
  t.true(p.rows('rdq_pending_by_key') > 500 && p.rows('rdq_ready_range') === 1)
  const all = Array.from({ length: 5_500 }, (_, i) => p.find(first + i) as JobRow)

  for (const state of [undefined, 'pending', 'delayed', 'underway', 'failed'] as const) {
    for (const key of [undefined, 'many', 'held', 'rare', 'none']) {
      const waits = state === 'pending' || state === 'delayed'
      const wanted = all
        .filter(row => (state ?? row.state) === row.state && (key ?? row.extras?.key) === row.extras?.key)
        .sort((a, b) => (waits ? a.priority - b.priority || a.seq - b.seq : b.seq - a.seq))
      const got: number[] = []
      let after: ListRequest['after']
      do {
        const { rows, next } = p.listStep({ state, key, after, limit: 10_000 })
        t.true(rows.length <= maxRowsInStep)
        got.push(...rows.map(({ seq }) => seq))
        after = next
      } while (after !== undefined)
      t.deepEqual(
        got,
        wanted.map(({ seq }) => seq),
        `${state} ${key}`,
      )
    }
  }
  t.is(p.listStep({ limit: 2 }).next?.seq, first + 5_498)
  const steps: ListCursor[] = []
  for (let next: ListCursor | undefined; steps.length < 9; steps.push(next)) {
    ;({ next } = p.listStep({ key: 'none', after: next }))
    if (!next) break
  }
  t.deepEqual(
    steps.map(({ seq }) => first + 5_500 - seq),
    [1_000, 2_000, 3_000, 4_000, 5_000],
  )
})

test('seqs: a name that has used up its range of seqs takes another, and the order continues', t => {
  const p = opened()
  const { first } = p.put(['1'])
  p.db.prepare('update rdq_queue set next_seq = ?').run(2 ** 32 - 2)
  p.put(['2'])
  p.attach({ name: 'other' })
  p.put(['o'])
  p.attach()

  const next = p.put(['3', '4', '5'])

  t.is(next.first, 2 * 2 ** 32 + 1)
  t.deepEqual(namesOf(p.list()), ['5', '4', '3', '2', '1'])
  t.deepEqual(namesOf(p.list({ after: { priority: 0, seq: next.first } })), ['2', '1'])
  t.deepEqual(p.claimed(), ['1', '2', '3', '4', '5'])
  t.true(next.first > first)
})

test('settle: the error and the times of a run are deleted with its job, kept or not', t => {
  const p = opened({ keep: { ...keep, finishedMs: 500, results: true } })
  p.put(['a', 'b', 'c'])
  const runs = p.claim()
  p.exchange({ settled: runs.map(job => ({ ...job, kind: 'retry', extras: { error: '"e"' } })) })
  const [a, b, c] = p.claim() as [Ending, Ending, Ending]

  p.exchange({
    settled: [
      { ...a, extras: { value: '7' } },
      { ...b, kind: 'failed', extras: { error: '"e"' } },
      { ...c, kind: 'cancelled' },
    ],
  })
  p.pass(500).exchange()
  p.pass(500).exchange()

  t.deepEqual(left(p), [])
})
