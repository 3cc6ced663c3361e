/**
 * Jobs that arrived in the order in which they leave: both ends are O(1), and so is leaving from the middle.
 *
 * A job knows its cell by its place, so that it is taken out without a search; the hole that it leaves is closed when
 * half of the ring is holes.
 */
import type { JobRecord } from '../lib/job.ts'

const leastCells = 16

/** A job in a ring says so by a place from here down, its position subtracted: the places in a heap are 0 or more. */
const ringBase = -2

/** Whether that job stands in a ring. */
export function inRing(job: JobRecord): boolean {
  return job.place <= ringBase
}

export class Ring {
  #cells: (JobRecord | undefined)[] = new Array(leastCells)
  /** Positions only grow; a position's cell is its low bits. */
  #head = 0
  #tail = 0
  #holes = 0

  get size(): number {
    return this.#tail - this.#head - this.#holes
  }
  /** The job that leaves first. */
  get first(): JobRecord | undefined {
    return this.#head < this.#tail ? this.#cells[this.#head % this.#cells.length] : undefined
  }
  /** The job that arrived last. */
  get last(): JobRecord | undefined {
    return this.#head < this.#tail ? this.#cells[(this.#tail - 1) % this.#cells.length] : undefined
  }
  /** Many at once: all that was put in one turn of the loop, most often. */
  pushAll(jobs: readonly JobRecord[]): void {
    const most = this.#tail - this.#head + jobs.length
    let { length } = this.#cells
    while (length < most) length *= 2
    if (length > this.#cells.length) this.#resize(length)
    const cells = this.#cells
    let tail = this.#tail
    for (let i = 0; i < jobs.length; i++) {
      const job = jobs[i] as JobRecord
      job.place = ringBase - tail
      cells[tail % length] = job
      tail++
    }
    this.#tail = tail
  }
  push(job: JobRecord): void {
    if (this.#tail - this.#head === this.#cells.length) this.#resize(this.#cells.length * 2)
    job.place = ringBase - this.#tail
    this.#cells[this.#tail % this.#cells.length] = job
    this.#tail++
  }
  remove(job: JobRecord): void {
    const cells = this.#cells
    const { length } = cells
    const position = ringBase - job.place
    cells[position % length] = undefined
    job.place = -1
    // The ends hold jobs, never holes. Most jobs leave from the head.
    if (position === this.#head) {
      this.#head++
      while (this.#holes > 0 && cells[this.#head % length] === undefined) this.#skip(1, 0)
    } else {
      this.#holes++
      while (this.#holes > 0 && cells[(this.#tail - 1) % length] === undefined) this.#skip(0, 1)
    }
    const taken = this.#tail - this.#head
    if (length > leastCells && taken * 8 < length) this.#resize(length / 4)
    else if (this.#holes > leastCells && this.#holes * 2 > taken) this.#close()
  }
  *[Symbol.iterator](): Generator<JobRecord> {
    for (let at = this.#head; at < this.#tail; at++) {
      const job = this.#cells[at % this.#cells.length]
      if (job) yield job
    }
  }
  #skip(head: number, tail: number): void {
    this.#head += head
    this.#tail -= tail
    this.#holes--
  }
  #resize(length: number): void {
    const from = this.#cells
    const cells: (JobRecord | undefined)[] = new Array(Math.max(length, leastCells))
    for (let at = this.#head; at < this.#tail; at++) cells[at % cells.length] = from[at % from.length]
    this.#cells = cells
  }
  /** Moves the jobs together. */
  #close(): void {
    const cells = this.#cells
    let to = this.#head
    for (let at = this.#head; at < this.#tail; at++) {
      const job = cells[at % cells.length]
      if (!job) continue
      cells[at % cells.length] = undefined
      cells[to % cells.length] = job
      job.place = ringBase - to
      to++
    }
    this.#tail = to
    this.#holes = 0
  }
}
