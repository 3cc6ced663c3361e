import test from 'ava'
import { systemClock as clock, offsetBetween } from '../../lib/clock.ts'

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

test('clock: a cancelled alarm does not ring', async t => {
  let rung = 0
  clock.at(clock.now() + 1, () => rung++).cancel()
  clock.at(0, () => rung++).cancel()
  clock.soon(() => rung++).cancel()
  await ring(5, false)
  t.is(rung, 0)
})

test('two clocks are compared where the process was not halted between the readings', t => {
  let now = 0
  const halts = [40, 0, 30, 25]
  const read = (): number => {
    now += 0.001 + (halts.shift() ?? 0)
    return now
  }

  const offsetMs = offsetBetween(
    () => 1_000 + read(),
    () => read(),
  )

  t.true(Math.abs(offsetMs - 1_000) < 0.01, `${offsetMs}`)
})
