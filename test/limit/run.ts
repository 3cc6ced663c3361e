/**
 * `npm run limit [-- --rounds 1] [--only words] [--seed 1]`: handlers of every form begin in real processes, some of
 * which are halted; no window may have more first lines than its rate allows. Ends with 1 when one has.
 */
import { parseArgs } from 'node:util'
import { randomOf } from '../support/random.ts'
import { attempt, trials } from './trial.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
  },
})
const [rounds, seed] = [Number(values.rounds), Number(values.seed)]
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  throw new Error('--rounds is a whole number of 1 or more, --seed a whole number')
}

const chance = randomOf(seed)
let broken = 0
let starts = 0
let halted = 0
let tried = 0
for (let round = 0; round < rounds; round++) {
  for (const trial of trials) {
    const { form, place, halts, steps, stepMs, rate } = trial
    const name = `${form} ${place}, ${steps} steps of ${stepMs} ms${halts ? ', halted' : ''}`
    if (!name.includes(values.only)) continue
    const found = await attempt(trial, chance)
    tried++
    starts += found.starts
    halted += found.halted
    if (found.worst <= rate.limit) continue
    broken++
    process.stdout.write(`BROKEN: ${name}: ${found.worst} starts in a window that may have ${rate.limit}\n`)
  }
}
if (tried === 0) throw new Error(`no trial has '${values.only}' in its name`)
process.stdout.write(
  `${tried} trials, ${starts} first lines, ${halted} halts, seed ${seed}: ${broken} over their limit\n`,
)
process.exitCode = broken === 0 ? 0 : 1
