/** A user's program under a crash at each point: that the points are all there, and that what is wrong is found. */
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import test from 'ava'
import { DispatchQueue, type QueueOptions, type Task } from '../../lib/index.ts'
import type { SqliteDatabase } from '../../persistence/sqlite/file/database.ts'
import { type CrashingProcess, everyCrash } from '../../testing/index.ts'
import { root, runNode } from '../support/repository.ts'

/** A gateway, which outlives the processes that call it. */
class Gateway {
  readonly sent: string[] = []
  readonly #keys = new Set<string>()
  send(text: string): void {
    this.sent.push(text)
  }
  sendOnce(text: string, key: string): void {
    if (!this.#keys.has(key)) this.sent.push(text)
    this.#keys.add(key)
  }
}
type Send = (gateway: Gateway, text: string, task: Task) => void

/** Puts two, the second of them for later, and works them off. */
const sending =
  (send: Send, options: Partial<QueueOptions<string, void>> = {}) =>
  async ({ backlog, clock, outside }: CrashingProcess<Gateway>): Promise<void> => {
    const handler = async (text: string, task: Task): Promise<void> => send(outside, text, task)
    const queue = new DispatchQueue(handler, { name: 'sms', backlog, clock, ...options })
    await queue.put('one', { id: 'order 1' })
    await queue.put('two', { id: 'order 2', delay: '2s' })
    await queue.idle()
    await queue.stop()
  }
const plainly: Send = (gateway, text) => gateway.send(text)
const byToken: Send = (gateway, text, task) => gateway.sendOnce(text, task.token)
const outside = (): Gateway => new Gateway()
const judge = ({ sent }: Gateway): void => {
  if (sent.join() !== 'one,two') throw new Error(`sent ${sent.join()}`)
}

test('every crash: a handler that sends twice is found at each point between its send and the commit of its ending', async t => {
  const { points, failures } = await everyCrash(sending(plainly), { outside, judge })

  t.deepEqual(
    failures.map(({ error }) => (error as Error).message),
    ['sent one,one,two', 'sent one,one,two', 'sent one,two,two', 'sent one,two,two'],
  )
  for (const [i, { point }] of failures.entries()) {
    t.regex(
      point,
      i % 2 === 0
        ? /\(exchange.*\), after its reply$/
        : /\(exchange, 1 settled(?: \+ put of 1)?\), before it is executed$/,
    )
  }
  // The points come in order, so what fails comes in pairs of neighbours.
  const at = failures.map(({ point }) => points.indexOf(point))
  t.deepEqual([at[1], at[3]], [(at[0] as number) + 1, (at[2] as number) + 1])
})
test('every crash: the same handler passes when the gateway knows the job again by its token', async t => {
  const { points, failures } = await everyCrash(sending(byToken), { outside, judge })

  t.deepEqual(failures, [])
  t.true(points.length > 25)
  for (const what of ['open', 'attach', 'put of 1', 'exchange, 1 settled', 'detach', 'close']) {
    for (const where of ['before it is executed', 'after its commit, before its reply']) {
      t.true(
        points.some(point => point.includes(what) && point.endsWith(where)),
        `no point ${what}, ${where}`,
      )
    }
  }
})
test('every crash: the points are the same each time, and one can be run by itself', async t => {
  const one = await everyCrash(sending(plainly), { outside, judge })
  const other = await everyCrash(sending(plainly), { outside, judge })
  const { point } = one.failures[0] as { point: string }
  const alone = await everyCrash(sending(plainly), { outside, judge, only: point })

  t.deepEqual(one, other)
  t.deepEqual(alone, { points: [point], failures: one.failures.slice(0, 1) })
  await t.throwsAsync(everyCrash(sending(plainly), { outside, only: 'nowhere' }), {
    code: 'OPTION',
    message: /nowhere/,
  })
})
test('every crash: a job that is put and settled within the file takes effect exactly once', async t => {
  const Database = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => SqliteDatabase
  const rows = (path: string): number => {
    const db = new Database(path)
    const count = db.prepare('select count(*) from effects').pluck().get() as number
    db.close()
    return count
  }
  const counted: number[] = []
  const { points, failures } = await everyCrash(async ({ backlog, clock, path }) => {
    const db = new Database(path)
    db.exec('create table if not exists effects (job text)')
    const effect = (_: string, task: Task): void => {
      db.exec('begin immediate')
      db.prepare('insert into effects values (?)').run(task.id)
      task.finishWithin(db)
      db.exec('commit')
    }
    const queue = new DispatchQueue<string, void>(effect, { name: 'effects', backlog, clock })
    await queue.put('one', { id: 'order 1' })
    await queue.idle()
    await queue.stop()
    db.close()
    counted.push(rows(path))
    if (rows(path) !== 1) throw new Error(`${rows(path)} rows`)
  })

  t.deepEqual(failures, [])
  t.is(counted.length, points.length + 1)
})
test('every crash: the verdict of afterCrash decides the fate of the job', async t => {
  const requested: string[] = []
  const afterCrash = async (job: { id: string }): Promise<'finished'> => {
    requested.push(job.id)
    return 'finished'
  }

  const { failures } = await everyCrash(sending(plainly, { afterCrash }), { outside, judge })

  t.true(requested.includes('order 1') && requested.includes('order 2'))
  // Claimed and not called yet: it was sent by nobody, and afterCrash says that it was.
  t.true(failures.every(({ error }) => (error as Error).message !== 'sent one,one,two'))
})
test('every crash: the error of a program that fails without a crash is thrown as it is', async t => {
  await t.throwsAsync(
    everyCrash(() => Promise.reject(new Error('from the start'))),
    { message: 'from the start' },
  )
  const wrong = (): never => {
    throw new Error('never right')
  }
  await t.throwsAsync(everyCrash(sending(byToken), { outside, judge: wrong }), { message: 'never right' })
  await t.throwsAsync(
    everyCrash(() => new Promise(() => {}), { within: '5s' }),
    { message: /did not end within 5000 ms/ },
  )
  await t.throwsAsync(everyCrash(sending(byToken), { outsid: outside } as never), { code: 'OPTION', message: /outsid/ })
})
test('every crash: an error that comes only after a crash is a failure of its point', async t => {
  const { points, failures } = await everyCrash(async ({ backlog, clock, start }) => {
    const queue = new DispatchQueue(null, { name: 'q', backlog, clock })
    await queue.ready()
    await queue.stop()
    if (start === 2) throw new Error('again')
  })

  t.deepEqual(
    failures.map(({ point }) => point),
    points,
  )
})
test('every crash: a dead process does nothing more', async t => {
  const lines: string[] = []
  const { failures } = await everyCrash(
    async ({ backlog, clock, start }) => {
      const queue = new DispatchQueue<number, void>(() => {}, { name: 'q', backlog, clock })
      const report = (): void => {
        lines.push(`process ${start}`)
        clock.at(clock.now() + 10, report)
      }
      report()
      for (let i = 0; i < 3; i++) await queue.put(i)
      await queue.idle()
      await queue.stop()
    },
    {
      judge: () => {
        const second = lines.indexOf('process 2')
        const after = second < 0 ? [] : lines.slice(second)
        lines.length = 0
        if (after.includes('process 1')) throw new Error('the first process lives on')
      },
    },
  )

  t.deepEqual(failures, [])
})
test('every crash: better-sqlite3 is loaded when it is called, and not before', async t => {
  const code = `
    const { createRequire } = await import('node:module')
    const loaded = () => Object.keys(createRequire('${root}/x.js').cache).some(path => path.includes('better-sqlite3'))
    const { everyCrash } = await import('${root}/build/testing/index.js')
    const before = loaded()
    const { DispatchQueue } = await import('${root}/build/lib/index.js')
    await everyCrash(async ({ backlog, clock }) => {
      const queue = new DispatchQueue(null, { name: 'q', backlog, clock })
      await queue.ready()
      await queue.stop()
    })
    process.exitCode = !before && loaded() ? 0 : 1`

  const { code: exit, output } = await runNode(['--input-type=module', '-e', code], tmpdir(), 20_000)

  t.is(exit, 0, output)
})
