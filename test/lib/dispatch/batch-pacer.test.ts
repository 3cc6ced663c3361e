import test from 'ava'
import { BatchPacer } from '../../../lib/dispatch/batch-pacer.ts'

const aWholeSlice = 10

test('pace: a first turn takes one ending, and each that was full lets the next take twice as many, up to 512', t => {
  const pace = new BatchPacer()
  const taken: number[] = []

  for (let turn = 0; turn < 11; turn++) {
    const count = pace.sizeFor(aWholeSlice)
    taken.push(count)
    pace.record(count, 0.001 * count)
  }

  t.deepEqual(taken, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512])
})

test('pace: turns with few quick endings cut no later turn to less than 128', t => {
  const pace = grown()

  for (let turn = 0; turn < 20; turn++) pace.record(2, 0.002)

  t.is(pace.sizeFor(aWholeSlice), 128)
})

test('pace: turns with few slow endings make the next ones small', t => {
  const pace = grown()

  for (let turn = 0; turn < 20; turn++) pace.record(2, 2)

  t.is(pace.sizeFor(1_000), 4)
})

test('pace: a turn takes no more endings than the rest of the slice has time for, and always one', t => {
  const pace = grown()
  pace.record(512, 512)

  t.is(pace.sizeFor(10), 10)
  t.is(pace.sizeFor(0), 1)
})

/** One whose turns were full of quick endings. */
function grown(): BatchPacer {
  const pace = new BatchPacer()
  for (let count = 1; count <= 512; count *= 2) pace.record(count, 0.001 * count)
  return pace
}
