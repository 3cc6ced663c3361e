/**
 * Turns rows of the store into records: updates of the records that this process has, and snapshots of all other jobs.
 */
import { JobRecord, type RetryPolicy } from '../../lib/job.ts'
import { CheckpointValue } from '../../lib/text/checkpoint-value.ts'
import { valueFrom } from '../../lib/text/json.ts'
import type { StoreClock } from './clock-mapping.ts'
import { errorFromJson } from './error-from-json.ts'
import type { JobRow, JobRowExtras } from './store.ts'

export interface RowReader {
  /** A new record, to be filled in by the caller. */
  fresh(seq: number, id: string, queuedAt: number): JobRecord
  snapshot(row: JobRow, wall: number): JobRecord
  /** Updates a record of this process from a row. */
  update(record: JobRecord, row: JobRow): void
  /** Copies the data that few jobs have. */
  setExtras(record: JobRecord, row: JobRowExtras | undefined): void
}

export function rowReader(clock: StoreClock): RowReader {
  const setExtras = (record: JobRecord, row: JobRowExtras | undefined): void => {
    if (!row) return
    const { key, cost, retry, timeoutMs, dueAt, runAt, fingerprint, error, value, checkpoint, crashes } = row
    const extras = record.ensureExtras()
    extras.key = key
    extras.cost = cost
    extras.timeoutMs = timeoutMs
    extras.runAt = runAt
    extras.dueAt = dueAt === undefined ? undefined : clock.fromLatest(dueAt)
    extras.fingerprint = fingerprint
    if (retry !== undefined) extras.retry = retryFrom(retry)
    if (error === undefined) extras.error = undefined
    // An error object of this process is kept, because it has more than its decoded copy.
    else extras.error ??= errorFromJson(error)
    if (value !== undefined) {
      extras.value = parsed(value)
      extras.resultKept = true
    }
    if (crashes !== undefined) extras.crashes = crashes
    if (checkpoint !== undefined) extras.checkpoint = CheckpointValue.ofText(checkpoint)
  }
  const update = (record: JobRecord, row: JobRow): void => {
    const { priority, state, attempt, fence, crashes, startedAt, stoppedAt } = row
    // The job ended elsewhere, so the error of an earlier attempt here is not its reason.
    const elsewhere = state === 'cancelled' || (state === 'failed' && record.state !== 'underway')
    if (elsewhere && record.state !== state && record.extras) record.extras.error = undefined
    record.priority = priority
    record.attempt = attempt
    record.fence = fence
    record.state = state
    if (startedAt !== null && record.run === undefined) {
      record.run = { startedAt, stoppedAt: stoppedAt ?? undefined }
    }
    if (row.extras) setExtras(record, row.extras)
    else if (record.extras) record.extras.error = undefined
    if (crashes > 0 || record.extras) record.ensureExtras().crashes = crashes
  }
  return {
    setExtras,
    update,
    fresh(seq, id, queuedAt) {
      const record = new JobRecord(id, undefined, 0, queuedAt)
      record.seq = seq
      return record
    },
    snapshot(row, wall) {
      const record = this.fresh(row.seq, row.id, row.queuedAt)
      record.payload = parsed(row.payload)
      update(record, row)
      record.ensureExtras().asOf = wall
      return record
    },
  }
}

/** JSON has no Infinity, and writes it as null. */
function retryFrom(text: string): RetryPolicy | undefined {
  const retry = parsed(text) as RetryPolicy | null | undefined
  return retry ? { ...retry, attempts: retry.attempts ?? Infinity } : undefined
}

/** Returns undefined if foreign code has made the text unreadable. */
function parsed(text: string): unknown {
  try {
    return valueFrom(text)
  } catch {
    return undefined
  }
}
