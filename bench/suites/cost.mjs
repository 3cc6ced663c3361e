/** What it costs to have a queue: its size, its import, the first job of a process, and doing nothing. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cpuMsSince, percentile } from '../measure.mjs'
import { rdq } from '../rdq.mjs'
import { ignore, queueOnFile } from '../sqlite/file.mjs'

const execute = promisify(execFile)
const bench = dirname(import.meta.dirname)
const root = dirname(bench)

// Programs: a process of its own, which says how old it is when it has done what is asked.

const from = file => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href)
const rdqFrom = from('lib/index.js')
const sqliteFrom = from('persistence/sqlite/index.js')
const report = 'process.stdout.write(JSON.stringify([performance.now(), process.cpuUsage()]), () => process.exit())'

/** @param {string} code a module; `PATH` in it is a file that is there in no run before the first */
function program(code, { files = () => 'none' } = {}) {
  return async ({ times }) => {
    const ages = []
    const cpuMs = []
    for (let i = -1; i < times; i++) {
      const path = JSON.stringify(join(tmpdir(), files(i)))
      const source = code.replaceAll('PATH', path)
      const { stdout } = await execute(process.execPath, ['--input-type=module', '-e', source], { cwd: bench })
      if (i < 0) continue // It has read the files into the system's cache.
      const [age, { user, system }] = JSON.parse(stdout)
      ages.push(age)
      cpuMs.push((user + system) / 1_000)
    }
    return { ms: percentile(ages, 0.5), cpu: percentile(cpuMs, 0.5) }
  }
}

const importing = specifier =>
  program(`await import(${specifier.startsWith('"') ? specifier : `'${specifier}'`}); ${report}`)

const rdqRuns = options => `
  import { DispatchQueue } from ${rdqFrom}
  import { SqliteBacklog } from ${sqliteFrom}
  const queue = new DispatchQueue(async n => n, ${options})
  await queue.run(1)
  ${report}`
const onFile = "{ name: 'bench', backlog: new SqliteBacklog(PATH) }"

const firstJobs = {
  'rdq in memory': program(`
    import { DispatchQueue } from ${rdqFrom}
    const queue = new DispatchQueue(async n => n)
    await queue.run(1)
    ${report}`),
  'rdq on a file that is there': program(rdqRuns(onFile), { files: () => 'same.db' }),
  'rdq on a new file': program(rdqRuns(onFile), { files: i => `new${i}.db` }),
  'fastq.promise': program(`
    import fastq from 'fastq'
    await fastq.promise(async n => n, 1).push(1)
    ${report}`),
  'p-queue': program(`
    import PQueue from 'p-queue'
    await new PQueue({ concurrency: 1 }).add(async () => 1)
    ${report}`),
  'plainjob on a new file': program(
    `
    import { better, defineQueue, defineWorker } from 'plainjob'
    import Database from 'better-sqlite3'
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const queue = defineQueue({ connection: better(new Database(PATH)), logger })
    queue.add('bench', 1)
    const worker = defineWorker('bench', async () => {}, { queue, logger, onCompleted: () => ${report} })
    await worker.start()`,
    { files: i => `new${i}.db` },
  ),
  nothing: program(report),
}

const age = [
  { name: 'ms', title: 'ms', unit: 'ms', better: 'less' },
  { name: 'cpu', title: 'CPU, ms', unit: 'ms', better: 'less' },
]

// Idle.

function idle(prepare) {
  return async ({ forMs, settleMs }) => {
    const close = await prepare()
    await sleep(settleMs)
    globalThis.gc()
    const rates = []
    for (let second = 0; second < forMs / 1_000; second++) {
      const from = performance.now()
      const before = process.cpuUsage()
      await sleep(1_000)
      rates.push((cpuMsSince(before) * 1_000) / (performance.now() - from))
    }
    await close()
    // Without the worst second.
    const others = rates.sort((a, b) => a - b).slice(0, -1)
    return { cpu: others.reduce((sum, rate) => sum + rate, 0) / others.length }
  }
}

// Size: what an application installs, as the packer of the registry would have it.

/** A package and all that it depends on. Optional peers are not counted: better-sqlite3 is one of rdq's, and plainjob's. */
function size(name) {
  return async () => {
    const folders = name === 'rdq' ? withDependencies(root) : withDependencies(join(bench, 'node_modules', name))
    const sizes = { packed: 0, unpacked: 0, files: 0, packages: folders.length }
    for (const folder of folders) {
      const { size, unpackedSize, entryCount } = await packed(folder)
      sizes.packed += size / 1_000
      sizes.unpacked += unpackedSize / 1_000
      sizes.files += entryCount
    }
    return sizes
  }
}

function withDependencies(folder, found = []) {
  if (found.includes(folder)) return found
  found.push(folder)
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    const home = [folder, bench, root].map(place => join(place, 'node_modules', name)).find(place => existsSync(place))
    if (!home) throw new Error(`${name} is not installed`)
    withDependencies(home, found)
  }
  return found
}

/** Without its scripts: what is built is built, and would else be built anew. */
async function packed(folder) {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const { npm_execpath: npm } = process.env
  const { stdout } = npm?.endsWith('npm-cli.js')
    ? await execute(process.execPath, [npm, ...args], { cwd: folder, maxBuffer: 2 ** 26 })
    : await execute('npm', args, { cwd: folder, maxBuffer: 2 ** 26 })
  const answer = JSON.parse(stdout)
  return Array.isArray(answer) ? answer[0] : Object.values(answer)[0]
}

const sized = [
  'rdq',
  'fastq',
  '@henrygd/queue',
  'async',
  'p-limit',
  'p-queue',
  'p-throttle',
  'limiter',
  'bottleneck',
  'plainjob',
]

export const parts = [
  {
    name: 'import',
    title: ({ times }) => `the age of a process once it has imported the package, median of ${times}`,
    params: quick => ({ times: quick ? 3 : 7 }),
    contenders: {
      rdq: importing(rdqFrom),
      'rdq/sqlite': importing(sqliteFrom),
      fastq: importing('fastq'),
      '@henrygd/queue': importing('@henrygd/queue'),
      async: importing('async'),
      'p-limit': importing('p-limit'),
      'p-queue': importing('p-queue'),
      bottleneck: importing('bottleneck'),
      nothing: program(report),
    },
    metrics: age,
    notes: ['"Nothing" is Node itself. rdq/sqlite imports better-sqlite3 only when a file is opened.'],
  },
  {
    name: 'first-job',
    title: ({ times }) => `the age of a process whose first job has just ended, median of ${times}`,
    params: quick => ({ times: quick ? 3 : 7 }),
    contenders: firstJobs,
    metrics: age,
  },
  {
    name: 'idle-cpu',
    title: ({ forMs, settleMs }) =>
      `what doing nothing costs, the mean of ${forMs / 1_000} seconds but the worst, when nothing has happened for ${settleMs / 1_000} s`,
    params: quick => ({ forMs: quick ? 3_000 : 5_000, settleMs: 3_000 }),
    contenders: {
      'rdq in memory': idle(async () => {
        const { DispatchQueue } = await rdq()
        const queue = new DispatchQueue(ignore, { rate: { limit: 10, per: '1s' } })
        await queue.run(null)
        return () => queue.stop()
      }),
      'rdq on a file': idle(async () => {
        const queue = await queueOnFile(ignore)
        await queue.put(null)
        await queue.idle()
        return () => queue.stop()
      }),
      nothing: idle(async () => ignore),
    },
    metrics: [{ name: 'cpu', title: 'CPU, ms a second', unit: 'ms/s', better: 'less' }],
    bounds: ['rdq in memory', 'rdq on a file'].map(contender => ({
      // A thousandth of a core is what "no measurable CPU" comes to beside a process that does nothing.
      ...{ kind: 'bound', contender, metric: 'cpu', atMost: 1 },
    })),
    notes: [
      'The worst second does not count: some seconds after a process has fallen idle, V8 collects its garbage once.',
    ],
  },
  {
    name: 'size',
    title: 'what an application installs: the package and all that it depends on',
    params: () => ({}),
    contenders: Object.fromEntries(sized.map(name => [name, size(name)])),
    rounds: 1,
    plot: 'unpacked',
    metrics: [
      { name: 'packed', title: 'packed, kB', unit: 'kB', better: 'less' },
      { name: 'unpacked', title: 'unpacked, kB', unit: 'kB', better: 'less' },
      { name: 'files', title: 'files', unit: 'files', better: 'less' },
      { name: 'packages', title: 'packages', unit: 'packages', better: 'less' },
    ],
    notes: [
      'As `npm pack --dry-run` counts. Optional peers are not in it: better-sqlite3 comes on top for rdq/sqlite, as it does for plainjob.',
    ],
  },
]
