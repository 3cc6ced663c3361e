/**
 * `npm run simulate -- --seed 17` runs one schedule. If it fails, the plan is reduced and printed as a test.
 * `npm run simulate -- --schedules 100000 [--seed 1] [--workers 2]` runs that many schedules from that seed on. It prints
 * how fast it was, how often each fault fired, and the command that repeats a failed seed.
 *
 * Exits with 1 if a promise was broken, or if a kind of fault never fired in a run that is long enough.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { enough, type Many, many } from './many.ts'
import { planOf } from './plan.ts'
import { simulate } from './schedule.ts'
import { asTest, kindOf, shrink } from './shrink.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    schedules: { type: 'string' },
    workers: { type: 'string' },
    log: { type: 'boolean' },
  },
})
const whole = (name: 'seed' | 'schedules' | 'workers', otherwise: number): number => {
  const value = Number(values[name] ?? otherwise)
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name} must be a whole number of 0 or more, got ${values[name]}`)
  process.exit(2)
}
const seed = whole('seed', 1)
const schedules = whole('schedules', values.seed === undefined ? 1_000 : 1)

process.exitCode = schedules === 1 ? await one() : await all()

async function one(): Promise<number> {
  const plan = planOf(seed)
  const outcome = await simulate(plan)
  if (values.log) process.stdout.write(outcome.log)
  const [violation] = outcome.violations
  console.log(
    `seed ${seed}: ${plan.commands.length} commands, ${outcome.deliveries} deliveries, history ${outcome.digest}`,
  )
  if (violation === undefined) return 0
  console.log(outcome.violations.join('\n'))
  const smaller = await shrink(plan, kindOf(violation))
  console.log(`\n${smaller.commands.length} commands are enough:\n\n${asTest(smaller, violation)}`)
  return 1
}

async function all(): Promise<number> {
  const workers = Math.max(1, Math.min(whole('workers', 2), availableParallelism()))
  let printedAt = 0
  const progress = (done: number): void => {
    if (!process.stdout.isTTY || performance.now() - printedAt < 1_000) return
    printedAt = performance.now()
    process.stdout.write(`\r${done} of ${schedules}`)
  }
  const report = await many({ seed, schedules, workers, progress })
  console.log(`${process.stdout.isTTY ? '\r' : ''}${textOf(report)}`)
  return report.failures.length > 0 || (schedules >= enough && report.missing.length > 0) ? 1 : 0
}

function textOf({ seconds, deliveries, faults, missing, failures, twice }: Many): string {
  const lines = [
    `simulation: ${schedules} schedules from seed ${seed}, ${Math.round(schedules / seconds)} a second, ${deliveries} deliveries; ${twice} seeds were run twice`,
    ...[...faults.counts].sort().map(([kind, times]) => `  ${String(times).padStart(8)}  ${kind}`),
  ]
  if (missing.length > 0) lines.push(`never fired: ${missing.join(', ')}`)
  for (const { seed, violations } of failures.slice(0, 20)) {
    lines.push(`broken: ${violations[0]?.split('\n')[0]}`, `  npm run simulate -- --seed ${seed}`)
  }
  lines.push(`${failures.length} of ${schedules} schedules broke a promise`)
  return lines.join('\n')
}
