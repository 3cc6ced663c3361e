/** `n` jobs put at once, each result awaited and counted, so that nobody is quick by leaving work undone. */
import { timed } from '../measure.mjs'
import { rdq } from '../rdq.mjs'
import { count, job, longestPutMany, priorityOf } from './common.mjs'

/**
 * A contender: `prepare(width)` makes its queue and returns how one job is run.
 *
 * @param {(width: number) => Promise<(i: number) => Promise<number>>} prepare
 */
function dispatch(prepare) {
  return async ({ n, width }) => {
    const run = await prepare(width)
    return measureDispatch(n, () => Promise.all(Array.from({ length: n }, (_, i) => run(i))))
  }
}

async function measureDispatch(n, runAll) {
  const { ms, firstMs, cpuMs } = await timed(async () => {
    const results = await runAll()
    const sum = results.reduce((total, result) => total + result, 0)
    if (sum !== (n * (n - 1)) / 2) throw new Error('results are missing or wrong')
  })
  return { rate: (n / ms) * 1_000, first: (n / firstMs) * 1_000, cpu: (cpuMs * 1_000) / n }
}

const dispatchers = {
  'rdq run': dispatch(async width => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(job, { width })
    return i => queue.run(i)
  }),
  'rdq put, job.result': dispatch(async width => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(job, { width })
    return async i => (await queue.put(i)).result
  }),
  'rdq putMany, job.result': async ({ n, width }) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(job, { width })
    const payloads = Array.from({ length: n }, (_, i) => i)
    return measureDispatch(n, async () => {
      const results = []
      for (let from = 0; from < n; from += longestPutMany) {
        const jobs = await queue.putMany(payloads.slice(from, from + longestPutMany))
        for (const { result } of jobs) results.push(result)
      }
      return Promise.all(results)
    })
  },
  'fastq.promise': dispatch(async width => {
    const { default: fastq } = await import('fastq')
    const queue = fastq.promise(job, width)
    return i => queue.push(i)
  }),
  'fastq callback': async ({ n, width }) => {
    const { default: fastq } = await import('fastq')
    const queue = fastq((payload, done) => void job(payload).then(result => done(null, result), done), width)
    return measureDispatch(n, () => {
      return new Promise((resolve, reject) => {
        const results = []
        const done = (error, result) => {
          if (error) reject(error)
          else if (results.push(result) === n) resolve(results)
        }
        for (let i = 0; i < n; i++) queue.push(i, done)
      })
    })
  },
  '@henrygd/queue': dispatch(async width => {
    const { newQueue } = await import('@henrygd/queue')
    const queue = newQueue(width)
    return i => queue.add(() => job(i))
  }),
  'async queue': dispatch(async width => {
    const { default: async } = await import('async')
    const queue = async.queue(job, width)
    return i => queue.pushAsync(i)
  }),
  'bare loop': dispatch(async width => bareLoop(width)),
  'p-limit': dispatch(async width => {
    const { default: pLimit } = await import('p-limit')
    const limit = pLimit(width)
    return i => limit(job, i)
  }),
  'p-queue': dispatch(async width => {
    const { default: PQueue } = await import('p-queue')
    const queue = new PQueue({ concurrency: width })
    return i => queue.add(() => job(i))
  }),
}

/** The least that can be called a queue: a promise and a ring entry a job, the handler's promise, and nothing else. */
function bareLoop(width) {
  const waiting = []
  let head = 0
  let underway = 0
  const next = () => {
    underway--
    if (head < waiting.length) launch(waiting[head++])
    else waiting.length = head = 0
  }
  const launch = entry => {
    underway++
    job(entry.payload).then(result => {
      entry.resolve(result)
      next()
    }, next)
  }
  return payload =>
    new Promise(resolve => {
      const entry = { payload, resolve }
      if (underway < width) launch(entry)
      else waiting.push(entry)
    })
}

const prioritizers = {
  'rdq run': dispatch(async width => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(job, { width })
    return i => queue.run(i, { priority: priorityOf(i) })
  }),
  'async priorityQueue': dispatch(async width => {
    const { default: async } = await import('async')
    const queue = async.priorityQueue(job, width)
    return i => queue.pushAsync(i, priorityOf(i))
  }),
  'p-queue': dispatch(async width => {
    const { default: PQueue } = await import('p-queue')
    const queue = new PQueue({ concurrency: width })
    return i => queue.add(() => job(i), { priority: priorityOf(i) })
  }),
}

const dispatchMetrics = [
  { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
  { name: 'first', title: 'not warmed', unit: 'jobs/s', better: 'more' },
  { name: 'cpu', title: 'CPU, us/job', unit: 'us', better: 'less' },
]

function dispatchPart(width, names) {
  return {
    name: `run-${width}`,
    title: ({ n }) => `${count(n)} no-op async jobs at width ${width}, every result awaited`,
    params: quick => ({ n: quick ? 20_000 : 100_000, width }),
    contenders: names ? pick(dispatchers, names) : dispatchers,
    ours: 'rdq run',
    metrics: dispatchMetrics,
  }
}

const narrow = ['rdq run', 'rdq put, job.result', 'fastq.promise', 'bare loop']

export const dispatchParts = [
  {
    ...dispatchPart(10),
    bounds: [2, 1.5, 1.25].map((atLeast, i) => ({
      ...{
        kind: ['goal', 'floor', 'bound'][i],
        contender: 'rdq run',
        versus: 'fastq.promise',
        metric: 'rate',
        atLeast,
      },
    })),
  },
  dispatchPart(1, narrow),
  dispatchPart(100, narrow),
  {
    name: 'priorities',
    title: ({ n }) => `${count(n)} no-op async jobs of 1,000 different priorities at width 10, every result awaited`,
    params: quick => ({ n: quick ? 20_000 : 100_000, width: 10 }),
    contenders: prioritizers,
    ours: 'rdq run',
    metrics: dispatchMetrics,
    bounds: [
      { kind: 'goal', contender: 'rdq run', versus: 'async priorityQueue', metric: 'rate', atLeast: 2 },
      { kind: 'floor', contender: 'rdq run', versus: 'async priorityQueue', metric: 'rate', atLeast: 1.25 },
    ],
  },
]

function pick(from, names) {
  return Object.fromEntries(names.map(name => [name, from[name]]))
}
