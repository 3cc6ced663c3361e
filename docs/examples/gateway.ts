/**
 * A strict gateway on loopback, in a process of its own: what deliver.ts is up against.
 *
 * It trusts nobody and imports nothing of rdq. It counts each arrival on its own clock, answers 429 above its limit,
 * 503 now and then, takes its time over the rest, and writes down what it has delivered. In the end it prints the
 * table, and its exit code is the verdict: 0 only if all was delivered, each record once, and nobody was too fast.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import { json } from 'node:stream/consumers'

const limit = 80 // Requests that may arrive in any window…
const windowMs = 2_000 // … of this length, wherever one lays it.
const troubled = 0.04 // This part of the records meets a 503 at its first delivery.
const fastestMs = 100
const slowestMs = 250
const trouble = chance(1)
const latency = chance(2)

const arrivals: number[] = []
const seen = new Set<string>() // Ids that arrived within the limit, whatever they were answered.
const delivered = new Set<string>() // The ledger.
let duplicates = 0
let tooMany = 0
let unavailable = 0
let worst = 0

/** Counts an arrival. Brute force, so that it is plainly right: the fullest window ends with one of the arrivals. */
function arrive(now: number): number {
  arrivals.push(now)
  const together = arrivals.filter(at => now - at < windowMs).length
  worst = Math.max(worst, together)
  return together
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
  if (request.method === 'GET') return 200 // A greeting: says that we are here, and counts for nothing.
  const together = arrive(performance.now())
  const { id } = (await json(request)) as { id?: unknown }
  if (typeof id !== 'string' || !request.headers['idempotency-key']) return 400
  if (together > limit) {
    tooMany++
    response.setHeader('retry-after', Math.ceil(windowMs / 1_000))
    return 429
  }
  const first = !seen.has(id)
  seen.add(id)
  if (first && trouble() < troubled) {
    unavailable++
    return 503
  }
  if (delivered.has(id)) duplicates++ // A kinder gateway would know the idempotency key again. This one tells.
  delivered.add(id)
  await new Promise(done => setTimeout(done, fastestMs + latency() * (slowestMs - fastestMs)))
  return 200
}

const server = createServer((request, response) => {
  answer(request, response).then(
    status => response.writeHead(status).end(),
    () => response.writeHead(400).end(),
  )
})
server.keepAliveTimeout = 60_000 // A pause shall not cost the client its connections.
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.send?.({ url: `http://127.0.0.1:${port}/` })
})

// The client says how many records it had, and that it sends no more.
process.on('message', ({ expected }: { expected: number }) => {
  const good = delivered.size === expected && duplicates === 0 && tooMany === 0 && worst <= limit
  console.log(`
  the gateway's own count
  -----------------------------------------
  delivered      ${row(delivered.size)} of ${expected}
  duplicates     ${row(duplicates)}
  429s           ${row(tooMany)}
  503s           ${row(unavailable)}
  worst window   ${row(worst)} of ${limit} in any ${windowMs} ms
`)
  process.exitCode = good ? 0 : 1
  server.close()
  server.closeAllConnections()
  process.disconnect()
})

// Ctrl-C reaches the whole process group, but only the client may end us: it still wants its table. If it is gone
// without a word there is nobody to count for.
process.exitCode = 1
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit())

function row(count: number): string {
  return String(count).padStart(6)
}

/** The same troubles in each run: a seeded generator of numbers from 0 up to, not including, 1 (mulberry32). */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
