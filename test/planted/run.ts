/**
 * `npm run planted [-- --only words] [--most 5] [--seed 1] [--schedules 300] [--checkers] [--quick]`: plants each bug by
 * itself and prints which test finds it. Exits with 1 if one is not found.
 *
 * `--most` limits how many are planted, beginning with one that the seed chooses. `--schedules` and `--checkers` run the
 * simulation and the checkers too. `--quick` trusts the tests to pass without a bug, and runs the finders alone.
 */
import { parseArgs } from 'node:util'
import { findPlants, lineOf } from './find-plants.ts'
import { plants } from './index.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    most: { type: 'string', default: 'Infinity' },
    schedules: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    checkers: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})
const [schedules, seed] = [Number(values.schedules), Number(values.seed)]
if (![schedules, seed].every(Number.isInteger)) throw new Error('--schedules and --seed are whole numbers')
const named = plants.filter(({ name, file }) => `${name} ${file}`.includes(values.only))
const first = named.length > 0 ? seed % named.length : 0
const wanted = [...named.slice(first), ...named.slice(0, first)].slice(0, Number(values.most))
if (wanted.length === 0) throw new Error(`no planted bug has '${values.only}' in its name or file`)

const found = await findPlants(wanted, {
  ...{ schedules, seed, checkers: values.checkers, healthy: !values.quick, wider: !values.quick },
  tried: one => process.stdout.write(`${lineOf(one)}\n`),
})
const missed = found.filter(({ by }) => by === undefined)
process.stdout.write(`${found.length - missed.length} of ${found.length} planted bugs were found\n`)
process.exitCode = missed.length === 0 ? 0 : 1
