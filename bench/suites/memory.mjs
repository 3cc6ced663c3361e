/** The queue in memory: how many jobs a second, what a pending job weighs, and what an operation costs in a long backlog. */
import { performance } from 'node:perf_hooks'
import { liveBytes, percentile, timed } from '../measure.mjs'
import { rdq } from '../rdq.mjs'

const job = async payload => payload
const priorityOf = i => (i * 7_919) % 1_000
const longestPutMany = 50_000

// Dispatch: `n` jobs put at once, each result awaited and counted, so that nobody is quick by leaving work undone.

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
  const { ms, firstMs } = await timed(async () => {
    const results = await runAll()
    const sum = results.reduce((total, result) => total + result, 0)
    if (sum !== (n * (n - 1)) / 2) throw new Error('results are missing or wrong')
  })
  return { rate: (n / ms) * 1_000, first: (n / firstMs) * 1_000 }
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

// Weight: what stays in the heap for each job that waits, its payload being a small whole number.

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

const weightBound = contender => ({ kind: 'bound', contender, metric: 'bytes', atMost: 250 })

// Growth: the same operations in backlogs of four lengths, all priorities different, so that order is really kept.

async function operations({ standing, batch, cycles }) {
  await cycle(await backlogOf(1_000), batch, cycles) // Warms up, so that a short backlog is not charged for the compiler.
  const backlog = await backlogOf(standing)
  const costs = await cycle(backlog, batch, cycles)
  if (backlog.queue.counts.pending < standing * 0.98)
    throw new Error(`only ${backlog.queue.counts.pending} jobs are left`)
  return costs
}

/** A paused queue of `standing` jobs that can be let go for so many launches. */
async function backlogOf(standing) {
  let launched = () => {}
  let next = 0
  const queue = await pausedQueue(() => launched())
  const options = () => ({ priority: scatter(next++) })
  await inChunks(standing, (from, to) => queue.putMany(range(from, to), options))
  const launch = wanted =>
    new Promise(resolve => {
      let left = wanted
      launched = () => {
        left--
        if (left === 0) resolve(queue.pause())
      }
      queue.resume()
    })
  return { queue, options, launch }
}

/** Adds twice `batch`, takes half of that from everywhere and half from the front; the median cost of each operation. */
async function cycle({ queue, options, launch }, batch, cycles) {
  const costs = { putMany: [], put: [], reprioritize: [], cancel: [], claim: [] }
  const cost = async (name, act) => {
    const from = performance.now()
    const result = await act()
    costs[name].push(((performance.now() - from) * 1_000) / batch)
    return result
  }
  for (let i = 0; i < cycles; i++) {
    const many = await cost('putMany', () => queue.putMany(range(0, batch), options))
    await cost('put', () => Promise.all(range(0, batch).map(payload => queue.put(payload, options()))))
    await cost('reprioritize', () => Promise.all(many.map(one => queue.reprioritize(one, options().priority))))
    const answers = await cost('cancel', () => Promise.all(many.map(one => queue.cancel(one))))
    if (!answers.every(answer => answer === true)) throw new Error('a pending job was not cancelled')
    await cost('claim', () => launch(batch))
  }
  return Object.fromEntries(Object.entries(costs).map(([name, each]) => [name, percentile(each, 0.5)]))
}

const lengths = [1_000, 10_000, 100_000, 1_000_000]
const lengthName = length => `${count(length)} pending`

function growth(standing) {
  return ({ batch, cycles }) => operations({ standing, batch, cycles })
}

const perOperation = { unit: 'us', better: 'less' }
const growthMetrics = [
  { name: 'putMany', title: 'putMany, us/job', ...perOperation },
  { name: 'put', title: 'put', ...perOperation },
  { name: 'reprioritize', title: 'reprioritize', ...perOperation },
  { name: 'cancel', title: 'cancel', ...perOperation },
  { name: 'claim', title: 'claim to settled', ...perOperation },
]

export const parts = [
  {
    ...dispatchPart(10),
    bounds: [
      { kind: 'goal', contender: 'rdq run', versus: 'fastq.promise', metric: 'rate', atLeast: 2 },
      { kind: 'floor', contender: 'rdq run', versus: 'fastq.promise', metric: 'rate', atLeast: 1.25 },
    ],
  },
  dispatchPart(1, ['rdq run', 'rdq put, job.result', 'fastq.promise']),
  dispatchPart(100, ['rdq run', 'rdq put, job.result', 'fastq.promise']),
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
  {
    name: 'weight',
    title: ({ n }) => `what one of ${count(n)} pending jobs holds of the heap, beside its payload`,
    params: quick => ({ n: quick ? 100_000 : 1_000_000 }),
    contenders: weights,
    metrics: [
      { name: 'bytes', title: 'bytes/job', unit: 'bytes', better: 'less' },
      { name: 'us', title: 'to put, us/job', unit: 'us', better: 'less' },
    ],
    bounds: [weightBound('rdq putMany'), weightBound('rdq putMany, 1,000 priorities'), weightBound('rdq put')],
    notes: ['Promises and closures that a contender asks for or makes are counted; payloads are small whole numbers.'],
  },
  {
    name: 'growth',
    title: ({ batch }) =>
      `one operation among many pending jobs, all priorities different, ${count(batch)} operations at a time`,
    params: quick => ({ batch: 500, cycles: quick ? 20 : 60 }),
    contenders: Object.fromEntries(lengths.map(length => [lengthName(length), growth(length)])),
    metrics: growthMetrics,
    // From a thousand to a million log n doubles and a linear cost grows a thousandfold; the rest is for cache misses.
    bounds: growthMetrics.map(({ name }) => ({
      ...{ kind: 'bound', contender: lengthName(1_000_000), versus: lengthName(1_000), metric: name, atMost: 8 },
    })),
    notes: [
      'log n alone doubles from 1,000 to 1,000,000; the bound of 8x leaves room for cache misses (linear: 1,000x).',
    ],
  },
]

async function pausedQueue(handler = () => {}) {
  const { DispatchQueue } = await rdq()
  return new DispatchQueue(handler, { width: 10, paused: true })
}

async function inChunks(n, each) {
  for (let from = 0; from < n; from += longestPutMany) await each(from, Math.min(n, from + longestPutMany))
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** The `i`th of a sequence of fractions that are all different and in no order. */
function scatter(i) {
  return (i * 0.618_033_988_749_895) % 1
}

function pick(from, names) {
  return Object.fromEntries(names.map(name => [name, from[name]]))
}

function count(n) {
  return n.toLocaleString('en-US')
}

function ignore() {}

function never() {
  return new Promise(ignore)
}
