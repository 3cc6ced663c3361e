/**
 * Runs a share of the simulated schedules; `npm run simulate` runs any number. Also tests the simulation itself: the same
 * seed gives the same run, and a failing plan is reduced.
 */
import test from 'ava'
import { kinds } from './faults.ts'
import { many } from './many.ts'
import { type Command, type Plan, planOf } from './plan.ts'
import { simulate } from './schedule.ts'
import { asTest, kindOf, shrink } from './shrink.ts'

const schedules = Number(process.env.SIMULATED_SCHEDULES ?? 100)
const seed = Number(process.env.SIMULATED_SEED ?? 1)

test.serial(`simulation: ${schedules} schedules from seed ${seed} on keep every promise`, async t => {
  t.timeout(600_000)

  const { failures, faults, twice } = await many({ seed, schedules, workers: 1 })

  t.deepEqual(
    failures.map(failure => `npm run simulate -- --seed ${failure.seed}: ${failure.violations[0]}`),
    [],
  )
  t.true(twice > 0)
  t.true(faults.counts.size > kinds.length / 2, 'too few kinds of faults')
})
test.serial('simulation: another seed is another run, and the same seed the same', async t => {
  const digests = []
  for (const seed of [11, 11, 12, 13]) digests.push((await simulate(planOf(seed))).digest)

  t.is(digests[0], digests[1])
  t.is(new Set(digests).size, 3)
})
test.serial('simulation: a run depends on its plan alone', async t => {
  const plan = planOf(21)
  const copy: Plan = JSON.parse(JSON.stringify(plan), (_, value) => (value === null ? Infinity : value))

  t.is((await simulate(plan)).digest, (await simulate(copy)).digest)
})
test.serial('simulation: runs that are requested together take place one after the other', async t => {
  const before = process.listenerCount('unhandledRejection')
  let ended = 0
  const runs = [41, 42, 43].map(seed => simulate(planOf(seed)).then(() => ended++))
  let most = 0
  while (ended < runs.length) {
    most = Math.max(most, process.listenerCount('unhandledRejection'))
    await new Promise(setImmediate)
  }
  await Promise.all(runs)

  t.is(most, before + 1)
  t.is(process.listenerCount('unhandledRejection'), before)
})
test('shrink: the rest still fails in the same way, and does not without any one of its commands', async t => {
  const plan = planOf(32)
  const wrong = (commands: readonly Command[]): boolean =>
    commands.some(command => command.do === 'put') && commands.some(command => command.do === 'advance')
  const run = async ({ commands }: Plan) => ({
    violations: wrong(commands) ? ['I1: job j17 is not there'] : ['I2: no'],
  })
  t.true(wrong(plan.commands) && plan.commands.length > 5)

  const smaller = await shrink(plan, 'I1', run)

  t.deepEqual(smaller.commands.map(command => command.do).sort(), ['advance', 'put'])
  t.deepEqual(smaller.config.listeners, [])
  const text = asTest(smaller, "I1: job 'j17' is not there")
  t.true(text.startsWith(`test('seed 32: I1: job "j17" is not there', async t => {`))
  t.regex(text, /size: ?Infinity|"size":Infinity/)
})
test('shrink: failures are of one kind if their invariant, or their text without numbers, is the same', t => {
  t.is(kindOf('I13: job j0 started in 1.2'), 'I13')
  t.is(kindOf('it does not come to rest: {"pending":1}'), kindOf('it does not come to rest: {"pending":24}'))
  t.not(kindOf('nobody caught a'), kindOf('nobody handled a'))
})
