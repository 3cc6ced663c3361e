/**
 * The keys that `Throttled` holds in a queue that has no `keys`, and their jobs. A claim that comes to a job of a held key
 * sets it aside, so that no later claim passes it again. With `keys` ready-by-key.ts does this.
 */
import type { JobRecord } from '../../lib/job.ts'

interface HeldKey {
  until: number
  readonly aside: Set<JobRecord>
}

export class HeldKeys {
  readonly #keys = new Map<string, HeldKey>()

  /** Until when the key is held; undefined if it is not. */
  until(key: string): number | undefined {
    return this.#keys.get(key)?.until
  }
  hold(key: string, until: number): void {
    const known = this.#keys.get(key)
    if (known) known.until = Math.max(known.until, until)
    else this.#keys.set(key, { until, aside: new Set() })
  }
  /** Sets the job aside if its key is held. Returns whether it is. */
  setAside(job: JobRecord): boolean {
    const key = this.#of(job)
    key?.aside.add(job)
    return key !== undefined
  }
  has(job: JobRecord): boolean {
    return this.#of(job)?.aside.has(job) === true
  }
  /** Returns whether it was here. */
  remove(job: JobRecord): boolean {
    return this.#of(job)?.aside.delete(job) === true
  }
  /** The jobs that are set aside. */
  *jobs(): Generator<JobRecord> {
    for (const { aside } of this.#keys.values()) yield* aside
  }
  /** Any of them. */
  get any(): JobRecord | undefined {
    for (const job of this.jobs()) return job
    return undefined
  }
  /** Forgets the holds that are over by `now`. Returns their jobs. */
  takeExpired(now: number): JobRecord[] {
    const jobs: JobRecord[] = []
    for (const [key, { until, aside }] of this.#keys) {
      if (until > now) continue
      // Not `push(...aside)`: there may be more jobs than a call has arguments.
      for (const job of aside) jobs.push(job)
      this.#keys.delete(key)
    }
    return jobs
  }
  /** Of the holds that keep jobs back, the one that ends first. */
  get first(): { readonly key: string; readonly until: number } | undefined {
    let first: { readonly key: string; readonly until: number } | undefined
    for (const [key, { until, aside }] of this.#keys) {
      if (aside.size > 0 && !(first && first.until <= until)) first = { key, until }
    }
    return first
  }
  /** Forgets all holds. Returns them, with the jobs of each. */
  takeAll(): [key: string, HeldKey][] {
    const all = [...this.#keys]
    this.#keys.clear()
    return all
  }
  #of({ extras }: JobRecord): HeldKey | undefined {
    return extras?.key === undefined ? undefined : this.#keys.get(extras.key)
  }
}
