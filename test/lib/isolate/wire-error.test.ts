import test from 'ava'
import { CancelledError, PayloadError, Throttled } from '../../../lib/index.ts'
import { fromWireError, toWireError } from '../../../lib/isolate/wire-error.ts'

const sent = (thrown: unknown): unknown => fromWireError(structuredClone(toWireError(thrown)))

test('wire error: name, message, stack, cause and own fields arrive, in the classes of the language and of rdq', t => {
  const cause = Object.assign(new RangeError('below'), { depth: 1 })
  const error = Object.assign(new TypeError('no', { cause }), { code: 'E', bytes: new Uint8Array([1, 2]) })

  const got = sent(error) as typeof error

  t.true(got instanceof TypeError)
  t.deepEqual([got.name, got.message, got.stack, got.code], ['TypeError', 'no', error.stack, 'E'])
  t.deepEqual(got.bytes, new Uint8Array([1, 2]))
  t.true(got.cause instanceof RangeError)
  t.like(got.cause, { message: 'below', depth: 1 })
  t.false(Object.keys(got).includes('cause'))
  const throttled = sent(new Throttled(5, { key: 'k' }))
  t.true(throttled instanceof Throttled)
  t.like(throttled, { code: 'THROTTLED', after: 5, key: 'k' })
  t.true('after' in (sent(new Throttled()) as object))
  t.like(sent(new CancelledError('why')), { reason: 'why', code: 'CANCELLED' })
})

test('wire error: an aggregate has its errors, and errors in fields arrive as errors', t => {
  const got = sent(new AggregateError([new TypeError('a'), 'b'], 'both')) as AggregateError

  t.true(got instanceof AggregateError)
  t.true(got.errors[0] instanceof TypeError)
  t.is(got.errors[1], 'b')
  const nested = sent(Object.assign(new Error('outer'), { inner: new PayloadError('x', 'is bad') }))
  t.true((nested as { inner: unknown }).inner instanceof PayloadError)
})

test('wire error: anything can be thrown, and what cannot be cloned is described', t => {
  for (const value of ['text', 7, null, undefined, { a: [1] }, new Map([[1, 2]])]) t.deepEqual(sent(value), value)
  t.is(
    sent(() => {}),
    '[a function]',
  )
  t.is(sent({ f() {} }), '[an object that cannot be cloned]')
  t.like(sent(Object.assign(new Error('x'), { f() {}, p: Promise.resolve() })), {
    f: '[a function]',
    p: '[a promise that cannot be cloned]',
  })
  const hostile = new Proxy(new Error('x'), {
    get() {
      throw new Error('no reading')
    },
    ownKeys() {
      throw new Error('no keys')
    },
  })
  t.true(sent(hostile) instanceof Error)
  const circle = new Error('round')
  circle.cause = circle
  t.is((sent(circle) as Error).message, 'round')
})
