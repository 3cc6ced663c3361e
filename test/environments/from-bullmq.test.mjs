/** docs/guides/from-bullmq.md: both columns of each row, and each difference that bites, run beside each other. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import * as bullmq from 'bullmq'
import { RetryLater, Throttled, Unrecoverable } from '../../build/lib/index.js'
import { DispatchQueue } from '../../build/lib/queue.js'
import { blockOf, counting, deadRun, fileOf, gate, ours, pageOf, placeWith, testsOf, until } from './guides.mjs'
import { redisServer } from './servers.mjs'
import { packed, runs, tool } from './support.mjs'

const port = redisServer()
const installed = port && packed()
const { row, bites, complete } = testsOf('bullmq')

let names = 0
/** BullMQ's parts for one queue, which close when the test ends. */
function theirs(t) {
  const name = `q${++names}`
  const connection = { host: '127.0.0.1', port: port() }
  const closed = part => {
    part.on('error', () => {})
    t.teardown(() => part.close(true))
    return part
  }
  return {
    queue: closed(new bullmq.Queue(name, { connection })),
    worker: (processor, options) => closed(new bullmq.Worker(name, processor, { connection, ...options })),
    async events() {
      const events = closed(new bullmq.QueueEvents(name, { connection }))
      await events.waitUntilReady()
      return events
    },
  }
}

/** Both at once: an array of what they resolve with. */
const both = (old, mine) => Promise.all([old, mine])

if (port) {
  test('bullmq: both examples of its guide run, and report the same', async t => {
    const page = pageOf('bullmq')
    const example = blockOf(page, 'js')
    t.true(example.includes("host: 'localhost', port: 6379"))
    const old = example.replace("host: 'localhost', port: 6379", `host: '127.0.0.1', port: ${port()}`)
    const ends = `worker.on('completed', () => worker.close().then(() => queue.close()))`
    const place = await placeWith(installed(), 'bullmq', { 'old.js': old + ends, 'new.ts': blockOf(page, 'ts') }, [
      'bullmq',
      'ioredis',
    ])

    const [before, after] = await both(
      runs(t, ['old.js'], place),
      runs(t, [tool('tsx', 'dist/cli.mjs'), 'new.ts'], place),
    )

    t.is(before.stdout, 'sent to +3161234567\n')
    t.is(after.stdout, before.stdout)
  })

  row("`new Queue('sms', …)`", "`new DispatchQueue(null, { name: 'sms', backlog })`", async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)

    await both(queue.add('send', 1), mine.put(1))
    await sleep(50)

    t.is(await queue.getWaitingCount(), 1)
    t.is(mine.counts.pending, 1)
  })

  row(
    "`new Worker('sms', processor, { concurrency: 5 })`",
    "`new DispatchQueue(handler, { name: 'sms', backlog, width: 5 })`",
    async t => {
      const { queue, worker } = theirs(t)
      const { opened, open } = gate()
      const [old, mine] = [counting(() => opened), counting(() => opened)]
      const numbers = Array.from({ length: 12 }, (_, n) => n)

      await queue.addBulk(numbers.map(data => ({ name: 'send', data })))
      worker(old.body, { concurrency: 5 })
      await ours(t, mine.body, { width: 5 }).putMany(numbers)
      await until(() => old.seen.now === 5 && mine.seen.now === 5)
      await sleep(100)
      open()
      await until(() => old.seen.all === 12 && mine.seen.all === 12)

      t.deepEqual([old.seen.most, mine.seen.most], [5, 5])
    },
  )

  row('`limiter: { max: 10, duration: 1_000 }`', "`rate: { limit: 10, per: '1s' }`", async t => {
    const { queue, worker } = theirs(t)
    const starts = [0, 0]
    const handler = side => async () => void starts[side]++
    const numbers = Array.from({ length: 11 }, (_, n) => n)

    await queue.addBulk(numbers.map(data => ({ name: 'send', data })))
    worker(handler(0), { concurrency: 20, limiter: { max: 10, duration: 600_000 } })
    await ours(t, handler(1), { width: 20, rate: { limit: 10, per: '10min' } }).putMany(numbers)
    await until(() => starts.every(count => count === 10))
    await sleep(300)

    t.deepEqual(starts, [10, 10])
  })

  row("`queue.add('send', data)`", '`queue.put(data)`', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    worker(async job => void seen[0].push(job.data))

    await both(queue.add('send', { to: 'x' }), ours(t, async data => void seen[1].push(data)).put({ to: 'x' }))
    await until(() => seen.every(({ length }) => length === 1))

    t.deepEqual(seen, [[{ to: 'x' }], [{ to: 'x' }]])
  })

  row('`queue.addBulk(jobs)`', '`queue.putMany(payloads)`', async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)

    const [old, jobs] = await both(queue.addBulk([1, 2].map(data => ({ name: 'send', data }))), mine.putMany([1, 2]))

    t.deepEqual(
      [old.map(job => job.data), jobs.map(job => job.payload)],
      [
        [1, 2],
        [1, 2],
      ],
    )
  })

  row('`delay: 5_000`', "`delay: '5s'`, or `runAt: date`", async t => {
    const { queue, worker } = theirs(t)
    const at = [[], []]
    const mine = ours(t, async () => void at[1].push(Date.now()))
    worker(async () => void at[0].push(Date.now()))

    const from = Date.now()
    await Promise.all([
      queue.add('send', 1, { delay: 300 }),
      mine.put(1, { delay: '300ms' }),
      mine.put(2, { runAt: new Date(from + 300) }),
    ])
    await until(() => at[0].length === 1 && at[1].length === 2)

    for (const instant of at.flat()) t.true(instant - from >= 299, `${instant - from}`)
  })

  row('`priority: 5`', '`priority: 5`', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    const mine = ours(t, async n => void seen[1].push(n), { paused: true })

    for (const priority of [5, 1, 3]) {
      await both(queue.add('send', priority, { priority }), mine.put(priority, { priority }))
    }
    worker(async job => void seen[0].push(job.data))
    mine.resume()
    await until(() => seen.every(({ length }) => length === 3))

    t.deepEqual(seen, [
      [1, 3, 5],
      [1, 3, 5],
    ])
  })

  row("`jobId: 'x'`", "`id: 'x'`", async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)

    for (const _ of [1, 2]) await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))

    t.is((await queue.getJob('x')).id, 'x')
    t.is((await mine.get('x')).id, 'x')
    t.deepEqual([await queue.getWaitingCount(), mine.counts.pending], [1, 1])
  })

  row(
    "`attempts: 3`, `backoff: { type: 'exponential', delay: 1_000 }`",
    "`retry: { attempts: 3, delay: '1s', factor: 2, jitter: false }`",
    async t => {
      const { queue, worker } = theirs(t)
      const at = [[], []]
      const failing = side => async () => {
        at[side].push(Date.now())
        throw new Error('again')
      }
      worker(failing(0))
      const mine = ours(t, failing(1), { retry: { attempts: 3, delay: '100ms', factor: 2, jitter: false } })

      await both(queue.add('send', 1, { attempts: 3, backoff: { type: 'exponential', delay: 100 } }), mine.put(1))
      await until(async () => (await queue.getFailedCount()) === 1 && mine.counts.failed === 1)

      for (const [first, second, third, ...more] of at) {
        t.true(second - first >= 99 && third - second >= 199, `${second - first}, ${third - second}`)
        t.deepEqual(more, [])
      }
    },
  )

  row(
    '`removeOnComplete: { age: 86_400 }`, `removeOnFail: { age: 1_209_600 }`',
    "`keep: { finished: '1d', failed: '14d' }`",
    async t => {
      const { queue, worker } = theirs(t)
      const keeping = { removeOnComplete: { age: 86_400 }, removeOnFail: { age: 1_209_600 } }
      const body = n => (n === 2 ? Promise.reject(new Error('no')) : Promise.resolve())
      worker(job => body(job.data))
      const mine = ours(t, body, { keep: { finished: '1d', failed: '14d' } })

      for (const [n, id] of [
        [1, 'well'],
        [2, 'ill'],
      ]) {
        await both(queue.add('send', n, { jobId: id, ...keeping }), mine.put(n, { id }))
      }
      await both(
        until(async () => (await queue.getFailedCount()) === 1),
        mine.idle(),
      )

      t.deepEqual(
        [await (await queue.getJob('well')).getState(), (await mine.get('well')).state],
        ['completed', 'finished'],
      )
      t.deepEqual([await (await queue.getJob('ill')).getState(), (await mine.get('ill')).state], ['failed', 'failed'])
    },
  )

  row(
    '`queue.getJob(id)`, `queue.getJobs([…])`, `queue.getJobCounts()`',
    '`queue.get(id)`, `queue.jobs({ state })`, `queue.counts`',
    async t => {
      const { queue } = theirs(t)
      const mine = ours(t, null)

      await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))
      await both(queue.add('send', 2, { jobId: 'y', delay: 60_000 }), mine.put(2, { id: 'y', delay: '1min' }))

      t.deepEqual([(await queue.getJob('x')).data, (await mine.get('x')).payload], [1, 1])
      t.deepEqual(
        (await queue.getJobs(['delayed'])).map(job => job.id),
        ['y'],
      )
      t.deepEqual(
        (await mine.jobs({ state: 'delayed' })).map(job => job.id),
        ['y'],
      )
      t.like(await queue.getJobCounts(), { waiting: 1, delayed: 1 })
      t.like(mine.counts, { pending: 1, delayed: 1 })
    },
  )

  row(
    '`queue.pause()`, `queue.resume()`',
    '`queue.pause({ shared: true })`, `queue.resume({ shared: true })`',
    async t => {
      const { queue, worker } = theirs(t)
      const seen = [[], []]
      const file = fileOf(t)
      const putting = ours(t, null, {}, file)

      await both(queue.pause(), putting.pause({ shared: true }))
      worker(async job => void seen[0].push(job.data))
      ours(t, async n => void seen[1].push(n), {}, file)
      await both(queue.add('send', 1), putting.put(1))
      await sleep(200)
      const held = structuredClone(seen)
      await both(queue.resume(), putting.resume({ shared: true }))
      await until(() => seen.every(({ length }) => length === 1))

      t.deepEqual(held, [[], []])
    },
  )

  row('`worker.pause()`, `worker.resume()`', '`queue.pause()`, `queue.resume()`', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    const old = worker(async job => void seen[0].push(job.data))
    const mine = ours(t, async n => void seen[1].push(n))
    await old.waitUntilReady()

    await both(old.pause(), mine.pause())
    await both(queue.add('send', 1), mine.put(1))
    await sleep(200)
    const held = structuredClone(seen)
    old.resume()
    mine.resume()
    await until(() => seen.every(({ length }) => length === 1))

    t.deepEqual(held, [[], []])
  })

  const widens = async t => {
    const { queue, worker } = theirs(t)
    const [first, others] = [gate(), gate()]
    const counted = () => counting(number => (number === 1 ? first : others).opened)
    const [old, mine] = [counted(), counted()]
    const numbers = Array.from({ length: 20 }, (_, n) => n)
    await queue.addBulk(numbers.map(data => ({ name: 'send', data })))
    const narrow = worker(old.body)
    const queued = ours(t, mine.body)
    await queued.putMany(numbers)
    await until(() => old.seen.now === 1 && mine.seen.now === 1)

    narrow.concurrency = 8
    queued.width = 8
    await until(() => mine.seen.now === 8)
    await sleep(200)
    t.is(old.seen.now, 1, 'until the job that runs has ended')
    first.open()
    await until(() => old.seen.now === 8 && mine.seen.now === 8)
    await sleep(100)
    others.open()
    await until(() => old.seen.all === 20 && mine.seen.all === 20)

    t.deepEqual([old.seen.most, mine.seen.most], [8, 8])
  }
  row('`worker.concurrency = 8`', '`queue.width = 8`', widens)
  bites('A wider `width` starts jobs at once.', widens)

  row('`queue.drain(true)`', '`queue.clear()`', async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)
    for (const delay of [0, 60_000]) await both(queue.add('send', 1, { delay }), mine.put(1, { delay }))

    await both(queue.drain(true), mine.clear())

    t.like(await queue.getJobCounts(), { waiting: 0, delayed: 0 })
    t.like(mine.counts, { pending: 0, delayed: 0 })
  })

  row(
    '`job.changeDelay(5_000)`, `job.promote()`, `job.changePriority({ priority: 1 })`',
    "`queue.reschedule(job, '5s')`, `queue.promote(job)`, `queue.reprioritize(job, 1)`",
    async t => {
      const { queue, worker } = theirs(t)
      const seen = [[], []]
      const mine = ours(t, async n => void seen[1].push(n), { paused: true })
      const put = (n, options) => both(queue.add('send', n, options), mine.put(n, options))
      const [late, mineLate] = await put('late', { delay: 60_000 })
      const [promoted, minePromoted] = await put('promoted', { delay: 60_000 })
      await put('third', { priority: 3 })
      const [last, mineLast] = await put('first', { priority: 5 })

      await both(late.changeDelay(300), mine.reschedule(mineLate, '300ms'))
      await both(promoted.promote(), mine.promote(minePromoted))
      await both(last.changePriority({ priority: 1 }), mine.reprioritize(mineLast, 1))
      worker(async job => void seen[0].push(job.data))
      mine.resume()
      await until(() => seen.every(({ length }) => length === 4))

      for (const side of seen) {
        t.deepEqual(
          side.filter(data => data !== 'late'),
          ['promoted', 'first', 'third'],
        )
      }
    },
  )

  row('`job.retry()`, `job.remove()`', '`queue.retry(job)`, `queue.remove(job)`', async t => {
    const { queue, worker } = theirs(t)
    let broken = true
    const body = async () => {
      if (broken) throw new Error('down')
    }
    worker(body)
    const mine = ours(t, body, { keep: { finished: '1d' } })
    const [old, job] = await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))
    await until(async () => (await old.getState()) === 'failed' && (await mine.get('x')).state === 'failed')

    broken = false
    await both(old.retry(), mine.retry(job))
    await until(async () => (await old.getState()) === 'completed' && (await mine.get('x')).state === 'finished')
    await both(old.remove(), mine.remove(job))

    t.deepEqual(await both(queue.getJob('x'), mine.get('x')), [undefined, undefined])
  })

  row('`job.updateProgress(50)`', '`task.progress(50)`', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    worker(job => job.updateProgress(50)).on('progress', (_, value) => seen[0].push(value))
    const mine = ours(t, async (_, task) => task.progress(50))
    mine.on('progress', (_, value) => seen[1].push(value))

    await both(queue.add('send', 1), mine.put(1))
    await until(() => seen.every(({ length }) => length === 1))

    t.deepEqual(seen, [[50], [50]])
  })

  row('`job.updateData(…)` as a checkpoint', '`task.checkpoint(…)`', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    worker(async job => {
      seen[0].push(job.data.step)
      await job.updateData({ step: 1 })
      if (seen[0].length === 1) throw new Error('again')
    })
    const mine = ours(
      t,
      async (_, task) => {
        seen[1].push(task.restored?.step)
        await task.checkpoint({ step: 1 })
        if (seen[1].length === 1) throw new Error('again')
      },
      { retry: { attempts: 2, delay: 0 } },
    )

    await both(queue.add('send', {}, { attempts: 2 }), mine.put({}))
    await until(() => seen.every(({ length }) => length === 2))

    t.deepEqual(seen, [
      [undefined, 1],
      [undefined, 1],
    ])
  })

  row('`job.waitUntilFinished(events)`', '`queue.run(data)`, or `job.result`', async t => {
    const { queue, worker, events } = theirs(t)
    worker(async job => job.data * 2)
    const reported = await events()
    const mine = ours(t, async n => n * 2)

    const job = await queue.add('send', 21)

    t.deepEqual(
      await Promise.all([job.waitUntilFinished(reported), mine.run(21), mine.put(21).then(({ result }) => result)]),
      [42, 42, 42],
    )
  })

  row('`throw new UnrecoverableError(…)`', '`throw new Unrecoverable(…)`', async t => {
    const { queue, worker } = theirs(t)
    const runs = [0, 0]
    worker(async () => {
      runs[0]++
      throw new bullmq.UnrecoverableError('no')
    })
    const mine = ours(
      t,
      async () => {
        runs[1]++
        throw new Unrecoverable('no')
      },
      { retry: { attempts: 3, delay: 0 } },
    )

    await both(queue.add('send', 1, { attempts: 3 }), mine.put(1))
    await until(async () => (await queue.getFailedCount()) === 1 && mine.counts.failed === 1)

    t.deepEqual(runs, [1, 1])
  })

  row('`queue.rateLimit(1_000)` and `throw new RateLimitError()`', "`throw new Throttled('1s')`", async t => {
    const { queue, worker } = theirs(t)
    const at = [[], []]
    const attempts = [[], []]
    worker(
      async job => {
        at[0].push(Date.now())
        attempts[0].push(job.attemptsMade)
        if (at[0].length > 1) return
        await queue.rateLimit(500)
        throw new bullmq.RateLimitError()
      },
      { limiter: { max: 10, duration: 100 } },
    )
    const mine = ours(t, async (_, task) => {
      at[1].push(Date.now())
      attempts[1].push(task.attempt - 1)
      if (at[1].length === 1) throw new Throttled('500ms')
    })

    for (const n of [1, 2]) await both(queue.add('send', n), mine.put(n))
    await until(() => at.every(({ length }) => length === 3))

    for (const [first, second] of at) t.true(second - first >= 490, `${second - first}`)
    t.deepEqual(attempts, [
      [0, 0, 0],
      [0, 0, 0],
    ])
  })

  row('`job.moveToDelayed(…)` and `throw new DelayedError()`', "`throw new RetryLater('1s')`", async t => {
    const { queue, worker } = theirs(t)
    const at = [[], []]
    worker(async (job, token) => {
      at[0].push(Date.now())
      if (at[0].length > 1) return
      await job.moveToDelayed(Date.now() + 300, token)
      throw new bullmq.DelayedError()
    })
    const mine = ours(t, async () => {
      at[1].push(Date.now())
      if (at[1].length === 1) throw new RetryLater('300ms')
    })

    await both(queue.add('send', 1), mine.put(1))
    await until(() => at.every(({ length }) => length === 2))

    for (const [first, second] of at) t.true(second - first >= 299, `${second - first}`)
  })

  row("`events.on('completed', …)`", "`queue.on('finished', …)` in the process that works", async t => {
    const { queue, worker, events } = theirs(t)
    const seen = [[], []]
    worker(async () => 1)
    ;(await events()).on('completed', ({ jobId }) => seen[0].push(jobId))
    const mine = ours(t, async () => 1)
    mine.on('finished', job => seen[1].push(job.id))

    await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))
    await until(() => seen.every(({ length }) => length === 1))

    t.deepEqual(seen, [['x'], ['x']])
  })

  row('`worker.close()`', '`queue.stop()`', async t => {
    const { queue, worker } = theirs(t)
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
    const old = worker(body(0))
    const mine = ours(t, body(1))
    for (const n of [1, 2]) await both(queue.add('send', n), mine.put(n))
    await until(() => begun.every(n => n === 1))

    const closing = both(old.close(), mine.stop())
    open()
    const [, { left }] = await closing

    t.deepEqual(
      [begun, ended],
      [
        [1, 1],
        [1, 1],
      ],
    )
    t.deepEqual([await queue.getWaitingCount(), left], [1, 1])
  })

  bites("A job has no name besides its queue's.", async t => {
    const { queue, worker } = theirs(t)
    const seen = []
    worker(async job => void seen.push(job.name))
    const mine = ours(t, null)

    await queue.add('send', 1)
    await until(() => seen.length === 1)

    t.deepEqual(seen, ['send'])
    await t.throwsAsync(mine.put('send', { to: 'x' }), { code: 'OPTION' })
  })

  bites('Priorities', async t => {
    const { queue, worker } = theirs(t)
    const seen = [[], []]
    const mine = ours(t, async n => void seen[1].push(n), { paused: true })
    for (const priority of [1, 0]) await queue.add('send', priority, { priority })
    for (const priority of [1, 0, -1]) await mine.put(priority, { priority })

    worker(async job => void seen[0].push(job.data))
    mine.resume()
    await until(() => seen[0].length === 2 && seen[1].length === 3)

    t.deepEqual(seen, [
      [0, 1],
      [-1, 0, 1],
    ])
  })

  bites('The wait between attempts', async t => {
    const { queue, worker } = theirs(t)
    const byHand = worker(null, { autorun: false })
    /** What BullMQ does with a job whose first attempt has failed. */
    const afterFailure = async options => {
      const { id } = await queue.add('send', 1, { attempts: 2, ...options })
      const job = await byHand.getNextJob('token')
      await job.moveToFailed(new Error('again'), 'token', false)
      const { delay } = await queue.getJob(id)
      const state = await job.getState()
      await job.remove()
      return { state, delay }
    }
    /** The waits of rdq, none of them waited for. */
    const waitsOf = async retry => {
      const waits = []
      const mine = ours(t, async () => Promise.reject(new Error('again')), { retry })
      mine.on('retry', (job, _error, delay) => {
        waits.push(delay)
        if (delay > 0) void mine.promote(job)
      })
      await mine.put(1)
      await until(() => mine.counts.failed === 1)
      return waits
    }

    t.deepEqual(await afterFailure(), { state: 'waiting', delay: 0 })
    for (const _ of [1, 2, 3]) {
      t.deepEqual(await afterFailure({ backoff: 1_000 }), { state: 'delayed', delay: 1_000 })
    }
    const jittered = await waitsOf({ attempts: 20, factor: 1 })
    t.true(jittered.every(ms => ms >= 500 && ms <= 1_000) && new Set(jittered).size > 1, `${jittered}`)
    t.deepEqual(await waitsOf({ attempts: 3, factor: 1, jitter: false }), [1_000, 1_000])
    t.deepEqual(await waitsOf({ attempts: 2, delay: 0 }), [0])
  })

  bites(
    'The limit holds in every window.',
    async t => {
      const { queue, worker } = theirs(t)
      const starts = [[], []]
      const mine = ours(t, async () => void starts[1].push(performance.now()), {
        width: 20,
        rate: { limit: 10, per: 500 },
      })
      worker(async () => void starts[0].push(performance.now()), {
        concurrency: 20,
        limiter: { max: 10, duration: 500 },
      })
      const fullest = side => Math.max(...side.map(from => side.filter(at => at >= from && at - from < 500).length))

      // The second of BullMQ begins with the first job; the others come near its end. A busy machine can miss that.
      let tries = 0
      do {
        starts[0].length = 0
        await queue.add('send', 1)
        await until(() => starts[0].length === 1)
        await sleep(400)
        await queue.addBulk(Array.from({ length: 19 }, (_, data) => ({ name: 'send', data })))
        await until(() => starts[0].length === 20)
        await sleep(600)
      } while (fullest(starts[0]) <= 10 && ++tries < 8)
      await mine.put(1)
      await sleep(400)
      await mine.putMany(Array.from({ length: 19 }, (_, n) => n))
      await mine.idle()

      t.true(fullest(starts[0]) > 10, `${fullest(starts[0])}`)
      t.true(fullest(starts[1]) <= 10)
    },
    test.serial,
  )

  bites('A finished job is not kept', async t => {
    const { queue, worker } = theirs(t)
    const runs = [0, 0]
    worker(async () => ++runs[0])
    const mine = ours(t, async () => ++runs[1])
    const put = () => both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))
    const [old] = await put()
    await both(
      until(async () => (await old.getState()) === 'completed'),
      mine.idle(),
    )

    t.is((await queue.getJob('x')).returnvalue, 1)
    t.is(await mine.get('x'), undefined)

    await put()
    await both(sleep(100), mine.idle())
    t.deepEqual(runs, [1, 1], 'remembered on both sides')

    await both(old.remove(), mine.remove('x'))
    await put()
    await both(
      until(async () => (await queue.getCompletedCount()) === 1),
      mine.idle(),
    )
    t.deepEqual(runs, [2, 2])
  })

  bites('The same id with another payload', async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)
    await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))

    await queue.add('send', 2, { jobId: 'x' })

    t.is((await queue.getJob('x')).data, 1)
    await t.throwsAsync(mine.put(2, { id: 'x' }), { code: 'ID_CONFLICT' })
  })

  bites('`clear()` cancels', async t => {
    const { queue } = theirs(t)
    const mine = ours(t, null)
    await both(queue.add('send', 1, { jobId: 'x' }), mine.put(1, { id: 'x' }))

    await both(queue.drain(true), mine.clear())

    t.is(await queue.getJob('x'), undefined)
    t.is((await mine.get('x')).state, 'cancelled')
  })

  bites(
    'A crash is no attempt',
    async t => {
      t.timeout(60_000)
      const { queue, worker } = theirs(t)
      const begun = []
      const options = { lockDuration: 500, stalledInterval: 100 }
      // A worker that closes by force leaves its job as a process that dies does: locked until the lock is over.
      const dies = async () => {
        const { opened, open } = gate()
        const old = worker(
          async job => {
            begun.push(job.attemptsMade)
            open()
            await new Promise(() => {})
          },
          { ...options, skipStalledCheck: true },
        )
        await opened
        await old.close(true)
      }
      const job = await queue.add('send', 1)
      await worker(null, { ...options, autorun: false }).startStalledCheckTimer()
      for (const _ of [1, 2]) await dies()
      worker(async attempt => begun.push(attempt), { ...options, skipStalledCheck: true })
      await until(async () => (await job.getState()) === 'failed' || begun.length > 2)
      const file = fileOf(t)
      const said = []
      for (const _ of [1, 2, 3]) {
        const { code, stdout, output } = await deadRun(file)
        t.is(code, 7, output)
        said.push(stdout.trim())
      }
      const mine = ours(t, async () => 1, {}, file)
      await until(async () => (await mine.get('x'))?.state === 'failed')

      t.deepEqual(begun, [0, 0], 'no attempt was used')
      t.regex((await queue.getJob(job.id)).failedReason, /stalled more than allowable limit/)
      t.deepEqual(said, ['1 0', '1 1', '1 2'])
      t.is((await mine.get('x')).error.code, 'POISON')
    },
    test.serial,
  )

  bites('Events are local', async t => {
    const { queue, worker, events } = theirs(t)
    const seen = [[], []]
    const file = fileOf(t)
    ;(await events()).on('completed', ({ jobId }) => seen[0].push(jobId))
    const putting = ours(t, null, {}, file)
    putting.on('finished', job => seen[1].push(job.id))
    worker(async () => 1)

    await both(queue.add('send', 1, { jobId: 'x' }), putting.put(1, { id: 'x' }))
    const working = ours(t, async () => 1, {}, file)
    await until(() => seen[0].length === 1 && putting.counts.finished === 1)
    await working.idle()

    t.deepEqual(seen, [['x'], []])
  })

  bites('Repeated jobs and flows', t => {
    t.is(typeof bullmq.FlowProducer, 'function')
    t.is(typeof bullmq.Queue.prototype.upsertJobScheduler, 'function')
    t.deepEqual(
      Object.getOwnPropertyNames(DispatchQueue.prototype).filter(name => /flow|schedul.*er|repeat/i.test(name)),
      [],
    )
  })

  complete(['One machine.'])
}
