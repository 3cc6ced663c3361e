/**
 * The queue on one SQLite file: jobs a second from put to settled, how late the event loop is meanwhile, what a long
 * backlog costs, and what an idle queue costs.
 *
 * Beside it stands the least that the same work can cost: the probe (bench/probe/) in a thread, and the same statements
 * inline. Files are in the temporary folder (TMPDIR): on a disk, for in memory a commit costs nothing.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { Lateness, percentile } from '../measure.mjs'
import { Probe } from '../probe/probe.mjs'
import { ProbeStore } from '../probe/store.mjs'
import { rdq, sqlite } from '../rdq.mjs'

const tickMs = 5
const width = 100
const longestPutMany = 50_000

const file = join(tmpdir(), 'jobs.db')
const payloadOf = i => ({ to: `+3161${String(i).padStart(7, '0')}`, text: 'Your parcel is on its way.', n: i })
const payloadsOf = n => Array.from({ length: n }, (_, i) => payloadOf(i))

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

// Jobs: `n` of them are put, each is answered after its commit, and all have settled.

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
      const from = performance.now()
      const storedAt = await run(payloads, () => {
        lateness = new Lateness(tickMs)
      })
      const ms = performance.now() - from
      const late = lateness.stop()
      sum.check(count)
      return { ms, putMs: storedAt - from, late }
    }
    await once(Math.ceil(n / 5)) // Warms up.
    const runs = []
    for (let i = 0; i < params.runs; i++) runs.push(await once(n))
    await close()
    const late = runs.flatMap(run => run.late)
    const rate = name =>
      (n * 1_000) /
      percentile(
        runs.map(run => run[name]),
        0.5,
      )
    return {
      ...{ rate: rate('ms'), putRate: rate('putMs') },
      ...{ p50: percentile(late, 0.5), p99: percentile(late, 0.99), max: percentile(late, 1) },
    }
  }
}

function probe(batch) {
  return jobs(async handler => {
    const probe = new Probe(file)
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

/** As its README shows it. It has no width: a worker runs one job at a time. */
function plainjob(synchronous, share) {
  return jobs(async handler => {
    const { better, defineQueue, defineWorker } = await import('plainjob')
    const { default: Database } = await import('better-sqlite3')
    const connection = better(new Database(file))
    const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
    const queue = defineQueue({ connection, logger })
    if (synchronous) connection.pragma(`synchronous = ${synchronous}`)
    const run = async (payloads, listen) => {
      listen()
      for (const payload of payloads) queue.add('bench', payload)
      const storedAt = performance.now()
      let left = payloads.length
      const work = async ({ data }) => handler(JSON.parse(data))
      const onCompleted = () => {
        if (--left === 0) void worker.stop()
      }
      const worker = defineWorker('bench', work, { queue, logger, onCompleted })
      await worker.start()
      return storedAt
    }
    return { run, close: () => queue.close() }
  }, share)
}

async function queueOnFile(handler, { durability = 'power', ...options } = {}) {
  const { SqliteBacklog } = await sqlite()
  const { DispatchQueue } = await rdq()
  const queue = new DispatchQueue(handler, {
    ...{ name: 'bench', width, backlog: new SqliteBacklog(file, { durability }) },
    ...options,
  })
  await queue.ready()
  return queue
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

const slowShare = 1 / 10

// Standing: the same among jobs that wait behind them, of the same name and less important.

function rdqAmong(standingOf) {
  return async params => {
    const standing = standingOf(params)
    let launches = 0
    let allLaunched
    const ran = []
    const handler = ({ n }) => {
      ran[launches] = n
      // Those that stand there must not run: they are for the claim to walk past.
      if (++launches === params.n) allLaunched(queue.pause())
    }
    const queue = await queueOnFile(handler, { paused: true })
    for (let left = standing; left > 0; left -= longestPutMany) {
      const few = Array.from({ length: Math.min(left, longestPutMany) }, () => ({ n: -1 }))
      await queue.putMany(few, { priority: 1 })
    }
    const cycles = []
    for (let cycle = 1; cycle <= params.cycles; cycle++) {
      const payloads = payloadsOf(params.n)
      launches = 0
      globalThis.gc()
      const from = performance.now()
      await Promise.all(payloads.map(payload => queue.put(payload)))
      const storedAt = performance.now()
      await new Promise(resolve => {
        allLaunched = resolve
        queue.resume()
      })
      while (queue.counts.finished < cycle * params.n) await turn()
      const settledAt = performance.now()
      if (ran.some((n, i) => i < params.n && n !== i))
        throw new Error('less important jobs ran first, or in another order')
      const us = (to, since) => ((to - since) * 1_000) / params.n
      cycles.push({ us: us(settledAt, from), put: us(storedAt, from), run: us(settledAt, storedAt) })
    }
    if (queue.counts.pending !== standing) throw new Error(`${queue.counts.pending} of ${standing} jobs are left`)
    await queue.stop()
    const [, ...warm] = cycles
    const median = name =>
      percentile(
        warm.map(cycle => cycle[name]),
        0.5,
      )
    return { us: median('us'), put: median('put'), run: median('run') }
  }
}

// Idle: one put at a time, with a rest before each, and nothing at all.

function latency(prepare) {
  return async ({ puts, restMs }) => {
    const { put, close } = await prepare()
    const times = []
    for (let i = -puts / 4; i < puts; i++) {
      await sleep(restMs)
      const payload = payloadOf(Math.abs(i))
      const from = performance.now()
      await put(payload)
      if (i >= 0) times.push((performance.now() - from) * 1_000)
    }
    await close()
    return { us: percentile(times, 0.5), p99: percentile(times, 0.99) }
  }
}

function idle(prepare) {
  return async ({ forMs, settleMs }) => {
    const close = await prepare()
    await sleep(settleMs)
    globalThis.gc()
    const from = performance.now()
    const before = process.cpuUsage()
    await sleep(forMs)
    const { user, system } = process.cpuUsage(before)
    const seconds = (performance.now() - from) / 1_000
    await close()
    return { cpu: (user + system) / 1_000 / seconds }
  }
}

export const parts = [
  {
    name: 'jobs',
    title: ({ n }) =>
      `${count(n)} jobs (the slow ones fewer) from put, answered after its commit, to settled; no-op handler, width ${width}`,
    params: quick => ({ n: quick ? 20_000 : 50_000, runs: quick ? 1 : 3 }),
    contenders: {
      'rdq, all at once': rdqJobs(Infinity, 'power'),
      'rdq, waves of 1,000': rdqJobs(1_000, 'power'),
      "rdq, all at once, durability 'process'": rdqJobs(Infinity, 'process'),
      'probe in a thread, batches of 500': probe(500),
      'probe in a thread, batches of 100': probe(100),
      'probe inline, batches of 500': inline(500),
      'probe inline, a commit a step': inline(1, slowShare),
      'plainjob (synchronous NORMAL)': plainjob(undefined, slowShare),
      'plainjob with FULL': plainjob('FULL', slowShare),
    },
    ours: 'rdq, all at once',
    metrics: [
      { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
      { name: 'putRate', title: 'puts/s', unit: 'puts/s', better: 'more' },
      { name: 'p50', title: 'loop late p50, ms', unit: 'ms', better: 'less' },
      { name: 'p99', title: 'p99', unit: 'ms', better: 'less' },
      { name: 'max', title: 'max', unit: 'ms', better: 'less' },
    ],
    bounds: [
      { kind: 'goal', contender: 'rdq, all at once', metric: 'rate', atLeast: 100_000 },
      {
        ...{ kind: 'floor', contender: 'rdq, all at once', versus: 'probe in a thread, batches of 500' },
        ...{ metric: 'rate', atLeast: 0.5 },
      },
      { kind: 'bound', contender: 'rdq, all at once', metric: 'p99', atMost: 10 },
      { kind: 'bound', contender: 'rdq, waves of 1,000', metric: 'p99', atMost: 10 },
    ],
    notes: [
      'The probe has no rules, ids, leases, fences or events. Commits are FULL where nothing else is said.',
      `Loop late: how late a ${tickMs} ms interval beats, with those that fell due in a stall. Inline the loop has no turn at all.`,
    ],
  },
  {
    name: 'standing',
    title: ({ n, standing }) =>
      `${count(n)} jobs put into a paused queue, resumed until settled, before ${count(standing)} less important ones of the same name`,
    params: quick => ({ n: quick ? 5_000 : 20_000, cycles: 6, standing: quick ? 100_000 : 1_000_000 }),
    contenders: { 'none standing': rdqAmong(() => 0), 'many standing': rdqAmong(({ standing }) => standing) },
    metrics: [
      { name: 'us', title: 'us/job', unit: 'us', better: 'less' },
      { name: 'put', title: 'put', unit: 'us', better: 'less' },
      { name: 'run', title: 'claim to settled', unit: 'us', better: 'less' },
    ],
    bounds: ['us', 'run'].map(metric => ({
      ...{ kind: 'bound', contender: 'many standing', versus: 'none standing', metric, atMost: 1.3 },
    })),
  },
  {
    name: 'idle-put',
    title: ({ restMs }) => `one put into an idle queue, until it is answered, after ${restMs} ms of rest`,
    params: quick => ({ puts: quick ? 100 : 400, restMs: 5 }),
    contenders: {
      'rdq put': latency(async () => {
        const queue = await queueOnFile(ignore)
        return { put: payload => queue.put(payload), close: () => queue.stop() }
      }),
      'rdq put, nobody works': latency(async () => {
        const queue = await queueOnFile(null)
        return { put: payload => queue.put(payload), close: () => queue.stop() }
      }),
      'probe in a thread': latency(async () => {
        const probe = new Probe(file)
        return { put: payload => probe.exchange({ put: [JSON.stringify(payload)] }), close: () => probe.close() }
      }),
      'bare commit': latency(async () => {
        const store = new ProbeStore(file)
        return { put: payload => store.exchange({ put: [JSON.stringify(payload)] }), close: () => store.close() }
      }),
    },
    ours: 'rdq put',
    metrics: [
      { name: 'us', title: 'median, us', unit: 'us', better: 'less' },
      { name: 'p99', title: 'p99', unit: 'us', better: 'less' },
    ],
    bounds: [{ kind: 'bound', contender: 'rdq put', versus: 'bare commit', metric: 'us', atMost: 3 }],
    notes: ['All with synchronous FULL. A bare commit blocks the loop for as long; the others do not.'],
  },
  {
    name: 'idle-cpu',
    title: ({ forMs }) => `what doing nothing costs, over ${forMs / 1_000} s`,
    params: quick => ({ forMs: quick ? 1_000 : 5_000, settleMs: 500 }),
    contenders: {
      'rdq idle queue': idle(async () => {
        const queue = await queueOnFile(ignore)
        await queue.put(payloadOf(0))
        await queue.idle()
        return () => queue.stop()
      }),
      'idle process': idle(async () => ignore),
    },
    metrics: [{ name: 'cpu', title: 'CPU, ms a second', unit: 'ms/s', better: 'less' }],
  },
]

function count(n) {
  return n.toLocaleString('en-US')
}

function ignore() {}
