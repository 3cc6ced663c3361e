import test from 'ava'
import fc from 'fast-check'
import { OptionError } from '../../../lib/errors.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../../lib/settle/control-errors.ts'
import { backoffMs, settlementOfError } from '../../../lib/settle/error-settlement.ts'

const wall = 1_700_000_000_000
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
  t.deepEqual(settlementOfError(error, 1, retry, 1, 0, wall), {
    kind: 'retry',
    error,
    waitMs: 1_000,
    heldKey: undefined,
  })
  t.is(settlementOfError(error, 9, retry, 1, 0, wall).kind, 'failed')
  t.is(settlementOfError(new Unrecoverable(), 1, retry, 1, 0, wall).kind, 'failed')
})

test('settlement: RetryLater goes back, and Throttled holds at most as long as may be', t => {
  const later = settlementOfError(new RetryLater('2s'), 9, retry, 1, 0, wall)
  t.deepEqual([later.kind, later.waitMs], ['snooze', 2_000])

  const held = settlementOfError(new Throttled('1h', { key: 'k' }), 9, retry, 5_000, 0, wall)

  t.deepEqual([held.kind, held.waitMs, held.heldKey], ['throttled', 5_000, 'k'])
})

test('settlement: without a Retry-After the wait is the delay of retry, and never nothing', t => {
  for (const missing of [null, undefined, '']) {
    t.is(settlementOfError(new Throttled(missing), 1, { ...retry, delayMs: 700 }, 5_000, 0, wall).waitMs, 700)
    t.is(settlementOfError(new RetryLater(missing), 1, { ...retry, delayMs: 700 }, 5_000, 0, wall).waitMs, 700)
    t.is(settlementOfError(new Throttled(missing), 1, { ...retry, delayMs: 0 }, 5_000, 0, wall).waitMs, 1_000)
  }
})

test('settlement: a date counts from the instant at which the error is read', t => {
  const held = settlementOfError(new Throttled(new Date(wall + 3_000)), 1, retry, 60_000, 0, wall)
  t.is(held.waitMs, 3_000)
  t.is(settlementOfError(new RetryLater(new Date(wall - 3_000)), 1, retry, 60_000, 0, wall).waitMs, 0)
})

test('settlement: a foreign control error that asks for what cannot be fails the job with the error that says so', t => {
  const foreign = (fields: object): unknown => Object.assign(new Error('of another copy'), fields)

  const bad = settlementOfError(foreign({ code: 'RETRY_LATER', after: 'soonish' }), 1, retry, 1, 0, wall)
  t.is(bad.kind, 'failed')
  t.true(bad.error instanceof OptionError)
  t.regex(String(bad.error), /RetryLater: after must be .*, got 'soonish'/)
  const key = settlementOfError(foreign({ code: 'THROTTLED', after: 1, key: null }), 1, retry, 1, 0, wall)
  t.is(key.kind, 'failed')
  t.regex(String(key.error), /Throttled: key must be .*, got null/)
})

test('settlement: where the delay is 0 the backoff is 0, however many attempts there were', t => {
  for (const attempt of [1, 2, 1_024, 1_025, 1_100, Number.MAX_SAFE_INTEGER]) {
    t.is(backoffMs(attempt, { ...retry, delayMs: 0 }, 0.5), 0)
    t.is(backoffMs(attempt, { ...retry, delayMs: 0, factor: 1e300, jitter: true }, 0.5), 0)
  }
})
