/** The same as blame.test.ts, with more of everything: hundreds of jobs, processes, and jobs that kill them. */
import test from 'ava'
import { survivesPoison } from '../support/simulated-poison.ts'

for (const width of [10, 100]) {
  for (const killsAfterMs of [0, 200]) {
    test(`a job that kills its process after ${killsAfterMs} ms, among 1,000 at width ${width}, is the only one that fails as poison`, async t => {
      const { crashes } = await survivesPoison(t, {
        jobs: 1_000,
        width,
        kills: [killsAfterMs],
        ms: n => 5 + (n % 9) * 40,
      })

      t.deepEqual(crashes, [3])
    })
  }
}

for (const seed of Array.from({ length: 20 }, (_, i) => i + 1)) {
  test(`simulatePoison ${seed}: with several processes and jobs that kill them at any time, no other job fails as poison`, async t => {
    const kills = Array.from({ length: 1 + (seed % 7) }, (_, i) => ((seed * 7 + i * 13) % 5) * 60)
    await survivesPoison(t, {
      ...{ jobs: 100, width: [1, 3, 10, 40][seed % 4] as number, workers: 1 + (seed % 4), kills, seed },
      ...{ crashLimit: 2 + (seed % 3), beside: seed % 2 === 0 ? ['r'] : [], ms: n => ((n * seed) % 11) * 25 },
    })
  })
}
