/**
 * What the file itself refuses, by triggers that stand for whatever it may object to: the one at fault is refused
 * alone.
 */
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue, type QueueOptions, StoreError, Throttled } from '../../../../lib/index.ts'
import type { Task } from '../../../../lib/run/task.ts'
import { SqliteBacklog } from '../../../../persistence/sqlite/index.ts'
import { Database, fileName } from '../../../support/sqlite-store.ts'

type Handler = (payload: string, task: Task) => unknown

async function open(t: ExecutionContext, handler: Handler, table: string, when: string, options: QueueOptions = {}) {
  const path = fileName()
  const backlog = new SqliteBacklog(path, { durability: 'process' })
  const queue = new DispatchQueue<string, unknown>(handler, { name: 'q', width: 5, backlog, ...(options as object) })
  const errors: unknown[] = []
  queue.on('error', error => errors.push(error))
  queue.on('failed', () => {})
  await queue.ready()
  const db = new Database(path)
  db.exec(`create trigger no before insert on ${table} when ${when} begin select raise(abort, 'not this'); end`)
  db.close()
  t.teardown(() => queue.stop())
  const ended = async (...runs: Promise<unknown>[]): Promise<unknown[]> =>
    (await Promise.allSettled(runs)).map(one => (one.status === 'fulfilled' ? one.value : one.reason.code))
  return { queue, errors, ended }
}

test('refused: of puts sent together, only the one that the file refuses rejects', async t => {
  const { queue, errors, ended } = await open(t, n => n, 'rdq_job', `new.payload like '%poison%'`)

  const runs = [queue.run('a'), queue.run('poison'), queue.run('b'), queue.run('c', { key: 'k' })]
  const many = queue.putMany(['d', 'poison', 'e']).then(jobs => jobs.length)
  t.deepEqual(await ended(...runs, many), ['a', 'STORE', 'b', 'c', 'STORE'])

  const error = (await t.throwsAsync(queue.put('poison'), { instanceOf: StoreError })) as StoreError
  t.regex(error.message, /^the backlog cannot store job \S+ \(not this\); change what was handed over$/)
  t.like(error.cause, { code: 'SQLITE_CONSTRAINT_TRIGGER', message: 'not this' })
  t.is(await queue.run('after'), 'after')
  t.deepEqual(errors, [])
  t.like(queue.counts, { pending: 0, underway: 0, finished: 4 })
})

test('refused: a job whose error the file refuses fails with that refusal', async t => {
  const handler = (payload: string): string => {
    if (payload === 'bad') throw new Error('poison')
    return payload
  }
  const { queue, errors, ended } = await open(t, handler, 'rdq_ended', `new.error like '%poison%'`)

  t.deepEqual(await ended(queue.run('a'), queue.run('bad'), queue.run('b')), ['a', 'STORE', 'b'])

  const [failed] = await queue.jobs({ state: 'failed' })
  t.like(failed?.error, { code: 'STORE' })
  t.is(await queue.run('after'), 'after')
  t.deepEqual(errors, [])
})

test('refused: a result that the file refuses does not fail its job', async t => {
  const { queue, errors, ended } = await open(t, payload => payload, 'rdq_ended', `new.value like '%poison%'`, {
    keep: { finished: '1h', results: true },
  })

  t.deepEqual(await ended(queue.run('a'), queue.run('poison'), queue.run('b')), ['a', 'poison', 'b'])
  t.is(errors.length, 1)
  t.like(errors[0], { code: 'STORE' })
})

test('refused: a checkpoint that the file refuses rejects, and its job and others go on', async t => {
  const handler = async (payload: string, task: Task): Promise<string> =>
    task.checkpoint(payload).then(
      () => `${payload} stored`,
      error => `${payload} ${error.code}`,
    )
  const { queue, errors, ended } = await open(t, handler, 'rdq_last_run', `new.checkpoint like '%poison%'`)

  t.deepEqual(await ended(queue.run('a'), queue.run('poison'), queue.run('b')), [
    'a stored',
    'poison STORE',
    'b stored',
  ])
  t.deepEqual(errors, [])
})

test('refused: a hold that the file refuses fails its job alone', async t => {
  const handler = (payload: string, task: Task): string => {
    if (payload === 'bad' && task.attempt === 1) throw new Throttled(10, { key: 'poison' })
    return payload
  }
  const { queue, ended } = await open(t, handler, 'rdq_key_hold', `new.key = 'poison'`)

  t.deepEqual(await ended(queue.run('a'), queue.run('bad'), queue.run('b')), ['a', 'STORE', 'b'])
  t.is(await queue.run('after'), 'after')
})

test('refused: an ending that cannot be stored in any form leaves its job to a later worker, and the queue goes on', async t => {
  const handler = (payload: string): string => {
    if (payload === 'bad') throw new Error('no')
    return payload
  }
  const { queue, errors, ended } = await open(t, handler, 'rdq_ended', `new.state = 'failed'`)

  t.deepEqual(await ended(queue.run('a'), queue.run('bad'), queue.run('b')), ['a', 'STORE', 'b'])
  t.is(errors.length, 1)
  t.like(errors[0], { code: 'STORE' })
  t.is(queue.counts.underway, 1)
  t.is(await queue.run('after'), 'after')
})

test('refused: a command that the file refuses rejects for its caller alone', async t => {
  const { queue, errors } = await open(t, n => n, 'rdq_ended', `new.error like '%poison%'`, { paused: true })
  const [a, b] = await queue.putMany(['a', 'b'])

  const [first, second] = await Promise.allSettled([a?.cancel('poison'), b?.cancel('enough')])

  t.like(first, { status: 'rejected', reason: { code: 'STORE' } })
  t.deepEqual(second, { status: 'fulfilled', value: true })
  t.is(a?.state, 'pending')
  t.deepEqual(errors, [])
})
