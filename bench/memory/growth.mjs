/** The same operations in backlogs of four lengths, all priorities different, so that order is really kept. */
import { performance } from 'node:perf_hooks'
import { percentile } from '../measure.mjs'
import { count, inChunks, pausedQueue, range, scatter } from './common.mjs'

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
  { name: 'claim', title: 'claim to settled', fullTitle: 'claim to settled, us/job', ...perOperation },
]

export const growthPart = {
  name: 'growth',
  title: ({ batch }) =>
    `one operation among many pending jobs, all priorities different, ${count(batch)} operations at a time`,
  params: quick => ({ batch: 500, cycles: quick ? 20 : 60 }),
  contenders: Object.fromEntries(lengths.map(length => [lengthName(length), growth(length)])),
  rounds: 2,
  plot: 'claim',
  metrics: growthMetrics,
  // From a thousand to a million log n doubles and a linear cost grows a thousandfold; the rest is for cache misses.
  bounds: growthMetrics.map(({ name }) => ({
    ...{ kind: 'bound', contender: lengthName(1_000_000), versus: lengthName(1_000), metric: name, atMost: 8 },
  })),
  notes: [
    'log n alone doubles from 1,000 to 1,000,000; the bound of 8x leaves room for cache misses (linear: 1,000x).',
  ],
}
