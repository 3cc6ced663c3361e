/** One put at a time into a queue that has nothing else to do, with a rest before each. */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../measure.mjs'
import { Probe } from '../probe/probe.mjs'
import { ProbeStore } from '../probe/store.mjs'
import { file, ignore, payloadOf, queueOnFile } from './file.mjs'

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

export const idlePutPart = {
  name: 'idle-put',
  title: ({ restMs }) => `one put into an idle queue, until it is answered, after ${restMs} ms of rest`,
  params: quick => ({ puts: quick ? 100 : 200, restMs: 5 }),
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
  bounds: [
    { kind: 'goal', contender: 'rdq put', versus: 'bare commit', metric: 'us', atMost: 2 },
    { kind: 'bound', contender: 'rdq put', versus: 'bare commit', metric: 'us', atMost: 3 },
  ],
  notes: ['All with synchronous FULL. A bare commit blocks the loop for as long; the others do not.'],
}
