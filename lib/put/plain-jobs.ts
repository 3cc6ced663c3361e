/**
 * Plain jobs: many jobs of one turn of the loop that have nothing but a payload and an awaited `run()`, stored in two
 * columns.
 *
 * A record is most of the memory of such a job while it waits, and so most of the work of the garbage collector. It is
 * therefore created only when the job is claimed or looked at. From then on the cell holds the record.
 */
import type { PutBatch } from '../backlog.ts'
import { JobRecord } from '../job.ts'

/** The `memorySlot` of a record that waits among plain jobs. Other values are positions in a heap or in a ring. */
export const plainSlot = -2

/** The value of a cell whose job has ended. */
const gone = Symbol('gone')

export class PlainJobs implements PutBatch {
  /** The order of put of the first job; 0 until accepted. The others follow without a gap. */
  first = 0
  /** When the jobs were put, by the wall clock. */
  readonly wall: number
  readonly #cells: unknown[] = []
  readonly #answers: (((value: unknown) => void) | undefined)[] = []
  /** No job before this index waits any more. */
  #head = 0
  #left = 0
  /** All jobs as records, once a backlog without support for columns has iterated over them. */
  #unpacked: readonly JobRecord[] | undefined

  constructor(wall: number) {
    this.wall = wall
  }
  push(payload: unknown, answer: (value: unknown) => void): void {
    this.#cells.push(payload)
    this.#answers.push(answer)
    this.#left++
  }
  get length(): number {
    return this.#cells.length
  }
  get lastSeq(): number {
    return this.first + this.#cells.length - 1
  }
  /** How many jobs have not ended. */
  get left(): number {
    return this.#left
  }
  /** Whether no job waits here any more. Some may be underway, or wait elsewhere after an attempt. */
  get passed(): boolean {
    return this.#head === this.#cells.length
  }
  has(seq: number): boolean {
    return seq >= this.first && seq <= this.lastSeq
  }
  /** The record of the job with that order of put, created if necessary; undefined if the job has ended. */
  at(seq: number): JobRecord | undefined {
    return this.#record(seq - this.first)
  }
  /** The first job that waits. */
  next(): JobRecord | undefined {
    const cells = this.#cells
    while (this.#head < cells.length) {
      if (this.#waits(this.#head)) return this.#record(this.#head)
      this.#head++
    }
    return undefined
  }
  /** The job has ended. */
  drop(job: JobRecord): void {
    const index = job.seq - this.first
    if (this.#cells[index] !== job) return
    this.#cells[index] = gone
    this.#left--
  }
  /** The jobs that have not ended: as records, or by their order of put if there is no record yet. */
  *entries(): Generator<JobRecord | number> {
    for (let i = 0; i < this.#cells.length; i++) {
      const cell = this.#cells[i]
      if (cell instanceof JobRecord) yield cell
      else if (cell !== gone) yield this.first + i
    }
  }
  *waiting(): Generator<JobRecord> {
    if (this.#unpacked) return yield* this.#unpacked
    for (let i = this.#head; i < this.#cells.length; i++) if (this.#waits(i)) yield this.#record(i) as JobRecord
  }
  waitingBefore(seq: number): number {
    let count = 0
    const end = Math.min(seq - this.first, this.#cells.length)
    for (let i = this.#head; i < end; i++) if (this.#waits(i)) count++
    return count
  }
  [Symbol.iterator](): Iterator<JobRecord> {
    return this.records()[Symbol.iterator]()
  }
  /** All jobs as records that are not accepted yet, for a backlog without support for columns. */
  records(): readonly JobRecord[] {
    this.#unpacked ??= this.#cells.map((_, i) => {
      const record = this.#record(i) as JobRecord
      record.seq = 0
      record.memorySlot = -1
      return record
    })
    return this.#unpacked
  }
  #waits(index: number): boolean {
    const cell = this.#cells[index]
    return cell instanceof JobRecord ? cell.memorySlot === plainSlot : cell !== gone
  }
  #record(index: number): JobRecord | undefined {
    const cell = this.#cells[index]
    if (cell === gone) return undefined
    if (cell instanceof JobRecord) return cell
    const record = new JobRecord('', cell, 0, this.wall)
    record.seq = this.first + index
    record.memorySlot = plainSlot
    record.answer = this.#answers[index]
    this.#answers[index] = undefined
    this.#cells[index] = record
    return record
  }
}
