/** I24, I25, I26: over all processes, no key runs more bodies, starts faster, or starts at all when it may not. */
import type { RateRule } from '../../lib/rate/rules.ts'
import type { Entry } from '../entry.ts'
import { at, type Checker, found, hairMs, isWaiting } from './judge.ts'
import { KeySettings } from './key-settings.ts'
import { Costs, graceOf, Starts } from './starts.ts'

/** The bodies that run, of each key, in all processes that live. */
export class Bodies {
  readonly #running = new Set<Entry<'launch'>>()

  /** Returns the launches of the bodies that have ended. */
  take(entry: Entry): readonly Entry<'launch'>[] {
    if (entry.kind === 'launch') this.#running.add(entry as Entry<'launch'>)
    if (entry.kind !== 'release' && entry.kind !== 'crash') return []
    const ended: Entry<'launch'>[] = []
    for (const launch of this.#running) {
      if (launch.process !== entry.process) continue
      const isIt =
        entry.kind === 'crash' ||
        (launch.job === entry.job && launch.attempt === entry.attempt && launch.fence === entry.fence)
      if (isIt && this.#running.delete(launch)) ended.push(launch)
    }
    return ended
  }
  get all(): Entry<'launch'>[] {
    return [...this.#running]
  }
  of(key: string): Entry<'launch'>[] {
    return [...this.#running].filter(launch => launch.key === key)
  }
}

/**
 * I24. Width of a key: just before each start of a job with a key, fewer bodies of that key ran in all processes
 * together than its width. A body counts until it has really ended or its process is dead. While a width is being
 * changed, each of the widths that may be in force is allowed.
 */
export const keyWidth: Checker = (history, sure, { slackMs }) => {
  const settings = new KeySettings()
  const bodies = new Bodies()
  for (const entry of history) {
    settings.take(entry)
    if (entry.kind === 'launch' && entry.key !== undefined) {
      const { job, key } = entry
      const most = Math.max(...settings.widths(key, entry, slackMs))
      const running = bodies.of(key)
      const message = (): string =>
        `job ${job} of key ${key} started while ${running.length} of it ran, at a width of ${most}: ${at(entry)}`
      if (most < Infinity) sure(running.length < most, message, ...running, entry)
    }
    bodies.take(entry)
  }
}

/** The starts of each key, with the rules that were requested for it. */
export class KeyStarts {
  readonly #slackMs: number
  readonly #settings: KeySettings
  readonly #costs = new Costs()
  readonly #starts = new Map<string, Starts>()
  /** The declarations for all keys, and the rules of a key without an override from then on. */
  readonly #declarations: { readonly by: Entry; readonly rules: readonly RateRule[] }[] = []

  constructor(settings: KeySettings, slackMs: number) {
    this.#settings = settings
    this.#slackMs = slackMs
  }
  /** After the settings have taken the entry. */
  take(entry: Entry): void {
    this.#costs.take(entry)
    if (entry.kind === 'launch') {
      if (entry.key !== undefined) this.of(entry.key, entry).take(entry)
      return
    }
    if (entry.kind === 'key') this.of(entry.key, entry)
    if (entry.kind === 'opened' && entry.keys) this.#declarations.push({ by: entry, rules: entry.keys.rate })
    const changes = entry.kind === 'key' || entry.kind === 'clearOverrides' || entry.kind === 'opened'
    for (const [key, starts] of this.#starts) {
      starts.take(entry)
      const rules = this.#settings.latest(key).rate
      if (changes && rules !== starts.rules) starts.change(entry, rules)
    }
  }
  of(key: string, since: Entry): Starts {
    return found(this.#starts, key, () => {
      const starts = new Starts(this.#slackMs, this.#costs)
      // A job that was granted before a declaration may come to its first line after it, and then that start is
      // forgotten.
      for (const [i, { by, rules }] of this.#declarations.entries()) {
        if (i === 0) starts.change(by, [])
        starts.change(by, rules)
      }
      const { rate } = this.#settings.latest(key)
      if (rate !== starts.rules) starts.change(since, rate)
      return starts
    })
  }
}

/**
 * I25. Rate of a key: as I5, for the rules of each key and the starts of that key, in all processes together. While
 * rules are being changed, a start may obey any of those that may be in force.
 */
export const keyRate: Checker = (history, sure, { slackMs }) => {
  const settings = new KeySettings()
  const keys = new KeyStarts(settings, slackMs)
  for (const entry of history) {
    settings.take(entry)
    keys.take(entry)
    if (entry.kind !== 'launch' || entry.key === undefined) continue
    const { job, key } = entry
    const starts = keys.of(key, entry)
    // A job may have been granted a grace before its first line.
    const possible = settings.rates(key, entry, slackMs + graceOf(starts.rules))
    if (possible.some(rules => rules.length === 0)) continue
    const broken = starts.broken(entry, possible)
    const message = (): string => `job ${job} of key ${key} started, ${broken?.why}: ${at(entry)}`
    sure(broken === undefined, message, ...(broken?.starts ?? []), entry)
  }
}

/** `Throttled` holds a key for at most `maxHold`, of which this is the default. */
const maxHoldMs = 3_600_000

/** A hold that a job requested, and the event of its return, with which it was in force. */
interface Hold {
  readonly by: Entry<'release'>
  readonly since: Entry
  readonly until: number
}

/**
 * I26. Pause and hold of a key: no job of a key starts while the key is paused, in the process that paused it from the
 * call on and in others once the pause is stored. None starts between the return of a job that threw `Throttled` with
 * that key and the end of the requested time.
 */
export const keyHeld: Checker = (history, sure, { slackMs }) => {
  const settings = new KeySettings()
  const thrown = new Map<string, Entry<'release'>>()
  const holds = new Map<string, Hold>()
  for (const entry of history) {
    settings.take(entry)
    if (entry.kind === 'release') thrown.set(`${entry.process} ${entry.job}`, entry as Entry<'release'>)
    // The attempt has failed for another reason: its time was over when the body threw.
    if (entry.kind === 'emitted' && entry.event === 'retry') thrown.delete(`${entry.process} ${entry.job}`)
    if (isWaiting(entry) && entry.job !== undefined) {
      const by = thrown.get(`${entry.process} ${entry.job}`)
      thrown.delete(`${entry.process} ${entry.job}`)
      if (by?.code === 'THROTTLED' && by.heldKey !== undefined && by.afterMs !== undefined) {
        const until = by.nowMs + Math.min(by.afterMs, maxHoldMs)
        if (until > (holds.get(by.heldKey)?.until ?? 0)) holds.set(by.heldKey, { by, since: entry, until })
      }
    }
    if (entry.kind !== 'launch' || entry.key === undefined) continue
    const { job, key, nowMs } = entry
    const isPaused = settings.pauses(key, entry, slackMs).every(Boolean)
    sure(!isPaused, () => `job ${job} started while its key ${key} was paused: ${at(entry)}`, entry)
    const hold = holds.get(key)
    if (!hold) continue
    // A job that was granted before the hold may come to its first line after it.
    const from = hold.since.nowMs + graceOf(settings.latest(key).rate) + slackMs
    const message = (): string => `job ${job} started before ${hold.until} ms, until when ${key} is held: ${at(entry)}`
    sure(nowMs <= from || nowMs + hairMs >= hold.until, message, hold.by, entry)
  }
}
