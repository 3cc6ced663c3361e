/** What stays in the heap for each job that waits, its payload being a small whole number. */
import { performance } from 'node:perf_hooks'
import { liveBytes } from '../measure.mjs'
import { count, ignore, inChunks, job, longestPutMany, pausedQueue, priorityOf, range, scatter } from './common.mjs'

/** @param {(n: number) => Promise<object>} fill makes a queue, leaves `n` jobs waiting in it, and returns what keeps it alive */
function weight(fill) {
  return async ({ n }) => {
    await fill(1_000) // Code and shapes are loaded and compiled before the first look.
    const before = await liveBytes()
    const from = performance.now()
    const held = await fill(n)
    const ms = performance.now() - from
    const after = await liveBytes()
    return { bytes: held && (after - before) / n, us: (ms * 1_000) / n }
  }
}

/** @param {{ priority?: number } | ((payload: number, i: number) => { priority: number })} [options] */
function rdqPutMany(options) {
  return weight(async n => {
    const queue = await pausedQueue()
    for (let from = 0; from < n; from += longestPutMany) {
      await queue.putMany(range(from, Math.min(n, from + longestPutMany)), options)
    }
    return queue
  })
}

const weights = {
  'rdq putMany': rdqPutMany(),
  'rdq putMany, 1,000 priorities': rdqPutMany(payload => ({ priority: priorityOf(payload) })),
  'rdq putMany, all priorities different': rdqPutMany(payload => ({ priority: scatter(payload) })),
  'rdq put': weight(async n => {
    const queue = await pausedQueue()
    await inChunks(n, (from, to) => Promise.all(range(from, to).map(i => queue.put(i))))
    return queue
  }),
  'rdq put, its Job kept by the caller': weight(async n => {
    const queue = await pausedQueue()
    const jobs = new Array(n)
    await inChunks(n, async (from, to) => {
      const made = await Promise.all(range(from, to).map(i => queue.put(i)))
      for (let i = from; i < to; i++) jobs[i] = made[i - from]
    })
    return { queue, jobs }
  }),
  'rdq run': weight(async n => {
    const queue = await pausedQueue()
    for (let i = 0; i < n; i++) void queue.run(i)
    return queue
  }),
  'fastq callback': weight(async n => {
    const { default: fastq } = await import('fastq')
    const queue = fastq((payload, done) => done(null, payload), 10)
    queue.pause()
    for (let i = 0; i < n; i++) queue.push(i, ignore)
    return queue
  }),
  'fastq.promise': weight(async n => {
    const { default: fastq } = await import('fastq')
    const queue = fastq.promise(job, 10)
    queue.pause()
    for (let i = 0; i < n; i++) void queue.push(i)
    return queue
  }),
  '@henrygd/queue': weight(async n => {
    const { newQueue } = await import('@henrygd/queue')
    const queue = newQueue(1)
    void queue.add(never)
    for (let i = 0; i < n; i++) void queue.add(() => job(i))
    return queue
  }),
  'async queue': weight(async n => {
    const { default: async } = await import('async')
    const queue = async.queue(job, 10)
    queue.pause()
    for (let i = 0; i < n; i++) queue.push(i, ignore)
    return queue
  }),
  'async priorityQueue, 1,000 priorities': weight(async n => {
    const { default: async } = await import('async')
    const queue = async.priorityQueue(job, 10)
    queue.pause()
    for (let i = 0; i < n; i++) queue.push(i, priorityOf(i), ignore)
    return queue
  }),
  'p-limit': weight(async n => {
    const { default: pLimit } = await import('p-limit')
    const limit = pLimit(1)
    void limit(never)
    for (let i = 0; i < n; i++) void limit(job, i)
    return { limit }
  }),
  'p-queue': weight(async n => {
    const { default: PQueue } = await import('p-queue')
    const queue = new PQueue({ concurrency: 10, autoStart: false })
    for (let i = 0; i < n; i++) void queue.add(() => job(i))
    return queue
  }),
}

const weightBounds = contender => [
  { kind: 'goal', contender, metric: 'bytes', atMost: 200 },
  { kind: 'bound', contender, metric: 'bytes', atMost: 250 },
]

export const weightPart = {
  name: 'weight',
  title: ({ n }) => `what one of ${count(n)} pending jobs holds of the heap, beside its payload`,
  params: quick => ({ n: quick ? 100_000 : 1_000_000 }),
  contenders: weights,
  // A heap is the same each time, and to fill thirteen of them takes long.
  rounds: 1,
  metrics: [
    { name: 'bytes', title: 'bytes/job', unit: 'bytes', better: 'less' },
    { name: 'us', title: 'to put, us/job', unit: 'us', better: 'less' },
  ],
  bounds: ['rdq putMany', 'rdq putMany, 1,000 priorities', 'rdq put'].flatMap(weightBounds),
  notes: ['Promises and closures that a contender asks for or makes are counted; payloads are small whole numbers.'],
}

function never() {
  return new Promise(ignore)
}
