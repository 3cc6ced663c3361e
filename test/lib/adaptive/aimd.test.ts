import test from 'ava'
import { Aimd } from '../../../lib/adaptive/aimd.ts'
import type { RunSample } from '../../../lib/adaptive/controller.ts'

const bounds = { min: 1, max: 100 }

/** A run of 10 ms that ends at `endedAt`. */
function run(endedAt: number, underway: number, outcome: RunSample['outcome'] = 'ok', runMs = 10): RunSample {
  return { startedAt: endedAt - runMs, endedAt, underway, outcome }
}

/** Gives the controller `count` runs, each after the one before, and returns the width after them. */
function after(aimd: Aimd, width: number, count: number, underway: number, from: number): number {
  let now = width
  for (let i = 0; i < count; i++) now = aimd.observe(run(from + i * 100, Math.min(underway, now)), now)?.width ?? now
  return now
}

test('aimd: a hundred runs that fail together shrink the width once', t => {
  const aimd = new Aimd(bounds, 100, 0)
  let width = 100
  for (let i = 0; i < 100; i++) width = aimd.observe(run(1_000 + i / 100, 100 - i, 'overload'), width)?.width ?? width

  t.is(width, 90)
})

test('aimd: an overload of a run that started after the decrease shrinks it again, and faster', t => {
  const aimd = new Aimd(bounds, 100, 0)

  t.is(aimd.observe(run(1_000, 100, 'overload'), 100)?.width, 90)
  t.is(aimd.observe(run(1_005, 100, 'overload'), 90), undefined)
  t.is(aimd.observe(run(1_010, 90, 'overload'), 90)?.width, 62)
})

test('aimd: it grows by half until the first overload, returns to the step before, and grows by one from then on', t => {
  const aimd = new Aimd(bounds, 8, 0)
  t.is(after(aimd, 8, 8, 100, 1_000), 12)
  t.is(aimd.observe(run(3_000, 12, 'overload'), 12)?.width, 8)

  t.is(after(aimd, 8, 8, 100, 4_000), 9)
  t.is(after(aimd, 9, 9, 100, 6_000), 10)
})

test('aimd: runs that started before the last change do not count for the next growth', t => {
  const aimd = new Aimd(bounds, 2, 1_000)

  for (let i = 0; i < 50; i++) t.is(aimd.observe(run(1_001 + i / 10, 2), 2), undefined)
  aimd.observe(run(1_020, 2), 2)
  t.is(aimd.observe(run(1_030, 2), 2)?.width, 3)
})

test('aimd: the width does not grow while it is not used', t => {
  const aimd = new Aimd(bounds, 10, 0)

  t.is(after(aimd, 10, 1_000, 9, 1_000), 10)
  t.true(after(aimd, 10, 1, 10, 200_000) > 10)
})

test('aimd: it keeps within its bounds, and does not set the current width again', t => {
  const aimd = new Aimd({ min: 2, max: 4 }, 3, 0)
  t.is(after(aimd, 3, 500, 100, 1_000), 4)
  let width = 4
  for (let i = 0; i < 20; i++) width = aimd.observe(run(100_000 + i * 100, 4, 'overload'), width)?.width ?? width

  t.is(width, 2)
  t.is(aimd.observe(run(200_000, 2, 'overload'), 2), undefined)
})

test('aimd: it continues from a width that was set by hand', t => {
  const aimd = new Aimd(bounds, 10, 0)

  t.is(aimd.observe(run(1_000, 50, 'overload'), 50)?.width, 10)
  const other = new Aimd(bounds, 10, 0)
  other.observe(run(1_000, 10, 'overload'), 10)
  t.is(after(other, 50, 52, 100, 2_000), 51)
})
