import test from 'ava'
import fc from 'fast-check'
import { JobRecord } from '../../../lib/job.ts'
import { PlainJobs } from '../../../lib/put/plain-jobs.ts'
import { Ready } from '../../../persistence/memory/ready.ts'

const step = fc.record({
  pick: fc.nat(),
  priority: fc.integer({ min: -1, max: 1 }),
  many: fc.integer({ min: 1, max: 60 }),
  kind: fc.constantFrom('push', 'push', 'plain', 'take', 'remove', 'again'),
})

let seq = 0
const job = (priority: number): JobRecord => {
  const record = new JobRecord('', undefined, priority, 0)
  record.seq = ++seq
  return record
}
const order = (a: JobRecord, b: JobRecord): number => a.priority - b.priority || a.seq - b.seq

test('ready: jobs leave in the order of a sorted array, also after removal from the middle and a second push', t => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const ready = new Ready()
      const model: JobRecord[] = []
      for (const { pick, priority, many, kind } of steps) {
        if (kind === 'plain') {
          const plain = new PlainJobs(0)
          for (let i = 0; i < many; i++) plain.push(i, () => {})
          plain.first = seq + 1
          seq += many
          ready.pushPlain(plain)
          for (let i = 0; i < many; i++) model.push(plain.at(plain.first + i) as JobRecord)
          model.sort(order)
          continue
        }
        for (let i = 0; i < many; i++) {
          if (kind === 'push') {
            const record = job(priority)
            ready.push(record)
            model.push(record)
          } else if (model.length > 0) {
            const [out] = model.splice(kind === 'take' ? 0 : (pick + i * 7) % model.length, 1)
            if (!out) continue
            ready.remove(out)
            if (kind === 'again') {
              ready.push(out)
              model.push(out)
            }
          }
          model.sort(order)
          const some = model[pick % Math.max(model.length, 1)]
          if (some && ready.before(some) !== pick % model.length) t.fail('another position')
          if (ready.first !== model[0] || ready.size !== model.length) t.fail('differs from the model')
        }
        t.deepEqual(
          [...ready].sort(order).map(r => r.seq),
          model.map(r => r.seq),
        )
      }
    }),
    { numRuns: 60 },
  )
})

test('ready: the ring grows, closes its holes, shrinks, and keeps the order', t => {
  const ready = new Ready()
  const jobs = Array.from({ length: 5_000 }, () => job(0))
  for (const record of jobs) ready.push(record)
  const left = jobs.filter((_, i) => i % 5 === 2)
  for (const record of jobs) if (!left.includes(record)) ready.remove(record)
  t.is(ready.size, 1_000)
  for (const record of left) {
    if (ready.first !== record) t.fail('another order')
    ready.remove(record)
  }
  t.is(ready.first, undefined)
  t.is(ready.size, 0)
})
