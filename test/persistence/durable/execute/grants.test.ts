/** What becomes of the starts that a claim has charged. */
import test from 'ava'
import type { Grant } from '../../../../lib/backlog.ts'
import {
  confirmStarts,
  correctStarts,
  countedUntil,
  refundStarts,
  returnStarts,
} from '../../../../persistence/durable/execute/grants.ts'
import { rateOfKey } from '../../../../persistence/durable/simple-store/all-keys.ts'
import { ruleOf } from '../../../../testing/history-builder.ts'
import { LimitsInMaps, type MapQueue, mapQueue } from '../../../support/limits-in-maps.ts'

const rule = ruleOf(1, 1_000)
const gateway = ruleOf(1, 1_000, { name: 'gateway' })

/** A job of key `k` that was granted at 0, with a grace of 50 ms, by the queue, its key and a named rule. */
function granted(of = rule): {
  queue: MapQueue
  limits: LimitsInMaps
  grant: Grant
  usedAt: (now: number) => boolean[]
} {
  const queue = mapQueue(of, gateway)
  const limits = new LimitsInMaps(gateway)
  queue.overrides.set('k', { rate: [of] })
  const rates = [queue.rate, rateOfKey(queue, { name: 'k' }), limits.rules.get('gateway')?.rate as typeof queue.rate]
  const [start, ofKey, ofRule] = rates.map(rate => rate.grant(undefined, 0, 50)) as [number, number, number]
  const further = [
    { of: 'key', name: 'k', start: ofKey },
    { of: 'rule', name: 'gateway', start: ofRule },
  ] as const
  const usedAt = (now: number): boolean[] => rates.map(rate => (rate.blocking(undefined, now)?.until ?? now) > now)
  return { queue, limits, grant: { start, further }, usedAt }
}

test('grants: a launch moves each start to its instant, and the grace gets shorter', t => {
  const { queue, limits, grant, usedAt } = granted()
  queue.graceFactor = 2

  confirmStarts(limits.store, queue, grant, 10, 10)

  t.deepEqual(usedAt(1_009), [true, true, true])
  t.deepEqual(usedAt(1_010), [false, false, false])
  t.is(queue.graceFactor, 1.96)
  t.deepEqual(limits.recounted, ['k', 'gateway'])
})

test('grants: an unconfirmed start counts at the end of its grace in every rate', t => {
  const { queue, limits, grant, usedAt } = granted()

  t.is(countedUntil(limits.store, queue, grant), 50)
  t.deepEqual(
    [usedAt(1_049), usedAt(1_050)],
    [
      [true, true, true],
      [false, false, false],
    ],
  )
  t.is(countedUntil(limits.store, queue, 0), Infinity)
})

test('grants: the start of a forgotten rule counts no longer', t => {
  const { queue, limits, grant } = granted()
  limits.rules.clear()

  t.is(countedUntil(limits.store, queue, grant), -Infinity)
  t.notThrows(() => refundStarts(limits.store, queue, grant, 10))
})

test('grants: a refund frees each start', t => {
  const { queue, limits, grant, usedAt } = granted()

  refundStarts(limits.store, queue, grant, 10)

  t.deepEqual(usedAt(10), [false, false, false])
})

test('grants: a job that goes back within its grace leaves the grace as it is, and one that is late doubles it', t => {
  const inTime = granted()
  returnStarts(inTime.limits.store, inTime.queue, inTime.grant, 49)
  const late = granted()
  returnStarts(late.limits.store, late.queue, late.grant, 50)

  t.is(inTime.queue.graceFactor, 1)
  t.true(late.queue.graceFactor >= 2)
  t.deepEqual(
    [inTime.usedAt(50), late.usedAt(50)],
    [
      [false, false, false],
      [false, false, false],
    ],
  )
})

test('grants: a corrected cost replaces the reserved one', t => {
  const [queue, limits] = [mapQueue(ruleOf(10, 1_000, { unit: 'tokens' })), new LimitsInMaps()]
  const grant = queue.rate.grant({ tokens: 10 }, 0, 0)

  correctStarts(limits.store, queue, grant, { tokens: 4 }, 0)

  t.is(queue.rate.blocking({ tokens: 6 }, 1), undefined)
  t.is(queue.rate.blocking({ tokens: 7 }, 1)?.until, 1_000)
})
