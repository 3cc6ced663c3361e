import test from 'ava'
import { unlimited } from '../../../lib/limits/limit.ts'
import { refusalOf } from '../../../lib/limits/limits.ts'
import {
  blockingByRules,
  chargeRules,
  type NamedRule,
  nextInTurn,
  noteWaits,
  refusalByRules,
} from '../../../lib/limits/named-rules.ts'
import { patienceMs, RuleTurns } from '../../../lib/limits/rule-turns.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import { parseRate, type Rule } from '../../../lib/rate/rules.ts'

const rateOf = (...rules: Rule[]): Rate => new Rate(parseRate('rate', rules))
const named = (rule: Rule): NamedRule => ({
  ...{ name: rule.name ?? 'gateway', rate: rateOf({ name: 'gateway', ...rule }), turns: new RuleTurns() },
})
const own = rateOf()
const requester = (queue: number) => ({ queue, worker: 0 })
const wants = (count: number, cost?: Record<string, number>) => ({ cost, wants: count })

test('named rules: a job is refused by the rule that lasts longest, by its name, and nothing is charged', t => {
  const rules = [named({ limit: 1, per: 100 }), named({ name: 'slow', limit: 1, per: 1_000 })]
  const starts = chargeRules(rules, 1, undefined, 0, 0)
  t.deepEqual(
    starts.map(({ of, name }) => [of, name]),
    [
      ['rule', 'gateway'],
      ['rule', 'slow'],
    ],
  )

  const refusal = refusalByRules(own, rules, 2, undefined, 100)

  t.like(refusal, { why: 'rate', until: 1_000, rule: { name: 'slow' }, never: false })
  t.is(refusalByRules(rateOf({ limit: 1, per: 1 }), rules, 2, undefined, 1_000), undefined)
  t.like(refusalByRules(own, [named({ limit: 9, per: 1, of: 'tokens' })], 2, { tokens: 10 }, 0), { never: true })
})

test('named rules: the turn of another queue refuses until there is capacity for both, or that queue is late', t => {
  const rule = named({ limit: 2, per: 1_000 })
  chargeRules([rule], 1, undefined, 0, 0)
  chargeRules([rule], 1, undefined, 500, 0)
  noteWaits(own, [rule], requester(2), wants(1), 600)

  t.is(refusalByRules(own, [rule], 2, undefined, 1_000), undefined)
  t.like(refusalByRules(own, [rule], 1, undefined, 1_000), { why: 'rate', until: 1_000 + patienceMs })
  chargeRules([rule], 2, undefined, 1_000, 0)
  noteWaits(own, [rule], requester(2), undefined, 1_000)
  t.is(refusalByRules(own, [rule], 1, undefined, 1_500), undefined)
})

test('named rules: a job that costs nothing in a rule waits for no turn, and no queue waits for its turn', t => {
  const rule = named({ limit: 5, per: 1_000, of: 'tokens' })
  chargeRules([rule], 1, { tokens: 5 }, 0, 0)
  noteWaits(own, [rule], requester(2), wants(1, { tokens: 5 }), 0)

  t.is(refusalByRules(own, [rule], 1, {}, 1_000), undefined)
  t.like(refusalByRules(own, [rule], 1, { tokens: 1 }, 1_000), { why: 'rate' })
  noteWaits(own, [rule], requester(3), wants(1, {}), 0)
  t.deepEqual(
    rule.turns.waits.map(({ queue }) => queue),
    [2],
  )
})

test('named rules: a queue waits only if a named rule refuses its job, and its wait has an end', t => {
  const rule = named({ limit: 1, per: 1_000 })
  t.false(noteWaits(rateOf({ limit: 1, per: 1 }), [rule], requester(1), wants(3), 0))
  t.is(rule.turns.waits.length, 0)
  chargeRules([rule], 1, undefined, 0, 0)

  t.false(noteWaits(own, [rule], requester(1), wants(3), 0))
  t.like(rule.turns.waits[0], { queue: 1, wants: 3, amount: 1, from: -1_000, until: 1_000 + patienceMs })
  t.true(noteWaits(own, [rule], requester(1), undefined, 0))
  t.is(rule.turns.waits.length, 0)
})

test('named rules: capacity is left in each rule from one window before all have capacity', t => {
  const [quick, slow] = [named({ limit: 1, per: 100 }), named({ name: 'slow', limit: 1, per: 60_000 })]
  chargeRules([quick, slow], 1, undefined, 0, 0)

  noteWaits(own, [quick, slow], requester(1), wants(1), 0)

  t.is(quick.turns.waits[0]?.from, 60_000 - 100)
  t.is(slow.turns.waits[0]?.from, 100 - 60_000)
  t.is(refusalByRules(own, [quick], 2, undefined, 59_000), undefined)
  t.like(refusalByRules(own, [quick], 2, undefined, 59_950), { why: 'rate' })
})

test('named rules: the reported rule is never a turn of another queue', t => {
  const rule = named({ limit: 1, per: 1_000 })
  t.is(blockingByRules(own, [rule], undefined, 0), undefined)
  chargeRules([rule], 1, undefined, 0, 0)
  noteWaits(own, [rule], requester(1), wants(1), 0)

  t.like(blockingByRules(rateOf({ limit: 1, per: 1 }), [rule], undefined, 10), {
    until: 1_000,
    rule: { name: 'gateway' },
  })
  t.is(blockingByRules(own, [rule], undefined, 1_000), undefined)
})

test('named rules: a hold of a rule holds every queue that has it', t => {
  const rule = named({ limit: 9, per: 1_000 })
  rule.rate.hold(700)

  t.like(refusalByRules(own, [rule], 1, undefined, 0), { why: 'hold', until: 700, rule: { limit: 9 } })
  t.is(refusalOf({ ...unlimited, rate: rule.rate }, undefined, 700), undefined)
})

test('named rules: next are the first that waits and those that may take what it leaves, in their order', t => {
  const rule = named({ limit: 10, per: 1_000, of: 'tokens' })
  const next = (now: number): number[] => nextInTurn(rule, now).map(({ queue }) => queue)
  const wait = (queue: number, amount: number, from = -Infinity): void =>
    rule.turns.wait({ queue, worker: 0, wants: 1, amount, from, until: 2_000 })
  t.deepEqual(next(0), [])
  chargeRules([rule], 9, { tokens: 4 }, 0, 0)
  wait(1, 2)
  wait(2, 3)
  wait(3, 9, 500)
  wait(4, 1)
  wait(5, 7)
  wait(6, 1)

  // Queue 3 is not waited for yet. Queue 5 has no capacity, which those behind it leave to it.
  t.deepEqual(next(0), [1, 2, 4])
  rule.turns.leave(2, 0)
  t.deepEqual(next(0), [1, 4])
  t.deepEqual(next(500), [1])
  rule.rate.hold(100)
  t.deepEqual(next(0), [1])
  t.deepEqual(next(2_000), [])
})
