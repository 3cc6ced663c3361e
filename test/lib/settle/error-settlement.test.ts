import test from 'ava'
import { OptionError, RuleUnknownError } from '../../../lib/errors.ts'
import { RetryLater, Throttled, Unrecoverable } from '../../../lib/settle/control-errors.ts'
import { type ErrorFacts, type ErrorSettlement, settlementOfError } from '../../../lib/settle/error-settlement.ts'

const wall = 1_700_000_000_000
const retry = { attempts: 9, delayMs: 1_000, factor: 2, maxMs: 10_000, jitter: false }
const settled = (error: unknown, facts: Partial<ErrorFacts> = {}): ErrorSettlement =>
  settlementOfError(error, {
    ...{ attempt: 1, retry, maxHoldMs: 60_000, chance: 0, wall, key: undefined, ruleNames: () => ['gateway'] },
    ...facts,
  })

test('settlement: an error means a retry until the attempts are used, and failed if it is unrecoverable', t => {
  const error = new Error('x')
  t.deepEqual(settled(error), {
    ...{ kind: 'retry', error, waitMs: 1_000 },
    ...{ heldKey: undefined, heldRule: undefined },
  })
  t.is(settled(error, { attempt: 9 }).kind, 'failed')
  t.is(settled(new Unrecoverable()).kind, 'failed')
})

test('settlement: RetryLater goes back, and Throttled holds at most as long as may be', t => {
  const later = settled(new RetryLater('2s'), { attempt: 9, maxHoldMs: 1 })
  t.deepEqual([later.kind, later.waitMs], ['snooze', 2_000])

  const held = settled(new Throttled('1h', { key: 'k' }), { attempt: 9, maxHoldMs: 5_000, key: 'other' })

  t.deepEqual([held.kind, held.waitMs, held.heldKey, held.heldRule], ['throttled', 5_000, 'k', undefined])
})

test('settlement: Throttled with `key` holds the key of the job, and the queue if the job has none', t => {
  const held = (key: string | undefined) => settled(new Throttled(1, { key: true }), { key })

  t.is(held('own').heldKey, 'own')
  t.is(held(undefined).heldKey, undefined)
  t.is(held(undefined).kind, 'throttled')
})

test('settlement: Throttled holds a named rule, with a key both, and fails the job if the queue has no such rule', t => {
  const both = settled(new Throttled('1h', { rule: 'gateway', key: true }), { key: 'own', maxHoldMs: 5_000 })
  t.like(both, { kind: 'throttled', waitMs: 5_000, heldKey: 'own', heldRule: 'gateway' })

  const unknown = settled(new Throttled(1, { rule: 'gatway' }))
  t.like(unknown, { kind: 'failed', waitMs: 0, heldRule: undefined })
  t.true(unknown.error instanceof RuleUnknownError)
  t.is(
    String(unknown.error),
    "RuleUnknownError: Throttled cannot hold the rule 'gatway': the queue has only 'gateway'; did you mean 'gateway'?",
  )
  const none = settled(new Throttled(1, { rule: 'x' }), { ruleNames: () => [] })
  t.regex(String(none.error), /the queue has no rule with a name; declare it in rate/)
})

test('settlement: without a Retry-After the wait is the delay of retry, and never 0', t => {
  for (const missing of [null, undefined, '']) {
    t.is(settled(new Throttled(missing), { retry: { ...retry, delayMs: 700 } }).waitMs, 700)
    t.is(settled(new RetryLater(missing), { retry: { ...retry, delayMs: 700 } }).waitMs, 700)
    t.is(settled(new Throttled(missing), { retry: { ...retry, delayMs: 0 } }).waitMs, 1_000)
  }
})

test('settlement: a date counts from the instant at which the error is read', t => {
  t.is(settled(new Throttled(new Date(wall + 3_000))).waitMs, 3_000)
  t.is(settled(new RetryLater(new Date(wall - 3_000))).waitMs, 0)
})

test('settlement: a foreign control error with invalid arguments fails the job with the error that says so', t => {
  const foreign = (fields: object): unknown => Object.assign(new Error('of another copy'), fields)

  const bad = settled(foreign({ code: 'RETRY_LATER', after: 'soonish' }))
  t.is(bad.kind, 'failed')
  t.true(bad.error instanceof OptionError)
  t.regex(String(bad.error), /RetryLater: after must be .*, got 'soonish'/)
  const key = settled(foreign({ code: 'THROTTLED', after: 1, key: null }))
  t.is(key.kind, 'failed')
  t.regex(String(key.error), /Throttled: key must be .*, got null/)
  const rule = settled(foreign({ code: 'THROTTLED', after: 1, rule: 7 }))
  t.is(rule.kind, 'failed')
  t.regex(String(rule.error), /Throttled: rule must be .*, got 7/)
})
