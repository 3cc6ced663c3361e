/**
 * The list of keys that have jobs which wait or run, a pause or an override.
 *
 * A pass over all jobs holds up the event loop, so it is kept short: the first pass finds the names for one page, and
 * only their jobs are counted, in a second one.
 */
import type { KeyReport, KeysQuery } from '../../lib/backlog.ts'
import type { KeyOverride } from '../../lib/limits/keys.ts'
import type { Scope } from '../../lib/limits/limit.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import type { JobIndex } from './job-index.ts'
import type { ReadyByKey } from './ready-by-key.ts'

/** The parts of a queue that the list needs. */
export interface KeysOfQueue {
  readonly jobs: JobIndex
  readonly keyOverrides: ReadonlyMap<string, KeyOverride>
  readonly keys: ReadyByKey | undefined
  keyScope(key: string): Scope
}

type KeyCounts = Record<'pending' | 'delayed' | 'underway', number>

/** In order of key. */
export function listKeys(queue: KeysOfQueue, query: KeysQuery, now: number): KeyReport[] {
  const { key, state, limit, after = '' } = query
  const names = key === undefined ? firstKeys(queue, state, limit, after) : [key]
  const counts = new Map(names.map(name => [name, { pending: 0, delayed: 0, underway: 0 }]))
  const [least = '', most = least] = [names[0], names.at(-1)]
  eachLive(queue, (name, state) => {
    if (name < least || name > most) return
    const count = counts.get(name)
    if (count) count[state]++
  })
  const reports: KeyReport[] = []
  for (const [name, count] of counts) {
    if (key !== undefined && count.pending + count.delayed + count.underway === 0) continue
    const next = queue.keys?.find(name)?.jobs.first
    const refusal = refusalOf(queue.keyScope(name), next?.extras?.cost, now)
    const until = refusal && refusal.until < Infinity ? refusal.until : undefined
    reports.push({ key: name, ...count, why: refusal?.why, until })
  }
  return reports
}

/** The first keys of the page, in order. At most twice as many names as it has are held at once. */
function firstKeys(queue: KeysOfQueue, state: KeysQuery['state'], limit: number, after: string): string[] {
  let first = new Set<string>()
  let bound: string | undefined
  const shorten = (): void => {
    const names = [...first].sort().slice(0, limit)
    if (names.length === limit) bound = names.at(-1)
    first = new Set(names)
  }
  const add = (name: string): void => {
    if (name <= after || (bound !== undefined && name >= bound)) return
    first.add(name)
    if (first.size >= 2 * limit) shorten()
  }
  if (state === undefined) for (const name of queue.keyOverrides.keys()) add(name)
  eachLive(queue, (name, its) => {
    if (state === undefined || its === state) add(name)
  })
  shorten()
  return [...first]
}

/** Each job that has a key and has not ended. */
function eachLive({ jobs }: KeysOfQueue, see: (key: string, state: keyof KeyCounts) => void): void {
  for (const job of jobs.entries()) {
    if (typeof job === 'number') continue
    const { state, extras } = job
    if (extras?.key === undefined) continue
    if (state === 'pending' || state === 'delayed' || state === 'underway') see(extras.key, state)
  }
}
