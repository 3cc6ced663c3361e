/** How the file counts its suspects. Which jobs they are, and how they run, is in the store contract. */
import test from 'ava'
import { inOrderOfSuspects } from '../../../../lib/decisions/suspects.ts'
import type { Ending } from '../../../../testing/contract/store-requests.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
type Attach = Parameters<Process['attach']>[0]

const worker = (path: string, parts: Attach = {}): Process => {
  const process = new Process(path)
  process.attach(parts)
  return process
}
/** A process launches all that it finds and dies, and is recovered by `by`. */
const crash = (path: string, by: Process, parts: Attach = {}, room = 100): Ending[] => {
  const dying = worker(path, parts)
  dying.now = by.now
  dying.wall = by.wall
  const jobs = dying.launch(room)
  dying.die()
  by.store.recover(dying.token, by.now, by.wall)
  return jobs
}
const cautionsOf = (process: Process, room = 100): unknown[] =>
  process.exchange({ room }).claimed.extras.map(([, { caution }]) => caution)
const pendingIn = (process: Process): unknown[] =>
  process.list({ state: 'pending' }).map(({ payload }) => JSON.parse(payload))
const finish = (process: Process, settled: readonly Ending[], room = 0) => process.exchange({ settled, room })

test('suspects are pending: listed in their place, counted, found, explained, and changed as others are', t => {
  const path = fileName()
  const p = worker(path)
  const { first: seq } = p.put(['a', 'b', 'c', 'd'])
  crash(path, p)
  p.put([{ payload: 'e', priority: -1 }, 'f'])

  t.deepEqual(pendingIn(p), ['e', 'a', 'b', 'c', 'd', 'f'])
  t.deepEqual(
    p.list({ state: 'pending', limit: 2, after: { priority: 0, seq } }).map(({ payload }) => payload),
    ['"b"', '"c"'],
  )
  t.like(p.explain(seq + 1), { position: 1, why: 'suspect' })
  t.like(p.find(seq + 1), { state: 'pending', crashes: 1 })
  p.command({ kind: 'reprioritize', target: seq + 2, priority: -2 })
  t.deepEqual(pendingIn(p), ['c', 'e', 'a', 'b', 'd', 'f'])
  t.is(p.explain(seq + 2)?.position, 0)
  t.is(p.command({ kind: 'cancel', target: seq, reason: undefined }).count, 1)
  t.is(p.command({ kind: 'remove', target: seq + 3 }).count, 1)
  t.like(p.command({ kind: 'retry', target: seq }).found, { crashes: 0, state: 'pending' })
  t.is(p.command({ kind: 'clear', reason: '"c"' }).count, 5)
  t.like(p.find(seq + 1), { state: 'cancelled' })
  t.deepEqual(p.exchange({ room: 9 }).counts, { ...zero, cancelled: 5 })
  t.is(p.rows('rdq_suspect'), 0)
  t.is(p.db.prepare('select suspects from rdq_queue').pluck().get(), 0)
})

test('whatever the ending of a suspect, no other job is treated as one afterwards', t => {
  for (const kind of ['finished', 'failed', 'cancelled'] as const) {
    const path = fileName()
    const p = worker(path)
    p.put(['a', 'b', 'c', 'd'])
    crash(path, p, {}, 1)
    const jobs = p.claim()
    t.is(jobs.length, 4)
    finish(
      p,
      jobs.map(job => ({ ...job, kind })),
    )

    t.is(p.db.prepare('select suspects from rdq_queue').pluck().get(), 0, kind)
    p.put(['e'])
    t.deepEqual(cautionsOf(p), [])
  }
})

test('suspects start in the order of inOrderOfSuspects: fewer crashes first, then by priority, then by put', t => {
  const path = fileName()
  const p = worker(path, { crashLimit: 100 })
  const puts = [1, 0, 1, 0, -1, 1, 0, -1].map((priority, i) => ({ payload: `${i}`, priority }))
  const { first } = p.put(puts)
  crash(path, p, { crashLimit: 100 })
  const suspects = puts.map(({ priority }, i) => ({
    seq: first + i,
    priority,
    crashes: [3, 2, 1, 2, 3, 1, 1, 2][i] as number,
  }))
  const setCrashes = p.db.prepare('update rdq_suspect set crashes = ? where seq = ?')
  for (const { seq, crashes } of suspects) t.is(setCrashes.run(crashes, seq).changes, 1)

  const started: number[] = []
  for (let jobs = p.claim(); jobs.length > 0; jobs = p.claim()) {
    started.push(...jobs.map(({ seq }) => seq))
    finish(p, jobs)
  }

  t.deepEqual(
    started,
    suspects.sort(inOrderOfSuspects).map(({ seq }) => seq),
  )
})
