/**
 * The tables in a user's file, as numbered steps, and the check that keeps versions of rdq from harming each other.
 *
 * Once an rdq with a step was published, the step is never edited, and a change of the tables is a step of its own. rdq
 * is a guest in the file: all names begin with rdq_, and `user_version` belongs to the user.
 */
import { SchemaError } from '../errors.ts'
import type { SqliteDatabase } from '../file/database.ts'

/** Bits of `flags` in the narrow tables, so that only the few jobs that need a fact pay for it. */
export const hasLastRun = 1
export const givenId = 2
export const awaitingVerdict = 4
/**
 * A run of the job ended with its process, and it is unknown whether it was launched. The next launch is reported
 * before its body begins.
 */
export const unreportedLaunch = 8

/** The worker of jobs and reports that belong to no process. Its row in rdq_worker has no token. */
export const noWorker = 0

/** A key that takes turns (state 1 of rdq_key) is not checked again, and neither is one of which nothing is stored. */
const mustCheck = 'exists (select 1 from rdq_key k where k.queue = old.queue and k.key = old.key and k.state <> 1)'

export interface Step {
  /** The oldest format whose rdq may still read, and write, a file after this step. */
  readonly minReader: number
  readonly minWriter: number
  readonly sql: string
}

/**
 * Columns that occur in several tables:
 * - `epoch`: what a queue's claims walk. `clear` gives the queue a new one, and the old one is swept out step
 *   by step.
 * - `key` of rdq_underway and rdq_continuing_body: filled while the queue sorts its jobs by key (key.ts). The triggers
 *   record the keys to check again because a body of theirs has ended, whatever statement removes its row.
 * - `listed`: 1 if rdq_job_listed is needed to find the job by its key. A job that was put among those of its key is found
 *   in rdq_pending_by_key and in rdq_underway_key, and listed only once it waits elsewhere. Most never do.
 * - `rate`: whose starts they are: the number of a queue, or a negative number of a key or of a named rule.
 * - `fence`, `attempt`, `crashes`, `flags` move with a job from table to table, so that its body is never updated.
 * - instants `…_at` are of the file's own steady clock (file/clock.ts), `…_wall` of the wall clock.
 */
export const steps: readonly Step[] = [
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
  epoch integer not null,
  next_seq integer not null,
  pending integer not null default 0,
  delayed integer not null default 0,
  underway integer not null default 0,
  finished integer not null default 0,
  failed integer not null default 0,
  cancelled integer not null default 0,
  shared_paused integer not null default 0,
  rules text not null default '[]',
  declared_rules text,
  global_width real not null default 9e999,
  declared_global_width real,
  rate_version integer not null default 0,
  marks text,
  keep text not null,
  size real,
  after_crash text not null,
  crash_limit integer not null,
  keys text,
  declared_keys text,
  keys_version integer not null default 0,
  keys_used integer not null default 0,
  key_clock real not null default 0,
  key_holds integer not null default 0,
  cleared_epochs integer not null default 0,
  unowned integer not null default 0,
  unreported integer not null default 0,
  dropped_reports integer not null default 0,
  suspects integer not null default 0,
  seen_at real not null default 0,
  seen_wall real not null default 0
) strict;

create table rdq_seq_range (
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
  extras text,
  listed integer not null default 0
) strict;
create unique index rdq_job_given on rdq_job (queue, id) where fingerprint is not null;
create index rdq_job_listed on rdq_job (queue, key, seq) where listed = 1;

create table rdq_generated_ids (
  queue integer not null,
  process_tag text not null,
  serial integer not null,
  seq integer not null,
  jobs integer not null,
  primary key (queue, process_tag, serial)
) strict, without rowid;

create table rdq_ready (
  epoch integer not null,
  priority real not null,
  seq integer not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  primary key (epoch, priority, seq)
) strict, without rowid;

create table rdq_ready_range (
  epoch integer not null,
  seq integer not null,
  jobs integer not null,
  primary key (epoch, seq)
) strict, without rowid;

create table rdq_suspect (
  seq integer primary key,
  epoch integer not null,
  since real not null,
  priority real not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null
) strict;
create index rdq_suspect_order on rdq_suspect (epoch, crashes, priority, seq);

create table rdq_delayed (
  seq integer primary key,
  epoch integer not null,
  clock integer not null,
  due real not null,
  priority real not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null
) strict;
create index rdq_delayed_due on rdq_delayed (epoch, clock, due);
create index rdq_delayed_suspect on rdq_delayed (epoch, clock, due) where crashes > 0;

create table rdq_pending_by_key (
  epoch integer not null,
  key text not null,
  priority real not null,
  seq integer not null,
  attempt integer not null,
  fence integer not null,
  crashes integer not null,
  flags integer not null,
  primary key (epoch, key, priority, seq)
) strict, without rowid;
create index rdq_pending_by_key_suspect on rdq_pending_by_key (epoch, key, priority, seq) where crashes > 0;

create table rdq_key_hold (
  queue integer not null,
  key text not null,
  until_at real not null,
  primary key (queue, key)
) strict, without rowid;

create table rdq_key (
  queue integer not null,
  key text not null,
  state integer not null,
  turn real,
  tie integer not null,
  until_at real not null,
  override text,
  rate integer not null,
  rules text,
  rate_version integer not null,
  marks text,
  primary key (queue, key)
) strict, without rowid;
create index rdq_key_turn on rdq_key (queue, turn, tie, key) where state = 1;
create index rdq_key_blocked on rdq_key (queue, until_at) where state = 3;
create index rdq_key_idle on rdq_key (queue, until_at) where state = 4;
create index rdq_key_overridden on rdq_key (queue, key) where override is not null;

create table rdq_key_released (
  queue integer not null,
  key text not null,
  primary key (queue, key)
) strict, without rowid;

create table rdq_cleared_epoch (
  epoch integer primary key,
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
  grant integer not null,
  exchange integer not null,
  launched integer not null default 0,
  alone integer not null default 0,
  key text,
  key_start integer not null default 0,
  rule_starts text,
  primary key (worker, queue, seq)
) strict, without rowid;
create index rdq_underway_key on rdq_underway (queue, key) where key is not null;
create index rdq_underway_verdict on rdq_underway (queue) where flags & ${awaitingVerdict} != 0;
create trigger rdq_underway_released after delete on rdq_underway when old.key is not null and ${mustCheck} begin
  insert or ignore into rdq_key_released (queue, key) values (old.queue, old.key);
end;

create table rdq_continuing_body (
  seq integer not null,
  worker integer not null,
  queue integer not null,
  key text,
  primary key (seq, worker)
) strict, without rowid;
create index rdq_continuing_body_key on rdq_continuing_body (queue, key);
create trigger rdq_continuing_body_released after delete on rdq_continuing_body
when old.key is not null and ${mustCheck} begin
  insert or ignore into rdq_key_released (queue, key) values (old.queue, old.key);
end;

create table rdq_slot_wait (
  queue integer not null,
  worker integer not null,
  since real not null,
  kept_since real,
  primary key (queue, worker)
) strict, without rowid;

create table rdq_cancel_request (
  worker integer not null,
  queue integer not null,
  seq integer not null,
  fence integer not null,
  reason text,
  reported integer not null default 0,
  primary key (worker, queue, seq)
) strict, without rowid;

create table rdq_last_exchange (
  worker integer not null,
  queue integer not null,
  number integer not null,
  primary key (worker, queue)
) strict, without rowid;

create table rdq_exchange_reply (
  worker integer not null,
  queue integer not null,
  number integer not null,
  reply text not null,
  primary key (worker, queue, number)
) strict, without rowid;

create table rdq_put_reply (
  token text not null,
  number integer not null,
  first integer not null,
  existed text,
  put_at real not null,
  primary key (token, number)
) strict, without rowid;

create table rdq_crash_report (
  number integer primary key,
  worker integer not null,
  queue integer not null,
  exchange integer not null,
  seq integer,
  job text,
  dropped integer not null default 0
) strict;
create index rdq_crash_report_at on rdq_crash_report (worker, queue, exchange);

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

create table rdq_last_run (
  seq integer primary key,
  started_wall real,
  stopped_wall real,
  error text,
  checkpoint text
) strict;

create table rdq_remembered_id (
  queue integer not null,
  id text not null,
  fingerprint text not null,
  state text not null,
  forget_at real not null,
  primary key (queue, id)
) strict, without rowid;
create index rdq_remembered_id_forget on rdq_remembered_id (queue, forget_at);

create table rdq_rule (
  name text primary key,
  declared text,
  override text,
  rate integer not null,
  rate_version integer not null,
  marks text,
  turns text
) strict, without rowid;

create table rdq_rate_start (
  rate integer not null,
  grant integer not null,
  granted_at real not null,
  counts_at real not null,
  costs text,
  primary key (rate, grant)
) strict, without rowid;
`,
  },
]

/** The format that this rdq writes. */
export const format: number = steps.length

/**
 * Brings the file up to the format of these steps, which are those of this rdq unless a test brings its own. Two
 * processes may do so at once: the format is read again inside the transaction, and the second process finds nothing to
 * do.
 */
export function migrate(db: SqliteDatabase, to: readonly Step[] = steps): void {
  if (gate(db, to.length) === to.length) return
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
export function migrateWithin(db: SqliteDatabase, to: readonly Step[] = steps): void {
  const found = gate(db, to.length)
  const last = to.at(-1)
  if (found === to.length || !last) return
  if (found === 0) db.exec('create table rdq_meta (key text primary key, value any) strict, without rowid')
  for (const step of to.slice(found)) db.exec(step.sql)
  const write = db.prepare('insert or replace into rdq_meta (key, value) values (?, ?)')
  write.run('format', to.length)
  write.run('min_reader', last.minReader)
  write.run('min_writer', last.minWriter)
}

/** The format of the file, 0 when it has none; refuses one that an rdq which knows up to `known` must not write to. */
function gate(db: SqliteDatabase, known: number): number {
  const there = db.prepare(`select 1 from sqlite_schema where type = 'table' and name = 'rdq_meta'`).get()
  if (there === undefined) return 0
  const read = db.prepare('select value from rdq_meta where key = ?').pluck()
  const found = Number(read.get('format'))
  const minWriter = Number(read.get('min_writer'))
  if (!(Number.isInteger(found) && found > 0 && minWriter <= known)) throw new SchemaError(found, minWriter, known)
  // A newer rdq that lets this one write has only added things that this one does not read.
  return Math.min(found, known)
}
