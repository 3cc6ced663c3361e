/** Jobs of many keys, each key with a width of its own, beside peers that limit by key. Each result is awaited. */

import { timed } from '../measure.mjs'
import { count, job } from '../memory/common.mjs'
import { rdq } from '../rdq.mjs'

const width = 2

/**
 * A contender: `prepare` makes its queue, or its queue for each key, and returns how one job of a key is run. A slow one
 * runs a share of the jobs.
 *
 * @param {() => Promise<(key: string, i: number) => Promise<number>>} prepare
 */
function byKey(prepare, share = 1) {
  return async params => {
    const { keys } = params
    const n = params.n * share
    const run = await prepare()
    const { ms, firstMs, cpuMs } = await timed(async () => {
      const results = await Promise.all(Array.from({ length: n }, (_, i) => run(`tenant-${i % keys}`, i)))
      const sum = results.reduce((total, result) => total + result, 0)
      if (sum !== (n * (n - 1)) / 2) throw new Error('results are missing or wrong')
    })
    return { rate: (n / ms) * 1_000, first: (n / firstMs) * 1_000, cpu: (cpuMs * 1_000) / n }
  }
}

const contenders = {
  'rdq, keys': byKey(async () => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(job, { width: Infinity, keys: { width } })
    return (key, i) => queue.run(i, { key })
  }),
  'p-queue for each key, in a Map': byKey(async () => {
    const { default: PQueue } = await import('p-queue')
    const queues = new Map()
    return (key, i) => {
      let queue = queues.get(key)
      if (!queue) queues.set(key, (queue = new PQueue({ concurrency: width })))
      return queue.add(() => job(i))
    }
  }),
  'Bottleneck.Group': byKey(async () => {
    const { default: Bottleneck } = await import('bottleneck')
    const group = new Bottleneck.Group({ maxConcurrent: width })
    return (key, i) => group.key(key).schedule(job, i)
  }, 0.1),
}

export const peersPart = {
  name: 'peers',
  title: ({ n, keys }) =>
    `${count(n)} no-op async jobs (of Bottleneck a tenth) of ${count(keys)} keys, at most ${width} of a key at once`,
  params: quick => ({ n: quick ? 10_000 : 50_000, keys: 1_000 }),
  contenders,
  ours: 'rdq, keys',
  metrics: [
    { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
    { name: 'first', title: 'not warmed', unit: 'jobs/s', better: 'more' },
    { name: 'cpu', title: 'CPU, us/job', unit: 'us', better: 'less' },
  ],
  notes: [
    'The peers have no limit over all keys and no turns between them: each key is a queue of its own, which stays in memory (Bottleneck removes it after five minutes without work).',
    'BullMQ is not here: its groups are part of its paid edition.',
  ],
}
