/** The data of a put, and a job as callers see it: body, location and last run in one row of the protocol. */
import type { JobState } from '../../../lib/job.ts'
import { UnreadableError } from '../../durable/errors.ts'
import type { Ending } from '../../durable/execute/moves.ts'
import type { JobRow, JobRowExtras, PutRequest, RowRef } from '../../durable/store.ts'
import type { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement, SqliteValue } from '../file/database.ts'
import { ManyRows } from '../file/many-rows.ts'
import type { GeneratedIds } from './generated-ids.ts'
import { dated, type JobLocations, type LocatedJob, type MovingFields } from './location.ts'
import type { QueueRow } from './queue.ts'
import { hasLastRun } from './schema.ts'

/** Written once, by the put. */
export interface JobBody {
  readonly seq: number
  readonly id: string
  readonly payload: string
  readonly priority: number
  readonly queuedAt: number
  readonly key: string | null
  readonly fingerprint: string | null
  readonly extras: string | null
}
/** A job that is put. `listed`: it has a key, and does not wait among the jobs of that key (schema.ts). */
export interface NewJob extends JobBody {
  readonly listed: boolean
}
type BodyRow = readonly [number, string, string, number, number, string | null, string | null, string | null]
export type JobBodyExtras = Pick<JobRowExtras, 'cost' | 'retry' | 'timeoutMs'>

const columns = 'seq, id, payload, priority, queued_wall, key, fingerprint, extras'
/** How many plain jobs one statement inserts. With one row a statement a job costs a third more. */
const maxRowsInsertedAtOnce = 32

export class JobRows {
  readonly #locations: JobLocations
  readonly #fileClock: FileClock
  readonly #generatedIds: GeneratedIds
  readonly #bySeq: SqliteStatement
  readonly #byGivenId: SqliteStatement
  readonly #insert: ManyRows
  readonly #insertMany: SqliteStatement
  readonly #lastRun: SqliteStatement
  readonly #saveError: SqliteStatement
  readonly #saveCheckpoint: SqliteStatement

  constructor(db: SqliteDatabase, locations: JobLocations, fileClock: FileClock, generatedIds: GeneratedIds) {
    this.#locations = locations
    this.#fileClock = fileClock
    this.#generatedIds = generatedIds
    this.#bySeq = db.prepare(`select ${columns} from rdq_job where seq = ? and queue = ?`).raw()
    this.#byGivenId = db
      .prepare(`select ${columns} from rdq_job where id = ? and queue = ? and fingerprint is not null`)
      .raw()
    this.#insert = new ManyRows(db, 10, rows => `insert into rdq_job (queue, ${columns}, listed) values ${rows}`)
    const row = '(?, ?, ?, ?, ?, ?)'
    this.#insertMany = db.prepare(`
      insert into rdq_job (queue, seq, id, payload, priority, queued_wall)
      values ${Array(maxRowsInsertedAtOnce).fill(row).join(', ')}`)
    this.#lastRun = db
      .prepare('select started_wall, stopped_wall, error, checkpoint from rdq_last_run where seq = ?')
      .raw()
    this.#saveError = db.prepare(`
      insert into rdq_last_run (seq, started_wall, stopped_wall, error) values (?, ?, ?, ?)
      on conflict do update set started_wall = excluded.started_wall, stopped_wall = excluded.stopped_wall,
        error = excluded.error`)
    this.#saveCheckpoint = db.prepare(`
      insert into rdq_last_run (seq, checkpoint) values (?, ?)
      on conflict do update set checkpoint = excluded.checkpoint`)
  }
  put({ queueId }: QueueRow, bodies: readonly NewJob[]): void {
    const values: SqliteValue[] = []
    for (const { seq, id, payload, priority, queuedAt, key, fingerprint, extras, listed } of bodies) {
      values.push(queueId, seq, id, payload, priority, queuedAt, key, fingerprint, extras, listed ? 1 : 0)
    }
    this.#insert.run(values)
  }
  /**
   * Inserts plain jobs, from `from` up to at most `to`. Returns where it ended: a rest too short for one statement is
   * left.
   */
  insertPlain(
    queue: QueueRow,
    seq: number,
    { ids, payloads, priorities, queuedAt }: Pick<PutRequest, 'ids' | 'payloads' | 'priorities' | 'queuedAt'>,
    from: number,
    to: number,
  ): number {
    const values: SqliteValue[] = new Array(maxRowsInsertedAtOnce * 6)
    let done = from
    while (to - done >= maxRowsInsertedAtOnce) {
      for (let i = 0, at = 0; i < maxRowsInsertedAtOnce; i++) {
        const index = done + i
        values[at++] = queue.queueId
        values[at++] = seq + (index - from)
        values[at++] = ids[index] as string
        values[at++] = payloads[index] as string
        values[at++] = priorities === undefined ? 0 : (priorities[index] as number)
        values[at++] = queuedAt[index] as number
      }
      this.#insertMany.run(values)
      done += maxRowsInsertedAtOnce
    }
    return done
  }
  body(queue: QueueRow, target: RowRef): JobBody | undefined {
    return typeof target === 'number' ? this.#read(this.#bySeq, queue, target) : this.#ofId(queue, target)
  }
  #ofId(queue: QueueRow, id: string): JobBody | undefined {
    const given = this.#read(this.#byGivenId, queue, id)
    if (given) return given
    const seq = this.#generatedIds.find(queue, id)
    const body = seq === undefined ? undefined : this.#read(this.#bySeq, queue, seq)
    return body?.id === id ? body : undefined
  }
  #read(statement: SqliteStatement, queue: QueueRow, target: RowRef): JobBody | undefined {
    const row = statement.get(target, queue.queueId) as BodyRow | undefined
    if (!row) return undefined
    const [seq, id, payload, priority, queuedAt, key, fingerprint, extras] = row
    return { seq, id, payload, priority, queuedAt, key, fingerprint, extras }
  }
  find(queue: QueueRow, target: RowRef): { readonly body: JobBody; readonly found: LocatedJob } | undefined {
    const body = this.body(queue, target)
    const found = body && this.#locations.locate(queue, body.seq, body.priority, body.key)
    return found && { body, found }
  }
  row(queue: QueueRow, target: RowRef): JobRow | undefined {
    const job = this.find(queue, target)
    return job && this.rowOf(job.body, job.found)
  }
  /** The job in its present state, for a snapshot. `as` gives later changes. */
  rowOf(body: JobBody, found: LocatedJob, as: { readonly state?: JobState; readonly error?: string } = {}): JobRow {
    const { attempt, fence, crashes, flags, clock, due, ending } = found
    const [startedAt, stoppedAt, error, checkpoint] =
      (flags & hasLastRun) === 0 ? [null, null, null, null] : this.lastRunOf(body.seq)
    const shownError = as.error ?? ending?.error ?? error
    const extras: Mutable<JobRowExtras> = { ...extrasOf(body) }
    if (body.key !== null) extras.key = body.key
    if (body.fingerprint !== null) extras.fingerprint = body.fingerprint
    if (due !== undefined && found.state === 'delayed') {
      if (clock === dated) extras.runAt = due
      else extras.dueAt = this.#fileClock.fromFile(due)
    }
    if (shownError !== null) extras.error = shownError
    if (ending && ending.value !== null) extras.value = ending.value
    if (checkpoint !== null) extras.checkpoint = checkpoint
    const { seq, id, payload, priority, queuedAt } = body
    return {
      ...{ seq, id, payload, priority, state: as.state ?? found.state, attempt, fence, crashes, queuedAt },
      startedAt: ending?.startedWall ?? startedAt,
      stoppedAt: ending?.stoppedWall ?? stoppedAt,
      extras: Object.keys(extras).length > 0 ? extras : undefined,
    }
  }
  /** Ends a job that has left its table. Returns it as it ended, because it may be forgotten at once. */
  endWithRow(queue: QueueRow, job: Omit<MovingFields, 'priority'>, ending: Ending, now: number): JobRow | undefined {
    const body = this.body(queue, job.seq)
    const row = body && this.rowOf(body, { ...job, priority: body.priority, state: ending.state, ending })
    this.#locations.end(queue, job, ending, now)
    return row
  }
  lastRunOf(seq: number): readonly [number | null, number | null, string | null, string | null] {
    const row = this.#lastRun.get(seq) as [number | null, number | null, string | null, string | null] | undefined
    return row ?? [null, null, null, null]
  }
  /** Stores the error of a run that did not end the job. The job's row must have the flag `hasLastRun`. */
  saveError(seq: number, startedWall: number | null, stoppedWall: number | null, error: string | null): void {
    this.#saveError.run(seq, startedWall, stoppedWall, error)
  }
  saveCheckpoint(seq: number, checkpoint: string): void {
    this.#saveCheckpoint.run(seq, checkpoint)
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** The put options that few jobs have. If foreign code wrote something that is not JSON, the job has none. */
export function extrasOf(body: Pick<JobBody, 'extras'>): JobBodyExtras {
  if (body.extras === null) return {}
  try {
    const extras: unknown = JSON.parse(body.extras)
    return typeof extras === 'object' && extras !== null ? extras : {}
  } catch {
    return {}
  }
}

/** Why the payload or the options cannot be read; undefined if they can. */
export function unreadable(id: string, payload: string, extras: string | null): UnreadableError | undefined {
  for (const text of [payload, extras]) {
    try {
      if (text !== null) JSON.parse(text)
    } catch (error) {
      return new UnreadableError(id, (error as Error).message)
    }
  }
  return undefined
}
