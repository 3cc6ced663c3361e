/** Whether a waiting job may start, and what its start is charged to. */
import test from 'ava'
import { Admission, claimFacts, grantOfCharges, noCharges } from '../../../../persistence/durable/execute/admission.ts'
import { ruleOf } from '../../../../testing/history-builder.ts'
import { LimitsInMaps, type MapQueue, mapQueue } from '../../../support/limits-in-maps.ts'

const gateway = ruleOf(1, 1_000, { name: 'gateway' })

function admission(queue: MapQueue, limits: LimitsInMaps, now = 0): Admission<MapQueue, ReturnType<typeof keyOf>> {
  return new Admission(limits.store, queue, claimFacts(limits.store, queue, { now }, 9), queue.heldKeys)
}
const keyOf = (queue: MapQueue, limits: LimitsInMaps, name: string) => limits.store.keyNow(queue, name, 0)

test('admission: a queue without rules refuses no job, and charges none', t => {
  const [queue, limits] = [mapQueue(), new LimitsInMaps()]

  t.is(admission(queue, limits).obstacle('k', undefined), undefined)
  t.is(admission(queue, limits).charge(undefined), noCharges)
})

test('admission: a job that the rate of the queue refuses ends the claim', t => {
  const [queue, limits] = [mapQueue(ruleOf(1, 1_000)), new LimitsInMaps()]
  const claim = admission(queue, limits)
  claim.charge(undefined)

  t.like(claim.obstacle(undefined, { tokens: 2 }), {
    kind: 'queueWaits',
    refusal: { why: 'rate' },
    cost: { tokens: 2 },
  })
})

test('admission: a job that its key refuses leaves the claim to other keys', t => {
  const [queue, limits] = [mapQueue(), new LimitsInMaps()]
  queue.overrides.set('k', { width: 1 })
  limits.bodies.set('k', 1)
  const claim = admission(queue, limits)

  t.like(claim.obstacle('k', undefined, keyOf(queue, limits, 'k')), { kind: 'keyWaits', refusal: { why: 'width' } })
  t.is(claim.obstacle('l', undefined, keyOf(queue, limits, 'l')), undefined)
})

test('admission: a held key refuses its jobs where keys are not sorted', t => {
  const [queue, limits] = [mapQueue(), new LimitsInMaps()]
  queue.heldKeys.set('k', 50)

  t.like(admission(queue, limits).obstacle('k', undefined), { kind: 'keyWaits', refusal: { why: 'hold', until: 50 } })
  t.is(admission(queue, limits, 50).obstacle('k', undefined), undefined)
})

test('admission: a job that costs more than a whole window fails', t => {
  const [queue, limits] = [mapQueue(ruleOf(4, 1_000, { unit: 'tokens' })), new LimitsInMaps()]

  const obstacle = admission(queue, limits).obstacle(undefined, { tokens: 5 })

  t.is(obstacle?.kind, 'fails')
  t.regex((obstacle as { error: string }).error, /COST/)
})

test('admission: a start is charged to the queue, to the key and to the named rules, and all of them count', t => {
  const [queue, limits] = [mapQueue(ruleOf(9, 1_000), gateway), new LimitsInMaps(gateway)]
  queue.overrides.set('k', { rate: [ruleOf(1, 1_000)] })
  const claim = admission(queue, limits)

  const charges = claim.charge(undefined, keyOf(queue, limits, 'k'))

  t.like(charges, { grant: 1, keyStart: 1, ruleStarts: [{ of: 'rule', name: 'gateway', start: 1 }] })
  t.deepEqual(grantOfCharges('k', charges), {
    start: 1,
    further: [
      { of: 'key', name: 'k', start: 1 },
      { of: 'rule', name: 'gateway', start: 1 },
    ],
  })
  t.like(claim.obstacle('k', undefined, keyOf(queue, limits, 'k')), { kind: 'keyWaits', refusal: { why: 'rate' } })
  t.like(claim.obstacle('l', undefined, keyOf(queue, limits, 'l')), { kind: 'queueWaits', refusal: { rule: gateway } })
})

test('admission: the grace of a claim follows the shortest window of all rules for it', t => {
  const [queue, limits] = [mapQueue(ruleOf(1, 60_000), ruleOf(1, 2_000, { name: 'gateway' })), new LimitsInMaps()]
  const facts = () => claimFacts(limits.store, queue, { now: 0 }, 9)

  t.like(facts(), { isRated: true, graceMs: 250 })
  limits.rules.clear()
  const shared = new LimitsInMaps(ruleOf(1, 2_000, { name: 'gateway' }))
  t.is(claimFacts(shared.store, queue, { now: 0 }, 9).graceMs, 100)
  t.false(claimFacts(limits.store, mapQueue(), { now: 0 }, 9).isRated)
})
