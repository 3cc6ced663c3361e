import test from 'ava'
import fc from 'fast-check'
import { backoffMs } from '../../../lib/settle/backoff.ts'

const retry = { attempts: 9, delayMs: 1_000, factor: 2, maxMs: 10_000, jitter: false }

test('backoff: the backoff grows by its factor up to its most', t => {
  const waits = [1, 2, 3, 4, 5, 6, 2_000].map(attempt => backoffMs(attempt, retry, 0.5))
  t.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  t.is(backoffMs(5, { ...retry, factor: 1 }, 0), 1_000)
})

test('backoff: jitter stays in the upper half of the backoff', t => {
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

test('backoff: where the delay is 0 the backoff is 0, however many attempts there were', t => {
  for (const attempt of [1, 2, 1_024, 1_025, 1_100, Number.MAX_SAFE_INTEGER]) {
    t.is(backoffMs(attempt, { ...retry, delayMs: 0 }, 0.5), 0)
    t.is(backoffMs(attempt, { ...retry, delayMs: 0, factor: 1e300, jitter: true }, 0.5), 0)
  }
})
