import { RetryLater, Throttled, TimeoutError, Unrecoverable } from '../../lib/index.ts'
import { drain, scripted, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, sharedBacklog, test } from '../support/backlog-under-test.ts'

const never = (): Promise<void> => new Promise(() => {})

/** A handler that answers its runs one after the other from `script`, and notes when and which attempt. */
function noted(clock: VirtualClock, script: (unknown | (() => unknown))[]) {
  const runs: { at: number; attempt: number }[] = []
  const handler = (_: string, task: { attempt: number }): unknown => {
    const step = script[runs.length]
    runs.push({ at: clock.now(), attempt: task.attempt })
    if (step instanceof Error) throw step
    return step
  }
  return { handler, runs }
}

test('a job without retry fails with what its handler threw', async t => {
  const clock = new VirtualClock()
  const problem = new Error('no')
  const { handler, runs } = noted(clock, [problem])
  const queue = new DispatchQueue<string>(handler, { clock })
  const job = await queue.put('a')

  t.is(await t.throwsAsync(job.result), problem)

  t.is(job.state, 'failed')
  t.is(job.error, problem)
  t.is(runs.length, 1)
})

test('attempts count all runs, and the wait between them grows by the factor up to the longest', async t => {
  const clock = new VirtualClock()
  const no = new Error('no')
  const { handler, runs } = noted(clock, [no, no, no, no, no])
  const retry = { attempts: 5, delay: 1_000, factor: 3, max: 5_000, jitter: false }
  const queue = new DispatchQueue<string>(handler, { clock, retry })
  queue.on('failed', () => {})
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(
    runs,
    [0, 1_000, 4_000, 9_000, 14_000].map((at, i) => ({ at, attempt: i + 1 })),
  )
  t.is(queue.counts.failed, 1)
})

test('jitter waits at least half of the delay and at most all of it, not always the same', async t => {
  const clock = new VirtualClock({ seed: 7 })
  const waits: number[] = []
  const queue = new DispatchQueue<number>(
    (_, task) => {
      if (task.attempt === 1) throw new Error('no')
    },
    { clock, width: Infinity, retry: { attempts: 2, delay: 1_000 } },
  )
  queue.on('retry', (_job, _error, delay) => waits.push(delay))
  await queue.putMany(Array.from({ length: 200 }, (_, i) => i))

  await drain(queue as DispatchQueue, clock)

  t.is(waits.length, 200)
  t.true(waits.every(wait => wait >= 500 && wait <= 1_000))
  t.true(new Set(waits).size > 100)
})

test('the retry option of a put replaces that of the queue', async t => {
  const clock = new VirtualClock()
  const no = new Error('no')
  const { handler, runs } = noted(clock, [no, no, 'yes'])
  const queue = new DispatchQueue<string>(handler, { clock })
  const result = queue.run('a', { retry: { attempts: 3, delay: 0 } })

  await drain(queue as DispatchQueue, clock)

  t.is(await result, 'yes')
  t.is(runs.length, 3)
})

test('RetryLater delays its job for the given time and uses no attempt', async t => {
  const clock = new VirtualClock()
  const { handler, runs } = noted(clock, [new RetryLater('10s'), new RetryLater(500), 'yes'])
  const queue = new DispatchQueue<string>(handler, { clock })
  const result = queue.run('a')

  await drain(queue as DispatchQueue, clock)

  t.is(await result, 'yes')
  t.deepEqual(runs, [
    { at: 0, attempt: 1 },
    { at: 10_000, attempt: 1 },
    { at: 10_500, attempt: 1 },
  ])
})

test('Throttled without a key holds the whole queue, uses no attempt, and its job keeps its place', async t => {
  const clock = new VirtualClock()
  const log: [string, number, number][] = []
  const queue = new DispatchQueue<string>(
    (payload, task) => {
      log.push([payload, task.attempt, clock.now()])
      if (log.length === 1) throw new Throttled('30s')
    },
    { clock },
  )
  await queue.putMany(['a', 'b'])

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log, [
    ['a', 1, 0],
    ['a', 1, 30_000],
    ['b', 1, 30_000],
  ])
})

test('Throttled with a key holds the jobs of that key alone', async t => {
  const clock = new VirtualClock()
  const log: [string, number][] = []
  const queue = new DispatchQueue<string>(
    (payload, task) => {
      log.push([payload, clock.now()])
      if (log.length === 1) throw new Throttled('30s', { key: task.key as string })
    },
    { clock },
  )
  await queue.put('x1', { key: 'x' })
  await queue.put('x2', { key: 'x' })
  await queue.put('y1', { key: 'y' })
  await queue.put('none')

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(log, [
    ['x1', 0],
    ['y1', 0],
    ['none', 0],
    ['x1', 30_000],
    ['x2', 30_000],
  ])
})

test('Throttled holds no longer than maxHold', async t => {
  const clock = new VirtualClock()
  const { handler, runs } = noted(clock, [new Throttled('10h'), 'yes'])
  const queue = new DispatchQueue<string>(handler, { clock, maxHold: '1m' })
  await queue.put('a')

  await drain(queue as DispatchQueue, clock)

  t.is(runs[1]?.at, 60_000)
})

test('Unrecoverable fails the job whatever attempts it has left', async t => {
  const clock = new VirtualClock()
  const { handler, runs } = noted(clock, [new Unrecoverable('gone')])
  const queue = new DispatchQueue<string>(handler, { clock, retry: 10 })

  await t.throwsAsync(queue.run('a'), { instanceOf: Unrecoverable, message: 'gone' })

  t.is(runs.length, 1)
})

test('an invalid `after` is refused where it is thrown, and fails its attempt', async t => {
  const clock = new VirtualClock()
  let runs = 0
  const queue = new DispatchQueue<string>(
    () => {
      runs++
      throw new RetryLater('soon')
    },
    { clock, retry: { attempts: 2, delay: 0 } },
  )

  await t.throwsAsync(queue.run('a'), { code: 'OPTION', message: /^RetryLater: after must be .*, got 'soon'$/ })

  t.is(runs, 2)
})

test('a Retry-After header is accepted as received: seconds, a date, or missing', async t => {
  const clock = new VirtualClock()
  const date = new Date(clock.wall() + 20_000).toUTCString()
  const starts: number[] = []
  const headers = ['2', date, null]
  const queue = new DispatchQueue<string, string>(
    () => {
      starts.push(clock.now())
      if (starts.length <= headers.length) throw new Throttled(headers[starts.length - 1])
      return 'sent'
    },
    { clock, retry: { delay: '3s' } },
  )
  const sent = queue.run('a')

  await drain(queue as DispatchQueue, clock)

  t.is(await sent, 'sent')
  t.deepEqual(starts, [0, 2_000, 20_000, 23_000])
})

test('a throttle whose key is null fails its own job, and all others go on', async t => {
  const queue = new DispatchQueue<string, string>(
    payload => {
      if (payload === 'limited') throw new Throttled('100ms', { key: null as unknown as string })
      if (payload === 'foreign') throw Object.assign(new Error('x'), { code: 'THROTTLED', after: 1, key: null })
      return payload
    },
    { width: 2 },
  )

  const ended = await Promise.allSettled(['limited', 'foreign', 'a', 'b'].map(payload => queue.run(payload)))

  t.deepEqual(
    ended.map(end => (end.status === 'fulfilled' ? end.value : end.reason.message.slice(0, 24))),
    ['Throttled: key must be a', 'Throttled: key must be a', 'a', 'b'],
  )
})

test('the event retry reports a wait of 0 where the delay is 0, however many attempts there were', async t => {
  let runs = 0
  const reported = new Set<number>()
  const queue = new DispatchQueue<string, void>(
    () => {
      if (++runs < 1_100) throw new Error('again')
    },
    { retry: { attempts: Infinity, delay: 0, factor: 1e6 } },
  )
  queue.on('retry', (_job, _error, delay) => reported.add(delay))

  await queue.run('a')

  t.deepEqual([...reported], [0])
})

test('a timeout with no attempt left settles at once, and its slot stays taken until the body has ended', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, timeout: '1s' })
  const [a] = await queue.putMany(['a', 'b'])
  const result = t.throwsAsync(a?.result as Promise<string>, { instanceOf: TimeoutError })
  await clock.settle()
  const signal = handler.underway[0]?.task.signal as AbortSignal

  await clock.advance(1_000)
  await result
  t.is(a?.state, 'failed')
  t.true(signal.aborted && signal.reason instanceof TimeoutError)
  t.deepEqual(handler.called, ['a'])
  t.is(queue.counts.closing, 1)
  t.deepEqual(queue.underway(), [a])
  handler.underway[0]?.finish('late')
  await clock.settle()

  t.is(a?.state, 'failed')
  t.is(queue.counts.closing, 0)
  t.deepEqual(handler.called, ['a', 'b'])
  t.is(queue.counts.finished, 0)
})

test('after a timeout with attempts left the retry waits until the body has ended', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const retry = { attempts: 2, delay: 1_000, jitter: false }
  const queue = new DispatchQueue<string, string>(handler, { clock, width: 5, timeout: '1s', retry })
  const result = queue.run('a')

  await clock.advance(10_999)
  t.is(handler.called.length, 1)
  t.is(queue.counts.underway, 1)
  handler.underway[0]?.finish('late')
  await clock.advance(999)
  t.is(handler.called.length, 1)
  await clock.advance(1)
  t.is(handler.called.length, 2)
  t.is(handler.underway[0]?.task.attempt, 2)
  handler.underway[0]?.finish('in time')

  t.is(await result, 'in time')
})

test('a body that goes on for 10 s after its time was over fails its job, whatever attempts are left, and keeps its slot', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, timeout: '1s', retry: { attempts: 5, delay: 0 } })
  const seen: string[] = []
  for (const event of ['retry', 'stuck', 'failed', 'settled'] as const) queue.on(event, () => seen.push(event))
  const run = t.throwsAsync(queue.run('hangs'), { instanceOf: TimeoutError, message: /did not end/ })
  void queue.put('next')

  await clock.advance(10_999)
  t.deepEqual(seen, [])
  await clock.advance(1)
  t.true(((await run) as TimeoutError).stuck)
  t.deepEqual(seen, ['stuck', 'failed', 'settled'])
  t.like(queue.counts, { failed: 1, closing: 1, pending: 1 })
  await clock.advance(60_000)
  t.deepEqual(handler.called, ['hangs'])
  handler.underway[0]?.finish('late')
  await clock.settle()

  t.deepEqual(handler.called, ['hangs', 'next'])
  t.is(queue.counts.closing, 0)
  t.deepEqual(seen, ['stuck', 'failed', 'settled'])
})

test('a body that ends within 10 s of its timeout is not stuck', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, timeout: '1s', retry: { attempts: 2, delay: 0 } })
  const stuck: unknown[] = []
  queue.on('stuck', job => stuck.push(job))
  const run = t.throwsAsync(queue.run('slow'), { instanceOf: TimeoutError })
  for (let attempt = 1; attempt <= 2; attempt++) {
    await clock.advance(10_999)
    handler.underway[0]?.fail(new Error('late'))
    await clock.settle()
  }

  t.false(((await run) as TimeoutError).stuck)
  t.deepEqual(stuck, [])
})

test('a cancelled body that goes on is stuck, and its job stays cancelled', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock, timeout: '1h', retry: 3 })
  const job = await queue.put('hangs')
  await clock.settle()
  await queue.cancel(job)
  await clock.advance(20_000)

  t.is(job.state, 'cancelled')
  t.is(queue.counts.closing, 1)
})

test('a job that is cancelled here and retried elsewhere waits until its body here has ended', async t => {
  const clock = new VirtualClock()
  const backlog = sharedBacklog()
  const handler = scripted<string, string>()
  const worker = new DispatchQueue<string, string>(handler, { clock, backlog, name: 'n', width: 3 })
  const web = new DispatchQueue<string, string>(null, { clock, backlog, name: 'n' })
  const { id } = await web.put('a')
  await clock.settle()
  await worker.cancel(id)
  const retried = web.retry(id)
  await clock.advance(1_000)

  t.deepEqual(handler.called, ['a'])
  t.is(worker.underway().length, 1)
  await worker.put('b')
  await clock.advance(1_000)
  t.deepEqual(handler.called, ['a', 'b'])
  handler.underway[0]?.finish('late')
  await clock.advance(1_000)
  await retried
  t.deepEqual(handler.called, ['a', 'b', 'a'])
  for (const call of [...handler.underway]) call.finish('in time')
  await clock.advance(1_000)
  t.is(worker.counts.finished, 2)
  await Promise.all([worker.stop(), web.stop()])
})

test('cancelling a running job settles it at once and frees no slot', async t => {
  const clock = new VirtualClock()
  const handler = scripted<string, string>()
  const queue = new DispatchQueue<string, string>(handler, { clock })
  const [a, b] = await queue.putMany(['a', 'b'])
  const result = t.throwsAsync(a?.result as Promise<string>, { code: 'CANCELLED', message: /enough/ })
  await clock.settle()

  t.true(await a?.cancel('enough'))
  await result
  t.false(await a?.cancel('again'))
  await clock.settle()
  t.deepEqual(handler.called, ['a'])
  t.deepEqual([queue.counts.cancelled, queue.counts.underway, queue.counts.closing], [1, 0, 1])
  t.deepEqual(queue.underway(), [a])
  handler.underway[0]?.fail(new Error('late'))
  await clock.settle()

  t.is(a?.state, 'cancelled')
  t.deepEqual(queue.underway(), [b])
})

test('at most `width` bodies run, whatever jobs are cancelled or time out', async t => {
  const clock = new VirtualClock()
  const handler = scripted<number, void>()
  let most = 0
  const queue = new DispatchQueue<number, void>(
    (n, task) => {
      const answer = handler(n, task)
      most = Math.max(most, handler.underway.length)
      return answer
    },
    { clock, width: 3, timeout: 50, retry: { attempts: 2, delay: 5 } },
  )
  queue.on('failed', () => {})
  await queue.putMany(Array.from({ length: 40 }, (_, i) => i))
  const ended = (): number => queue.counts.finished + queue.counts.failed + queue.counts.cancelled
  for (let turn = 0; turn < 1_000 && (ended() < 40 || queue.counts.closing > 0); turn++) {
    await clock.advance(17)
    const [first] = queue.underway()
    if (turn % 3 === 0) await first?.cancel()
    const call = handler.underway[Math.floor(clock.random() * handler.underway.length)]
    if (turn % 4 === 1) call?.fail(new Error('no'))
    else call?.finish()
  }

  t.is(ended(), 40)
  t.is(queue.counts.closing, 0)
  t.is(most, 3)
})

test('a job that is retried in a busy queue has the result of its new run', async t => {
  const queue = new DispatchQueue<{ fails?: boolean; turn?: number }, number>(
    ({ fails, turn }, task) => {
      if (fails && task.attempt === 1 && !again.has(task.id)) throw new Error('no')
      return turn ?? 0
    },
    { width: 3 },
  )
  const again = new Set<string>()
  let busy = true
  // Turns come in every microtask, so some claim the job before whoever puts it anew has the answer.
  const noise = (async () => {
    while (busy) await queue.run({})
  })()
  const results: (number | string)[] = []
  for (let turn = 1; turn <= 24; turn++) {
    const job = await queue.put({ fails: true, turn })
    await t.throwsAsync(job.result, { message: 'no' })
    again.add(job.id)
    for (let tick = 0; tick < turn % 12; tick++) await undefined
    results.push(await (await queue.retry(job)).result.catch((error: Error) => error.name))
  }
  busy = false
  await noise

  t.deepEqual(
    results,
    Array.from({ length: 24 }, (_, i) => i + 1),
  )
})

test('a body that goes on for ten seconds after its abort is reported as stuck', async t => {
  const clock = new VirtualClock()
  const queue = new DispatchQueue<string, void>(never, { clock })
  const stuck: string[] = []
  queue.on('stuck', job => stuck.push(job.id))
  const job = await queue.put('a')
  await clock.settle()
  await job.cancel()

  await clock.advance(9_999)
  t.deepEqual(stuck, [])
  await clock.advance(1)

  t.deepEqual(stuck, [job.id])
})
