/**
 * The keys of which anything is known: each has an entry.
 *
 * An entry that is no longer in use stays in the map as a spare, because deleting one of many keys from a map takes as
 * long as starting its job. The spares are dropped together: once no entry is in use; and, if there are more than three
 * for each entry in use, before another key gets an entry or when no key may start a job. A key that gets work while its
 * spare is there uses it again, as if it was new.
 */
import { type KeySettings, keyless } from '../../lib/limits/keys.ts'
import type { Refusal, Scope } from '../../lib/limits/limit.ts'
import type { Turn } from '../../lib/limits/turns.ts'
import { Rate } from '../../lib/rate/rate.ts'
import { keepShapeAlive } from '../../lib/support/shape-samples.ts'
import { Ready } from './ready.ts'

/** Dropping the spares moves each entry in use, so it pays if there are several times as many spares. */
const sparesPerEntry = 3

export interface Alarm extends Turn {
  readonly entry: KeyEntry
}

/** A key that has jobs, or whose former jobs still count for its limits. */
export class KeyEntry implements Turn, Scope {
  /** NaN: the key has no turn to come. It gets one with its next job. */
  tag: number = Number.NaN
  tie = 0
  at = -1
  readonly key: string
  jobs: Ready = new Ready()
  settings: KeySettings
  bodies = 0
  /** Not initialised to -Infinity, for which V8 would allocate a box in each entry. */
  #heldUntil: number | undefined
  rate: Rate | undefined
  /** The key has jobs, and a limit of its own holds it up. */
  refusal: Refusal | undefined
  /** When the key is looked at again, if that is known: it returns to the turns, or is forgotten. */
  alarm: Alarm | undefined
  /** Nothing is known of the key any more. */
  isSpare = false

  constructor(key: string, settings: KeySettings) {
    this.key = key
    this.settings = settings
    this.rate = rateOf(settings)
  }
  get heldUntil(): number {
    return this.#heldUntil ?? -Infinity
  }
  set heldUntil(until: number) {
    this.#heldUntil = until
  }
  get paused(): boolean {
    return this.settings.paused
  }
  get width(): number {
    return this.settings.width
  }
  /** Forgets the state of the key, which has neither jobs nor bodies, and no alarm. */
  forget(): void {
    this.isSpare = true
    this.tag = Number.NaN
    this.#heldUntil = undefined
    this.alarm = undefined
    if (this.jobs.hasLanes) this.jobs = new Ready()
    this.rate = undefined
  }
  /** The key begins anew. */
  renew(settings: KeySettings): void {
    this.isSpare = false
    this.settings = settings
    this.rate = rateOf(settings)
  }
}

function rateOf({ rate }: KeySettings): Rate | undefined {
  return rate.length > 0 ? new Rate(rate) : undefined
}

export class KeyEntries {
  #entries = new Map<string, KeyEntry>()
  #spares = 0
  /** Where `withJobs` looks next. */
  #walk: Iterator<KeyEntry> | undefined
  #withJobs: KeyEntry | undefined
  readonly #settingsOf: (key: string) => KeySettings

  constructor(settingsOf: (key: string) => KeySettings) {
    this.#settingsOf = settingsOf
  }
  /** How many keys have any state. */
  get size(): number {
    return this.#entries.size - this.#spares
  }
  get spares(): number {
    return this.#spares
  }
  find(key: string): KeyEntry | undefined {
    const entry = this.#entries.get(key)
    return entry?.isSpare ? undefined : entry
  }
  /** The entry of the key, created if it has none. */
  ensure(key: string): KeyEntry {
    let entry = this.#entries.get(key)
    if (!entry) {
      this.tidy()
      entry = new KeyEntry(key, this.#settingsOf(key))
      this.#entries.set(key, entry)
    } else if (entry.isSpare) {
      entry.renew(this.#settingsOf(key))
      this.#spares--
    }
    return entry
  }
  /** Drops what is known of a key that has neither jobs nor bodies, and no alarm. */
  forget(entry: KeyEntry): void {
    entry.forget()
    this.#spares++
    if (this.size === 0) this.#use(new Map())
  }
  /** Drops the spares, if there are too many. */
  tidy(): void {
    if (this.#spares <= sparesPerEntry * this.size) return
    const used = new Map<string, KeyEntry>()
    for (const entry of this) used.set(entry.key, entry)
    this.#use(used)
  }
  #use(entries: Map<string, KeyEntry>): void {
    this.#entries = entries
    this.#spares = 0
    this.#walk = this.#withJobs = undefined
  }
  /**
   * Any key with jobs that wait; there must be one. It goes on where it ended last, so that to take the jobs of all keys
   * takes one walk.
   */
  withJobs(): KeyEntry {
    while (!this.#withJobs || this.#withJobs.jobs.size === 0) {
      this.#walk ??= this[Symbol.iterator]()
      const { value, done } = this.#walk.next()
      if (done) this.#walk = undefined
      else this.#withJobs = value
    }
    return this.#withJobs
  }
  *[Symbol.iterator](): Generator<KeyEntry> {
    for (const entry of this.#entries.values()) if (!entry.isSpare) yield entry
  }
}

keepShapeAlive(new KeyEntry(keyless, { width: Infinity, rate: [], weight: 1, paused: false }))
