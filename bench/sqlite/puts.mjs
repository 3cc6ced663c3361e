/** Puts alone: nobody works on the jobs. How many a second are answered after their commit, and how long each waits for that. */
import { performance } from 'node:perf_hooks'
import { percentile } from '../measure.mjs'
import { ProbeStore } from '../probe/store.mjs'
import { count, file, longestPutMany, payloadsOf, plainjobOn, queueOnFile } from './file.mjs'

const batch = 500
/** Of the jobs, where each has a commit of its own. */
const slowShare = 1 / 25

/**
 * A contender: `prepare()` opens its file and gives `put(payload)`, which resolves (or returns) once the job is stored.
 * `wave` of them are put at a time, and the next when all are answered.
 *
 * @param {() => Promise<{ put: (payload: unknown) => unknown, close: () => unknown }>} prepare
 */
function puts(prepare, { wave = Infinity, share = 1 } = {}) {
  return async params => {
    const { put, close } = await prepare()
    const putOne = async payload => {
      const from = performance.now()
      await put(payload)
      return performance.now() - from
    }
    const once = async payloads => {
      const latencies = []
      globalThis.gc()
      const from = performance.now()
      for (let i = 0; i < payloads.length; i += wave) {
        latencies.push(...(await Promise.all(payloads.slice(i, i + wave).map(putOne))))
      }
      return { latencies, ms: performance.now() - from }
    }
    const payloads = payloadsOf(Math.ceil(params.n * share))
    await once(payloads.slice(0, Math.ceil(payloads.length / 5))) // Warms up.
    const { latencies, ms } = await once(payloads)
    await close()
    return {
      rate: (payloads.length * 1_000) / ms,
      ...{ p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) },
    }
  }
}

async function rdqPut(durability) {
  const queue = await queueOnFile(null, { durability })
  return { put: payload => queue.put(payload), close: () => queue.stop() }
}

/** Many in one call: its jobs are answered together. */
async function rdqPutMany({ n }) {
  const queue = await queueOnFile(null)
  const once = async payloads => {
    const from = performance.now()
    for (let i = 0; i < payloads.length; i += longestPutMany) {
      await queue.putMany(payloads.slice(i, i + longestPutMany))
    }
    return performance.now() - from
  }
  const payloads = payloadsOf(n)
  await once(payloads.slice(0, n / 5))
  globalThis.gc()
  const ms = await once(payloads)
  await queue.stop()
  return { rate: (n * 1_000) / ms }
}

function bareCommits(synchronous) {
  return async () => {
    const store = new ProbeStore(file, synchronous)
    return { put: payload => store.exchange({ put: [JSON.stringify(payload)] }), close: () => store.close() }
  }
}

async function bareBatches({ n }) {
  const store = new ProbeStore(file)
  const payloads = payloadsOf(n)
  const once = count => {
    const from = performance.now()
    for (let i = 0; i < count; i += batch) {
      store.exchange({ put: payloads.slice(i, Math.min(i + batch, count)).map(payload => JSON.stringify(payload)) })
    }
    return performance.now() - from
  }
  once(n / 5)
  globalThis.gc()
  const ms = once(n)
  store.close()
  return { rate: (n * 1_000) / ms }
}

function plainjob(synchronous) {
  return async () => {
    const { queue } = await plainjobOn(file, synchronous)
    return { put: payload => queue.add('bench', payload), close: () => queue.close() }
  }
}

const oneByOne = { wave: 1, share: slowShare }

export const putsPart = {
  name: 'puts',
  title: ({ n }) =>
    `${count(n)} jobs put (fewer where each has a commit of its own), each answered once it is stored; nobody works on them`,
  params: quick => ({ n: quick ? 10_000 : 50_000 }),
  contenders: {
    'rdq put, all at once': puts(() => rdqPut('power')),
    'rdq put, waves of 1,000': puts(() => rdqPut('power'), { wave: 1_000 }),
    'rdq put, waves of 100': puts(() => rdqPut('power'), { wave: 100 }),
    'rdq put, one after another': puts(() => rdqPut('power'), oneByOne),
    'rdq putMany': rdqPutMany,
    "rdq put, waves of 1,000, durability 'process'": puts(() => rdqPut('process'), { wave: 1_000 }),
    "rdq put, one after another, durability 'process'": puts(() => rdqPut('process'), oneByOne),
    'bare commits of 500': bareBatches,
    'bare commits of one': puts(bareCommits('FULL'), oneByOne),
    'bare commits of one, NORMAL': puts(bareCommits('NORMAL'), oneByOne),
    'plainjob (synchronous NORMAL)': puts(plainjob(), oneByOne),
    'plainjob with FULL': puts(plainjob('FULL'), oneByOne),
  },
  metrics: [
    { name: 'rate', title: 'puts/s', unit: 'puts/s', better: 'more' },
    { name: 'p50', title: 'put to answer p50, ms', unit: 'ms', better: 'less' },
    { name: 'p99', title: 'p99', unit: 'ms', better: 'less' },
  ],
  notes: [
    'Put all at once, the last waits until those before it are stored: its latency is that of the burst.',
    'Bare commits and plainjob block the event loop for as long as they take; rdq stores in a thread of its own.',
  ],
}
