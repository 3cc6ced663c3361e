/**
 * Whom the deaths of real processes condemn. What is tried here once, test/flow/blame.test.ts tries in every way,
 * simulated.
 */
import test from 'ava'
import { runPoison } from '../support/real-poison.ts'
import { endAll } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

for (const [how, poison] of [
  ['SIGKILL at its first line', -1],
  ['process.exit()', -2],
  ['SIGKILL after 400 ms', -400],
] as const) {
  test(`one of ten jobs ends its process by ${how}, and it alone fails as poison`, async t => {
    const result = await runPoison({ jobs: 10, poisons: [poison], width: 10, together: 1 })

    t.deepEqual(result.wrong, [])
    t.like(result, { finished: 10, condemned: [poison] })
    t.true(result.deaths === 3 || result.deaths === 4, `${result.deaths} deaths`)
  })
}

test('two jobs that kill two processes are the only ones that fail as poison', async t => {
  const result = await runPoison({ jobs: 60, poisons: [-1, -400], width: 10, together: 2 })

  t.deepEqual(result.wrong, [])
  t.like(result, { finished: 60, condemned: [-400, -1] })
})
