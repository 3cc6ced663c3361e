/** Plans on which the simulation once found a fault, each as small as it could be made. */
import test, { type ExecutionContext } from 'ava'
import { DispatchQueue, type QueueOptions } from '../../lib/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { Points } from '../../testing/simulated/thread.ts'
import type { Config } from './plan.ts'
import { simulate } from './schedule.ts'

interface Stage {
  readonly machine: Machine
  start(points?: Points): SimulatedProcess
  /** Its handler throws where the payload begins with `throws`. */
  queue(process: SimulatedProcess, options?: QueueOptions<string, void>, body?: Body): DispatchQueue<string, void>
}

type Body = (payload: string) => unknown

const thrown = new Error('thrown by the handler')
const handler = (payload: string): void => {
  if (payload.startsWith('throws')) throw thrown
}

function stage(t: ExecutionContext): Stage {
  const disk = new Disk()
  const path = disk.make()
  const machine = new Machine(new Chance(1))
  const processes: SimulatedProcess[] = []
  t.teardown(() => {
    for (const process of processes) process.kill()
    disk.remove()
  })
  return {
    machine,
    start(points = () => {}) {
      const process = new SimulatedProcess(machine, `${processes.length}`, points)
      processes.push(process)
      return process
    },
    queue: (process, options = {}, body = handler) =>
      new DispatchQueue<string, void>(body as typeof handler, {
        name: 'q',
        clock: process.clock,
        backlog: process.backlog(path, { stallMs: 1_000 }),
        ...options,
      }),
  }
}
const codeOf = (error: { code?: string }): string => String(error.code ?? error)

test('a put of unknown outcome is not repeated by itself', async t => {
  const { machine, start, queue } = stage(t)
  // The first thread dies before it has looked at them, the second when they are stored: that is one too many.
  const process = start((thread, point, _, doing) => {
    const dies = process.threads.length === 1 ? 'received' : 'committed'
    if (point === dies && doing.includes('put of 2')) thread.fail(new Error('planned'))
  })
  const q = queue(process, { size: 9, paused: true })
  q.on('error', () => {})
  await machine.run(100)
  const put = Promise.all([q.put('a').catch(codeOf), q.put('b').catch(codeOf)])
  await machine.run(100)
  process.kill()
  const next = queue(start(), { paused: true })
  await machine.run(100)

  t.deepEqual(await put, ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'])
  t.is(next.counts.pending, 2)
})
/** The first thread dies when such a put is stored and before that is told. */
const diesUnreported =
  (put: string): Points =>
  (thread, point, _, doing) => {
    if (thread.process.threads.length === 1 && point === 'committed' && doing.includes(put)) {
      thread.fail(new Error('planned'))
    }
  }
function abortable(): { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

test('a put with an id whose thread died after the commit resolves as the put that created the job', async t => {
  const { machine, start, queue } = stage(t)
  const q = queue(start(diesUnreported('put of')), { paused: true })
  const pending: string[] = []
  q.on('pending', job => pending.push(job.id))
  await machine.run(100)
  const puts = Promise.all([q.put('a', { id: 'a' }), q.put('a', { id: 'a' }), q.put('b', { id: 'b' })])
  await machine.run(100)
  const later = q.put('a', { id: 'a' })
  await machine.run(100)

  t.deepEqual(
    (await puts).map(job => job.existed),
    [false, true, false],
  )
  t.true((await later).existed)
  t.deepEqual(pending, ['a', 'b'])
})
test('a put that finds the job of an earlier put of the same millisecond reports it as existing, though its thread died', async t => {
  const { machine, start, queue } = stage(t)
  let puts = 0
  const process = start((thread, point, _, doing) => {
    if (point === 'committed' && doing.includes('put of') && ++puts === 2) thread.fail(new Error('planned'))
  })
  const q = queue(process, { paused: true })
  await machine.run(100)
  let first: { readonly existed: boolean } | undefined
  void q.put('a', { id: 'a' }).then(job => {
    first = job
  })
  const putAt = machine.now
  while (!first) await machine.step()
  t.is(machine.now, putAt)
  const second = q.put('a', { id: 'a' })
  await machine.run(100)

  t.is(process.threads.length, 2)
  t.false(first.existed)
  t.true((await second).existed)
})
test('a put whose thread died does not claim as its own a job that another process put in the same millisecond', async t => {
  for (const [payload, key, expected] of [
    ['b', undefined, 'ID_CONFLICT'],
    ['a', 'k', true],
  ] as const) {
    const { machine, start, queue } = stage(t)
    const first = queue(start(), { paused: true })
    let armed = false
    const dying = start((thread, point, _, doing) => {
      if (!armed || point !== 'received' || !doing.includes('put of')) return
      armed = false
      thread.fail(new Error('planned'))
    })
    const second = queue(dying, { paused: true })
    await machine.run(100)
    let made: { readonly existed: boolean } | undefined
    void first.put('a', { id: 'a' }).then(job => {
      made = job
    })
    const putAt = machine.now
    while (!made) await machine.step()
    t.is(machine.now, putAt)
    armed = true
    const put = second.put(payload, { id: 'a', ...(key && { key }) }).then(job => job.existed, codeOf)
    await machine.run(100)

    t.is(dying.threads.length, 2)
    t.false(made.existed)
    t.is(await put, expected)
    dying.kill()
  }
})
test('a job whose signal aborted while its put was unanswered does not begin after the thread has died', async t => {
  for (const id of [undefined, 'a']) {
    for (const way of ['put', 'run', 'putMany'] as const) {
      const { machine, start, queue } = stage(t)
      const process = start(diesUnreported('put of'))
      const begun: string[] = []
      const q = queue(process, {}, payload => void begun.push(payload))
      await machine.run(100)
      const { signal, abort } = abortable()
      const options = { ...(id && { id }), signal }
      const put =
        way === 'run'
          ? q.run('a', options).catch(codeOf)
          : way === 'put'
            ? q.put('a', options).then(job => job.result.catch(codeOf))
            : q.putMany(['a'], options).then(([job]) => job?.result.catch(codeOf))
      while (process.threads.length < 2) await machine.step()
      abort()
      await machine.run(100)

      t.is(await put, 'CANCELLED', `${way}, ${id}`)
      t.deepEqual(begun, [], `${way}, ${id}`)
      process.kill()
    }
  }
})
test('a put recognises its own jobs after its thread has died, even by the id of one of them, and their signals apply', async t => {
  const { machine, start, queue } = stage(t)
  const begun: string[] = []
  const q = queue(start(diesUnreported('put of 2')), {}, payload => void begun.push(payload))
  await machine.run(100)
  const first = q.run('b', { id: 'b' })
  await machine.run(100)
  await first
  q.width = 0
  const { signal, abort } = abortable()
  const put = q.putMany(['a', 'b'], payload => (payload === 'a' ? { signal } : { id: 'b' }))
  await machine.run(100)
  abort()
  q.width = 1
  await machine.run(100)

  t.deepEqual(
    (await put).map(({ existed }) => existed),
    [false, true],
  )
  t.deepEqual(begun, ['b'])
  t.is(q.counts.cancelled, 1)
  const listed = q.jobs({ state: 'cancelled' })
  await machine.run(100)
  const again = q.retry(((await listed)[0] as { id: string }).id)
  await machine.run(100)
  await again

  t.deepEqual(begun, ['b', 'a'], 'the signal concerns no job that is put anew')
})
test('a job whose signal aborted after its thread had died twice does not begin in the next queue of the process', async t => {
  const { machine, start, queue } = stage(t)
  const process = start((thread, point, _, doing) => {
    const dies = thread.process.threads.length === 1 ? point === 'committed' && doing.includes('put of') : true
    if (dies && thread.process.threads.length <= 2) thread.fail(new Error('planned'))
  })
  const q = queue(process, { width: 0 })
  q.on('error', () => {})
  await machine.run(100)
  const { signal, abort } = abortable()
  const put = q.put('a', { id: 'a', signal }).catch(codeOf)
  await machine.run(100)
  t.is(await put, 'OUTCOME_UNKNOWN')
  abort()
  const stopped = q.stop()
  await machine.run(100)
  await stopped
  const begun: string[] = []
  const next = queue(process, {}, payload => void begun.push(payload))
  await machine.run(1_000)

  t.deepEqual(begun, [])
  t.is(next.counts.cancelled, 1)
})
test('a query to a closed file is refused, and does not wait for ever', async t => {
  const { machine, start, queue } = stage(t)
  const q = queue(start())
  await machine.run(100)
  const stop = q.stop()
  const while_ = q.get('a').then(() => 'answered', codeOf)
  await machine.run(100)
  await stop
  const after = q.get('a').catch(codeOf)
  await machine.run(100)

  t.is(await after, 'QUEUE_STOPPED')
  t.true(['answered', 'QUEUE_STOPPED'].includes(await while_))
})
test('a job that ended while its cancel was requested keeps no record alive', async t => {
  // The answer of a turn waits for those of changes that were given before it, so the cancel may tell the ending first.
  for (let before = 0; before < 8; before++) {
    for (let later = 0; later < 10; later++) {
      const { machine, start, queue } = stage(t)
      const q = queue(start())
      q.on('failed', () => {})
      q.on('underway', async job => {
        for (let left = later; left > 0; left--) await undefined
        void q.cancel(job)
      })
      await machine.run(100)
      const result = q.put('throws').then(({ result }) => result.catch(error => error))
      for (let left = before; left > 0; left--) await machine.step()
      q.retry('nobody').catch(() => {})
      await machine.run(100)

      const reported = await result
      const when = `${before} before, ${later} later`
      t.true(reported === thrown || reported.code === 'CANCELLED', `${when}: ${reported}`)
      const stop = q.stop()
      await machine.run(100)
      await stop
      t.is(machine.next, Infinity, `${when}: the thread lives on`)
    }
  }
})
test('a harsher stop after the last body has ended resolves at once', async t => {
  const { machine, start, queue } = stage(t)
  const q = queue(start())
  await machine.run(100)
  const first = q.stop()
  await machine.run(0)
  const second = q.stop({ cancelUnderway: true })
  await machine.run(100)

  t.is(first, second)
  t.is(machine.next, Infinity)
})

// What most plans have alike.
const plain = {
  ...{ backlog: 'sqlite', durability: 'power', stallMs: 300_000, width: 1, rate: [], attempts: 1, retryMs: 0 },
  ...{ timeoutMs: Infinity, afterCrash: 'again', crashLimit: 3, size: Infinity, overflow: 'reject' },
  ...{ keepMs: 600_000, idsMs: 600_000, results: false, listeners: [] },
} as const satisfies Config
const script = { as: 'async', steps: 0, stubborn: false } as const
const put = {
  ...({ do: 'put', who: 0, by: 'put' } as const),
  ...{ priority: 0, wall: false, key: '', tokens: 0, signal: false, undo: false },
}

test('seed 12197: a lost run whose job runs again here emits no second ending', async t => {
  const { violations } = await simulate({
    seed: 12_197,
    config: { ...plain, width: 5, attempts: 1, retryMs: 10, crashLimit: 2 },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'advance', ms: 1 },
      { do: 'at point', who: 0, point: 'committed', nth: 5, what: 'thread dies' },
      { ...put, scripts: [{ ...script, n: 1, ms: 40, ends: ['waits', 'ok', 'blocks'] }], delay: 5 },
      { do: 'advance', ms: 5 },
      { ...put, scripts: [{ ...script, n: 2, ms: 0, ends: ['ok'] }], delay: 0 },
      { do: 'start', who: 2, works: true },
      { do: 'advance', ms: 1 },
    ],
  })

  t.deepEqual(violations, [])
})

test('seed 50065966: the same put of two processes in one millisecond, if the thread of one dies, is no job too many', async t => {
  const { violations } = await simulate({
    seed: 50_065_966,
    config: { ...plain, retryMs: 25, crashLimit: 2, overflow: 'wait' },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'start', who: 1, works: false },
      { do: 'advance', ms: 1 },
      { ...put, who: 1, scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }], delay: 0 },
      { do: 'thread dies', who: 0 },
      { ...put, scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }], delay: 0 },
      { do: 'advance', ms: 1 },
    ],
  })

  t.deepEqual(violations, [])
})

test('seed 34644: a caller that awaits a job that was cancelled elsewhere is notified, also after an earlier query here', async t => {
  const { violations } = await simulate({
    seed: 34_644,
    config: { ...plain, crashLimit: 2 },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'start', who: 1, works: true },
      {
        ...put,
        who: 1,
        by: 'run',
        scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }],
        priority: 1,
        delay: 0,
        key: 'k',
      },
      { do: 'cancel', who: 0, which: 0 },
      { do: 'steps', count: 9 },
      { do: 'get', who: 1, which: 0 },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 23975: an ending is announced before a later change of the job', async t => {
  const { violations } = await simulate({
    seed: 23_975,
    config: { ...plain, width: 1, attempts: 1, retryMs: 10, crashLimit: 1, overflow: 'wait' },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'start', who: 1, works: true },
      { do: 'steps', count: 9 },
      {
        ...put,
        who: 1,
        scripts: [{ n: 0, as: 'async generator', ms: 0, ends: ['ok'], steps: 2, stubborn: false }],
        delay: 0,
      },
      { do: 'steps', count: 4 },
      { do: 'retry', who: 0, which: 0 },
      { do: 'cancel', who: 0, which: 0 },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 50035163: a stop closes the file, though a job was removed whose run here was lost', async t => {
  const { violations } = await simulate({
    seed: 50_035_163,
    config: { ...plain, retryMs: 200, overflow: 'wait' },
    commands: [
      { do: 'start', who: 0, works: true },
      { ...put, scripts: [{ ...script, n: 0, ms: 150, ends: ['ok'] }], delay: 0 },
      { do: 'steps', count: 4 },
      { do: 'steps', count: 4 },
      { do: 'thread dies', who: 0 },
      { do: 'start', who: 1, works: false },
      { do: 'advance', ms: 1 },
      { do: 'remove', who: 0, which: 0 },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 50072080: a stop resolves, though the thread has died twice and the name does not exist', async t => {
  const { violations, log } = await simulate({
    seed: 50_072_080,
    config: { ...plain, retryMs: 10, crashLimit: 2, overflow: 'wait' },
    commands: [
      { do: 'start', who: 1, works: false },
      { do: 'stop', who: 1, how: 'wait' },
      { do: 'at point', who: 1, point: 'committed', nth: 6, what: 'thread dies' },
      { do: 'at point', who: 1, point: 'committed', nth: 1, what: 'thread dies' },
      { do: 'advance', ms: 1 },
    ],
  })

  t.deepEqual(violations, [])
  t.notRegex(log, /"kind":"refused","of":"stop"/)
})
test('seed 50096841: an id may be forgotten before the ending of its job by a recovery is reported', async t => {
  const { violations } = await simulate({
    seed: 50_096_841,
    config: {
      ...{ ...plain, retryMs: 25, crashLimit: 1, overflow: 'wait', keepMs: 0, idsMs: 50 },
      rate: [
        { limit: 2, per: 400 },
        { limit: 8, per: 200, of: 'tokens' },
      ],
    },
    commands: [
      { do: 'start', who: 1, works: true },
      { do: 'at point', who: 1, point: 'committed', nth: 4, what: 'crash' },
      { ...put, who: 1, scripts: [{ ...script, n: 1, ms: 3, ends: ['later', 'throws oddly'] }], delay: 0 },
      { do: 'advance', ms: 1 },
      { do: 'start', who: 1, works: false },
      { do: 'advance', ms: 200 },
      { ...put, who: 1, scripts: [{ ...script, n: 1, ms: 0, ends: ['ok'] }], delay: 0 },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 50027915: a signal that has aborted does not concern its job once that is retried', async t => {
  const { violations } = await simulate({
    seed: 50_027_915,
    config: { ...plain, backlog: 'memory', retryMs: 25 },
    commands: [
      { do: 'start', who: 0, works: true },
      { ...put, scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }], delay: 0, key: 'l', tokens: 1, signal: true },
      { do: 'abort', which: 3 },
      { do: 'retry', who: 0, which: 0 },
      { do: 'abort', which: 1 },
    ],
  })

  t.deepEqual(violations, [])
})
for (const seed of [60_032_398, 60_035_184]) {
  test(`seed ${seed}: a signal that aborts after its job was cancelled and retried does not concern the job`, async t => {
    const { violations, log } = await simulate({
      seed,
      config: { ...plain, backlog: 'memory' },
      commands: [
        { do: 'start', who: 0, works: true },
        { ...put, scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }], delay: 0, signal: true },
        { do: 'cancel', who: 0, which: 0 },
        { do: 'retry', who: 0, which: 0 },
        { do: 'abort', which: 0 },
      ],
    })

    t.deepEqual(violations, [])
    t.regex(log, /"signal":true[\s\S]*"kind":"launch"/)
  })
}
test('seed 50007060: a process that dies without its lock file is taken for dead only after a while', async t => {
  const { violations, log } = await simulate({
    seed: 50_007_060,
    config: { ...plain, retryMs: 25, crashLimit: 2 },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'steps', count: 1 },
      {
        ...{ ...put, scripts: [{ ...script, n: 0, ms: 0, ends: ['ok'] }], priority: 1, delay: 0, key: 'k', tokens: 5 },
        ...{ signal: true, abortIn: 20, undo: true },
      },
      { do: 'at point', who: 0, point: 'received', nth: 3, what: 'crash' },
      { ...put, scripts: [{ ...script, n: 2, ms: 0, ends: ['ok'] }], delay: 0 },
      { do: 'steps', count: 4 },
      { do: 'stop', who: 0, how: 'wait' },
      { do: 'remove lock files' },
      { do: 'advance', ms: 1 },
    ],
  })

  t.deepEqual(violations, [])
  t.regex(log, /"event":"recovered"/)
})

const one = { priority: 0, delay: 0, wall: false, key: '', tokens: 0, signal: false, undo: false } as const
const config: Config = {
  ...({
    backlog: 'sqlite',
    durability: 'power',
    stallMs: 300_000,
    width: 1,
    rate: [],
    attempts: 1,
    retryMs: 25,
  } as const),
  ...({ timeoutMs: Infinity, afterCrash: 'again', crashLimit: 2, size: Infinity, overflow: 'wait' } as const),
  ...{ keepMs: 600_000, idsMs: 600_000, results: false, listeners: [] },
}

test('jobs that were not launched in time because the loop was blocked start before the jobs behind them', async t => {
  const { violations } = await simulate({
    seed: 1042627,
    config: { ...config, backlog: 'memory', width: 5, rate: [{ limit: 3, per: 10 }] },
    commands: [
      { do: 'start', who: 0, works: true },
      {
        ...({ do: 'put', who: 0, by: 'put', ...one } as const),
        scripts: [{ n: 0, as: 'thenable', ms: 10, ends: ['late', 'late', 'ok'], steps: 2, stubborn: false }],
      },
      {
        ...({ do: 'put', who: 0, by: 'put', ...one } as const),
        scripts: [{ n: 2, as: 'generator', ms: 10, ends: ['ok', 'throws'], steps: 1, stubborn: false }],
      },
      {
        ...({ do: 'put', who: 0, by: 'putMany', ...one, priority: -1, key: 'l' } as const),
        scripts: [
          { n: 3, as: 'plain', ms: 0, ends: ['blocks', 'ok'], steps: 2, stubborn: false },
          { n: 4, as: 'plain', ms: 10, ends: ['ok', 'later'], steps: 3, stubborn: false },
        ],
      },
      { do: 'pause', who: 0, tasks: false, shared: true },
      { do: 'advance', ms: 2000 },
      { do: 'resume', who: 0, shared: true },
      { do: 'advance', ms: 1 },
    ],
  })

  t.deepEqual(violations, [])
})
test('a checkpoint of a run whose job was taken over is not reported as stored', async t => {
  // It sets out when the thread dies, and with it the lock: the other process takes the job before it is asked again.
  const found = new Set<string>()
  for (let steps = 0; steps < 16; steps++) {
    const { violations, log } = await simulate({
      seed: 1037200,
      config: { ...config, width: 3, retryMs: 0 },
      commands: [
        { do: 'start', who: 0, works: true },
        { do: 'at point', who: 0, point: 'answered', nth: 4, what: 'thread dies' },
        {
          ...({ do: 'put', who: 0, by: 'put', ...one } as const),
          scripts: [{ n: 0, as: 'thenable', ms: 0, ends: ['ok'], steps: 1, stubborn: false }],
        },
        { do: 'steps', count: steps },
        { do: 'start', who: 2, works: true },
        { do: 'steps', count: 4 },
      ],
    })
    t.deepEqual(violations, [])
    if (log.includes('"event":"lost"')) found.add('lost')
  }
  t.true(found.has('lost'))
})
test('a job that another process has cancelled rejects with CancelledError, and not with the error of an attempt here', async t => {
  const { machine, start, queue } = stage(t)
  const retry = { attempts: 3, delay: '1h' } as const
  const q = queue(start(), { retry })
  const other = queue(start(), { paused: true })
  await machine.run(100)
  for (const [payload, reason] of [
    ['throws', undefined],
    ['throws again', 'no more'],
  ]) {
    const job = q.put(payload as string)
    await machine.run(200)
    const { id, result } = await job
    const reported = result.then(String, (error: Error) => `${error.name}: ${error.message}`)
    t.is((await job).state, 'delayed')
    await Promise.all([other.cancel(id, reason), machine.run(500)])

    const said = await reported
    t.notRegex(said, /thrown by the handler/)
    t.regex(said, reason ? /no more/ : /CancelledError/)
    t.notRegex(String((await job).error), /thrown by the handler/)
  }
})
test('a job that was claimed and not launched when its queue lost all claims is not reported as lost', async t => {
  const { violations, log } = await simulate({
    seed: 5056058,
    config: { ...config, width: 1, stallMs: 1_000, crashLimit: 1, rate: [{ limit: 1, per: 10 }] },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'steps', count: 6 },
      {
        ...({ do: 'put', who: 0, by: 'putWithin', ...one } as const),
        scripts: [{ n: 1, as: 'async', ms: 0, ends: ['ok'], steps: 0, stubborn: false }],
      },
      { do: 'block', who: 0, ms: 1_500 },
      { do: 'advance', ms: 2_000 },
    ],
  })

  t.deepEqual(violations, [])
  t.regex(log, /"event":"recovered"/)
  t.notRegex(log, /"event":"(lost|pending)"/)
})
test('seed 2070350: a job that waits to go back, because its queue stood still, is not reported as lost', async t => {
  const gateway = { name: 'gateway', limit: 4, per: 100 }
  const { violations, log } = await simulate({
    seed: 2070350,
    config: {
      ...{ ...plain, stallMs: 1_000, crashLimit: 1, overflow: 'wait' },
      beside: { width: 2, shared: gateway, rate: [gateway], cost: 1 },
    },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'put beside', who: 0, count: 3, end: 'ok', ms: 5, tokens: 1 },
      { do: 'steps', count: 12 },
      { do: 'block', who: 0, ms: 1_500 },
      { do: 'advance', ms: 2_000 },
    ],
  })

  t.deepEqual(violations, [])
  t.regex(log, /"event":"recovered"/)
  t.notRegex(log, /"event":"lost"/)
})
/** A process whose loop stands still for longer than `stall` as soon as the next exchange after `arm` is stored. */
function standsStill(start: Stage['start']): { readonly process: SimulatedProcess; arm(): void } {
  let armed = false
  const process = start((_, point) => {
    if (!armed || point !== 'committed') return
    armed = false
    process.block(3_000)
  })
  return { process, arm: () => (armed = true) }
}
test('a job whose verdict is awaited from a process that stands still is not reported as lost by it', async t => {
  for (const ranBefore of [false, true]) {
    const { machine, start, queue } = stage(t)
    const seen: string[] = []
    const verdicts: ((verdict: 'again') => void)[] = []
    const process = start()
    const options: QueueOptions<string, void> = {
      retry: { attempts: 2, delay: 100 },
      afterCrash: () => new Promise(resolve => verdicts.push(resolve)),
    }
    const q = queue(process, options)
    for (const event of ['retry', 'recovered', 'lost'] as const) q.on(event, () => seen.push(event))
    if (!ranBefore) q.pause()
    await machine.run(100)
    let runs = 0
    const fails = q.put(ranBefore ? 'throws' : 'a')
    await machine.run(50)
    await fails
    q.pause()
    const dies = start()
    queue(dies, options, () => new Promise(() => runs++))
    await machine.run(500)
    t.is(runs, 1)
    dies.kill()
    await machine.run(1_000)
    t.is(verdicts.length, 1)
    process.block(3_000)
    await machine.run(4_000)
    // The first verdict comes too late.
    verdicts[0]?.('again')
    await machine.run(100)
    t.is(verdicts.length, 2)

    t.deepEqual(seen, [...(ranBefore ? ['retry'] : []), 'recovered', 'recovered'])
    process.kill()
  }
})
test('a job that is lost between its event underway and its launch is reported as lost, because it does not go back', async t => {
  const { machine, start, queue } = stage(t)
  const { process, arm } = standsStill(start)
  const seen: string[] = []
  const q = queue(process, { width: 0 })
  for (const event of ['pending', 'underway', 'lost', 'recovered'] as const) {
    q.on(event, ({ state }) => {
      seen.push(`${event}: ${state}`)
      // Then the job may not be launched any more.
      if (event === 'underway') q.pause()
    })
  }
  await machine.run(100)
  const put = q.put('a')
  await machine.run(100)
  await put
  arm()
  q.width = 1
  await machine.run(4_000)

  t.deepEqual(seen, ['pending: pending', 'underway: underway', 'lost: pending', 'recovered: pending'])
})
test('a caller that awaits a job whose run here was lost gets its ending elsewhere, not the value of the lost run', async t => {
  for (const [keep, expected] of [
    [{ finished: '1h', results: true }, 'by the other'],
    [{}, 'RESULT_NOT_KEPT'],
  ] as const) {
    const { machine, start, queue } = stage(t)
    let ended = false
    let end = (): void => {}
    const process = start()
    const q = queue(process, {}, () => new Promise<string>(resolve => (end = () => resolve('by the lost one'))))
    q.on('error', () => {})
    const lost: string[] = []
    q.on('lost', job => lost.push(job.payload))
    const reported = q.run('a').then(String, codeOf)
    await machine.run(100)
    const other = queue(start(), { keep }, () => 'by the other')
    other.on('finished', () => (ended = true))
    await machine.run(100)
    // Its loop is silent for longer than `stall`, and what it had goes to the other.
    process.block(3_000)
    await machine.run(2_900)
    t.true(ended)
    await machine.run(200)
    end()
    await machine.run(100)

    t.deepEqual([await reported, lost], [expected, ['a']])
  }
})
test('an exchange that is repeated after its thread has died does not claim the job of a put whose reply was lost', async t => {
  const { violations, log } = await simulate({
    seed: 60039504,
    config: { ...config, crashLimit: 3 },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'at point', who: 0, point: 'received', nth: 3, what: 'busy' },
      { do: 'steps', count: 9 },
      { do: 'at point', who: 0, point: 'committed', nth: 1, what: 'thread dies' },
      {
        ...({ do: 'put', who: 0, by: 'run', ...one } as const),
        ...{ key: 'l', tokens: 5 },
        scripts: [{ n: 0, as: 'async', ms: 0, ends: ['ok'], steps: 0, stubborn: false }],
      },
      { do: 'width', who: 0, width: 2 },
      { do: 'advance', ms: 25 },
    ],
  })

  t.deepEqual(violations, [])
  t.regex(log, /"what":"thread dies at committed"/)
})
test('a key whose rules are declared anew while a start counts is checked when the new rules let it start', async t => {
  const keys = { width: 1, rate: [{ limit: 1, per: 400 }], order: 'priority' } as const
  const { violations } = await simulate({
    seed: 103096,
    config: { ...config, backlog: 'sqlite', attempts: 1, crashLimit: 2, keys },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'steps', count: 4 },
      { do: 'start', who: 1, works: false, keys: { rate: [{ limit: 2, per: 30 }] } },
      {
        ...({ do: 'put', who: 0, by: 'putMany', ...one } as const),
        ...{ key: 'key 1', otherKeys: ['key 10', 'key 2'] },
        scripts: [{ n: 1, as: 'async', ms: 0, ends: ['key throttled', 'throws'], steps: 0, stubborn: false }],
      },
      { do: 'advance', ms: 1 },
      { do: 'stop', who: 0, how: 'cancel' },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 700412: a run that its own job fails with the code of a refusal was put all the same', async t => {
  const { violations } = await simulate({
    seed: 700412,
    config: {
      ...{ backlog: 'sqlite', durability: 'power', stallMs: 300_000, width: 1, rate: [], attempts: 2, retryMs: 25 },
      ...{ timeoutMs: Infinity, afterCrash: 'again', crashLimit: 3, size: Infinity, overflow: 'wait' },
      ...{ keepMs: 600_000, idsMs: 600_000, results: false, listeners: [] },
    },
    commands: [
      { do: 'start', who: 0, works: true },
      {
        ...{ do: 'put', who: 0, by: 'put', priority: 0, delay: 0, wall: false, key: '', tokens: 0, signal: false },
        ...{ undo: false, scripts: [{ n: 0, as: 'async', ms: 3, ends: ['ok'], steps: 0, stubborn: false }] },
      },
      {
        ...{ do: 'put', who: 0, by: 'run', priority: -1, delay: 0, wall: false, key: 'k', tokens: 1, signal: false },
        undo: false,
        scripts: [{ n: 3, as: 'async', ms: 0, ends: ['throws', 'unstorable'], steps: 0, stubborn: false }],
      },
      { do: 'advance', ms: 25 },
    ],
  })

  t.deepEqual(violations, [])
})
test('seed 3005065: a queue whose thread has ended for good stops although several of its bodies still had to end', async t => {
  const put = { do: 'put beside', count: 3, end: 'ok', tokens: 0 } as const
  const { violations } = await simulate({
    seed: 3005065,
    config: {
      ...config,
      ...{ backlog: 'sqlite', width: 1, attempts: 1, retryMs: 0, cost: 'by payload' },
      beside: {
        ...{ width: 2, shared: { name: 'gateway', limit: 4, per: 10 }, cost: 0 },
        rate: [{ name: 'gateway', limit: 3, per: 100 }],
      },
    },
    commands: [
      { do: 'start', who: 0, works: true },
      { do: 'at point', who: 0, point: 'received', nth: 5, what: 'thread dies' },
      { do: 'block', who: 0, ms: 30 },
      { do: 'thread dies', who: 0 },
      { do: 'advance', ms: 25 },
      { do: 'start', who: 1, works: false },
      { ...put, who: 1, ms: 40 },
      { do: 'advance', ms: 25 },
      { ...put, who: 0, ms: 5 },
      { do: 'steps', count: 4 },
      { do: 'stop', who: 0, how: 'cancel' },
    ],
  })

  t.deepEqual(violations, [])
})
