/** Commands, delays, held keys and what is swept out: all that happens to jobs which do not run. */
import test from 'ava'
import { keep, namesOf, wall } from '../../../../testing/contract/store-requests.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

const zero = { pending: 0, delayed: 0, underway: 0, finished: 0, failed: 0, cancelled: 0 }
type Ending = ReturnType<Process['claim']>[number]

const opened = (parts: Parameters<Process['attach']>[0] = {}): Process => {
  const process = new Process()
  process.attach(parts)
  return process
}

test('delay: the wall clock is read once a minute, however far off the instant is', t => {
  const p = opened()
  p.put([{ payload: 'a', extras: { runAt: wall + 10_000_000 } }])

  t.is(p.exchange().nextLookAt, 60_000)
})

test('delay: more jobs than may come due in one exchange come due in the next, which follows at once', t => {
  const p = opened()
  p.put(Array.from({ length: 1_001 }, (_, i) => ({ payload: String(i), extras: { dueAt: 10 } })))

  const first = p.pass(10).exchange()
  const second = p.exchange()

  t.deepEqual([first.nextLookAt, first.counts.pending], [10, 1_000])
  t.deepEqual([second.nextLookAt, second.counts.pending], [Infinity, 1_001])
})

test('delay: after a reboot a delay continues by the time that passed on the wall clock, and never back', t => {
  for (const [wallMs, leftMs] of [
    [400, 600],
    [-5_000, 1_000],
    [5_000, 0],
  ] as const) {
    const path = fileName()
    const before = new Process(path)
    before.pass(7_000_000)
    before.attach()
    before.put([{ payload: 'a', extras: { dueAt: before.now + 1_000 } }])
    before.die()

    const after = new Process(path, { boot: 'another' })
    after.now = 50
    after.wall = before.wall + wallMs
    after.attach()
    t.is(after.exchange().nextLookAt, leftMs === 0 ? Infinity : 50 + leftMs)

    t.is(after.pass(leftMs).claimed().length, 1)
  }
})

test('cancel: a run with a cancel request that goes back ends as cancelled, and one that finishes leaves no request behind', t => {
  const p = opened()
  p.put(['a', 'b'])
  const [a, b] = p.claim() as [Ending, Ending]
  for (const { seq } of [a, b]) p.command({ kind: 'cancel', target: seq, reason: '"no"' })
  t.is(p.exchange().notices?.cancelRequests.length, 2)

  const { endedUnrun, counts } = p.exchange({ settled: [{ ...a, kind: 'snooze' }, b] })

  t.deepEqual(
    endedUnrun.map(row => [row.seq, row.state, row.extras?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
  t.is(p.rows('rdq_cancel_request'), 0)
})

test('cancel: a job that goes back before its process got the request is cancelled, and an ended one is left alone', t => {
  const p = opened()
  p.put(['a', 'b'])
  const [a, b] = p.claim() as [Ending, Ending]
  for (const { seq } of [a, b]) p.command({ kind: 'cancel', target: seq, reason: '"no"' })

  const { endedUnrun, notices, counts } = p.exchange({ settled: [{ ...a, kind: 'retry' }, b], room: 9 })

  t.deepEqual(
    endedUnrun.map(row => [row.seq, row.state, row.extras?.error]),
    [[a.seq, 'cancelled', '"no"']],
  )
  t.is(notices, undefined)
  t.deepEqual(counts, { ...zero, finished: 1, cancelled: 1 })
  t.is(p.rows('rdq_cancel_request'), 0)
})

test('clear: very many jobs are cancelled at once, and deleted in bounded steps', t => {
  const p = opened()
  const { first } = p.put(Array.from({ length: 1_200 }, (_, i) => String(i)))
  p.put(Array.from({ length: 10 }, () => ({ payload: 'late', extras: { dueAt: 5 } })))

  const { changed, count, counts } = p.command({ kind: 'clear', reason: '"c"' })

  t.deepEqual([changed.length, count], [0, 1_210])
  t.deepEqual(counts, { ...zero, cancelled: 1_210 })
  t.like(p.find(first + 700), { state: 'cancelled', extras: { error: '"c"' } })
  // One that was not swept out yet can be put anew, or be removed.
  t.is(p.command({ kind: 'retry', target: first + 1_100 }).counts.pending, 1)
  t.is(p.command({ kind: 'remove', target: first + 1_101 }).count, 1)
  t.deepEqual(p.command({ kind: 'cancel', target: first + 1_102, reason: undefined }).changed, [])
  p.put(['after'])
  const exchange = p.pass(5).exchange({ room: 9 })
  t.deepEqual(exchange.claimed.payloads, ['"1100"', '"after"'])
  t.is(exchange.nextLookAt, p.now + 10)
  p.exchange()
  t.is(p.exchange().nextLookAt, Infinity)
  t.is(p.rows('rdq_cleared_epoch'), 0)
  t.is(p.rows('rdq_ended'), 1_208)
  t.deepEqual(p.exchange().counts, { ...zero, underway: 2, cancelled: 1_208 })
})

test('clear: cleared jobs are kept for their time from then on', t => {
  const p = opened({ keep: { ...keep, cancelledMs: 1_000 } })
  p.put(Array.from({ length: 1_001 }, (_, i) => String(i)))
  p.command({ kind: 'clear', reason: undefined })

  // It takes three exchanges to sweep them out, and what has been kept for long enough goes in the exchange after.
  p.pass(1_000)
  for (let i = 0; i < 14; i++) p.exchange()

  t.deepEqual([p.rows('rdq_ended'), p.rows('rdq_job')], [0, 0])
})

test('throttled: a held key delays its own jobs alone, until the hold is over', t => {
  const p = opened()
  const k = (payload: string) => ({ payload, extras: { key: 'k' } })
  p.put([k('a'), k('b'), 'c', k('d')])
  const [a] = p.claim(1) as [Ending]
  const hold = { kind: 'throttled', extras: { waitMs: 50, heldKey: 'k' } } as const

  p.exchange({ settled: [{ ...a, ...hold }] })

  p.pass(49)
  const { claimed, nextLookAt, counts } = p.exchange({ room: 9 })
  t.deepEqual(claimed.payloads, ['"c"'])
  t.is(nextLookAt, 50)
  t.deepEqual(counts, { ...zero, pending: 3, underway: 1 })
  t.is(p.rows('rdq_ready'), 0)
  t.like(p.find(a.seq), { state: 'pending' })
  t.like(p.explain(a.seq), { why: 'hold', key: 'k', notBefore: 50 })
  t.deepEqual(namesOf(p.list({ state: 'pending' })), ['a', 'b', 'd'])
  p.command({ kind: 'reprioritize', target: a.seq, priority: 1 })
  p.command({ kind: 'cancel', target: a.seq + 1, reason: undefined })
  p.pass(1)
  t.deepEqual(p.claimed(), ['d', 'a'])
  t.is(p.rows('rdq_key_hold'), 0)
})

test('throttled: thousands of jobs of a held key become ready in bounded steps', t => {
  const p = opened()
  p.put(Array.from({ length: 2_500 }, (_, i) => ({ payload: String(i), extras: { key: 'k' } })))
  p.put(['free'])
  const [job] = p.claim(1) as [Ending]
  const before = p.exchange({
    settled: [{ ...job, kind: 'throttled', extras: { waitMs: 50, heldKey: 'k' } }],
    room: 9,
  })
  // A claim looks at a bounded number of them, and goes on in the next exchange.
  t.is(before.nextLookAt, 0)
  p.exchange({ room: 9 })
  t.deepEqual(p.claimed(9), ['free'])
  t.is(p.rows('rdq_pending_by_key'), 2_500)

  const let1 = p.pass(50).exchange()
  t.deepEqual([p.rows('rdq_pending_by_key'), let1.nextLookAt], [1_500, 50])
  p.exchange()
  p.exchange()

  t.deepEqual([p.rows('rdq_pending_by_key'), p.rows('rdq_key_hold')], [0, 0])
  t.deepEqual(p.claimed(2), ['0', '1'])
})
