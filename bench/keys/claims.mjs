/**
 * What a claim costs with keys: jobs of free keys, among the jobs of keys that are blocked.
 *
 * All jobs are put into a paused queue. What counts is the processor time from its resume until they have settled: the
 * claims, and what any job costs besides.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { cpuMsSince, percentile } from '../measure.mjs'
import { rdq } from '../rdq.mjs'
import { count, payloadsOf, queueOnFile, width } from '../sqlite/file.mjs'

/** Collects the garbage, and lets other threads of the process finish their part of it, which counts as its time. */
async function collected() {
  globalThis.gc()
  await sleep(100)
}

const nameOf = i => `tenant-${i}`

/**
 * A contender with so many keys, of which so many are free. The others are held by a width of 0, and have a job each.
 *
 * @param {(handler: (payload: { n: number }) => void, options: object) => Promise<any>} makeQueue
 */
function claims(makeQueue, { keys, free = keys, options }) {
  return async params => {
    let ran = 0
    let allRan
    const run = () => {
      if (++ran % params.n === 0) allRan()
    }
    const declared = keys > 0 ? { keys: { width: free < keys ? 0 : width, ...options?.keys } } : {}
    const queue = await makeQueue(run, { paused: true, ...options, ...declared })
    if (free < keys) for (let i = 0; i < free; i++) queue.key(nameOf(i)).width = width
    await Promise.all(Array.from({ length: keys - free }, (_, i) => queue.put({ n: i }, { key: nameOf(free + i) })))
    const cycles = []
    for (let cycle = 1; cycle <= params.cycles; cycle++) {
      const payloads = payloadsOf(params.n)
      const putOptions = payloads.map(({ n }) => (keys > 0 ? { key: nameOf(n % free) } : undefined))
      globalThis.gc()
      let before = process.cpuUsage()
      await Promise.all(payloads.map((payload, i) => queue.put(payload, putOptions[i])))
      const putMs = cpuMsSince(before)
      await collected() // The garbage of the puts is not a cost of the claims.
      before = process.cpuUsage()
      const from = performance.now()
      const over = new Promise(resolve => {
        allRan = resolve
      })
      queue.resume()
      await over
      // Only the endings of the last jobs are still to be stored. To poll from the beginning would cost more than the jobs.
      while (queue.counts.finished < cycle * params.n) await turn()
      cycles.push({ put: putMs, run: cpuMsSince(before), clock: performance.now() - from })
      await queue.pause()
    }
    if (ran !== params.cycles * params.n) throw new Error(`${ran} jobs ran`)
    if (queue.counts.pending !== keys - free) throw new Error(`${queue.counts.pending} jobs are left`)
    await queue.stop()
    const median = name =>
      percentile(
        cycles.slice(params.warm).map(cycle => cycle[name]),
        0.5,
      )
    return Object.fromEntries(['run', 'clock', 'put'].map(name => [name, (median(name) * 1_000) / params.n]))
  }
}

async function inMemory(handler, options) {
  const { DispatchQueue } = await rdq()
  return new DispatchQueue(handler, { width, ...options })
}

const few = 1_000
const many = 100_000
const keyed = {
  '1 key': { keys: 1 },
  '1,000 keys': { keys: few },
  '1,000 keys, half blocked': { keys: few, free: few / 2 },
  '1,000 keys, all but one blocked': { keys: few, free: 1 },
  '100,000 keys': { keys: many },
  '100,000 keys, half blocked': { keys: many, free: many / 2 },
  '100,000 keys, all but one blocked': { keys: many, free: 1 },
}

/**
 * @param {{ cycles: number, warm: number, rounds?: number }} size How often the jobs are put and run in a process, and how
 *   many of these times do not count, because the code is not warm.
 */
function claimsPart(name, where, makeQueue, { rounds, ...size }) {
  const contenders = { 'no keys': { keys: 0 }, ...keyed }
  return {
    name,
    title: ({ n }) => `${count(n)} jobs ${where}, width ${width}, from the resume of a paused queue until settled`,
    ...(rounds && { rounds }),
    params: quick => ({ n: many, ...size, ...(quick && { cycles: size.warm + 1 }) }),
    contenders: Object.fromEntries(
      Object.entries(contenders).map(([contender, keys]) => [contender, claims(makeQueue, keys)]),
    ),
    ours: 'no keys',
    metrics: [
      { name: 'run', title: 'CPU, us/job', unit: 'us', better: 'less' },
      { name: 'clock', title: 'us/job', unit: 'us', better: 'less' },
      { name: 'put', title: 'put, CPU, us/job', unit: 'us', better: 'less' },
    ],
    bounds: Object.keys(keyed).map(contender => ({
      ...{ kind: 'bound', contender, versus: 'no keys', metric: 'run', atMost: 1.5 },
    })),
    notes: ['The jobs are spread over the free keys. Each blocked key has a width of 0 and one job that waits.'],
  }
}

export const claimsParts = [
  claimsPart('memory', 'in memory', inMemory, { cycles: 9, warm: 4 }),
  claimsPart('file', 'on a file', queueOnFile, { cycles: 2, warm: 1, rounds: 2 }),
]
