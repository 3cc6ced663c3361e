/** Cooperation: what a step costs, and how long the event loop waits for its turn. */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Heartbeat, percentile, Ticks, timed } from '../measure.mjs'
import { cooperate, rdq } from '../rdq.mjs'

const sliceMs = 5
const tickMs = 5

function* emptySteps(count) {
  for (let i = 0; i < count; i++) yield
}

function generatorsOf({ generators, steps }) {
  return Array.from({ length: generators }, () => emptySteps(steps))
}

/** As fast as a round robin can be: no slice, no promise, nobody else gets a turn. */
function bareRoundRobin(generators) {
  const ring = [...generators]
  while (ring.length > 0) {
    let kept = 0
    for (let i = 0; i < ring.length; i++) {
      if (!ring[i].next().done) ring[kept++] = ring[i]
    }
    ring.length = kept
  }
}

async function cooperatorRun(params) {
  const { Cooperator } = await cooperate()
  const cooperator = new Cooperator()
  return () => Promise.all(generatorsOf(params).map(generator => cooperator.coiterate(generator)))
}

async function queueRun({ generators, steps }) {
  const { DispatchQueue } = await rdq()
  const queue = new DispatchQueue(emptySteps, { width: generators })
  return () => Promise.all(Array.from({ length: generators }, () => queue.run(steps)))
}

function stepRate(prepare) {
  return async params => {
    const run = await prepare(params)
    const { ms, cpuMs } = await timed(run, { warm: 3, runs: 5 })
    const steps = params.generators * params.steps
    return { rate: (steps * 1_000) / ms, cpu: (cpuMs * 1e6) / steps }
  }
}

/**
 * Steps for `forMs` while an interval ticks; the gap between ticks is what the rest of the program waits.
 *
 * The work never pauses: `start(isOver, params)` begins it and resolves when it has ended. Where all generators end
 * together and others begin, a turn is shorter than its slice, and a tick that falls due in the next one waits for both.
 */
function tickGaps(start) {
  return async params => {
    let over = false
    const ended = start(() => over, params)
    await sleep(params.forMs / 4) // Warms up.
    const ticks = new Ticks(tickMs)
    await sleep(params.forMs)
    const gaps = ticks.stop()
    over = true
    await ended
    return { p50: percentile(gaps, 0.5), p99: percentile(gaps, 0.99), max: Math.max(...gaps) }
  }
}

function* endlessSteps(isOver) {
  while (!isOver()) yield
}

/** About a microsecond a step. */
function* busySteps(count) {
  let hash = 1
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < 500; j++) hash = Math.imul(hash ^ j, 16_777_619)
    yield
  }
  return hash
}

const tickers = {
  'rdq Cooperator': tickGaps(async (isOver, { generators }) => {
    const { Cooperator } = await cooperate()
    const cooperator = new Cooperator()
    await together(generators, () => cooperator.coiterate(endlessSteps(isOver)))
  }),
  'rdq queue of generators': tickGaps(async (isOver, { generators }) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(() => endlessSteps(isOver), { width: generators })
    await together(generators, () => queue.run(null))
  }),
  // Steps that do something, and each generator of another length, so that some end in each slice; then the next is put.
  'rdq queue, generators that end': tickGaps(async (isOver, { generators, steps }) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(busySteps, { width: generators })
    const fewest = steps / 40
    await together(generators, async i => {
      while (!isOver()) await queue.run(fewest + (i * fewest) / generators)
    })
  }),
  // What this machine does to the best possible slicing: nothing runs but slices of busy waiting.
  'bare slices of busy waiting': tickGaps(async isOver => {
    while (!isOver()) {
      busy(sliceMs)
      await new Promise(resolve => setImmediate(resolve))
    }
  }),
}

function together(count, run) {
  return Promise.all(Array.from({ length: count }, (_, i) => run(i)))
}

/** A contender: `prepare(width)` returns how the synchronous function is run once, as a job. */
function stall(prepare) {
  return async ({ n, jobMs, width }) => {
    const run = await prepare(() => busy(jobMs), width)
    await Promise.all(Array.from({ length: 50 }, run)) // Warms up.
    await sleep(20)
    const heartbeat = new Heartbeat()
    await sleep(20)
    const from = performance.now()
    await Promise.all(Array.from({ length: n }, run))
    const total = performance.now() - from
    return { longest: heartbeat.stop(), total }
  }
}

const stalls = {
  rdq: stall(async (work, width) => {
    const { DispatchQueue } = await rdq()
    const queue = new DispatchQueue(work, { width })
    return () => queue.run(null)
  }),
  'p-queue': stall(async (work, concurrency) => {
    const { default: PQueue } = await import('p-queue')
    const queue = new PQueue({ concurrency })
    return () => queue.add(work)
  }),
  'p-limit': stall(async (work, width) => {
    const { default: pLimit } = await import('p-limit')
    const limit = pLimit(width)
    return () => limit(work)
  }),
  'fastq.promise': stall(async (work, width) => {
    const { default: fastq } = await import('fastq')
    const queue = fastq.promise(async () => work(), width)
    return () => queue.push(null)
  }),
  'async queue': stall(async (work, width) => {
    const { default: async } = await import('async')
    const queue = async.queue(async () => work(), width)
    return () => queue.pushAsync(null)
  }),
}

const gapMetrics = [
  { name: 'p50', title: 'gap p50, ms', unit: 'ms', better: 'less' },
  { name: 'p99', title: 'p99', fullTitle: 'gap p99, ms', unit: 'ms', better: 'less' },
  { name: 'max', title: 'max', unit: 'ms', better: 'less' },
]

const sizes = { generators: 100, steps: 20_000 }

export const parts = [
  {
    name: 'steps',
    title: ({ generators, steps }) =>
      `${generators} generators of ${steps.toLocaleString('en-US')} empty steps, round robin`,
    params: () => sizes,
    contenders: {
      'rdq Cooperator': stepRate(cooperatorRun),
      'rdq queue of generators': stepRate(queueRun),
      'bare round robin': stepRate(async params => () => bareRoundRobin(generatorsOf(params))),
    },
    ours: 'rdq Cooperator',
    metrics: [
      { name: 'rate', title: 'steps/s', unit: 'steps/s', better: 'more' },
      { name: 'cpu', title: 'CPU, ns/step', unit: 'ns', better: 'less' },
    ],
    bounds: [
      { kind: 'goal', contender: 'rdq Cooperator', versus: 'bare round robin', metric: 'rate', atLeast: 1 / 2 },
      { kind: 'floor', contender: 'rdq Cooperator', versus: 'bare round robin', metric: 'rate', atLeast: 1 / 3 },
    ],
  },
  {
    name: 'tick',
    title: `the gap of a ${tickMs} ms setInterval while generators step, slice ${sliceMs} ms`,
    params: quick => ({ ...sizes, forMs: quick ? 500 : 2_000 }),
    contenders: tickers,
    metrics: gapMetrics,
    bounds: [
      { kind: 'bound', contender: 'rdq Cooperator', metric: 'p99', atMost: sliceMs + 3 },
      { kind: 'bound', contender: 'rdq queue of generators', metric: 'p99', atMost: sliceMs + 3 },
      { kind: 'bound', contender: 'rdq queue, generators that end', metric: 'p99', atMost: sliceMs + 3 },
    ],
    notes: ['Bare slices show what this machine adds to the best possible slicing.'],
  },
  {
    name: 'stall',
    title: ({ n, jobMs, width }) =>
      `${n.toLocaleString('en-US')} synchronous jobs of ${jobMs} ms at width ${width}: the longest that the event loop waits`,
    params: quick => ({ n: quick ? 500 : 2_000, jobMs: 0.2, width: 10 }),
    contenders: stalls,
    ours: 'rdq',
    metrics: [
      { name: 'longest', title: 'stall, ms', unit: 'ms', better: 'less' },
      { name: 'total', title: 'all done, ms', unit: 'ms', better: 'less' },
    ],
    bounds: [{ kind: 'bound', contender: 'rdq', metric: 'longest', atMost: sliceMs + 3 }],
  },
]

function busy(ms) {
  for (const until = performance.now() + ms; performance.now() < until; );
}
