/** Whom a crash is blamed on, and how jobs that were underway in one run from then on. */
import test from 'ava'
import { patienceMs } from '../../../persistence/sqlite/suspects.ts'
import { type Ending, endingsOf, fileName, Process, payloadsOf } from '../../support/store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
type Attach = Parameters<Process['attach']>[0]
/** What is asked of a launch: that it is reported before, and that nothing runs beside it. */
const [first, alone] = [1, 2] as const

/** A process that works these queues on a file; 'q' where none is named. */
const worker = (path: string, parts: Attach = {}, names: readonly string[] = ['q'], token?: string): Process => {
  const process = new Process(path, token === undefined ? {} : { token })
  declared.set(process, parts)
  for (const name of [...names].reverse()) process.attach({ name, ...parts })
  return process
}
const declared = new WeakMap<Process, Attach>()
/** Its queue of that name speaks from now on. */
const as = (process: Process, name: string): Process => {
  process.attach({ name, ...declared.get(process) })
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
  process.turn({ room }).claimed.more.map(([, { caution }]) => caution)
const pendingIn = (process: Process): unknown[] =>
  process.list({ state: 'pending' }).map(({ payload }) => JSON.parse(payload))
const finish = (process: Process, settled: readonly Ending[], room = 0) => process.turn({ settled, room })

test('a crash before the launch was reported counts against nobody, and the next run is reported first', t => {
  const path = fileName()
  const p = worker(path)
  p.put(['a', 'b'])
  for (let i = 0; i < 10; i++) {
    const dying = worker(path)
    t.is(dying.claim().length, 2)
    dying.die()
    p.store.recover(dying.token, p.now, p.wall)
  }

  t.deepEqual(p.turn().counts, { ...zero, pending: 2 })
  t.deepEqual(
    p.list().map(({ crashes }) => crashes),
    [0, 0],
  )
  t.deepEqual(cautionsOf(p), [first, first])
})

test('a crash counts against the jobs whose launch was reported, and against no others', t => {
  const path = fileName()
  const p = worker(path)
  p.put(['a', 'b', 'c', 'd', 'e'])
  const dying = worker(path)
  const jobs = dying.claim()
  dying.begin([jobs[0], jobs[1], jobs[3]] as Ending[])
  dying.die()

  p.store.recover(dying.token, p.now, p.wall)

  const crashes = Object.fromEntries(p.list().map(row => [JSON.parse(row.payload), row.crashes]))
  t.deepEqual(crashes, { a: 1, b: 1, c: 0, d: 1, e: 0 })
})

test('a report of a claim that does not hold any more is answered as lost where a body waits for it, and changes nothing', t => {
  const path = fileName()
  const p = worker(path)
  p.put(['a'])
  const [a] = p.claim() as [Ending]
  p.turn({ settled: [{ ...a, kind: 'unlaunched' }], room: 1 })

  t.is(p.begin([a]).news, undefined)
  t.deepEqual(p.begin([a], true).news?.lost, [a.seq])
})

test('a worker runs one suspect at a time, over all of its queues, and other jobs beside it', t => {
  const path = fileName()
  const p = worker(path, {}, ['q', 'r'])
  p.put(['a', 'b'])
  crash(path, p)
  as(p, 'r').put(['x', 'y'])
  const dying = worker(path, {}, ['r'])
  dying.launch()
  dying.die()
  p.store.recover(dying.token, p.now, p.wall)
  as(p, 'q').put(['c', 'd'])

  const running = p.turn({ room: 3 })
  t.deepEqual(payloadsOf(running), ['a', 'c', 'd'])
  as(p, 'r').put(['z'])
  t.deepEqual(p.claimed(), ['z'])
  t.deepEqual(as(p, 'q').claimed(), [])

  // The other queue is told to look, and goes first: its suspect waits since before.
  finish(p, endingsOf(running))
  t.true(p.store.wakes())
  const next = as(p, 'r').turn({ room: 9 })
  t.deepEqual(payloadsOf(next), ['x'])
  t.deepEqual(as(p, 'q').claimed(), [])
})

test('another worker runs a suspect of its own', t => {
  const path = fileName()
  const [p, other] = [worker(path), worker(path)]
  p.put(['a', 'b', 'c'])
  crash(path, p)

  t.deepEqual([p.claimed(), other.claimed(), p.claimed(), other.claimed()], [['a'], ['b'], [], []])
})

test('suspects come by fewer crashes, then by their old place', t => {
  const path = fileName()
  const limit = { crashLimit: 10 }
  const p = worker(path, limit)
  p.put([{ payload: 'b' }, { payload: 'c' }, { payload: 'a', priority: -1 }])
  crash(path, p, limit)
  // The most important one was the first to be launched again.
  crash(path, p, limit)
  p.pass(5_000)

  const order: unknown[] = []
  for (let i = 0; i < 3; i++) {
    const turn = p.turn({ room: 9 })
    order.push(...payloadsOf(turn))
    finish(p, endingsOf(turn))
  }
  t.deepEqual(order, ['b', 'c', 'a'])
})

test('a suspect keeps its place among the other jobs, and goes before all of them when it has waited for long', t => {
  const path = fileName()
  const p = worker(path)
  p.put([{ payload: 'suspect', priority: 5 }])
  crash(path, p)
  p.put(['a', 'b', 'c', 'd'])

  t.deepEqual(p.claimed(1), ['a'])
  t.deepEqual(p.claimed(1), ['b'])
  p.pass(patienceMs)
  t.deepEqual(p.claimed(1), ['suspect'])
  t.deepEqual(p.claimed(1), ['c'])
})

test('with crashLimit Infinity a job that kills its process each time lets others go first, for longer each time', t => {
  const path = fileName()
  const limit = { crashLimit: Infinity }
  const p = worker(path, limit)
  p.put(['poison'])
  for (let i = 0; i < 6; i++) crash(path, p, limit)
  p.put(['a', 'b', 'c'])

  // After its sixth crash 16 s.
  t.deepEqual(p.claimed(1), ['a'])
  p.pass(15_999)
  t.deepEqual(p.claimed(1), ['b'])
  p.pass(1)
  const turn = p.turn({ room: 1 })
  t.deepEqual(payloadsOf(turn), ['poison'])
  t.like(turn.claimed.more[0]?.[1], { crashes: 6, caution: first })
})

test('where there is room it need not let others go first', t => {
  const path = fileName()
  const limit = { crashLimit: Infinity }
  const p = worker(path, limit)
  p.put(['poison'])
  for (let i = 0; i < 6; i++) crash(path, p, limit)
  p.put([{ payload: 'a', priority: 1 }])

  t.deepEqual(p.claimed(2), ['poison', 'a'].reverse())
})

test('one crash before its limit a suspect runs alone: nothing of any queue starts until it has ended', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  p.put(['a'])
  crash(path, p, limit)
  const b = p.put(['b']).first
  as(p, 'r').put(['x'])

  const lone = as(p, 'q').turn({ room: 9 })
  t.deepEqual(payloadsOf(lone), ['a'])
  t.is(lone.claimed.more[0]?.[1].caution, alone)
  t.deepEqual([p.claimed(), as(p, 'r').claimed()], [[], []])
  t.is(as(p, 'q').explain(b)?.why, 'suspect')

  t.deepEqual(payloadsOf(finish(p, endingsOf(lone), 9)), ['b'])
  t.true(p.store.wakes())
  t.deepEqual(as(p, 'r').claimed(), ['x'])
})

test('a thread that was started again knows what its worker runs alone', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit)
  p.put(['a'])
  crash(path, p, limit)
  p.put(['b'])
  const { number } = p
  const lone = p.turn({ room: 9 })
  p.die()

  const again = worker(path, limit, ['q'], p.token)

  // The turn is asked again, and tells what it told.
  const told = again.turn({ number: number + 1, room: 9 })
  t.deepEqual(told.claimed, lone.claimed)
  t.deepEqual(again.turn({ number: number + 2, room: 9 }).claimed.seqs, [])
})

test('a worker with nothing underway takes the one that runs alone before all else, be it of another of its queues', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  as(p, 'r').put(['x', 'y'])
  const busy = p.turn({ room: 1 })
  as(p, 'q').put([{ payload: 'a', priority: 7 }])
  crash(path, p, limit)
  p.put(['b'])
  const beside = p.turn({ room: 1 })
  t.deepEqual(payloadsOf(beside), ['b'])
  finish(p, endingsOf(beside))

  // Another queue of the process has come to its end: it takes nothing more, and the first is told.
  t.deepEqual(payloadsOf(finish(as(p, 'r'), endingsOf(busy), 9)), [])
  t.true(p.store.wakes())
  const lone = as(p, 'q').turn({ room: 9 })
  t.deepEqual(payloadsOf(lone), ['a'])
  finish(p, endingsOf(lone))
  t.deepEqual(as(p, 'r').claimed(), ['y'])
})

test('a busy worker drains for it when it has waited for 5 minutes', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  p.put(['a'])
  as(p, 'r').put(['x', 'y', 'z'])
  const busy = p.turn({ room: 1 })
  as(p, 'q')
  crash(path, p, limit)
  p.put(['b', 'c'])

  const beside = p.turn({ room: 1 })
  t.deepEqual(payloadsOf(beside), ['b'])
  t.is(beside.again, patienceMs)
  p.pass(patienceMs)
  t.deepEqual(p.claimed(1), [])
  t.deepEqual(payloadsOf(finish(as(p, 'r'), endingsOf(busy), 1)), [])
  const lone = finish(as(p, 'q'), endingsOf(beside), 9)
  t.deepEqual(payloadsOf(lone), ['a'])
  t.deepEqual(payloadsOf(finish(p, endingsOf(lone), 9)), ['c'])
  t.deepEqual(as(p, 'r').claimed(), ['y', 'z'])
})

test('a queue that is paused, or leaves, holds nobody up for its suspects', t => {
  for (const how of ['paused', 'gone', 'silent'] as const) {
    const path = fileName()
    const limit = { crashLimit: 2 }
    const p = worker(path, limit, ['q', 'r'])
    as(p, 'r').put(['x', 'y'])
    const busy = p.turn({ room: 1 })
    as(p, 'q').put(['a'])
    crash(path, p, limit)
    p.turn({ room: 1 })
    t.deepEqual(payloadsOf(finish(as(p, 'r'), endingsOf(busy), 1)), [])

    if (how === 'paused') as(p, 'q').turn({ room: 0, admits: false })
    else if (how === 'gone') p.ask({ kind: 'detach', queue: as(p, 'q').queue, works: true, keepLeases: false })
    else p.pass(1_000)

    t.deepEqual(as(p, 'r').claimed(), ['y'], how)
  }
})

test('where a body goes on whose job has ended, or whose queue has stopped, nothing runs alone, and nobody waits for it', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  as(p, 'r').put(['x'])
  const [x] = p.claim() as [Ending]
  as(p, 'q').put(['a', 'b'])
  crash(path, p, limit, 1)
  p.pass(patienceMs)
  finish(as(p, 'r'), [{ ...x, kind: 'cancelled', more: { goesOn: true } }])

  const beside = as(p, 'q').turn({ room: 9 })
  t.deepEqual(payloadsOf(beside), ['b'])
  finish(p, endingsOf(beside))
  t.deepEqual(p.claimed(), [])
  as(p, 'r').turn({ closed: [x.seq] })
  t.deepEqual(as(p, 'q').claimed(), ['a'])
})

test('a job that is to run alone starts as soon as its worker is empty, though no other queue has anything to start', t => {
  for (const how of ['ends', 'closes', 'stops'] as const) {
    const path = fileName()
    const limit = { crashLimit: 2 }
    const p = worker(path, limit, ['q', 'r'])
    as(p, 'r').put(['x'])
    const [x] = p.claim() as [Ending]
    as(p, 'q').put(['a'])
    crash(path, p, limit)
    if (how === 'closes') finish(as(p, 'r'), [{ ...x, kind: 'cancelled', more: { goesOn: true } }])
    t.deepEqual(as(p, 'q').claimed(), [])
    p.store.wakes()

    as(p, 'r')
    if (how === 'ends') finish(p, [x], 9)
    else if (how === 'closes') p.turn({ closed: [x.seq], room: 9 })
    else p.ask({ kind: 'detach', queue: p.queue, works: true, keepLeases: false })

    t.true(p.store.wakes(), how)
    t.deepEqual(as(p, 'q').claimed(), ['a'], how)
  }
})

test('a suspect waits a second at most for one of another queue that comes first and has no room', t => {
  const path = fileName()
  const p = worker(path, {}, ['q', 'r'])
  p.put(['a', 'b', 'c'])
  crash(path, p, {}, 2)
  p.pass(10)
  as(p, 'r').put(['x', 'y'])
  const dying = worker(path, {}, ['r'])
  dying.launch()
  dying.die()
  p.store.recover(dying.token, p.now, p.wall)
  const running = as(p, 'r').turn({ room: 1 })
  t.deepEqual(payloadsOf(running), ['x'])
  t.deepEqual(as(p, 'q').claimed(1), ['c'])

  const next = finish(as(p, 'r'), endingsOf(running), 1)
  t.deepEqual(payloadsOf(next), [])
  t.true(next.again <= p.now + 1_000)
  p.pass(1_000)
  t.deepEqual(p.claimed(), ['y'])
})

test('a worker stops draining for a job that another one has taken, though the queue of it has no room', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  p.put(['a'])
  crash(path, p, limit)
  p.put(['b', 'c'])
  as(p, 'r').put(['x', 'y'])
  const x = p.claim(1)
  t.deepEqual(as(p, 'q').claimed(1), ['b'])
  p.pass(patienceMs)
  t.deepEqual(payloadsOf(finish(as(p, 'r'), x, 1)), [])

  t.deepEqual(worker(path, limit).claimed(), ['a'])
  as(p, 'q').turn({ room: 0 })

  t.true(p.store.wakes())
  t.deepEqual(as(p, 'r').claimed(), ['y'])
})

test('nobody waits for a body whose queue has stopped, and it does not count as alone any more', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  p.put(['a'])
  crash(path, p, limit)
  as(p, 'r').put(['x'])
  as(p, 'q')
  t.is(p.launch().length, 1)
  t.deepEqual(as(p, 'r').claimed(), [])

  p.ask({ kind: 'detach', queue: as(p, 'q').queue, works: true, keepLeases: true })

  t.true(p.store.wakes())
  as(p, 'r')
  t.is(p.launch().length, 1)
  p.die()
  const next = worker(path, limit, ['q'])
  next.store.recover(p.token, p.now, p.wall)
  t.like(next.turn().counts, { failed: 0, pending: 1 })
})

test('nothing drains for ever beside an abandoned body, though its name is worked again', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit, ['q', 'r'])
  as(p, 'r').put(['x', 'y'])
  p.claim(1)
  p.ask({ kind: 'detach', queue: p.queue, works: true, keepLeases: true })
  as(p, 'q').put(['a', 'b'])
  crash(path, p, limit, 1)
  p.pass(patienceMs)

  as(p, 'r')
  t.deepEqual(as(p, 'q').claimed(), ['b'])
  t.deepEqual(as(p, 'r').claimed(), ['y'])
})

test('one that found other bodies in its process is not tried there again for a while', t => {
  const path = fileName()
  const limit = { crashLimit: 2 }
  const p = worker(path, limit)
  p.put(['a'])
  crash(path, p, limit)
  p.put(['b'])
  const [a] = p.claim() as [Ending]

  const next = finish(p, [{ ...a, kind: 'unlaunched', more: { crowded: true } }], 9)

  t.deepEqual(payloadsOf(next), ['b'])
  t.is(next.again, p.now + 10_000)
  finish(p, endingsOf(next))
  t.deepEqual(p.claimed(), [])
  p.pass(10_000)
  t.deepEqual(p.claimed(), ['a'])
})

test('only one that ran alone is condemned: with a limit that was lowered it has to run alone first', t => {
  const path = fileName()
  const p = worker(path, { crashLimit: 9 })
  p.put(['a', 'b'])
  crash(path, p, { crashLimit: 9 })
  crash(path, p, { crashLimit: 9 }, 1)
  const dying = worker(path, { crashLimit: 9 })
  dying.launch()
  p.attach({ crashLimit: 2 })
  dying.die()

  p.store.recover(dying.token, p.now, p.wall)

  t.is(p.turn().counts.failed, 0)
  crash(path, p, { crashLimit: 2 })
  crash(path, p, { crashLimit: 2 })
  t.is(p.turn().counts.failed, 2)
})

test('with a crashLimit of 1 the first known crash fails a job, and what was underway beside it', t => {
  const path = fileName()
  const p = worker(path, { crashLimit: 1 })
  p.put(['a', 'b', 'c'])
  const dying = worker(path, { crashLimit: 1 })
  const [a, b] = dying.claim() as [Ending, Ending]
  dying.begin([a, b])
  dying.die()

  p.store.recover(dying.token, p.now, p.wall)

  t.deepEqual(p.turn().counts, { ...zero, pending: 1, failed: 2 })
})

test("afterCrash 'fail': a run that was not reported had not begun, and goes back", t => {
  const path = fileName()
  const policy = { afterCrash: 'fail' } as const
  const p = worker(path, policy)
  p.put(['a', 'b'])
  const dying = worker(path, policy)
  const [a] = dying.claim() as [Ending]
  dying.begin([a], true)
  dying.die()

  p.store.recover(dying.token, p.now, p.wall)

  t.deepEqual(p.turn().counts, { ...zero, pending: 1, failed: 1 })
  t.like(JSON.parse(p.list({ state: 'failed' })[0]?.more?.error ?? ''), { code: 'POISON', crashes: 1 })
})

test('afterCrash is asked where the run may have begun, and not where it is known that it had not', t => {
  const path = fileName()
  const policy = { afterCrash: 'ask' } as const
  const p = worker(path, policy)
  p.put(['a'])
  const die = (): unknown[] => {
    const dying = worker(path, policy)
    dying.claim()
    dying.die()
    p.store.recover(dying.token, p.now, p.wall)
    return [...(p.turn().news?.inDoubt ?? [])]
  }

  const [asked] = die() as [Ending]
  t.like(asked, { crashes: 0 })
  p.turn({ settled: [{ ...asked, kind: 'back' }] })
  t.deepEqual(die(), [])
  t.deepEqual(cautionsOf(p), [first])
})

test('a suspect that comes back late, or whose key is held, is a suspect when it is due', t => {
  const path = fileName()
  const p = worker(path)
  p.put([{ payload: 'a' }, { payload: 'b', more: { key: 'k' } }, { payload: 'c' }])
  crash(path, p)
  const [a] = p.claim() as [Ending]
  finish(p, [{ ...a, kind: 'back', more: { waitMs: 100 } }])
  const [b] = p.claim() as [Ending]
  finish(p, [{ ...b, kind: 'throttled', more: { waitMs: 200, heldKey: 'k' } }])

  const [c] = p.claim() as [Ending]
  t.like(p.turn().counts, { pending: 1, delayed: 1, underway: 1 })
  p.pass(200)
  t.like(p.turn({ room: 9 }).counts, { pending: 2, underway: 1 })
  const next = finish(p, [c], 9)
  t.deepEqual(payloadsOf(next), ['a'])
  t.deepEqual(payloadsOf(finish(p, endingsOf(next), 9)), ['b'])
})

test('a rate holds for suspects, and one that it holds up holds up nobody', t => {
  const path = fileName()
  const parts = { crashLimit: 2, rate: [{ limit: 2, perMs: 1_000, unit: undefined, burst: undefined }] }
  const p = worker(path, parts, ['q', 'r'])
  p.put(['a', 'b'])
  as(p, 'r').put(['x'])
  crash(path, as(p, 'q'), parts, 1)
  p.put(['c'])
  const [a] = p.claim() as [Ending]
  finish(p, [{ ...a, kind: 'again' }])

  const turn = p.turn({ room: 9 })
  t.deepEqual(turn.claimed.seqs, [])
  t.truthy(turn.limited)
  t.deepEqual(as(p, 'r').claimed(), ['x'])
})

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
  p.control({ kind: 'reprioritize', target: seq + 2, priority: -2 })
  t.deepEqual(pendingIn(p), ['c', 'e', 'a', 'b', 'd', 'f'])
  t.is(p.explain(seq + 2)?.position, 0)
  t.is(p.control({ kind: 'cancel', target: seq, reason: undefined }).count, 1)
  t.is(p.control({ kind: 'remove', target: seq + 3 }).count, 1)
  t.like(p.control({ kind: 'retry', target: seq }).found, { crashes: 0, state: 'pending' })
  t.is(p.control({ kind: 'clear', reason: '"c"' }).count, 5)
  t.like(p.find(seq + 1), { state: 'cancelled' })
  t.deepEqual(p.turn({ room: 9 }).counts, { ...zero, cancelled: 5 })
  t.is(p.rows('rdq_suspect'), 0)
  t.is(p.db.prepare('select suspects from rdq_queue').pluck().get(), 0)
})

test('a suspect ends as one: whatever its ending, no other job is asked for more afterwards', t => {
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

test('a job that is retried by hand is none any more', t => {
  const path = fileName()
  const p = worker(path)
  const { first: seq } = p.put(['a'])
  crash(path, p)
  finish(p, [{ ...(p.claim()[0] as Ending), kind: 'failed' }])

  t.like(p.control({ kind: 'retry', target: seq }).found, { crashes: 0 })

  t.deepEqual(cautionsOf(p), [])
})

test('crashes that an earlier rdq counted, for whatever had been claimed, are forgotten', t => {
  const path = fileName()
  const old = worker(path)
  old.put(['a'])
  old.db.exec(`
    delete from rdq_stretch;
    insert into rdq_ready select q.lane, 0, j.seq, 0, 3, 2, 0 from rdq_job j join rdq_queue q on q.queue = j.queue;
    drop table rdq_suspect; drop index rdq_delayed_suspect; drop index rdq_aside_suspect;
    alter table rdq_underway drop column launched; alter table rdq_underway drop column alone;
    alter table rdq_queue drop column suspects;
    update rdq_meta set value = 4 where key in ('format', 'min_writer')`)
  old.die()

  const p = worker(path)

  t.like(p.list()[0], { state: 'pending', crashes: 0 })
  t.is(p.claim().length, 1)
})
