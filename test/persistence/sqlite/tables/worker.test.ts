/** What becomes of the jobs of a dead process, and of one that is asked to let go. */
import test from 'ava'
import { keep } from '../../../../testing/contract/store-requests.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

type Attach = Parameters<Process['attach']>[0]

/** Two processes on a file; the second dies while it runs what was put. */
const crashed = (count: number, parts: Attach = {}): { p: Process; dead: Process } => {
  const path = fileName()
  const [p, dead] = [new Process(path), new Process(path)]
  dead.attach(parts)
  p.attach(parts)
  dead.put(Array.from({ length: count }, (_, i) => String(i)))
  dead.launch(count)
  dead.die()
  return { p, dead }
}

test("afterCrash 'fail': a failed job that is not kept is still reported", t => {
  const parts = { afterCrash: 'fail', keep: { ...keep, failedMs: 0 } } as const
  const { p, dead } = crashed(1, parts)

  p.store.recover(dead.token, p.now, p.wall)

  t.like(p.exchange().notices?.recovered[0], { state: 'failed', payload: '"0"', crashes: 1 })
  t.is(p.rows('rdq_job'), 0)
})

test('thousands of jobs are recovered in steps, and none twice', t => {
  const { p, dead } = crashed(1_000)

  p.store.recover(dead.token, p.now, p.wall)

  const reported = [p.exchange(), p.exchange(), p.exchange()].map(({ notices }) => notices?.recovered.length ?? 0)
  t.deepEqual(reported, [500, 500, 0])
  t.is(p.exchange().counts.pending, 1_000)
  t.is(new Set(p.list({ state: 'pending', limit: 1_000 }).map(({ seq }) => seq)).size, 1_000)
})

test('a recovery that was interrupted is reported as a whole by the next one', t => {
  const { p, dead } = crashed(1_000)
  p.db.exec(`
    create temp table n (i); insert into n values (0);
    create temp trigger full before insert on rdq_suspect begin
      update n set i = i + 1; select raise(abort, 'full') from n where i > 700; end`)
  t.throws(() => p.store.recover(dead.token, 0, p.wall), { any: true, message: 'full' })
  p.db.exec('drop trigger full')

  t.deepEqual(p.store.recover(dead.token, 0, p.wall), [p.queue])

  const reported = [p.exchange(), p.exchange(), p.exchange()].flatMap(({ notices }) => notices?.recovered ?? [])
  t.deepEqual([reported.length, new Set(reported.map(({ seq }) => seq)).size], [1_000, 1_000])
  t.is(p.exchange().counts.pending, 1_000)
  t.is(new Set(p.list({ state: 'pending', limit: 1_000 }).map(({ seq }) => seq)).size, 1_000)
})

test('a copy names the workers of its original to the first worker that opens it; the original itself names none', t => {
  const path = fileName()
  const [one, two] = [new Process(path, { file: '1:7' }), new Process(path, { file: '1:7' })]
  t.deepEqual([one.store.workersOfOriginal, two.store.workersOfOriginal], [[], []])
  const copy = fileName()
  two.db.exec(`vacuum into '${copy}'`)

  const [first, second] = [new Process(copy, { file: '1:8' }), new Process(copy, { file: '1:8' })]

  t.deepEqual([first.store.workersOfOriginal, second.store.workersOfOriginal], [[one.token, two.token], []])
})
