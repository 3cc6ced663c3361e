/** The rows of jobs that are put. durable/execute/requests.ts decides which are refused and which exist. */
import type { StateCounts } from '../../../lib/backlog.ts'
import { dueOf } from '../../../lib/decisions/due.ts'
import type { JobState } from '../../../lib/job.ts'
import type { Existed, PutJobs, PutStore } from '../../durable/execute/requests.ts'
import type { JobRow, JobRowExtras, RowRef } from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { GeneratedIds } from '../tables/generated-ids.ts'
import type { JobBody, JobRows, NewJob } from '../tables/job.ts'
import type { JobLocations, MovingFields } from '../tables/location.ts'
import type { QueueRow, QueueTable } from '../tables/queue.ts'
import type { ReadyRanges } from '../tables/ready-range.ts'
import { givenId } from '../tables/schema.ts'
import { isBefore, type JobPosition, type KeyTurns } from './key-turns.ts'
import type { Limits } from './limits.ts'

export interface PutParts {
  readonly db: SqliteDatabase
  readonly queues: QueueTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly generatedIds: GeneratedIds
  readonly limits: Limits
  /** Undefined in a transaction of the user: a claim sorts these jobs by key. */
  readonly keyTurns: KeyTurns | undefined
  readonly readyRanges: ReadyRanges
  readonly fileClock: FileClock
}

export class Puts implements PutStore<QueueRow> {
  readonly limits: Limits
  readonly #parts: PutParts
  readonly #remembered: SqliteStatement
  readonly #manyReady: SqliteStatement

  constructor(parts: PutParts) {
    const { db } = parts
    this.#parts = parts
    this.limits = parts.limits
    this.#remembered = db
      .prepare('select fingerprint, state from rdq_remembered_id where queue = ? and id = ? and forget_at > ?')
      .raw()
    this.#manyReady = db.prepare(`
      insert into rdq_ready (epoch, priority, seq, attempt, fence, crashes, flags)
      select ?, priority, seq, 0, 0, 0, 0 from rdq_job where seq >= ? and seq < ?`)
  }

  // The operations of `put`. The instants they get are those of the host, which they convert to the clock of the file.
  row(queue: QueueRow, target: RowRef): JobRow | undefined {
    return this.#parts.jobRows.row(queue, target)
  }
  remembered(queue: QueueRow, id: string, now: number): { fingerprint: string; state: JobState } | undefined {
    const at = this.#parts.fileClock.toFile(now)
    const row = this.#remembered.get(queue.queueId, id, at) as [string, JobState] | undefined
    return row && { fingerprint: row[0], state: row[1] }
  }
  counts(queue: QueueRow): StateCounts {
    return queue.count()
  }
  addJobs(queue: QueueRow, request: PutJobs, existed: Existed): number {
    const extrasAt = new Map(request.extras)
    const { queues, jobRows, locations, fileClock, generatedIds, readyRanges, keyTurns } = this.#parts
    const { ids, payloads, priorities, queuedAt, wall } = request
    const now = fileClock.toFile(request.now)
    const inFile = (at: number | undefined): number | undefined => (at === undefined ? undefined : fileClock.toFile(at))
    const first = queues.seqs(queue, ids.length)
    let seq = first
    // From here on plain jobs wait for one statement that makes all of them ready.
    let rangeFrom = first
    const bodies: NewJob[] = []
    const flush = (): void => {
      jobRows.put(queue, bodies.splice(0))
      if (seq === rangeFrom) return
      if (priorities === undefined) readyRanges.add(queue.epoch, rangeFrom, seq - rangeFrom)
      else this.#manyReady.run(queue.epoch, rangeFrom, seq)
      queue.countMove(undefined, 'pending', seq - rangeFrom)
    }
    // Jobs that are sorted by key at once.
    const sorts = keyTurns !== undefined && queue.sorted
    const byKey: (readonly [key: string, MovingFields])[] = []
    // From here on jobs with generated ids wait to be recorded in one row.
    let unrecorded = 0
    const record = (to: number): void => {
      if (to > unrecorded) generatedIds.add(queue, ids.slice(unrecorded, to), seq - (to - unrecorded))
      unrecorded = to + 1
    }
    // The jobs are plain up to the first one with extras.
    const firstWithExtras = existed.size > 0 ? 0 : (request.extras[0]?.[0] ?? ids.length)
    const many = jobRows.insertPlain(queue, first, request, 0, firstWithExtras)
    seq += many
    for (let index = many; index < ids.length; index++) {
      if (existed.size > 0 && existed.has(index)) {
        record(index)
        continue
      }
      const extra = extrasAt.size > 0 ? extrasAt.get(index) : undefined
      const priority = priorities === undefined ? 0 : (priorities[index] as number)
      const head = { seq, id: ids[index] as string, payload: payloads[index] as string, priority }
      if (extra?.fingerprint !== undefined) record(index)
      const due = extra && dueOf({ dueAt: inFile(extra.dueAt), runAt: extra.runAt }, now, wall)
      const isSorted = sorts && extra?.key !== undefined && !due
      const listed = extra?.key !== undefined && !isSorted
      bodies.push({ ...head, queuedAt: queuedAt[index] as number, ...bodyOf(extra), listed })
      if (extra) {
        if (seq > rangeFrom) flush()
        const flags = extra.fingerprint === undefined ? 0 : givenId
        const job = { seq, priority, attempt: 0, fence: 0, crashes: 0, flags }
        if (isSorted) byKey.push([extra.key as string, job])
        else locations.add(queue, job, now, due)
        rangeFrom = seq + 1
      }
      seq++
    }
    flush()
    if (keyTurns && byKey.length > 0) this.#sortIn(keyTurns, queue, byKey)
    record(ids.length)
    // The whole request reserves seqs; jobs that existed need none.
    queue.nextSeq = seq
    queue.dirty = true
    return first
  }
  /** Adds jobs that may start to those of their keys, as a claim does with jobs that became ready. */
  #sortIn(keyTurns: KeyTurns, queue: QueueRow, jobs: readonly (readonly [key: string, MovingFields])[]): void {
    this.#parts.locations.addAllByKey(queue, jobs)
    queue.countMove(undefined, 'pending', jobs.length)
    const first = new Map<string, JobPosition>()
    for (const [key, job] of jobs) {
      const other = first.get(key)
      if (!other || isBefore(job, other)) first.set(key, job)
    }
    keyTurns.addWork(queue, first)
  }
}

function bodyOf(extra: JobRowExtras | undefined): Pick<JobBody, 'key' | 'fingerprint' | 'extras'> {
  if (extra === undefined) return none
  const { key, fingerprint, cost, retry, timeoutMs } = extra
  const hasNoOptions = cost === undefined && retry === undefined && timeoutMs === undefined
  return {
    key: key ?? null,
    fingerprint: fingerprint ?? null,
    extras: hasNoOptions ? null : JSON.stringify({ cost, retry, timeoutMs }),
  }
}
const none = Object.freeze({ key: null, fingerprint: null, extras: null })
