/** The same as blame.test.ts, with more jobs, processes and jobs that kill them. */
import test from 'ava'
import { runPoison } from '../support/real-poison.ts'
import { endAll } from '../support/worker-pool.ts'

test.after.always('no process stays, and no file', endAll)

for (const jobs of [100, 1_000]) {
  for (const width of [10, 100]) {
    test.serial(
      `three jobs that kill their process, among ${jobs} at width ${width} in three processes, alone fail as poison`,
      async t => {
        const result = await runPoison({ jobs, poisons: [-1, -2, -130], width, together: 3 })

        t.deepEqual(result.wrong, [])
        t.like(result, { finished: jobs, condemned: [-130, -2, -1] })
        t.log(`${result.deaths} deaths`)
      },
    )
  }
}
