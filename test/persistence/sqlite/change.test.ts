/** Commands, delays, held keys and what is swept out: all that happens to jobs which do not run. */
import test from 'ava'
import { fileName, keep, namesOf, Process, wall } from '../../support/store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
type Ending = ReturnType<Process['claim']>[number]

const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const process = new Process()
  process.attach(parts)
  return process
}

test('delay: by the steady clock, and runAt by the wall, which may jump', t => {
  const p = opened()
  const { counts, first } = p.put([
    { payload: 'a', more: { dueAt: 100 } },
    { payload: 'b', more: { runAt: wall + 100 } },
    { payload: 'past', more: { runAt: wall } },
  ])
  t.deepEqual(counts, { ...zero, pending: 1, delayed: 2 })
  t.like(p.find(first), { state: 'delayed', more: { dueAt: 100 } })
  t.like(p.find(first + 1), { state: 'delayed', more: { runAt: wall + 100 } })
  t.is(p.turn().again, 100)

  t.deepEqual(p.claimed(), ['past'])
  t.deepEqual(p.turn({ now: 99, wall: wall + 100, room: 9 }).claimed.payloads, ['"b"'])
  t.deepEqual(p.turn({ now: 100, wall, room: 9 }).claimed.payloads, ['"a"'])
})

test('delay: the wall is looked at once a minute, however far off the instant is', t => {
  const p = opened()
  p.put([{ payload: 'a', more: { runAt: wall + 10_000_000 } }])

  t.is(p.turn().again, 60_000)
})

test('delay: more than can ripen in one turn ripen in the next, which is at once', t => {
  const p = opened()
  p.put(Array.from({ length: 1_001 }, (_, i) => ({ payload: String(i), more: { dueAt: 10 } })))

  const first = p.pass(10).turn()
  const second = p.turn()

  t.deepEqual([first.again, first.counts.pending], [10, 1_000])
  t.deepEqual([second.again, second.counts.pending], [Infinity, 1_001])
})

test('delay: over a reboot it goes on by what the wall clock says has passed, and never back', t => {
  for (const [wallMs, leftMs] of [
    [400, 600],
    [-5_000, 1_000],
    [5_000, 0],
  ] as const) {
    const path = fileName()
    const before = new Process(path)
    before.pass(7_000_000)
    before.attach()
    before.put([{ payload: 'a', more: { dueAt: before.now + 1_000 } }])
    before.die()

    const after = new Process(path, { boot: 'another' })
    after.now = 50
    after.wall = before.wall + wallMs
    after.attach()
    t.is(after.turn().again, leftMs === 0 ? Infinity : 50 + leftMs)

    t.is(after.pass(leftMs).claimed().length, 1)
  }
})

test('delay: another process of the same boot has the same clock', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  a.attach()
  a.put([{ payload: 'a', more: { dueAt: 100 } }])
  b.wall += 1_000_000
  b.attach()

  t.is(b.turn({ room: 1 }).again, 100)
})

test('cancel, retry, reprioritize and remove change what waits or has ended, and counts are conserved', t => {
  const p = opened()
  const { first: a } = p.put(['a', 'b', 'c', { payload: 'd', more: { dueAt: 9 } }])
  const [b, c, d] = [a + 1, a + 2, a + 3]

  const cancelled = p.control({ kind: 'cancel', target: a, reason: '"no"' })
  t.like(cancelled, { asked: false, count: 1, counts: { pending: 2, cancelled: 1 } })
  t.like(cancelled.changed[0], { seq: a, state: 'cancelled', more: { error: '"no"' } })
  t.is(p.control({ kind: 'cancel', target: a, reason: undefined }).count, 0)
  t.is(p.control({ kind: 'cancel', target: 'none', reason: undefined }).found, undefined)

  p.control({ kind: 'reprioritize', target: c, priority: -1 })
  p.control({ kind: 'reprioritize', target: d, priority: -2 })
  p.control({ kind: 'retry', target: p.find(a)?.id as string })
  p.control({ kind: 'remove', target: b })
  t.is(p.find(b), undefined)
  t.deepEqual(p.pass(9).turn().counts, { ...zero, pending: 3 })
  t.deepEqual(p.claimed(), ['d', 'c', 'a'])

  for (const kind of ['retry', 'remove'] as const) {
    t.throws(() => p.control({ kind, target: a }), { code: 'JOB_STATE' })
  }
  t.throws(() => p.control({ kind: 'reprioritize', target: a, priority: 1 }), { code: 'JOB_STATE' })
  t.throws(() => p.control({ kind: 'retry', target: 'none' }), { code: 'JOB_UNKNOWN' })
})

test('retry: of a job whose body goes on changes nothing until that has ended, or its process has died', t => {
  const path = fileName()
  const [p, web] = [new Process(path), new Process(path)]
  p.attach()
  web.attach({ works: false })
  p.put(['a', 'b'])
  const jobs = p.claim() as [Ending, Ending]
  p.turn({ settled: jobs.map(job => ({ ...job, kind: 'cancelled' as const, more: { goesOn: true } })) })
  const [a, b] = jobs.map(({ seq }) => seq) as [number, number]
  const retry = (target: number) => web.control({ kind: 'retry', target })

  t.like(retry(a), { asked: true, changed: [], found: { state: 'cancelled' } })
  p.turn({ closed: [a] })
  t.like(retry(a), { asked: false, found: { state: 'pending' } })
  t.true(retry(b).asked)
  p.die()
  web.store.recover(p.token, 0, wall)
  t.false(retry(b).asked)
})

test('retry: the attempts count anew, the fence does not, and the checkpoint stays', t => {
  const p = opened()
  p.put(['a'])
  const [job] = p.claim() as [Ending]
  p.turn({ checkpoints: [{ ...job, value: '"half"' }], settled: [{ ...job, kind: 'failed', more: { error: '"e"' } }] })

  const { found } = p.control({ kind: 'retry', target: job.seq })

  t.like(found, { state: 'pending', attempt: 0, more: { checkpoint: '"half"' } })
  const { claimed } = p.turn({ room: 1 })
  t.deepEqual([claimed.attempts, claimed.fences], [[1], [2]])
  t.deepEqual(claimed.more, [[0, { checkpoint: '"half"' }]])
})

test('cancel: of a job that runs in another process is asked of that, once', t => {
  const path = fileName()
  const [worker, web] = [new Process(path), new Process(path)]
  worker.attach()
  web.attach({ works: false })
  const { first } = web.put(['a'])
  worker.claim()

  const { asked, found, changed } = web.control({ kind: 'cancel', target: first, reason: '"no"' })

  t.deepEqual([asked, found?.state, changed], [true, 'underway', []])
  t.deepEqual(worker.turn().news?.cancels, [{ seq: first, reason: '"no"' }])
  t.is(worker.turn().news, undefined)
})

test('cancel: a run that was told of it and is about to go back ends as cancelled, and one that finishes leaves nothing of it', t => {
  const p = opened()
  p.put(['a', 'b'])
  const [a, b] = p.claim() as [Ending, Ending]
  for (const { seq } of [a, b]) p.control({ kind: 'cancel', target: seq, reason: '"no"' })
  t.is(p.turn().news?.cancels.length, 2)

  const { impossible, counts } = p.turn({ settled: [{ ...a, kind: 'back' }, b] })

  t.deepEqual(
    impossible.map(row => [row.seq, row.state, row.more?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
  t.is(p.rows('rdq_cancel'), 0)
})

test('cancel: what concerns a run is told to the queue object that has it, and to no other of its process', t => {
  const p = opened()
  p.put(['a'])
  const [a] = p.claim() as [Ending]
  p.control({ kind: 'cancel', target: a.seq, reason: undefined })

  t.is(p.turn({ works: false }).news, undefined)
  t.deepEqual(p.turn().news?.cancels, [{ seq: a.seq, reason: undefined }])
})

test('cancel: a job that goes back before its process has heard is cancelled, and one that ended is let be', t => {
  const p = opened()
  p.put(['a', 'b'])
  const [a, b] = p.claim() as [Ending, Ending]
  for (const { seq } of [a, b]) p.control({ kind: 'cancel', target: seq, reason: '"no"' })

  const { impossible, news, counts } = p.turn({ settled: [{ ...a, kind: 'again' }, b], room: 9 })

  t.deepEqual(
    impossible.map(row => [row.seq, row.state, row.more?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.is(news, undefined)
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
  t.is(p.rows('rdq_cancel'), 0)
})

test('pause: a shared one holds in every process', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.put(['1'])

  b.control({ kind: 'pause', held: true })
  t.like(a.turn({ room: 9 }), { held: true, claimed: { seqs: [] } })
  t.true(new Process(path).attach().held)
  b.control({ kind: 'pause', held: false })

  t.deepEqual(a.claimed(), ['1'])
})

test('clear: all that waits is cancelled, named in the order of start, and what is underway is left', t => {
  const p = opened()
  p.put([{ payload: 'u', priority: -2 }])
  const [u] = p.claim() as [Ending]
  p.put(['a', { payload: 'b', more: { dueAt: 9 } }, { payload: 'c', priority: -1 }])

  const { changed, count, counts } = p.control({ kind: 'clear', reason: '"c"' })

  t.deepEqual([namesOf(changed), count], [['c', 'a', 'b'], 3])
  t.deepEqual(counts, { ...zero, underway: 1, cancelled: 3 })
  t.true(changed.every(row => row.state === 'cancelled' && row.more?.error === '"c"'))
  t.deepEqual(namesOf(p.list({ state: 'cancelled' })), ['c', 'b', 'a'])
  // What was underway when it was cleared may come back.
  p.turn({ settled: [{ ...u, kind: 'returned' }] })
  p.put(['d'])
  t.deepEqual(p.pass(9).claimed(), ['u', 'd'])
})

test('clear: very many are cancelled at once and swept out little by little', t => {
  const p = opened()
  const { first } = p.put(Array.from({ length: 1_200 }, (_, i) => String(i)))
  p.put(Array.from({ length: 10 }, () => ({ payload: 'late', more: { dueAt: 5 } })))

  const { changed, count, counts } = p.control({ kind: 'clear', reason: '"c"' })

  t.deepEqual([changed.length, count], [0, 1_210])
  t.deepEqual(counts, { ...zero, cancelled: 1_210 })
  t.like(p.find(first + 700), { state: 'cancelled', more: { error: '"c"' } })
  // One that was not swept out yet can be put anew, or be removed.
  t.is(p.control({ kind: 'retry', target: first + 1_100 }).counts.pending, 1)
  t.is(p.control({ kind: 'remove', target: first + 1_101 }).count, 1)
  t.deepEqual(p.control({ kind: 'cancel', target: first + 1_102, reason: undefined }).changed, [])
  p.put(['after'])
  const turn = p.pass(5).turn({ room: 9 })
  t.deepEqual(turn.claimed.payloads, ['"1100"', '"after"'])
  t.is(turn.again, p.now + 10)
  p.turn()
  t.is(p.turn().again, Infinity)
  t.is(p.rows('rdq_cleared'), 0)
  t.is(p.rows('rdq_ended'), 1_208)
  t.deepEqual(p.turn().counts, { ...zero, underway: 2, cancelled: 1_208 })
})

test('clear: what was cleared is kept for its time from then on', t => {
  const p = opened({ keep: { ...keep, cancelledMs: 1_000 } })
  p.put(Array.from({ length: 1_001 }, (_, i) => String(i)))
  p.control({ kind: 'clear', reason: undefined })

  // It takes three turns to sweep them out, and what has been kept for long enough goes in the turn after.
  p.pass(1_000)
  for (let turns = 0; turns < 14; turns++) p.turn()

  t.deepEqual([p.rows('rdq_ended'), p.rows('rdq_job')], [0, 0])
})

test('throttled: a held key holds its jobs alone, which leave the ready ones until the hold is over', t => {
  const p = opened()
  const k = (payload: string) => ({ payload, more: { key: 'k' } })
  p.put([k('a'), k('b'), 'c', k('d')])
  const [a] = p.claim(1) as [Ending]
  const hold = { kind: 'throttled', more: { waitMs: 50, heldKey: 'k' } } as const

  p.turn({ settled: [{ ...a, ...hold }] })

  p.pass(49)
  const { claimed, again, counts } = p.turn({ room: 9 })
  t.deepEqual(claimed.payloads, ['"c"'])
  t.is(again, 50)
  t.deepEqual(counts, { ...zero, pending: 3, underway: 1 })
  t.is(p.rows('rdq_ready'), 0)
  t.like(p.find(a.seq), { state: 'pending' })
  t.like(p.explain(a.seq), { why: 'key', notBefore: 50 })
  t.deepEqual(namesOf(p.list({ state: 'pending' })), ['a', 'b', 'd'])
  p.control({ kind: 'reprioritize', target: a.seq, priority: 1 })
  p.control({ kind: 'cancel', target: a.seq + 1, reason: undefined })
  p.pass(1)
  t.deepEqual(p.claimed(), ['d', 'a'])
  t.is(p.rows('rdq_hold'), 0)
})

test('throttled: the hold of a key is there in every process and after a restart, and only grows', t => {
  const path = fileName()
  const [a, b] = [new Process(path), new Process(path)]
  for (const p of [a, b]) p.attach()
  a.put([{ payload: 'a', more: { key: 'k' } }])
  for (const waitMs of [100, 50]) {
    const [job] = a.claim() as [Ending]
    if (job) a.turn({ settled: [{ ...job, kind: 'throttled', more: { waitMs, heldKey: 'k' } }] })
  }
  a.die()

  t.deepEqual(b.pass(99).claimed(), [])
  t.deepEqual(b.pass(1).claimed(), ['a'])
})

test('throttled: thousands of jobs of a held key are let go a bounded number at a time', t => {
  const p = opened()
  p.put(Array.from({ length: 2_500 }, (_, i) => ({ payload: String(i), more: { key: 'k' } })))
  p.put(['free'])
  const [job] = p.claim(1) as [Ending]
  const before = p.turn({
    settled: [{ ...job, kind: 'throttled', more: { waitMs: 50, heldKey: 'k' } }],
    room: 9,
  })
  // A claim looks at a bounded number of them, and goes on in the next turn.
  t.is(before.again, 0)
  p.turn({ room: 9 })
  t.deepEqual(p.claimed(9), ['free'])
  t.is(p.rows('rdq_aside'), 2_500)

  const let1 = p.pass(50).turn()
  t.deepEqual([p.rows('rdq_aside'), let1.again], [1_500, 50])
  p.turn()
  p.turn()

  t.deepEqual([p.rows('rdq_aside'), p.rows('rdq_hold')], [0, 0])
  t.deepEqual(p.claimed(2), ['0', '1'])
})

test('explain: the position, and what holds a job until when', t => {
  const p = opened({ rate: [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined }] })
  const { first } = p.put([
    'a',
    'b',
    { payload: 'c', more: { dueAt: 70 } },
    { payload: 'w', more: { runAt: wall + 80 } },
  ])
  t.like(p.explain(first + 1), { position: 1, why: undefined, rule: undefined })
  t.like(p.explain(first + 2), { position: undefined, why: 'delay', notBefore: 70 })
  t.like(p.explain(first + 3), { why: 'delay', notBefore: 80 })
  t.is(p.explain('none'), undefined)

  const { grants } = p.turn({ room: 1 })
  p.turn({ launched: [grants?.[0] as number, 10] })

  t.like(p.explain(first + 1), { position: 0, why: 'rate', notBefore: 1_010, rule: { limit: 1, perMs: 1_000 } })
})
