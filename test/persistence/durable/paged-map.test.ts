import test from 'ava'
import fc from 'fast-check'
import { PagedMap } from '../../../persistence/durable/paged-map.ts'

const bySeq = ([a]: [number, unknown], [b]: [number, unknown]): number => a - b

test('paged map: gives what a Map gives, whatever is set and deleted', t => {
  const seq = fc.oneof(
    fc.nat({ max: 200 }),
    fc.nat({ max: 200 }).map(n => 2 ** 33 + n),
    fc.maxSafeNat(),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(seq, fc.boolean()), { maxLength: 300 }), steps => {
      const seqs = new PagedMap<{ step: number }>()
      const model = new Map<number, { step: number }>()
      for (const [step, [at, sets]] of steps.entries()) {
        if (sets) {
          const value = { step }
          seqs.set(at, value)
          model.set(at, value)
        } else {
          seqs.delete(at)
          model.delete(at)
        }
        t.is(seqs.size, model.size)
        for (const near of [at - 1, at, at + 1, at + 64]) t.is(seqs.get(near), model.get(near))
      }
      t.deepEqual([...seqs].sort(bySeq), [...model].sort(bySeq))
    }),
    { numRuns: 200 },
  )
})

test('paged map: entries may be deleted while iterating, and empty pages are released', t => {
  const seqs = new PagedMap<object>()
  for (let seq = 0; seq < 200; seq++) seqs.set(seq, {})

  for (const [seq] of seqs) seqs.delete(seq)

  t.is(seqs.size, 0)
  t.deepEqual([...seqs], [])
  seqs.set(3, {})
  t.is(seqs.size, 1)
})
