/** Jobs on a file from put, each answered after its commit, to settled, and how late the event loop is meanwhile. */
import { performance } from 'node:perf_hooks'
import { cpuMsSince, Lateness, percentile } from '../measure.mjs'
import { Probe } from '../probe/probe.mjs'
import { ProbeStore } from '../probe/store.mjs'
import { count, file, payloadsOf, plainjobOn, queueOnFile, width } from './file.mjs'

const tickMs = 5

/** What a handler does here: it adds up, so that a job which is lost or run twice is seen. */
class Sum {
  #count = 0
  #sum = 0
  add = ({ n }) => {
    this.#count++
    this.#sum += n
  }
  check(n) {
    if (this.#count !== n || this.#sum !== (n * (n - 1)) / 2)
      throw new Error(`${this.#count} of ${n} jobs ran, or not these`)
    this.#count = this.#sum = 0
  }
}

/**
 * A contender: `prepare(handler)` opens its file and gives `run(payloads, listen)`, which calls `listen` when the loop is
 * to be watched, and resolves when all have settled with the instant at which the last put was answered.
 *
 * @param {(handler: (payload: { n: number }) => void) => Promise<{ run: (payloads: unknown[], listen: () => void) => Promise<number>, close: () => unknown }>} prepare
 */
function jobs(prepare, share = 1) {
  return async params => {
    const n = Math.ceil(params.n * share)
    const sum = new Sum()
    const { run, close } = await prepare(sum.add)
    const once = async count => {
      const payloads = payloadsOf(count)
      let lateness
      globalThis.gc()
      const before = process.cpuUsage()
      const from = performance.now()
      const storedAt = await run(payloads, () => {
        lateness = new Lateness(tickMs)
      })
      const ms = performance.now() - from
      const cpuMs = cpuMsSince(before)
      const late = lateness.stop()
      sum.check(count)
      return { ms, putMs: storedAt - from, cpuMs, late }
    }
    const first = await once(n)
    await once(n) // Warms up: V8 is still compiling in the second run.
    const runs = []
    for (let i = 0; i < params.runs; i++) runs.push(await once(n))
    await close()
    const late = runs.flatMap(run => run.late)
    const median = name =>
      percentile(
        runs.map(run => run[name]),
        0.5,
      )
    return {
      ...{
        rate: (n * 1_000) / median('ms'),
        firstRate: (n * 1_000) / first.ms,
        putRate: (n * 1_000) / median('putMs'),
        cpu: (median('cpuMs') * 1_000) / n,
      },
      ...{ p50: percentile(late, 0.5), p99: percentile(late, 0.99), max: percentile(late, 1) },
    }
  }
}

function probe(batch, synchronous) {
  return jobs(async handler => {
    const probe = new Probe(file, synchronous)
    const run = (payloads, listen) => {
      listen()
      return probe.run(payloads, batch, handler)
    }
    return { run, close: () => probe.close() }
  })
}

/** The statements of the probe where the handlers are: puts, claims and settles of `batch` jobs, a commit each. */
function inline(batch, share) {
  return jobs(async handler => {
    const store = new ProbeStore(file)
    const run = async (payloads, listen) => {
      listen()
      for (let i = 0; i < payloads.length; i += batch) {
        store.exchange({ put: payloads.slice(i, i + batch).map(payload => JSON.stringify(payload)) })
      }
      const storedAt = performance.now()
      for (;;) {
        const { seqs, payloads } = store.exchange({ room: batch })
        if (seqs.length === 0) return storedAt
        for (const payload of payloads) handler(JSON.parse(payload))
        store.exchange({ settled: seqs })
      }
    }
    return { run, close: () => store.close() }
  }, share)
}

function plainjob(synchronous, share) {
  return jobs(async handler => {
    const { queue, workerOf } = await plainjobOn(file, synchronous)
    const run = async (payloads, listen) => {
      listen()
      for (const payload of payloads) queue.add('bench', payload)
      const storedAt = performance.now()
      let left = payloads.length
      const work = async ({ data }) => handler(JSON.parse(data))
      const onCompleted = () => {
        if (--left === 0) void worker.stop()
      }
      const worker = workerOf('bench', work, { onCompleted })
      await worker.start()
      return storedAt
    }
    return { run, close: () => queue.close() }
  }, share)
}

/**
 * `wave` puts at a time; the next when all are answered. The loop is watched from the end of the first call of them on:
 * one that puts all in one go keeps the loop waiting by itself, and only what follows is the queue's.
 */
function rdqJobs(wave, durability) {
  return jobs(async handler => {
    const queue = await queueOnFile(handler, { durability })
    const run = async (payloads, listen) => {
      for (let i = 0; i < payloads.length; i += wave) {
        const answers = payloads.slice(i, i + wave).map(payload => queue.put(payload))
        if (i === 0) listen()
        await Promise.all(answers)
      }
      const storedAt = performance.now()
      await queue.idle()
      return storedAt
    }
    return { run, close: () => queue.stop() }
  })
}

const slowShare = 1 / 20

const ofProbe = { contender: 'rdq, all at once', versus: 'probe in a thread, batches of 500', metric: 'rate' }

export const jobsPart = {
  name: 'jobs',
  title: ({ n }) =>
    `${count(n)} jobs (the slow ones fewer) from put, answered after its commit, to settled; no-op handler, width ${width}`,
  params: quick => ({ n: quick ? 20_000 : 50_000, runs: quick ? 1 : 2 }),
  contenders: {
    'rdq, all at once': rdqJobs(Infinity, 'power'),
    'rdq, waves of 1,000': rdqJobs(1_000, 'power'),
    "rdq, all at once, durability 'process'": rdqJobs(Infinity, 'process'),
    'probe in a thread, batches of 500': probe(500),
    'probe in a thread, batches of 100': probe(100),
    'probe in a thread, batches of 500, NORMAL': probe(500, 'NORMAL'),
    'probe inline, batches of 500': inline(500),
    'probe inline, a commit a step': inline(1, slowShare),
    'plainjob (synchronous NORMAL)': plainjob(undefined, slowShare),
    'plainjob with FULL': plainjob('FULL', slowShare),
  },
  ours: 'rdq, all at once',
  metrics: [
    { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
    { name: 'firstRate', title: 'not warmed', fullTitle: 'jobs/s, not warmed', unit: 'jobs/s', better: 'more' },
    { name: 'putRate', title: 'puts/s', unit: 'puts/s', better: 'more' },
    { name: 'cpu', title: 'CPU, us/job', unit: 'us', better: 'less' },
    { name: 'p50', title: 'loop late p50, ms', unit: 'ms', better: 'less' },
    { name: 'p99', title: 'p99', fullTitle: 'loop late p99, ms', unit: 'ms', better: 'less' },
    { name: 'max', title: 'max', unit: 'ms', better: 'less' },
  ],
  bounds: [
    {
      ...{ kind: 'goal', contender: 'rdq, all at once', metric: 'rate', atLeast: 100_000 },
      or: { ...ofProbe, atLeast: 0.75 },
    },
    { kind: 'floor', ...ofProbe, atLeast: 0.5 },
    ...['rdq, all at once', 'rdq, waves of 1,000'].flatMap(contender => [
      { kind: 'goal', contender, metric: 'p99', atMost: 5 },
      { kind: 'bound', contender, metric: 'p99', atMost: 10 },
    ]),
  ],
  notes: [
    'The probe has no rules, ids, leases, fences or events. Commits are FULL where nothing else is said.',
    'Not warmed: the first run of a process. The others are of one that has done it twice before.',
    `Loop late: how late a ${tickMs} ms interval beats, with those that fell due in a stall. Inline the loop has no turn at all.`,
  ],
}
