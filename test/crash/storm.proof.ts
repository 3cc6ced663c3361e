import test from 'ava'
import { endAll, workerPool } from '../support/worker-pool.ts'
import { storm } from './storm.ts'

test.after.always('no process stays, and no file', endAll)

// The instants of a machine cannot be repeated: the seed says what was tried, and a failing one says how to try again.
const seed = Number(process.hrtime.bigint() % 1_000_000n)

test(`F1: 24 processes killed at random: nothing accepted is lost, and each job ends once (seed ${seed})`, async t => {
  t.deepEqual((await storm(workerPool(), { kills: 24, seed })).wrong, [])
})

test(`F1: 24 processes that use every feature, killed at random, keep all promises with one rate (seed ${seed})`, async t => {
  const { wrong, report } = await storm(workerPool(), { kills: 24, seed: seed + 1, mixed: true })

  t.deepEqual(wrong, [])
  for (const invariant of ['I1', 'I2', 'I3', 'I4', 'I5', 'I9', 'I10', 'I11', 'I12', 'I13', 'I15', 'I21'] as const) {
    t.true(report.judged[invariant] > 0, `${invariant} was not judged`)
  }
})

test(`F1: 24 processes, four at a time, killed at random, keep limits of keys and a global width (seed ${seed})`, async t => {
  const { wrong, report } = await storm(workerPool(), { kills: 24, together: 4, seed: seed + 2, keyed: true })

  t.deepEqual(wrong, [])
  for (const invariant of ['I1', 'I3', 'I13', 'I24', 'I25', 'I26', 'I28'] as const) {
    t.true(report.judged[invariant] > 0, `${invariant} was not judged`)
  }
})
