/** What can be wrong with a file, row by row of the faults that are planned for. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { OptionError } from '../../../lib/errors.ts'
import { SqliteBacklog } from '../../../persistence/sqlite/backlog.ts'
import {
  BacklogBusyError,
  BacklogFileError,
  BacklogFullError,
  SqliteTooOldError,
} from '../../../persistence/sqlite/errors.ts'
import { checkVersion, loadSqlite } from '../../../persistence/sqlite/library.ts'
import { ending, job, put, scene, turn } from '../../support/scene.ts'

const { at, shelf: open } = scene()

test('F17: a file that is no database is refused and left as it is', async t => {
  const path = at('text.db')
  writeFileSync(path, 'something else '.repeat(1_000))
  const error = await t.throwsAsync(open(path), { instanceOf: BacklogFileError, code: 'BACKLOG_FILE' })
  t.like(error, { problem: 'not a database' })
  t.is(readFileSync(path, 'utf8'), 'something else '.repeat(1_000))
})
test('F26: a directory that does not exist, or is the path itself, is named when the file is opened', async t => {
  t.like(await t.throwsAsync(open(at('missing/x.db'))), { code: 'BACKLOG_FILE', problem: 'no directory' })
  mkdirSync(at('folder.db'))
  t.like(await t.throwsAsync(open(at('folder.db'))), { code: 'BACKLOG_FILE', problem: 'not a file' })
})
if (process.getuid?.() !== 0) {
  test('F26: a file, or a directory, that cannot be written fails at open', async t => {
    writeFileSync(at('read.db'), '')
    chmodSync(at('read.db'), 0o400)
    t.like(await t.throwsAsync(open(at('read.db'))), { code: 'BACKLOG_FILE', problem: 'not writable' })
  })
}
test('F21: a file that another one holds exclusively is waited for, and then named', async t => {
  const path = at('held.db')
  const holder = new (loadSqlite())(path)
  holder.exec('pragma locking_mode = exclusive; create table x (y); begin exclusive')
  const opening = open(path)
  systemClock.at(systemClock.now() + 100, () => holder.close())
  await t.notThrowsAsync(opening)
})
test('F16: a lock that another one holds meanwhile delays, and nothing else', async t => {
  const path = at('busy.db')
  const shelf = await open(path)
  const other = new (loadSqlite())(path)
  other.exec('begin immediate')
  const before = systemClock.now()
  const putting = put(shelf, job('a'))
  // The loop goes on while the thread waits.
  await new Promise<void>(resolve => systemClock.at(before + 100, resolve))
  other.exec('rollback')
  other.close()
  await putting
  t.true(systemClock.now() - before < 2_000)
  t.is(shelf.counts.pending, 1)
})
test('F29: an SQLite with the race between writes and checkpoints is refused', t => {
  for (const version of ['3.51.2', '3.50.9', '2.99.0']) {
    t.throws(() => checkVersion(version), { instanceOf: SqliteTooOldError })
  }
  for (const version of ['3.51.3', '3.52.0', '4.0.0']) t.notThrows(() => checkVersion(version))
})
test('options: a path or an option that is not legal is refused when the backlog is made', t => {
  for (const path of ['', ':memory:', 'file:x.db', 7, 'a\0b']) {
    t.throws(() => new SqliteBacklog(path as string), { instanceOf: OptionError })
  }
  for (const options of [{ durability: 'none' }, { stall: 1 }, { stall: -1 }, { speed: 1 }]) {
    t.throws(() => new SqliteBacklog('x.db', options as never), { instanceOf: OptionError })
  }
})
void [BacklogBusyError, BacklogFullError, ending, turn]
