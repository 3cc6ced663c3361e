/** Starts the hosts of the crawl, each in a process of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

export interface Host {
  readonly name: string
  /** Where it is in this run. */
  readonly origin: string
  /** Lets the host print its row of the table and end. True if it has served all its pages and never answered 429. */
  close(): Promise<boolean>
}

/** What the process of a host is told. */
export interface HostSettings {
  readonly name: string
  /** Its pages: one part of those under `input`. */
  readonly input: string
  readonly part: { readonly number: number; readonly of: number }
  /** At most `limit` requests may arrive in any `windowMs`. */
  readonly limit: number
  readonly windowMs: number
  /** How long it takes over a page, and over the pages after the first half of them. */
  readonly answerMs: readonly [number, number]
  /** The file in which it keeps what has arrived, over all runs of a crawl. */
  readonly ledger: string
  /** Whether a crawl begins, and not goes on. */
  readonly anew: boolean
}

const kinds: readonly Pick<HostSettings, 'name' | 'limit' | 'windowMs' | 'answerMs'>[] = [
  { name: 'alpha.test', limit: 30, windowMs: 2_000, answerMs: [60, 60] },
  { name: 'beta.test', limit: 20, windowMs: 2_000, answerMs: [100, 100] },
  { name: 'gamma.test', limit: 24, windowMs: 2_000, answerMs: [80, 500] },
  { name: 'delta.test', limit: 30, windowMs: 3_000, answerMs: [40, 40] },
  { name: 'epsilon.test', limit: 40, windowMs: 3_000, answerMs: [60, 700] },
]

/** @param options `ledgers`: what the names of the files begin with that the hosts keep. */
export function openHosts(options: { input: string; ledgers: string; anew: boolean }): Promise<Host[]> {
  const { input, ledgers, anew } = options
  return Promise.all(
    kinds.map((kind, number) =>
      openHost({ ...kind, input, anew, part: { number, of: kinds.length }, ledger: `${ledgers}-${kind.name}.jsonl` }),
    ),
  )
}

async function openHost(settings: HostSettings): Promise<Host> {
  const child = fork(new URL('host.js', import.meta.url), [JSON.stringify(settings)])
  const ended = once(child, 'exit')
  const [{ origin }] = (await once(child, 'message')) as [{ origin: string }]
  return {
    name: settings.name,
    origin,
    async close() {
      if (child.connected) child.send('close')
      const [code] = (await ended) as [number | null]
      return code === 0
    },
  }
}

const widths = [14, 14, 26, 10, 8, 8, 8]
export const tableHead: string = `
  the hosts' own counts
  ${row('', 'pages', 'worst window', 'share', 'repeats', 'dead', '429s')}`

export function row(...cells: string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
    .join('')
}
