/** What becomes of the jobs of a dead process, and of one that is asked to let go. */
import test from 'ava'
import { endingsOf, fileName, keep, Process } from '../../support/store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
type Ending = ReturnType<Process['claim']>[number]
type Attach = Parameters<Process['attach']>[0]

/** Two processes on a file; the second dies while it runs what was put. */
const crashed = (
  count: number,
  parts: Attach = {},
  mine: Attach = parts,
): { p: Process; dead: Process; path: string } => {
  const path = fileName()
  const [p, dead] = [new Process(path), new Process(path)]
  dead.attach(parts)
  p.attach(mine)
  dead.put(Array.from({ length: count }, (_, i) => String(i)))
  dead.launch(count)
  dead.die()
  return { p, dead, path }
}
const die = (path: string, parts: Attach = {}): string => {
  const process = new Process(path)
  process.attach(parts)
  process.launch()
  process.die()
  return process.token
}

test('again: they take their old place with no attempt used, one crash more, and are told', t => {
  const { p, dead } = crashed(2)
  p.put(['later'])
  t.deepEqual(p.store.workers(), [dead.token])

  t.deepEqual(p.store.recover(dead.token, p.now, p.wall), [p.queue])

  t.deepEqual(p.store.workers(), [])
  const { news, claimed, counts } = p.turn({ room: 9 })
  // One at a time of those that were underway in a crash, and what was not beside it.
  t.deepEqual(counts, { ...zero, pending: 1, underway: 2 })
  t.deepEqual(claimed.payloads, ['"0"', '"later"'])
  t.deepEqual(
    [claimed.attempts, claimed.fences],
    [
      [1, 1],
      [2, 1],
    ],
  )
  t.deepEqual(
    news?.recovered.map(row => [row.payload, row.crashes]),
    [
      ['"0"', 1],
      ['"1"', 1],
    ],
  )
  t.is(p.turn().news, undefined)
})

test('again: recovered by two processes at once, a job goes back once', t => {
  const { p, dead, path } = crashed(2)
  const other = new Process(path)
  other.attach()

  t.deepEqual(p.store.recover(dead.token, 0, p.wall), [p.queue])
  t.deepEqual(other.store.recover(dead.token, 0, p.wall), [])

  t.is(p.turn().counts.pending, 2)
  t.like(p.list()[0], { crashes: 1 })
})

test('again: a job fails with PoisonError when its process died as often as crashLimit says', t => {
  const { p, dead, path } = crashed(1, { crashLimit: 2 })
  p.store.recover(dead.token, p.now, p.wall)
  p.turn()

  p.store.recover(die(path, { crashLimit: 2 }), p.now, p.wall)

  const { news, counts } = p.turn()
  t.deepEqual(counts, { ...zero, failed: 1 })
  const [row] = news?.recovered ?? []
  t.like(row, { state: 'failed', crashes: 2, attempt: 1 })
  t.like(JSON.parse(row?.more?.error ?? ''), { code: 'POISON', crashes: 2 })
  // Put anew, it may crash as often again.
  t.like(p.control({ kind: 'retry', target: row?.seq as number }).found, { crashes: 0, state: 'pending' })
})

test('fail: they fail', t => {
  const { p, dead } = crashed(1, { afterCrash: 'fail' })

  p.store.recover(dead.token, p.now, p.wall)

  t.deepEqual(p.turn().counts, { ...zero, failed: 1 })
})

test('fail: one that is not kept is told all the same', t => {
  const parts = { afterCrash: 'fail', keep: { ...keep, failedMs: 0 } } as const
  const { p, dead } = crashed(1, parts)

  p.store.recover(dead.token, p.now, p.wall)

  t.like(p.turn().news?.recovered[0], { state: 'failed', payload: '"0"', crashes: 1 })
  t.is(p.rows('rdq_job'), 0)
})

test('ask: they are underway here by a new fence until the answer, and told once', t => {
  const { p, dead } = crashed(2, { afterCrash: 'ask' })
  p.store.recover(dead.token, p.now, p.wall)

  const { news, claimed, counts } = p.turn({ room: 9 })

  t.deepEqual([claimed.seqs, counts], [[], { ...zero, underway: 2 }])
  const asked = (news?.inDoubt ?? []).map(({ seq, fence, attempt, state }) => ({ seq, fence, attempt, state }))
  t.deepEqual(
    asked.map(({ fence, attempt, state }) => [fence, attempt, state]),
    Array(2).fill([2, 1, 'underway']),
  )
  // The answer was lost: told again, but not claimed.
  const again = p.turn({ number: p.number })
  t.deepEqual([again.news?.inDoubt.length, again.claimed.seqs.length], [2, 0])
  t.is(p.turn().news, undefined)
  const [first, second] = asked as unknown as [Ending, Ending]
  p.turn({ settled: [first, { ...second, kind: 'back' }] })
  t.deepEqual(p.turn().counts, { ...zero, pending: 1, finished: 1 })
  t.like(p.find(second.seq), { attempt: 0, crashes: 1 })
})

test('ask: one that is cancelled while somebody is asked does not run again, also where the next is asked', t => {
  const { p, dead, path } = crashed(2, { afterCrash: 'ask' })
  p.store.recover(dead.token, p.now, p.wall)
  const [a, b] = (p.turn().news?.inDoubt ?? []) as unknown as [Ending, Ending]
  for (const { seq } of [a, b]) p.control({ kind: 'cancel', target: seq, reason: '"no"' })
  t.is(p.turn().news?.cancels.length, 2)

  const { impossible } = p.turn({ settled: [{ ...a, kind: 'back' }] })
  p.ask({ kind: 'detach', queue: p.queue, works: true, keepLeases: false })
  const next = new Process(path)
  next.attach({ afterCrash: 'ask' })
  const { news, counts } = next.turn({ room: 9 })

  t.deepEqual([impossible[0]?.state, news?.recovered[0]?.state], ['cancelled', 'cancelled'])
  t.deepEqual(counts, { ...zero, cancelled: 2 })
})

test('ask: where no queue can be asked they stay for one that can', t => {
  const { p, dead, path } = crashed(1, { afterCrash: 'ask' }, { works: false, afterCrash: 'ask' })

  p.store.recover(dead.token, p.now, p.wall)

  t.deepEqual(p.store.workers(), [])
  t.deepEqual(p.turn().counts, { ...zero, underway: 1 })
  const worker = new Process(path)
  worker.attach({ afterCrash: 'ask' })
  t.like(worker.turn().news, { inDoubt: [{ fence: 2, crashes: 1 }] })
})

test('ask: a queue that wants them again takes over what waited for one that can be asked', t => {
  const { p, dead } = crashed(1, { afterCrash: 'ask' }, { works: false, afterCrash: 'ask' })
  p.store.recover(dead.token, p.now, p.wall)

  p.attach({ afterCrash: 'again' })

  t.deepEqual(p.claimed(), ['0'])
})

test('ask: one that dies before it has asked adds no crash', t => {
  const { p, dead, path } = crashed(1, { afterCrash: 'ask' })
  const second = new Process(path)
  second.attach({ afterCrash: 'ask' })
  second.store.recover(dead.token, p.now, p.wall)
  second.turn()
  second.die()

  p.store.recover(second.token, p.now, p.wall)

  t.like(p.turn().news, { inDoubt: [{ crashes: 1, fence: 3 }] })
})

test('ask: a thread that was started again finds what the one before was about to tell', t => {
  const { p, dead, path } = crashed(1, { afterCrash: 'ask' })
  p.store.recover(dead.token, p.now, p.wall)
  p.die()

  const again = new Process(path, { token: p.token })
  again.attach({ afterCrash: 'ask' })

  t.is(again.turn().news?.inDoubt.length, 1)
})

test('a cancel that the dead process never heard of is kept', t => {
  const { p, dead } = crashed(1)
  const [row] = p.list()
  t.true(p.control({ kind: 'cancel', target: row?.seq as number, reason: '"no"' }).asked)

  p.store.recover(dead.token, p.now, p.wall)

  t.deepEqual(p.turn().counts, { ...zero, cancelled: 1 })
  t.like(p.find(row?.seq as number), { state: 'cancelled', more: { error: '"no"' } })
})

test('thousands are taken over in steps, and none twice', t => {
  const { p, dead } = crashed(1_000)

  p.store.recover(dead.token, p.now, p.wall)

  const told = [p.turn(), p.turn(), p.turn()].map(({ news }) => news?.recovered.length ?? 0)
  t.deepEqual(told, [500, 500, 0])
  t.is(p.turn().counts.pending, 1_000)
  t.is(new Set(p.list({ state: 'pending', limit: 1_000 }).map(({ seq }) => seq)).size, 1_000)
})

test('a recovery that was interrupted is told whole by the next', t => {
  const { p, dead } = crashed(1_000)
  p.db.exec(`
    create temp table n (i); insert into n values (0);
    create temp trigger full before insert on rdq_suspect begin
      update n set i = i + 1; select raise(abort, 'full') from n where i > 700; end`)
  t.throws(() => p.store.recover(dead.token, 0, p.wall), { any: true, message: 'full' })
  p.db.exec('drop trigger full')

  t.deepEqual(p.store.recover(dead.token, 0, p.wall), [p.queue])

  const told = [p.turn(), p.turn(), p.turn()].flatMap(({ news }) => news?.recovered ?? [])
  t.deepEqual([told.length, new Set(told.map(({ seq }) => seq)).size], [1_000, 1_000])
  t.is(p.turn().counts.pending, 1_000)
  t.is(new Set(p.list({ state: 'pending', limit: 1_000 }).map(({ seq }) => seq)).size, 1_000)
})

test('surrender: all goes back as from a dead process, and what this one settles is lost', t => {
  const path = fileName()
  const [p, other] = [new Process(path), new Process(path)]
  for (const process of [p, other]) process.attach()
  p.put(['a'])
  const settled = p.launch()

  p.store.surrender(p.now, p.wall)

  t.deepEqual(
    endingsOf(other.turn({ room: 9 })).map(({ fence }) => fence),
    [2],
  )
  t.like(other.list()[0], { crashes: 1, attempt: 1 })
  t.is(p.turn({ settled }).news?.lost.length, 1)
  // It is still one of those that have the file open.
  t.deepEqual(other.store.workers(), [p.token])
})

test('who was taken for dead by mistake is listed again with its next transaction, and what it claims then outlives it', t => {
  const path = fileName()
  const [p, other] = [new Process(path), new Process(path)]
  for (const process of [p, other]) process.attach()
  p.put(['a'])
  const settled = p.claim()

  other.store.recover(p.token, other.now, other.wall)
  t.deepEqual(other.store.workers(), [])

  // Its run is lost, and it may have the job anew.
  t.is(p.turn({ settled }).news?.lost.length, 1)
  t.deepEqual(other.store.workers(), [p.token])
  t.is(p.claim().length, 1)
  p.die()
  other.store.recover(p.token, other.now, other.wall)
  t.deepEqual(other.turn().counts, { ...zero, pending: 1 })
  t.deepEqual(other.store.workers(), [])
})

test('in a copy the workers of the original are strangers to whoever opens it first; in the file itself nobody is one', t => {
  const path = fileName()
  const [one, two] = [new Process(path, { file: '1:7' }), new Process(path, { file: '1:7' })]
  t.deepEqual([one.store.strangers, two.store.strangers], [[], []])
  const copy = fileName()
  two.db.exec(`vacuum into '${copy}'`)

  const [first, second] = [new Process(copy, { file: '1:8' }), new Process(copy, { file: '1:8' })]

  t.deepEqual([first.store.strangers, second.store.strangers], [[one.token, two.token], []])
})

test('a queue that stops beside a body of its own leaves whom it has asked about to the next one', t => {
  const path = fileName()
  const policy = { afterCrash: 'ask' } as const
  const p = new Process(path)
  p.attach(policy)
  p.put(['a', 'b'])
  const dying = new Process(path)
  dying.attach(policy)
  dying.launch(1)
  dying.die()
  p.store.recover(dying.token, p.now, p.wall)
  t.is(p.turn().news?.inDoubt.length, 1)
  t.is(p.claim().length, 1)

  p.ask({ kind: 'detach', queue: p.queue, works: true, keepLeases: true })

  const other = new Process(path)
  other.attach(policy)
  const { news, counts } = other.turn({ room: 9 })
  t.is(news?.inDoubt.length, 1)
  t.is(counts.underway, 2)
})
