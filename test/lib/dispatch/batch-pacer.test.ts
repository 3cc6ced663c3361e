import test from 'ava'
import { BatchPacer } from '../../../lib/dispatch/batch-pacer.ts'

const aWholeSlice = 10

test('batch pacer: the first pass takes one ending, and each full pass doubles the next, up to 512', t => {
  const pace = new BatchPacer()
  const taken: number[] = []

  for (let i = 0; i < 11; i++) {
    const count = pace.sizeFor(aWholeSlice)
    taken.push(count)
    pace.record(count, 0.001 * count)
  }

  t.deepEqual(taken, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512])
})

test('batch pacer: passes with few quick endings never reduce a later pass below 128', t => {
  const pace = grown()

  for (let i = 0; i < 20; i++) pace.record(2, 0.002)

  t.is(pace.sizeFor(aWholeSlice), 128)
})

test('batch pacer: passes with few slow endings make the next ones small', t => {
  const pace = grown()

  for (let i = 0; i < 20; i++) pace.record(2, 2)

  t.is(pace.sizeFor(1_000), 4)
})

test('batch pacer: a pass takes no more endings than fit into the rest of the slice, and at least one', t => {
  const pace = grown()
  pace.record(512, 512)

  t.is(pace.sizeFor(10), 10)
  t.is(pace.sizeFor(0), 1)
})

/** A pacer whose passes were full of quick endings. */
function grown(): BatchPacer {
  const pace = new BatchPacer()
  for (let count = 1; count <= 512; count *= 2) pace.record(count, 0.001 * count)
  return pace
}
