import test from 'ava'
import { factorAfterLaunch, factorAfterReturn, graceMs, isLate } from '../../../lib/decisions/grace.ts'

const second = [{ perMs: 1_000 }]
const hour = [{ perMs: 3_600_000 }]

test('grace: a grant counts for 250 ms, or for a twentieth of the shortest window', t => {
  t.is(graceMs([]), 250)
  t.is(graceMs(hour), 250)
  t.is(graceMs([...hour, ...second]), 50)
})

test('grace: a possible clock error lengthens the grace by twice that error, beyond any bound', t => {
  t.is(graceMs(second, 1, 40), 130)
  t.is(graceMs(second, 1_000, 40), 5_080)
})

test('grace: each return that came too late doubles the grace, up to 5 s', t => {
  let factor = 1
  const graces = Array.from({ length: 9 }, () => {
    factor = factorAfterReturn(factor, second)
    return graceMs(second, factor)
  })

  t.deepEqual(graces, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
  t.is(factorAfterReturn(factor, second), factor)
})

test('grace: each launch in time takes 2 % off, and never makes the grace shorter than it began', t => {
  t.is(factorAfterLaunch(4), 3.92)
  t.is(factorAfterLaunch(1.01), 1)
  t.is(factorAfterLaunch(1), 1)
})

test('grace: a job goes back late from the end of its grace on, and if its start is not remembered any more', t => {
  t.deepEqual([isLate(5, 4), isLate(5, 5), isLate(5, 6), isLate(undefined, 0)], [false, true, true, true])
})
