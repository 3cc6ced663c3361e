/** The rate in the file: one for all processes of a name, whatever restarts. lib/rate.ts has the tests of the limits. */
import test from 'ava'
import type { RateRule } from '../../../lib/rate.ts'
import { fileName, Process } from '../../support/store.ts'

const rule = (limit: number, perMs = 1_000, parts: Partial<RateRule> = {}): RateRule => ({
  ...{ limit, perMs, unit: undefined, burst: undefined },
  ...parts,
})
const opened = (path: string, rate: readonly RateRule[] | undefined, boot = 'boot'): Process => {
  const process = new Process(path, { boot })
  process.attach({ rate })
  return process
}
const jobs = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

test('rate: processes that share a name share its limit, also in turns', t => {
  const path = fileName()
  const [a, b] = [opened(path, [rule(3)]), opened(path, undefined)]
  a.put(jobs(9))

  t.is(a.claimed(2).length, 2)
  t.is(b.claimed(2).length, 1)
  const { claimed, again, precise, limited } = a.turn({ room: 2 })

  t.deepEqual([claimed.seqs.length, again, precise], [0, 1_050, true])
  t.like(limited, { rule: { limit: 3 }, until: a.wall + 1_050 })
})

test('rate: it counts from the launch, is given back for what was not launched, and grace is bounded', t => {
  const path = fileName()
  const [a, b] = [opened(path, [rule(2)]), opened(path, undefined)]
  a.put(jobs(9))
  const { claimed, grants, graceUntil } = a.turn({ room: 2 })
  t.is(graceUntil, 50)

  const settled = [{ seq: claimed.seqs[1] as number, fence: 1, kind: 'unlaunched' as const }]
  a.pass(5).turn({ launched: [grants?.[0] as number, 3], settled })

  t.deepEqual(b.pass(5).claimed(), ['1'])
  t.is(b.pass(998 - 5).turn({ room: 9 }).again, 1_003)
  t.deepEqual(b.pass(5).claimed(), ['2'])
})

test('rate: the grace grows while jobs come back for want of time, up to a bound, and shrinks again', t => {
  const a = opened(fileName(), [rule(1, 100)])
  a.put(jobs(1))
  const graces: number[] = []
  const back = (lateMs: number): void => {
    const { claimed, graceUntil } = a.turn({ room: 1 })
    graces.push(graceUntil - a.now)
    const [seq, fence] = [claimed.seqs[0] as number, claimed.fences[0] as number]
    a.pass(graceUntil - a.now + lateMs).turn({ settled: [{ seq, fence, kind: 'unlaunched' }] })
  }

  back(-1)
  back(0)
  back(7)
  back(-1)
  t.deepEqual(graces, [5, 5, 10, 20])
  for (let i = 0; i < 20; i++) back(0)
  t.is(graces.at(-1), 5_000)

  for (let i = 0; i < 400; i++) {
    a.put(jobs(1))
    const { grants, claimed } = a.turn({ room: 1 })
    const [seq, fence] = [claimed.seqs[0] as number, claimed.fences[0] as number]
    a.turn({ launched: [grants?.[0] as number, a.now], settled: [{ seq, fence, kind: 'finished' }] })
    a.pass(100)
  }
  t.is(a.turn({ room: 1 }).graceUntil - a.now, 5)
})

test('rate: a restart neither bursts nor forgets, and what nobody confirmed counts at the end of its grace', t => {
  const path = fileName()
  const a = opened(path, [rule(2)])
  a.put(jobs(9))
  const { grants } = a.turn({ room: 2 })
  a.turn({ launched: [grants?.[0] as number, 20] })
  a.die()

  const b = opened(path, undefined)
  b.pass(1_019)
  t.deepEqual(b.claimed(), [])
  t.is(b.pass(1).claimed().length, 1)
  t.is(b.turn({ room: 9 }).again, 1_050)
})

test('rate: over a reboot the starts stand where the wall clock says, at most a window ago and never ahead', t => {
  for (const [wallMs, waitMs] of [
    [300, 700],
    [-9_000, 1_000],
    [9_000, 0],
  ] as const) {
    const path = fileName()
    const a = opened(path, [rule(1)])
    a.pass(123_456.75)
    a.put(jobs(9))
    const { grants } = a.turn({ room: 1 })
    a.turn({ launched: [grants?.[0] as number, a.now] })
    a.die()

    const b = new Process(path, { boot: 'another' })
    b.wall = a.wall + wallMs
    b.attach()
    const { again, claimed } = b.turn({ room: 9 })

    // Up to a millisecond is waited too long, never too short.
    if (waitMs === 0) t.is(claimed.seqs.length, 1)
    else t.true(again >= waitMs && again <= waitMs + 1, `${again}`)
  }
})

test('rate: a jump of the wall clock within a boot does not matter', t => {
  const path = fileName()
  const a = opened(path, [rule(1)])
  a.put(jobs(9))
  const { grants } = a.turn({ room: 1 })
  a.turn({ launched: [grants?.[0] as number, 0] })
  a.die()

  const b = new Process(path)
  b.wall += 10_000_000
  b.attach()

  t.is(b.turn({ room: 9 }).again, 1_000)
})

test('rate: each claim has the start of its own, in a row or not', t => {
  const path = fileName()
  const a = opened(path, [rule(50)])
  a.put(jobs(6))
  const [first] = a.claim(6)
  a.put([{ payload: 'soon', priority: -1 }, 'x', 'y'])
  a.turn({ settled: [{ ...(first as { seq: number; fence: number }), kind: 'returned' }] })

  const { claimed, grants } = a.turn({ room: 9 })

  t.deepEqual(claimed.payloads, ['"soon"', '"0"', '"x"', '"y"'])
  const held = a.db.prepare('select seq, start from rdq_underway where turn = ? order by start').raw().all(a.number)
  t.deepEqual(
    held,
    claimed.seqs.map((seq, i) => [seq, grants?.[i]]),
  )
  t.deepEqual(a.db.prepare('select distinct start - seq from rdq_underway where turn = 1').pluck().all().length, 1)
})

test('rate: starts are written one by one, and forgotten when no rule is over them', t => {
  const path = fileName()
  const a = opened(path, [rule(3)])
  a.put(jobs(9))
  for (let i = 0; i < 3; i++) {
    const { grants } = a.turn({ room: 3 })
    a.turn({ launched: (grants ?? []).flatMap(grant => [grant, a.now]) })
    t.deepEqual([grants?.length, a.rows('rdq_start')], [3, 3])
    a.pass(1_000)
  }
})

test('rate: a declaration counts when it differs from the last one declared, an override stays until then', t => {
  const path = fileName()
  const declared = [rule(5)]
  t.like(opened(path, declared).attach({ rate: declared }), { rules: [{ limit: 5 }] })
  const a = opened(path, declared)

  t.like(a.control({ kind: 'rate', rules: [rule(2)] }), { rules: [{ limit: 2 }] })

  t.like(opened(path, declared).turn(), { rules: [{ limit: 2 }] })
  t.like(opened(path, undefined).turn(), { rules: [{ limit: 2 }] })
  t.like(opened(path, [rule(7)]).turn(), { rules: [{ limit: 7 }] })
})

test('rate: an override that is cleared leaves no limit, until the name is declared again', t => {
  const path = fileName()
  const declared = [rule(1)]
  const a = opened(path, declared)
  a.put(jobs(9))
  a.control({ kind: 'rate', rules: [] })

  const { claimed, grants } = a.turn({ room: 3 })
  t.deepEqual([claimed.seqs.length, grants], [3, undefined])
  t.is(a.rows('rdq_start'), 0)

  t.like(opened(path, declared).turn(), { rules: [{ limit: 1 }] })
})

test('rate: a limit lowered below the starts remembered holds until they have left, in every process', t => {
  const path = fileName()
  const [a, b] = [opened(path, [rule(5)]), opened(path, undefined)]
  a.put(jobs(9))
  const { grants } = a.turn({ room: 5 })
  a.turn({ launched: (grants ?? []).flatMap((grant, i) => [grant, i * 10]) })

  b.control({ kind: 'rate', rules: [rule(2)] })

  t.is(a.turn({ room: 9 }).again, 1_030)
  a.die()
  const c = opened(path, undefined)
  t.is(c.pass(100).turn({ room: 9 }).again, 1_030)
})

test('rate: a job that a lowered limit makes impossible fails instead of being claimed', t => {
  const path = fileName()
  const tokens = (limit: number) => [rule(limit, 1_000, { unit: 'tokens' })]
  const a = opened(path, tokens(10))
  a.put([
    { payload: 'a', more: { cost: { tokens: 5 } } },
    { payload: 'b', more: { cost: { tokens: 1 } } },
  ])
  a.control({ kind: 'rate', rules: tokens(4) })

  const { impossible, claimed, counts } = a.turn({ room: 9 })

  t.like(impossible[0], { payload: '"a"', state: 'failed' })
  t.like(JSON.parse(impossible[0]?.more?.error ?? ''), { code: 'COST', unit: 'tokens', cost: 5, limit: 4 })
  t.deepEqual(claimed.payloads, ['"b"'])
  t.is(counts.failed, 1)
})

test('rate: a cost that is corrected counts in every process', t => {
  const path = fileName()
  const [a, b] = [opened(path, [rule(10, 1_000, { unit: 'tokens' })]), opened(path, undefined)]
  const cost = (tokens: number) => ({ more: { cost: { tokens } } })
  a.put([cost(5), cost(5), cost(5)])
  const { grants } = a.turn({ room: 1 })
  const grant = grants?.[0] as number

  a.turn({ launched: [grant, 0], spent: [{ grant, cost: { tokens: 8 } }] })

  t.is(b.turn({ room: 9 }).claimed.seqs.length, 0)
  a.turn({ spent: [{ grant, cost: { tokens: 1 } }] })
  t.is(b.turn({ room: 9 }).claimed.seqs.length, 1)
})

test('throttled: the hold of a queue is there in every process and after a restart', t => {
  const path = fileName()
  const [a, b] = [opened(path, undefined), opened(path, undefined)]
  a.put(jobs(2))
  const [job] = a.claim(1)

  a.turn({ settled: [{ ...(job as { seq: number; fence: number }), kind: 'throttled', more: { waitMs: 50 } }] })

  const { again, limited, precise } = b.turn({ room: 9 })
  t.deepEqual([again, limited?.rule, precise], [50, undefined, true])
  t.is(opened(path, undefined).turn({ room: 9 }).again, 50)
  t.is(b.pass(50).claimed().length, 2)
})
