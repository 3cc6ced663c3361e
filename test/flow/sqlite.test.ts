/** A queue on a file: put, run, kill, open again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { DispatchQueue } from '../../lib/index.ts'
import { loadSqlite } from '../../persistence/sqlite/file/library.ts'
import { SqliteBacklog } from '../../persistence/sqlite/index.ts'
import { bundled } from '../support/repository.ts'
import type { Orders } from '../support/sqlite-process.ts'
import { halt, passed } from '../support/suspend.ts'
import { remove, temporary } from '../support/temporary-folder.ts'

const folder = temporary('flow')
const at = (name: string): string => join(folder, name)
const children = new Set<ChildProcess>()
test.after.always(() => {
  for (const child of children) child.kill('SIGKILL')
  remove(folder)
})

interface Reported {
  readonly child: ChildProcess
  readonly lines: string[]
  /** Resolves when it has said a line that begins so, as often as asked. */
  said(beginning: string, times?: number): Promise<void>
  readonly exited: Promise<number | null>
}

const program = bundled('test/support/sqlite-process')

function start(orders: Orders): Reported {
  const child = spawn(process.execPath, [program, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'pipe'] })
  // Not with this process's own output: whoever reads that would wait for the end of each child too.
  child.stderr.on('data', text => process.stderr.write(text))
  children.add(child)
  const lines: string[] = []
  const waiting = new Set<() => void>()
  let rest = ''
  child.stdout.on('data', chunk => {
    const parts = `${rest}${chunk}`.split('\n')
    rest = parts.pop() as string
    lines.push(...parts)
    for (const look of waiting) look()
  })
  // At 'exit' its last lines may not have been read.
  const exited = new Promise<number | null>(resolve => child.once('close', code => resolve(code)))
  return {
    child,
    lines,
    exited,
    said: (beginning, times = 1) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          if (lines.filter(line => line.startsWith(beginning)).length < times) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        void exited.then(code => {
          look()
          reject(new Error(`ended with ${code} before '${beginning}': ${lines.join(' | ')}`))
        })
        look()
      }),
  }
}

test('sqlite: jobs stay after a stop, and run in the next queue', async t => {
  const path = at('stop.db')
  const seen: unknown[] = []
  const first = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(path) })
  await first.put({ a: 1 })
  await first.put(undefined)
  t.is((await first.stop()).left, 2)

  const next = new DispatchQueue(payload => seen.push(payload), { name: 'q', backlog: new SqliteBacklog(path) })
  await next.idle()
  await next.stop()
  t.deepEqual(seen, [{ a: 1 }, undefined])
  t.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('stop.db-')),
    [],
  )
})
test('sqlite: a job has the payload that it was put with, and each run of its handler a copy of what was stored', async t => {
  const got: { n: number[] }[] = []
  const queue = new DispatchQueue(
    (payload: { n: number[] }) => {
      got.push(payload)
      payload.n.push(got.length)
      if (got.length === 1) throw new Error('once more')
    },
    { name: 'q', retry: 2, backlog: new SqliteBacklog(at('copies.db')) },
  )
  const payload = { n: [0] }

  const job = await queue.put(payload)
  await queue.idle()

  t.is(job.payload, payload)
  t.deepEqual(payload, { n: [0] })
  t.deepEqual(got, [{ n: [0, 1] }, { n: [0, 2] }])
  await queue.stop()
})
test('sqlite: run settles with the very value that the handler returned or threw', async t => {
  const error = new TypeError('no')
  const queue = new DispatchQueue(
    (n: number) => {
      if (n < 0) throw error
      return { n }
    },
    { name: 'q', width: 3, backlog: new SqliteBacklog(at('run.db')), keep: { failed: '1d' } },
  )
  t.deepEqual(await queue.run(7), { n: 7 })
  // Held, for a job that nobody holds is read from the file.
  let held: unknown
  queue.on('failed', job => {
    held = job
  })
  t.is(await queue.run(-1).catch((thrown: unknown) => thrown), error)
  const [failed] = await queue.jobs({ state: 'failed' })
  t.is(failed?.error, error)
  t.is(held, failed)
  await queue.stop()

  const later = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(at('run.db')) })
  const [read] = await later.jobs({ state: 'failed' })
  t.true(read?.error instanceof TypeError && read.error !== error && (read.asOf as number) > 0)
  await later.stop()
})
test('sqlite: F52: counts of ended jobs continue beyond 2^31 and 2^32', async t => {
  const path = at('counted.db')
  const open = (): DispatchQueue<string, void> =>
    new DispatchQueue(
      payload => {
        if (payload === 'bad') throw new Error('no')
      },
      { name: 'q', backlog: new SqliteBacklog(path, { durability: 'process' }) },
    )
  const first = open()
  await first.ready()
  await first.stop()
  const db = new (loadSqlite())(path)
  db.prepare('update rdq_queue set finished = ?, failed = ?, cancelled = ?').run(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
  db.close()

  const queue = open()
  queue.on('failed', () => {})
  await queue.ready()
  t.like(queue.counts, { finished: 2 ** 31 - 1, failed: 2 ** 31, cancelled: 2 ** 32 - 1 })
  await queue.putMany(['good', 'bad', 'good'])
  const late = await queue.put('late', { delay: '1h' })
  await late.cancel()
  await queue.idle()

  const counted = {
    pending: 0,
    delayed: 0,
    underway: 0,
    finished: 2 ** 31 + 1,
    failed: 2 ** 31 + 1,
    cancelled: 2 ** 32,
  }
  t.like(queue.counts, counted)
  await queue.stop()
  const later = open()
  await later.ready()
  t.like(later.counts, counted)
  await later.stop()
})
test('sqlite: a window shorter than the way to the file and back limits its queue, and does not stop it', async t => {
  let ran = 0
  const queue = new DispatchQueue<number, number>(n => ++ran && n, {
    ...{ name: 'q', width: 4, rate: { limit: 3, per: 1 } },
    backlog: new SqliteBacklog(at('short.db'), { durability: 'process' }),
  })
  const patience = AbortSignal.timeout(60_000)
  const results = Array.from({ length: 60 }, (_, n) => queue.run(n, { signal: patience }))

  t.deepEqual(await Promise.all(results), [...results.keys()])
  t.is(ran, 60)
  await queue.stop()
})

test('sqlite: records of jobs that are queried while they end or go back are freed, and the file closes with its queue', async t => {
  const path = at('looked.db')
  const looks: Promise<unknown>[] = []
  const queue = new DispatchQueue<number, number>(
    (n, task) => {
      looks.push(queue.get(task.id))
      if (n % 2 === 0 && task.attempt === 1) throw new Error('once')
      return n
    },
    {
      ...{ name: 'q', width: 8, retry: { attempts: 2, delay: 1 }, keep: { finished: '1d' } },
      backlog: new SqliteBacklog(path, { durability: 'process' }),
    },
  )
  await queue.putMany(Array.from({ length: 200 }, (_, n) => n))
  await queue.idle()
  await Promise.all(looks)

  await queue.stop()

  t.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('looked.db')),
    ['looked.db'],
  )
})

test('sqlite: a list that walks many jobs delays no other request', async t => {
  const queue = new DispatchQueue<number>(null, { name: 'q', backlog: new SqliteBacklog(at('list.db')) })
  await queue.putMany([...Array(5_000).keys()], { key: 'many' })
  for (const state of ['pending', undefined] as const) {
    const reported: string[] = []
    const listed = queue.jobs({ key: 'none', ...(state && { state }) }).then(() => reported.push('list'))
    for (let i = 0; i < 3; i++) await queue.put(i)
    reported.push('puts')
    await listed
    t.deepEqual(reported, ['puts', 'list'])
  }
  await queue.stop()
})
test('sqlite: a job that is moved while a list is made is in it once', async t => {
  const queue = new DispatchQueue<number>(null, { name: 'q', backlog: new SqliteBacklog(at('moved.db')) })
  const [first] = await queue.putMany([...Array(1_500).keys()], { key: 'many' })
  const listing = queue.jobs({ state: 'pending', key: 'many', limit: 10_000 })
  await queue.get('nobody')
  await queue.reprioritize(first as NonNullable<typeof first>, 1)

  t.deepEqual(
    (await listing).map(({ payload }) => payload),
    [...Array(1_500).keys()],
  )
  await queue.stop()
})
test('sqlite: a killed process loses no job, and its jobs run in a living one', async t => {
  const path = at('kill.db')
  const dying = start({ path, put: 5, body: 'hang', width: 2 })
  await dying.said('start', 2)
  const living = start({ path, body: 'end', width: 1 })
  await living.said('end', 3)
  dying.child.kill('SIGKILL')
  await living.said('end', 5)
  t.deepEqual(living.lines.filter(line => line.startsWith('end')).sort(), ['end 0', 'end 1', 'end 2', 'end 3', 'end 4'])
})
test('sqlite: after a kill the next process continues where it was, and the old lock file is gone', async t => {
  const path = at('again.db')
  const dying = start({ path, put: 3, body: 'hang' })
  await dying.said('start', 2)
  dying.child.kill('SIGKILL')
  await dying.exited

  const next = start({ path, body: 'end', drain: true })
  t.is(await next.exited, 0)
  t.deepEqual(
    next.lines
      .filter(line => line.startsWith('start'))
      .map(line => line.split(' ')[1])
      .sort(),
    ['0', '1', '2'],
  )
  t.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('again.db-')),
    [],
  )
})
test('sqlite: a suspended process, or one with a blocked loop, keeps its jobs', async t => {
  const path = at('stopped.db')
  const blocked = start({ path, put: 2, body: 'block', width: 1 })
  await blocked.said('start')
  const stopped = start({ path, body: 'hang', width: 1 })
  await stopped.said('start')
  await halt(stopped.child.pid as number, path)
  const other = start({ path, body: 'end', width: 5 })
  await other.said('ready')
  await passed(600)
  t.deepEqual(other.lines, ['ready'])
  blocked.child.kill('SIGKILL')
  await other.said('end 0')
  stopped.child.kill('SIGKILL')
  await other.said('end 1')
})
test('sqlite: a loop that does not answer within `stall` loses its jobs', async t => {
  const path = at('stall.db')
  const blocked = start({ path, put: 1, body: 'block', stall: '1s' })
  await blocked.said('start')
  const other = start({ path, body: 'end' })
  await other.said('end 0')
  t.is(blocked.child.exitCode, null)
})
test('sqlite: a queue without a handler keeps no process alive, and one with a handler does until stop', async t => {
  t.is(await start({ path: at('alive.db'), put: 1, body: 'none' }).exited, 0)
  const working = start({ path: at('alive2.db'), body: 'end' })
  await working.said('ready')
  await passed(200)
  t.is(working.child.exitCode, null)
  t.is(await start({ path: at('alive2.db'), put: 1, body: 'none', stop: true }).exited, 0)
  await working.said('end 0')
})
test('sqlite: F28: processes that share a name run each job once, and all of them', async t => {
  const path = at('shared.db')
  t.is(await start({ path, put: 600, body: 'none', stop: true }).exited, 0)
  const workers = [1, 2, 3].map(() => start({ path, body: 'end', width: 4, drain: true }))
  t.deepEqual(await Promise.all(workers.map(({ exited }) => exited)), [0, 0, 0])
  const ended = workers.flatMap(({ lines }) => lines.filter(line => line.startsWith('end')))
  t.is(ended.length, 600)
  t.is(new Set(ended).size, 600)
})
test('sqlite: I1: no accepted job is lost, whenever its processes are killed', async t => {
  const path = at('storm.db')
  for (let i = 0; i < 5; i++) {
    const dying = start({ path, put: 100, body: 'end', width: 3 })
    await dying.said('put')
    await dying.said('end', 1 + 17 * i)
    dying.child.kill('SIGKILL')
    await dying.exited
  }
  const last = start({ path, body: 'end', width: 3, drain: true })
  t.is(await last.exited, 0)
  const later = new DispatchQueue(null, { name: 'q', backlog: new SqliteBacklog(path) })
  await later.ready()
  t.like(later.counts, { pending: 0, delayed: 0, underway: 0, finished: 500, failed: 0 })
  await later.stop()
})
