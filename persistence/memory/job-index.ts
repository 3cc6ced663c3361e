/**
 * All jobs that a backlog keeps, by order of put and by id, and the ids of those it has forgotten.
 *
 * Jobs are stored by order of put, in pages of a thousand: a job costs one slot, where a Map entry would cost five. A
 * generated id contains the order of put, so only given ids need an index.
 */

import type { JobRef } from '../../lib/backlog.ts'
import type { JobRecord } from '../../lib/job.ts'
import { serialOf } from '../../lib/job-id.ts'
import type { PlainJobs } from '../../lib/put/plain-jobs.ts'
import { type Remembered, RememberedIds } from './remembered-ids.ts'

const pageSize = 1_024

interface Page {
  readonly number: number
  taken: number
  readonly jobs: (JobRecord | undefined)[]
}

export class JobIndex {
  readonly #pages = new Map<number, Page>()
  /** The page used last: the next job is most often on it too. */
  #near: Page | undefined
  /** Batches of plain jobs, in the order of put. */
  #plain: PlainJobs[] = []
  readonly #given = new Map<string, JobRecord>()
  readonly #remembered = new RememberedIds()

  add(job: JobRecord): void {
    const page = this.#pageFor(Math.floor(job.seq / pageSize))
    page.jobs[job.seq % pageSize] = job
    page.taken++
    if (job.extras?.fingerprint !== undefined) this.#given.set(job.id, job)
  }
  /** Adds new jobs without given ids. Their order of put must have no gaps. */
  addAll(jobs: readonly JobRecord[], first: number): void {
    for (let from = 0; from < jobs.length; ) {
      const seq = first + from
      const page = this.#pageFor(Math.floor(seq / pageSize))
      const cell = seq % pageSize
      const many = Math.min(pageSize - cell, jobs.length - from)
      for (let i = 0; i < many; i++) page.jobs[cell + i] = jobs[from + i]
      page.taken += many
      from += many
    }
  }
  addPlain(jobs: PlainJobs): void {
    this.#plain.push(jobs)
  }
  find(target: JobRef): JobRecord | undefined {
    if (typeof target !== 'string') return this.at(target.seq) === target ? target : undefined
    const given = this.#given.get(target)
    if (given) return given
    const seq = serialOf(target)
    const job = seq === undefined ? undefined : this.at(seq)
    return job?.id === target ? job : undefined
  }
  /** Forgets the job. A given id is remembered for `idsMs` longer, as one of the last `idsMost`. */
  drop(job: JobRecord, now: number, idsMs: number, idsMost: number): void {
    const page = this.#page(Math.floor(job.seq / pageSize))
    if (page?.jobs[job.seq % pageSize] !== job) return this.#dropPlain(job)
    page.jobs[job.seq % pageSize] = undefined
    page.taken--
    if (page.taken === 0) {
      this.#pages.delete(page.number)
      this.#near = undefined
    }
    const fingerprint = job.extras?.fingerprint
    if (fingerprint === undefined) return
    this.#given.delete(job.id)
    if (idsMs > 0) this.#remembered.add({ id: job.id, fingerprint, state: job.state, forgetAt: now + idsMs }, idsMost)
  }
  recall(id: string, now: number): Remembered | undefined {
    return this.#remembered.recall(id, now)
  }
  /** Frees the id. Returns whether it was remembered. */
  forget(id: string, now: number): boolean {
    return this.#remembered.forget(id, now)
  }
  /** Forgets at most `count` ids: the expired ones, and those beyond `most`. */
  prune(now: number, count: number, most: number): void {
    this.#remembered.prune(now, count, most)
  }
  /** All kept jobs. A job without a record yet is given as its order of put. */
  *entries(): Generator<JobRecord | number> {
    for (const page of this.#pages.values()) for (const job of page.jobs) if (job) yield job
    for (const jobs of this.#plain) yield* jobs.entries()
  }
  at(seq: number): JobRecord | undefined {
    return this.#page(Math.floor(seq / pageSize))?.jobs[seq % pageSize] ?? this.#plainOf(seq)?.at(seq)
  }
  #plainOf(seq: number): PlainJobs | undefined {
    const [oldest] = this.#plain
    if (oldest?.has(seq)) return oldest
    let low = 0
    let high = this.#plain.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const jobs = this.#plain[middle] as PlainJobs
      if (jobs.has(seq)) return jobs
      if (jobs.first < seq) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
  /**
   * The last few jobs of a large batch move to slots of their own, so that they do not keep the batch's arrays in
   * memory.
   */
  #dropPlain(job: JobRecord): void {
    const jobs = this.#plainOf(job.seq)
    if (!jobs) return
    jobs.drop(job)
    if (!jobs.passed || jobs.left * 8 > jobs.length) return
    this.#plain = this.#plain.filter(others => others !== jobs)
    for (const left of jobs.entries()) this.add(left as JobRecord)
  }
  #pageFor(number: number): Page {
    let page = this.#page(number)
    if (!page) {
      page = this.#near = { number, taken: 0, jobs: new Array(pageSize) }
      this.#pages.set(number, page)
    }
    return page
  }
  #page(number: number): Page | undefined {
    if (this.#near?.number === number) return this.#near
    const page = this.#pages.get(number)
    if (page) this.#near = page
    return page
  }
}
