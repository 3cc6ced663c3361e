import test from 'ava'
import fc from 'fast-check'
import { OptionError, RetryLater, Throttled, Unrecoverable } from '../../lib/errors.ts'
import { backoffMs, verdictOn } from '../../lib/settlement.ts'

const retry = { attempts: 9, delayMs: 1_000, factor: 2, maxMs: 10_000, jitter: false }

test('settlement: the backoff grows by its factor up to its most', t => {
  const waits = [1, 2, 3, 4, 5, 6, 2_000].map(attempt => backoffMs(attempt, retry, 0.5))
  t.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  t.is(backoffMs(5, { ...retry, factor: 1 }, 0), 1_000)
})

test('settlement: jitter stays in the upper half of the backoff', t => {
  t.is(backoffMs(1, { ...retry, jitter: true }, 0), 500)
  t.is(backoffMs(1, { ...retry, jitter: true }, 0.5), 750)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, chance) => {
      const full = backoffMs(attempt, retry, 0)
      const wait = backoffMs(attempt, { ...retry, jitter: true }, chance)
      return wait >= full / 2 && wait <= full
    }),
  )
  t.pass()
})

test('settlement: an error means again until the attempts are used, and failed when unrecoverable', t => {
  const error = new Error('x')
  t.deepEqual(verdictOn(error, 1, retry, 1, 0), { kind: 'again', error, waitMs: 1_000, heldKey: undefined })
  t.is(verdictOn(error, 9, retry, 1, 0).kind, 'failed')
  t.is(verdictOn(new Unrecoverable(), 1, retry, 1, 0).kind, 'failed')
})

test('settlement: RetryLater goes back, Throttled holds at most as long as may be, a bad duration fails', t => {
  const later = verdictOn(new RetryLater('2s'), 9, retry, 1, 0)
  t.deepEqual([later.kind, later.waitMs], ['back', 2_000])
  const held = verdictOn(new Throttled('1h', { key: 'k' }), 9, retry, 5_000, 0)
  t.deepEqual([held.kind, held.waitMs, held.heldKey], ['throttled', 5_000, 'k'])
  const bad = verdictOn(new RetryLater('soonish'), 1, retry, 1, 0)
  t.is(bad.kind, 'failed')
  t.true(bad.error instanceof OptionError)
})
