import test from 'ava'
import type { Scope } from '../../../lib/limits/limit.ts'
import { refusalOf } from '../../../lib/limits/limits.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import { parseRate } from '../../../lib/rate/rules.ts'

const free: Scope = { paused: false, width: Infinity, bodies: 0, heldUntil: -Infinity, rate: undefined }
const rate = (limit: number, per: number, of?: string): Rate => new Rate(parseRate('rate', { limit, per, of }))

test('limits: a scope that nothing limits refuses nothing', t => {
  t.is(refusalOf(free, undefined, 0), undefined)
  t.is(refusalOf({ ...free, width: 1, heldUntil: 5, rate: rate(1, 9) }, undefined, 5), undefined)
})

test('limits: each kind refuses by its own name, and says until when if that is known', t => {
  const used = rate(1, 100)
  used.grant(undefined, 0, 0)

  t.like(refusalOf({ ...free, paused: true }, undefined, 0), { why: 'pause', until: Infinity, never: false })
  t.like(refusalOf({ ...free, width: 2, bodies: 2 }, undefined, 0), { why: 'width', until: Infinity })
  t.like(refusalOf({ ...free, width: 2, bodies: 3 }, undefined, 0), { why: 'width' })
  t.like(refusalOf({ ...free, width: 0 }, undefined, 0), { why: 'width' })
  t.like(refusalOf({ ...free, heldUntil: 7 }, undefined, 6), { why: 'hold', until: 7 })
  t.like(refusalOf({ ...free, rate: used }, undefined, 6), { why: 'rate', until: 100, rule: { limit: 1 } })
})

test('limits: the refusal that lasts longest is named, and one until an event lasts longer than any instant', t => {
  const used = rate(1, 100)
  used.grant(undefined, 0, 0)

  t.like(refusalOf({ ...free, heldUntil: 50, rate: used }, undefined, 6), { why: 'rate', until: 100 })
  t.like(refusalOf({ ...free, heldUntil: 150, rate: used }, undefined, 6), { why: 'hold', until: 150 })
  t.like(refusalOf({ ...free, heldUntil: 150, width: 0 }, undefined, 6), { why: 'width' })
  t.like(refusalOf({ ...free, paused: true, width: 0 }, undefined, 6), { why: 'pause' })
})

test('limits: a job that costs more than a whole window is refused for ever, whatever else refuses it', t => {
  const scope = { ...free, paused: true, rate: rate(10, 100, 'tokens') }

  t.like(refusalOf(scope, { tokens: 11 }, 0), { why: 'rate', never: true })
  t.like(refusalOf(scope, { tokens: 10 }, 0), { why: 'pause', never: false })
})
