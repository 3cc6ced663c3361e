/** What can be wrong with a file, row by row of the faults that are planned for. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import test from 'ava'
import type { Backlog } from '../../../../lib/backlog.ts'
import { systemClock } from '../../../../lib/clock.ts'
import { OptionError } from '../../../../lib/errors.ts'
import { DispatchQueue } from '../../../../lib/index.ts'
import { defaultTransport } from '../../../../persistence/durable/transport.ts'
import { attachSession, SqliteBacklog } from '../../../../persistence/sqlite/backlog.ts'
import { BacklogBusyError, BacklogFileError, SqliteTooOldError } from '../../../../persistence/sqlite/errors.ts'
import { checkVersion, loadSqlite } from '../../../../persistence/sqlite/file/library.ts'
import { findFile } from '../../../../persistence/sqlite/file/open.ts'
import { runThread } from '../../../../persistence/sqlite/thread/run-thread.ts'
import type { ThreadHost } from '../../../../persistence/sqlite/thread/thread-host.ts'
import { VirtualClock } from '../../../../testing/index.ts'
import { fileSessions, job, put } from '../../../support/file-sessions.ts'
import { until } from '../../../support/suspend.ts'

const { at, shelf: open } = fileSessions()

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
test('F21: an open waits for a file that another process has locked exclusively', async t => {
  const path = at('held.db')
  const holder = new (loadSqlite())(path)
  holder.exec('pragma locking_mode = exclusive; create table x (y); begin exclusive')
  const opening = open(path)
  systemClock.at(systemClock.now() + 100, () => holder.close())
  await t.notThrowsAsync(opening)
})
test('F21: a file that stays locked is named by ready, by a put and by error, and can be opened later', async t => {
  const path = at('kept.db')
  const holder = await exclusiveHolder(path)
  t.teardown(() => holder.kill('SIGKILL'))
  const clock = new VirtualClock()
  const queue = new DispatchQueue(null, { name: 'q', backlog: timedBy(clock, path) })
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))
  let over = false
  const requested = Promise.allSettled([queue.ready(), queue.put(1)]).finally(() => (over = true))

  await until(() => clock.next !== undefined, 'the thread has found it locked')
  clock.block(9_900)
  await clock.advance(50)
  t.false(over)
  await clock.advance(100)
  t.true(over)
  const [ready, put] = (await requested) as [PromiseRejectedResult, PromiseRejectedResult]

  t.true(ready.reason instanceof BacklogBusyError)
  t.like(ready.reason, { code: 'BACKLOG_BUSY', path })
  t.true(ready.reason.message.includes(`'${path}' has been locked by another program for 10 s`))
  // Each has an error of its own, with the stack of its call.
  const { message } = ready.reason
  t.not(put.reason, ready.reason)
  t.deepEqual(
    [put.reason, ...errors].map(error => [(error as object).constructor, (error as Error).message]),
    [
      [BacklogBusyError, message],
      [BacklogBusyError, message],
    ],
  )
  holder.kill()
  await once(holder, 'exit')
  await t.notThrowsAsync(open(path))
})
test('F16: a lock that another process holds for a while only delays requests', async t => {
  const path = at('busy.db')
  const shelf = await open(path)
  const other = new (loadSqlite())(path)
  other.exec('begin immediate')
  const putting = put(shelf, job('a'))
  // The loop goes on while the thread waits.
  await new Promise<void>(resolve => systemClock.at(systemClock.now() + 100, resolve))
  other.exec('rollback')
  other.close()
  await putting
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

/** A process that has the file for itself alone until it is killed. */
async function exclusiveHolder(path: string): Promise<ChildProcess> {
  const library = new URL('../../../../persistence/sqlite/file/library.js', import.meta.url).href
  const code = `
    const { loadSqlite } = await import(${JSON.stringify(library)})
    const db = new (loadSqlite())(${JSON.stringify(path)})
    db.exec('pragma locking_mode = exclusive; create table x (y); begin exclusive')
    process.stdout.write('held')
    process.stdin.on('end', () => db.close()).resume()`
  // It ends with who started it, at the latest.
  const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'ignore'] })
  await once(holder.stdout as Readable, 'data')
  return holder
}

/** A backlog whose thread is this one, and patient by a clock that the test turns. It opens, and answers nothing. */
function timedBy(clock: VirtualClock, path: string): Backlog {
  const start: ThreadHost['start'] = (opening, events) => {
    const port = { post: events.message, listen: () => {}, receive: () => undefined, close: () => events.exit(0) }
    void runThread(port, opening, { clock, load: loadSqlite })
    return { post: () => {}, ref: () => {}, unref: () => {} }
  }
  const options = {
    durability: 'power',
    stallMs: 300_000,
    host: { process: {}, find: findFile, start },
  } as const
  return {
    durable: true,
    strict: true,
    transport: defaultTransport,
    attach: declaration => attachSession(declaration, path, options),
  }
}
