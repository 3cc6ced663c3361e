/**
 * The SHA-256 and the compressed sizes of every file under a folder, made in processes.
 *
 *   npm run digest                          the files under node_modules
 *   npm run digest -- --input site          the files under another folder
 *   npm run digest -- --workers 4           in so many processes; as many as there are cores
 *   npm run digest -- --file digest.db      keeps the backlog in this file; build/digest.db unless given
 *   npm run digest -- --sample 500          in the end times 1 process and 2 on so many of the files; 400, and 0 does not
 *
 * Interrupt it with Ctrl-C or kill -9 and start it again: it goes on where it was. When all is done, the digests are
 * written beside the backlog, a line for each file (digest.tsv), and the next start begins anew.
 *
 * The handler is in digest-file.ts. It exits with 0 only if every file was digested.
 */
import { createHash } from 'node:crypto'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DispatchQueue, type HandlerUrl, type Job, QueueStoppedError } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'
import type { Digest } from './digest-file.ts'
import { keys, listen, show } from './terminal.ts'

const { input, file, workers, sample } = await readArguments()

// ---- The queue. A job is the path of a file.

const handler = new URL('./digest-file.js', import.meta.url) as HandlerUrl<typeof import('./digest-file.ts')>

const queue = new DispatchQueue<string, Digest>(handler, {
  name: 'digest',
  backlog: new SqliteBacklog(file),
  isolate: { kind: 'process', count: workers },
  width: 4 * workers, // So that the next file is there when a process is done with one.
  keep: { finished: '7d', results: true }, // The digests, and what need not be done again.
  paused: true, // Until all is in the file.
})

// ---- Counts for the live line.

/** When the last files were done. */
let ends: number[] = []
/** How many files there are in all, and how many bytes were read in this run. */
let total = 0
let bytes = 0
queue.on('finished', async job => {
  ends.push(performance.now())
  bytes += (await job.result).bytes
})
queue.on('failed', job => console.error(`\n${job.payload}: ${(job.error as Error).message}`))
queue.on('error', error => console.error(`\n${error}`))

const windowMs = 5_000
function line(): string {
  const now = performance.now()
  ends = ends.filter(at => now - at < windowMs)
  const pace = (ends.length * 1_000) / Math.max(now - (ends[0] ?? now), 1)
  const left = waiting()
  return [
    ...(queue.paused ? ['paused'] : []),
    `digested ${total - left} of ${total}`,
    `in ${queue.isolates().length} processes`,
    `${Math.round(pace)} files/s`,
    `${megabytes(bytes)} read`,
    ...(queue.paused || queue.stopped || ends.length < 2 ? [] : [`${Math.ceil(left / pace)} s left`]),
  ].join(' · ')
}

function waiting(): number {
  const { pending, delayed, underway } = queue.counts
  return pending + delayed + underway
}

// ---- The run.

/** Times some files, at the end. */
let timed: DispatchQueue<string, Digest> | undefined
let stopped = false

const stopListening = listen({
  togglePause: () => {
    if (queue.paused) queue.resume()
    else void queue.pause()
  },
  // Gently. Who presses twice gets no patience: a process that is in the middle of a file is ended.
  stop: () => {
    for (const one of [queue, timed]) void one?.stop(stopped ? { grace: '200ms' } : {})
    stopped = true
  },
})

const there = relative(process.cwd(), file)
await queue.ready()
const goesOn = waiting() > 0
if (!goesOn) await forgetEarlierRun()
let stopShowing = (): void => {}
try {
  const paths = await filesUnder(input)
  total = paths.length
  console.error(`Digesting ${total} files under ${input} in ${workers} processes. What is done is kept in ${there}.`)
  if (goesOn) console.error(`An earlier run was interrupted: of its files ${waiting()} are left. It goes on.`)
  console.error(`${keys}\n`)
  // What was put before has its id in the file and is not put again.
  for (let i = 0; i < total; i += 50_000) {
    await queue.putMany(paths.slice(i, i + 50_000), path => ({ id: idOf(path) }))
  }
  const { pending, delayed, underway, finished, failed } = queue.counts
  total = pending + delayed + underway + finished + failed
  stopShowing = show(line)
  queue.resume()
  await queue.idle()
} catch (error) {
  if (!(error instanceof QueueStoppedError)) throw error // The user has stopped it.
}
stopShowing()
if (waiting() > 0) {
  await queue.stop()
  stopListening()
  console.error(`Stopped: ${waiting()} files wait in ${there}. Start again to go on.`)
  process.exit(1)
}
const rows = await finishedFiles()
const failures = queue.counts.failed
await queue.stop()
await writeFile(`${file.replace(/\.db$/, '')}.tsv`, rows.map(row => `${row.join('\t')}\n`).join(''))
report()
if (sample > 0) await compareWorkers()
stopListening()
process.exitCode = failures > 0 ? 1 : 0

// ---- The report.

type Row = readonly [sha256: string, bytes: number, gzip: number, brotli: number, path: string]

async function finishedFiles(): Promise<Row[]> {
  const found: Row[] = []
  for (let after: Job<string, Digest> | undefined; ; ) {
    const jobs: Job<string, Digest>[] = await queue.jobs({ state: 'finished', limit: 10_000, ...(after && { after }) })
    for (const job of jobs) {
      const { sha256, bytes, gzip, brotli } = await job.result
      found.push([sha256, bytes, gzip, brotli, relative(input, job.payload)])
    }
    after = jobs.at(-1)
    if (!after) return found.sort((a, b) => (a[4] < b[4] ? -1 : 1))
  }
}

function report(): void {
  const sum = (column: 1 | 2 | 3): number => rows.reduce((all, row) => all + row[column], 0)
  const share = (size: number): string => `${((100 * size) / Math.max(sum(1), 1)).toFixed(1)} %`
  console.log(`
  files      ${rows.length}${failures > 0 ? `, and ${failures} failed` : ''}
  different  ${new Set(rows.map(([sha256]) => sha256)).size}
  size       ${megabytes(sum(1))}
  gzip       ${megabytes(sum(2))}, ${share(sum(2))}
  brotli     ${megabytes(sum(3))}, ${share(sum(3))}
`)
}

/** Files of all sizes, small enough that none of them is most of the time, timed with 1 process and with 2. */
async function compareWorkers(): Promise<void> {
  const suited = rows.filter(([, bytes]) => bytes > 0 && bytes < 1_000_000)
  const step = Math.max(suited.length / sample, 1)
  const some: string[] = []
  for (let i = 0; i < suited.length; i += step) some.push(join(input, (suited[Math.floor(i)] as Row)[4]))
  const seconds: Record<number, number> = { 1: 0, 2: 0 }
  try {
    // In this order a machine that becomes busier in the middle favours neither.
    for (const count of [1, 2, 2, 1]) seconds[count] = (seconds[count] ?? 0) + (await secondsFor(some, count))
  } catch (error) {
    if (error instanceof QueueStoppedError) return
    throw error
  }
  const [one, two] = [1, 2].map(count => (2 * some.length) / (seconds[count] as number)) as [number, number]
  console.log(
    `  ${some.length} of the files: ${Math.round(one)} files/s in 1 process, ${Math.round(two)} files/s in 2: ${(two / one).toFixed(2)}x\n`,
  )
}

async function secondsFor(paths: readonly string[], count: number): Promise<number> {
  timed = new DispatchQueue<string, Digest>(handler, { isolate: { kind: 'process', count }, width: 4 * count })
  try {
    await timed.putMany(paths.slice(0, 40)) // Both processes are there, and warm.
    await timed.idle()
    const from = performance.now()
    await timed.putMany(paths)
    await timed.idle()
    return (performance.now() - from) / 1_000
  } finally {
    await timed.stop()
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

// ---- The helpers.

/** Files, not links to them. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

/** At most 200 characters, as for any id. */
function idOf(path: string): string {
  return path.length <= 200 ? path : createHash('sha256').update(path).digest('hex')
}

/** A run that was completed is not continued: files may have changed. */
async function forgetEarlierRun(): Promise<void> {
  for (const state of ['finished', 'failed', 'cancelled'] as const) {
    for (;;) {
      const jobs = await queue.jobs({ state, limit: 10_000 })
      if (jobs.length === 0) break
      await Promise.all(jobs.map(job => queue.remove(job)))
    }
  }
}

/** Exit code 2 is for what the user can correct. */
async function readArguments(): Promise<{ input: string; file: string; workers: number; sample: number }> {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({ options: { input: text, file: text, workers: text, sample: text } })
    const { input = 'node_modules', file = fileURLToPath(new URL('../../digest.db', import.meta.url)) } = values
    for (const folder of [input, dirname(file)]) {
      if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw new Error(`there is no folder ${folder}`)
    }
    const workers = whole('workers', values.workers ?? String(availableParallelism()), 1)
    const sample = whole('sample', values.sample ?? '400', 0)
    return { input: resolve(input), file: resolve(file), workers, sample }
  } catch (error) {
    console.error((error as Error).message)
    process.exit(2)
  }
}

function whole(option: string, given: string, least: number): number {
  const number = Number(given)
  if (Number.isInteger(number) && number >= least) return number
  throw new Error(`--${option} must be a whole number of ${least} or more, got ${given}`)
}
