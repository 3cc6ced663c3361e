/**
 * Delivers a few hundred records to a gateway that is slow, limited, and broken now and then.
 *
 *   npm start                            a record for each package under node_modules
 *   npm start -- --input orders.jsonl    a record for each line of a JSON Lines file
 *
 * The gateway (gateway.ts) runs in a process of its own and counts for itself. It prints the table in the end, and
 * this program exits with 0 only if the gateway saw each record once and was never asked too fast.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { DispatchQueue, QueueStoppedError, type Task, Throttled, Unrecoverable } from 'rdq'
import { type Delivery, InputError, linesOf, packagesUnder } from './records.ts'
import { keys, listen, show } from './terminal.ts'

const deliveries = await readInput()
const gateway = await openGateway()

// ---- The queue: all that this example says about width, rate and retries, and the one place to give it a backlog.

// The gateway takes 80 requests in any 2000 ms. We start at most 80 in any 2400 ms: the queue is exact about when a
// request starts, but not all take equally long to arrive. On loopback we saw them differ by 10 to 40 ms, and by 270 ms on
// a machine with eight busy processes to each core. What is left of the 400 ms is for machines that we did not see.
const rate = { limit: 80, perMs: 2_400 }

const queue = new DispatchQueue(deliver, {
  width: 4,
  rate: { limit: rate.limit, per: rate.perMs },
  retry: { attempts: 8, delay: '100ms' },
  timeout: '10s',
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
  if (response.status === 429) throw new Throttled(`${response.headers.get('retry-after') ?? 1}s`) // All of us wait.
  if (response.status >= 500) throw new Error(`the gateway answered ${response.status}`) // This one tries again.
  throw new Unrecoverable(`the gateway answered ${response.status}`) // It would answer the same again.
}

// ---- What the queue tells: counts for the live line, and the moment to widen.

let sent = 0
let retried = 0
let failed = 0
let starts: number[] = [] // Of the last window, oldest first.

queue.on('underway', () => starts.push(performance.now()))
queue.on('retry', () => retried++)
queue.on('finished', () => {
  sent++
  // Half way we want to be faster. Until now the width held us back, from now on the rate does.
  if (sent === Math.ceil(deliveries.length / 2)) queue.width = 16
})
queue.on('failed', job => {
  failed++
  console.error(`\n${job.id} failed: ${job.error}`)
})

function line(): string {
  const now = performance.now()
  starts = starts.filter(at => now - at < rate.perMs)
  return [
    ...(queue.paused ? ['paused'] : []),
    `pending ${queue.counts.pending + queue.counts.delayed}`,
    `underway ${queue.counts.underway} of ${queue.width}`,
    `rate ${starts.length} of ${rate.limit}`,
    `sent ${sent}`,
    `retried ${retried}`,
    ...(queue.paused || queue.stopped || starts.length === 0 ? [] : [`${secondsLeft(now)} s left`]),
  ].join(' · ')
}

/** At the pace of the last window, but no faster than the rate allows. */
function secondsLeft(now: number): number {
  const paceMs = (now - (starts[0] ?? now)) / starts.length
  return Math.ceil(((deliveries.length - sent - failed) * Math.max(paceMs, rate.perMs / rate.limit)) / 1_000)
}

// ---- What the user can do.

const stopListening = listen({
  togglePause: () => {
    if (queue.paused) queue.resume()
    else void queue.pause()
  },
  stop: () => void queue.stop({ cancelUnderway: queue.stopped }), // Gently; whoever asks twice means at once.
})

// ---- The run.

console.error(
  `Delivering ${deliveries.length} records to ${gateway.url}: 80 requests in 2 s at most, 503 now and then.`,
)
console.error(`${keys}\n`)

const stopShowing = show(line)
try {
  await Promise.all(deliveries.map(delivery => queue.put(delivery, { id: delivery.id })))
  await queue.idle()
} catch (error) {
  if (!(error instanceof QueueStoppedError)) throw error // The user said so; the table tells what is missing.
}
const { returned } = await queue.stop()
stopShowing()
stopListening()
if (returned.length > 0) console.error(`Stopped: ${returned.length} records are not known to be delivered.`)
process.exitCode = await gateway.close(deliveries.length)

// ---- The helpers.

/** What there is to deliver, or a word on why there is nothing: exit code 2 is for what the user can mend. */
async function readInput(): Promise<readonly Delivery[]> {
  try {
    const { values } = parseArgs({ options: { input: { type: 'string' } } })
    return values.input === undefined ? await packagesUnder('node_modules') : await linesOf(values.input)
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (!(error instanceof InputError || code.startsWith('ERR_PARSE_ARGS'))) throw error
    console.error(message)
    process.exit(2)
  }
}

/** Starts the gateway in a process of its own. `close` lets it print its table, and gives its exit code. */
async function openGateway(): Promise<{ url: string; close(expected: number): Promise<number> }> {
  const child = fork(new URL('gateway.js', import.meta.url))
  const ended = once(child, 'exit')
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  await fetch(url) // A greeting: the first fetch of a process is slow, and shall not be one that counts.
  return {
    url,
    async close(expected) {
      if (child.connected) child.send({ expected })
      const [code] = (await ended) as [number | null]
      return code ?? 1
    },
  }
}
