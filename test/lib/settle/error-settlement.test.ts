import test from 'ava'
import { OptionError } from '../../../lib/errors.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../../lib/settle/control-errors.ts'
import { settlementOfError } from '../../../lib/settle/error-settlement.ts'

const wall = 1_700_000_000_000
const retry = { attempts: 9, delayMs: 1_000, factor: 2, maxMs: 10_000, jitter: false }

test('settlement: an error means again until the attempts are used, and failed when unrecoverable', t => {
  const error = new Error('x')
  t.deepEqual(settlementOfError(error, 1, retry, 1, 0, wall, undefined), {
    kind: 'retry',
    error,
    waitMs: 1_000,
    heldKey: undefined,
  })
  t.is(settlementOfError(error, 9, retry, 1, 0, wall, undefined).kind, 'failed')
  t.is(settlementOfError(new Unrecoverable(), 1, retry, 1, 0, wall, undefined).kind, 'failed')
})

test('settlement: RetryLater goes back, and Throttled holds at most as long as may be', t => {
  const later = settlementOfError(new RetryLater('2s'), 9, retry, 1, 0, wall, undefined)
  t.deepEqual([later.kind, later.waitMs], ['snooze', 2_000])

  const held = settlementOfError(new Throttled('1h', { key: 'k' }), 9, retry, 5_000, 0, wall, 'other')

  t.deepEqual([held.kind, held.waitMs, held.heldKey], ['throttled', 5_000, 'k'])
})

test('settlement: Throttled holds the key of the job if asked to, and the queue if the job has none', t => {
  const held = (key: string | undefined) =>
    settlementOfError(new Throttled(1, { key: true }), 1, retry, 9, 0, wall, key)

  t.is(held('own').heldKey, 'own')
  t.is(held(undefined).heldKey, undefined)
  t.is(held(undefined).kind, 'throttled')
})

test('settlement: without a Retry-After the wait is the delay of retry, and never nothing', t => {
  for (const missing of [null, undefined, '']) {
    t.is(
      settlementOfError(new Throttled(missing), 1, { ...retry, delayMs: 700 }, 5_000, 0, wall, undefined).waitMs,
      700,
    )
    t.is(
      settlementOfError(new RetryLater(missing), 1, { ...retry, delayMs: 700 }, 5_000, 0, wall, undefined).waitMs,
      700,
    )
    t.is(
      settlementOfError(new Throttled(missing), 1, { ...retry, delayMs: 0 }, 5_000, 0, wall, undefined).waitMs,
      1_000,
    )
  }
})

test('settlement: a date counts from the instant at which the error is read', t => {
  const held = settlementOfError(new Throttled(new Date(wall + 3_000)), 1, retry, 60_000, 0, wall, undefined)
  t.is(held.waitMs, 3_000)
  t.is(settlementOfError(new RetryLater(new Date(wall - 3_000)), 1, retry, 60_000, 0, wall, undefined).waitMs, 0)
})

test('settlement: a foreign control error that asks for what cannot be fails the job with the error that says so', t => {
  const foreign = (fields: object): unknown => Object.assign(new Error('of another copy'), fields)

  const bad = settlementOfError(foreign({ code: 'RETRY_LATER', after: 'soonish' }), 1, retry, 1, 0, wall, undefined)
  t.is(bad.kind, 'failed')
  t.true(bad.error instanceof OptionError)
  t.regex(String(bad.error), /RetryLater: after must be .*, got 'soonish'/)
  const key = settlementOfError(foreign({ code: 'THROTTLED', after: 1, key: null }), 1, retry, 1, 0, wall, undefined)
  t.is(key.kind, 'failed')
  t.regex(String(key.error), /Throttled: key must be .*, got null/)
})
