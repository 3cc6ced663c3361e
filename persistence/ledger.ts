/**
 * All jobs that a backlog keeps, by order of put and by id; and the ids of those it has forgotten.
 *
 * Pages of a thousand by order of put: a job costs one slot, a Map entry would cost five. Made ids name the order of put,
 * so only given ids need an index.
 */

import type { Target } from '../lib/backlog.ts'
import { serialOf } from '../lib/id.ts'
import type { JobRecord, JobState } from '../lib/job.ts'

const pageBits = 10

interface Page {
  taken: number
  readonly jobs: (JobRecord | undefined)[]
}

/** An id whose job is gone. */
export interface Remembered {
  readonly fingerprint: string
  readonly state: JobState
  readonly forgetAt: number
}

export class Ledger {
  readonly #pages = new Map<number, Page>()
  readonly #given = new Map<string, JobRecord>()
  /** In the order in which they are forgotten, for all are remembered equally long. */
  readonly #remembered = new Map<string, Remembered>()

  add(job: JobRecord): void {
    const number = Math.floor(job.seq / 2 ** pageBits)
    let page = this.#pages.get(number)
    if (!page) this.#pages.set(number, (page = { taken: 0, jobs: [] }))
    page.jobs[job.seq % 2 ** pageBits] = job
    page.taken++
    if (job.extras?.fingerprint !== undefined) this.#given.set(job.id, job)
  }
  find(target: Target): JobRecord | undefined {
    if (typeof target !== 'string') return this.#at(target.seq) === target ? target : undefined
    const given = this.#given.get(target)
    if (given) return given
    const seq = serialOf(target)
    const job = seq === undefined ? undefined : this.#at(seq)
    return job?.id === target ? job : undefined
  }
  /** Forgets the job; its id, if it was given, is remembered for `idsMs` longer. */
  drop(job: JobRecord, now: number, idsMs: number): void {
    const number = Math.floor(job.seq / 2 ** pageBits)
    const page = this.#pages.get(number)
    if (page?.jobs[job.seq % 2 ** pageBits] !== job) return
    page.jobs[job.seq % 2 ** pageBits] = undefined
    page.taken--
    if (page.taken === 0) this.#pages.delete(number)
    const fingerprint = job.extras?.fingerprint
    if (fingerprint === undefined) return
    this.#given.delete(job.id)
    if (idsMs > 0) this.#remembered.set(job.id, { fingerprint, state: job.state, forgetAt: now + idsMs })
  }
  recall(id: string, now: number): Remembered | undefined {
    const remembered = this.#remembered.get(id)
    return remembered && remembered.forgetAt > now ? remembered : undefined
  }
  /** Forgets at most `most` ids whose time is over. */
  prune(now: number, most: number): void {
    let left = most
    for (const [id, remembered] of this.#remembered) {
      if (left-- <= 0 || remembered.forgetAt > now) return
      this.#remembered.delete(id)
    }
  }
  *[Symbol.iterator](): Generator<JobRecord> {
    for (const page of this.#pages.values()) for (const job of page.jobs) if (job) yield job
  }
  #at(seq: number): JobRecord | undefined {
    return this.#pages.get(Math.floor(seq / 2 ** pageBits))?.jobs[seq % 2 ** pageBits]
  }
}
