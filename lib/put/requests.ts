/** What is asked of the intake: puts, alone or many together, and changes that take their place among them. */
import { QueueStoppedError } from '../errors.ts'
import { JobRecord } from '../job.ts'
import { PlainJobs } from './plain-jobs.ts'

/** What was asked in one call of put or putMany: accepted all together or not at all. */
export interface Ask {
  /** The job of one that asks for a single one; else there are `records`. */
  readonly record: JobRecord | undefined
  readonly records: readonly JobRecord[]
  accepted(existed: Existed): void
  refused(error: unknown): void
}

/** For each record whose id was remembered, the job that stands for it. */
export type Existed = ReadonlyMap<JobRecord, JobRecord> | undefined

/** A change of what was put: made when all before it is in the backlog or waits for room, and before anything after it goes. */
export class Change {
  readonly make: () => void
  readonly refused: (error: unknown) => void

  constructor(make: () => void, refused: (error: unknown) => void) {
    this.make = make
    this.refused = refused
  }
}

/** Jobs to be put. */
export type Put = Ask | JobRecord | PlainJobs
/** What waits to set out, in its order. */
export type Asked = Put | Change

/** The error of a put that a stop has met, in the name of its call: `run` hands over the record itself, `put` and `putMany` an ask. */
export function stopRefusal(ask: Ask | JobRecord): QueueStoppedError {
  return new QueueStoppedError(ask instanceof JobRecord ? 'cannot run' : 'cannot put')
}

/** How many jobs it asks for. */
export function sizeOf(ask: Put): number {
  if (ask instanceof PlainJobs) return ask.length
  return ask instanceof JobRecord || ask.record !== undefined ? 1 : ask.records.length
}

/** Plain jobs among others are put as records, in their order. */
export function withRecords(asks: readonly Put[]): (Ask | JobRecord)[] {
  if (!asks.some(ask => ask instanceof PlainJobs)) return asks as (Ask | JobRecord)[]
  return asks.flatMap(ask => (ask instanceof PlainJobs ? ask.records() : ask))
}

export function recordsOf(asks: readonly (Ask | JobRecord)[]): JobRecord[] {
  const records: JobRecord[] = []
  for (const ask of asks) {
    if (ask instanceof JobRecord) records.push(ask)
    else if (ask.record !== undefined) records.push(ask.record)
    else for (const record of ask.records) records.push(record)
  }
  return records
}
