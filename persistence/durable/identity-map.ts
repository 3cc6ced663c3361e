/**
 * The one record of each job that code in this process may look at, by seq.
 *
 * Records of jobs that run here, or whose result is awaited, are referenced strongly, all others weakly. So a million
 * waiting jobs that nobody holds cost nothing here.
 */
import type { JobRecord } from '../../lib/job.ts'

/** Collected records are removed by sweeps, when the map has grown by this factor: a sweep visits every entry. */
const minSweep = 16_384
const sweepGrowth = 4

export class IdentityMap {
  readonly #records = new Map<number, JobRecord | WeakRef<JobRecord>>()
  /**
   * The fence of each claim. The record's own fence may be newer, because every reply that contains the job updates it.
   */
  readonly #underway = new Map<JobRecord, number>()
  readonly #needVerdict = new Set<JobRecord>()
  #sweepAt = minSweep

  get size(): number {
    return this.#records.size
  }
  /** How many bodies run here. Jobs that await a verdict (`afterCrash`) have none. */
  get bodies(): number {
    return this.#underway.size - this.#needVerdict.size
  }
  get(seq: number): JobRecord | undefined {
    const found = this.#records.get(seq)
    if (!(found instanceof WeakRef)) return found
    const record = found.deref()
    if (!record) this.#records.delete(seq)
    return record
  }
  /** The job was accepted. Its record is referenced strongly while its result is awaited. */
  put(record: JobRecord): void {
    this.#set(record, isAwaited(record))
  }
  claim(record: JobRecord): void {
    this.#underway.set(record, record.fence)
    this.#set(record, true)
  }
  /** Same as `claim`, for a job whose process crashed and that now awaits a verdict. */
  awaitVerdict(record: JobRecord): void {
    this.claim(record)
    this.#needVerdict.add(record)
  }
  /** The result of the job is awaited. Returns the record that this process follows, which may be another object. */
  follow(record: JobRecord): JobRecord {
    const followed = this.get(record.seq) ?? record
    this.#set(followed, true)
    return followed
  }
  /** The job does not run here any more. */
  noLongerRuns(record: JobRecord): void {
    this.#needVerdict.delete(record)
    if (this.#underway.delete(record) && !isAwaited(record)) this.#set(record, false)
  }
  /** The job has ended. If the store keeps it, its record stays as long as somebody holds the job. */
  end(record: JobRecord, kept: boolean): void {
    this.#needVerdict.delete(record)
    this.#underway.delete(record)
    if (kept) this.#set(record, false)
    else this.#records.delete(record.seq)
  }
  /** The records of jobs whose result is awaited in this process. */
  awaited(): JobRecord[] {
    const awaited: JobRecord[] = []
    for (const [, found] of this.#records) if (!(found instanceof WeakRef) && isAwaited(found)) awaited.push(found)
    return awaited
  }
  runsHere(record: JobRecord): boolean {
    return this.#underway.has(record)
  }
  /** The fence of the claim with which the job runs here; undefined if it does not run here. */
  fenceOf(record: JobRecord): number | undefined {
    return this.#underway.get(record)
  }
  #set(record: JobRecord, isStrong: boolean): void {
    this.#records.set(record.seq, isStrong ? record : new WeakRef(record))
    if (this.#records.size >= this.#sweepAt) this.#sweep()
  }
  #sweep(): void {
    for (const [seq, found] of this.#records) {
      if (found instanceof WeakRef && found.deref() === undefined) this.#records.delete(seq)
    }
    this.#sweepAt = Math.max(minSweep, sweepGrowth * this.#records.size)
  }
}

/** Whether the result of the job is awaited, or a signal may cancel it. */
export function isAwaited(record: JobRecord): boolean {
  return record.answer !== undefined || record.live !== undefined
}
