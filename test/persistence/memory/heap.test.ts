import test from 'ava'
import fc from 'fast-check'
import { JobRecord } from '../../../lib/job.ts'
import { Heap } from '../../../persistence/memory/heap.ts'

const step = fc.record({
  pick: fc.nat(),
  key: fc.integer({ min: 0, max: 9 }),
  kind: fc.constantFrom('push', 'pop', 'remove', 'again'),
})

test('heap: jobs leave in the order of a sorted array, also after removal from the middle and a second push', t => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), steps => {
      const heap = new Heap()
      const model: { job: JobRecord; key: number }[] = []
      let seq = 0
      const add = (job: JobRecord, key: number): void => {
        heap.push(job, key)
        model.push({ job, key })
        model.sort((a, b) => a.key - b.key || a.job.seq - b.job.seq)
      }
      for (const { pick, key, kind } of steps) {
        const at = pick % Math.max(1, model.length)
        if (kind === 'push' || model.length === 0) {
          const job = new JobRecord('', undefined, 0, 0)
          job.seq = ++seq
          add(job, key)
        } else if (kind === 'pop') t.is(heap.pop(), model.shift()?.job)
        else {
          const [out] = model.splice(at, 1)
          if (!out) continue
          heap.remove(out.job)
          if (out.job.memorySlot !== -1) t.fail('a removed job has no place')
          if (kind === 'again') add(out.job, key)
        }
        if (heap.first !== model[0]?.job || heap.size !== model.length) t.fail('differs from the model')
        if (heap.firstKey !== (model[0]?.key ?? Infinity)) t.fail('another first key')
      }
      while (model.length > 0) if (heap.pop() !== model.shift()?.job) t.fail('another order')
    }),
  )
  t.is(new Heap().pop(), undefined)
})
