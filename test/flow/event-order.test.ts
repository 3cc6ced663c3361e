/** The events of one job come in the order of its states, whichever verb lets it wait, and however busy the queue is. */
import type { Job } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, durable, test } from '../support/backlog-under-test.ts'

type Queue = DispatchQueue<string, void>

/** A verb that lets the job `x` wait, and what it needs of that job before. */
interface Verb {
  readonly before?: (queue: Queue) => Promise<Job<string, void>>
  readonly call: (queue: Queue, job: Job<string, void> | undefined) => unknown
}

const delayed = (queue: Queue): Promise<Job<string, void>> => queue.put('x', { delay: '1h' })
const failed = async (queue: Queue): Promise<Job<string, void>> => {
  const job = await queue.put('x', { priority: -1 })
  await job.result.catch(() => {})
  return job
}

const verbs: Readonly<Record<string, Verb>> = {
  put: { call: queue => queue.put('x') },
  'put with an id': { call: queue => queue.put('x', { id: 'x' }) },
  'put with a cost': { call: queue => queue.put('x', { cost: { tokens: 1 } }) },
  putMany: { call: queue => queue.putMany(['x', 'x', 'x']) },
  run: { call: queue => queue.run('x') },
  'run with options': { call: queue => queue.run('x', { key: 'k' }) },
  'run of many': { call: queue => Array.from({ length: 20 }, () => queue.run('x')) },
  retry: { before: failed, call: (queue, job) => queue.retry(job as Job<string, void>) },
  promote: { before: delayed, call: (queue, job) => queue.promote(job as Job<string, void>) },
  reschedule: { before: delayed, call: (queue, job) => queue.reschedule(job as Job<string, void>, 0) },
}

const order = ['delayed', 'pending', 'underway', 'settled'] as const

for (const [name, { before, call }] of Object.entries(verbs)) {
  test(`event-order: ${name} on a busy queue: a job is pending, then underway, then settled`, async t => {
    const clock = new VirtualClock()
    const wrong: string[] = []
    // However many microtasks lie between a turn of the queue and the call.
    for (let hops = 0; hops < (durable() ? 2 : 12); hops++) {
      let fails = name === 'retry'
      let called: unknown
      let job: Job<string, void> | undefined
      const rate = name === 'put with a cost' ? { limit: 1e6, per: '1s', of: 'tokens' } : undefined
      const queue: Queue = new DispatchQueue<string, void>(
        payload => {
          if (payload === 'x') {
            if (fails) throw new Error('before')
            return
          }
          if (payload !== 'calls') return
          let left = hops
          const hop = (): void => {
            if (left-- > 0) void Promise.resolve().then(hop)
            else called = call(queue, job)
          }
          hop()
        },
        { clock, width: 2, ...(rate && { rate }) },
      )
      job = await before?.(queue)
      fails = false
      const seen = new Map<Job<string, void>, string[]>()
      for (const event of order) {
        queue.on(event, one => {
          if (one.payload === 'x') seen.set(one, [...(seen.get(one) ?? []), event])
        })
      }
      const busy = Array.from({ length: 40 }, (_, i) => queue.run(i === 37 ? 'calls' : 'busy'))

      await Promise.all(busy)
      await called
      await drain(queue as unknown as DispatchQueue, clock)

      t.true(seen.size > 0)
      for (const events of seen.values()) {
        if (`${events}` !== 'pending,underway,settled') wrong.push(`after ${hops} hops: ${events}`)
      }
    }
    t.deepEqual(wrong, [])
  })
}
