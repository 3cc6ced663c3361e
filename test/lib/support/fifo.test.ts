import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { Fifo } from '../../../lib/support/fifo.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

interface Entry {
  readonly n: number
}
const filled = (count: number): Fifo<Entry> => {
  const fifo = new Fifo<Entry>()
  for (let n = 0; n < count; n++) fifo.push({ n })
  return fifo
}
const numbers = (entries: Iterable<Entry>): number[] => [...entries].map(({ n }) => n)
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

test('fifo: entries leave in the order in which they came', t => {
  const fifo = filled(3)
  t.is(fifo.shift()?.n, 0)
  fifo.push({ n: 3 })
  t.deepEqual(numbers(fifo), [1, 2, 3])
  t.deepEqual([fifo.length, fifo.first?.n, fifo.at(1)?.n, fifo.last?.n], [3, 1, 2, 3])
  t.deepEqual(numbers(fifo.take(2)), [1, 2])
  t.deepEqual(numbers(fifo.take(2)), [3])
  t.deepEqual([fifo.length, fifo.first, fifo.last, fifo.shift()], [0, undefined, undefined, undefined])
})

test('fifo: all entries are taken, whether some have left before or not', t => {
  const fifo = filled(4)
  fifo.take(1)
  t.deepEqual(numbers(fifo.takeAll()), [1, 2, 3])
  fifo.push({ n: 4 })
  t.deepEqual(numbers(fifo.takeAll()), [4])
  t.deepEqual(fifo.takeAll(), [])
})

test('fifo: entries that are put back leave first, in their order', t => {
  const fifo = filled(3)
  const taken = fifo.take(2)
  fifo.putBack(taken.slice(1))
  t.deepEqual(numbers(fifo), [1, 2])
  fifo.putBack([{ n: -1 }, { n: 0 }])
  t.deepEqual(numbers(fifo), [-1, 0, 1, 2])
})

test('fifo: the order holds where the empty cells are cut off, singly and many at a time', t => {
  const fifo = filled(5_000)
  const left: number[] = []
  for (let n = 5_000; n < 10_000; n++) {
    left.push(fifo.shift()?.n as number, ...numbers(fifo.take(1)))
    fifo.push({ n })
  }

  left.push(...numbers(fifo.takeAll()))
  t.deepEqual(left, range(0, 10_000))
})

test('fifo: a queue that is never empty does not grow', t => {
  const fifo = filled(1)
  const entry = { n: 1 }
  const turn = (times: number): void => {
    for (let i = 0; i < times; i++) {
      fifo.push(entry)
      if (i % 2 === 0) fifo.shift()
      else fifo.take(1)
    }
  }
  turn(10_000)
  gc()
  const before = process.memoryUsage().heapUsed
  turn(1_000_000)
  gc()
  const grownMb = (process.memoryUsage().heapUsed - before) / 2 ** 20

  t.is(fifo.length, 1)
  // A cell has at least 4 bytes, so that the array would be of 4 MB.
  t.true(grownMb < 2, `the heap has grown by ${grownMb} MB`)
})
