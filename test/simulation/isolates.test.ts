/** Schedules whose handler runs in isolates, which die, hang, answer late and cannot load at first. */
import test from 'ava'
import { Faults } from './faults.ts'
import { type Plan, planOf } from './plan.ts'
import { simulate } from './schedule.ts'

const schedules = 8

test.serial(`simulation: whatever isolates do, ${schedules} schedules keep every promise`, async t => {
  const plans: Plan[] = []
  for (let seed = 1; plans.length < schedules; seed++) {
    const plan = planOf(seed)
    if (plan.config.isolate) plans.push(plan)
  }
  const faults = new Faults()

  for (const plan of plans) {
    const { violations, faults: fired } = await simulate(plan)
    faults.add(fired)
    t.deepEqual(violations, [], `npm run simulate -- --seed ${plan.seed}`)
  }

  const ofIsolates = ['a body that ends its isolate', 'an isolate that hangs', 'an isolate that answers late']
  for (const kind of [...ofIsolates, 'a module that cannot be loaded at first']) t.false(faults.missing.includes(kind))
})
test.serial('simulation: the same seed is the same run with isolates too', async t => {
  const plan = planOf(28)

  t.truthy(plan.config.isolate)
  t.is((await simulate(plan)).digest, (await simulate(plan)).digest)
})
