/**
 * A queue of jobs that mostly leave in the order in which they arrived: both ends are O(1), and so is removal from the
 * middle.
 *
 * A job records its cell, so that it is removed without a search. The holes are closed when half of the ring is holes.
 * A batch of plain jobs shares one cell, from which its jobs leave one by one.
 */
import type { JobRecord } from '../../lib/job.ts'
import { PlainJobs, plainSlot } from '../../lib/put/plain-jobs.ts'
import { keepShapeAlive } from '../../lib/support/shape-samples.ts'

/** Few, because each key has a ring of its own. */
const minCells = 4
/** So few holes are not worth closing. */
const minHoles = 16

/** A job in a cell of its own has a `memorySlot` from here downward. Slots in a heap are 0 or more. */
const ringBase = plainSlot - 1

/** Whether the job is in a ring, in a cell of its own or in a shared one. */
export function inRing(job: JobRecord): boolean {
  return job.memorySlot <= plainSlot
}

type Cell = JobRecord | PlainJobs | undefined

export class Ring {
  #cells: Cell[] = new Array(minCells)
  /** Positions only grow. The low bits of a position are its cell. */
  #head = 0
  #tail = 0
  #holes = 0
  #jobs = 0
  /** The priority of all jobs of the ring. */
  readonly priority: number

  constructor(priority: number) {
    this.priority = priority
  }
  /** How many jobs the ring holds. */
  get size(): number {
    return this.#jobs
  }
  /** The job that leaves next. */
  get first(): JobRecord | undefined {
    while (this.#head < this.#tail) {
      const cell = this.#at(this.#head)
      if (!(cell instanceof PlainJobs)) return cell
      const job = cell.next()
      if (job) return job
      this.#clear(this.#head)
    }
    return undefined
  }
  /** The order of put of the job that arrived last; 0 when empty. */
  get lastSeq(): number {
    const cell = this.#head < this.#tail ? this.#at(this.#tail - 1) : undefined
    if (cell instanceof PlainJobs) return cell.lastSeq
    return cell?.seq ?? 0
  }
  push(job: JobRecord): void {
    job.memorySlot = ringBase - this.#tail
    this.#jobs++
    this.#append(job)
  }
  pushPlain(jobs: PlainJobs): void {
    this.#jobs += jobs.length
    this.#append(jobs)
  }
  /** Adds many jobs at once: most often all that were put in one turn of the loop. */
  pushAll(jobs: readonly JobRecord[]): void {
    const most = this.#tail - this.#head + jobs.length
    let { length } = this.#cells
    while (length < most) length *= 2
    if (length > this.#cells.length) this.#resize(length)
    const cells = this.#cells
    let tail = this.#tail
    for (let i = 0; i < jobs.length; i++) {
      const job = jobs[i] as JobRecord
      job.memorySlot = ringBase - tail
      cells[tail & (length - 1)] = job
      tail++
    }
    this.#tail = tail
    this.#jobs += jobs.length
  }
  remove(job: JobRecord): void {
    const { memorySlot } = job
    job.memorySlot = -1
    this.#jobs--
    // A job of a shared cell has already left it by its change of `memorySlot`.
    if (memorySlot !== plainSlot) this.#clear(ringBase - memorySlot)
  }
  /** How many jobs precede the one with that order of put. */
  before(seq: number): number {
    let count = 0
    for (let at = this.#head; at < this.#tail; at++) {
      const cell = this.#at(at)
      if (cell instanceof PlainJobs) count += cell.waitingBefore(seq)
      else if (cell && cell.seq < seq) count++
    }
    return count
  }
  *[Symbol.iterator](): Generator<JobRecord> {
    for (let at = this.#head; at < this.#tail; at++) {
      const cell = this.#at(at)
      if (cell instanceof PlainJobs) yield* cell.waiting()
      else if (cell) yield cell
    }
  }
  #at(position: number): Cell {
    return this.#cells[position & (this.#cells.length - 1)]
  }
  #append(cell: JobRecord | PlainJobs): void {
    if (this.#tail - this.#head === this.#cells.length) this.#resize(this.#cells.length * 2)
    this.#cells[this.#tail & (this.#cells.length - 1)] = cell
    this.#tail++
  }
  /** Empties a cell. Head and tail always point at jobs, never at holes; most jobs leave from the head. */
  #clear(position: number): void {
    const { length } = this.#cells
    this.#cells[position & (length - 1)] = undefined
    if (position === this.#head) {
      this.#head++
      while (this.#holes > 0 && this.#at(this.#head) === undefined) this.#skip(1, 0)
    } else {
      this.#holes++
      while (this.#holes > 0 && this.#at(this.#tail - 1) === undefined) this.#skip(0, 1)
    }
    const taken = this.#tail - this.#head
    if (length > minCells && taken * 8 < length) this.#resize(length / 4)
    else if (this.#holes > minHoles && this.#holes * 2 > taken) this.#close()
  }
  #skip(head: number, tail: number): void {
    this.#head += head
    this.#tail -= tail
    this.#holes--
  }
  #resize(length: number): void {
    const from = this.#cells
    const cells: Cell[] = new Array(Math.max(length, minCells))
    for (let at = this.#head; at < this.#tail; at++) cells[at & (cells.length - 1)] = from[at & (from.length - 1)]
    this.#cells = cells
  }
  /** Closes the holes. */
  #close(): void {
    const cells = this.#cells
    const mask = cells.length - 1
    let to = this.#head
    for (let at = this.#head; at < this.#tail; at++) {
      const cell = cells[at & mask]
      if (!cell) continue
      cells[at & mask] = undefined
      cells[to & mask] = cell
      if (!(cell instanceof PlainJobs)) cell.memorySlot = ringBase - to
      to++
    }
    this.#tail = to
    this.#holes = 0
  }
}

keepShapeAlive(new Ring(0))
