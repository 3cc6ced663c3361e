/**
 * A file that is deleted, replaced or moved while it is open: what its queues report, refuse and release, and who comes
 * after. How soon it is noticed: thread/loop.test.ts, by the clock of the test.
 */
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue, type Job } from '../../../../lib/index.ts'
import { loadSqlite } from '../../../../persistence/sqlite/file/library.ts'
import { BacklogGoneError, SqliteBacklog } from '../../../../persistence/sqlite/index.ts'
import { scripted } from '../../../../testing/index.ts'
import { fileSessions } from '../../../support/file-sessions.ts'
import { passed } from '../../../support/suspend.ts'

const { at } = fileSessions()
let folders = 0
const removeAll = (path: string): void => {
  for (const end of ['', '-wal', '-shm']) rmSync(path + end)
}

/** A working queue on a file in a folder of its own, with a job underway, and what it told. */
async function working(t: ExecutionContext) {
  const folder = at(`gone-${++folders}`)
  mkdirSync(folder)
  const path = `${folder}/jobs.db`
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { name: 'q', backlog: new SqliteBacklog(path) })
  const reported: unknown[] = []
  queue.on('error', error => reported.push(error))
  const underway = once(queue as never, 'underway')
  await queue.put('underway')
  await underway
  await queue.put('waits')
  t.teardown(async () => {
    for (const call of [...handler.underway]) call.finish('late')
    await queue.stop()
  })
  return { folder, path, queue, handler, reported }
}
async function next(path: string, ...payloads: readonly string[]): Promise<readonly unknown[]> {
  const queue = new DispatchQueue<string>(null, { name: 'q', backlog: new SqliteBacklog(path) })
  for (const payload of payloads) await queue.put(payload)
  await queue.ready()
  const jobs = (await queue.jobs({ state: 'pending' })) as readonly Job<string>[]
  await queue.stop()
  return jobs.map(({ payload }) => payload)
}
const goneFrom = (path: string, found: BacklogGoneError['found']) => ({ code: 'BACKLOG_GONE', path, found })

for (const [what, found, lose] of [
  ['deleted', 'nothing', path => unlinkSync(path)],
  ['deleted with its log', 'nothing', path => removeAll(path)],
  ['moved', 'nothing', path => renameSync(path, `${path}.moved`)],
  [
    'replaced by another database',
    'another file',
    path => {
      const other = new (loadSqlite())(`${path}.other`)
      other.exec('create table mine (x)')
      other.close()
      renameSync(`${path}.other`, path)
    },
  ],
  ['removed with its directory', 'nothing', path => rmSync(path.replace(/\/[^/]*$/, ''), { recursive: true })],
] as [string, BacklogGoneError['found'], (path: string) => void][]) {
  test(`gone: a file that is ${what} is reported, and everything is refused from then on`, async t => {
    const { path, queue, handler, reported } = await working(t)
    const error = once(queue as never, 'error')

    lose(path)

    const [first] = await error
    t.true(first instanceof BacklogGoneError)
    t.like(first, goneFrom(path, found))
    for (const refused of [
      () => queue.put('late'),
      () => queue.putMany(['late', 'later']),
      () => queue.run('late'),
      () => queue.get('x'),
      () => queue.jobs(),
      () => queue.clear(),
      () => queue.pause({ shared: true }),
    ]) {
      t.like(await t.throwsAsync(refused), goneFrom(path, found))
    }

    // The body that is underway goes on to its end, which a stop waits for, and nothing starts behind it.
    const stopped = queue.stop()
    await passed(50)
    t.is(handler.underway[0]?.task.signal.aborted, false)
    handler.underway[0]?.finish('done')
    await stopped
    t.deepEqual(handler.called, ['underway'])
    t.deepEqual(reported, [first], 'told once')
  })
}

test('gone: a new queue of the process opens the file that is at the path by then, before and after the old queue has noticed', async t => {
  const { path, queue, handler, reported } = await working(t)
  unlinkSync(path)
  const beside = new DispatchQueue<string>(null, { name: 'q', backlog: new SqliteBacklog(path) })
  await beside.ready()
  // Not before the old file is let go: both would use one -shm.
  t.is(reported.length, 1)
  t.like(reported[0], { code: 'BACKLOG_GONE', path })
  await beside.put('new')
  await beside.stop()

  t.like(await t.throwsAsync(queue.put('late')), { code: 'BACKLOG_GONE' })
  t.deepEqual(await next(path, 'newer'), ['new', 'newer'])
  handler.underway[0]?.finish('not stored')
  await queue.stop()
  t.deepEqual(await next(path), ['new', 'newer'])
})
test('gone: an awaited result rejects with the stop at the latest, and a put in flight is answered', async t => {
  const { path, queue } = await working(t)
  const result = queue.run('its result')
  await once(queue as never, 'pending')
  const error = once(queue as never, 'error')
  unlinkSync(path)
  await error
  const put = queue.put('on its way')

  await t.throwsAsync(put, { code: 'BACKLOG_GONE' })
  const stopped = queue.stop({ cancelUnderway: true })
  await t.throwsAsync(result)
  await stopped
})
test('gone: a file that is moved away and back before a check goes on as the same file', async t => {
  const { path, queue, handler, reported } = await working(t)
  renameSync(path, `${path}.away`)
  renameSync(`${path}.away`, path)
  await queue.put('stored')
  t.deepEqual(reported, [])

  const error = once(queue as never, 'error')
  renameSync(path, `${path}.away`)
  await error
  handler.underway[0]?.finish('not stored')
  await queue.stop()
  renameSync(`${path}.away`, path)

  const again = new DispatchQueue(async () => {}, { name: 'q', paused: true, backlog: new SqliteBacklog(path) })
  await again.ready()
  t.deepEqual(
    (await again.jobs()).map(({ payload }) => payload),
    ['stored', 'waits', 'underway'],
  )
  await again.stop()
})
test('gone: a busy thread notices too', async t => {
  const { path, queue } = await working(t)
  let refusal: unknown
  unlinkSync(path)
  const putters = Array.from({ length: 20 }, async () => {
    while (refusal === undefined) {
      await queue.put('busy').catch(error => {
        refusal = error
      })
    }
  })
  await Promise.all(putters)
  t.like(refusal, { code: 'BACKLOG_GONE' })
})
test('gone: a sleeping queue without a handler is notified too', async t => {
  const path = at('sleeps.db')
  const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(path) })
  queue.on('error', () => {})
  await queue.put(1)
  // Until it sleeps: after 2 s without work.
  await passed(2_600)
  const error = once(queue as never, 'error')
  unlinkSync(path)
  t.like((await error)[0], { code: 'BACKLOG_GONE' })
  await queue.stop()
})
test('gone: files that are created and removed beside it have no effect', async t => {
  const path = at('looked.db')
  const queue = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(path) })
  await queue.put(1)
  writeFileSync(`${path}.beside`, '')
  await queue.put(2)
  t.is(queue.counts.pending, 2)
  await queue.stop()
})
