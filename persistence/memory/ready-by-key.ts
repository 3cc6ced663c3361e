/**
 * The jobs that may start, by key: the keys take turns (lib/limits/fairness.ts), and each has its jobs in order.
 *
 * Only keys that may start a job are among the turns. A key that is held up is taken out, and returns when what holds it
 * up is over: at an instant, or at an event. So a claim never walks over jobs of keys that are held up.
 */
import type { JobRecord } from '../../lib/job.ts'
import {
  clockAfterStart,
  clockBound,
  tagAfterChange,
  tagAfterReturn,
  tagAfterStart,
  tagOnArrival,
} from '../../lib/limits/fairness.ts'
import { type KeyOverride, type KeySettings, type KeysPolicy, keyless, settingsOf } from '../../lib/limits/keys.ts'
import type { Refusal } from '../../lib/limits/limit.ts'
import { refusalOf } from '../../lib/limits/limits.ts'
import { Turns } from '../../lib/limits/turns.ts'
import type { PlainJobs } from '../../lib/put/plain-jobs.ts'
import { Rate } from '../../lib/rate/rate.ts'
import type { Cost, RateRule } from '../../lib/rate/rules.ts'
import { type Alarm, KeyEntries, type KeyEntry } from './key-entries.ts'

export class ReadyByKey {
  policy: KeysPolicy
  /** The settings of all keys for which nothing else is set. */
  #common: KeySettings
  readonly #overrides: ReadonlyMap<string, KeyOverride>
  readonly #entries = new KeyEntries(key => this.#settings(key))
  readonly #turns = new Turns<KeyEntry>()
  /** Keys that are held up until an instant, and keys without jobs that are forgotten then. */
  readonly #alarms = new Turns<Alarm>()
  readonly #idle = new Turns<Alarm>()
  #clock = 0
  #size = 0
  /** Whether an override has ever contained rules. */
  #isRated = false

  constructor(policy: KeysPolicy, overrides: ReadonlyMap<string, KeyOverride>) {
    this.policy = policy
    this.#common = commonSettings(policy)
    this.#overrides = overrides
  }
  /** How many jobs wait here, whether or not their keys are held up. */
  get size(): number {
    return this.#size
  }
  /** The keys that have any state. */
  get entries(): KeyEntries {
    return this.#entries
  }
  find(key: string | undefined): KeyEntry | undefined {
    return this.#entries.find(key ?? keyless)
  }
  /** The settings in force for a key. */
  settingsOf(key: string | undefined): KeySettings {
    const name = key ?? keyless
    return this.#entries.find(name)?.settings ?? this.#settings(name)
  }
  #settings(key: string): KeySettings {
    const override = this.#overrides.get(key)
    return override || key === keyless ? settingsOf(this.policy, override, key) : this.#common
  }

  // Jobs come and go.

  push(job: JobRecord): void {
    const entry = this.#entryFor(job)
    entry.jobs.push(job)
    this.#size++
    if (entry.refusal && entry.jobs.first === job) this.#nextChanged(entry)
    this.#hasWork(entry)
  }
  pushAll(jobs: readonly JobRecord[], priority: number): void {
    const entry = this.#entries.ensure(keyless)
    entry.jobs.pushAll(jobs, priority)
    this.#size += jobs.length
    this.#hasWork(entry)
  }
  pushPlain(jobs: PlainJobs): void {
    const entry = this.#entries.ensure(keyless)
    entry.jobs.pushPlain(jobs)
    this.#size += jobs.length
    this.#hasWork(entry)
  }
  remove(job: JobRecord): void {
    const entry = this.#entryOf(job)
    if (entry) this.#take(entry, job)
    if (job.extras) job.extras.keyEntry = undefined
  }
  /** The job gets another priority. Its key keeps its place among the turns, also if it is its only job. */
  reprioritize(job: JobRecord, priority: number): void {
    const entry = this.#entryFor(job)
    entry.jobs.reprioritize(job, priority)
    this.#changed(entry)
  }
  #take(entry: KeyEntry, job: JobRecord): void {
    entry.jobs.remove(job)
    this.#size--
    this.#changed(entry)
  }
  /** The next job of the key that is next; undefined if no key may start one. */
  get first(): JobRecord | undefined {
    return this.#turns.first?.jobs.first
  }
  /** Any job: those of keys that may start one come first. */
  get any(): JobRecord | undefined {
    return this.#size === 0 ? undefined : (this.first ?? this.#entries.withJobs().jobs.first)
  }
  *[Symbol.iterator](): Generator<JobRecord> {
    for (const { jobs } of [...this.#entries]) yield* jobs
  }
  /** How many jobs of its key start before this one, or would. */
  before(job: JobRecord): number {
    return this.find(job.extras?.key)?.jobs.before(job) ?? 0
  }
  /** The entry of a job that waits or runs. It is noted in the job, because looking it up by name takes longer. */
  #entryOf({ extras }: JobRecord): KeyEntry | undefined {
    return (extras?.keyEntry as KeyEntry | undefined) ?? this.find(extras?.key)
  }
  /** The entry of a job that is about to run. */
  entryFor(job: JobRecord): KeyEntry {
    return this.#entryFor(job)
  }
  #entryFor({ extras }: JobRecord): KeyEntry {
    const entry = this.#entries.ensure(extras?.key ?? keyless)
    if (extras) extras.keyEntry = entry
    return entry
  }

  // Claims.

  /** Lets keys whose hold or window is over take turns again. */
  recheckDue(now: number): void {
    for (const alarms of [this.#alarms, this.#idle]) {
      for (let alarm = alarms.first; alarm && alarm.tag <= now; alarm = alarms.first) this.#recheck(alarm.entry, now)
    }
    // Nothing can start, so there is time for it.
    if (this.#turns.size === 0) this.#entries.tidy()
  }
  /** When the next key that has jobs may start one, as far as that is known. */
  get nextLook(): number {
    return this.#alarms.first?.tag ?? Infinity
  }
  /** The rule or hold that holds up the key that may start a job first, if there is one. */
  blocked(): (Refusal & { readonly key: string }) | undefined {
    const entry = this.#alarms.first?.entry
    return entry?.refusal && { ...entry.refusal, key: entry.key }
  }
  /** The rules of keys for which nothing else is set. */
  get rules(): readonly RateRule[] {
    return this.policy.rate
  }
  /** Whether a rule of a key may refuse a job. */
  get limitsRate(): boolean {
    return this.#isRated || this.policy.rate.length > 0
  }
  /** The key that is next, which has a job. */
  get next(): KeyEntry | undefined {
    return this.#turns.first
  }
  refusal(entry: KeyEntry, cost: Cost | undefined, now: number): Refusal | undefined {
    return entry.key === keyless ? undefined : refusalOf(entry, cost, now)
  }
  /** The key is held up: it takes no turns before the refusal is over. */
  holdUp(entry: KeyEntry, refusal: Refusal): void {
    this.#turns.remove(entry)
    entry.refusal = refusal
    if (refusal.until < Infinity) this.#setAlarm(this.#alarms, entry, refusal.until)
  }
  /** The first job of the key is claimed. The caller has charged its rate. */
  claimed(entry: KeyEntry, job: JobRecord): void {
    const { tag, settings } = entry
    if (this.policy.order === 'fair') {
      entry.tag = tagAfterStart(this.#clock, tag, settings.weight)
      this.#clock = clockAfterStart(this.#clock, tag)
      if (this.#clock > clockBound) this.#rebase()
    }
    entry.bodies++
    this.#take(entry, job)
    if (entry.at >= 0 && this.policy.order === 'fair') this.#turns.moved(entry)
  }
  /** Sets the virtual clock and all tags back, so that they stay exact. Keys without a turn keep at most theirs. */
  #rebase(): void {
    const by = this.#clock
    for (const entry of this.#entries) if (entry.at < 0) entry.tag -= by
    this.#turns.rebase(by)
    this.#clock = 0
  }
  /** A claimed job was not launched: its turn and its place go back. */
  returned(key: string | undefined): void {
    const entry = this.find(key)
    if (!entry || this.policy.order !== 'fair') return
    // Without further jobs the key's former tag is forgotten. The clock showed it when the job was claimed.
    const { tag } = entry
    entry.tag = Number.isNaN(tag) ? this.#clock : tagAfterReturn(this.#clock, tag, entry.settings.weight)
    if (entry.at >= 0) this.#turns.moved(entry)
  }
  /** A body of the key has ended, or has no slot any more. */
  released(job: JobRecord, now: number): void {
    const entry = this.#entryOf(job)
    if (!entry) return
    entry.bodies--
    if (job.ended && job.extras) job.extras.keyEntry = undefined
    this.#recheck(entry, now)
  }
  /** A body of the key runs, though it was not claimed here. */
  runs(job: JobRecord): void {
    this.#entryFor(job).bodies++
  }
  /** Starts of the key count otherwise now, so it may have capacity earlier. */
  recounted(key: string, now: number): void {
    const entry = this.#entries.find(key)
    if (entry?.refusal) this.#recheck(entry, now)
  }
  hold(key: string, until: number, now: number): void {
    const entry = this.#entries.ensure(key)
    entry.heldUntil = Math.max(entry.heldUntil, until)
    this.#recheck(entry, now)
  }

  // Settings.

  /** The settings of the key have changed. */
  changed(key: string, now: number): void {
    if (this.#overrides.get(key)?.rate) this.#isRated = true
    const entry = this.#entries.find(key)
    if (!entry) return
    const settings = this.#settings(key)
    const { rate } = settings
    entry.settings = settings
    // A rate without rules stays: bodies may still correct its starts, and a new one would give their numbers again.
    if (entry.rate) entry.rate.change(rate, now)
    else if (rate.length > 0) entry.rate = new Rate(rate)
    const { tag } = entry
    if (this.policy.order === 'fair') entry.tag = tagAfterChange(this.#clock, tag, settings.weight)
    if (entry.at >= 0 && entry.tag !== tag) this.#turns.moved(entry)
    this.#recheck(entry, now)
  }
  /** Another declaration is in force. */
  declare(policy: KeysPolicy, now: number): void {
    const reorders = policy.order !== this.policy.order
    this.policy = policy
    this.#common = commonSettings(policy)
    for (const entry of [...this.#entries]) {
      if (reorders) {
        if (entry.at >= 0) this.#turns.remove(entry)
        entry.tag = Number.NaN
      }
      this.changed(entry.key, now)
    }
  }

  // A key's place.

  /** The key has got a job. */
  #hasWork(entry: KeyEntry): void {
    if (entry.at >= 0) this.#changed(entry)
    else if (!entry.refusal) this.#enter(entry)
  }
  #enter(entry: KeyEntry): void {
    const first = entry.jobs.first as JobRecord
    this.#dropAlarm(entry)
    if (this.policy.order === 'fair') {
      if (Number.isNaN(entry.tag)) entry.tag = tagOnArrival(this.#clock, entry.settings.weight)
      entry.tie = first.seq
    } else {
      entry.tag = first.priority
      entry.tie = first.seq
    }
    this.#turns.add(entry)
  }
  /** The jobs of a key among the turns have changed. */
  #changed(entry: KeyEntry): void {
    const { jobs } = entry
    if (jobs.size === 0) return this.#rest(entry)
    if (entry.at < 0) return this.#nextChanged(entry)
    // Where keys share, a key keeps its place, whatever its jobs are.
    if (this.policy.order === 'fair') return
    const { priority, seq } = jobs.first as JobRecord
    if (entry.tag === priority && entry.tie === seq) return
    entry.tag = priority
    entry.tie = seq
    this.#turns.moved(entry)
  }
  /** Perhaps another job is next in a key that is held up. It may cost less than the one that had no capacity. */
  #nextChanged(entry: KeyEntry): void {
    if (entry.refusal?.rule?.unit !== undefined) this.#recheck(entry, -Infinity)
  }
  /** The key has no job that waits. */
  #rest(entry: KeyEntry): void {
    if (entry.at >= 0) this.#turns.remove(entry)
    entry.tag = Number.NaN
    this.#forget(entry)
  }
  /** Something has changed that may have held the key up: it takes turns again, if it has jobs. The claim decides. */
  #recheck(entry: KeyEntry, now: number): void {
    if (entry.at >= 0) return
    this.#dropAlarm(entry)
    entry.refusal = undefined
    if (entry.jobs.size === 0) this.#forget(entry, now)
    else this.#enter(entry)
  }
  /** Drops what is known of a key that has no jobs, unless its former jobs still count. */
  #forget(entry: KeyEntry, now = -Infinity): void {
    this.#dropAlarm(entry)
    entry.refusal = undefined
    if (entry.bodies > 0) return
    const until = Math.max(entry.heldUntil, entry.rate?.emptyAt(now) ?? -Infinity)
    if (until > now) this.#setAlarm(this.#idle, entry, until)
    else this.#entries.forget(entry)
  }
  #setAlarm(alarms: Turns<Alarm>, entry: KeyEntry, until: number): void {
    entry.alarm ??= { entry, tag: until, tie: 0, at: -1 }
    entry.alarm.tag = until
    alarms.add(entry.alarm)
  }
  #dropAlarm({ alarm, refusal }: KeyEntry): void {
    if (alarm && alarm.at >= 0) (refusal ? this.#alarms : this.#idle).remove(alarm)
  }
}

function commonSettings(policy: KeysPolicy): KeySettings {
  return settingsOf(policy, undefined, 'any')
}
