/** Life and death of workers, with real processes: a lock is held until its holder's process ends, and no longer. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { loadSqlite } from '../../../persistence/sqlite/library.ts'
import { LifeLock, lockPath, Watch } from '../../../persistence/sqlite/lock.ts'

const library = new URL('../../../persistence/sqlite/library.js', import.meta.url).href
const lock = new URL('../../../persistence/sqlite/lock.js', import.meta.url).href

let folder = ''
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rdq-lock-'))
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

/** A process that holds a worker's lock, and then does as `after` says. */
async function holder(database: string, worker: string, after = 'setInterval(() => {}, 1000)'): Promise<ChildProcess> {
  const code = `
    import { loadSqlite } from ${JSON.stringify(library)}
    import { LifeLock } from ${JSON.stringify(lock)}
    globalThis.lock = new LifeLock(loadSqlite(), ${JSON.stringify(database)}, ${JSON.stringify(worker)})
    process.stdout.write('held')
    ${after}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise(resolve => child.stdout?.once('data', resolve))
  return child
}
const ended = (child: ChildProcess): Promise<unknown> => new Promise(resolve => child.once('exit', resolve))

test('lock: a worker that is killed is known to be dead at once, and its file goes when it is forgotten', async t => {
  const database = join(folder, 'killed.db')
  const child = await holder(database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.dead(['w1']), [])

  child.kill('SIGKILL')
  await ended(child)
  t.deepEqual(watch.dead(['w1']), ['w1'])
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
  for (let i = 0; i < 100; i++) t.deepEqual(watch.dead(['w1', 'w2']), [])
  for (const child of [stopped, blocked]) {
    child.kill('SIGKILL')
    await ended(child)
  }
  t.deepEqual(watch.dead(['w1', 'w2']), ['w1', 'w2'])
  watch.close()
})
test('lock: a worker that began anew after it was taken for dead lives, also for who has its old file open', async t => {
  const database = join(folder, 'anew.db')
  const child = await holder(database, 'w1')
  const [first, second] = [new Watch(loadSqlite(), database), new Watch(loadSqlite(), database)]
  t.deepEqual([first.dead(['w1']), second.dead(['w1'])], [[], []])
  child.kill('SIGKILL')
  await ended(child)
  t.deepEqual(first.dead(['w1']), ['w1'])
  first.forget('w1')

  const anew = new LifeLock(loadSqlite(), database, 'w1')
  t.deepEqual([first.dead(['w1']), second.dead(['w1'])], [[], []])
  anew.release()
  t.deepEqual([first.dead(['w1']), second.dead(['w1'])], [['w1'], ['w1']])
  for (const watch of [first, second]) watch.close()
})
test('lock: only one of those who look takes over', async t => {
  const database = join(folder, 'two.db')
  const child = await holder(database, 'w1')
  child.kill('SIGKILL')
  await ended(child)
  const [one, other] = [new Watch(loadSqlite(), database), new Watch(loadSqlite(), database)]
  t.deepEqual([one.dead(['w1']), other.dead(['w1'])], [['w1'], []])
  one.close()
  t.deepEqual(other.dead(['w1']), ['w1'])
  other.close()
})
test('lock: a worker of this process lives until it lets go, and leaves no file', t => {
  const database = join(folder, 'own.db')
  const own = new LifeLock(loadSqlite(), database, 'w1')
  const watch = new Watch(loadSqlite(), database)
  t.deepEqual(watch.dead(['w1']), [])
  own.release()
  t.false(existsSync(lockPath(database, 'w1')))
  t.deepEqual(watch.dead(['w1']), ['w1'])
  watch.close()
})
test('lock: a worker without a file is dead, and a name that is no token names no file', t => {
  const watch = new Watch(loadSqlite(), join(folder, 'none.db'))
  t.deepEqual(watch.dead(['w9', '../../etc/passwd']), ['w9', '../../etc/passwd'])
  t.notThrows(() => watch.forget('../../etc/passwd'))
})
test('lock: where no file can be made it says so', t => {
  t.throws(() => new LifeLock(loadSqlite(), join(folder, 'missing', 'x.db'), 'w1'), { message: /missing/ })
})
