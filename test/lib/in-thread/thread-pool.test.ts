import test from 'ava'
import { systemClock } from '../../../lib/clock.ts'
import { OptionError, ThreadEndedError } from '../../../lib/errors.ts'
import { type CallThread, startCallThread } from '../../../lib/in-thread/call-thread.ts'
import { ThreadPool, type ThreadPoolParts } from '../../../lib/in-thread/thread-pool.ts'
import { VirtualClock } from '../../../testing/index.ts'

const module = new URL('../../support/thread-functions.js', import.meta.url).href

/** A pool of real threads, and what became of them. */
function setup({ size = 1, idleMs = 60_000, graceMs = 1_000, clock = systemClock }: Partial<ThreadPoolParts> = {}) {
  const events: string[] = []
  const gone: (() => void)[] = []
  let started = 0
  const pool = new ThreadPool({
    ...{ size, idleMs, graceMs, clock },
    start: ({ message, ended }): CallThread => {
      const id = ++started
      events.push(`start ${id}`)
      const thread = startCallThread({
        message,
        ended(exitCode, error) {
          events.push(`gone ${id}`)
          ended(exitCode, error)
          for (const resolve of gone.splice(0)) resolve()
        },
      })
      const kill = (): void => {
        events.push(`kill ${id}`)
        thread.kill()
      }
      return { ...thread, kill }
    },
  })
  const call = (signal: AbortSignal | undefined, ...args: unknown[]): Promise<unknown> =>
    pool.call({ module }, args, signal)
  const idOf = async (): Promise<unknown> => ((await call(undefined, 'where')) as { threadId: number }).threadId
  const nextGone = (): Promise<void> => new Promise(resolve => gone.push(resolve))
  return { pool, call, idOf, events, nextGone }
}

test('thread pool: threads start when needed, one call each, at most size, and further calls wait', async t => {
  const { pool, idOf, events } = setup({ size: 2 })
  t.is(pool.threads, 0)

  const first = await idOf()
  t.deepEqual(events, ['start 1'], 'a thread that is free is used')
  t.is(await idOf(), first)
  const ids = await Promise.all([idOf(), idOf(), idOf(), idOf()])

  t.is(new Set(ids).size, 2)
  t.deepEqual(events, ['start 1', 'start 2'])
})

test('thread pool: arguments are taken at the call, also when it waits', async t => {
  const { call } = setup()
  const list = [1]
  const bytes = new Uint8Array(10)

  const first = call(undefined, 'where', list)
  const second = call(undefined, 'where', list)
  const { transfer } = await import('../../../lib/isolate/transfer.ts')
  const third = call(undefined, 'sizes', transfer(bytes, [bytes.buffer]))
  t.is(bytes.byteLength, 0, 'moved at once')
  list.push(2)

  for (const result of await Promise.all([first, second])) t.deepEqual((result as { args: unknown }).args, [[1]])
  t.deepEqual(await third, [10])
})

test('thread pool: a call whose arguments cannot be cloned is refused, waiting or not, and costs no thread', async t => {
  const { pool, call, idOf, events } = setup()

  await t.throwsAsync(
    call(undefined, 'where', () => {}),
    { instanceOf: OptionError, message: /args\[1\]/ },
  )
  const running = idOf()
  await t.throwsAsync(call(undefined, Symbol('s')), { instanceOf: OptionError, message: /args\[0\]/ })
  await running

  t.is(pool.threads, 1)
  t.deepEqual(events, ['start 1'])
})

test('thread pool: the abort of a waiting call takes it out of the line, and touches no thread', async t => {
  const { call, idOf, events } = setup()
  const abort = new AbortController()
  const running = idOf()
  const waiting = call(abort.signal, 'exit')
  abort.abort('no need')

  t.is(await waiting.catch(reason => reason), 'no need')
  await running
  t.is(await idOf(), await running)
  t.deepEqual(events, ['start 1'])
})

for (const deed of ['block', 'hang'] as const) {
  test(`thread pool: the abort of a call that would ${deed} ends its thread, and the next call has another`, async t => {
    const { call, idOf, events, nextGone } = setup()
    const first = await idOf()
    const abort = new AbortController()
    const running = call(abort.signal, deed)
    const gone = nextGone()
    abort.abort('enough')

    t.is(await running.catch(reason => reason), 'enough')
    const next = idOf()
    await gone
    t.not(await next, first)
    t.deepEqual(events, ['start 1', 'kill 1', 'gone 1', 'start 2'])
  })
}

test('thread pool: a function that has the signal among its arguments may end by itself, and keeps its thread', async t => {
  const { call, idOf, events } = setup()
  const first = await idOf()
  const abort = new AbortController()
  const running = call(abort.signal, 'heed', abort.signal)
  abort.abort('enough')

  t.is(await running.catch(reason => reason), 'enough')
  t.is(await idOf(), first)
  t.deepEqual(events, ['start 1'])
})

test('thread pool: if it does not end within its grace, its thread is ended', async t => {
  const clock = new VirtualClock()
  const { call, idOf, events, nextGone } = setup({ clock, graceMs: 1_000 })
  await idOf()
  const abort = new AbortController()
  const running = call(abort.signal, 'hang', abort.signal)
  abort.abort('enough')
  t.is(await running.catch(reason => reason), 'enough')
  await clock.advance(999)
  t.deepEqual(events, ['start 1'])

  const gone = nextGone()
  await clock.advance(1)
  await gone

  t.deepEqual(events, ['start 1', 'kill 1', 'gone 1'])
})

test('thread pool: a thread without calls is ended after a while, the one that was idle longest first', async t => {
  const clock = new VirtualClock()
  const { pool, idOf, events, nextGone } = setup({ clock, size: 2, idleMs: 60_000 })
  await Promise.all([idOf(), idOf()])
  await clock.advance(30_000)
  await idOf()
  // It may be gone before the clock has come to rest.
  const first = nextGone()
  await clock.advance(30_000)
  await first
  t.is(pool.threads, 1)
  await clock.advance(29_999)
  t.is(events.filter(event => event.startsWith('kill')).length, 1)

  const second = nextGone()
  await clock.advance(1)
  await second

  t.is(pool.threads, 0)
  t.is(typeof (await idOf()), 'number')
})

test('thread pool: a thread that ends by itself rejects its call alone, and one without a call is forgotten', async t => {
  const { pool, call, idOf } = setup({ size: 2 })
  const [other, ended] = await Promise.allSettled([idOf(), call(undefined, 'exit')])

  t.is(other.status, 'fulfilled')
  t.true(ended.status === 'rejected' && ended.reason instanceof ThreadEndedError)
  t.is(pool.threads, 1)
  t.is(typeof (await idOf()), 'number')
})

test('thread pool: after a module that cannot be loaded the thread is replaced, so that the next call loads it again', async t => {
  const { pool, idOf, events, nextGone } = setup()
  const gone = nextGone()

  await t.throwsAsync(pool.call({ module: 'data:text/javascript,throw 1' }, []), { message: /cannot be loaded/ })
  await gone

  t.is(typeof (await idOf()), 'number')
  t.deepEqual(events, ['start 1', 'kill 1', 'gone 1', 'start 2'])
})

test('thread pool: a thread that cannot be started rejects the call', async t => {
  const failure = new Error('no more threads')
  const pool = new ThreadPool({
    ...{ size: 1, idleMs: 1, graceMs: 1, clock: systemClock },
    start: () => {
      throw failure
    },
  })

  t.is(await pool.call({ module }, []).catch(error => error), failure)
  t.is(pool.threads, 0)
})
