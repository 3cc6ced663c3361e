/**
 * `npm run soak [-- --minutes 1] [--only memory|sqlite|service] [--seed 1]`: half of the time on memory and half on
 * SQLite. Prints what is held after the load beside what was held before, and ends with 1 when something has grown
 * beyond its bound. Then a service in memory: for each minute 100,000 jobs that fail, 250,000 with ids, and 25,000
 * queues that are dropped.
 */
import { parseArgs } from 'node:util'
import { tableOf, type Verdict } from './measure.ts'
import { serve } from './service.ts'
import { soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
  },
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
if (!(minutes > 0 && minutes < Infinity) || !Number.isInteger(seed)) {
  throw new Error('--minutes is a number above 0 and --seed a whole number')
}

let sound = true
function say(kind: string, what: string, verdicts: readonly Verdict[], wrong: readonly string[]): void {
  const well = wrong.length === 0 && verdicts.every(({ holds }) => holds)
  process.stdout.write(`${kind}: ${what}\n${tableOf(verdicts)}\n${wrong.map(line => `${line}\n`).join('')}`)
  process.stdout.write(`${kind}: ${well ? 'all is back where it was' : 'WRONG'}\n\n`)
  sound &&= well
}

for (const kind of ['memory', 'sqlite'] as const) {
  if (!kind.includes(values.only)) continue
  const { verdicts, rounds, jobs, seconds, wrong } = await soak(kind, minutes * 30_000, seed)
  say(kind, `${jobs} jobs in ${rounds} rounds, ${seconds.toFixed(0)} s, seed ${seed}`, verdicts, wrong)
}
if ('service'.includes(values.only)) {
  const startedAt = performance.now()
  const [failures, ids, requests] = [100_000, 250_000, 25_000].map(each => Math.ceil(each * minutes))
  const served = { failures, ids, requests } as { failures: number; ids: number; requests: number }
  const { verdicts, wrong } = await serve(served)
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
  const what = `${failures} failed, ${ids} had ids, ${requests} had a queue of their own`
  say('service', `jobs in ${seconds} s: ${what}`, verdicts, wrong)
}
process.exitCode = sound ? 0 : 1
