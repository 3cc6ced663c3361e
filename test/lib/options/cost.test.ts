import test from 'ava'
import { OptionError } from '../../../lib/errors.ts'
import { parseCost, parseDefaultCost } from '../../../lib/options/cost.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'

const rule = { limit: 10, perMs: 1_000, unit: 'tokens', burst: undefined } as RateRule

test('cost: units by name are copied, each read once', t => {
  let reads = 0
  const given = {
    get tokens() {
      return ++reads
    },
  }

  t.deepEqual(parseCost('cost', given), { tokens: 1 })
  t.deepEqual(parseCost('cost', {}), {})
  t.deepEqual(Object.entries(parseCost('cost', JSON.parse('{"__proto__": 3}'))), [['__proto__', 3]])
})

test('cost: a value without units by name is refused, and a wrong amount with its unit', t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const wrong = [5, '5', null, undefined, [5], new Map([['tokens', 5]]), new Set(), new Date(), () => ({}), proxy]
  for (const value of [...wrong, Promise.resolve({ tokens: 5 })]) {
    t.throws(() => parseCost('cost', value), { instanceOf: OptionError, message: /^cost / })
  }
  for (const amount of [-1, Number.NaN, Infinity, '5', 5n, undefined]) {
    t.throws(() => parseCost('spent', { images: 1, tokens: amount }), { message: /^spent\.tokens must be a finite/ })
  }
})

test('cost: a default is one cost for all jobs, or computed for each', t => {
  const constant = parseDefaultCost({ tokens: 5 }, [])
  const computed = parseDefaultCost((payload: string) => ({ tokens: payload.length }), [rule])

  t.is(constant('a'), constant('b'))
  t.throws(() => Object.assign(constant('a'), { tokens: 6 }), { instanceOf: TypeError })
  t.deepEqual([computed('a'), computed('bcd')], [{ tokens: 1 }, { tokens: 3 }])
})

test('cost: a default in a unit that the declared rules do not count is refused at once', t => {
  t.throws(() => parseDefaultCost({ token: 5 }, [rule]), { message: /^cost\.token is not a unit/ })
  t.notThrows(() => parseDefaultCost({ token: 5 }, []))
})

test('cost: the error of a function is the cause of the refusal, and a wrong return value is refused with what to return', t => {
  const boom = new Error('boom')
  const thrown = t.throws(() =>
    parseDefaultCost(() => {
      throw boom
    }, [])('a'),
  )
  t.is(thrown?.cause, boom)
  t.regex(thrown?.message ?? '', /^cost could not be computed: the function threw: boom$/)

  const error = { instanceOf: OptionError, message: /^cost must return units by name .* got undefined$/ }
  t.throws(() => parseDefaultCost(() => {}, [])('a'), error)
  t.throws(() => parseDefaultCost(async () => ({ tokens: 1 }), [])('a'), { message: /got a promise$/ })
})

test.serial('cost: an async function that rejects leaves no unhandled rejection', async t => {
  const unhandled: unknown[] = []
  const listen = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', listen)

  t.throws(() => parseDefaultCost(() => Promise.reject(new Error('late')), [])('a'), { instanceOf: OptionError })
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
  process.off('unhandledRejection', listen)

  t.deepEqual(unhandled, [])
})
