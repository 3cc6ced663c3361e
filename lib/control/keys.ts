/**
 * The view and the overrides of single keys for callers: `queue.key(name)`, `queue.keys()` and overrides.
 *
 * An override is shown at once and stored in the backlog, which applies it. Until the reply, it is shown on top of what
 * the backlog last reported.
 */
import type { BacklogSession, Command, KeyReport } from '../backlog.ts'
import type { Clock } from '../clock.ts'
import type { Dispatch } from '../dispatch/dispatch.ts'
import { describe, OptionError, QueueStoppedError } from '../errors.ts'
import type { SafeEmitter } from '../events/events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import {
  type KeyOverride,
  type KeySettings,
  type KeysPolicy,
  noKeys,
  parseKeyWidth,
  parseWeight,
  settingsOf,
} from '../limits/keys.ts'
import type { LimitKind } from '../limits/limit.ts'
import { checkLabel } from '../options/options.ts'
import { oneOf, optionsOf } from '../parse/option-names.ts'
import { parseKeyRate, type RateRule, type Rule } from '../rate/rules.ts'
import { withCallSite } from '../support/call-site.ts'
import type { Commands } from './commands.ts'
import type { Opening } from './opening.ts'

/** How many jobs of a key wait and run, in all processes. */
export interface KeyCounts {
  readonly pending: number
  readonly delayed: number
  readonly underway: number
}

export interface KeyInfo extends KeyCounts {
  readonly key: string
  /** Which limit of the key holds its next job up; undefined if none does. */
  readonly why: LimitKind | undefined
  /** Until when, by the wall clock; undefined if an event ends it. */
  readonly until: number | undefined
}

/** Which keys `queue.keys()` returns: by default all, a hundred at a time. */
export interface KeyInfoQuery {
  /** Only keys that have jobs in this state. */
  state?: 'pending' | 'delayed' | 'underway' | undefined
  /** The page size; 100, at most 10,000. */
  limit?: number | undefined
  /** The last key of the page before. */
  after?: string | undefined
}

export interface KeysParts {
  readonly clock: Clock
  readonly commands: Commands
  readonly dispatch: Dispatch
  readonly lifecycle: Lifecycle
  /** The declaration of this queue object. */
  readonly policy: KeysPolicy | undefined
  readonly opening: Opening
  readonly emitter: SafeEmitter<unknown, unknown>
}

/** Changes of one key that are not stored yet, the latest value of each field. */
interface Requested {
  change: KeyOverride
  inFlight: number
}

export class Keys {
  readonly #parts: KeysParts
  readonly #requested = new Map<string, Requested>()
  readonly #storing = new Set<Promise<void>>()

  constructor(parts: KeysParts) {
    this.#parts = parts
  }
  key(name: string): Key {
    checkLabel('key', name)
    return new Key(this, name)
  }
  settings(name: string): KeySettings {
    const { policy, overrides } = this.#parts.opening.session?.keys ?? { policy: this.#parts.policy, overrides: none }
    const change = this.#requested.get(name)?.change
    // A field that was set to undefined goes back to the policy.
    return settingsOf(policy ?? noKeys, change ? { ...overrides.get(name), ...change } : overrides.get(name), name)
  }
  /** Shows the change at once, and resolves when it is stored. */
  set(name: string, change: KeyOverride, verb: string): Promise<void> {
    const { lifecycle, dispatch } = this.#parts
    if (lifecycle.stopping) throw new QueueStoppedError(`cannot ${verb}`)
    const requested = this.#requested.get(name) ?? { change: {}, inFlight: 0 }
    requested.change = { ...requested.change, ...change }
    requested.inFlight++
    this.#requested.set(name, requested)
    // Jobs that were granted by the old settings and are not launched yet go back.
    const retiming = dispatch.suspendLaunches()
    const over = (): void => {
      if (--requested.inFlight === 0) this.#requested.delete(name)
      retiming.over()
    }
    return this.#store({ kind: 'key', key: name, change }, over)
  }
  #store(command: Command, stored: () => void): Promise<void> {
    let isOver = false
    /** The backlog has stored the change or has refused it. A fault in what follows its reply must not end this twice. */
    const over = (): void => {
      if (isOver) return
      isOver = true
      stored()
    }
    const storing = this.#parts.commands.send(command, over).catch(error => {
      over()
      throw error
    })
    this.#storing.add(storing)
    const done = (): void => void this.#storing.delete(storing)
    storing.then(done, done)
    return storing
  }
  /** For a controller: as `set`, with an event that has its reason. */
  steerWidth(name: string, width: number, reason: string): void {
    const before = this.settings(name).width
    if (width === before) return
    this.setSoon(name, { width }, 'set width')
    this.#parts.emitter.announce('width', width, before, reason, name)
  }
  /** Emits a failure as `error`, because nobody awaits the change. */
  setSoon(name: string, change: KeyOverride, verb: string): void {
    this.set(name, change, verb).catch(error => this.#parts.emitter.report(error, {}))
  }
  /** Resolves when everything that was set is stored; rejects if something could not be. */
  async stored(): Promise<void> {
    await Promise.all(this.#storing)
  }
  clear(name: string): Promise<number> {
    return this.#parts.commands.clear(name)
  }
  async counts(key: string): Promise<KeyCounts> {
    const [info] = await this.#list({ key, limit: 1 })
    const { pending = 0, delayed = 0, underway = 0 } = info ?? {}
    return { pending, delayed, underway }
  }
  async list(query: KeyInfoQuery | undefined): Promise<KeyInfo[]> {
    const { state, limit = 100, after } = optionsOf('keys.', query ?? {}, ['state', 'limit', 'after']) as KeyInfoQuery
    oneOf('keys.state', state, ['pending', 'delayed', 'underway'])
    if (after !== undefined) checkLabel('keys.after', after)
    if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) {
      const problem = `must be a whole number from 1 to 10000, got ${describe(limit)}; page on with after`
      throw new OptionError('keys.limit', limit, problem)
    }
    return this.#list({ state, limit, after })
  }
  async #list(query: Parameters<BacklogSession['listKeys']>[0]): Promise<KeyInfo[]> {
    const { clock, opening } = this.#parts
    const session = await opening.whenOpen()
    const [now, wall] = [clock.now(), clock.wall()]
    const reports: readonly KeyReport[] = await withCallSite(session.listKeys(query, now, wall))
    return reports.map(({ until, ...report }) => ({
      ...report,
      until: until === undefined ? undefined : wall + until - now,
    }))
  }
}

const none: ReadonlyMap<string, KeyOverride> = new Map()

/**
 * One key of a queue. A setting made here overrides the queue's `keys` for this key: it is stored, holds in every process
 * that shares the name, and stays until it is set to undefined.
 */
export class Key {
  readonly name: string
  readonly #keys: Keys

  /** @internal */
  constructor(keys: Keys, name: string) {
    this.#keys = keys
    this.name = name
  }
  /** How many of its jobs may be underway, in all processes together. 0 stops it. */
  get width(): number {
    return this.#keys.settings(this.name).width
  }
  set width(width: number | undefined) {
    const value = width === undefined ? undefined : parseKeyWidth('width', width)
    this.#keys.setSoon(this.name, { width: value }, 'set width')
  }
  /** Its rules; empty: no limit. */
  get rate(): readonly RateRule[] {
    return this.#keys.settings(this.name).rate
  }
  set rate(rate: Rule | readonly Rule[] | readonly RateRule[] | undefined) {
    const value = rate === undefined ? undefined : parseKeyRate('rate', rate)
    this.#keys.setSoon(this.name, { rate: value }, 'set rate')
  }
  /** Its share of the starts, relative to other keys that have work. */
  get weight(): number {
    return this.#keys.settings(this.name).weight
  }
  set weight(weight: number | undefined) {
    const value = weight === undefined ? undefined : parseWeight('weight', weight)
    this.#keys.setSoon(this.name, { weight: value }, 'set weight')
  }
  get paused(): boolean {
    return this.#keys.settings(this.name).paused
  }
  /** No job of the key starts from now on, in any process. Resolves once that is stored. */
  async pause(): Promise<void> {
    await this.#keys.set(this.name, { paused: true }, 'pause a key')
  }
  async resume(): Promise<void> {
    await this.#keys.set(this.name, { paused: undefined }, 'resume a key')
  }
  /** Cancels all its waiting jobs. Resolves with their number. */
  async clear(): Promise<number> {
    return this.#keys.clear(this.name)
  }
  counts(): Promise<KeyCounts> {
    return this.#keys.counts(this.name)
  }
  /** Resolves when everything that was set for keys here is stored. */
  stored(): Promise<void> {
    return this.#keys.stored()
  }
}
