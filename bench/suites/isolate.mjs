/** Handlers in threads and processes: what a job costs that does nothing, in each of the four ways. */
import { availableParallelism } from 'node:os'
import { timed } from '../measure.mjs'
import { rdq } from '../rdq.mjs'

const noop = new URL('../isolate/noop.mjs', import.meta.url)

/** A contender: `prepare(params)` returns how one job is run, and how all ends. */
function jobs(prepare) {
  return async params => {
    const { n, warm, runs } = params
    const { run, close } = await prepare(params)
    try {
      const { ms, cpuMs } = await timed(() => Promise.all(Array.from({ length: n }, run)), { warm, runs })
      return { us: (ms * 1_000) / n, rate: (n * 1_000) / ms, cpu: (cpuMs * 1_000) / n }
    } finally {
      await close()
    }
  }
}

const queue = (handler, options) =>
  jobs(async ({ width }) => {
    const { DispatchQueue } = await rdq()
    const made = new DispatchQueue(handler, { width, ...options })
    await made.ready()
    return { run: (_, i) => made.run(i), close: () => made.stop() }
  })

/** Piscina as its README shows it, with as many tasks a worker as rdq has jobs underway. */
const piscina = jobs(async ({ width }) => {
  const { Piscina } = await import('piscina')
  const pool = new Piscina({ filename: noop.href, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: width })
  return { run: (_, i) => pool.run(i), close: () => pool.destroy() }
})

/** Tinypool has processes, too. */
const tinypool = runtime =>
  jobs(async ({ width }) => {
    const { Tinypool } = await import('tinypool')
    const pool = new Tinypool({
      ...{ filename: noop.href, runtime, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: width },
    })
    return { run: (_, i) => pool.run(i), close: () => pool.destroy() }
  })

const contenders = {
  'rdq plain': queue(async n => n),
  // biome-ignore lint/correctness/useYield: it has nothing to do.
  'rdq generator': queue(function* (n) {
    return n
  }),
  'rdq thread': queue(noop, { isolate: { kind: 'thread', count: 1 } }),
  'rdq process': queue(noop, { isolate: { kind: 'process', count: 1 } }),
  piscina,
  'tinypool thread': tinypool('worker_threads'),
  'tinypool process': tinypool('child_process'),
}

/** One call at a time, as in a handler that awaits it. */
function calls(prepare) {
  return async params => {
    const { n, warm, runs } = params
    const { call, close = () => {} } = await prepare()
    const oneByOne = async () => {
      for (let i = 0; i < n; i++) await call(i)
    }
    try {
      const { ms, cpuMs } = await timed(oneByOne, { warm, runs })
      return { us: (ms * 1_000) / n, rate: (n * 1_000) / ms, cpu: (cpuMs * 1_000) / n }
    } finally {
      await close()
    }
  }
}

const inThread = async () => (await import('../../dist/lib/in-thread/index.js')).inThread

const callers = {
  'rdq inThread, module': calls(async () => {
    const call = await inThread()
    return { call: i => call(noop, [i]) }
  }),
  'rdq inThread, function': calls(async () => {
    const call = await inThread()
    const work = n => n
    return { call: i => call(work, [i]) }
  }),
  piscina: calls(async () => {
    const { Piscina } = await import('piscina')
    const size = Math.max(availableParallelism() - 1, 1)
    const pool = new Piscina({ filename: noop.href, minThreads: size, maxThreads: size })
    return { call: i => pool.run(i), close: () => pool.destroy() }
  }),
}

const metrics = [
  { name: 'us', title: 'us/job', unit: 'us', better: 'less' },
  { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
  { name: 'cpu', title: 'CPU, us/job', unit: 'us', better: 'less' },
]

export const parts = [
  {
    name: 'no-op',
    title: ({ n, width }) =>
      `${n.toLocaleString('en-US')} jobs that do nothing, ${width} at once, in 1 thread or process`,
    params: quick => ({ n: quick ? 2_000 : 20_000, width: 10, warm: quick ? 1 : 3, runs: 3 }),
    contenders,
    ours: 'rdq thread',
    metrics,
    bounds: [{ kind: 'bound', contender: 'rdq thread', versus: 'piscina', metric: 'us', atMost: 1.25 }],
    notes: [
      'Piscina and tinypool run tasks that nobody can cancel without ending their thread, and that have no rate, retry, progress or checkpoint.',
      'CPU is that of the main process and its threads; processes have theirs beside it.',
    ],
  },
  {
    name: 'one-call',
    title: ({ n }) =>
      `${n.toLocaleString('en-US')} calls of a function that does nothing, one after the other, in a thread`,
    params: quick => ({ n: quick ? 1_000 : 5_000, warm: quick ? 1 : 3, runs: 3 }),
    contenders: callers,
    ours: 'rdq inThread, module',
    metrics: metrics.map(metric => ({ ...metric, title: metric.title.replace('job', 'call') })),
    bounds: [{ kind: 'bound', contender: 'rdq inThread, module', versus: 'piscina', metric: 'us', atMost: 1.25 }],
  },
]
