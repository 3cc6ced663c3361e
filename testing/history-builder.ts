/** Builds a history by hand, with a method for each kind of entry: for counterexamples and for the tests of checkers. */

import { type KeysOptions, parseKeys } from '../lib/limits/keys.ts'
import type { RateRule } from '../lib/rate/rules.ts'
import type { Emitted, Entry, Fact, KeySet, Opened, PutCalled } from './entry.ts'

/** At most `limit` starts in any `perMs`. */
export function ruleOf(limit: number, perMs: number, more: Partial<RateRule> = {}): RateRule {
  return { limit, perMs, unit: undefined, burst: undefined, ...more }
}

export class HistoryBuilder {
  readonly entries: Entry[] = []
  #nowMs = 0
  #jumpMs = 0
  #process = 'a'
  #queue = 'q'
  #calls = 0
  readonly #runs = new Map<string, { attempt: number; fence: number }>()
  readonly #keys = new Map<string, string>()

  /** Sets the present instant. */
  at(ms: number): this {
    this.#nowMs = ms
    return this
  }
  /** The wall clock jumps. */
  jump(ms: number): this {
    this.#jumpMs += ms
    return this.add({ kind: 'jump', ms })
  }
  /** Sets the process of the following entries. */
  in(process: string): this {
    this.#process = process
    return this
  }
  /** Sets the queue of the following entries. */
  of(queue: string): this {
    this.#queue = queue
    return this
  }
  /** The number of the next call. */
  get call(): number {
    return this.#calls + 1
  }
  add(fact: Fact): this {
    const ofAll = fact.kind === 'crash' || fact.kind === 'jump' || fact.kind === 'block'
    this.entries.push({
      ...{ seq: this.entries.length + 1, nowMs: this.#nowMs, wallMs: this.#nowMs + this.#jumpMs },
      ...{ process: this.#process, queue: ofAll ? '' : this.#queue },
      ...fact,
    } as Entry)
    return this
  }
  /** A queue object: width 1, without a rate, with a handler. */
  opened(facts: Partial<Opened> = {}): this {
    return this.add({ kind: 'opened', width: 1, rules: [], paused: false, works: true, ...facts })
  }
  /** A queue object of width 10 that declares this for each key. */
  sharing(keys: KeysOptions, facts: Partial<Opened> = {}): this {
    return this.opened({ width: 10, keys: parseKeys('keys', keys), ...facts })
  }
  /** Adds a change of one key that is stored at once. */
  key(key: string, change: Omit<KeySet, 'kind' | 'call' | 'key'>): this {
    const call = ++this.#calls
    return this.add({ kind: 'key', call, key, ...change }).add({ kind: 'answered', of: 'key', call })
  }
  called(job: string, facts: Partial<PutCalled> = {}): this {
    if (facts.key !== undefined) this.#keys.set(job, facts.key)
    return this.add({ kind: 'put', call: ++this.#calls, job, priority: 0, ...facts })
  }
  /** Adds a put that is announced and accepted. */
  put(job: string, facts: Partial<PutCalled> = {}): this {
    this.called(job, facts).emitted(facts.delayMs || facts.runAtMs ? 'delayed' : 'pending', job)
    return this.add({ kind: 'accepted', call: this.#calls, job, existed: false })
  }
  emitted(event: string, job?: string, facts: Partial<Emitted> = {}): this {
    return this.add({ kind: 'emitted', event, ...(job !== undefined && { job }), ...facts })
  }
  /** Adds `underway` and the launch, each time with a fence above the last, and with the key of its put. */
  start(job: string, attempt = 1, facts: { fence?: number; restored?: string; crashes?: number } = {}): this {
    const run = { attempt, fence: facts.fence ?? (this.#runs.get(job)?.fence ?? 0) + 1 }
    this.#runs.set(job, run)
    const key = this.#keys.get(job)
    const known = key === undefined ? facts : { key, ...facts }
    return this.emitted('underway', job, { attempt }).add({ kind: 'launch', job, ...run, ...known })
  }
  /** Its body ends. */
  release(job: string, facts: { code?: string; afterMs?: number; heldKey?: string; heldRule?: string } = {}): this {
    const how = facts.code === undefined ? 'returned' : 'threw'
    return this.add({ kind: 'release', job, ...(this.#runs.get(job) ?? { attempt: 1 }), how, ...facts })
  }
  /** Announces how the job ended. */
  announced(job: string, event: 'finished' | 'failed' | 'cancelled' = 'finished'): this {
    return this.emitted(event, job, { state: event }).emitted('settled', job)
  }
  /** Its body ends, and `finished` is announced. */
  end(job: string): this {
    return this.release(job).announced(job)
  }
  /** Adds a command and its successful reply. */
  change(
    kind: 'cancel' | 'retry' | 'remove' | 'reprioritize' | 'reschedule' | 'promote',
    job: string,
    more?: number,
  ): this {
    const call = ++this.#calls
    const facts = more === undefined ? {} : kind === 'reschedule' ? { delayMs: more } : { priority: more }
    this.add({ kind, call, job, ...facts })
    if (kind === 'cancel') this.announced(job, 'cancelled')
    if (kind === 'retry' || kind === 'promote') this.emitted('pending', job)
    if (kind === 'reschedule') this.emitted('delayed', job)
    return this.add({ kind: 'answered', of: kind, call, value: true })
  }
  /** Adds a stop that resolves, with the jobs left, returned and abandoned. */
  stop(facts: { left?: number; returned?: readonly string[]; abandoned?: readonly string[] } = {}): this {
    const call = ++this.#calls
    return this.add({ kind: 'stop', call }).add({ kind: 'answered', of: 'stop', call, left: 0, ...facts })
  }
  /** The process dies. */
  crash(): this {
    return this.add({ kind: 'crash' })
  }
  /** Adds the inventory at the end: each job with its state, and counters that agree unless they are given. */
  found(jobs: Readonly<Record<string, Emitted['state']>>, counts: Partial<Record<string, number>> = {}): this {
    const states = Object.values(jobs)
    const count = (state: string): number => counts[state] ?? states.filter(each => each === state).length
    return this.add({
      kind: 'inventory',
      counts: {
        ...{ pending: count('pending'), delayed: count('delayed'), underway: count('underway') },
        ...{ finished: count('finished'), failed: count('failed'), cancelled: count('cancelled') },
      },
      jobs: Object.entries(jobs).map(([id, state]) => ({ id, state: state ?? 'pending', attempt: 1 })),
    })
  }
}
