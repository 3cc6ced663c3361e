import test from 'ava'
import { Alarm } from '../../../lib/dispatch/alarm.ts'
import { VirtualClock } from '../../../testing/index.ts'

test('alarm: rings once, at the instant that was set last', async t => {
  const clock = new VirtualClock()
  const rang: number[] = []
  const alarm = new Alarm(clock, () => rang.push(clock.now()))
  const from = clock.now()

  alarm.set(from + 50, from, false)
  alarm.set(from + 100, from, false)
  await clock.advance(1_000)
  t.deepEqual(rang, [from + 100])

  alarm.set(from + 1_200, clock.now(), true)
  await clock.advance(1_000)
  t.deepEqual(rang, [from + 100, from + 1_200])
})

test('alarm: Infinity, a past instant and cancel leave no alarm set', async t => {
  const clock = new VirtualClock()
  let rang = 0
  const alarm = new Alarm(clock, () => rang++)
  for (const never of [Infinity, clock.now(), clock.now() - 1]) {
    alarm.set(clock.now() + 50, clock.now(), false)
    alarm.set(never, clock.now(), false)
  }
  alarm.set(clock.now() + 50, clock.now(), false)
  alarm.cancel()

  await clock.advance(1_000)

  t.is(rang, 0)
})

test('alarm: the same instant may be set again after it was cancelled or rang', async t => {
  const clock = new VirtualClock()
  let rang = 0
  const alarm = new Alarm(clock, () => rang++)
  const at = clock.now() + 50

  alarm.set(at, clock.now(), false)
  alarm.set(at, clock.now(), false)
  alarm.cancel()
  alarm.set(at, clock.now(), false)
  await clock.advance(100)

  t.is(rang, 1)
})
