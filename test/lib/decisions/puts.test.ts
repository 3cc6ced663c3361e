import test from 'ava'
import { neverStarts, refuseCost, refuseOtherPayload, refuseOverfull } from '../../../lib/decisions/puts.ts'
import { CostError, IdConflictError, QueueFullError } from '../../../lib/errors.ts'
import { Rate } from '../../../lib/rate/rate.ts'
import type { RateRule } from '../../../lib/rate/rules.ts'

const tokens: RateRule = { limit: 10, perMs: 1_000, unit: 'tokens', burst: undefined } as never

test('puts: a given id stands for one payload', t => {
  t.throws(() => refuseOtherPayload('a', 'one', 'other'), { instanceOf: IdConflictError, message: /\ba\b/ })
  t.notThrows(() => refuseOtherPayload('a', 'one', 'one'))
  t.notThrows(() => refuseOtherPayload('a', 'one', undefined))
  t.notThrows(() => refuseOtherPayload('a', 'one', null))
})

test('puts: a cost names units that the rules have and fits into each limit', t => {
  const rate = new Rate([tokens])

  t.notThrows(() => refuseCost(undefined, rate))
  t.notThrows(() => refuseCost({ tokens: 10 }, rate))
  t.throws(() => refuseCost({ tokens: 11 }, rate), { instanceOf: CostError })
  t.throws(() => refuseCost({ toekns: 1 }, rate), { message: /toekns/ })
})

test('puts: a cost may name units of the rules for its key and for keys in general, and fits into those of its key', t => {
  const rate = new Rate([tokens])
  const images: RateRule = { limit: 2, perMs: 1_000, unit: 'images', burst: undefined }

  t.throws(() => refuseCost({ images: 1 }, rate), { message: /images/ })
  t.notThrows(() => refuseCost({ images: 2, tokens: 1 }, rate, [images]))
  t.throws(() => refuseCost({ images: 3 }, rate, [images]), { instanceOf: CostError })
  t.notThrows(() => refuseCost({ images: 3 }, rate, [], [images]))
  t.throws(() => refuseCost({ image: 1 }, new Rate([]), [], [images]), { message: /did you mean cost\.images\?$/ })
})

test('puts: a job that can never start fails with its cost and the limit', t => {
  const { unit, cost, limit } = neverStarts({ tokens: 11 }, tokens)

  t.deepEqual([unit, cost, limit], ['tokens', 11, 10])
})

test('puts: a queue takes new jobs up to its size, and any number that exist already', t => {
  t.notThrows(() => refuseOverfull(2, 5, 3))
  t.throws(() => refuseOverfull(3, 5, 3), { instanceOf: QueueFullError })
  t.notThrows(() => refuseOverfull(0, 5, 9))
})
