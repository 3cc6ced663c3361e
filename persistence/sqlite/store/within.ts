/**
 * Puts and endings inside a transaction of the user, on the user's own handle of the same file: they commit or roll
 * back with it. The queue notices the commit like those of other processes.
 */
import { statSync } from 'node:fs'
import { DispatchError, LeaseLostError } from '../../../lib/errors.ts'
import { defaultDurableKeep } from '../../../lib/options/options.ts'
import { put } from '../../durable/execute/requests.ts'
import type { JobRowExtras } from '../../durable/store.ts'
import { BacklogFileError } from '../errors.ts'
import { FileClock } from '../file/clock.ts'
import type { SqliteDatabase, SqliteStatement } from '../file/database.ts'
import { refuseHardLinks } from '../file/open.ts'
import { GeneratedIds } from '../tables/generated-ids.ts'
import { JobRows } from '../tables/job.ts'
import { KeyTable } from '../tables/key.ts'
import { JobLocations } from '../tables/location.ts'
import { QueueTable } from '../tables/queue.ts'
import { RateStarts } from '../tables/rate-starts.ts'
import { ReadyRanges } from '../tables/ready-range.ts'
import { RuleTable } from '../tables/rule.ts'
import { migrateWithin } from '../tables/schema.ts'
import { KeyTurns } from './key-turns.ts'
import { Limits } from './limits.ts'
import { Puts } from './put.ts'

/** The handle has no open transaction. Begin one first: `db.transaction(() => putWithin(db, …)).immediate()`. */
export class NoTransactionError extends DispatchError {
  static override readonly name: string = 'NoTransactionError'
  readonly code = 'NO_TRANSACTION'
  constructor(what: string) {
    super(
      `cannot ${what}: the handle is in no transaction; begin one first, as in db.transaction(() => { … }).immediate()`,
    )
  }
}

/** Facts that the caller knows and the file does not: the boot and the instants. */
export interface TransactionContext {
  readonly boot: string
  readonly now: number
  readonly wall: number
}
export interface PutWithin extends TransactionContext {
  readonly id: string
  readonly priority: number
  readonly extras: JobRowExtras | undefined
}

interface Parts {
  /** The version of the file's schema. `seen` is the version at which our tables were last found up to date. */
  readonly version: SqliteStatement
  seen: unknown
  readonly fileClock: FileClock
  readonly queues: QueueTable
  readonly rateStarts: RateStarts
  readonly keys: KeyTable
  readonly rules: RuleTable
  readonly locations: JobLocations
  readonly jobRows: JobRows
  readonly puts: Puts
  readonly take: SqliteStatement
  readonly bodyContinues: SqliteStatement
  readonly queueOf: SqliteStatement
}
const known = new WeakMap<SqliteDatabase, Parts>()

/** Puts a job. Returns its id, even if it was put before with the same payload. */
export function putWithin(db: SqliteDatabase, queueName: string, payload: string, options: PutWithin): string {
  const { id, priority, extras, now, wall } = options
  const { queues, puts } = partsOf(db, 'put', options)
  try {
    // A name without a worker so far: the first worker sets its own retention.
    const queue = queues.find(queueName) ?? queues.make(queueName, defaultDurableKeep())
    put(puts, queue, {
      ...{ kind: 'put', queue: queue.queueId, now, wall, size: queue.size },
      ...{ ids: [id], payloads: [payload], priorities: [priority], queuedAt: [wall] },
      extras: extras ? [[0, extras]] : [],
    })
    queues.save({ now, wall })
  } finally {
    queues.forget()
  }
  return id
}

type Lease = readonly [...[attempt: number, crashes: number, flags: number], ...[worker: number, key: string | null]]

/** Records that a run has finished. Throws LeaseLostError if the run has lost its job. */
export function finishWithin(
  db: SqliteDatabase,
  seq: number,
  fence: number,
  value: string | null,
  circumstances: TransactionContext & { readonly id: string; readonly startedAt: number },
): void {
  const { now, wall, id, startedAt } = circumstances
  const { queues, locations, fileClock, take, bodyContinues, queueOf } = partsOf(db, 'finish', circumstances)
  try {
    const queue = queueOf.get(seq) as number | undefined
    const row = queue === undefined ? undefined : queues.get(queue)
    const lease = row && (take.get(row.queueId, seq, fence) as Lease | undefined)
    if (!row || !lease) throw new LeaseLostError(id)
    const [attempt, crashes, flags, worker, key] = lease
    // The handler goes on until it returns, and keeps its slots until the settle that follows.
    bodyContinues.run(seq, worker, row.queueId, key)
    row.countMove('underway', undefined, 1)
    const ending = { state: 'finished', startedWall: startedAt, stoppedWall: wall, error: null, value } as const
    locations.end(row, { seq, attempt, fence, crashes, flags }, ending, fileClock.toFile(now))
    queues.save({ now, wall })
  } finally {
    queues.forget()
  }
}

function partsOf(db: SqliteDatabase, what: string, { boot, now, wall }: TransactionContext): Parts {
  if (!db.inTransaction) throw new NoTransactionError(what)
  let parts = known.get(db)
  if (!parts) refuseUnsuited(db)
  // Tables that were created and rolled back have restored the former version, and are created again.
  const isSeen = parts !== undefined && parts.version.get() === parts.seen
  if (!isSeen && what === 'put') makeTables(db)
  if (!parts) {
    const fileClock = new FileClock(db, boot)
    const queues = new QueueTable(db, fileClock)
    const rateStarts = new RateStarts(db)
    const keys = new KeyTable(db, rateStarts)
    const readyRanges = new ReadyRanges(db)
    const locations = new JobLocations(db, readyRanges)
    const generatedIds = new GeneratedIds(db)
    const jobRows = new JobRows(db, locations, fileClock, generatedIds)
    const rules = new RuleTable(db, 0, rateStarts)
    const puts = new Puts({
      db,
      queues,
      locations,
      jobRows,
      generatedIds,
      readyRanges,
      keyTurns: undefined,
      fileClock,
      limits: new Limits({ queues, rateStarts, keys, keyTurns: new KeyTurns(db, keys, readyRanges), rules }),
    })
    const take = db
      .prepare(`
        delete from rdq_underway where worker in (select worker from rdq_worker) and queue = ? and seq = ? and fence = ?
        returning attempt, crashes, flags, worker, key`)
      .raw()
    const bodyContinues = db.prepare(`
      insert or replace into rdq_continuing_body (seq, worker, queue, key) values (?, ?, ?, ?)`)
    const queueOf = db.prepare('select queue from rdq_job where seq = ?').pluck()
    const version = db.prepare('pragma schema_version').pluck()
    known.set(
      db,
      (parts = {
        version,
        seen: undefined,
        fileClock,
        queues,
        rateStarts,
        keys,
        rules,
        locations,
        jobRows,
        puts,
        take,
        bodyContinues,
        queueOf,
      }),
    )
  }
  if (!isSeen) parts.seen = parts.version.get()
  // State read in an earlier transaction of the user may have been rolled back with it.
  parts.fileClock.forget()
  parts.keys.clear()
  parts.rules.clear()
  parts.fileClock.align(now, wall)
  return parts
}

/**
 * Creates our tables if no queue has opened the file yet, or migrates them, as part of the caller's transaction. They
 * may also be in a database that is attached to the handle.
 */
function makeTables(db: SqliteDatabase): void {
  if (isAttached(db)) return
  migrateWithin(db)
}
function isAttached(db: SqliteDatabase): boolean {
  const ours = (schema: string): boolean =>
    db.prepare(`select 1 from "${schema.replaceAll('"', '""')}".sqlite_schema where name = 'rdq_meta'`).get() !==
    undefined
  const schemas = db.prepare('select name from pragma_database_list').pluck().all() as string[]
  return !ours('main') && schemas.some(schema => schema !== 'main' && schema !== 'temp' && ours(schema))
}

/** Refuses databases that no queue can ever open, because a job put there would be silently lost. */
function refuseUnsuited(db: SqliteDatabase): void {
  const file = db.prepare(`select file from pragma_database_list where name = 'main'`).pluck().get() as string
  if (file === '') {
    const remedy = 'it is in memory, or temporary: no queue can read what is put in it; open the file of the queue'
    throw new BacklogFileError(':memory:', 'not a file', remedy)
  }
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  if (found) refuseHardLinks(file, found)
}
