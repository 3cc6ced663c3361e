import test from 'ava'
import { explainWait, limitedBy, reasonInQueue } from '../../../lib/decisions/explain.ts'
import { blockingByRules } from '../../../lib/limits/named-rules.ts'
import { RuleTurns } from '../../../lib/limits/rule-turns.ts'
import { Rate } from '../../../lib/rate/rate.ts'

const now = 1_000
const wall = 50_000
const nothing = { due: undefined, keyHeldUntil: undefined, blocking: undefined }

test('explain: a job that nothing holds up has no reason to wait', t => {
  t.deepEqual(explainWait(nothing, now, wall), { notBefore: now, why: undefined, rule: undefined })
})

test('explain: a date is compared with the wall clock', t => {
  const due = { clock: 'wall', at: wall + 30 } as const

  t.deepEqual(explainWait({ ...nothing, due }, now, wall), { notBefore: now + 30, why: 'delay', rule: undefined })
})

test('explain: the latest of several bounds is the reason', t => {
  const due = { clock: 'steady', at: now + 30 } as const

  t.is(explainWait({ ...nothing, due, keyHeldUntil: now + 40 }, now, wall).why, 'hold')
  t.is(explainWait({ ...nothing, due, keyHeldUntil: now + 20 }, now, wall).why, 'delay')
  t.is(explainWait({ ...nothing, due, keyHeldUntil: now + 30 }, now, wall).why, 'delay')
})

test('explain: bounds that have passed hold nothing up', t => {
  const due = { clock: 'steady', at: now - 1 } as const

  t.is(explainWait({ ...nothing, due, keyHeldUntil: now }, now, wall).why, undefined)
})

test('explain: a rule is named only where the rate is the reason', t => {
  const rule = { limit: 1, perMs: 100, unit: undefined, burst: undefined } as never
  const rate = new Rate([rule])
  rate.grant(undefined, now, 0)
  const blocking = blockingByRules(rate, [], undefined, now)

  const byRate = explainWait({ ...nothing, blocking }, now, wall)
  const byKey = explainWait({ ...nothing, blocking, keyHeldUntil: now + 1_000 }, now, wall)

  t.is(byRate.why, 'rate')
  t.is(byRate.rule, blocking?.rule)
  t.true(byRate.notBefore > now)
  t.deepEqual(byKey, { notBefore: now + 1_000, why: 'hold', rule: undefined, ofKey: true })
})

test('explain: a hold of the whole rate is a hold, and no rule', t => {
  const rate = new Rate([])
  rate.hold(now + 40)

  const held = explainWait({ ...nothing, blocking: blockingByRules(rate, [], undefined, now) }, now, wall)

  t.deepEqual(held, { notBefore: now + 40, why: 'hold', rule: undefined })
})

test('explain: a hold of a named rule is a hold, with that rule', t => {
  const rule = { limit: 1, perMs: 100, unit: undefined, burst: undefined, name: 'gateway' } as never
  const rate = new Rate([rule])
  rate.hold(now + 40)
  const shared = { name: 'gateway', rate, turns: new RuleTurns() }

  const held = explainWait({ ...nothing, blocking: blockingByRules(new Rate([]), [shared], undefined, now) }, now, wall)

  t.deepEqual(held, { notBefore: now + 40, why: 'hold', rule })
  t.deepEqual(limitedBy({ why: 'hold', rule }, 7), { rule, until: 7, hold: true })
  t.deepEqual(limitedBy({ why: 'hold', rule: undefined, key: 'k' }, 7), { rule: undefined, key: 'k', until: 7 })
  t.deepEqual(limitedBy({ why: 'rate', rule }, 7), { rule, until: 7 })
})

test('explain: a suspect is named only if nothing else holds the job up', t => {
  const due = { clock: 'steady', at: now + 30 } as const

  t.is(explainWait({ ...nothing, waitsForSuspect: true }, now, wall).why, 'suspect')
  t.is(explainWait({ ...nothing, due, waitsForSuspect: true }, now, wall).why, 'delay')
})

test('explain: of several reasons a stop comes first, then pauses, then limits of the key, then the width', t => {
  const facts = { stopping: true, pausedHere: true, sharedPaused: true, isFull: true }
  const ofKey = { why: 'rate', key: 'tenant' } as const

  t.is(reasonInQueue(ofKey, 1, facts), 'stopped')
  t.is(reasonInQueue(ofKey, 1, { ...facts, stopping: false }), 'paused')
  t.is(reasonInQueue(ofKey, 1, { ...facts, stopping: false, pausedHere: false }), 'shared pause')
  const running = { ...facts, stopping: false, pausedHere: false, sharedPaused: false }
  t.is(reasonInQueue(ofKey, 1, running), 'rate')
  t.is(reasonInQueue({ why: 'rate' }, 1, running), 'width')
  t.is(reasonInQueue({ why: 'delay' }, 1, running), 'delay')
  t.is(reasonInQueue({ why: undefined }, 1, { ...running, isFull: false }), 'behind others')
  t.is(reasonInQueue({ why: undefined }, 0, { ...running, isFull: false }), undefined)
})
