/** Runs schedules from a seed on, and says what came of them. */
import { Faults } from './faults.ts'
import { planOf } from './plan.ts'
import { simulate } from './schedule.ts'

const value = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(process.argv[at + 1])
}
const seed = value('seed', 1)
const schedules = value('schedules', 100)
const faults = new Faults()
const began = performance.now()
let bad = 0
const by: Record<string, number[]> = {}
let deliveries = 0
for (let i = 0; i < schedules; i++) {
  const outcome = await simulate(planOf(seed + i))
  faults.add(outcome.faults)
  deliveries += outcome.deliveries
  if (outcome.violations.length > 0) {
    bad++
    for (const line of new Set(outcome.violations.map(l => l.split(':')[0] as string))) (by[line] ??= []).push(seed + i)
    if (bad < 6) console.log(`seed ${seed + i}:`, outcome.violations.slice(0, 3).join('\n'))
  }
}
const ms = performance.now() - began
console.log(
  `${schedules} schedules, ${bad} bad, ${((schedules * 1000) / ms).toFixed(1)} a second, ${deliveries} deliveries`,
)
console.log(
  [...faults.counts]
    .sort()
    .map(([kind, times]) => `${kind}: ${times}`)
    .join('\n'),
)
console.log(
  Object.entries(by)
    .map(([k, v]) => `${k} ${v.length}: ${v.slice(0, 8)}`)
    .join('\n'),
)
console.log('missing', faults.missing)
