/** The same work among jobs that wait behind it, of the same name and less important: what a long backlog costs. */
import { performance } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { percentile } from '../measure.mjs'
import { count, longestPutMany, payloadsOf, queueOnFile } from './file.mjs'

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

export const standingPart = {
  name: 'standing',
  title: ({ n, standing }) =>
    `${count(n)} jobs put into a paused queue, resumed until settled, before none, ${count(standing)} and ${count(5 * standing)} less important ones of the same name`,
  params: quick => ({ n: quick ? 5_000 : 20_000, cycles: 6, standing: quick ? 20_000 : 1_000_000 }),
  // To put five million takes longer than all that is measured, and each child measures several cycles.
  rounds: 2,
  contenders: {
    'none standing': rdqAmong(() => 0),
    'many standing': rdqAmong(({ standing }) => standing),
    'five times as many': rdqAmong(({ standing }) => 5 * standing),
  },
  metrics: [
    { name: 'us', title: 'us/job', unit: 'us', better: 'less' },
    { name: 'put', title: 'put', unit: 'us', better: 'less' },
    { name: 'run', title: 'claim to settled', fullTitle: 'claim to settled, us/job', unit: 'us', better: 'less' },
  ],
  bounds: ['us', 'run'].flatMap(metric => [
    { kind: 'goal', contender: 'five times as many', versus: 'none standing', metric, atMost: 1.2 },
    { kind: 'bound', contender: 'many standing', versus: 'none standing', metric, atMost: 1.3 },
  ]),
}
