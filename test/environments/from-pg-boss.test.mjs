/** docs/guides/from-pg-boss.md: both columns of each row, and each difference that bites, run beside each other. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import Database from 'better-sqlite3'
import pg from 'pg'
import PgBoss from 'pg-boss'
import { DispatchQueue, Unrecoverable } from '../../build/lib/index.js'
import { putWithin } from '../../build/persistence/sqlite/index.js'
import { VirtualClock } from '../../build/testing/index.js'
import { blockOf, counting, deadRun, fileOf, gate, ours, pageOf, placeWith, testsOf, until } from './guides.mjs'
import { postgresServer } from './servers.mjs'
import { packed, runs, tool } from './support.mjs'

const port = postgresServer()
const installed = port && packed()
const { row, bites, complete } = testsOf('pg-boss')

/** Both at once: an array of what they resolve with. */
const both = (old, mine) => Promise.all([old, mine])

if (port) {
  const connectionString = () => `postgres://postgres@127.0.0.1:${port()}/postgres`
  // Nothing happens by itself: what pg-boss does from time to time is called where a test shows it.
  const bossWith = async options => {
    const boss = new PgBoss({ connectionString: connectionString(), supervise: false, schedule: false, ...options })
    boss.on('error', () => {})
    return await boss.start()
  }
  /** One whose maintenance touches no job of another test, with the queue `q`. */
  const bossOfItsOwn = async (t, schema, options) => {
    const own = await bossWith({ schema, ...options })
    t.teardown(() => own.stop({ graceful: false }))
    await own.createQueue('q')
    return own
  }
  let boss
  const queues = []
  // Each queue is a table. Made beside the jobs of others, PostgreSQL finds a deadlock now and then.
  test.before('pg-boss: it is started, and has queues', async t => {
    t.timeout(60_000)
    boss = await bossWith()
    for (let n = 1; n <= 40; n++) {
      await boss.createQueue(`q${n}`)
      queues.push(`q${n}`)
    }
  })
  test.serial.after.always('pg-boss: it is stopped', () => boss?.stop({ graceful: false }))

  const soon = { pollingIntervalSeconds: 0.5 }
  const stateOf = async (name, id) => (await boss.getJobById(name, id))?.state
  /** Has it done by a worker, with its data alone. */
  const works = (t, name, body, options = {}) => {
    t.teardown(() => boss.offWork(name))
    return boss.work(name, { ...soon, ...options }, ([job]) => body(job.data, job))
  }

  test.serial('pg-boss: both examples of its guide run, and report the same', async t => {
    const page = pageOf('pg-boss')
    const example = blockOf(page, 'js')
    t.true(example.includes('postgres://localhost/app'))
    const old = example.replace('postgres://localhost/app', connectionString())
    const ends = `while (await boss.getQueueSize('sms', { before: 'completed' }) > 0) await new Promise(resolve => setTimeout(resolve, 50))
      await boss.stop()`
    const files = { 'old.js': old + ends, 'new.ts': blockOf(page, 'ts') }
    const place = await placeWith(installed(), 'pg-boss', files)

    const [before, after] = await both(
      runs(t, ['old.js'], place),
      runs(t, [tool('tsx', 'dist/cli.mjs'), 'new.ts'], place),
    )

    t.is(before.stdout, 'sent to +3161234567\n')
    t.is(after.stdout, before.stdout)
  })

  row('`new PgBoss(…)`, `boss.start()`', "`new SqliteBacklog('jobs.db')`", async t => {
    const other = await bossWith()
    t.teardown(() => other.stop({ graceful: false }))
    const file = fileOf(t)
    const name = queues.pop()
    const id = await boss.send(name, { n: 1 })
    await ours(t, null, {}, file).put({ n: 1 }, { id: 'x' })

    t.deepEqual((await other.getJobById(name, id)).data, { n: 1 })
    t.deepEqual((await ours(t, null, {}, file).get('x')).payload, { n: 1 })
  })

  row("`boss.createQueue('sms')`", 'not needed: the first put or worker of a name makes it', async t => {
    const name = queues.pop()
    const file = fileOf(t)

    t.is((await boss.getQueue(name)).name, name)
    await ours(t, null, { name: 'put first' }, file).put(1)
    t.is(await ours(t, async () => 2, { name: 'worker first' }, file).run(1), 2)
  })

  row("`boss.send('sms', data)`", '`queue.put(data)`', async t => {
    const name = queues.pop()
    const seen = [[], []]
    await works(t, name, async data => void seen[0].push(data))
    const mine = ours(t, async data => void seen[1].push(data))

    await both(boss.send(name, { to: 'x' }), mine.put({ to: 'x' }))
    await until(() => seen.every(({ length }) => length === 1))

    t.deepEqual(seen, [[{ to: 'x' }], [{ to: 'x' }]])
  })

  row('`boss.insert([…])`', '`queue.putMany(payloads)`', async t => {
    const name = queues.pop()
    const mine = ours(t, null)

    await both(boss.insert([1, 2].map(n => ({ name, data: { n } }))), mine.putMany([{ n: 1 }, { n: 2 }]))

    t.deepEqual([await boss.getQueueSize(name), mine.counts.pending], [2, 2])
  })

  row('`boss.send(name, data, { db })` in a transaction', "`putWithin(db, 'sms', data)`", async t => {
    const name = queues.pop()
    const client = new pg.Client({ connectionString: connectionString() })
    await client.connect()
    t.teardown(() => client.end())
    const file = fileOf(t)
    const mine = ours(t, null, {}, file)
    await mine.ready()
    const handle = new Database(file)
    t.teardown(() => handle.close())
    const db = { executeSql: (text, values) => client.query(text, values) }
    const send = async (n, end) => {
      await client.query('begin')
      await boss.send(name, { n }, { db })
      await client.query(end)
      handle.exec('begin immediate')
      putWithin(handle, 'q', { n })
      handle.exec(end)
    }

    await send(1, 'rollback')
    await send(2, 'commit')

    t.deepEqual(
      (await boss.fetch(name, { batchSize: 9 })).map(job => job.data),
      [{ n: 2 }],
    )
    t.deepEqual(
      (await mine.jobs({ state: 'pending' })).map(job => job.payload),
      [{ n: 2 }],
    )
  })

  row("`boss.work('sms', handler)`", "`new DispatchQueue(handler, { name: 'sms', backlog })`", async t => {
    const name = queues.pop()
    await works(t, name, async ({ n }) => ({ n: n * 2 }))
    const mine = ours(t, async ({ n }) => ({ n: n * 2 }))

    const id = await boss.send(name, { n: 21 })
    const result = await mine.run({ n: 21 })
    await until(async () => (await stateOf(name, id)) === 'completed')

    t.deepEqual([(await boss.getJobById(name, id)).output, result], [{ n: 42 }, { n: 42 }])
  })

  row('several calls of `boss.work`, or `batchSize`', '`width: 5`', async t => {
    const [several, batch] = [queues.pop(), queues.pop()]
    const { opened, open } = gate()
    const [old, mine] = [counting(() => opened), counting(() => opened)]
    const numbers = Array.from({ length: 5 }, (_, n) => n)
    const sizes = []
    await boss.insert(numbers.flatMap(() => [{ name: several }, { name: batch }]))

    for (const _ of numbers) await works(t, several, old.body)
    t.teardown(() => boss.offWork(batch))
    await boss.work(batch, { ...soon, batchSize: 5 }, async jobs => void sizes.push(jobs.length))
    await ours(t, mine.body, { width: 5 }).putMany(numbers)
    await until(() => sizes.length > 0 && old.seen.now === 5 && mine.seen.now === 5)
    open()

    t.deepEqual(sizes, [5])
  })

  row("`startAfter: 5`, `boss.sendAfter('sms', data, {}, 5)`", "`delay: '5s'`", async t => {
    const name = queues.pop()
    const at = [[], []]
    await works(t, name, async () => void at[0].push(Date.now()))
    const mine = ours(t, async () => void at[1].push(Date.now()))

    const from = Date.now()
    await Promise.all([
      boss.send(name, {}, { startAfter: 1 }),
      boss.sendAfter(name, {}, {}, 1),
      mine.put({}, { delay: '1s' }),
    ])
    await until(() => at[0].length === 2 && at[1].length === 1)

    for (const instant of at.flat()) t.true(instant - from >= 999, `${instant - from}`)
  })

  row('`startAfter: date`', '`runAt: date`', async t => {
    const name = queues.pop()
    const at = []
    await works(t, name, async () => void at.push(Date.now()))
    const mine = ours(t, async () => void at.push(Date.now()))

    const date = new Date(Date.now() + 1_000)
    await both(boss.send(name, {}, { startAfter: date }), mine.put({}, { runAt: date }))
    await until(() => at.length === 2)

    for (const instant of at) t.true(instant >= date.getTime() - 1)
  })

  row('`priority: 5`', '`priority: -5`', async t => {
    const name = queues.pop()
    const seen = []
    const mine = ours(t, async ({ priority }) => void seen.push(priority), { paused: true })

    for (const priority of [0, 5, 3]) {
      await both(boss.send(name, { priority }, { priority }), mine.put({ priority }, { priority: -priority }))
    }
    const fetched = []
    for (const _ of [1, 2, 3]) fetched.push((await boss.fetch(name))[0].data.priority)
    mine.resume()
    await mine.idle()

    t.deepEqual(
      [fetched, seen],
      [
        [5, 3, 0],
        [5, 3, 0],
      ],
    )
  })

  row('`id: uuid`', "`id: 'x'`", async t => {
    const name = queues.pop()
    const id = randomUUID()

    t.deepEqual([await boss.send(name, {}, { id }), (await ours(t, null).put({}, { id: 'x' })).id], [id, 'x'])
  })

  const failing = at => async () => {
    at.push(Date.now())
    throw new Error('again')
  }

  row(
    '`retryLimit: 2`, `retryDelay: 1`',
    "`retry: { attempts: 3, delay: '1s', factor: 1, jitter: false }`",
    async t => {
      const name = queues.pop()
      const at = [[], []]
      await works(t, name, failing(at[0]))
      const mine = ours(t, failing(at[1]), { retry: { attempts: 3, delay: '1s', factor: 1, jitter: false } })

      const [id] = await both(boss.send(name, {}, { retryLimit: 2, retryDelay: 1 }), mine.put({}))
      await until(async () => (await stateOf(name, id)) === 'failed' && mine.counts.failed === 1)

      for (const [first, second, third, ...more] of at) {
        t.true(second - first >= 999 && third - second >= 999, `${second - first}, ${third - second}`)
        t.deepEqual(more, [])
      }
    },
  )

  /** The first two waits of each side, in ms, neither waited for. */
  const firstWaits = async (t, retry, ofBoss) => {
    const name = queues.pop()
    const waits = [[], []]
    const mine = ours(t, async () => Promise.reject(new Error('again')), { retry })
    mine.on('retry', (job, _error, delay) => {
      waits[1].push(delay)
      void mine.promote(job)
    })
    const [id] = await both(boss.send(name, {}, ofBoss), mine.put({}))
    for (const _ of [1, 2]) {
      await boss.fetch(name, { ignoreStartAfter: true })
      const from = Date.now()
      await boss.fail(name, id)
      waits[0].push((await boss.getJobById(name, id)).startAfter.getTime() - from)
    }
    await until(() => mine.counts.failed === 1)
    return waits
  }

  const backsOff = async t => {
    const retry = { attempts: 3, delay: '2s', factor: 2 }
    const waits = await firstWaits(t, retry, { retryLimit: 2, retryDelay: 1, retryBackoff: true })

    for (const [first, second, ...more] of waits) {
      // In the statement that fails the job, some time after `from`.
      t.true(first >= 999 && first < 3_900, `${first}`)
      t.true(second >= 1_999 && second < 5_900, `${second}`)
      t.deepEqual(more, [])
    }
  }
  row(
    '`retryLimit: 2`, `retryDelay: 1`, `retryBackoff: true`',
    "`retry: { attempts: 3, delay: '2s', factor: 2 }`",
    backsOff,
  )

  row('`expireInSeconds: 60`', "`timeout: '60s'`", async t => {
    const name = queues.pop()
    await works(t, name, () => sleep(2_000))
    const mine = ours(t, () => sleep(2_000), { timeout: '1s' })

    const [id] = await both(boss.send(name, {}, { expireInSeconds: 1, retryLimit: 0 }), mine.put({}))
    await until(async () => (await stateOf(name, id)) === 'failed' && mine.counts.failed === 1)

    t.regex(JSON.stringify((await boss.getJobById(name, id)).output), /exceeded 1000ms/)
    t.is((await mine.jobs({ state: 'failed' }))[0].error.code, 'TIMEOUT')
  })

  row(
    '`archiveCompletedAfterSeconds`, `archiveFailedAfterSeconds`',
    "`keep: { finished: '1d', failed: '14d' }`",
    async t => {
      const keeping = await bossOfItsOwn(t, 'keeping', {
        archiveCompletedAfterSeconds: 60,
        archiveFailedAfterSeconds: 60,
      })
      const [well, ill] = [randomUUID(), randomUUID()]
      const body = async id => {
        if (id === ill) throw new Unrecoverable('no')
      }
      const mine = ours(t, body, { keep: { finished: '1s', failed: '1s' } })

      for (const id of [well, ill]) await both(keeping.send('q', {}, { id, retryLimit: 0 }), mine.put(id, { id }))
      await keeping.fetch('q', { batchSize: 2 })
      await Promise.all([keeping.complete('q', well), keeping.fail('q', ill), mine.idle()])
      await keeping.archive()
      const before = await Promise.all([well, ill].flatMap(id => [keeping.getJobById('q', id), mine.get(id)]))
      await keeping.getDb().executeSql(`update keeping.job set completed_on = completed_on - interval '61 s'`)
      await keeping.archive()
      // A queue forgets while it stores something else.
      await until(async () => {
        await mine.run('another')
        return (await mine.get(well)) === undefined && (await mine.get(ill)) === undefined
      })

      t.deepEqual(
        before.map(job => job.state),
        ['completed', 'finished', 'failed', 'failed'],
      )
      t.deepEqual(await Promise.all([well, ill].map(id => keeping.getJobById('q', id))), [null, null])
      t.is((await keeping.getJobById('q', well, { includeArchive: true })).state, 'completed')
    },
  )

  row("`boss.cancel('sms', id)`", '`queue.cancel(id)`', async t => {
    const name = queues.pop()
    const mine = ours(t, null)
    const [id, job] = await both(boss.send(name, {}), mine.put({}))

    await both(boss.cancel(name, id), mine.cancel(job.id))

    t.deepEqual([await stateOf(name, id), (await mine.get(job.id)).state], ['cancelled', 'cancelled'])
  })

  row(
    "`boss.resume('sms', id)` of a cancelled job, `boss.retry('sms', id)` of a failed one",
    '`queue.retry(id)`',
    async t => {
      const name = queues.pop()
      const mine = ours(t, async () => Promise.reject(new Error('no')))
      const [id, { id: mineId }] = await both(boss.send(name, {}, { retryLimit: 0 }), mine.put({}, { delay: '1min' }))
      await both(boss.cancel(name, id), mine.cancel(mineId))

      await both(boss.resume(name, id), mine.retry(mineId))
      t.is((await boss.fetch(name))[0].id, id)
      await boss.fail(name, id)
      await until(async () => (await mine.get(mineId)).state === 'failed')
      t.is(await stateOf(name, id), 'failed')

      const again = new Promise(resolve => mine.once('underway', resolve))
      await both(boss.retry(name, id), mine.retry(mineId))
      t.is((await boss.fetch(name))[0].id, id)
      t.is((await again).id, mineId)
    },
  )

  row("`boss.deleteJob('sms', id)`", '`queue.remove(id)`', async t => {
    const name = queues.pop()
    const mine = ours(t, null)
    const [id, job] = await both(boss.send(name, {}), mine.put({}))

    await both(boss.deleteJob(name, id), mine.remove(job.id))

    t.deepEqual([await boss.getJobById(name, id), await mine.get(job.id)], [null, undefined])
  })

  row("`boss.getJobById('sms', id)`, `boss.getQueueSize('sms')`", '`queue.get(id)`, `queue.counts`', async t => {
    const name = queues.pop()
    const mine = ours(t, null)
    const [id, job] = await both(boss.send(name, { n: 1 }), mine.put({ n: 1 }))
    await both(boss.send(name, {}, { startAfter: 60 }), mine.put({}, { delay: '60s' }))

    t.deepEqual([(await boss.getJobById(name, id)).data, (await mine.get(job.id)).payload], [{ n: 1 }, { n: 1 }])
    t.is(await boss.getQueueSize(name), 2)
    t.like(mine.counts, { pending: 1, delayed: 1 })
  })

  row('`boss.stop()`', '`queue.stop()`', async t => {
    const stopping = await bossWith()
    const name = queues.pop()
    const [begun, ended] = [
      [0, 0],
      [0, 0],
    ]
    const { opened, open } = gate()
    const body = side => async () => {
      begun[side]++
      await opened
      ended[side]++
    }
    await stopping.work(name, soon, body(0))
    const mine = ours(t, body(1))
    for (const n of [1, 2]) await both(boss.send(name, { n }), mine.put({ n }))
    await until(() => begun.every(n => n === 1))

    const stopped = both(stopping.stop(), mine.stop())
    open()
    const [, { left }] = await stopped

    t.deepEqual(
      [begun, ended],
      [
        [1, 1],
        [1, 1],
      ],
    )
    t.deepEqual([await boss.getQueueSize(name), left], [1, 1])
  })

  bites('Priorities run the other way.', async t => {
    const name = queues.pop()
    const seen = []
    const mine = ours(t, async n => void seen.push(n), { paused: true })
    for (const priority of [1, 3, 2]) {
      await both(boss.send(name, { n: priority }, { priority }), mine.put(priority, { priority }))
    }
    const fetched = []
    for (const _ of [1, 2, 3]) fetched.push((await boss.fetch(name))[0].data.n)
    mine.resume()
    await mine.idle()

    t.deepEqual(
      [fetched, seen],
      [
        [3, 2, 1],
        [1, 2, 3],
      ],
    )
  })

  bites('Durations are milliseconds or text with a unit.', async t => {
    const name = queues.pop()
    const clock = new VirtualClock()
    const queue = new DispatchQueue(async () => {}, { clock })
    const id = await boss.send(name, {}, { startAfter: 5 })
    await queue.put({}, { delay: 5 })
    await queue.put({}, { delay: '5s' })
    const { startAfter, createdOn } = await boss.getJobById(name, id)

    const finished = []
    for (const ms of [5, 4_990, 5]) {
      await clock.advance(ms)
      finished.push(queue.counts.finished)
    }

    t.is(startAfter - createdOn, 5_000)
    t.deepEqual(finished, [1, 1, 2])
  })

  bites('A handler gets one payload', async t => {
    const name = queues.pop()
    const [given, mineGiven] = [[], []]
    await boss.insert([1, 2].map(n => ({ name, data: { n }, retryLimit: 0 })))
    t.teardown(() => boss.offWork(name))
    await boss.work(name, { ...soon, batchSize: 2 }, async jobs => {
      given.push(jobs.map(job => job.data.n).sort())
      throw new Error('the second')
    })
    const mine = ours(
      t,
      async ({ n }) => {
        mineGiven.push(n)
        if (n === 2) throw new Error('the second')
      },
      { width: 2 },
    )
    await mine.putMany([{ n: 1 }, { n: 2 }])
    await mine.idle()
    await until(async () => (await boss.getQueueSize(name, { before: 'failed' })) === 0)

    t.deepEqual([given, mineGiven], [[[1, 2]], [1, 2]])
    t.is(await boss.getQueueSize(name, { before: 'completed' }), 0)
    t.like(mine.counts, { finished: 1, failed: 1 })
    const { rows } = await boss.getDb().executeSql('select state from pgboss.job where name = $1', [name])
    t.deepEqual(
      rows.map(({ state }) => state),
      ['failed', 'failed'],
    )
  })

  bites('`attempts` counts all runs', async t => {
    const name = queues.pop()
    const at = [[], []]
    await works(t, name, failing(at[0]))
    const mine = ours(t, failing(at[1]))
    const id = await boss.send(name, {})
    const waits = (await boss.getJobById(name, id)).retryDelay
    await mine.put({})
    await until(async () => (await stateOf(name, id)) === 'failed' && mine.counts.failed === 1)

    t.deepEqual(
      at.map(({ length }) => length),
      [3, 1],
    )
    t.is(waits, 0)
  })

  bites('A backoff', backsOff)

  bites('A crash is no attempt.', async t => {
    const dying = await bossOfItsOwn(t, 'dying')
    const state = async () => (await dying.getJobById('q', id)).state
    // Fetched and never answered for, as a worker leaves it that dies; and some time later.
    const dies = async seconds => {
      await dying.fetch('q')
      await dying.getDb().executeSql(`update dying.job set started_on = started_on - interval '${seconds} s'`)
      await dying.expire()
    }
    const id = await dying.send('q', {}, { expireInSeconds: 60, retryLimit: 1 })
    const file = fileOf(t)
    const { code, stdout, output } = await deadRun(file)
    t.is(code, 7, output)
    t.is(stdout, '1 0\n')
    const attempts = []
    const mine = ours(t, async (_, task) => void attempts.push(task.attempt, task.crashes), {}, file)

    await mine.idle()
    await dies(30)
    t.is(await state(), 'active')
    await dies(31)
    t.is(await state(), 'retry')
    await dies(61)

    t.is(await state(), 'failed', 'two deaths have used up both runs')
    t.deepEqual(attempts, [1, 1])
  })

  bites('There is no default timeout.', async t => {
    const name = queues.pop()
    const id = await boss.send(name, {})
    const clock = new VirtualClock()
    const queue = new DispatchQueue(() => new Promise(() => {}), { clock })
    await queue.put({})
    await clock.advance(24 * 3_600_000)

    t.is((await boss.getJobById(name, id)).expireIn.minutes, 15)
    t.is(queue.counts.underway, 1)
  })

  bites('A body that is over its time', async t => {
    const name = queues.pop()
    const { opened, open } = gate()
    const [old, mine] = [counting(() => opened), counting(() => opened)]
    const signals = []
    await works(t, name, old.body)
    const queue = ours(
      t,
      (_, task) => {
        signals.push(task.signal)
        return mine.body()
      },
      { timeout: 200, retry: { attempts: 2, delay: 0 } },
    )

    await both(boss.send(name, {}, { expireInSeconds: 1, retryLimit: 1 }), queue.put({}))
    await until(() => old.seen.now === 2 && signals[0]?.aborted)
    open()
    await until(() => mine.seen.all === 2)

    t.is(mine.seen.most, 1)
  })

  bites('A cancel reaches the body', async t => {
    const name = queues.pop()
    const { opened, open } = gate()
    let began = false
    let ended = false
    await works(t, name, async () => {
      began = true
      await opened
      ended = true
      return { well: true }
    })
    const signals = []
    const mine = ours(t, (_, task) => {
      signals.push(task.signal)
      return new Promise(resolve => task.signal.addEventListener('abort', resolve))
    })
    const [id, job] = await both(boss.send(name, {}), mine.put({}))
    await until(() => began && signals.length === 1)

    await both(boss.cancel(name, id), mine.cancel(job.id))
    await until(() => signals[0].aborted)
    t.false(ended)
    open()
    await until(() => ended)
    await sleep(100)

    t.like(await boss.getJobById(name, id), { state: 'cancelled', output: null })
  })

  bites('A job waits until it runs', async t => {
    const waiting = await bossOfItsOwn(t, 'waiting')
    const clock = new VirtualClock()
    const queue = new DispatchQueue(async () => {}, { clock, paused: true })
    const plain = await waiting.send('q', {})
    const id = await waiting.send('q', {}, { retentionDays: 1 })
    await queue.put({})

    await waiting.getDb().executeSql(`update waiting.job set keep_until = keep_until - interval '25 h'`)
    await waiting.archive()
    await clock.advance(20 * 365 * 86_400_000)

    const { keepUntil, startAfter } = await waiting.getJobById('q', plain)
    t.is(Math.round((keepUntil - startAfter) / 3_600_000), 14 * 24 - 25)
    t.is(await waiting.getJobById('q', id), null)
    t.deepEqual(
      (await waiting.fetch('q', { batchSize: 9 })).map(job => job.id),
      [plain],
    )
    t.is(queue.counts.pending, 1)
  })

  bites('An ended job is forgotten at once', async t => {
    const name = queues.pop()
    const mine = ours(t, async n => (n === 2 ? Promise.reject(new Error('no')) : undefined))
    const [id] = await both(boss.send(name, {}), mine.put(1, { id: 'x' }))
    await mine.put(2, { id: 'y' })
    await boss.fetch(name)
    await both(boss.complete(name, id), mine.idle())
    await boss.archive()

    t.is(await stateOf(name, id), 'completed')
    t.is(await mine.get('x'), undefined)
    t.is((await mine.get('y')).state, 'failed')
  })

  bites('A payload is any JSON value', async t => {
    const name = queues.pop()
    const mine = ours(t, async payload => payload)
    await boss.send(name, { at: new Date(0) })

    t.deepEqual((await boss.fetch(name))[0].data, { at: '1970-01-01T00:00:00.000Z' })
    const refused = await t.throwsAsync(mine.put({ at: new Date(0) }), { code: 'PAYLOAD' })
    t.regex(refused.message, /\bat\b/)
    await t.throwsAsync(boss.send(name, 'text'), { message: /json/ })
    await t.throwsAsync(boss.send(name, [1, 2]), { message: /json/ })
    for (const payload of ['text', [1, 2], 5, null]) t.deepEqual(await mine.run(payload), payload)
  })

  bites('No put is dropped.', async t => {
    const name = queues.pop()
    const id = randomUUID()
    const mine = ours(t, null)
    await both(boss.send(name, { n: 1 }, { id }), mine.put({ n: 1 }, { id: 'x' }))

    t.is(await boss.send('never created', {}), null)
    t.is(await boss.send(name, { n: 1 }, { id }), null)
    t.is(await boss.send(name, { n: 2 }, { id }), null)
    await t.throwsAsync(boss.send(name, {}, { id: 'x' }), { message: /uuid/ })
    t.true((await mine.put({ n: 1 }, { id: 'x' })).existed)
    await t.throwsAsync(mine.put({ n: 2 }, { id: 'x' }), { code: 'ID_CONFLICT' })
  })

  bites(
    'A job starts as soon as it is put.',
    async t => {
      const name = queues.pop()
      const waits = [[], []]
      t.teardown(() => boss.offWork(name))
      await boss.work(name, async ([job]) => void waits[0].push(Date.now() - job.data.at))
      const mine = ours(t, async ({ at }) => void waits[1].push(Date.now() - at))
      // Its worker has just looked when the second is sent.
      for (const count of [1, 2]) {
        await both(boss.send(name, { at: Date.now() }), mine.put({ at: Date.now() }))
        await until(() => waits.every(({ length }) => length === count))
      }

      t.true(waits[0][1] > 1_000, `${waits[0][1]}`)
      t.true(waits[1][1] < waits[0][1] / 2, `${waits[1][1]}`)
      await t.throwsAsync(
        boss.work(name, { pollingIntervalSeconds: 0.4 }, async () => {}),
        { message: /500ms/ },
      )
    },
    test.serial,
  )

  bites('Cron, publish and subscribe, dead-letter queues and singleton keys', async t => {
    for (const verb of ['schedule', 'publish', 'subscribe']) {
      t.is(typeof boss[verb], 'function')
      t.false(verb in DispatchQueue.prototype)
    }
    const mine = ours(t, null)
    for (const option of ['deadLetter', 'singletonKey']) {
      await t.throwsAsync(mine.put({}, { [option]: 'x' }), { code: 'OPTION' })
    }
  })

  complete(['One machine.'])
}
