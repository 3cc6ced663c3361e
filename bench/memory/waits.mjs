/** Jobs that take a millisecond each, so that the queue is idle in between; what counts is what it adds. */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuMsSince } from '../measure.mjs'
import { rdq } from '../rdq.mjs'
import { count } from './common.mjs'

/** @param {(width: number, work: () => Promise<void>) => Promise<() => Promise<unknown>>} prepare */
function waiting(prepare) {
  return async ({ n, width, jobMs }) => {
    const run = await prepare(width, () => sleep(jobMs))
    const all = () => Promise.all(Array.from({ length: n }, run))
    await all() // Warms up.
    globalThis.gc()
    const before = process.cpuUsage()
    const from = performance.now()
    await all()
    const ms = performance.now() - from
    return { rate: (n * 1_000) / ms, cpu: (cpuMsSince(before) * 1_000) / n }
  }
}

const waiters = {
  'rdq run': waiting(async (width, work) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(work, { width })
    return () => queue.run(null)
  }),
  'fastq.promise': waiting(async (width, work) => {
    const { default: fastq } = await import('fastq')
    const queue = fastq.promise(work, width)
    return () => queue.push(null)
  }),
  'async queue': waiting(async (width, work) => {
    const { default: async } = await import('async')
    const queue = async.queue(async () => work(), width)
    return () => queue.pushAsync(null)
  }),
  'p-limit': waiting(async (width, work) => {
    const { default: pLimit } = await import('p-limit')
    const limit = pLimit(width)
    return () => limit(work)
  }),
  'p-queue': waiting(async (width, work) => {
    const { default: PQueue } = await import('p-queue')
    const queue = new PQueue({ concurrency: width })
    return () => queue.add(work)
  }),
  // No queue: `width` loops that each do their share, one after another.
  'bare loops': async ({ n, width, jobMs }) => {
    const measure = waiting(async () => {
      const loop = async () => {
        for (let i = 0; i < n / width; i++) await sleep(jobMs)
      }
      let loops
      return (_, i) => (i === 0 ? (loops = Promise.all(Array.from({ length: width }, loop))) : loops)
    })
    return measure({ n, width, jobMs })
  },
}

export const waitsPart = {
  name: 'waits',
  title: ({ n, jobMs, width }) =>
    `${count(n)} jobs that wait ${jobMs} ms each, at width ${width}, every result awaited`,
  params: quick => ({ n: quick ? 10_000 : 50_000, width: 100, jobMs: 1 }),
  contenders: waiters,
  ours: 'rdq run',
  metrics: [
    { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
    { name: 'cpu', title: 'CPU, us/job', unit: 'us', better: 'less' },
  ],
  notes: ['A timer of 1 ms takes 1 to 2 ms: the bare loops, which are no queue at all, show what is to be had.'],
}
