/**
 * The rate in the file: one for all processes of a name, whatever restarts. lib/rate/rate.ts has the tests of the
 * limits.
 */
import test from 'ava'
import type { RateRule } from '../../../../lib/rate/rules.ts'
import { fileName, Process } from '../../../support/sqlite-store.ts'

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

test('rate: after a reboot starts are placed by the wall clock, at most a window ago and never ahead', t => {
  for (const [wallMs, waitMs] of [
    [300, 700],
    [-9_000, 1_000],
    [9_000, 0],
  ] as const) {
    const path = fileName()
    const a = opened(path, [rule(1)])
    a.pass(123_456.75)
    a.put(jobs(9))
    const { grants } = a.exchange({ room: 1 })
    a.exchange({ confirmed: [grants?.[0] as number, a.now] })
    a.die()

    const b = new Process(path, { boot: 'another' })
    b.wall = a.wall + wallMs
    b.attach()
    const { nextLookAt, claimed } = b.exchange({ room: 9 })

    // Up to a millisecond is waited too long, never too short.
    if (waitMs === 0) t.is(claimed.seqs.length, 1)
    else t.true(nextLookAt >= waitMs && nextLookAt <= waitMs + 1, `${nextLookAt}`)
  }
})

test('rate: each claim has a start of its own, whether jobs are claimed in a row or not', t => {
  const path = fileName()
  const a = opened(path, [rule(50)])
  a.put(jobs(6))
  const [first] = a.claim(6)
  a.put([{ payload: 'soon', priority: -1 }, 'x', 'y'])
  a.exchange({ settled: [{ ...(first as { seq: number; fence: number }), kind: 'interrupted' }] })

  const { claimed, grants } = a.exchange({ room: 9 })

  t.deepEqual(claimed.payloads, ['"soon"', '"0"', '"x"', '"y"'])
  const held = a.db.prepare('select seq, grant from rdq_underway where exchange = ? order by grant').raw().all(a.number)
  t.deepEqual(
    held,
    claimed.seqs.map((seq, i) => [seq, grants?.[i]]),
  )
  t.deepEqual(a.db.prepare('select distinct grant - seq from rdq_underway where exchange = 1').pluck().all().length, 1)
})

test('rate: starts are written one by one, and deleted when no rule counts them', t => {
  const path = fileName()
  const a = opened(path, [rule(3)])
  a.put(jobs(9))
  for (let i = 0; i < 3; i++) {
    const { grants } = a.exchange({ room: 3 })
    a.exchange({ confirmed: (grants ?? []).flatMap(grant => [grant as number, a.now]) })
    t.deepEqual([grants?.length, a.rows('rdq_rate_start')], [3, 3])
    a.pass(1_000)
  }
})

test('rate: an override that is cleared leaves no limit, until the name is declared again', t => {
  const path = fileName()
  const declared = [rule(1)]
  const a = opened(path, declared)
  a.put(jobs(9))
  a.command({ kind: 'rate', rules: [] })

  const { claimed, grants } = a.exchange({ room: 3 })
  t.deepEqual([claimed.seqs.length, grants], [3, undefined])
  t.is(a.rows('rdq_rate_start'), 0)

  t.like(opened(path, declared).exchange(), { rules: [{ limit: 1 }] })
})
