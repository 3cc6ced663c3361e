/**
 * The jobs that may start, in order of (priority, order of put).
 *
 * Most jobs arrive in that order already, so they stand in a ring, where both ends are O(1). A job that must go before the
 * ring's last one goes into a heap instead. The more important of the two heads is the next job.
 */
import type { JobRecord } from '../lib/job.ts'
import { Heap } from './heap.ts'

const leastRing = 16

/** A job in the ring says so by a place from here down, its position subtracted: the places in the heap are 0 or more. */
const ringBase = -2

export class Ready {
  readonly #heap = new Heap()
  #ring: (JobRecord | undefined)[] = new Array(leastRing)
  /** Positions only grow; a position's cell is its low bits. */
  #head = 0
  #tail = 0
  #holes = 0

  get size(): number {
    return this.#heap.size + this.#tail - this.#head - this.#holes
  }
  push(job: JobRecord): void {
    const last = this.#tail > this.#head ? this.#cell(this.#tail - 1) : undefined
    const inOrder =
      this.#tail === this.#head ||
      (last !== undefined && (last.priority < job.priority || (last.priority === job.priority && last.seq < job.seq)))
    if (!inOrder) return this.#heap.push(job, job.priority)
    if (this.#tail - this.#head === this.#ring.length) this.#resize(this.#ring.length * 2)
    job.place = ringBase - this.#tail
    this.#ring[this.#tail % this.#ring.length] = job
    this.#tail++
  }
  /** The next job, which stays. */
  get first(): JobRecord | undefined {
    const inRing = this.#head < this.#tail ? this.#cell(this.#head) : undefined
    const inHeap = this.#heap.first
    if (inHeap === undefined || inRing === undefined) return inRing ?? inHeap
    const less = inHeap.priority - inRing.priority || inHeap.seq - inRing.seq
    return less < 0 ? inHeap : inRing
  }
  remove(job: JobRecord): void {
    if (job.place >= 0) return this.#heap.remove(job)
    this.#ring[(ringBase - job.place) % this.#ring.length] = undefined
    job.place = -1
    this.#holes++
    // The ends hold jobs, never holes, so that the head is the next job and the tail the last.
    while (this.#head < this.#tail && this.#cell(this.#head) === undefined) this.#skip(1, 0)
    while (this.#head < this.#tail && this.#cell(this.#tail - 1) === undefined) this.#skip(0, 1)
    const taken = this.#tail - this.#head
    if (this.#ring.length > leastRing && taken * 8 < this.#ring.length) this.#resize(this.#ring.length / 4)
    else if (this.#holes > leastRing && this.#holes * 2 > taken) this.#close()
  }
  /** All of them, in no order. */
  *[Symbol.iterator](): Generator<JobRecord> {
    yield* [...this.#heap.jobs()]
    for (let at = this.#head; at < this.#tail; at++) {
      const job = this.#cell(at)
      if (job) yield job
    }
  }
  #cell(position: number): JobRecord | undefined {
    return this.#ring[position % this.#ring.length]
  }
  #skip(head: number, tail: number): void {
    this.#head += head
    this.#tail -= tail
    this.#holes--
  }
  #resize(length: number): void {
    const ring: (JobRecord | undefined)[] = new Array(Math.max(length, leastRing))
    for (let at = this.#head; at < this.#tail; at++) ring[at % ring.length] = this.#cell(at)
    this.#ring = ring
  }
  /** Moves the jobs together, when more than half of the ring is holes. */
  #close(): void {
    let to = this.#head
    for (let at = this.#head; at < this.#tail; at++) {
      const job = this.#cell(at)
      if (!job) continue
      this.#ring[at % this.#ring.length] = undefined
      this.#ring[to % this.#ring.length] = job
      job.place = ringBase - to
      to++
    }
    this.#tail = to
    this.#holes = 0
  }
}
