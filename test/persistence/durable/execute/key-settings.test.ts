/** What is declared for all keys of a queue, and what is set for single ones. */
import test from 'ava'
import { parseKeys } from '../../../../lib/limits/keys.ts'
import {
  clearKeyOverrides,
  declareKeys,
  keysNow,
  overrideKey,
} from '../../../../persistence/durable/execute/key-settings.ts'
import { LimitsInMaps, mapQueue } from '../../../support/limits-in-maps.ts'

test('key settings: a declaration counts once, and a repeated one changes nothing', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]

  declareKeys(store, queue, parseKeys('keys', { width: 2 }), 0)
  queue.tags.set('k', 7)
  declareKeys(store, queue, parseKeys('keys', { width: 2 }), 0)
  t.is(queue.keysVersion, 1)

  declareKeys(store, queue, parseKeys('keys', { width: 3 }), 0)
  t.is(queue.keysVersion, 2)
  t.like(keysNow(store, queue), { version: 2, policy: { width: 3 }, overrides: [] })
  t.true(queue.tags.has('k'))
})

test('key settings: turns begin anew if another order is declared', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]
  declareKeys(store, queue, parseKeys('keys', { width: 2 }), 0)
  queue.tags.set('k', 7)

  declareKeys(store, queue, parseKeys('keys', { width: 2, order: 'priority' }), 0)

  t.is(queue.tags.size, 0)
})

test('key settings: overrides of a key add up, stay when keys are declared anew, and can be cleared', t => {
  const [queue, { store }] = [mapQueue(), new LimitsInMaps()]
  overrideKey(store, queue, 'k', { width: 1 }, 0)
  overrideKey(store, queue, 'k', { weight: 2 }, 0)
  declareKeys(store, queue, parseKeys('keys', { width: 5 }), 0)

  t.like(keysNow(store, queue), { version: 3, overrides: [['k', { width: 1, weight: 2 }]] })
  t.like(store.keyNow(queue, 'k', 0), { width: 1, weight: 2 })

  clearKeyOverrides(store, queue, 0)
  t.deepEqual(keysNow(store, queue).overrides, [])
  t.is(queue.keysVersion, 4)
  t.like(store.keyNow(queue, 'k', 0), { width: 5, weight: 1 })
})
