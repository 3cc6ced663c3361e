import test from 'ava'
import { VirtualClock } from '../../testing/index.ts'

test('testing: time stands still until it is turned, and each alarm rings at its instant, in order', async t => {
  const clock = new VirtualClock({ now: 100, wall: 5_000 })
  const rung: (readonly [string, number])[] = []
  clock.at(130, () => rung.push(['late', clock.now()]))
  clock.at(110, () => rung.push(['early', clock.now()]))
  clock.at(110, () => rung.push(['second', clock.now()]))
  clock.at(120, () => rung.push(['never', clock.now()])).cancel()

  await clock.advance(25)
  t.deepEqual(rung, [
    ['early', 110],
    ['second', 110],
  ])
  await clock.advance(5)

  t.deepEqual(rung[2], ['late', 130])
  t.deepEqual([clock.now(), clock.wall()], [130, 5_030])
})

test('testing: alarms ring late on a blocked loop, and a jump of the wall clock does not move the steady one', async t => {
  const clock = new VirtualClock()
  let rungAt = 0
  clock.at(10, () => {
    rungAt = clock.now()
  })
  clock.block(50)
  clock.jumpWall(-1_000_000)
  t.is(rungAt, 0)
  await clock.advance(0)

  t.is(rungAt, 50)
  t.is(clock.wall(), 1_700_000_000_050 - 1_000_000)
})

test('testing: advance rejects where time would never pass, and not because many alarms ring at once', async t => {
  const clock = new VirtualClock()
  let rung = 0
  for (let i = 0; i < 11_000; i++) clock.at(5, () => rung++)
  const again = (): void => void clock.at(clock.now(), again)
  await clock.advance(10)
  t.is(rung, 11_000)

  again()

  await t.throwsAsync(clock.advance(10), { message: /^time stands still at 10 ms: 10000 alarms in a row/ })
})

test('testing: the same seed gives the same random numbers', t => {
  const chances = (seed: number): number[] => {
    const clock = new VirtualClock({ seed })
    return Array.from({ length: 5 }, () => clock.random())
  }

  t.deepEqual(chances(7), chances(7))
  t.notDeepEqual(chances(7), chances(8))
  t.true(chances(7).every(chance => chance >= 0 && chance < 1))
})
