/**
 * The guides for those who come from another queue. Each verb that their tables name is there; the examples for p-queue and
 * Bottleneck run, and each difference that bites is seen in both. BullMQ and pg-boss need servers: here their examples
 * compile, and from-bullmq.test.mjs and from-pg-boss.test.mjs run them.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import Bottleneck from 'bottleneck'
import * as bullmq from 'bullmq'
import PQueue from 'p-queue'
import { Job } from '../../build/lib/job.js'
import { DispatchQueue } from '../../build/lib/queue.js'
import { Task } from '../../build/lib/run/task.js'
import { root, tsc } from '../../build/test/support/repository.js'
import { blockOf, pageOf, placeWith, rowsOf, until } from './guides.mjs'
import { packed, runs, tool, toolFolder } from './support.mjs'

const installed = packed()

for (const name of ['p-queue', 'bottleneck']) {
  test(`${name}: both examples of its guide run, and tell the same`, async t => {
    const page = pageOf(name)
    const place = await placeWith(installed(), name, { 'old.js': blockOf(page, 'js'), 'new.ts': blockOf(page, 'ts') })

    const old = await runs(t, ['old.js'], place)
    const ours = await runs(t, [tool('tsx', 'dist/cli.mjs'), 'new.ts'], place)

    t.is(ours.stdout, old.stdout)
    t.regex(ours.stdout, /\[ 2, 4, 6 \]/)
  })
}

for (const name of ['bullmq', 'pg-boss']) {
  test(`${name}: the example of its guide compiles against its types`, async t => {
    const place = await placeWith(installed(), name, {
      'old.js': blockOf(pageOf(name), 'js'),
      'tsconfig.json': JSON.stringify({
        compilerOptions: {
          ...{ module: 'nodenext', target: 'es2022', allowJs: true, checkJs: true, strict: true, noImplicitAny: false },
          ...{ noEmit: true, skipLibCheck: true, types: ['node'], typeRoots: [join(root, 'node_modules/@types')] },
        },
        files: ['old.js'],
      }),
    })

    const { code, output } = await tsc(['-p', '.'], place)

    t.is(code, 0, output)
  })
}

const types = readFileSync(join(toolFolder('pg-boss'), 'types.d.ts'), 'utf8')
const has =
  (...prototypes) =>
  member =>
    prototypes.some(prototype => member in prototype)
const oldOf = {
  'p-queue': { queue: has(PQueue.prototype) },
  bottleneck: { limiter: has(new Bottleneck()) },
  bullmq: {
    queue: has(bullmq.Queue.prototype),
    worker: has(bullmq.Worker.prototype),
    job: has(bullmq.Job.prototype),
    events: has(bullmq.QueueEvents.prototype),
  },
  'pg-boss': { boss: member => new RegExp(`^ {2}${member}[(<]`, 'm').test(types) },
}
const ours = { queue: has(DispatchQueue.prototype), job: has(Job.prototype), task: has(Task.prototype) }

/** Members that a cell names and that are not there. */
const missing = (cell, known) =>
  [...cell.matchAll(/\b(\w+)\.(\w+)/g)].filter(([, of, member]) => known[of] && !known[of](member)).map(([all]) => all)

for (const [name, known] of Object.entries(oldOf)) {
  test(`${name}: what the table of its guide names is there, in both columns`, t => {
    const rows = rowsOf(pageOf(name))

    t.true(rows.length > 12)
    t.deepEqual(
      rows.flatMap(row => missing(row.old, known)),
      [],
    )
    t.deepEqual(
      rows.flatMap(row => missing(row.ours, ours)),
      [],
    )
    t.deepEqual(missing('`queue.nothing()`', ours), ['queue.nothing'])
  })
}

// The differences that bite. Each is seen on both sides, by what has started and what has settled.

/** Starts as they come. */
const recorder = () => {
  const started = []
  return {
    started,
    does:
      (n, ms = 0) =>
      async () => {
        started.push(n)
        if (ms > 0) await sleep(ms)
        return n
      },
  }
}
const queueOfFunctions = options => new DispatchQueue(job => job(), options)
const outcome = (promise, ms = 1_000) =>
  Promise.race([
    promise.then(
      () => 'resolved',
      error => `${error.name}: ${error.message}`,
    ),
    sleep(ms, 'open'),
  ])

test('p-queue: priorities run the other way', async t => {
  const [theirs, mine] = [recorder(), recorder()]
  const old = new PQueue({ concurrency: 1, autoStart: false })
  const queue = queueOfFunctions({ paused: true })

  const all = [1, 2, 3].flatMap(priority => [
    old.add(theirs.does(priority), { priority }),
    queue.run(mine.does(priority), { priority }),
  ])
  old.start()
  queue.resume()
  await Promise.all(all)

  t.deepEqual(theirs.started, [3, 2, 1])
  t.deepEqual(mine.started, [1, 2, 3])
})

for (const [name, unlimited] of [
  ['p-queue', does => [1, 2, 3].map(n => new PQueue().add(does(n)))],
  ['bottleneck', does => [1, 2, 3].map(n => new Bottleneck().schedule(does(n)))],
]) {
  test(`${name}: its width is unlimited by default, and that of rdq is 1`, async t => {
    const { started, does } = recorder()
    const queue = queueOfFunctions()

    void unlimited(n => does(n, 400))
    const mine = recorder()
    const all = [1, 2, 3].map(n => queue.run(mine.does(n, 400)))
    await until(() => started.length === 3 && mine.started.length > 0)

    t.is(mine.started.length, 1)
    await Promise.all(all)
  })
}

test('p-queue: pending counts what runs there, and what waits here', async t => {
  const old = new PQueue({ concurrency: 1 })
  const queue = queueOfFunctions()

  let begun = 0
  const long = () => {
    begun++
    return sleep(300)
  }
  const all = [1, 2, 3].flatMap(() => [old.add(long), queue.run(long)])
  await until(() => begun === 2)

  t.deepEqual([old.pending, old.size], [1, 2])
  t.like(queue.counts, { pending: 2, underway: 1 })
  await Promise.all(all)
})

/** The most of these instants within any window of that length. */
const fullest = (starts, ms) =>
  Math.max(...starts.map(from => starts.filter(at => at >= from && at - from < ms).length))

for (const [name, fixed] of [
  [
    'p-queue',
    async does => {
      const old = new PQueue({ intervalCap: 10, interval: 300 })
      // The interval begins with the first; the others come near its end, and the next ones right after it.
      const first = old.add(does)
      await sleep(240)
      await Promise.all([first, ...Array.from({ length: 19 }, () => old.add(does))])
    },
  ],
  [
    'bottleneck',
    async does => {
      const old = new Bottleneck({ reservoir: 10, reservoirRefreshAmount: 10, reservoirRefreshInterval: 250 })
      await sleep(200)
      await Promise.all(Array.from({ length: 20 }, () => old.schedule(does)))
      await old.disconnect()
    },
  ],
]) {
  test(`${name}: a fixed interval lets more start around its end, and a rule of rdq does not`, async t => {
    const mine = []
    const queue = new DispatchQueue(async () => void mine.push(performance.now()), {
      width: 20,
      rate: { limit: 10, per: 250 },
    })
    let most = 0

    // That it may happen there is all that is claimed: a busy machine can miss the end of the interval.
    for (let tries = 0; tries < 20 && most <= 10; tries++) {
      const theirs = []
      await fixed(async () => void theirs.push(performance.now()))
      most = fullest(theirs, 250)
    }
    void queue.run()
    await sleep(200)
    await Promise.all(Array.from({ length: 19 }, () => queue.run()))

    t.true(most > 10, `${most}`)
    t.true(fullest(mine, 250) <= 10)
  })
}

for (const [name, start] of [
  [
    'p-queue',
    body => {
      const old = new PQueue({ concurrency: 1, timeout: 30 })
      return [old.add(body), old.add(body)]
    },
  ],
  [
    'bottleneck',
    body => {
      const old = new Bottleneck({ maxConcurrent: 1 })
      return [old.schedule({ expiration: 30 }, body), old.schedule({ expiration: 30 }, body)]
    },
  ],
]) {
  test(`${name}: a function that is over its time runs beside the next, and here keeps its slot`, async t => {
    const counting = going => {
      const seen = { now: 0, most: 0 }
      const body = async () => {
        seen.most = Math.max(seen.most, ++seen.now)
        await going()
        seen.now--
      }
      return { seen, body }
    }
    let end
    const ended = new Promise(resolve => {
      end = resolve
    })
    const [theirs, mine] = [counting(() => ended), counting(() => sleep(600))]
    const queue = queueOfFunctions({ timeout: 30 })

    const all = [...start(theirs.body), queue.run(mine.body), queue.run(mine.body)]
    const ends = (await Promise.allSettled(all)).map(({ status }) => status)
    end()
    await sleep(700)

    t.deepEqual(new Set(ends), new Set(['rejected']))
    t.is(theirs.seen.most, 2, 'the second starts while the first goes on')
    t.is(mine.seen.most, 1)
  })
}

test('p-queue: promises of cleared jobs never settle there, and reject here', async t => {
  const old = new PQueue({ concurrency: 1, autoStart: false })
  const queue = queueOfFunctions({ paused: true })
  const [theirs, mine] = [old.add(async () => 1), queue.run(async () => 1)]

  old.clear()
  await queue.clear()

  t.is(await outcome(theirs), 'open')
  t.regex(await outcome(mine), /CancelledError/)
})

test('p-queue: it calls a function within add, and rdq never within run', async t => {
  const [theirs, mine] = [recorder(), recorder()]

  const all = [new PQueue().add(theirs.does(1)), queueOfFunctions().run(mine.does(1))]
  const within = [theirs.started.length, mine.started.length]
  await Promise.all(all)

  t.deepEqual(within, [1, 0])
})

test('bottleneck: priorities run the same way', async t => {
  const [theirs, mine] = [recorder(), recorder()]
  const old = new Bottleneck({ maxConcurrent: 1 })
  const queue = queueOfFunctions({})

  let begun = 0
  const long = () => {
    begun++
    return sleep(400)
  }
  const busy = [old.schedule(long), queue.run(long)]
  await until(() => begun === 2)
  const all = [3, 1, 2].flatMap(priority => [
    old.schedule({ priority }, theirs.does(priority)),
    queue.run(mine.does(priority), { priority }),
  ])
  await Promise.all([...busy, ...all])

  t.deepEqual(theirs.started, [1, 2, 3])
  t.deepEqual(mine.started, [1, 2, 3])
})

test('bottleneck: a weight takes room, and a cost does not', async t => {
  const [theirs, mine] = [recorder(), recorder()]
  const old = new Bottleneck({ maxConcurrent: 2 })
  const queue = queueOfFunctions({ width: 2, rate: { limit: 100, per: '1s', of: 'units' } })

  const all = [1, 2].flatMap(n => [
    old.schedule({ weight: 2 }, theirs.does(n, 400)),
    queue.run(mine.does(n, 400), { cost: { units: 2 } }),
  ])
  await until(() => theirs.started.length > 0 && mine.started.length === 2)

  t.is(theirs.started.length, 1)
  await Promise.all(all)
})

test('bottleneck: a second put of an id rejects there, and is the first here', async t => {
  const old = new Bottleneck({ maxConcurrent: 1 })
  const queue = new DispatchQueue(async n => n, { paused: true })

  const first = old.schedule({ id: 'x' }, () => sleep(200))
  const again = await outcome(old.schedule({ id: 'x' }, async () => 1))
  await queue.put(1, { id: 'x' })

  t.regex(again, /already exists/)
  t.true((await queue.put(1, { id: 'x' })).existed)
  await first
  t.is(await old.schedule({ id: 'x' }, async () => 'after it'), 'after it')
})

test('bottleneck: a stop rejects what waits, here with QueueStoppedError and the jobs given back', async t => {
  const old = new Bottleneck({ maxConcurrent: 1 })
  const queue = queueOfFunctions()
  let begun = 0
  const long = () => {
    begun++
    return sleep(400)
  }
  const all = [1, 2].map(() => [old.schedule(long), queue.run(long)])
  await until(() => begun === 2)
  const waiting = [outcome(all[1][0]), outcome(all[1][1])]

  const [, { returned }] = await Promise.all([old.stop(), queue.stop()])

  const [theirs, mine] = await Promise.all(waiting)
  t.regex(theirs, /limiter has been stopped/)
  t.regex(mine, /QueueStoppedError/)
  t.is(returned.length, 1)
})
