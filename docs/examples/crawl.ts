/**
 * Crawls the documentation that installed packages ship, on several hosts: polite to each, and fast over all.
 *
 *   npm run crawl                        the HTML and Markdown under node_modules
 *   npm run crawl -- --input site        the HTML and Markdown under another folder
 *   npm run crawl -- --file crawl.db     keeps the backlog in this file; build/crawl.db unless given
 *
 * Each host (crawl/host.ts) is a process of its own with its own limit, which it states in its robots.txt and enforces
 * with 429s. Some hosts turn slow in the middle. Interrupt the crawl with Ctrl-C or kill -9 and start it again: it goes
 * on where it was, and no page that has arrived is fetched again.
 *
 * Each host counts for itself and prints its row of the table. The crawl exits with 0 only if every page of every host
 * was fetched and no host has ever answered 429.
 */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DispatchQueue, QueueStoppedError, retryAfter, type Task, Throttled } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'
import { type Host, openHosts, tableHead } from './crawl/hosts.ts'
import { linksIn } from './crawl/pages.ts'
import { keys, listen, show } from './terminal.ts'

const { input, file } = await readArguments()
const hosts = new Map<string, Host>()

// ---- The queue. A job is a URL, and its key is the host of that URL.

const queue = new DispatchQueue(fetchPage, {
  name: 'crawl',
  backlog: new SqliteBacklog(file),
  width: 20, // Over all hosts.
  keys: { width: 4, rate: { limit: 1, per: '1s' } }, // For each host, until its robots.txt says otherwise.
  retry: { attempts: 5, delay: '200ms' },
  timeout: '10s',
  keep: { finished: '7d' }, // As long as a job is kept, its id is known, so its URL is not fetched again.
  paused: true, // Until the hosts are there.
})

async function fetchPage(url: string, task: Task): Promise<void> {
  const { host } = new URL(url)
  const response = await fetch(addressOf(url), { signal: task.signal }) // Aborts at the timeout.
  const text = await response.text()
  // Only this host is left alone. The others go on.
  if (response.status === 429) throw new Throttled(retryAfter(response)?.afterMs, { key: host })
  if (response.status === 404) return // A link that leads nowhere.
  if (!response.ok) throw new Error(`${host} answered ${response.status}`) // Is tried again.
  await putPages(linksIn(text, url))
}

/** Puts each URL of a known host once: a job whose id is known is not put again. */
async function putPages(urls: readonly string[]): Promise<void> {
  const known = urls.filter(url => hosts.has(new URL(url).host))
  await queue.putMany(known, url => ({ id: idOf(url), key: new URL(url).host }))
}

/** Obeys what a host states in its robots.txt, such as `Request-rate: 40/2s`. */
async function obeyRobots({ name, origin }: Host): Promise<void> {
  const robots = await (await fetch(new URL('/robots.txt', origin))).text()
  const [, limit, seconds] = /^Request-rate: (\d+)\/(\d+)s/im.exec(robots) ?? []
  if (limit === undefined) return
  // The host counts arrivals, and not all requests take equally long to arrive. On loopback we saw them differ by 10 to
  // 40 ms, and by 270 ms on a machine with eight busy processes to each core.
  queue.key(name).rate = { limit: Number(limit), per: `${Number(seconds)}s`, jitter: '400ms' }
}

// ---- The run.

const stopListening = listen({
  togglePause: () => {
    if (queue.paused) queue.resume()
    else void queue.pause()
  },
  stop: () => void queue.stop(queue.stopped ? { grace: '1s' } : {}),
})
queue.on('failed', job => console.error(`\n${job.payload} failed: ${job.error}`))
queue.on('error', error => console.error(`\n${error}`))

const there = relative(process.cwd(), file)
await queue.ready()
const goesOn = waiting() > 0
if (!goesOn) await forgetEarlierRun()
for (const host of await openHosts({ input, ledgers: file, anew: !goesOn })) hosts.set(host.name, host)
await Promise.all([...hosts.values()].map(obeyRobots))
console.error(`Crawling ${hosts.size} hosts. What is found is kept in ${there}.`)
if (goesOn) console.error(`An earlier crawl was interrupted: of what it had found, ${waiting()} pages are left.`)
console.error(`${keys}\n`)
const stopShowing = show(line)
try {
  await putPages([...hosts.keys()].map(host => `http://${host}/`))
  queue.resume()
  await queue.idle()
} catch (error) {
  if (!(error instanceof QueueStoppedError)) throw error // The user has stopped it. The table says what is missing.
}
await queue.stop()
stopShowing()
stopListening()
if (waiting() > 0) console.error(`Stopped: ${waiting()} pages wait in ${there}. Start again to go on.`)

console.log(tableHead)
for (const host of hosts.values()) if (!(await host.close())) process.exitCode = 1

// ---- The helpers.

function waiting(): number {
  const { pending, delayed, underway } = queue.counts
  return pending + delayed + underway
}

function line(): string {
  const { pending, delayed, finished } = queue.counts
  const underway = queue.underway().map(job => job.key)
  const perHost = [...hosts.keys()].map(host => `${host} ${underway.filter(key => key === host).length}`)
  return [
    ...(queue.paused ? ['paused'] : []),
    `fetched ${finished}`,
    `pending ${pending + delayed}`,
    `underway ${underway.length} of ${queue.width} (${perHost.join(', ')})`,
  ].join(' · ')
}

/** The hosts are processes on loopback and have a new port in each run, so only we know where they are. */
function addressOf(url: string): URL {
  const { host, pathname } = new URL(url)
  return new URL(pathname, hosts.get(host)?.origin)
}

/** At most 200 characters, as for any id. */
function idOf(url: string): string {
  return url.length <= 200 ? url : createHash('sha256').update(url).digest('hex')
}

/** A crawl that was completed is not continued: its pages have to be fetched again. */
async function forgetEarlierRun(): Promise<void> {
  for (const state of ['finished', 'failed', 'cancelled'] as const) {
    for (;;) {
      const jobs = await queue.jobs({ state, limit: 10_000 })
      if (jobs.length === 0) break
      await Promise.all(jobs.map(job => queue.remove(job)))
    }
  }
}

/** The folder of the pages and the file of the backlog. Exit code 2 is for what the user can correct. */
async function readArguments(): Promise<{ input: string; file: string }> {
  try {
    const { values } = parseArgs({ options: { input: { type: 'string' }, file: { type: 'string' } } })
    const { input = 'node_modules', file = fileURLToPath(new URL('../../crawl.db', import.meta.url)) } = values
    for (const folder of [input, dirname(file)]) {
      if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw new Error(`there is no folder ${folder}`)
    }
    return { input, file: resolve(file) }
  } catch (error) {
    console.error((error as Error).message)
    process.exit(2)
  }
}
