/**
 * A strict gateway on loopback, in a process of its own: what deliver.ts is up against.
 *
 * It trusts nobody and imports nothing of rdq. It counts each arrival on its own clock, answers 429 above its limit,
 * 503 now and then, takes its time over the rest, and writes down what it has delivered. In the end it prints the
 * table, and its exit code is the verdict: 0 only if all was delivered, each record once, and nobody was too fast.
 *
 * Its memory is the ledger, a file: what it counts, it counts over all runs, until it is told to begin anew. What arrived
 * stands there before it is answered, so it may be killed as its client may; and two that share a ledger count as one.
 */
import { appendFileSync, fstatSync, openSync, readSync, truncateSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

const limit = 80 // Requests that may arrive in any window…
const windowMs = 2_000 // … of this length, wherever one lays it.
const troubled = 0.04 // This part of the records meets a 503 at its first delivery.
const fastestMs = 100
const slowestMs = 250
const trouble = chance(1)
const latency = chance(2)

// ---- The ledger: a line of JSON for each thing that happened, and what follows from them.

/** A run begins that is to deliver these ids; an arrival; what became of it. */
type Entry =
  | { readonly expected: readonly string[] }
  | { readonly at: number }
  | { readonly id: string; readonly answer: 200 | 429 | 503 }

const ledger = process.argv[2] as string
const reading = openSync(ledger, 'a+')
let read = 0 // Of the ledger, in bytes.
let cut = '' // The beginning of a line whose end was not there yet.
let runs = 0
const arrivals: number[] = []
const expected = new Set<string>()
const seen = new Set<string>() // Ids that arrived within the limit, whatever they were answered.
const delivered = new Set<string>()
let duplicates = 0
let tooMany = 0
let unavailable = 0
let worst = 0

/** Takes an entry into account. Brute force, so that it is plainly right: the fullest window ends with an arrival. */
function count(entry: Entry): void {
  if ('expected' in entry) {
    runs++
    for (const id of entry.expected) expected.add(id)
  } else if ('at' in entry) {
    arrivals.push(entry.at)
    worst = Math.max(worst, together(entry.at))
  } else {
    if (entry.answer === 429) return void tooMany++
    seen.add(entry.id)
    if (entry.answer === 503) return void unavailable++
    if (delivered.has(entry.id)) duplicates++ // A kinder gateway would know the idempotency key again. This one tells.
    delivered.add(entry.id)
  }
}
function note(entry: Entry): void {
  appendFileSync(ledger, `${JSON.stringify(entry)}\n`)
  catchUp()
}
/** Takes into account what the ledger has and we have not: of earlier runs, of our own, of a gateway beside us. */
function catchUp(): void {
  const news = Buffer.alloc(fstatSync(reading).size - read)
  read += readSync(reading, news, 0, news.length, read)
  const lines = `${cut}${news}`.split('\n')
  cut = lines.pop() as string
  for (const line of lines) count(JSON.parse(line))
}
function together(now: number): number {
  return arrivals.filter(at => at <= now && now - at < windowMs).length // Later ones are of before a restart of the machine.
}

/** Milliseconds of a clock that all processes of this machine share, and that nobody sets. */
function steady(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

// ---- The answers.

async function answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
  if (request.method === 'GET') return look(request.url as string)
  const now = steady()
  note({ at: now })
  const isTooMuch = together(now) > limit
  const { id } = (await json(request)) as { id?: unknown }
  if (typeof id !== 'string' || !request.headers['idempotency-key']) return 400
  if (isTooMuch) {
    note({ id, answer: 429 })
    response.setHeader('retry-after', Math.ceil(windowMs / 1_000))
    return 429
  }
  if (!seen.has(id) && trouble() < troubled) {
    note({ id, answer: 503 })
    return 503
  }
  note({ id, answer: 200 })
  await new Promise(done => setTimeout(done, fastestMs + latency() * (slowestMs - fastestMs)))
  return 200
}

/** Whether a record was delivered: `/<id>`. It counts for nothing, and neither does a greeting: `/`. */
function look(path: string): number {
  catchUp()
  const id = decodeURIComponent(path.slice(1))
  return id === '' || delivered.has(id) ? 200 : 404
}

const server = createServer((request, response) => {
  answer(request, response).then(
    status => response.writeHead(status).end(),
    () => response.writeHead(400).end(),
  )
})
server.keepAliveTimeout = 60_000 // A pause shall not cost the client its connections.
catchUp()
if (cut !== '') truncateSync(ledger, (read -= cut.length)) // The machine went down in the middle of a line.
cut = ''
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.send?.({ url: `http://127.0.0.1:${port}/` })
})

/** What the client says: a run begins, with a new ledger or with the one that is there; or it sends no more. */
export type Word = { readonly begin: readonly string[]; readonly anew: boolean } | 'end'

process.on('message', (word: Word) => {
  if (word === 'end') return end()
  if (word.anew) {
    truncateSync(ledger)
    read = runs = duplicates = tooMany = unavailable = worst = 0
    arrivals.length = 0
    for (const ids of [expected, seen, delivered]) ids.clear()
  }
  note({ expected: word.begin })
  process.send?.('begun')
})

function end(): void {
  catchUp()
  const all = [...expected].every(id => delivered.has(id)) && delivered.size === expected.size
  console.log(`
  the gateway's own count${runs > 1 ? `, over ${runs} runs` : ''}
  -----------------------------------------
  delivered      ${row(delivered.size)} of ${expected.size}
  duplicates     ${row(duplicates)}
  429s           ${row(tooMany)}
  503s           ${row(unavailable)}
  worst window   ${row(worst)} of ${limit} in any ${windowMs} ms
`)
  process.exitCode = all && duplicates === 0 && tooMany === 0 && worst <= limit ? 0 : 1
  server.close()
  server.closeAllConnections()
  process.disconnect()
}

// Ctrl-C reaches the whole process group, but only the client may end us: it still wants its table. If it is gone
// without a word there is nobody to answer, and what we know is in the ledger.
process.exitCode = 1
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit())

function row(figure: number): string {
  return String(figure).padStart(6)
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
