/**
 * Delivers a few hundred records to a gateway that is slow, limited, and broken now and then.
 *
 *   npm start                            a record for each package under node_modules
 *   npm start -- --input orders.jsonl    a record for each line of a JSON Lines file
 *   npm start -- --file orders.db        the backlog is in this file; build/deliveries.db unless given
 *
 * Interrupt it as you like, with Ctrl-C or kill -9, and start it again: it goes on where it was. When all is delivered,
 * the next start begins anew.
 *
 * The gateway (gateway.ts) runs in a process of its own and counts for itself, over all runs. It prints the table in the
 * end, and this program exits with 0 only if the gateway saw each record once and was never asked too fast.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DispatchError, DispatchQueue, type Job, QueueStoppedError, type Task, Throttled, Unrecoverable } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'
import type { Word } from './gateway.ts'
import { type Delivery, InputError, linesOf, packagesUnder } from './records.ts'
import { keys, listen, show } from './terminal.ts'

const { deliveries, file } = await readInput()
const gateway = await openGateway(`${file}-gateway.jsonl`)

// ---- The queue: all that this example says about width, rate, retries and crashes.

// The gateway takes 80 requests in any 2000 ms. We start at most 80 in any 2400 ms: the queue is exact about when a
// request starts, but not all take equally long to arrive. On loopback we saw them differ by 10 to 40 ms, and by 270 ms on
// a machine with eight busy processes to each core. What is left of the 400 ms is for machines that we did not see.
const rate = { limit: 80, perMs: 2_400 }

const queue = new DispatchQueue(deliver, {
  name: 'deliveries',
  backlog: new SqliteBacklog(file),
  width: 4,
  rate: { limit: rate.limit, per: rate.perMs }, // Counted in the file, so that a restart is no burst.
  retry: { attempts: 8, delay: '100ms' },
  timeout: '10s',
  afterCrash: askGateway,
  keep: { finished: '7d' }, // So that a run that goes on knows what there is no need to send again.
  paused: true, // Until all is in the file: so a run that finds nothing waiting there knows that all was done.
})

async function deliver({ id, record }: Delivery, task: Task): Promise<void> {
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': task.token }, // The same at each attempt.
    body: JSON.stringify({ id, record }),
    signal: task.signal, // Aborts at the timeout, or when the queue is stopped at once.
  })
  await response.arrayBuffer() // Read to its end, so that the connection can be used again.
  if (response.ok) return
  if (response.status === 429) throw new Throttled(response.headers.get('retry-after')) // All of us wait.
  if (response.status >= 500) throw new Error(`the gateway answered ${response.status}`) // This one tries again.
  throw new Unrecoverable(`the gateway answered ${response.status}`) // It would answer the same again.
}

/** What was underway when its process died may have been delivered or not. Who else could know? */
async function askGateway({ id }: Job<Delivery>): Promise<'again' | 'finished'> {
  const { ok } = await fetch(new URL(encodeURIComponent(id), gateway.url))
  return ok ? 'finished' : 'again'
}

// ---- What the queue tells: counts for the live line, and the moment to widen.

let retried = 0
let recovered = 0
let starts: number[] = [] // Of the last window, oldest first.

queue.on('underway', () => starts.push(performance.now()))
queue.on('retry', () => retried++)
queue.on('recovered', () => recovered++)
queue.on('finished', () => {
  // Half way we want to be faster. Until now the width held us back, from now on the rate does.
  if (queue.counts.finished * 2 >= deliveries.length && !queue.stopped) queue.width = 16
})
queue.on('failed', job => console.error(`\n${job.id} failed: ${job.error}`))
queue.on('error', error => console.error(`\n${error}`))

function line(): string {
  const now = performance.now()
  starts = starts.filter(at => now - at < rate.perMs)
  const { pending, delayed, underway, finished } = queue.counts
  return [
    ...(queue.paused ? ['paused'] : []),
    `pending ${pending + delayed}`,
    `underway ${underway} of ${queue.width}`,
    `rate ${starts.length} of ${rate.limit}`,
    `sent ${finished}`,
    `retried ${retried}`,
    ...(recovered > 0 ? [`recovered ${recovered}`] : []),
    ...(queue.paused || queue.stopped || starts.length === 0 ? [] : [`${secondsLeft(now)} s left`]),
  ].join(' · ')
}

/** How many are not delivered yet, of all that are in the file. */
function waiting(): number {
  const { pending, delayed, underway } = queue.counts
  return pending + delayed + underway
}

/** At the pace of the last window, but no faster than the rate allows. */
function secondsLeft(now: number): number {
  const paceMs = (now - (starts[0] ?? now)) / starts.length
  return Math.ceil((waiting() * Math.max(paceMs, rate.perMs / rate.limit)) / 1_000)
}

// ---- What the user can do.

const stopListening = listen({
  togglePause: () => {
    if (queue.paused) queue.resume()
    else void queue.pause()
  },
  // Gently. Whoever asks twice means soon: a request takes a quarter of a second, and one that is cut short would be sent again.
  stop: () => void queue.stop(queue.stopped ? { grace: '1s' } : {}),
})

// ---- The run.

let stopShowing = (): void => {}
const there = relative(process.cwd(), file)
try {
  const goesOn = await findEarlierRun()
  console.error(
    `Delivering ${deliveries.length} records, kept in ${there}, to ${gateway.url}: 80 requests in 2 s at most, 503 now and then.`,
  )
  if (goesOn) console.error(`An earlier run was interrupted: of its records ${waiting()} are left. It goes on.`)
  console.error(`${keys}\n`)
  stopShowing = show(line)
  await gateway.begin({ begin: deliveries.map(({ id }) => id), anew: !goesOn })
  // What was put before has its id in the file and is not put again.
  for (let i = 0; i < deliveries.length; i += 50_000) {
    await queue.putMany(deliveries.slice(i, i + 50_000), ({ id }) => ({ id }))
  }
  queue.resume()
  await queue.idle()
} catch (error) {
  // The user may have said so; the table tells what is missing.
  if (!(error instanceof QueueStoppedError)) await giveUp(error)
}
await queue.stop()
stopShowing()
stopListening()
if (waiting() > 0) console.error(`Stopped: ${waiting()} records wait in ${there}. Start again to go on.`)
process.exitCode = await gateway.close()

/** Whether an earlier run left something to do. If not, all that is known of it is forgotten. */
async function findEarlierRun(): Promise<boolean> {
  await queue.ready()
  for (const job of await queue.jobs({ state: 'failed', limit: 10_000 })) await queue.retry(job)
  if (waiting() > 0) return true
  for (;;) {
    const done = await queue.jobs({ state: 'finished', limit: 10_000 })
    if (done.length === 0) return false
    await Promise.all(done.map(job => queue.remove(job)))
  }
}

// ---- The helpers.

/** What there is to deliver and the backlog's file, or a word on why not: exit code 2 is for what the user can mend. */
async function readInput(): Promise<{ deliveries: readonly Delivery[]; file: string }> {
  try {
    const { values } = parseArgs({ options: { input: { type: 'string' }, file: { type: 'string' } } })
    const { input, file = fileURLToPath(new URL('../../deliveries.db', import.meta.url)) } = values
    await access(dirname(file)).catch(() => {
      throw new InputError(`cannot keep the backlog in ${file}: there is no folder ${dirname(file)}`)
    })
    const deliveries = input === undefined ? await packagesUnder('node_modules') : await linesOf(input)
    return { deliveries, file: resolve(file) }
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (!(error instanceof InputError || code.startsWith('ERR_PARSE_ARGS'))) throw error
    console.error(message)
    process.exit(2)
  }
}

/** The file cannot be used, say, or holds other records under these ids. */
async function giveUp(error: unknown): Promise<never> {
  await queue.stop()
  if (!(error instanceof DispatchError)) throw error
  stopShowing()
  console.error(error.message)
  process.exit(2)
}

interface Gateway {
  readonly url: string
  /** Tells what is to be delivered, and whether the ledger of earlier runs counts. */
  begin(word: Word): Promise<void>
  /** Lets the gateway print its table, and gives its exit code. */
  close(): Promise<number>
}

/** Starts the gateway in a process of its own. */
async function openGateway(ledger: string): Promise<Gateway> {
  const child = fork(new URL('gateway.js', import.meta.url), [ledger])
  const ended = once(child, 'exit')
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  await fetch(url) // A greeting: the first fetch of a process is slow, and shall not be one that counts.
  return {
    url,
    async begin(word) {
      child.send(word)
      await once(child, 'message')
    },
    async close() {
      if (child.connected) child.send('end' satisfies Word)
      const [code] = (await ended) as [number | null]
      return code ?? 1
    },
  }
}
