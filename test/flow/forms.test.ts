/** Handlers in every form: what is driven as a generator, and that a limit holds at the first line of each. */
import { MemoryBacklog } from '../../lib/index.ts'
import type { Handler } from '../../lib/run/run.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'
import { fullest } from '../support/fullest-window.ts'
import { forms, transpiled } from '../support/handler-forms.ts'

for (const [form, handler] of Object.entries(forms)) {
  test(`${form}: no window has more first lines than the rate allows, however long its steps take`, async t => {
    const clock = new VirtualClock()
    const starts: number[] = []
    const body = handler(4, i => {
      if (i === 0) starts.push(clock.now())
      clock.block(0.1)
    })
    const queue = new DispatchQueue(body, { clock, width: 1_000, rate: { limit: 40, per: 100 } })
    await queue.putMany(Array.from({ length: 130 }, (_, i) => i))

    await drain(queue as DispatchQueue, clock)

    t.is(starts.length, 130)
    t.true(fullest(starts, 100) <= 40, `${fullest(starts, 100)} in a window`)
    await queue.stop()
  })

  test(`${form}: a halt of the process before its first line breaks no limit`, async t => {
    const clock = new VirtualClock()
    const starts: number[] = []
    const body = handler(1, () => {
      // The reading before the launch has been taken by now.
      if (starts.length % 20 === 0) clock.block(60)
      starts.push(clock.now())
    })
    const queue = new DispatchQueue(body, { clock, width: 1_000, rate: { limit: 20, per: 100 } })
    await queue.putMany(Array.from({ length: 100 }, (_, i) => i))

    await drain(queue as DispatchQueue, clock)

    t.is(starts.length, 100)
    t.true(fullest(starts, 100) <= 20, `${fullest(starts, 100)} in a window`)
    await queue.stop()
  })
}

/** Of the most that the rate allows, how much is used by jobs that are all there, in per cent. */
async function useOf(form: string, steps: number, stepMs: number, limit: number, per: number): Promise<number> {
  const clock = new VirtualClock()
  const starts: number[] = []
  const body = forms[form]?.(steps, i => {
    if (i === 0) starts.push(clock.now())
    clock.block(stepMs)
  }) as Handler<unknown, unknown>
  // In memory, also where the other journeys are on a file: on the way to a file time does not stand still.
  const queue = new DispatchQueue(body, { clock, width: Infinity, rate: { limit, per }, backlog: new MemoryBacklog() })
  const windows = 20
  await queue.putMany(Array.from({ length: limit * (windows + 1) }, (_, i) => i))
  await drain(queue as DispatchQueue, clock)
  await queue.stop()
  return (100 * windows * per) / ((starts[limit * windows] as number) - (starts[0] as number))
}

test('the rate is used to 99 % where the synchronous part of a handler is short, whatever its form', async t => {
  for (const form of ['an async function', 'a generator function', 'an async generator function']) {
    const use = await useOf(form, 4, 0.1, 40, 100)
    t.true(use > 99.8 && use <= 100, `${form}: ${use} %`)
  }
})

test('a long synchronous part uses up no more of the rate than necessary', async t => {
  for (const [ms, per] of [
    [0, 100],
    [1, 100],
    [10, 100],
    [10, 1_000],
  ] as const) {
    const use = await useOf('a function', 1, ms, 5, per)
    t.true(Math.abs(use - (100 * per) / (per + ms)) < 0.1, `${ms} ms in a window of ${per} ms: ${use} %`)
  }
})

test('a launch that is reported after its start was forgotten still counts, with its cost', async t => {
  const clock = new VirtualClock()
  const starts: number[] = []
  const rule = { limit: 5, per: 100, of: 'tokens' }
  const queue = new DispatchQueue<number, void>(
    n => {
      if (n === 0) {
        clock.block(150)
        queue.rate = { ...rule, per: 120 }
      }
      starts.push(clock.now())
    },
    { clock, width: 10, rate: rule },
  )
  await queue.putMany([0, 1], { cost: { tokens: 5 } })

  await drain(queue as DispatchQueue, clock)

  t.deepEqual(starts, [150, 270])
  await queue.stop()
})

test('a generator that was transpiled runs to its end, and what it returns is the result', async t => {
  const steps: number[] = []
  const queue = new DispatchQueue(() => transpiled(3, i => void steps.push(i)))

  t.is(await queue.run(1), 'done')

  t.deepEqual(steps, [0, 1, 2])
  await queue.stop()
})

test('a transpiled generator is sent what its promises resolve to, and a rejection is thrown into it', async t => {
  const got: unknown[] = []
  const queue = new DispatchQueue(() => ({
    next(value?: unknown): IteratorResult<unknown, unknown> {
      got.push(value)
      if (got.length === 1) return { value: Promise.resolve('sent'), done: false }
      if (got.length === 2) return { value: Promise.reject(new Error('no')), done: false }
      return { value: got, done: true }
    },
    throw(error: unknown) {
      got.push((error as Error).message)
      return { value: 'caught', done: true }
    },
    [Symbol.iterator]() {
      return this
    },
  }))

  t.is(await queue.run(1), 'caught')

  t.deepEqual(got, [undefined, 'sent', 'no'])
  await queue.stop()
})

test('an iterator without throw() fails its job with the rejection, and one without return() is abandoned', async t => {
  const clock = new VirtualClock()
  let steps = 0
  const queue = new DispatchQueue(
    payload => ({
      next() {
        steps++
        return { value: payload === 'rejects' ? Promise.reject(new Error('no')) : new Promise(() => {}), done: false }
      },
      [Symbol.iterator]() {
        return this as Iterator<unknown>
      },
    }),
    { clock, width: 2 },
  )
  const rejects = t.throwsAsync(queue.run('rejects'), { message: 'no' })
  const job = await queue.put('hangs')
  await clock.settle()

  await job.cancel()

  await rejects
  await drain(queue as DispatchQueue, clock)
  t.is(steps, 2)
  t.is(queue.counts.underway, 0)
  await queue.stop()
})

test('an asynchronous iterator that is not a generator object is driven too', async t => {
  let steps = 0
  const queue = new DispatchQueue(() => ({
    next: async () =>
      ++steps < 3 ? { value: undefined, done: false as const } : { value: 'end', done: true as const },
    [Symbol.asyncIterator]() {
      return this
    },
  }))

  t.is(await queue.run(1), 'end')

  t.is(steps, 3)
  await queue.stop()
})

test('an object whose next cannot be read, or is no step, fails its own job alone', async t => {
  const unreadable = new Error('next cannot be read')
  const bad: Readonly<Record<string, () => unknown>> = {
    getter: () => ({
      get next() {
        throw unreadable
      },
      [Symbol.iterator]: () => [].values(),
    }),
    proxy: () =>
      new Proxy(
        { next: () => undefined },
        {
          has: () => {
            throw unreadable
          },
        },
      ),
    throws: () => ({
      next: () => {
        throw unreadable
      },
      [Symbol.iterator]: () => [].values(),
    }),
    nothing: () => ({ next: () => undefined, [Symbol.iterator]: () => [].values() }),
    number: () => ({ next: () => 5, [Symbol.iterator]: () => [].values() }),
    late: () => ({ next: async () => 'late', [Symbol.asyncIterator]: () => [].values() }),
    fine: () => 'fine',
  }
  const queue = new DispatchQueue<string, unknown>(name => bad[name]?.(), { width: 10 })
  queue.on('failed', () => {})

  const results = Object.keys(bad).map(name => queue.run(name).catch((error: unknown) => error))

  t.deepEqual((await Promise.all(results)).slice(0, 3), [unreadable, unreadable, unreadable])
  for (const result of results.slice(3, 6)) t.true((await result) instanceof TypeError)
  t.is(await results[6], 'fine')
  await queue.stop()
})

test('a thenable that is an iterator besides is awaited, as await does', async t => {
  const then = (resolve: (value: string) => void): void => resolve('awaited')
  const queue = new DispatchQueue(() =>
    Object.assign(
      transpiled(1, () => t.fail()),
      { then },
    ),
  )

  t.is((await queue.run(1)) as unknown, 'awaited')

  await queue.stop()
})

test('a generator that cancels its own job in its first step runs its finally, and no further step', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const queue = new DispatchQueue<string, void>(
    function* (name, task) {
      try {
        log.push(`${name} begins`)
        if (name === 'cut') void queue.cancel(task.id)
        yield
        yield new Promise<void>(resolve => clock.at(clock.now() + 10, resolve))
        log.push(`${name} goes on`)
      } finally {
        log.push(`${name} is closed`)
      }
    },
    { clock, width: 1 },
  )
  const cut = await queue.put('cut')
  const result = t.throwsAsync(cut.result, { code: 'CANCELLED' })
  await queue.put('next')

  await drain(queue as DispatchQueue, clock)
  await result

  t.deepEqual(log, ['cut begins', 'cut is closed', 'next begins', 'next goes on', 'next is closed'])
  await queue.stop()
})

test('a generator whose queue is stopped at its call never begins', async t => {
  const clock = new VirtualClock()
  const log: string[] = []
  const queue = new DispatchQueue<string, void>(
    () => {
      void queue.stop({ cancelUnderway: true })
      return (function* () {
        log.push('begins')
        yield
      })()
    },
    { clock },
  )
  await queue.put('a')
  await clock.settle()
  const { abandoned } = await queue.stop()

  t.deepEqual(log, [])
  t.deepEqual(abandoned, [])
})
