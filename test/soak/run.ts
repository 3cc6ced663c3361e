/**
 * `npm run soak [-- --minutes 1] [--seed 1]`: half of the time on memory and half on SQLite. Prints what is held after the
 * load beside what was held before, and ends with 1 when something has grown beyond its bound.
 */
import { parseArgs } from 'node:util'
import { tableOf } from './measure.ts'
import { soak } from './soak.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
if (!(minutes > 0 && minutes < Infinity) || !Number.isInteger(seed)) {
  throw new Error('--minutes is a number above 0 and --seed a whole number')
}

let sound = true
for (const kind of ['memory', 'sqlite'] as const) {
  const { verdicts, rounds, jobs, seconds, wrong } = await soak(kind, minutes * 30_000, seed)
  const well = wrong.length === 0 && verdicts.every(({ holds }) => holds)
  process.stdout.write(`${kind}: ${jobs} jobs in ${rounds} rounds, ${seconds.toFixed(0)} s, seed ${seed}\n`)
  process.stdout.write(`${tableOf(verdicts)}\n${wrong.map(line => `${line}\n`).join('')}`)
  process.stdout.write(`${kind}: ${well ? 'all is back where it was' : 'WRONG'}\n\n`)
  sound &&= well
}
process.exitCode = sound ? 0 : 1
