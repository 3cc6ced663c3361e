/** A share of `npm run limit`: the first lines of real processes in real time, some of them halted. */
import test from 'ava'
import { randomOf } from '../support/random.ts'
import { attempt, type Trial, trials } from './trial.ts'

const share = (form: string, place: Trial['place'], halts: boolean): Trial => {
  const trial = trials.find(one => one.form === form && one.place === place && one.halts === halts)
  return { ...(trial as Trial), windows: 5 }
}

for (const [seed, trial] of [
  share('a generator function', 'in memory', false),
  share('an async generator function', 'in memory', true),
  share('a function', 'on a file', true),
  share('a generator function', 'in four processes on a file', true),
].entries()) {
  const { form, place, halts, rate } = trial
  test.serial(`limit: ${form} ${place}${halts ? ', halted at random' : ''}: no window exceeds its limit`, async t => {
    const { starts, worst, halted } = await attempt(trial, randomOf(seed))

    t.true(starts >= rate.limit * trial.windows)
    t.true(worst <= rate.limit, `${worst} first lines in a window`)
    t.is(halted > 0, halts)
  })
}
