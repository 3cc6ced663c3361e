/**
 * One host of the crawl, in a process of its own: it serves its pages, and no more requests than its limit allows.
 *
 * It imports nothing of rdq. It counts each arrival on its own clock, and answers 429 above its limit. Its ledger is a
 * file with a line for each arrival, written before the answer, so it counts over all runs of an interrupted crawl.
 * Its exit code is the verdict: 0 if all pages were served, and no request was one too many.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HostSettings, row } from './hosts.ts'
import { pathOf, pathsUnder, readPages } from './pages.ts'

const settings = JSON.parse(process.argv[2] as string) as HostSettings
const { name, input, part, limit, windowMs, answerMs, ledger, anew } = settings
const pages = await readPages(name, input, await pathsUnder(input, part))

interface Arrival {
  /** In milliseconds of a clock that all processes of this machine share and that nobody sets. */
  readonly at: number
  readonly path: string
  readonly status: 200 | 404 | 429
}

const known = anew ? '' : readFileSync(ledger, { encoding: 'utf8', flag: 'a+' })
const whole = known.slice(0, known.lastIndexOf('\n') + 1) // Without a line that a crash has cut off.
writeFileSync(ledger, whole)
const arrivals = whole.split('\n').flatMap(line => (line ? [JSON.parse(line) as Arrival] : []))
const served = new Set<string>()
for (const { status, path } of arrivals) if (status === 200) served.add(path)

/** How many requests have arrived in the window that ends with an arrival. */
function together(end: number): number {
  return arrivals.filter(({ at }) => at <= end && end - at < windowMs).length
}

function take(path: string): Arrival {
  const at = Number(process.hrtime.bigint()) / 1e6
  const isTooMuch = together(at) >= limit
  const arrival: Arrival = { at, path, status: isTooMuch ? 429 : pages.has(path) ? 200 : 404 }
  appendFileSync(ledger, `${JSON.stringify(arrival)}\n`)
  arrivals.push(arrival)
  if (arrival.status === 200) served.add(path)
  return arrival
}

const server = createServer((request, response) => {
  const path = pathOf(new URL(request.url as string, `http://${name}/`)) ?? ''
  // Whoever asks for the limit has not been told of it yet, so this request does not count.
  if (path === 'robots.txt') response.end(`User-agent: *\nRequest-rate: ${limit}/${windowMs / 1_000}s\n`)
  else answer(take(path), response)
})

function answer({ path, status }: Arrival, response: ServerResponse): void {
  response.statusCode = status
  if (status === 429) response.setHeader('retry-after', Math.ceil(windowMs / 1_000))
  const isTired = served.size > pages.size / 2
  setTimeout(() => response.end(status === 200 ? pages.get(path) : ''), status === 200 ? answerMs[isTired ? 1 : 0] : 0)
}
server.keepAliveTimeout = 60_000 // A pause does not cost the client its connections.
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.send?.({ origin: `http://127.0.0.1:${port}` })
})

process.on('message', () => {
  const count = (status: number): number => arrivals.filter(arrival => arrival.status === status).length
  const worst = Math.max(0, ...arrivals.map(({ at }) => together(at)))
  const spanMs = (arrivals.at(-1)?.at ?? 0) - (arrivals[0]?.at ?? 0)
  // The share: of the requests that the limit allows between the first arrival and the last.
  const allowed = limit * (Math.floor(spanMs / windowMs) + 1)
  console.log(
    `  ${row(
      name,
      `${served.size} of ${pages.size}`,
      `${worst} of ${limit} in ${windowMs} ms`,
      `${Math.round((arrivals.length / allowed) * 100)} %`,
      ...[count(200) - served.size, count(404), count(429)].map(String),
    )}`,
  )
  process.exitCode = served.size === pages.size && count(429) === 0 ? 0 : 1
  server.close()
  server.closeAllConnections()
  process.disconnect()
})

// Ctrl-C reaches all processes of the terminal, but only the crawl may end a host: it still wants its row.
process.exitCode = 1
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit())
