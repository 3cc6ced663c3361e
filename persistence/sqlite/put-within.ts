/** `putWithin` and `finishWithin` as users call them: on a handle of their own, with the options of `queue.put`. */
import { types } from 'node:util'
import { type Clock, checkClock, systemClock } from '../../lib/clock.ts'
import { describe, OptionError } from '../../lib/errors.ts'
import { JobExtras } from '../../lib/job.ts'
import { makeId, nextSerial } from '../../lib/job-id.ts'
import { checkLabel, type ParsedPut, type PutOptions, parsePut } from '../../lib/options/options.ts'
import { optionsOf } from '../../lib/parse/option-names.ts'
import { fingerprintOfText } from '../../lib/put/fingerprint.ts'
import { textOf } from '../../lib/text/json.ts'
import { hostMapping, StoreClock } from '../durable/clock-mapping.ts'
import { rowExtrasOf } from '../durable/encode.ts'
import { BacklogFileError, SecondSqliteError } from './errors.ts'
import type { SqliteDatabase } from './file/database.ts'
import { loadSqlite } from './file/library.ts'
import * as within from './store/within.ts'

/** The options of `queue.put` without `signal`. Code outside of a queue cancels by id. */
export type PutWithinOptions = Omit<PutOptions, 'signal'> & { readonly clock?: Clock | undefined }

const names = ['priority', 'delay', 'runAt', 'key', 'id', 'cost', 'retry', 'timeout', 'clock']

/**
 * Puts a job inside the transaction that is open on `db`, a better-sqlite3 handle on the file of the backlog: the job
 * exists once the transaction commits, and never existed if it rolls back. Returns its id, even if the job was put
 * before.
 *
 * Durability is that of the handle: to survive a loss of power it needs `synchronous = FULL`, which better-sqlite3 does
 * not set in WAL mode. A queue on the file sees the job soon after the commit. No queue needs to have the file open: if
 * the file has no tables of rdq yet, they are created in the same transaction, and the job waits for the first worker
 * of that name.
 */
export function putWithin(db: object, queueName: string, payload: unknown, options: PutWithinOptions = {}): string {
  const database = ours(db, 'putWithin')
  checkLabel('queueName', queueName)
  const read: PutWithinOptions = optionsOf('', options, names)
  const { clock = systemClock, ...given } = read
  checkClock('clock', clock)
  const put = parsePut(given)
  const text = textOf(payload)
  const wall = clock.wall()
  const id = put.id ?? makeId(wall, nextSerial())
  const { priority } = put
  const extras = extrasOf(put, text, clock)
  const rowExtras = extras && rowExtrasOf(extras, new StoreClock(hostMapping(clock)))
  return claimOf(database, () =>
    within.putWithin(database, queueName, text, { ...contextOf(clock), id, priority, extras: rowExtras }),
  )
}

/** Implements {@link BacklogSession.finishWithin}: records an ending inside the caller's own transaction. */
export function finishWithin(
  db: object,
  run: { readonly seq: number; readonly id: string; readonly fence: number; readonly startedAt: number },
  value: unknown,
  keeps: boolean,
  clock: Clock,
): void {
  const database = ours(db, 'finishWithin')
  const text = keeps ? textOf(value, 'result') : undefined
  const { seq, id, fence, startedAt } = run
  claimOf(database, () =>
    within.finishWithin(database, seq, fence, text ?? null, { ...contextOf(clock), id, startedAt }),
  )
}

function ours(db: object, what: string): SqliteDatabase {
  if (typeof db !== 'object' || db === null || types.isProxy(db)) {
    throw new OptionError('db', db, `must be a better-sqlite3 database, got ${describe(db)}`, what)
  }
  if (!(db instanceof loadSqlite())) throw new SecondSqliteError(what)
  return db
}

function contextOf(clock: Clock): within.TransactionContext {
  const { boot = 'unknown' } = clock.origin ?? {}
  return { boot, now: hostMapping(clock).toStore(clock.now()), wall: clock.wall() }
}

function extrasOf(options: ParsedPut, text: string, clock: Clock): JobExtras | undefined {
  const { delayMs, runAt, key, id, cost, retry, timeoutMs } = options
  if ([delayMs, runAt, key, id, cost, retry, timeoutMs].every(option => option === undefined)) return undefined
  const extras = new JobExtras()
  extras.key = key
  extras.cost = cost
  extras.retry = retry
  extras.timeoutMs = timeoutMs
  if (id !== undefined) extras.fingerprint = fingerprintOfText(text)
  if (delayMs !== undefined) extras.dueAt = clock.now() + delayMs
  extras.runAt = runAt
  return extras
}

/** A job finishes in the file of its queue, which has the tables already. Only a put creates them. */
function claimOf<T>(db: SqliteDatabase & { readonly name?: string }, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!/no such table: (?:\w+\.)?rdq_/.test(String((error as Error)?.message))) throw error
    const remedy = 'it has no tables of rdq, or old ones; use a handle on the file that the queue has open'
    throw new BacklogFileError(db.name ?? 'the database', 'unusable', remedy)
  }
}
