import test from 'ava'
import { Rate } from '../../../lib/rate/rate.ts'
import { explainWait } from '../../../lib/rules/explain.ts'

const now = 1_000
const wall = 50_000
const nothing = { due: undefined, keyHeldUntil: undefined, blocking: undefined }

test('explain: nothing holds the job up', t => {
  t.deepEqual(explainWait(nothing, now, wall), { notBefore: now, why: undefined, rule: undefined })
})

test('explain: a date counts from the wall clock', t => {
  const due = { clock: 'wall', at: wall + 30 } as const

  t.deepEqual(explainWait({ ...nothing, due }, now, wall), { notBefore: now + 30, why: 'delay', rule: undefined })
})

test('explain: of several bounds the latest is the reason', t => {
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
  const blocking = rate.blocking(undefined, now)

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

  const held = explainWait({ ...nothing, blocking: rate.blocking(undefined, now) }, now, wall)

  t.deepEqual(held, { notBefore: now + 40, why: 'hold', rule: undefined })
})
