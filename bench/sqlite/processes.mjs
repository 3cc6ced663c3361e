/** Several processes that work on one file: what they do together, and whether each gets its share. */
import { performance } from 'node:perf_hooks'
import { count, file, longestPutMany, payloadsOf, queueOnFile, width } from './file.mjs'
import { worker } from './fork.mjs'

function processes(many) {
  return async ({ n }) => {
    const putter = await queueOnFile(null)
    const payloads = payloadsOf(n)
    for (let i = 0; i < n; i += longestPutMany) await putter.putMany(payloads.slice(i, i + longestPutMany))
    await putter.stop()

    const workers = Array.from({ length: many }, () => worker('work', { path: file }))
    for (const answer of await Promise.all(workers.map(({ next }) => next()))) {
      if (answer !== 'ready') throw new Error(`a worker said ${answer}`)
    }
    const answers = Promise.all(workers.map(({ next }) => next()))
    const from = performance.now()
    for (const { say } of workers) say('go')
    const ran = await answers
    const ms = performance.now() - from
    await Promise.all(workers.map(({ kill }) => kill()))

    const sum = ran.reduce((sum, one) => sum + one, 0)
    if (sum !== n) throw new Error(`${sum} of ${n} jobs ran`)
    return { rate: (n * 1_000) / ms, least: (100 * Math.min(...ran)) / (n / many) }
  }
}

export const processesPart = {
  name: 'processes',
  title: ({ n }) =>
    `${count(n)} stored jobs, no-op handler, width ${width} in each process: from the signal to start until nothing is left`,
  params: quick => ({ n: quick ? 5_000 : 40_000 }),
  contenders: { '1 process': processes(1), '2 processes': processes(2), '4 processes': processes(4) },
  metrics: [
    { name: 'rate', title: 'jobs/s', unit: 'jobs/s', better: 'more' },
    { name: 'least', title: 'least of one process, % of its share', unit: '%', better: 'more' },
  ],
  notes: [
    'SQLite lets one process write at a time: with handlers that do nothing a second process can only add its waiting. It is for handlers that need the processor, and for going on when one dies.',
  ],
}
