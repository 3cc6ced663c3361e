/** What holds for the keys of a queue, in a store that has all of them at hand. */
import test from 'ava'
import { parseKeys } from '../../../../lib/limits/keys.ts'
import { rateOfKey } from '../../../../persistence/durable/simple-store/all-keys.ts'
import { ruleOf } from '../../../../testing/history-builder.ts'
import { LimitsInMaps, mapQueue } from '../../../support/limits-in-maps.ts'

const policy = parseKeys('keys', { width: 4, rate: { limit: 1, per: 1_000 } })

test('all keys: a key has the policy of the queue, except for what is set for it', t => {
  const [queue, limits] = [mapQueue(), new LimitsInMaps()]
  queue.keys = policy
  queue.overrides.set('k', { width: 1 })
  queue.heldKeys.set('k', 70)
  limits.bodies.set('k', 3)

  t.like(limits.store.keyNow(queue, 'k', 0), { name: 'k', width: 1, weight: 1, bodies: 3, heldUntil: 70 })
  t.like(limits.store.keyNow(queue, 'l', 0), { name: 'l', width: 4, bodies: 0, heldUntil: -Infinity })
})

test('all keys: other rules for a key count the starts that counted until then', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]
  queue.keys = policy
  rateOfKey(queue, { name: 'k' }).grant(undefined, 0, 0)

  store.setOverride(queue, 'k', { rate: [ruleOf(1, 5_000)] }, 10)
  t.is(store.keyNow(queue, 'k', 10).rate?.blocking(undefined, 10)?.until, 5_000)

  store.setOverride(queue, 'k', undefined, 20)
  t.is(store.keyNow(queue, 'k', 20).rate?.blocking(undefined, 20)?.until, 1_000)
  t.is(queue.overrides.size, 0)
})

test('all keys: rules are known to be overridden only if a key has rules of its own', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]

  store.setOverride(queue, 'k', { width: 2 }, 0)
  t.false(store.overridesRates(queue))
  store.setOverride(queue, 'k', { rate: [] }, 0)
  t.true(store.overridesRates(queue))
})

test('all keys: a key gets its turn back, and a heavier weight brings its next turn forward', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]
  queue.keys = policy
  queue.keyClock = 10
  queue.tags.set('k', 12)

  store.returnTurn(queue, 'k')
  t.is(queue.tags.get('k'), 11)

  queue.tags.set('k', 11)
  store.setOverride(queue, 'k', { weight: 4 }, 0)
  t.is(queue.tags.get('k'), 10.25)
})

test('all keys: another policy applies to every key that waits or has started', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]
  queue.keys = policy
  const rate = rateOfKey(queue, { name: 'k' })
  rate.grant(undefined, 0, 0)

  queue.keys = parseKeys('keys', { rate: { limit: 1, per: 3_000 } })
  store.keysDeclared(queue, false, 5)

  t.is(rate.blocking(undefined, 5)?.until, 3_000)
})
