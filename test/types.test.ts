import test from 'ava'
import { expectTypeOf } from 'expect-type'
import {
  type After,
  DispatchQueue,
  type Duration,
  type Job,
  MemoryBacklog,
  OptionError,
  type Task,
  Throttled,
} from '../lib/index.ts'

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

test('types: after is a duration, a Date, or the header of a response as it comes', t => {
  const headers = new Headers()
  expectTypeOf(headers.get('retry-after')).toExtend<After>()
  const incoming: { 'retry-after'?: string | undefined } = {}
  expectTypeOf(incoming['retry-after']).toExtend<After>()
  t.truthy(new Throttled(headers.get('retry-after'), { key: undefined }))
})
