/**
 * The tables in a user's file, as numbered steps, and the check that keeps versions of rdq from harming each other.
 *
 * Steps are appended and never edited. rdq is a guest in the file: all names begin with rdq_, and `user_version`
 * belongs to the user.
 */
import { DispatchError } from '../../../lib/errors.ts'
import type { SqliteDatabase } from '../file/database.ts'

/**
 * The file was written by a version of rdq beside which this one must not write. Install that version, or use another
 * file.
 */
export class SchemaError extends DispatchError {
  static override readonly name: string = 'SchemaError'
  readonly code = 'SCHEMA'
  /** The format of the file, and the newest one that this rdq knows. */
  readonly format: number
  readonly known: number
  constructor(format: number, minWriter: number, known: number) {
    super(
      `the file has format ${format} and asks for an rdq that knows format ${minWriter} or later; this one knows up to ${known}: install a newer rdq here, or use another file`,
    )
    this.format = format
    this.known = known
  }
}

/** Bits of `flags` in the narrow tables, so that only the few jobs that need a fact pay for it. */
export const noted = 1
export const givenId = 2
export const awaitingVerdict = 4
/**
 * A run of the job ended with its process, and it is unknown whether it was launched. The next launch is reported
 * before its body begins.
 */
export const launchUnknown = 8

interface Step {
  /** The oldest format whose rdq may still read, and write, a file after this step. */
  readonly minReader: number
  readonly minWriter: number
  readonly sql: string
}

/**
 * Columns that occur in several tables:
 * - `lane`: the epoch that a queue's claims walk. `clear` gives the queue a new one, and the old one is swept out step
 *   by step.
 * - `fence`, `attempt`, `crashes`, `flags` move with a job from table to table, so that its body is never updated.
 * - instants `…_at` are of the file's own steady clock (file/clock.ts), `…_wall` of the wall clock.
 */
const steps: readonly Step[] = [
  {
    minReader: 1,
    minWriter: 1,
    sql: `
create table rdq_worker (
  worker integer primary key,
  token text not null unique
) strict;
insert into rdq_worker (worker, token) values (0, '');

create table rdq_queue (
  queue integer primary key,
  name text not null unique,
  lane integer not null,
  next_seq integer not null,
  pending integer not null default 0,
  delayed integer not null default 0,
  underway integer not null default 0,
  finished integer not null default 0,
  failed integer not null default 0,
  cancelled integer not null default 0,
  held integer not null default 0,
  rules text not null default '[]',
  declared text,
  rate_version integer not null default 0,
  marks text,
  keep text not null,
  size real,
  after_crash text not null,
  crash_limit integer not null,
  holds integer not null default 0,
  cleared integer not null default 0,
  orphans integer not null default 0,
  seen_at real not null default 0,
  seen_wall real not null default 0
) strict;

create table rdq_range (
  range integer primary key,
  queue integer not null
) strict;

create table rdq_job (
  seq integer primary key,
  queue integer not null,
  id text not null,
  priority real not null,
  queued_wall real not null,
  payload text not null,
  key text,
  fingerprint text,
  more text
) strict;
create unique index rdq_job_id on rdq_job (queue, id);

create table rdq_ready (
  lane integer not null,
  priority real not null,
  seq integer not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  primary key (lane, priority, seq)
) strict, without rowid;

create table rdq_delayed (
  seq integer primary key,
  lane integer not null,
  clock integer not null,
  due real not null,
  priority real not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null
) strict;
create index rdq_delayed_due on rdq_delayed (lane, clock, due);

create table rdq_aside (
  lane integer not null,
  key text not null,
  priority real not null,
  seq integer not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  primary key (lane, key, priority, seq)
) strict, without rowid;

create table rdq_hold (
  queue integer not null,
  key text not null,
  until_at real not null,
  primary key (queue, key)
) strict, without rowid;

create table rdq_cleared (
  lane integer primary key,
  queue integer not null,
  cleared_at real not null,
  cleared_wall real not null,
  reason text
) strict;

create table rdq_underway (
  worker integer not null,
  queue integer not null,
  seq integer not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  start integer not null,
  turn integer not null,
  primary key (worker, queue, seq)
) strict, without rowid;

create table rdq_cancel (
  worker integer not null,
  queue integer not null,
  seq integer not null,
  fence integer not null,
  reason text,
  primary key (worker, queue, seq)
) strict, without rowid;

create table rdq_turn (
  worker integer not null,
  queue integer not null,
  number integer not null,
  primary key (worker, queue)
) strict, without rowid;

create table rdq_ended (
  seq integer primary key,
  queue integer not null,
  state text not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  started_wall real,
  stopped_wall real,
  forget_at real not null,
  error text,
  value text
) strict;
create index rdq_ended_forget on rdq_ended (queue, forget_at);
create index rdq_ended_state on rdq_ended (queue, state, seq);

create table rdq_note (
  seq integer primary key,
  started_wall real,
  stopped_wall real,
  error text,
  checkpoint text
) strict;

create table rdq_id (
  queue integer not null,
  id text not null,
  fingerprint text not null,
  state text not null,
  forget_at real not null,
  primary key (queue, id)
) strict, without rowid;
create index rdq_id_forget on rdq_id (queue, forget_at);

create table rdq_start (
  queue integer not null,
  start integer not null,
  granted_at real not null,
  counts_at real not null,
  costs text,
  primary key (queue, start)
) strict, without rowid;
`,
  },
  // Generated ids are found by the runs in which they were put (generated-ids.ts), and only given ones by an index.
  // Jobs that were put in succession wait as one row (ready-range.ts).
  {
    minReader: 2,
    minWriter: 2,
    sql: `
drop index rdq_job_id;
create unique index rdq_job_given on rdq_job (queue, id) where fingerprint is not null;
create table rdq_made (
  queue integer not null,
  maker text not null,
  serial integer not null,
  seq integer not null,
  jobs integer not null,
  primary key (queue, maker, serial)
) strict, without rowid;
insert or ignore into rdq_made (queue, maker, serial, seq, jobs)
select queue, substr(id, length(id) - 15, 8), (
  with recursive digits (at, number) as (
    select 1, 0
    union all
    select at + 1, number * 36 + instr('0123456789abcdefghijklmnopqrstuvwxyz', substr(id, length(id) - 7 + at, 1)) - 1
    from digits where at <= 7
  ) select max(number) from digits
), seq, 1
from rdq_job where fingerprint is null;

create table rdq_stretch (
  lane integer not null,
  seq integer not null,
  jobs integer not null,
  primary key (lane, seq)
) strict, without rowid;
`,
  },
  // The parts of replies besides claims, in case they must be sent again (reply-log.ts); which cancel requests were
  // passed to the runs; and which bodies still run after their jobs have ended. An older writer would leave such rows
  // of a dead worker behind, and forget a cancel request before its run has ended.
  {
    minReader: 2,
    minWriter: 3,
    sql: `
create table rdq_told (
  worker integer not null,
  queue integer not null,
  number integer not null,
  told text not null,
  primary key (worker, queue, number)
) strict, without rowid;
alter table rdq_cancel add column told integer not null default 0;
create table rdq_closing (
  seq integer not null,
  worker integer not null,
  primary key (seq, worker)
) strict, without rowid;
`,
  },
  // Reports on jobs of dead processes, until a queue with a handler has taken them (crash-reports.ts). An older writer
  // would leave behind those that a dead worker had not acknowledged.
  {
    minReader: 2,
    minWriter: 4,
    sql: `
create table rdq_news (
  number integer primary key,
  worker integer not null,
  queue integer not null,
  turn integer not null,
  seq integer,
  job text,
  missed integer not null default 0
) strict;
create index rdq_news_at on rdq_news (worker, queue, turn);
alter table rdq_queue add column untold integer not null default 0;
alter table rdq_queue add column missed integer not null default 0;
`,
  },
  // Which launches are known, and where suspects wait (store/suspects.ts). Crashes counted before are reset, because
  // every claimed job counted then. An older writer would not find the suspects, and would count in the old way.
  {
    minReader: 2,
    minWriter: 5,
    sql: `
alter table rdq_underway add column launched integer not null default 0;
alter table rdq_underway add column alone integer not null default 0;
alter table rdq_queue add column suspects integer not null default 0;
create table rdq_suspect (
  seq integer primary key,
  lane integer not null,
  since real not null,
  priority real not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null
) strict;
create index rdq_suspect_order on rdq_suspect (lane, crashes, priority, seq);
create index rdq_delayed_suspect on rdq_delayed (lane, clock, due) where crashes > 0;
create index rdq_aside_suspect on rdq_aside (lane, key, priority, seq) where crashes > 0;
update rdq_ready set crashes = 0 where crashes > 0;
update rdq_delayed set crashes = 0 where crashes > 0;
update rdq_aside set crashes = 0 where crashes > 0;
update rdq_underway set crashes = 0 where crashes > 0;
`,
  },
]

/** The format that this rdq writes. */
export const format: number = steps.length

/**
 * Brings the file up to this format, or to an older one for tests. Two processes may do so at once: the format is read
 * again inside the transaction, and the second finds nothing to do.
 */
export function migrate(db: SqliteDatabase, to: number = format): void {
  if (gate(db) >= to) return
  db.exec('begin immediate')
  try {
    migrateWithin(db, to)
    db.exec('commit')
  } catch (error) {
    if (db.inTransaction) db.exec('rollback')
    throw error
  }
}

/** Does the same inside the transaction that is open on `db`. After a rollback the file is unchanged. */
export function migrateWithin(db: SqliteDatabase, to: number = format): void {
  const found = gate(db)
  if (found >= to) return
  if (found === 0) db.exec('create table rdq_meta (key text primary key, value any) strict, without rowid')
  for (const step of steps.slice(found, to)) db.exec(step.sql)
  const { minReader, minWriter } = steps[to - 1] as Step
  const write = db.prepare('insert or replace into rdq_meta (key, value) values (?, ?)')
  write.run('format', to)
  write.run('min_reader', minReader)
  write.run('min_writer', minWriter)
}

/** The format of the file, 0 if it has none. Refuses one to which this rdq must not write. */
function gate(db: SqliteDatabase): number {
  const there = db.prepare(`select 1 from sqlite_schema where type = 'table' and name = 'rdq_meta'`).get()
  if (there === undefined) return 0
  const read = db.prepare('select value from rdq_meta where key = ?').pluck()
  const found = Number(read.get('format'))
  const minWriter = Number(read.get('min_writer'))
  if (!(Number.isInteger(found) && found > 0 && minWriter <= format)) throw new SchemaError(found, minWriter, format)
  // A newer rdq that lets this one write has only added things that this one does not read.
  return Math.min(found, format)
}
