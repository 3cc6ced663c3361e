/** Commands of users on waiting and ended jobs, one at a time. */
import type { JobState } from '../../../lib/job.ts'
import { isWaiting, knownJob, refuseByState } from '../../../lib/rules/commands.ts'
import { dueOfCommand } from '../../../lib/rules/due.ts'
import { declaredAfterCommand } from '../../../lib/rules/rate-settings.ts'
import { resetByRetry } from '../../../lib/rules/transitions.ts'
import type { CommandReply, CommandRequest, JobRow } from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { JobBody, JobRows } from '../tables/job.ts'
import { clockOf, type JobLocations, type LocatedJob } from '../tables/location.ts'
import type { QueueRow } from '../tables/queue.ts'
import type { RateLog } from '../tables/rate-log.ts'
import { launchUnknown, noted } from '../tables/schema.ts'
import type { Upkeep } from './upkeep.ts'

export interface ControlParts {
  readonly db: SqliteDatabase
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly rateLog: RateLog
  readonly fileClock: FileClock
  readonly upkeep: Upkeep
  readonly saveSettings: (queue: QueueRow) => void
}
type Job = { readonly body: JobBody; readonly found: LocatedJob }
type Rescheduling = Extract<CommandRequest['command'], { kind: 'reschedule' | 'promote' }>
type Change = Pick<CommandReply, 'changed' | 'found' | 'count' | 'cancelRequested'>

export class Controls {
  readonly #parts: ControlParts
  readonly #ask: SqliteStatement
  readonly #goesOn: SqliteStatement
  readonly #setPriority: SqliteStatement
  readonly #setDelayedPriority: SqliteStatement
  readonly #freeId: SqliteStatement

  constructor(parts: ControlParts) {
    const { db } = parts
    this.#parts = parts
    this.#ask = db.prepare(
      'insert or replace into rdq_cancel_request (worker, queue, seq, fence, reason) values (?, ?, ?, ?, ?)',
    )
    this.#goesOn = db.prepare('select 1 from rdq_continuing_body where seq = ? limit 1')
    this.#setPriority = db.prepare('update rdq_job set priority = ? where seq = ?')
    this.#freeId = db
      .prepare('delete from rdq_remembered_id where queue = ? and id = ? and forget_at > ? returning state')
      .pluck()
    this.#setDelayedPriority = db.prepare('update rdq_delayed set priority = ? where seq = ?')
  }

  control(queue: QueueRow, request: CommandRequest): CommandReply {
    const change = this.#change(queue, request)
    return { ...change, counts: queue.count(), rules: queue.rules }
  }
  #change(queue: QueueRow, { command, now: hostNow, wall }: CommandRequest): Change {
    const { fileClock, jobRows, upkeep, rateLog, saveSettings } = this.#parts
    const now = fileClock.toFile(hostNow)
    switch (command.kind) {
      case 'rate':
        rateLog.changing(queue).change(command.rules, now)
        queue.rules = command.rules
        queue.declared = declaredAfterCommand(command.rules, queue.declared) ?? null
        saveSettings(queue)
        return changedTo([], undefined)
      case 'pause':
        queue.sharedPaused = command.paused
        queue.dirty = true
        return changedTo([], undefined)
      case 'clear': {
        const { count, changed } = upkeep.clear(queue, command.reason ?? null, now, wall)
        return { changed, found: undefined, count, cancelRequested: false }
      }
    }
    const job = jobRows.find(queue, command.target)
    switch (command.kind) {
      case 'cancel':
        return this.#cancel(queue, job, command.reason, now, wall)
      case 'reprioritize':
        return this.#reprioritize(queue, knownJob(job, command.target), command.priority, now)
      case 'reschedule':
      case 'promote':
        return this.#reschedule(queue, knownJob(job, command.target), command, now, wall)
      case 'retry':
        return this.#retry(queue, knownJob(job, command.target), now)
      case 'remove':
        if (!job) return this.#free(queue, command.id ?? '', now)
        refuseByState('remove', job.body.id, job.found.state)
        return this.#remove(queue, job, now)
      default:
        return command satisfies never
    }
  }
  #cancel(queue: QueueRow, job: Job | undefined, reason: string | undefined, now: number, wall: number): Change {
    const { locations, jobRows } = this.#parts
    if (!job) return changedTo([], undefined)
    const { body, found } = job
    const { state, seq, fence, worker } = found
    if (worker !== undefined) {
      this.#ask.run(worker, queue.queueId, seq, fence, reason ?? null)
      queue.dirty = true
      return { ...changedTo([], jobRows.rowOf(body, found)), cancelRequested: true }
    }
    if (!isWaiting(state)) return changedTo([], jobRows.rowOf(body, found))
    const ending = {
      state: 'cancelled',
      startedWall: null,
      stoppedWall: wall,
      error: reason ?? null,
      value: null,
    } as const
    const row = jobRows.rowOf(body, { ...found, state: 'cancelled', ending })
    locations.leave(queue, found, body.key)
    queue.counts[state]--
    locations.end(queue, found, ending, now)
    return changedTo([row], row)
  }
  #reprioritize(queue: QueueRow, { body, found }: Job, priority: number, now: number): Change {
    const { locations, jobRows } = this.#parts
    refuseByState('reprioritize', body.id, found.state)
    const moved = { ...found, priority }
    this.#setPriority.run(priority, found.seq)
    if (found.state === 'delayed') this.#setDelayedPriority.run(priority, found.seq)
    else {
      locations.leave(queue, found, body.key)
      if (found.aside) locations.putAside(queue, body.key as string, moved)
      else {
        queue.counts.pending--
        locations.wait(queue, moved, now)
      }
    }
    queue.dirty = true
    const row = jobRows.rowOf({ ...body, priority }, moved)
    return changedTo([row], row)
  }
  #reschedule(queue: QueueRow, { body, found }: Job, command: Rescheduling, now: number, wall: number): Change {
    const { locations, jobRows } = this.#parts
    refuseByState(command.kind, body.id, found.state)
    const due = dueOfCommand(command, now, wall)
    if (found.state === 'pending' && !due) return changedTo([], jobRows.rowOf(body, found))
    const { seq, priority, attempt, fence, crashes, flags } = found
    const carried = { seq, priority, attempt, fence, crashes, flags }
    locations.leave(queue, found, body.key)
    queue.counts[found.state]--
    locations.wait(queue, carried, now, due)
    const state = due ? 'delayed' : 'pending'
    const row = jobRows.rowOf(body, {
      ...carried,
      state,
      epoch: queue.epoch,
      ...(due && { clock: clockOf(due), due: due.at }),
    })
    return changedTo([row], row)
  }
  #retry(queue: QueueRow, { body, found }: Job, now: number): Change {
    const { locations, jobRows } = this.#parts
    refuseByState('retry', body.id, found.state)
    // The job must not run while a body of it still runs, in any process.
    if (this.#goesOn.get(found.seq)) return { ...changedTo([], jobRows.rowOf(body, found)), cancelRequested: true }
    locations.leave(queue, found, body.key)
    queue.counts[found.state]--
    this.#clears(queue, found)
    const { seq, priority, fence, flags } = found
    const { attempt, crashes, error = null } = resetByRetry
    if ((flags & noted) !== 0) jobRows.noteError(seq, null, null, error)
    const anew = { seq, priority, attempt, fence, crashes, flags: flags & ~launchUnknown }
    locations.wait(queue, anew, now)
    const row = jobRows.rowOf(body, { ...anew, state: 'pending', epoch: queue.epoch })
    return changedTo([row], row)
  }
  /** Frees the id of a job that has ended and was forgotten, and stops counting it. */
  #free(queue: QueueRow, id: string, now: number): Change {
    const gone = this.#freeId.get(queue.queueId, id, now) as JobState | undefined
    if (gone === undefined) return changedTo([], undefined)
    queue.counts[gone]--
    queue.dirty = true
    return { ...changedTo([], undefined), count: 1 }
  }
  /** The job is no suspect any more. A job that ended was none already, unless it was cleared and not swept out yet. */
  #clears(queue: QueueRow, { crashes, epoch }: LocatedJob): void {
    if (crashes > 0 && epoch !== undefined) queue.suspects--
  }
  #remove(queue: QueueRow, { body, found }: Job, now: number): Change {
    const { locations, jobRows } = this.#parts
    const row = jobRows.rowOf(body, found)
    locations.leave(queue, found, body.key)
    queue.counts[found.state as JobState]--
    this.#clears(queue, found)
    queue.dirty = true
    locations.drop(found.seq, found.flags, found.state, now, 0)
    return changedTo([row], row)
  }
}

function changedTo(changed: readonly JobRow[], found: JobRow | undefined): Change {
  return { changed, found, count: changed.length, cancelRequested: false }
}
