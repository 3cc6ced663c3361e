import test from 'ava'
import { expectTypeOf } from 'expect-type'
import { DispatchQueue, type Job, type Task } from '../lib/index.ts'

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
  const queue = new DispatchQueue<{ to: string }, number>(null)
  expectTypeOf(queue.put).parameter(0).toEqualTypeOf<{ to: string }>()
  queue.on('finished', job => expectTypeOf(job).toEqualTypeOf<Job<{ to: string }, number>>())
  queue.on('width', (now, before) => expectTypeOf([now, before]).toEqualTypeOf<number[]>())
  t.pass()
})
