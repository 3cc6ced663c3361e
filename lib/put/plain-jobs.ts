/**
 * Jobs that are nothing but a payload and an answer that `run()` waits for: many of one turn of the loop, in two columns.
 *
 * A record is most of what such a job weighs while it waits, and what weighs is what the garbage collector carries about. So
 * it is made when the job is claimed, or when somebody asks for it. From then on its cell holds the record.
 */
import type { PutBatch } from '../backlog.ts'
import { JobRecord } from '../job.ts'

/** Where a record says that it waits, when it waits among plain jobs: other places are in a heap or in a ring. */
export const plainSlot = -2

/** What a cell holds whose job has ended. */
const gone = Symbol('gone')

export class PlainJobs implements PutBatch {
  /** The order of put of the first; 0 until accepted. The others follow without a gap. */
  first = 0
  readonly #wall: number
  readonly #cells: unknown[] = []
  readonly #answers: (((value: unknown) => void) | undefined)[] = []
  /** None before it waits any more. */
  #head = 0
  #left = 0
  /** All as records, once a backlog that knows no columns has iterated over them. */
  #unpacked: readonly JobRecord[] | undefined

  constructor(wall: number) {
    this.#wall = wall
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
  /** How many have not ended. */
  get left(): number {
    return this.#left
  }
  /** Whether none waits here any more. Some may be underway, or wait elsewhere after an attempt. */
  get passed(): boolean {
    return this.#head === this.#cells.length
  }
  has(seq: number): boolean {
    return seq >= this.first && seq <= this.lastSeq
  }
  /** The record of the job of that place in the order of put, made if it is none yet; undefined when it has ended. */
  at(seq: number): JobRecord | undefined {
    return this.#record(seq - this.first)
  }
  /** The first that waits. */
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
  /** Those that have not ended, as records or, where there is none yet, by their order of put. */
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
  /** All as records that are not accepted yet, for a backlog that knows no columns. */
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
    const record = new JobRecord('', cell, 0, this.#wall)
    record.seq = this.first + index
    record.memorySlot = plainSlot
    record.answer = this.#answers[index]
    this.#answers[index] = undefined
    this.#cells[index] = record
    return record
  }
}
