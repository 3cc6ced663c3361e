/** Faults of what handlers throw: row F34 of our fault catalogue. Whatever it is, recording it never fails. */
import { runInNewContext } from 'node:vm'
import type { Job } from '../../lib/index.ts'
import { drain, VirtualClock } from '../../testing/index.ts'
import { DispatchQueue, test } from '../support/backlog-under-test.ts'

const cyclic = new Error('cyclic')
cyclic.cause = cyclic
const hostile = {
  get message(): string {
    throw new Error('not even this')
  },
  get stack(): string {
    throw new Error('not even this')
  },
  toString(): string {
    throw new Error('not even this')
  },
}

for (const [what, error] of Object.entries({
  undefined,
  null: null,
  'a string': 'no',
  zero: 0,
  'a symbol': Symbol('no'),
  'a bigint': 7n,
  'a frozen error': Object.freeze(new Error('frozen')),
  'an error that is its own cause': cyclic,
  'an error of another realm': runInNewContext('new TypeError("elsewhere")') as unknown,
  'an object without a prototype': Object.create(null) as unknown,
  'an object whose getters throw': hostile,
  'a function': () => {},
  'a promise': Promise.resolve('no'),
})) {
  for (const how of ['throws', 'rejects with'] as const) {
    test.serial(`F34: a handler that ${how} ${what} fails its job with that very value, and nothing else`, async t => {
      const clock = new VirtualClock()
      const retried: unknown[] = []
      const queue = new DispatchQueue<string, string>(
        payload => {
          if (payload === 'good') return 'fine'
          if (how === 'throws') throw error
          return Promise.reject(error)
        },
        { clock, retry: { attempts: 2, delay: 0 } },
      )
      queue.on('retry', (_, thrown) => retried.push(thrown))
      const [bad, good] = (await queue.putMany(['bad', 'good'])) as [Job<string, string>, Job<string, string>]
      const caught = bad.result.then(
        () => t.fail(),
        (reason: unknown) => t.true(Object.is(reason, error)),
      )

      t.is(await good.result, 'fine')
      await caught
      t.is(bad.state, 'failed')
      t.true(Object.is(bad.error, error))
      t.true(retried.length === 1 && Object.is(retried[0], error))
      t.deepEqual([queue.counts.failed, queue.counts.finished], [1, 1])
    })
  }
}

test.serial('F34: a failure without a listener becomes a warning, even if its error cannot be printed', async t => {
  const clock = new VirtualClock()
  const warnings: string[] = []
  const listen = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  for (const [i, error] of [hostile, Object.create(null) as unknown, Symbol('no'), undefined].entries()) {
    const queue = new DispatchQueue<string, void>(() => Promise.reject(error), { clock, name: `resists ${i}` })
    await queue.put('a')
    await drain(queue as DispatchQueue, clock)
    t.is(queue.counts.failed, 1)
  }

  const reported = warnings.filter(text => text.includes("'resists "))

  t.is(reported.length, 4)
  t.true(reported.every(text => text.includes('an unhandled job failure')))
})

test('F34: a value whose every trap throws fails its job, and the queue goes on', async t => {
  const clock = new VirtualClock()
  const trap = (): never => {
    throw new Error('trap')
  }
  const proxy: unknown = new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap })
  const queue = new DispatchQueue<string, string>(
    payload => {
      if (payload === 'throws') throw proxy
      return payload === 'returns' ? (proxy as string) : 'fine'
    },
    { clock },
  )
  queue.on('failed', () => {})
  await queue.putMany(['throws', 'returns'])

  t.is(await queue.run('good'), 'fine')

  t.deepEqual([queue.counts.failed, queue.counts.finished], [2, 1])
})
