/**
 * `node bench/compare.mjs <checkout> <other checkout>…`: what a change costs or gains, in CPU time a job.
 *
 *   --work <name>   file, waves, rated, priorities, memory (file)
 *   --rounds <n>    how often each checkout runs (10)
 *   --jobs <n>      jobs in a run (20000)
 *
 * Each checkout is built (`npm run build`) and has its packages. Each run is a process of its own, and the checkouts
 * take turns. Each figure of another checkout is compared with that of the first in the same round, so that the load of
 * a shared machine falls on both. Time of the process is counted and not time of the clock, for the same reason.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values: options, positionals: checkouts } = parseArgs({
  allowPositionals: true,
  options: {
    work: { type: 'string', default: 'file' },
    rounds: { type: 'string', default: '10' },
    jobs: { type: 'string', default: '20000' },
  },
})

const payloadOf = n => ({ to: `+3161${String(n).padStart(7, '0')}`, text: 'Your parcel is on its way.', n })
const putAll = (queue, from, to, put) =>
  Promise.all(Array.from({ length: to - from }, (_, i) => queue.put(payloadOf(from + i), put?.(from + i))))
const once = put => async (queue, n) => {
  await putAll(queue, 0, n, put)
  await queue.idle()
}
const runs = 3
const manyRules = [
  { limit: 1_000_000, per: '1s' },
  { limit: 50_000_000, per: '1m' },
]
const works = {
  file: { run: once() },
  waves: {
    async run(queue, n) {
      for (let from = 0; from < n; from += 1_000) await putAll(queue, from, Math.min(from + 1_000, n))
      await queue.idle()
    },
  },
  rated: { options: { rate: manyRules }, run: once() },
  priorities: { run: once(n => ({ priority: n % 10 })) },
  memory: {
    inMemory: true,
    options: { width: 10 },
    run: (queue, n) => Promise.all(Array.from({ length: n }, (_, i) => queue.run(payloadOf(i)))),
  },
}

if (process.send) process.send(await measured(options.work, Number(options.jobs), checkouts[0]), () => process.exit())
else await compare()

/** In a child: CPU time a job, in µs, after a run that warms up. */
async function measured(name, n, checkout) {
  const { inMemory, options, run } = works[name]
  const load = file => import(pathToFileURL(join(checkout, 'dist', file)).href)
  const { DispatchQueue } = await load('lib/index.js')
  const file = join(tmpdir(), 'jobs.db')
  const backlog = inMemory ? {} : { backlog: new (await load('persistence/sqlite/index.js')).SqliteBacklog(file) }
  const queue = new DispatchQueue(() => {}, { name: 'compare', width: 100, ...backlog, ...options })
  await queue.ready()
  await run(queue, n)
  const spent = { user: 0, all: 0, clock: 0 }
  for (let i = 0; i < runs; i++) {
    // As in a queue that was empty for a while.
    globalThis.gc()
    const [cpu, from] = [process.cpuUsage(), performance.now()]
    await run(queue, n)
    const { user, system } = process.cpuUsage(cpu)
    spent.user += user
    spent.all += user + system
    spent.clock += (performance.now() - from) * 1_000
  }
  await queue.stop()
  return Object.fromEntries(Object.entries(spent).map(([name, us]) => [name, us / n / runs]))
}

async function compare() {
  const rounds = []
  for (let round = 0; round < Number(options.rounds); round++) {
    const figures = []
    for (let turn = 0; turn < checkouts.length; turn++) {
      const index = (turn + round) % checkouts.length
      figures[index] = await child(checkouts[index])
    }
    rounds.push(figures)
  }
  for (const [index, checkout] of checkouts.entries()) {
    const text = ['user', 'all', 'clock'].map(metric => {
      const own = middle(rounds.map(figures => figures[index][metric]))
      const [low, mid, high] = middle(rounds.map(figures => figures[index][metric] / figures[0][metric]))
      return `${metric} ${own[1].toFixed(2)} us (x${mid.toFixed(3)}, half of the rounds ${low.toFixed(3)} to ${high.toFixed(3)})`
    })
    console.log(`${checkout}: ${text.join('; ')}`)
  }
}

function child(checkout) {
  const folder = mkdtempSync(join(tmpdir(), 'rdq-compare-'))
  const args = [resolve(checkout), '--work', options.work, '--jobs', options.jobs]
  return new Promise((resolve, reject) => {
    let figures
    const execArgv = ['--expose-gc']
    const child = fork(process.argv[1], args, { execArgv, env: { ...process.env, TMPDIR: folder } })
    child.once('message', message => {
      figures = message
    })
    child.once('error', reject)
    child.once('exit', code => {
      if (figures) resolve(figures)
      else reject(new Error(`${checkout}: the run ended with code ${code}`))
    })
  }).finally(() => rmSync(folder, { recursive: true, force: true }))
}

/** The lower quartile, the median and the upper quartile. */
function middle(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return [0.25, 0.5, 0.75].map(share => sorted[Math.round((sorted.length - 1) * share)])
}
