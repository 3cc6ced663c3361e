/** Changes of what waits or has ended, one command at a time, as users ask for them. */
import type { JobState } from '../../../lib/job.ts'
import { isWaiting, knownJob, refuseByState } from '../../../lib/rules/commands.ts'
import { dueOfCommand } from '../../../lib/rules/due.ts'
import { declaredAfterCommand } from '../../../lib/rules/rate-settings.ts'
import type { CommandReply, CommandRequest, JobRow } from '../../durable/store.ts'
import type { Timeline } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import type { Bodies, Body } from '../tables/job.ts'
import { clockOf, type Found, type Places } from '../tables/location.ts'
import type { Name } from '../tables/queue.ts'
import type { Starts } from '../tables/rate-log.ts'
import { noted, unsure } from '../tables/schema.ts'
import type { Upkeep } from './upkeep.ts'

export interface ControlParts {
  readonly db: SqliteDatabase
  readonly places: Places
  readonly bodies: Bodies
  readonly starts: Starts
  readonly timeline: Timeline
  readonly upkeep: Upkeep
  readonly saveSettings: (name: Name) => void
}
type Job = { readonly body: Body; readonly found: Found }
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
      'insert or replace into rdq_cancel (worker, queue, seq, fence, reason) values (?, ?, ?, ?, ?)',
    )
    this.#goesOn = db.prepare('select 1 from rdq_closing where seq = ? limit 1')
    this.#setPriority = db.prepare('update rdq_job set priority = ? where seq = ?')
    this.#freeId = db.prepare('delete from rdq_id where queue = ? and id = ? and forget_at > ? returning state').pluck()
    this.#setDelayedPriority = db.prepare('update rdq_delayed set priority = ? where seq = ?')
  }

  control(name: Name, request: CommandRequest): CommandReply {
    const change = this.#change(name, request)
    return { ...change, counts: name.count(), rules: name.rules }
  }
  #change(name: Name, { command, now: hostNow, wall }: CommandRequest): Change {
    const { timeline, bodies, upkeep, starts, saveSettings } = this.#parts
    const now = timeline.toFile(hostNow)
    switch (command.kind) {
      case 'rate':
        starts.changing(name).change(command.rules, now)
        name.rules = command.rules
        name.declared = declaredAfterCommand(command.rules, name.declared) ?? null
        saveSettings(name)
        return changedTo([], undefined)
      case 'pause':
        name.held = command.held
        name.dirty = true
        return changedTo([], undefined)
      case 'clear': {
        const { count, changed } = upkeep.clear(name, command.reason ?? null, now, wall)
        return { changed, found: undefined, count, cancelRequested: false }
      }
    }
    const job = bodies.find(name, command.target)
    switch (command.kind) {
      case 'cancel':
        return this.#cancel(name, job, command.reason, now, wall)
      case 'reprioritize':
        return this.#reprioritize(name, knownJob(job, command.target), command.priority, now)
      case 'reschedule':
      case 'promote':
        return this.#reschedule(name, knownJob(job, command.target), command, now, wall)
      case 'retry':
        return this.#retry(name, knownJob(job, command.target), now)
      case 'remove':
        if (!job) return this.#free(name, command.id ?? '', now)
        refuseByState('remove', job.body.id, job.found.state)
        return this.#remove(name, job, now)
      default:
        return command satisfies never
    }
  }
  #cancel(name: Name, job: Job | undefined, reason: string | undefined, now: number, wall: number): Change {
    const { places, bodies } = this.#parts
    if (!job) return changedTo([], undefined)
    const { body, found } = job
    const { state, seq, fence, worker } = found
    if (worker !== undefined) {
      this.#ask.run(worker, name.queue, seq, fence, reason ?? null)
      name.dirty = true
      return { ...changedTo([], bodies.rowOf(body, found)), cancelRequested: true }
    }
    if (!isWaiting(state)) return changedTo([], bodies.rowOf(body, found))
    const ending = {
      state: 'cancelled',
      startedWall: null,
      stoppedWall: wall,
      error: reason ?? null,
      value: null,
    } as const
    const row = bodies.rowOf(body, { ...found, state: 'cancelled', ending })
    places.leave(name, found, body.key)
    name.counts[state]--
    places.end(name, found, ending, now)
    return changedTo([row], row)
  }
  #reprioritize(name: Name, { body, found }: Job, priority: number, now: number): Change {
    const { places, bodies } = this.#parts
    refuseByState('reprioritize', body.id, found.state)
    const moved = { ...found, priority }
    this.#setPriority.run(priority, found.seq)
    if (found.state === 'delayed') this.#setDelayedPriority.run(priority, found.seq)
    else {
      places.leave(name, found, body.key)
      if (found.aside) places.putAside(name, body.key as string, moved)
      else {
        name.counts.pending--
        places.wait(name, moved, now)
      }
    }
    name.dirty = true
    const row = bodies.rowOf({ ...body, priority }, moved)
    return changedTo([row], row)
  }
  #reschedule(name: Name, { body, found }: Job, command: Rescheduling, now: number, wall: number): Change {
    const { places, bodies } = this.#parts
    refuseByState(command.kind, body.id, found.state)
    const due = dueOfCommand(command, now, wall)
    if (found.state === 'pending' && !due) return changedTo([], bodies.rowOf(body, found))
    const { seq, priority, attempt, fence, crashes, flags } = found
    const carried = { seq, priority, attempt, fence, crashes, flags }
    places.leave(name, found, body.key)
    name.counts[found.state]--
    places.wait(name, carried, now, due)
    const state = due ? 'delayed' : 'pending'
    const row = bodies.rowOf(body, {
      ...carried,
      state,
      lane: name.lane,
      ...(due && { clock: clockOf(due), due: due.at }),
    })
    return changedTo([row], row)
  }
  #retry(name: Name, { body, found }: Job, now: number): Change {
    const { places, bodies } = this.#parts
    refuseByState('retry', body.id, found.state)
    // It must not run beside a body of its own, wherever that is.
    if (this.#goesOn.get(found.seq)) return { ...changedTo([], bodies.rowOf(body, found)), cancelRequested: true }
    places.leave(name, found, body.key)
    name.counts[found.state]--
    this.#clears(name, found)
    const { seq, priority, fence, flags } = found
    // The error of a run before goes; its checkpoint stays.
    if ((flags & noted) !== 0) bodies.noteError(seq, null, null, null)
    const anew = { seq, priority, attempt: 0, fence, crashes: 0, flags: flags & ~unsure }
    places.wait(name, anew, now)
    const row = bodies.rowOf(body, { ...anew, state: 'pending', lane: name.lane })
    return changedTo([row], row)
  }
  /** Frees the id of a job that has ended and is gone, and counts it no more. */
  #free(name: Name, id: string, now: number): Change {
    const gone = this.#freeId.get(name.queue, id, now) as JobState | undefined
    if (gone === undefined) return changedTo([], undefined)
    name.counts[gone]--
    name.dirty = true
    return { ...changedTo([], undefined), count: 1 }
  }
  /** It is no suspect any more. One that has ended was none already, but for what was cleared and is not swept out yet. */
  #clears(name: Name, { crashes, lane }: Found): void {
    if (crashes > 0 && lane !== undefined) name.suspects--
  }
  #remove(name: Name, { body, found }: Job, now: number): Change {
    const { places, bodies } = this.#parts
    const row = bodies.rowOf(body, found)
    places.leave(name, found, body.key)
    name.counts[found.state as JobState]--
    this.#clears(name, found)
    name.dirty = true
    places.drop(found.seq, found.flags, found.state, now, 0)
    return changedTo([row], row)
  }
}

function changedTo(changed: readonly JobRow[], found: JobRow | undefined): Change {
  return { changed, found, count: changed.length, cancelRequested: false }
}
