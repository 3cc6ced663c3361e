/**
 * `npm run profile -- [memory] [sqlite] [keys]`: where the time of a job goes, for docs/design/performance.md.
 *
 * In the loop: the functions that the profiler met most, as shares of the time in which the loop was not idle. In the
 * thread of a file: the statements of the store that take the most CPU time, in microseconds a job, and its commits.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { compiled, rdq, sqlite } from './rdq.mjs'

const shown = 14
const folder = mkdtempSync(join(tmpdir(), 'rdq-profile-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** The functions in which the most samples were taken while `work` ran, idle time left out. */
async function ofLoop(title, work) {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 200 })
  await session.post('Profiler.start')
  await work()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  const byId = new Map(profile.nodes.map(node => [node.id, node.callFrame]))
  const spent = new Map()
  let total = 0
  for (const [i, id] of profile.samples.entries()) {
    const { functionName, url } = byId.get(id)
    if (functionName === '(idle)') continue
    const name = `${functionName || '(anonymous)'} ${url.split('/').pop()}`
    spent.set(name, (spent.get(name) ?? 0) + profile.timeDeltas[i])
    total += profile.timeDeltas[i]
  }
  console.log(`\n${title}: in the loop`)
  for (const [name, us] of largest(spent)) console.log(`  ${((us / total) * 100).toFixed(1).padStart(5)} %  ${name}`)
}

function largest(spent) {
  return [...spent].sort(([, a], [, b]) => b - a).slice(0, shown)
}

async function memory() {
  const { DispatchQueue } = await rdq()
  const queue = new DispatchQueue(async n => n, { width: 10 })
  const burst = () => Promise.all(Array.from({ length: 100_000 }, (_, n) => queue.run(n)))
  await burst()
  await ofLoop('queue.run, width 10', async () => {
    for (let i = 0; i < 10; i++) await burst()
  })
}

async function file() {
  const { DispatchQueue } = await rdq()
  const { SqliteBacklog } = await sqlite()
  const backlog = new SqliteBacklog(join(folder, 'jobs.db'))
  const queue = new DispatchQueue(() => {}, { name: 'bench', width: 100, backlog })
  const burst = async () => {
    await Promise.all(Array.from({ length: 50_000 }, (_, n) => queue.put({ to: '+31612345678', n })))
    await queue.idle()
  }
  await burst()
  await ofLoop('put to settled on a file, width 100', async () => {
    for (let i = 0; i < 4; i++) await burst()
  })
  await queue.stop()
}

/** The store by itself, as the thread has it: 500 jobs a put, 100 an exchange, each in a transaction of its own. */
const store = () => ofStore(0)
/** The same with jobs of so many keys, which have a width. */
const keysInStore = count => () => ofStore(count)

async function ofStore(keys) {
  const Database = createRequire(import.meta.url)('better-sqlite3')
  const { Store } = await compiled('persistence/sqlite/store/store.js')
  const { openDatabase } = await compiled('persistence/sqlite/file/open.js')
  const path = join(folder, `store-${keys}.db`)
  new Database(path).close()
  const db = openDatabase(Database, path, 'power')
  const spent = new Map()
  const statement = Object.getPrototypeOf(db.prepare('select 1'))
  for (const method of ['run', 'get', 'all']) {
    const real = statement[method]
    statement[method] = function (...values) {
      const before = process.cpuUsage()
      try {
        return real.apply(this, values)
      } finally {
        const { user, system } = process.cpuUsage(before)
        const sql = this.source.replaceAll(/\s+/g, ' ').trim().slice(0, 84)
        spent.set(sql, (spent.get(sql) ?? 0) + user + system)
      }
    }
  }
  const jobs = 100_000
  const worker = workOf(Store.open(db, { worker: 'w', boot: 'b' }), jobs, keys)
  for (const part of ['put', 'run']) {
    spent.clear()
    const [from, cpu] = [performance.now(), process.cpuUsage()]
    worker[part]()
    const us = value => `${((value * 1_000) / jobs).toFixed(2)} us`
    const { user, system } = process.cpuUsage(cpu)
    const times = `${us(performance.now() - from)} a job, ${us((user + system) / 1_000)} of them CPU`
    console.log(`\nThe store, ${jobs} jobs of ${keys} keys, ${part}: ${times}. The longest statements:`)
    for (const [sql, us] of largest(spent)) console.log(`  ${(us / jobs).toFixed(2).padStart(6)} us  ${sql}`)
  }
  db.close()
}

const { makeId } = await compiled('lib/job-id.js')

/** To put so many jobs, and to run them. */
function workOf(store, jobs, keyCount) {
  const keep = { finishedMs: 0, failedMs: 1e9, cancelledMs: 1e9, idsMs: 1e9, results: false }
  const keys = keyCount > 0 ? { width: 100, rate: [], weight: 1, order: 'fair', paused: false } : undefined
  const names = { rate: undefined, size: Infinity, keep, afterCrash: 'again', crashLimit: 3, keys }
  const times = { now: 1, wall: 1e12 }
  const [attached] = store.transact([{ kind: 'attach', name: 'q', works: true, ...names, ...times }])
  const { queue } = attached.ok
  const keyOf = i => `tenant-${i % keyCount}`
  function put() {
    let puts = 0
    for (let put = 0; put < jobs; put += 500) {
      const ids = Array.from({ length: 500 }, (_, i) => makeId(1e12, put + i))
      const columns = { payloads: ids.map(() => '{"to":"+31612345678","n":1}'), queuedAt: ids.map(() => 1e12) }
      const numbers = { number: ++puts, acknowledged: puts - 1 }
      const extras = keyCount > 0 ? ids.map((_, i) => [i, { key: keyOf(put + i) }]) : []
      const request = { kind: 'put', queue, ...numbers, size: Infinity, ids, priorities: undefined, extras }
      okOf(store.transact([{ ...request, ...columns, ...times }]))
    }
  }
  function run() {
    let settled = { seqs: [], fences: [], kinds: undefined, startedAt: [], stoppedAt: [], extras: [] }
    let number = 0
    for (let done = 0; done < jobs; ) {
      const numbers = { number: ++number, acknowledged: number - 1 }
      const reports = { confirmed: [], launchReports: { seqs: [], fences: [], first: [] }, spent: [], checkpoints: [] }
      const request = { kind: 'exchange', queue, ...numbers, works: true, room: 100, mayLaunch: true, endedBodies: [] }
      const exchange = okOf(store.transact([{ ...request, settled, ...reports, ...times }]))
      done += settled.seqs.length
      const { seqs, fences } = columnsOf(exchange.claimed)
      const at = seqs.map(() => 1e12)
      settled = { seqs, fences, kinds: undefined, startedAt: at, stoppedAt: at, extras: [] }
    }
  }
  return { put, run }
}

function okOf([{ ok, error }]) {
  if (error) throw error
  return ok
}

function columnsOf({ plain, seqs, fences }) {
  if (!plain) return { seqs, fences }
  const each = value => Array.from({ length: plain.count }, value)
  return { seqs: each((_, i) => plain.first + i), fences: each(() => 1) }
}

const parts = { memory: [memory], sqlite: [file, store], keys: [store, keysInStore(1), keysInStore(1_000)] }
const requested = process.argv.slice(2)
const unknown = requested.filter(name => !(name in parts))
if (unknown.length > 0) {
  console.error(`nothing to profile of the name ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`)
  process.exit(2)
}
for (const name of requested.length > 0 ? requested : Object.keys(parts)) for (const part of parts[name]) await part()
