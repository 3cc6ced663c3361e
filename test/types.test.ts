import type { IncomingMessage } from 'node:http'
import test from 'ava'
import { expectTypeOf } from 'expect-type'
import { type AdaptOptions, adapt, type ClassifiedRun } from '../lib/adaptive/index.ts'
import { Cooperator, type CooperatorOptions } from '../lib/cooperate/index.ts'
import {
  type After,
  DispatchQueue,
  type Duration,
  type EventsOptions,
  type HandlerUrl,
  type Job,
  type JobsQuery,
  type KeepOptions,
  MemoryBacklog,
  OptionError,
  type PutOptions,
  type QueueOptions,
  type RetryOptions,
  type Rule,
  retryAfter,
  type ServerLimit,
  type StopOptions,
  type Task,
  Throttled,
} from '../lib/index.ts'
import { type PutWithinOptions, SqliteBacklog, type SqliteBacklogOptions } from '../persistence/sqlite/index.ts'
import {
  type CheckOptions,
  check,
  type EveryCrashOptions,
  everyCrash,
  History,
  type HistoryOptions,
  RemoteBacklog,
  type RemoteBacklogOptions,
  VirtualClock,
  type WitnessOptions,
} from '../testing/index.ts'

test('types: payload and result are those of the module whose URL is given', t => {
  type Resize = { readonly default: (image: { path: string }, task: Task) => Promise<number> }
  const make = () => {
    const queue = new DispatchQueue({} as HandlerUrl<Resize>, { isolate: 'thread' })
    expectTypeOf(queue.put).parameter(0).toEqualTypeOf<{ path: string }>()
    expectTypeOf(queue.run).returns.resolves.toEqualTypeOf<number>()
    // @ts-expect-error: a module without a default export is no handler.
    new DispatchQueue({} as HandlerUrl<{ readonly other: () => void }>, { isolate: 'thread' })
    return queue
  }

  t.is(typeof make, 'function')
})

test('types: payload and result are inferred from the handler', t => {
  const plain = new DispatchQueue((n: number) => String(n))
  const later = new DispatchQueue(async (n: number) => String(n))
  expectTypeOf(plain.run).returns.resolves.toEqualTypeOf<string>()
  expectTypeOf(later.run).returns.resolves.toEqualTypeOf<string>()
  expectTypeOf(plain.put).parameter(0).toEqualTypeOf<number>()
  const steps = new DispatchQueue(function* (n: number, task: Task) {
    const got = yield* task.wait(Promise.resolve('x'))
    expectTypeOf(got).toEqualTypeOf<string>()
    return n > 0
  })
  expectTypeOf(steps.run).returns.resolves.toEqualTypeOf<boolean>()
  const asyncSteps = new DispatchQueue(async function* (n: number) {
    yield
    return n
  })
  expectTypeOf(asyncSteps.run).returns.resolves.toEqualTypeOf<number>()
  // What a decorator or a transpiler makes of a generator has no more than this.
  const wrapped = new DispatchQueue((_: string) => ({}) as Iterator<unknown, Date> & Iterable<unknown>)
  expectTypeOf(wrapped.run).returns.resolves.toEqualTypeOf<Date>()
  const asyncWrapped = new DispatchQueue((_: string) => ({}) as AsyncIterator<unknown, Date> & AsyncIterable<unknown>)
  expectTypeOf(asyncWrapped.run).returns.resolves.toEqualTypeOf<Date>()
  const array = new DispatchQueue((_: string) => [1])
  expectTypeOf(array.run).returns.resolves.toEqualTypeOf<number[]>()
  const map = new DispatchQueue(async (_: string) => new Map([[1, 'a']]))
  expectTypeOf(map.run).returns.resolves.toEqualTypeOf<Map<number, string>>()
  t.pass()
})

test('types: a queue without a handler takes what its type says, and events carry typed jobs', t => {
  const queue = new DispatchQueue<{ to: string }, number>(null, { backlog: new MemoryBacklog() })
  expectTypeOf(queue.put).parameter(0).toEqualTypeOf<{ to: string }>()
  queue.on('finished', job => expectTypeOf(job).toEqualTypeOf<Job<{ to: string }, number>>())
  queue.on('width', (now, before) => expectTypeOf([now, before]).toEqualTypeOf<number[]>())
  t.pass()
})

test('types: a handler without parameters needs no payload, and one with a payload does', t => {
  const bare = new DispatchQueue(async () => 7)
  expectTypeOf(() => bare.put()).returns.resolves.toEqualTypeOf<Job<unknown, number>>()
  expectTypeOf(() => bare.run()).returns.resolves.toEqualTypeOf<number>()
  expectTypeOf(() => bare.put(undefined, { priority: 1 })).returns.resolves.toEqualTypeOf<Job<unknown, number>>()
  const optional = new DispatchQueue((n?: number) => n ?? 0)
  expectTypeOf(() => optional.run()).returns.resolves.toEqualTypeOf<number>()
  const nothing = new DispatchQueue<void, string>(() => 'x')
  expectTypeOf(() => nothing.run()).returns.resolves.toEqualTypeOf<string>()
  const whatever = new DispatchQueue(null, { backlog: new MemoryBacklog() })
  expectTypeOf(() => whatever.put()).returns.resolves.toEqualTypeOf<Job>()
  const needs = new DispatchQueue((n: number) => n)
  // @ts-expect-error: its handler takes a payload.
  const wrong = (): unknown => needs.put()
  // @ts-expect-error
  const wrongRun = (): unknown => needs.run()
  // @ts-expect-error: and one of its type.
  const wrongType = (): unknown => needs.put('five')
  t.is([wrong, wrongRun, wrongType].length, 3)
})

test('types: a queue whose payload is a parameter can still be wrapped', t => {
  function wrapped<P, R>(queue: DispatchQueue<P, R>, payload: P): () => Promise<R> {
    return () => queue.put(payload).then(() => queue.run(payload, { priority: 1 }))
  }
  const queue = new DispatchQueue((n: number) => n > 0)
  expectTypeOf(wrapped(queue, 5)).returns.resolves.toEqualTypeOf<boolean>()
  t.pass()
})

test('types: a duration may come as a string from configuration, and is checked when it is handed over', t => {
  const configured: string = JSON.parse('"10s"')
  const duration: Duration = configured
  const queue = new DispatchQueue((n: number) => n, {
    timeout: configured,
    retry: { delay: configured },
    keep: { failed: configured },
    rate: { limit: 5, per: duration },
  })
  expectTypeOf<'14d'>().toExtend<Duration>()
  expectTypeOf<number>().toExtend<Duration>()
  // @ts-expect-error
  const wrong: Duration = new Date()
  t.truthy([queue, wrong])
  t.throws(() => new DispatchQueue(() => {}, { timeout: JSON.parse('"soon"') as string }), { instanceOf: OptionError })
})

test('types: `after` is a duration, a Date, or the header of a response', t => {
  const headers = new Headers()
  expectTypeOf(headers.get('retry-after')).toExtend<After>()
  const incoming: { 'retry-after'?: string | undefined } = {}
  expectTypeOf(incoming['retry-after']).toExtend<After>()
  t.truthy(new Throttled(headers.get('retry-after'), { key: undefined }))
})

/** Every optional field of `T`, undefined: an option that is added to `T` is missing here until the test names it. */
type AllUndefined<T> = { readonly [K in keyof T as object extends Pick<T, K> ? K : never]-?: undefined }

test('types: adapt gives classify the job of its queue, requires max, and takes undefined for all else', async t => {
  const queue = new DispatchQueue((to: string) => to.length)
  const options: AdaptOptions<string, number> = { max: 5, min: undefined, algorithm: undefined, classify: undefined }
  adapt(queue, options).stop()
  adapt(queue, {
    max: 5,
    classify: run => {
      expectTypeOf(run).toEqualTypeOf<ClassifiedRun<string, number>>()
      expectTypeOf(run.job.payload).toEqualTypeOf<string>()
      return 'ok'
    },
  }).stop()
  // @ts-expect-error: max is required.
  t.throws(() => adapt(queue, { min: 1 }), { instanceOf: OptionError })
  queue.on('width', (_now, _before, reason) => expectTypeOf(reason).toEqualTypeOf<string | undefined>())
  await queue.stop()
})

test('types: retryAfter takes what fetch and node:http give', t => {
  const message = { headers: {}, rawHeaders: [] } as unknown as IncomingMessage
  for (const found of [
    retryAfter(new Response()),
    retryAfter(new Headers()),
    retryAfter(message.headers),
    retryAfter(message.rawHeaders),
    retryAfter({ 'retry-after': undefined }, { now: undefined }),
  ]) {
    expectTypeOf(found).toEqualTypeOf<ServerLimit | undefined>()
    t.is(found, undefined)
  }
  new Throttled(retryAfter(new Response())?.afterMs)
})

test('types: an option may be undefined everywhere, also with exactOptionalPropertyTypes, and counts as left out', async t => {
  const retry: AllUndefined<RetryOptions> = {
    attempts: undefined,
    delay: undefined,
    factor: undefined,
    max: undefined,
    jitter: undefined,
  }
  const keep: AllUndefined<KeepOptions> = {
    finished: undefined,
    failed: undefined,
    cancelled: undefined,
    ids: undefined,
    results: undefined,
    most: undefined,
  }
  const rule: AllUndefined<Rule> = {
    of: undefined,
    spread: undefined,
    burst: undefined,
    jitter: undefined,
    name: undefined,
  }
  const none: AllUndefined<QueueOptions<number, number>> = {
    name: undefined,
    width: undefined,
    globalWidth: undefined,
    rate: undefined,
    keys: undefined,
    cost: undefined,
    isolate: undefined,
    backlog: undefined,
    retry: undefined,
    timeout: undefined,
    afterCrash: undefined,
    crashLimit: undefined,
    size: undefined,
    overflow: undefined,
    slice: undefined,
    context: undefined,
    keep: undefined,
    paused: undefined,
    signal: undefined,
    clock: undefined,
    maxHold: undefined,
  }
  const put: AllUndefined<PutOptions> = {
    priority: undefined,
    delay: undefined,
    runAt: undefined,
    key: undefined,
    id: undefined,
    cost: undefined,
    retry: undefined,
    timeout: undefined,
    signal: undefined,
  }
  const jobs: AllUndefined<JobsQuery> = { state: undefined, key: undefined, limit: undefined, after: undefined }
  const events: AllUndefined<EventsOptions> = { signal: undefined, most: undefined }
  const stop: AllUndefined<StopOptions> = { cancelUnderway: undefined, grace: undefined }
  const queue = new DispatchQueue((n: number) => n + 1, none)
  t.deepEqual([queue.width, queue.rate, queue.paused], [1, [], false])
  const stream = queue.events('finished', events)
  t.is(await queue.run(1, put), 2)
  t.is((await queue.putMany([2, 3], () => put)).length, 2)
  t.true(await queue.pause({ tasks: undefined, shared: undefined }))
  queue.resume({ width: undefined, shared: undefined })
  await queue.idle()
  t.deepEqual(await queue.jobs(jobs), [])
  t.deepEqual((await queue.stop(stop)).returned, [])
  t.false((await stream.next()).done)

  const nested = { retry, keep, rate: { limit: 1, per: '1s', ...rule } } as const
  const bounded = new DispatchQueue((n: number) => n, { ...none, ...nested })
  t.deepEqual(bounded.rate, [{ limit: 1, perMs: 1_000, unit: undefined, burst: undefined }])
  t.is(await bounded.run(1, { ...put, retry }), 1)
  await bounded.stop()
  const without = { ...none, backlog: new MemoryBacklog({ json: undefined }) }
  t.notThrows(() => new DispatchQueue<number, number>(null, without))
})

test('types: an option of a backlog, a cooperator and rdq/testing may be undefined, and counts as left out', async t => {
  const sqlite: AllUndefined<SqliteBacklogOptions> = { durability: undefined, stall: undefined }
  const cooperator: AllUndefined<CooperatorOptions> = {
    slice: undefined,
    schedule: undefined,
    started: undefined,
    clock: undefined,
  }
  t.true(new SqliteBacklog('never-opened.db', sqlite).durable)
  t.true(new Cooperator(cooperator).running)
  t.is(new Throttled('1s', { key: undefined }).key, undefined)
  expectTypeOf<AllUndefined<PutWithinOptions>>().toExtend<PutWithinOptions>()

  const remote: AllUndefined<RemoteBacklogOptions> = {
    seed: undefined,
    losesOneIn: undefined,
    refusesOneIn: undefined,
    forgetsOneIn: undefined,
  }
  const witness: AllUndefined<WitnessOptions> = {
    process: undefined,
    ids: undefined,
    attempts: undefined,
    retry: undefined,
    crashLimit: undefined,
    afterCrash: undefined,
    idsMs: undefined,
    keys: undefined,
    cost: undefined,
  }
  const recorded: AllUndefined<HistoryOptions> = { clock: undefined, write: undefined }
  const checked: AllUndefined<CheckOptions> = {
    except: undefined,
    lateMs: undefined,
    slackMs: undefined,
    rerun: undefined,
  }
  const crash: AllUndefined<EveryCrashOptions> = {
    outside: undefined,
    judge: undefined,
    within: undefined,
    only: undefined,
  }
  t.is(new VirtualClock({ now: undefined, wall: undefined, seed: undefined }).now(), 0)
  const history = new History(recorded)
  const backlog = new RemoteBacklog(undefined, remote)
  const queue = history.watch(
    record =>
      new DispatchQueue(
        record(() => 7),
        { backlog },
      ),
    witness,
  )
  t.is(await queue.run(), 7)
  await queue.stop()
  t.deepEqual(check(history, { ...checked, slackMs: 1_000 }).violations, [])
  t.true(check(history, checked).entries > 0)
  t.deepEqual(await everyCrash(() => Promise.resolve(), crash), { points: [], failures: [] })
})
