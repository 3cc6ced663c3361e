import test from 'ava'
import { classifyByDefault, type Outcome } from '../../../lib/adaptive/index.ts'
import { type Job, RetryLater, Throttled, TimeoutError, Unrecoverable } from '../../../lib/index.ts'

const job = undefined as unknown as Job

test('classify: by default only signs of a lack of capacity are an overload, and other errors are ignored', t => {
  const resists = new Proxy(
    {},
    {
      get: () => {
        throw new Error('resists')
      },
    },
  )
  const cases: readonly [unknown, Outcome][] = [
    [undefined, 'ok'],
    [new Throttled('5s'), 'overload'],
    [new Throttled('5s', { key: 'acme' }), 'ignore'],
    [new TimeoutError(10), 'overload'],
    [{ status: 429 }, 'overload'],
    [{ statusCode: 503 }, 'overload'],
    [{ response: { status: 529 } }, 'overload'],
    [{ response: null, status: 500 }, 'ignore'],
    [{ status: '429' }, 'ignore'],
    [{ code: 'THROTTLED' }, 'ignore'],
    [new RetryLater(1), 'ignore'],
    [new Unrecoverable(), 'ignore'],
    [new Error('404'), 'ignore'],
    [null, 'ignore'],
    ['text', 'ignore'],
    [resists, 'ignore'],
  ]
  const keyed = { key: 'acme' } as Job
  t.is(classifyByDefault({ job: keyed, error: new Throttled(1, { key: true }), runMs: 1 }), 'ignore')
  t.is(classifyByDefault({ job, error: new Throttled(1, { key: true }), runMs: 1 }), 'overload')
  for (const [error, outcome] of cases) t.is(classifyByDefault({ job, error, runMs: 1 }), outcome)
})

test('classify: where the width of a key is adapted, a Throttled for the queue or for that key is an overload', t => {
  const outcome = (key: string | true | undefined): Outcome =>
    classifyByDefault({ job: { key: 'acme' } as Job, key: 'acme', error: new Throttled(1, { key }), runMs: 1 })

  t.deepEqual([outcome(undefined), outcome('acme'), outcome(true)], ['overload', 'overload', 'overload'])
  t.is(outcome('other'), 'ignore')
})
