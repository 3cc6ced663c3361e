/** Handlers in threads and processes: what a body sees there, and that the promises of the queue hold as they do here. */
import {
  CancelledError,
  HandlerLoadError,
  type IsolateEndedError,
  PayloadError,
  PoisonError,
  QueueStoppedError,
  TimeoutError,
} from '../../lib/index.ts'
import { DispatchQueue, durable, sharedBacklog, test } from '../support/backlog-under-test.ts'
import { eventually, isAlive, isolated, kinds, listen } from '../support/isolated.ts'

for (const kind of kinds) {
  test.serial(`${kind}: a task there is the same as here, and each form of handler runs`, async t => {
    const queue = isolated(kind, { width: 4, retry: { attempts: 3, delay: 1 } })
    const progress = listen(queue, 'progress')

    const job = await queue.put({ do: 'look', name: 'a' }, { key: 'tenant' })
    const seen = await job.result
    t.like(seen, { name: 'a', id: job.id, token: job.id, key: 'tenant', attempt: 1, crashes: 0, restored: undefined })
    t.is(seen.pid !== process.pid, kind === 'process')
    t.deepEqual(await queue.run({ do: 'steps', name: 'b', count: 5 }), { name: 'b', got: 'waited' })
    t.deepEqual(
      progress.received.map(([, value]) => value),
      [0, 1, 2, 3, 4],
    )
    t.deepEqual(await queue.run({ do: 'asyncSteps', name: 'c', count: 5 }), { name: 'c', count: 5 })
    t.deepEqual(await queue.run({ do: 'checkpoint', times: 2 }), { at: 2 })
    t.is(await queue.run({ do: 'breathe', count: 1_000 }), 1_000)
    t.like(await queue.stop(), { abandoned: [] })
    t.deepEqual(queue.isolates(), [])
  })

  test.serial(`${kind}: errors arrive with all they have, and those with a meaning keep it`, async t => {
    const queue = isolated(kind, { retry: { attempts: 3, delay: 1 }, width: 4 })
    const retries = listen(queue, 'retry')

    const error = await t.throwsAsync(queue.run({ do: 'fail', name: 'x' }), {
      instanceOf: TypeError,
      message: 'no x',
      code: 'E_NO',
    })
    t.regex(error?.stack ?? '', /isolated-handler/)
    t.deepEqual((error as unknown as { details: unknown }).details, { list: [1, new Date(0)] })
    t.true(error?.cause instanceof RangeError)
    t.like(error?.cause, { message: 'the cause', depth: 2 })
    t.is(retries.received.length, 2)
    t.is(await queue.run({ do: 'fail', times: 2 }), 3)
    const text = await queue.run({ do: 'throwText' }).catch(thrown => thrown)
    t.is(text, 'only a text')
    const before = retries.received.length
    await t.throwsAsync(queue.run({ do: 'unrecoverable' }), { code: 'UNRECOVERABLE', message: 'never' })
    t.is(retries.received.length, before)
    t.deepEqual(await queue.run({ do: 'retryLater' }), { attempt: 1 })
    await queue.stop()
  })

  test.serial(`${kind}: a queue that is paused gives up its turn in a rule that it shares`, async t => {
    const [backlog, rate] = [sharedBacklog(), { name: 'gateway', limit: 10, per: '1h', of: 'tokens' } as const]
    const a = isolated(kind, { backlog, rate, name: 'a' })
    const b = new DispatchQueue(() => 'light', { backlog, rate, name: 'b' })
    await b.run('first', { cost: { tokens: 5 } })
    const limited = new Promise(resolve => a.once('limited', resolve))
    await a.put({ do: 'look', name: 'heavy' }, { cost: { tokens: 9 } })
    await limited

    void a.pause()

    t.is(await b.run('second', { cost: { tokens: 1 } }), 'light')
    await Promise.all([a.stop(), b.stop()])
  })

  test.serial(`${kind}: Throttled holds the queue, and a rate counts from the first line there`, async t => {
    const queue = isolated(kind, { width: 20, rate: { limit: 3, per: 300 } })
    await queue.ready()

    const starts = (await Promise.all(Array.from({ length: 8 }, () => queue.run({ do: 'later', ms: 1 })))).map(
      ({ at }) => at as number,
    )
    starts.sort((a, b) => a - b)
    for (let i = 3; i < starts.length; i++) {
      const windowMs = (starts[i] as number) - (starts[i - 3] as number)
      t.true(windowMs >= 300, `four starts within ${windowMs} ms`)
    }
    await queue.run({ do: 'throttled', ms: 200 })
    await queue.stop()
  })

  test.serial(
    `${kind}: jobs go where fewest run, and one that blocks its isolate does not hold up the other`,
    async t => {
      const queue = isolated(kind, { width: 20 })
      await queue.ready()

      const blocked = queue.run({ do: 'block', ms: 1_500 })
      const beside = await Promise.all(Array.from({ length: 10 }, () => queue.run({ do: 'later', ms: 5 })))
      t.is(await blocked, 'unblocked')
      const isolates = queue.isolates()
      t.deepEqual(
        isolates.map(({ id, kind, jobs }) => [id, kind, jobs > 0]),
        [
          [1, kind, true],
          [2, kind, true],
        ],
      )
      t.is(beside.length, 10)
      const half = await Promise.all(Array.from({ length: 20 }, () => queue.run({ do: 'later', ms: 100 })))
      t.true(half.every(one => one.beside <= 10))
      await queue.stop()
    },
  )

  test.serial(`${kind}: a cancel aborts the signal there with its reason, and closes a generator`, async t => {
    const queue = isolated(kind, { width: 2 })
    const progress = listen(queue, 'progress')
    const heeds = await queue.put({ do: 'heed' })
    await progress.until(1)
    const steps = await queue.put({ do: 'endless' })
    await progress.until(3)

    t.true(await heeds.cancel('enough'))
    t.true(await steps.cancel())
    const error = await t.throwsAsync<CancelledError>(heeds.result, { instanceOf: CancelledError })
    t.is(error?.reason, 'enough')
    t.is(steps.state, 'cancelled')
    await eventually(t, () => queue.counts.closing === 0, 'both bodies end')
    t.is(
      queue.isolates().reduce((sum, { underway }) => sum + underway, 0),
      0,
    )
    await queue.stop()
  })

  test.serial(
    `${kind}: a body that does not end costs its isolate, and its neighbours run again with nothing counted`,
    async t => {
      const queue = isolated(kind, { width: 4, isolate: { count: 1, grace: 100 }, retry: 1 })
      const errors = listen(queue, 'error')
      await queue.ready()
      const [first] = queue.isolates()

      const neighbours = [queue.run({ do: 'later', ms: 600 }), queue.run({ do: 'later', ms: 600 })]
      await eventually(t, () => queue.underway().length === 2, 'the neighbours run')
      const guilty = await queue.put({ do: 'block' }, { timeout: 100 })
      await t.throwsAsync(guilty.result, { instanceOf: TimeoutError })
      t.is(guilty.state, 'failed')
      for (const neighbour of await Promise.all(neighbours)) t.like(neighbour, { attempt: 1, crashes: 0 })
      t.not(queue.isolates()[0]?.id, first?.id)
      t.deepEqual(errors.received, [])
      await queue.stop()
    },
  )

  test.serial(`${kind}: a body that is blocked is cut short by a stop with a grace, and goes back`, async t => {
    const queue = isolated(kind, { width: 2, isolate: { grace: 100 } })
    await queue.ready()
    const job = await queue.put({ do: 'block' })
    await eventually(t, () => queue.underway().length === 1, 'it runs')
    const pids = queue.isolates().map(({ pid }) => pid as number)

    const { returned, left, abandoned } = await queue.stop({ grace: 50 })

    t.deepEqual([returned.length, left, abandoned.length], durable() ? [0, 1, 0] : [1, 0, 0])
    t.is(job.attempt, 0)
    await t.throwsAsync(job.result, { instanceOf: QueueStoppedError })
    t.deepEqual(queue.isolates(), [])
    if (kind === 'process') for (const pid of pids) t.false(isAlive(pid))
  })

  test.serial(
    `${kind}: an isolate that ends by itself is a crash of its jobs, and the one that ends it is condemned alone`,
    async t => {
      const queue = isolated(kind, { width: 10 })
      const recovered = listen(queue, 'recovered')
      const errors = listen(queue, 'error')

      const poison = await queue.put({ do: 'exit', ms: 30 })
      const others = Array.from({ length: 30 }, (_, i) => queue.run({ do: 'later', ms: 40, name: `${i}` }))
      const error = await t.throwsAsync<PoisonError>(poison.result, { instanceOf: PoisonError })

      t.is(error?.crashes, 3)
      t.is(poison.crashes, 3)
      t.is(errors.received.length, 3)
      t.like(errors.received[0]?.[0] as IsolateEndedError, { code: 'ISOLATE_ENDED', exitCode: 3 })
      for (const other of await Promise.all(others)) t.is(other.attempt, 1)
      t.is(recovered.received.filter(([job]) => job === poison).length, 3)
      await queue.stop()
    },
  )

  test.serial(
    `${kind}: an error or a rejection that nobody catches is a crash, too, and a job that crashed once is a suspect`,
    async t => {
      const queue = isolated(kind, { width: 2 })
      const errors = listen(queue, 'error')

      t.is(await queue.run({ do: 'reject', times: 1 }), 1)
      t.deepEqual(await queue.run({ do: 'exit', times: 2 }), { crashes: 2, attempt: 1 })
      t.is(errors.received.length, 3)
      if (kind === 'thread') t.like(errors.received[0]?.[0] as Error, { cause: { message: 'nobody catches this' } })
      await queue.stop()
    },
  )

  test.serial(`${kind}: afterCrash decides what becomes of the jobs of an isolate that ended`, async t => {
    const fails = isolated(kind, { afterCrash: 'fail' })
    await t.throwsAsync(fails.run({ do: 'exit' }), { instanceOf: PoisonError })
    t.is(fails.isolates().filter(({ underway }) => underway > 0).length, 0)
    await fails.stop()

    const seen: number[] = []
    const byVerdict = isolated(kind, {
      afterCrash: async job => {
        seen.push(job.crashes)
        return seen.length === 1 ? 'again' : 'finished'
      },
    })
    const job = await byVerdict.put({ do: 'exit' })
    await t.throwsAsync(job.result, { code: 'RESULT_NOT_KEPT' })
    t.is(job.state, 'finished')
    t.deepEqual(seen, [1, 2])
    await byVerdict.stop()
  })

  test.serial(`${kind}: a pause lets nothing start there, parks generators, and a resume goes on`, async t => {
    const queue = isolated(kind, { width: 3 })
    const progress = listen(queue, 'progress')
    await queue.put({ do: 'endless' })
    await progress.until(3)

    t.true(await queue.pause({ tasks: true }))
    const seen = progress.received.length
    await queue.put({ do: 'look' })
    await new Promise(resolve => setTimeout(resolve, 60))
    t.is(progress.received.length, seen)
    t.is(queue.counts.pending, 1)
    queue.resume()
    await progress.until(seen + 3)
    await eventually(t, () => queue.counts.finished === 1, 'the other runs')
    await queue.stop({ cancelUnderway: true })
    t.is(progress.received.at(-1)?.[1], 'closed')
  })

  test.serial(`${kind}: a pause leaves a generator that is being closed to its end, and costs no isolate`, async t => {
    const queue = isolated(kind, { width: 2, isolate: { count: 1 } })
    const [progress, errors] = [listen(queue, 'progress'), listen(queue, 'error')]
    const closing = await queue.put({ do: 'closeSlowly' })
    await progress.until(1)
    const beside = await queue.put({ do: 'endless' })
    await progress.until(3)

    await closing.cancel()
    t.true(await queue.pause({ tasks: true }))
    t.is(queue.counts.closing, 0, 'a pause waits for its end')
    queue.resume()
    await progress.until(progress.received.length + 2)
    await beside.cancel()

    await queue.stop()
    t.deepEqual(errors.received, [])
    t.deepEqual([beside.crashes, beside.attempt], [0, 1])
  })

  test.serial(`${kind}: a job is paused and resumed there by itself`, async t => {
    const queue = isolated(kind, { width: 2 })
    const progress = listen(queue, 'progress')
    const job = await queue.put({ do: 'endless' })
    await progress.until(2)

    job.pause()
    await new Promise(resolve => setTimeout(resolve, 50))
    const seen = progress.received.length
    await new Promise(resolve => setTimeout(resolve, 50))
    t.is(progress.received.length, seen)
    job.resume()
    await progress.until(seen + 2)
    await job.cancel()
    await queue.stop()
  })

  test.serial(`${kind}: the limits of keys hold there`, async t => {
    const queue = isolated(kind, { width: 10, keys: { width: 1 } })
    await queue.ready()

    const runs = await Promise.all(
      Array.from({ length: 6 }, (_, i) => queue.run({ do: 'later', ms: 20 }, { key: i % 2 ? 'a' : 'b' })),
    )
    const starts = (odd: number): number[] => runs.filter((_, i) => i % 2 === odd).map(({ at }) => at)
    for (const one of [starts(0), starts(1)]) {
      one.sort((a, b) => a - b)
      for (let i = 1; i < one.length; i++) t.true((one[i] as number) - (one[i - 1] as number) >= 19)
    }
    await queue.stop()
  })

  test.serial(
    `${kind}: isolates start when they are needed, are replaced after so many jobs, and end when they are idle`,
    async t => {
      const queue = isolated(kind, { width: 4, isolate: { count: 2, jobs: 3, idle: 100 } })
      t.deepEqual(queue.isolates(), [])

      const ids = new Set<number>()
      for (let i = 0; i < 7; i++) {
        await queue.run({ do: 'look' })
        for (const { id } of queue.isolates()) ids.add(id)
      }
      t.true(ids.size >= 3, `isolates ${[...ids].join()}`)
      await eventually(t, () => queue.isolates().length === 0, 'the idle ones end')
      t.like(await queue.run({ do: 'look' }), { attempt: 1 })
      await queue.stop()
    },
  )

  test.serial(`${kind}: isolateCount is changed while jobs run, and interrupts none`, async t => {
    const queue = isolated(kind, { width: 6, isolate: { count: 3 } })
    const runs = Array.from({ length: 6 }, () => queue.run({ do: 'later', ms: 300 }))
    await eventually(t, () => queue.isolates().length === 3, 'three isolates')

    queue.isolateCount = 1
    t.is(queue.isolateCount, 1)
    for (const run of await Promise.all(runs)) t.is(run.attempt, 1)
    await eventually(t, () => queue.isolates().length === 1, 'one is left')
    t.throws(() => Object.assign(queue, { isolateCount: 0 }), { code: 'OPTION', message: /^isolateCount must be/ })
    await queue.stop()
  })

  test.serial(`${kind}: one that uses too much memory is replaced once its jobs have ended`, async t => {
    const queue = isolated(kind, { isolate: { count: 1, memoryMb: kind === 'thread' ? 60 : 150 } })
    await queue.run({ do: 'look' })
    const [first] = queue.isolates()

    await queue.run({ do: 'leak', count: 100 })
    await eventually(t, () => !queue.isolates().some(({ id }) => id === first?.id), 'it is replaced')
    t.like(await queue.run({ do: 'look' }), { had: 1 })
    await queue.stop()
  })

  test.serial(`${kind}: what cannot leave an isolate is refused alone, and the isolate stays`, async t => {
    const queue = isolated(kind, { width: 4 })
    const errors = listen(queue, 'error')

    t.is(await queue.run({ do: 'uncloneable' }), undefined)
    t.like(errors.received[0]?.[0] as PayloadError, { code: 'PAYLOAD', path: 'result' })
    await t.throwsAsync(queue.run({ do: 'badProgress' }), {
      instanceOf: PayloadError,
      message: /^progress cannot be cloned/,
    })
    await t.throwsAsync(queue.run({ do: 'finishWithin' }), { code: 'OPTION', message: /in an isolate/ })
    t.is(queue.isolates().length, 1)
    await queue.stop()
  })

  test.serial(`${kind}: a flood of progress is thinned, and its last value arrives before the end`, async t => {
    const queue = isolated(kind)
    const progress = listen(queue, 'progress')

    t.is(await queue.run({ do: 'flood', count: 50_000 }), 50_000)
    t.is(progress.received.at(-1)?.[1], 49_999)
    t.true(progress.received.length <= 200, `${progress.received.length} values`)
    await queue.stop()
  })

  test.serial(`${kind}: a module that cannot be loaded leaves its jobs pending, and says why`, async t => {
    const { DispatchQueue } = await import('../support/backlog-under-test.ts')
    for (const [module, message] of [
      ['./no-such-handler.js', /no-such-handler/],
      ['./random.js', /no default export/],
      ['data:text/javascript,throw new Error("not today")', /not today/],
      ['data:text/javascript,process.exit(5)', /exit code 5/],
    ] as const) {
      const url = new URL(module, new URL('../support/', import.meta.url))
      const queue = new DispatchQueue<number, number>(url as never, { isolate: { kind, count: 2 } })
      const job = await queue.put(1)
      const errors: unknown[] = []
      queue.on('error', error => errors.push(error))

      await t.throwsAsync(queue.ready(), { instanceOf: HandlerLoadError, message }, module)
      await eventually(t, () => job.state === 'pending', 'the job goes back')
      t.is(job.attempt, 0)
      t.true(errors.length > 0)
      await queue.stop()
      t.deepEqual(queue.isolates(), [])
    }
  })
}
