/** What is asked of the intake: puts, alone or many together, and changes that take their place among them. */
import { QueueStoppedError } from '../errors.ts'
import { JobRecord } from '../job.ts'
import { PlainJobs } from './plain-jobs.ts'

/** What was asked in one call of put or putMany: accepted all together or not at all. */
export interface PutCall {
  /** The job of one that asks for a single one; else there are `records`. */
  readonly record: JobRecord | undefined
  readonly records: readonly JobRecord[]
  accepted(existed: Existed): void
  refused(error: unknown): void
}

/** For each record whose id was remembered, the job that stands for it. */
export type Existed = ReadonlyMap<JobRecord, JobRecord> | undefined

/** A change of what was put: made when all before it is in the backlog or waits for room, and before anything after it goes. */
export class CommandEntry {
  readonly run: () => void
  readonly refused: (error: unknown) => void

  constructor(make: () => void, refused: (error: unknown) => void) {
    this.run = make
    this.refused = refused
  }
}

/** Jobs to be put. */
export type PutEntry = PutCall | JobRecord | PlainJobs
/** What waits to set out, in its order. */
export type BufferEntry = PutEntry | CommandEntry

/** The error of a put that a stop has met, in the name of its call: `run` hands over the record itself, `put` and `putMany` an ask. */
export function stopRefusal(entry: PutCall | JobRecord): QueueStoppedError {
  return new QueueStoppedError(entry instanceof JobRecord ? 'cannot run' : 'cannot put')
}

/** How many jobs it asks for. */
export function sizeOf(entry: PutEntry): number {
  if (entry instanceof PlainJobs) return entry.length
  return entry instanceof JobRecord || entry.record !== undefined ? 1 : entry.records.length
}

/** Plain jobs among others are put as records, in their order. */
export function withRecords(entries: readonly PutEntry[]): (PutCall | JobRecord)[] {
  if (!entries.some(entry => entry instanceof PlainJobs)) return entries as (PutCall | JobRecord)[]
  return entries.flatMap(entry => (entry instanceof PlainJobs ? entry.records() : entry))
}

export function recordsOf(entries: readonly (PutCall | JobRecord)[]): JobRecord[] {
  const records: JobRecord[] = []
  for (const entry of entries) {
    if (entry instanceof JobRecord) records.push(entry)
    else if (entry.record !== undefined) records.push(entry.record)
    else for (const record of entry.records) records.push(record)
  }
  return records
}
