/** The entries of the intake: puts, of one job or of many, and commands between them. */
import { QueueStoppedError } from '../errors.ts'
import { JobRecord } from '../job.ts'
import { PlainJobs } from './plain-jobs.ts'

/** One call of put or putMany: all of its jobs are accepted, or none. */
export interface PutCall {
  /** The job of a single put; otherwise use `records`. */
  readonly record: JobRecord | undefined
  readonly records: readonly JobRecord[]
  accepted(existed: Existed): void
  refused(error: unknown): void
}

/** For each record whose id was remembered, the existing job. */
export type Existed = ReadonlyMap<JobRecord, JobRecord> | undefined

/**
 * A command. It runs when every put before it is in the backlog or waits for space, and before any put after it is sent.
 */
export class CommandEntry {
  readonly run: () => void
  readonly refused: (error: unknown) => void

  constructor(run: () => void, refused: (error: unknown) => void) {
    this.run = run
    this.refused = refused
  }
}

/** One put: the record itself for `run`, which needs no reply of its own, or a call of put or putMany. */
export type WaitingEntry = PutCall | JobRecord
/** The same, or many plain jobs. */
export type PutEntry = WaitingEntry | PlainJobs
/** The entries of the buffer, in order. */
export type BufferEntry = PutEntry | CommandEntry

/**
 * The error of a put that meets a stop, in the name of its call: an entry of `run` is the record itself, one of `put`
 * or `putMany` a PutCall.
 */
export function stopRefusal(entry: WaitingEntry): QueueStoppedError {
  return new QueueStoppedError(entry instanceof JobRecord ? 'cannot run' : 'cannot put')
}

/** How many jobs the entry contains. */
export function sizeOf(entry: PutEntry): number {
  if (entry instanceof PlainJobs) return entry.length
  return entry instanceof JobRecord || entry.record !== undefined ? 1 : entry.records.length
}

/** If there are other entries beside plain jobs, the plain ones are converted to records, in order. */
export function withRecords(entries: readonly PutEntry[]): WaitingEntry[] {
  if (!entries.some(entry => entry instanceof PlainJobs)) return entries as WaitingEntry[]
  return entries.flatMap(entry => (entry instanceof PlainJobs ? entry.records() : entry))
}

export function recordsOf(entries: readonly WaitingEntry[]): JobRecord[] {
  const records: JobRecord[] = []
  for (const entry of entries) {
    if (entry instanceof JobRecord) records.push(entry)
    else if (entry.record !== undefined) records.push(entry.record)
    else for (const record of entry.records) records.push(record)
  }
  return records
}

/** How many jobs may wait in the backlog, and whether a put beyond that waits, instead of being refused. */
export interface QueueBound {
  readonly waits: boolean
  readonly size: number
}
