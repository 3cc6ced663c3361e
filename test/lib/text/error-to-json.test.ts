/** What was thrown, as text and back: whatever it is, recording it never fails. */
import vm from 'node:vm'
import test from 'ava'
import { CancelledError, PoisonError, TimeoutError } from '../../../lib/errors.ts'
import { errorToJson } from '../../../lib/text/error-to-json.ts'
import { errorFromJson } from '../../../persistence/durable/error-from-json.ts'

const again = (thrown: unknown): unknown => errorFromJson(errorToJson(thrown))

test('thrown: an error comes back with its name, message, stack, code, cause and plain fields', t => {
  const error = Object.assign(new TypeError('no', { cause: new RangeError('why') }), { code: 'E_NO', status: 503 })
  const back = again(error) as typeof error

  t.true(back instanceof TypeError)
  t.is(back.stack, error.stack)
  t.like(back, { name: 'TypeError', message: 'no', code: 'E_NO', status: 503 })
  t.true(back.cause instanceof RangeError)
  t.is((back.cause as Error).message, 'why')
})
test('thrown: an error of rdq comes back as an instance of its class', t => {
  t.true(again(new TimeoutError(5)) instanceof TimeoutError)
  t.like(again(new TimeoutError(5)), { code: 'TIMEOUT', timeoutMs: 5 })
  t.like(again(new CancelledError('enough')), { name: 'CancelledError', reason: 'enough' })
  t.true(errorFromJson('{"name":"PoisonError","code":"POISON","message":"m","crashes":3}') instanceof PoisonError)
})
test('thrown: an error of a class that is not known here keeps its name', t => {
  class GatewayError extends Error {
    override name = 'GatewayError'
  }
  const back = again(new GatewayError('down')) as Error
  t.is(back.name, 'GatewayError')
  t.is(String(back), 'GatewayError: down')
})
test('thrown: an error of another realm comes back as an Error', t => {
  const back = again(vm.runInNewContext('new TypeError("foreign")'))
  t.true(back instanceof TypeError)
})
for (const value of [undefined, null, 'text', 7, false, { a: [1] }]) {
  test(`thrown: ${JSON.stringify(value)} comes back as it is`, t => t.deepEqual(again(value), value))
}
test('thrown: unreadable properties are left out, and the rest is recorded', t => {
  const cyclic = new Error('cyclic') as Error & { self?: unknown; list?: unknown }
  cyclic.self = cyclic
  cyclic.list = [cyclic]
  cyclic.cause = cyclic
  t.is((again(cyclic) as Error).message, 'cyclic')
  const trap = Object.defineProperty(Object.freeze(new Error('x')) && new Error('trap'), 'bad', {
    enumerable: true,
    get: () => {
      throw new Error('no')
    },
  })
  t.is((again(trap) as Error).message, 'trap')
  t.is((again(Object.freeze(new Error('frozen'))) as Error).message, 'frozen')
  const refusing = new Proxy(
    {},
    {
      get: () => {
        throw new Error('no')
      },
      ownKeys: () => {
        throw new Error('no')
      },
      getPrototypeOf: () => {
        throw new Error('no')
      },
    },
  )
  t.notThrows(() => again(refusing))
  t.notThrows(() => again({ n: 1n, f: () => {}, s: Symbol('s'), x: Number.NaN }))
  t.notThrows(() => again(Object.assign(new Error('big'), { fields: 'x'.repeat(10 ** 6), message: 5 as never })))
})
test('thrown: no stored text sets a prototype', t => {
  errorFromJson('{"name":"Error","message":"m","fields":{"__proto__":{"polluted":1}}}')
  t.is(({} as { polluted?: number }).polluted, undefined)
})
test('thrown: a text that is no JSON is an error that shows it', t => {
  t.regex((errorFromJson('{oops') as Error).message, /no JSON: \{oops/)
})

test('thrown: an error with endless parts is recorded quickly, and in part', t => {
  const endless: unknown = new Proxy(
    {},
    {
      ownKeys: () => [...Array(100).keys()].map(String),
      get: () => endless,
      getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
    },
  )
  const texts = [
    errorToJson(Object.assign(new Error('endless'), { endless })),
    errorToJson(endless),
    errorToJson(Object.assign(new Error('long'), { list: Array(100).fill(Array(100).fill('x'.repeat(1_000))) })),
  ]

  for (const text of texts) t.true(text.length < 1_000_000, `${text.length}`)
})
for (const [what, value] of [
  ['half of a pair', '\ud83d'],
  ['a nul', 'a\0b'],
] as const) {
  test(`thrown: ${what} comes back in a message, a name, a field and a reason`, t => {
    const error = Object.assign(new Error(value), { name: value, field: value, [value]: 1, code: value })
    const back = again(error) as typeof error

    t.like(back, { message: value, name: value, field: value, [value]: 1, code: value })
    t.is(again(value), value)
  })
}

test('errors as text: an error of a store has its class and its fields, and no stack of the store', t => {
  const text = errorToJson(new PoisonError(3), 'none')

  const { stack, ...written } = JSON.parse(text)
  t.is(stack, undefined)
  t.like(written, { name: 'PoisonError', code: 'POISON', fields: { crashes: 3 } })
  const error = errorFromJson(text)
  t.true(error instanceof PoisonError)
  t.like(error, { code: 'POISON', crashes: 3, message: new PoisonError(3).message })
})
