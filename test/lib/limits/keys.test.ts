import test from 'ava'
import { OptionError } from '../../../lib/index.ts'
import {
  type KeyOverride,
  type KeysPolicy,
  keyless,
  keysFromText,
  noKeys,
  overridden,
  parseKeys,
  parseWeight,
  settingsOf,
  textOfKeys,
} from '../../../lib/limits/keys.ts'

test('keys: an option that is left out has its default, and the parsed form is frozen', t => {
  const parsed = parseKeys('keys', {})

  t.deepEqual(parsed, { width: Infinity, rate: [], weight: 1, order: 'fair' })
  t.true(Object.isFrozen(parsed))
  t.deepEqual(parseKeys('keys', { width: 0, rate: { limit: 1, per: 1 }, weight: 0.001, order: 'priority' }), {
    width: 0,
    rate: [{ limit: 1, perMs: 1, unit: undefined, burst: undefined }],
    weight: 0.001,
    order: 'priority',
  })
})

test('keys: a value that is no object of limits, such as a revoked proxy, is refused by the name of the option', t => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()

  for (const value of [proxy, [], null, 5, 'acme', Symbol('acme')]) {
    t.throws(() => parseKeys('keys', value), { instanceOf: OptionError, message: /^keys[. ]/ })
  }
})

test('keys: a weight of 0 is refused with what to do instead', t => {
  const error = t.throws(() => parseWeight('keys.weight', 0), { instanceOf: OptionError })

  t.is(
    error?.message,
    'keys.weight must be a number from 0.001 to 1000, got 0; to stop a key, set its width to 0 or pause it',
  )
})

test('keys: a policy and an override are the same after they were stored as text', t => {
  const policy: KeysPolicy = parseKeys('keys', { rate: { limit: 2, per: '1s' }, weight: 3 })
  const override: KeyOverride = { width: Infinity, paused: true, rate: policy.rate }

  t.deepEqual(keysFromText<KeysPolicy>(textOfKeys(policy)), policy)
  t.deepEqual(keysFromText<KeyOverride>(textOfKeys(override)), override)
})

test('keys: an override holds field by field, and a field set to undefined is none', t => {
  const policy = parseKeys('keys', { width: 2, weight: 5 })
  const narrow = overridden(undefined, { width: 1 })
  const paused = overridden(narrow, { paused: true })

  t.deepEqual(settingsOf(policy, paused, 'a'), { width: 1, rate: [], weight: 5, paused: true })
  t.deepEqual(overridden(paused, { width: undefined }), { paused: true })
  t.is(overridden(overridden(paused, { width: undefined }), { paused: undefined }), undefined)
  t.is(overridden(undefined, { paused: false }), undefined)
})

test('keys: no limit of keys applies to jobs without a key, but they share by weight', t => {
  const policy = parseKeys('keys', { width: 0, rate: { limit: 1, per: 1 }, weight: 7 })

  t.deepEqual(settingsOf(policy, { paused: true }, keyless), { width: Infinity, rate: [], weight: 7, paused: false })
  t.is(noKeys.order, 'priority')
})
