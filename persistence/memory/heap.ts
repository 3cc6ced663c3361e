/**
 * A heap that records the index of each job in the job, so that a job in the middle can be removed in O(log n).
 *
 * Each node has four children: the tree is half as deep as with two, and the keys of siblings are adjacent. The keys
 * are in arrays of numbers beside the jobs, so that sifting touches only the jobs it moves.
 */
import type { JobRecord } from '../../lib/job.ts'

export class Heap {
  readonly #jobs: JobRecord[] = []
  readonly #keys: number[] = []

  get size(): number {
    return this.#jobs.length
  }
  get first(): JobRecord | undefined {
    return this.#jobs[0]
  }
  /** The smallest key; Infinity when empty. */
  get firstKey(): number {
    return this.#keys[0] ?? Infinity
  }
  jobs(): readonly JobRecord[] {
    return this.#jobs
  }
  /** The smallest key leaves first; among equals the job that was put first. */
  push(job: JobRecord, key: number): void {
    this.#rise(this.#jobs.length, job, key)
  }
  pop(): JobRecord | undefined {
    const job = this.#jobs[0]
    if (job) this.remove(job)
    return job
  }
  remove(job: JobRecord): void {
    const hole = job.memorySlot
    const last = this.#jobs.pop() as JobRecord
    const key = this.#keys.pop() as number
    job.memorySlot = -1
    if (last === job) return
    if (hole > 0 && this.#before(key, last, (hole - 1) >> 2)) this.#rise(hole, last, key)
    else this.#sink(hole, last, key)
  }
  #before(key: number, job: JobRecord, at: number): boolean {
    const other = this.#keys[at] as number
    return key < other || (key === other && job.seq < (this.#jobs[at] as JobRecord).seq)
  }
  #set(at: number, job: JobRecord, key: number): void {
    this.#jobs[at] = job
    this.#keys[at] = key
    job.memorySlot = at
  }
  #rise(from: number, job: JobRecord, key: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 2
      if (!this.#before(key, job, parent)) break
      this.#set(at, this.#jobs[parent] as JobRecord, this.#keys[parent] as number)
      at = parent
    }
    this.#set(at, job, key)
  }
  #sink(from: number, job: JobRecord, key: number): void {
    const size = this.#jobs.length
    let at = from
    for (;;) {
      const start = at * 4 + 1
      if (start >= size) break
      let least = start
      const end = Math.min(start + 4, size)
      for (let child = start + 1; child < end; child++) {
        if (this.#before(this.#keys[child] as number, this.#jobs[child] as JobRecord, least)) least = child
      }
      if (this.#before(key, job, least)) break
      this.#set(at, this.#jobs[least] as JobRecord, this.#keys[least] as number)
      at = least
    }
    this.#set(at, job, key)
  }
}
