import test from 'ava'
import { systemClock as clock } from '../../lib/clock.ts'

const ring = (ms: number, precise: boolean): Promise<number> => {
  const instant = clock.now() + ms
  return new Promise(resolve => clock.at(instant, () => resolve(clock.now() - instant), precise))
}

for (const precise of [false, true]) {
  test(`clock: a ${precise ? 'precise' : 'plain'} timer is never early`, async t => {
    const late = await Promise.all([-5, 0, 0.2, 1, 1.4, 3.7, 10.1].map(ms => ring(ms, precise)))
    t.true(
      late.every(ms => ms >= 0),
      String(late),
    )
  })
}

test('clock: a timer rings in a turn of its own', async t => {
  let rung = false
  const done = new Promise<void>(resolve => clock.at(0, () => resolve(void (rung = true))))
  t.false(rung)
  await done
  t.true(rung)
})

test('clock: an instant further than 2^31 ms away does not ring at once', async t => {
  let rung = 0
  const far = [2 ** 31, 2 ** 33, Infinity].map(ms => clock.at(clock.now() + ms, () => rung++))
  await ring(10, false)
  for (const timer of far) timer.cancel()
  t.is(rung, 0)
})

test('clock: what was cancelled does not happen', async t => {
  let rung = 0
  clock.at(clock.now() + 1, () => rung++).cancel()
  clock.at(0, () => rung++).cancel()
  clock.soon(() => rung++).cancel()
  await ring(5, false)
  t.is(rung, 0)
})

test('the origin of the system is where the steady clock of the host is, however busy that is', t => {
  const { offsetMs } = clock.origin as { offsetMs: number }
  // The host's clock is read between two readings of ours: the closest pair of many bounds what the offset may be.
  let [least, most] = [-Infinity, Infinity]
  for (let i = 0; i < 1_000; i++) {
    const before = clock.now()
    const host = Number(process.hrtime.bigint()) / 1e6
    const after = clock.now()
    least = Math.max(least, host - after)
    most = Math.min(most, host - before)
  }

  t.true(offsetMs > least - 0.5 && offsetMs < most + 0.5, `${offsetMs} is not within ${least} and ${most}`)
})
