/** The same as blame.test.ts, with more jobs, processes and jobs that kill them. */
import test from 'ava'
import { disband } from '../support/crew.ts'
import { plague } from '../support/plague.ts'

test.after.always('no process stays, and no file', disband)

for (const jobs of [100, 1_000]) {
  for (const width of [10, 100]) {
    test.serial(`three that kill their process, among ${jobs} at width ${width} in three processes`, async t => {
      const toll = await plague({ jobs, poisons: [-1, -2, -130], width, together: 3 })

      t.deepEqual(toll.wrong, [])
      t.like(toll, { finished: jobs, condemned: [-130, -2, -1] })
      t.log(`${toll.deaths} deaths`)
    })
  }
}
