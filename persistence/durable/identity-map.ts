/**
 * The records of jobs that somebody in this process may look at: by their place in the order of put.
 *
 * One that is underway here, or whose result somebody waits for, is held. Any other stays only as long as its job is held
 * by a user, so that a million waiting jobs cost nothing here.
 */
import type { JobRecord } from '../../lib/job.ts'
import { PagedMap } from './paged-map.ts'

/** What is gone is looked for when there may be a lot of it: a look at each costs about as much as to have it once more. */
const minSweep = 16_384
const sweepGrowth = 4

export class IdentityMap {
  readonly #records = new PagedMap<JobRecord | WeakRef<JobRecord>>()
  /** By the fence of the claim: what is read of the job meanwhile may have a later one. */
  readonly #underway = new Map<JobRecord, number>()
  readonly #needVerdict = new Set<JobRecord>()
  #sweepAt = minSweep

  get size(): number {
    return this.#records.size
  }
  /** How many bodies run here. Jobs of which somebody is asked have none. */
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
  /** Accepted: held where something of this process hangs on it. */
  put(record: JobRecord): void {
    this.#set(record, isAwaited(record))
  }
  claim(record: JobRecord): void {
    this.#underway.set(record, record.fence)
    this.#set(record, true)
  }
  /** As `claim`, of a job whose run before a crash somebody is asked about. */
  awaitVerdict(record: JobRecord): void {
    this.claim(record)
    this.#needVerdict.add(record)
  }
  /** Somebody waits for its result: answers the record that is held, which may be another one of the same job. */
  hold(record: JobRecord): JobRecord {
    const held = this.get(record.seq) ?? record
    this.#set(held, true)
    return held
  }
  /** No body of this process is its run any more. */
  release(record: JobRecord): void {
    this.#needVerdict.delete(record)
    if (this.#underway.delete(record) && !isAwaited(record)) this.#set(record, false)
  }
  /** It has ended. One that the file keeps may be asked for again while its job is held. */
  end(record: JobRecord, kept: boolean): void {
    this.#needVerdict.delete(record)
    this.#underway.delete(record)
    if (kept) this.#set(record, false)
    else this.#records.delete(record.seq)
  }
  /** Those that something of this process hangs on. */
  awaited(): JobRecord[] {
    const held: JobRecord[] = []
    for (const [, found] of this.#records) if (!(found instanceof WeakRef) && isAwaited(found)) held.push(found)
    return held
  }
  runsHere(record: JobRecord): boolean {
    return this.#underway.has(record)
  }
  /** Of which claim it runs here; undefined when it does not. What is read of it meanwhile may be of a later one. */
  fenceOf(record: JobRecord): number | undefined {
    return this.#underway.get(record)
  }
  drop(seq: number): void {
    this.#records.delete(seq)
  }
  #set(record: JobRecord, held: boolean): void {
    this.#records.set(record.seq, held ? record : new WeakRef(record))
    if (this.#records.size >= this.#sweepAt) this.#sweep()
  }
  #sweep(): void {
    for (const [seq, found] of this.#records) {
      if (found instanceof WeakRef && found.deref() === undefined) this.#records.delete(seq)
    }
    this.#sweepAt = Math.max(minSweep, sweepGrowth * this.#records.size)
  }
}

/** Somebody waits for its result, or a signal may cancel it. */
export function isAwaited(record: JobRecord): boolean {
  return record.answer !== undefined || record.live !== undefined
}
