/** Life and death of workers, with real processes: a lock is held until its holder's process ends, and no longer. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import test from 'ava'
import { loadSqlite } from '../../../../persistence/sqlite/file/library.ts'
import { LifeLock, lockPath, Watch } from '../../../../persistence/sqlite/file/lock.ts'

const library = new URL('../../../../persistence/sqlite/file/library.js', import.meta.url).href
const lock = new URL('../../../../persistence/sqlite/file/lock.js', import.meta.url).href

let folder = ''
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rdq-lock-'))
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

/** A process that holds a worker's lock, and then does as `after` says. */
async function holder(
  database: string,
  worker: string,
  after = 'setInterval(() => {}, 1000)',
  first = '',
): Promise<ChildProcess> {
  const code = `
    import { loadSqlite } from ${JSON.stringify(library)}
    import { LifeLock } from ${JSON.stringify(lock)}
    ${first}
    globalThis.lock = new LifeLock(loadSqlite(), ${JSON.stringify(database)}, ${JSON.stringify(worker)})
    process.stdout.write('held')
    ${after}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'ignore'] })
  await new Promise(resolve => child.stdout?.once('data', resolve))
  return child
}
const ended = (child: ChildProcess): Promise<unknown> => new Promise(resolve => child.once('exit', resolve))

test('lock: a worker that is killed is known to be dead at once, and its file goes when it is forgotten', async t => {
  const database = join(folder, 'killed.db')
  const child = await holder(database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.takeDead(['w1'], 0), [])

  child.kill('SIGKILL')
  await ended(child)
  t.deepEqual(watch.takeDead(['w1'], 0), ['w1'])
  watch.forget('w1')
  t.false(existsSync(lockPath(database, 'w1')))
  watch.close()
})
test('lock: a worker whose process is stopped, or whose loop is blocked, is never taken for dead', async t => {
  const database = join(folder, 'stopped.db')
  const stopped = await holder(database, 'w1')
  const blocked = await holder(database, 'w2', 'setImmediate(() => { for (;;); })')
  stopped.kill('SIGSTOP')
  const watch = new Watch(loadSqlite(), database)
  for (let i = 0; i < 100; i++) t.deepEqual(watch.takeDead(['w1', 'w2'], 0), [])
  for (const child of [stopped, blocked]) {
    child.kill('SIGKILL')
    await ended(child)
  }
  t.deepEqual(watch.takeDead(['w1', 'w2'], 0), ['w1', 'w2'])
  watch.close()
})
test('lock: a worker that registered again after it was taken for dead is alive, also for watchers with its old file open', async t => {
  const database = join(folder, 'anew.db')
  const child = await holder(database, 'w1')
  const [first, second] = [new Watch(loadSqlite(), database), new Watch(loadSqlite(), database)]
  t.deepEqual([first.takeDead(['w1'], 0), second.takeDead(['w1'], 0)], [[], []])
  child.kill('SIGKILL')
  await ended(child)
  t.deepEqual(first.takeDead(['w1'], 0), ['w1'])
  first.forget('w1')

  const anew = new LifeLock(loadSqlite(), database, 'w1')
  t.deepEqual([first.takeDead(['w1'], 0), second.takeDead(['w1'], 0)], [[], []])
  anew.release()
  // Its file went with it. One of them recovers, and the other looks on.
  for (let now = 0; now < 10_000; now += 1_000) t.deepEqual(first.takeDead(['w1'], now), [])
  t.deepEqual([first.takeDead(['w1'], 10_000), second.takeDead(['w1'], 10_000)], [['w1'], []])
  for (const watch of [first, second]) watch.close()
})
test('lock: only one of several watchers takes over a dead worker', async t => {
  const database = join(folder, 'two.db')
  const child = await holder(database, 'w1')
  child.kill('SIGKILL')
  await ended(child)
  const [one, other] = [new Watch(loadSqlite(), database), new Watch(loadSqlite(), database)]
  t.deepEqual([one.takeDead(['w1'], 0), other.takeDead(['w1'], 0)], [['w1'], []])
  one.close()
  t.deepEqual(other.takeDead(['w1'], 0), ['w1'])
  other.close()
})
test('lock: a worker of this process is alive until it releases its lock, and leaves no file', t => {
  const database = join(folder, 'own.db')
  const own = new LifeLock(loadSqlite(), database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.takeDead(['w1'], 0), [])
  own.release()
  t.false(existsSync(lockPath(database, 'w1')))
  for (let now = 0; now < 10_000; now += 1_000) t.deepEqual(watch.takeDead(['w1'], now), [])
  t.deepEqual(watch.takeDead(['w1'], 10_000), ['w1'])
  watch.close()
})
test('lock: a worker without a file is dead after 10 s in which the watcher was awake, and only a token names a file', t => {
  const watch = new Watch(loadSqlite(), join(folder, 'none.db'))
  const dead = (now: number): string[] => watch.takeDead(['w9', '../../etc/passwd'], now)
  t.deepEqual(dead(50_000), ['../../etc/passwd'])
  for (let now = 50_500; now < 60_000; now += 500) t.deepEqual(dead(now), ['../../etc/passwd'])
  t.deepEqual(dead(60_000), ['w9', '../../etc/passwd'])
  t.notThrows(() => watch.forget('../../etc/passwd'))
})
test('lock: time in which the watcher itself was suspended does not count', t => {
  const watch = new Watch(loadSqlite(), join(folder, 'slept.db'))
  for (const now of [0, 500, 3_600_000, 7_200_000]) t.deepEqual(watch.takeDead(['w1'], now), [])
})
test('lock: in a copy of the file the workers of the original are dead at once, unless their lock files were copied too', async t => {
  const database = join(folder, 'copy.db')
  const child = await holder(database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  watch.setWorkersOfOriginal(['w1', 'w2'])
  t.deepEqual(watch.takeDead(['w1', 'w2', 'w3'], 0), ['w2'])
  child.kill('SIGKILL')
  await ended(child)
  watch.close()
})
test('lock: a living worker whose file was removed creates it again, and stays alive for all watchers', t => {
  const database = join(folder, 'removed.db')
  const own = new LifeLock(loadSqlite(), database, 'w1')
  const [before, after] = [new Watch(loadSqlite(), database), new Watch(loadSqlite(), database)]
  t.deepEqual(before.takeDead(['w1'], 0), [])
  for (let round = 0; round < 3; round++) {
    rmSync(lockPath(database, 'w1'))
    // Who has it open asks the lock itself, for as long as it takes; who has not waits.
    for (let now = 0; now < 60_000; now += 1_000) t.deepEqual(before.takeDead(['w1'], now), [])
    t.deepEqual([after.takeDead(['w1'], 0), after.takeDead(['w1'], 900)], [[], []])
    t.true(own.renew(0))
    t.false(own.renew(0))
    t.deepEqual(
      readdirSync(folder).filter(name => name.startsWith('removed.db')),
      ['removed.db-rdq-w1'],
    )
    t.deepEqual([before.takeDead(['w1'], 0), after.takeDead(['w1'], 0)], [[], []])
  }
  own.release()
  t.false(existsSync(lockPath(database, 'w1')))
  for (let now = 0; now < 10_000; now += 1_000) t.deepEqual(before.takeDead(['w1'], now), [])
  t.deepEqual(before.takeDead(['w1'], 10_000), ['w1'])
  for (const watch of [before, after]) watch.close()
})
test('lock: a worker that is suspended without its second file stays alive for a watcher that knows only the first', t => {
  const database = join(folder, 'twice.db')
  const own = new LifeLock(loadSqlite(), database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.takeDead(['w1'], 0), [])
  rmSync(lockPath(database, 'w1'))
  t.true(own.renew(0))
  rmSync(lockPath(database, 'w1'))

  for (let now = 0; now < 60_000; now += 1_000) t.deepEqual(watch.takeDead(['w1'], now), [])
  own.release()
  watch.close()
})
test('lock: a worker whose thread was restarted stays alive for all watchers, though both lock files were removed', t => {
  const database = join(folder, 'restarted.db')
  const [before, watch] = [new LifeLock(loadSqlite(), database, 'w1'), new Watch(loadSqlite(), database)]
  t.deepEqual(watch.takeDead(['w1'], 0), [])
  rmSync(lockPath(database, 'w1'))
  before.release()
  const own = new LifeLock(loadSqlite(), database, 'w1')
  rmSync(lockPath(database, 'w1'))
  for (let now = 0; now < 10_000; now += 1_000) t.deepEqual(watch.takeDead(['w1'], now), [])

  t.true(own.renew(0))
  for (let now = 10_000; now < 60_000; now += 1_000) t.deepEqual(watch.takeDead(['w1'], now), [])
  own.release()
  watch.close()
})
test('lock: a suspended process whose file was removed is alive for all that had the file open, and dead when it is killed', async t => {
  const database = join(folder, 'frozen.db')
  const child = await holder(database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.takeDead(['w1'], 0), [])
  child.kill('SIGSTOP')
  rmSync(lockPath(database, 'w1'))
  for (let now = 0; now < 3_600_000; now += 1_000) t.deepEqual(watch.takeDead(['w1'], now), [])
  child.kill('SIGKILL')
  await ended(child)
  t.deepEqual(watch.takeDead(['w1'], 3_600_000), ['w1'])
  watch.close()
})
for (const umask of ['000', '022', '777']) {
  test(`lock: under the umask ${umask} only the owner can read the lock file, also when it is created again`, async t => {
    const database = join(folder, `umask-${umask}.db`)
    const modeOf = (): number => statSync(lockPath(database, 'w1')).mode & 0o777
    const anew = `
    process.stdin.once('data', () => {
      globalThis.lock.renew(0)
      process.stdout.write('renewed')
    })`
    const child = await holder(database, 'w1', anew, `process.umask(0o${umask})`)
    if (process.platform !== 'win32') t.is(modeOf(), 0o600)
    rmSync(lockPath(database, 'w1'))
    child.stdin?.write('go')
    await once(child.stdout as Readable, 'data')
    t.is(modeOf(), 0o600)
    child.kill('SIGKILL')
    await ended(child)
  })
}
test('lock: a world-readable lock file of an earlier version becomes readable by its owner only', t => {
  const database = join(folder, 'older.db')
  writeFileSync(lockPath(database, 'w1'), '')
  chmodSync(lockPath(database, 'w1'), 0o644)
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.takeDead(['w1'], 0), ['w1'])
  if (process.platform !== 'win32') t.is(statSync(lockPath(database, 'w1')).mode & 0o777, 0o600)
  watch.close()
})
test('lock: the lock file is touched often enough to survive cleaners of old files', t => {
  const database = join(folder, 'touched.db')
  const own = new LifeLock(loadSqlite(), database, 'w3')
  own.renew(86_400_000)
  t.is(statSync(lockPath(database, 'w3')).mtimeMs, 86_400_000)
  own.renew(86_400_000 + 599_999)
  t.is(statSync(lockPath(database, 'w3')).mtimeMs, 86_400_000)
  own.renew(86_400_000 + 600_000)
  t.is(statSync(lockPath(database, 'w3')).mtimeMs, 86_400_000 + 600_000)
  own.release()
})
test('lock: the error says so if no lock file can be created', t => {
  t.throws(() => new LifeLock(loadSqlite(), join(folder, 'missing', 'x.db'), 'w1'), { message: /missing/ })
})
