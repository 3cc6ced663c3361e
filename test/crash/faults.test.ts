/**
 * The faults that are planned for, as far as a file on a disk and its processes concern them, and where each is held.
 *
 * | fault | test |
 * | --- | --- |
 * | F1 SIGKILL at every point | crash/points, crash/within, crash/storm |
 * | F2 loss of power | here: what is asked of SQLite; its own tests hold the rest |
 * | F3 process.exit in a handler | crash/recovery; flow/faults-process |
 * | F4 SIGTERM, SIGINT | crash/signals; rdq itself hears no signal, its user calls `stop` |
 * | F5 the signal twice | not ours: who hears the signal decides |
 * | F6 handlers of signals | here; flow/faults-process |
 * | F7 SIGSTOP, sleep | crash/signals; persistence/sqlite/file/lock, keeper ('stall: time in which …') |
 * | F8 the loop is blocked | flow/sqlite ('… whose loop is blocked'); persistence/sqlite/thread/loop ('stall: …') |
 * | F9 poison | crash/recovery (I17); persistence/sqlite/tables/worker |
 * | F10 a late worker | here; persistence/sqlite/store/store ('settle: an ending of another claim …') |
 * | F11, F12 clocks | persistence/sqlite/store/change ('delay: …'), starts ('rate: a jump …', 'rate: over a reboot …') |
 * | F13 no file descriptors | here |
 * | F14 threads of one process | here; persistence/sqlite/thread/entry ('two objects on one file …') |
 * | F15 full disk | crash/disk; persistence/sqlite/thread/loop |
 * | F16 locks | persistence/sqlite/file/faults, keeper |
 * | F17 damaged, or no database | persistence/sqlite/file/faults, keeper |
 * | F18 faults of the disk | persistence/sqlite/thread/loop |
 * | F19 torn or missing log | here |
 * | F20 a long reader | here |
 * | F21 held exclusively | persistence/sqlite/file/faults |
 * | F22 opened outside of SQLite | file/open.ts never does; what others do cannot be seen |
 * | F23 network file systems | not seen; a file that cannot be in WAL is refused |
 * | F24, F25 versions of the schema | persistence/sqlite/tables/schema ('F25: …' for an old file); here: processes that open a new file at once |
 * | F26 read-only | crash/disk, for any user where it can have a disk; persistence/sqlite/file/faults, but for root |
 * | F27 foreign rows | here; persistence/sqlite/store/store ('claim: a payload that is no JSON …') |
 * | F28 ten processes | crash/rate, crash/shared; flow/sqlite |
 * | F29 an old SQLite | persistence/sqlite/file/faults |
 */
import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { openDatabase } from '../../persistence/sqlite/file/open.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { child } from '../support/child-process.ts'
import { bundled } from '../support/repository.ts'
import { until } from '../support/suspend.ts'
import { endAll, filledFile, type WorkerPool, type WorkerProcess, workerPool } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

const keep = { finished: '1d' } as const
/** Works off what is there, in this process. Answers the ids that ran. */
async function workOff(c: WorkerPool): Promise<string[]> {
  const ran: string[] = []
  const queue = new DispatchQueue((_, task) => void ran.push(task.id), {
    ...{ name: 'q', width: 10, keep, backlog: new SqliteBacklog(c.path, { durability: 'process' }) },
  })
  await queue.idle()
  await queue.stop()
  return ran
}

test('F2: the durability that was chosen is in force: each commit on the disk for power, in the log for process', t => {
  const { path } = workerPool()
  ;new (loadSqlite())(path).close()
  for (const [durability, level] of [
    ['power', 2],
    ['process', 1],
  ] as const) {
    const db = openDatabase(loadSqlite(), path, durability)
    t.is(db.pragma('synchronous', { simple: true }), level)
    t.is(db.pragma('journal_mode', { simple: true }), 'wal')
    db.close()
  }
})

test('F6: a queue on a file adds no listener to the process', async t => {
  const names = (): (string | symbol)[] => process.eventNames()
  const before = names()
  const queue = new DispatchQueue(() => {}, { name: 'q', backlog: new SqliteBacklog(workerPool().path) })
  await queue.run(1)

  t.deepEqual(names(), before)

  await queue.stop()
  t.deepEqual(names(), before)
})

/** A process whose loop was silent until it lost its job, and another one that has done it meanwhile. */
async function late(): Promise<{ c: WorkerPool; workers: WorkerProcess[] }> {
  const c = await filledFile([0, 1])
  const slow = c.start({ who: 'late', body: 'block', blockMs: 40_000, stall: '1s', keep })
  await slow.reported('start')
  const other = c.start({ who: 'other', body: 'end', keep })
  await other.reported('finished', 2)
  // Not by time: a machine that is busy would let it go before the other one has even started.
  c.unblock()
  await slow.reported('lost')
  await slow.reported('stalled')
  return { c, workers: [slow, other] }
}

test('F10: a process whose loop was silent for too long loses its jobs, and emits no ending of them', async t => {
  const { c, workers } = await late()
  await workers[0]?.send('idle')

  t.deepEqual(c.jobs('start', 'other').sort(), ['job-0', 'job-1'])
  t.deepEqual([c.jobs('lost'), c.jobs('finished', 'late')], [['job-0'], []])
  for (const worker of workers) {
    t.like(await worker.send('counts'), { finished: 2, underway: 0, failed: 0 })
    await worker.send('stop')
    await worker.release()
  }
  t.deepEqual(c.checkFile(), [])
})

if (process.platform === 'linux') {
  test('F13: without file descriptors the queue rejects once with the reason, and the process goes on', async t => {
    const { path } = workerPool()
    const sqlite = pathToFileURL(bundled('persistence/sqlite/index')).href
    const ended = await child(
      `
      import { openSync, closeSync } from 'node:fs'
      const { SqliteBacklog } = await import('${sqlite}')
      // What is loaded late must not be what fails.
      const first = new rdq.DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(${JSON.stringify(path)}) })
      await first.ready(); await first.stop()
      const taken = []
      try { for (;;) taken.push(openSync('/dev/null')) } catch (error) { print(error.code) }
      const queue = new rdq.DispatchQueue(() => {}, { name: 'q', backlog: new SqliteBacklog(${JSON.stringify(path)}) })
      let errors = 0
      queue.on('error', () => errors++)
      const failed = await queue.ready().then(() => 'opened', error => error)
      const put = await queue.put(1).then(() => 'put', error => error)
      for (const fd of taken) closeSync(fd)
      print(String(failed?.code ?? failed))
      print(String(put === failed))
      print(String(errors))
      await queue.stop()
      const next = new rdq.DispatchQueue(n => n, { name: 'q', backlog: new SqliteBacklog(${JSON.stringify(path)}) })
      print(String(await next.run(7)))
      await next.stop()`,
      { shell: 'ulimit -n 64' },
    )

    t.is(ended.code, 0, ended.output)
    const [limit, code, same, errors, result] = ended.stdout.trim().split('\n')
    t.deepEqual([limit, same, errors, result], ['EMFILE', 'true', '1', '7'], ended.output)
    t.regex(String(code), /^[A-Z_]+$/, ended.output)
  })
}

test('F14: threads of one process that share a file run each job once', async t => {
  const c = await filledFile(Array.from({ length: 200 }, (_, i) => i))
  const lib = (path: string): string => new URL(path, import.meta.url).href
  const code = `
    import { parentPort } from 'node:worker_threads'
    import { DispatchQueue } from '${lib('../../lib/index.js')}'
    import { SqliteBacklog } from '${lib('../../persistence/sqlite/index.js')}'
    const ran = []
    const queue = new DispatchQueue(async (_, task) => {
      ran.push(task.id)
      await new Promise(resolve => setTimeout(resolve, 2))
    }, { name: 'q', width: 3, backlog: new SqliteBacklog(${JSON.stringify(c.path)}, { durability: 'process' }) })
    await queue.ready()
    await queue.idle()
    await queue.stop()
    parentPort.postMessage(ran)`
  const threads = [1, 2].map(
    () =>
      new Promise<string[]>((resolve, reject) => {
        const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
        thread.once('message', resolve)
        thread.once('error', reject)
      }),
  )

  const [ran, ...others] = await Promise.all([workOff(c), ...threads])

  const all = [ran, ...others].flat()
  t.deepEqual([all.length, new Set(all).size], [200, 200])
  t.deepEqual(c.checkFile(), [])
})

/**
 * A file whose process was killed: all that it put is in the log alone. A reader from before keeps the log from being
 * written back, as it is when the process has nothing to do for a moment.
 */
async function unclean(count: number): Promise<WorkerPool> {
  const from = await filledFile([])
  const reader = new (loadSqlite())(from.path)
  reader.exec('begin')
  reader.prepare('select count(*) from rdq_job').get()
  const dying = from.start({ who: 'dying', puts: count, keep })
  await dying.reported('all put')
  dying.kill()
  await dying.exited
  const c = workerPool(from)
  reader.close()
  return c
}

test('F19: a torn log keeps its whole transactions, with the jobs that were put first', async t => {
  const from = await unclean(60)
  const bytes = statSync(`${from.path}-wal`).size
  const counts: number[] = []
  for (const share of [0.97, 0.8, 0.5, 0.31]) {
    const c = workerPool(from)
    truncateSync(`${c.path}-wal`, Math.floor(bytes * share))
    t.deepEqual(c.checkFile(), [])
    const ran = await workOff(c)
    t.deepEqual(
      ran,
      Array.from({ length: ran.length }, (_, i) => `dying-${i}`),
    )
    counts.push(ran.length)
  }
  t.true(
    counts.every((count, i) => count < (counts[i - 1] ?? 60)),
    `${counts}`,
  )
})

test('F19: a log with a bad page keeps the transactions before it', async t => {
  const c = await unclean(60)
  const log = readFileSync(`${c.path}-wal`)
  log.fill(0x5a, Math.floor(log.length * 0.6), Math.floor(log.length * 0.6) + 512)
  writeFileSync(`${c.path}-wal`, log)

  t.deepEqual(c.checkFile(), [])
  const ran = await workOff(c)

  t.true(ran.length > 0 && ran.length < 60)
  t.deepEqual(
    ran,
    Array.from({ length: ran.length }, (_, i) => `dying-${i}`),
  )
})

test('F19: a missing -shm loses nothing, and a missing -wal leaves the file as of the last checkpoint', async t => {
  const c = await unclean(20)
  rmSync(`${c.path}-shm`, { force: true })
  t.is((await workOff(c)).length, 20)
  t.deepEqual(c.checkFile(), [])

  const from = await filledFile([0, 1])
  const dying = from.start({ who: 'dying', puts: 20, keep })
  await dying.reported('all put')
  dying.kill()
  await dying.exited
  rmSync(`${from.path}-wal`)
  t.true((await workOff(from)).length >= 2)
  t.deepEqual(from.checkFile(), [])
})

test('F20: a long reader delays no writer, and the log is written back when it has ended', async t => {
  const c = workerPool()
  const queue = new DispatchQueue<string>(() => {}, {
    ...{ name: 'q', width: 50, backlog: new SqliteBacklog(c.path, { durability: 'process' }), keep, paused: true },
  })
  await queue.put('first')
  const reader = new (loadSqlite())(c.path)
  reader.exec('begin')
  reader.prepare('select count(*) from rdq_job').get()

  for (let i = 0; i < 20; i++) await queue.putMany(Array.from({ length: 100 }, () => 'x'.repeat(2_000)))
  const before = statSync(c.path).size
  t.true(statSync(`${c.path}-wal`).size > 4_000_000)
  reader.exec('commit')
  reader.close()
  await queue.put('last')
  // By itself, when it has been quiet for a while.
  await until(() => statSync(c.path).size > before + 3_000_000, 'the log was written back')

  queue.resume()
  await queue.idle()
  await queue.stop()
  t.false(existsSync(`${c.path}-wal`))
  t.deepEqual(c.checkFile(), [])
})

test('F25: six processes open a new file at once, put and work, and none is refused', async t => {
  const c = workerPool()
  const workers = Array.from({ length: 6 }, (_, i) => c.start({ who: `p${i}`, body: 'end', puts: 5, keep }))
  await Promise.all(workers.map(worker => worker.reported('all put')))
  await Promise.all(workers.map(worker => worker.send('idle')))

  const finished = c.jobs('finished')
  t.deepEqual([finished.length, new Set(finished).size], [30, 30])
  t.deepEqual(c.jobs('error'), [])
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({ exited }) => exited))
  t.deepEqual(c.checkFile(), [])
})

test('F27: foreign columns, tables and rows are left alone, and an unreadable job fails alone', async t => {
  const c = await filledFile([0, 1, 2])
  const db = new (loadSqlite())(c.path)
  db.exec(`
    alter table rdq_job add column mine text;
    alter table rdq_queue add column mine text;
    alter table rdq_ready add column mine text;
    create table rdq_mine (x);
    insert into rdq_mine values (1);
    update rdq_job set payload = '{"broken' where id = 'job-1'`)
  db.close()

  const ran = await workOff(c)

  t.deepEqual(ran, ['job-0', 'job-2'])
  const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(c.path) })
  const [failed] = await queue.jobs({ state: 'failed' })
  t.is(failed?.id, 'job-1')
  t.like(failed?.error, { code: 'UNREADABLE' })
  await queue.stop()
  const after = new (loadSqlite())(c.path)
  t.is(after.prepare('select x from rdq_mine').pluck().get(), 1)
  after.close()
  t.deepEqual(c.checkFile(), [])
})
