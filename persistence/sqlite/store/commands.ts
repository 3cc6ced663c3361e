/** The rows that the commands of users change. durable/execute/command.ts decides what a command does. */
import type { StateCounts } from '../../../lib/backlog.ts'
import { isWaiting } from '../../../lib/decisions/command-states.ts'
import type { Due } from '../../../lib/decisions/due.ts'
import { resetByRetry } from '../../../lib/decisions/transitions.ts'
import type { JobState } from '../../../lib/job.ts'
import type { CommandStore } from '../../durable/execute/command.ts'
import { unrun } from '../../durable/execute/moves.ts'
import type { CommandReply, JobRow, RowRef } from '../../durable/store.ts'
import { limitParameter, type SqliteDatabase, type SqliteStatement } from '../file/database.ts'
import type { CancelRequests } from '../tables/cancel-requests.ts'
import type { JobBody, JobRows } from '../tables/job.ts'
import { clockOf, type JobLocations, type LocatedJob } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import { hasLastRun, unreportedLaunch } from '../tables/schema.ts'
import type { Limits } from './limits.ts'
import type { Upkeep } from './upkeep.ts'

export interface CommandParts {
  readonly db: SqliteDatabase
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly limits: Limits
  readonly cancels: CancelRequests
  readonly upkeep: Upkeep
}

/** How many jobs one step of clearing a key cancels, and looks at. */
const maxClearedOfKey = 500

interface Job {
  readonly seq: number
  readonly id: string
  readonly state: JobState
  readonly body: JobBody
  readonly found: LocatedJob
}

export class Commands implements CommandStore<QueueRow, Job> {
  readonly limits: Limits
  readonly #parts: CommandParts
  readonly #continues: SqliteStatement
  readonly #setPriority: SqliteStatement
  readonly #setDelayedPriority: SqliteStatement
  readonly #freeId: SqliteStatement
  readonly #listedOfKey: SqliteStatement
  readonly #sortedOfKey: SqliteStatement

  constructor(parts: CommandParts) {
    const { db } = parts
    this.#parts = parts
    this.limits = parts.limits
    this.#continues = db.prepare('select 1 from rdq_continuing_body where seq = ? limit 1')
    this.#setPriority = db.prepare('update rdq_job set priority = ? where seq = ?')
    this.#setDelayedPriority = db.prepare('update rdq_delayed set priority = ? where seq = ?')
    this.#listedOfKey = db
      .prepare(`
        select seq from rdq_job where queue = ? and key = ? and listed = 1 and seq > ? order by seq ${limitParameter}`)
      .pluck()
    this.#sortedOfKey = db
      .prepare(`
        select seq from rdq_pending_by_key where epoch = ? and key = ? order by priority, seq ${limitParameter}`)
      .pluck()
    this.#freeId = db
      .prepare('delete from rdq_remembered_id where queue = ? and id = ? and forget_at > ? returning state')
      .pluck()
  }

  // Questions.
  locate(queue: QueueRow, target: RowRef): Job | undefined {
    const job = this.#parts.jobRows.find(queue, target)
    return job && { ...job, seq: job.body.seq, id: job.body.id, state: job.found.state }
  }
  rowOf(_queue: QueueRow, { body, found }: Job): JobRow {
    return this.#parts.jobRows.rowOf(body, found)
  }
  isBodyRunning(seq: number): boolean {
    return this.#continues.get(seq) !== undefined
  }
  counts(queue: QueueRow): StateCounts {
    return queue.count()
  }

  // Changes of jobs.
  requestCancel(queue: QueueRow, { found: { worker, seq, fence } }: Job, reason: string | undefined): void {
    if (worker !== undefined) this.#parts.cancels.add(queue, worker, seq, fence, reason)
  }
  cancel(queue: QueueRow, { body, found }: Job, reason: string | undefined, now: number, wall: number): JobRow {
    const { locations, jobRows } = this.#parts
    const ending = unrun('cancelled', reason ?? null, wall)
    const row = jobRows.rowOf(body, { ...found, state: 'cancelled', ending })
    locations.leave(queue, found, body.key)
    queue.countMove(found.state, undefined, 1)
    locations.end(queue, found, ending, now)
    return row
  }
  reprioritize(queue: QueueRow, { body, found }: Job, priority: number, now: number): JobRow {
    const { locations, jobRows } = this.#parts
    const moved = { ...found, priority }
    this.#setPriority.run(priority, found.seq)
    if (found.state === 'delayed') this.#setDelayedPriority.run(priority, found.seq)
    else {
      locations.leave(queue, found, body.key)
      // A sorted queue sorts the job again.
      if (found.isByKey && !queue.sorted) locations.addByKey(queue, body.key as string, moved)
      else {
        queue.countMove('pending', undefined, 1)
        locations.wait(queue, moved, now)
      }
    }
    queue.dirty = true
    return jobRows.rowOf({ ...body, priority }, moved)
  }
  reschedule(queue: QueueRow, { body, found }: Job, due: Due | undefined, now: number): JobRow {
    const { locations, jobRows } = this.#parts
    const { seq, priority, attempt, fence, crashes, flags } = found
    const carried = { seq, priority, attempt, fence, crashes, flags }
    locations.leave(queue, found, body.key)
    queue.countMove(found.state, undefined, 1)
    locations.wait(queue, carried, now, due)
    const state = due ? 'delayed' : 'pending'
    return jobRows.rowOf(body, {
      ...carried,
      state,
      epoch: queue.epoch,
      ...(due && { clock: clockOf(due), due: due.at }),
    })
  }
  retry(queue: QueueRow, { body, found }: Job, now: number): JobRow {
    const { locations, jobRows } = this.#parts
    locations.leave(queue, found, body.key)
    queue.countMove(found.state, undefined, 1)
    this.#clearSuspect(queue, found)
    const { seq, priority, fence, flags } = found
    const { attempt, crashes, error = null } = resetByRetry
    if ((flags & hasLastRun) !== 0) jobRows.saveError(seq, null, null, error)
    const renewed = { seq, priority, attempt, fence, crashes, flags: flags & ~unreportedLaunch }
    locations.wait(queue, renewed, now)
    return jobRows.rowOf(body, { ...renewed, state: 'pending', epoch: queue.epoch })
  }
  remove(queue: QueueRow, { body, found }: Job, now: number): void {
    const { locations } = this.#parts
    locations.leave(queue, found, body.key)
    queue.countMove(found.state, undefined, 1)
    this.#clearSuspect(queue, found)
    queue.dirty = true
    locations.drop(found.seq, found.flags, found.state, now, 0)
  }
  forgetId(queue: QueueRow, id: string, now: number): boolean {
    const state = this.#freeId.get(queue.queueId, id, now) as JobState | undefined
    if (state === undefined) return false
    queue.countMove(state, undefined, 1)
    return true
  }
  /** Cancels some of the waiting jobs of the key. */
  #clearKey(
    queue: QueueRow,
    key: string,
    reason: string | undefined,
    now: number,
    wall: number,
  ): Pick<CommandReply, 'changed' | 'count' | 'hasMore'> {
    const changed: JobRow[] = []
    const cancelWaiting = (seqs: readonly number[]): void => {
      for (const seq of seqs) {
        const job = this.locate(queue, seq)
        if (job && isWaiting(job.state)) changed.push(this.cancel(queue, job, reason, now, wall))
      }
    }
    const sorted = this.#sortedOfKey.all(queue.epoch, key, maxClearedOfKey) as number[]
    cancelWaiting(sorted)
    let hasMore = sorted.length === maxClearedOfKey && changed.length > 0
    for (let after = 0; !hasMore; ) {
      const seqs = this.#listedOfKey.all(queue.queueId, key, after, maxClearedOfKey) as number[]
      cancelWaiting(seqs)
      if (seqs.length < maxClearedOfKey) break
      after = seqs.at(-1) as number
      hasMore = changed.length >= maxClearedOfKey
    }
    return { changed, count: changed.length, ...(hasMore && { hasMore }) }
  }
  clear(
    queue: QueueRow,
    key: string | undefined,
    reason: string | undefined,
    now: number,
    wall: number,
  ): Pick<CommandReply, 'changed' | 'count' | 'hasMore'> {
    if (key !== undefined) return this.#clearKey(queue, key, reason, now, wall)
    return this.#parts.upkeep.clear(queue, reason ?? null, now, wall)
  }
  /** The job is no suspect any more. A job that ended was none already, unless it was cleared and not swept out yet. */
  #clearSuspect(queue: QueueRow, { crashes, epoch }: LocatedJob): void {
    if (crashes > 0 && epoch !== undefined) queue.suspects--
  }
}
