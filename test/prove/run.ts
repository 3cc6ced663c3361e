/**
 * `npm run prove [-- --schedules 100000 --kills 500 --runs 20000 --minutes 4 --plants all --seed S]`: all that tries to
 * break a promise, one after the other, from one seed. Prints what was tried and what came of it; ends with 1 where
 * anything was found, or where something that was to be tried never came about. `--only words` runs those parts alone.
 */
import { parseArgs } from 'node:util'
import { nodeGroup } from '../support/process-group.ts'
import { root } from '../support/repository.ts'
import { type Amount, type Part, partsOf } from './parts.ts'

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '500' },
    runs: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '4' },
    plants: { type: 'string', default: 'all' },
    seed: { type: 'string', default: String(process.hrtime.bigint() % 1_000_000n) },
    only: { type: 'string', default: '' },
  },
})

function amountOf(): Amount {
  const number = (name: 'schedules' | 'kills' | 'runs' | 'minutes' | 'plants' | 'seed', whole = true): number => {
    const text = values[name]
    if (name === 'plants' && text === 'all') return Infinity
    const value = Number(text)
    if (!(value >= 0 && value < Infinity) || (whole && !Number.isInteger(value)))
      throw new Error(`--${name} must be a ${whole ? 'whole ' : ''}number of 0 or more, got ${text}`)
    return value
  }
  const [schedules, kills, runs] = [number('schedules'), number('kills'), number('runs')]
  return { schedules, kills, runs, minutes: number('minutes', false), plants: number('plants'), seed: number('seed') }
}

interface Tried {
  readonly part: Part
  readonly well: boolean
  readonly seconds: number
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function attempt(part: Part): Promise<Tried> {
  say(`\n== ${part.name}`)
  let passed = 0
  const failed: string[] = []
  const { code, late, output, seconds } = await nodeGroup(part.args, {
    cwd: root,
    limitMs: part.limitMs,
    ...(part.env && { env: part.env }),
    line: line => {
      if (part.tap && /^ok /.test(line)) passed++
      if (part.tap && /^not ok /.test(line)) failed.push(line)
      if (part.figures.test(line)) say(`   ${line.replace(/^#\s*/, '')}`)
    },
  })
  if (part.tap) say(`   ${passed} tests passed, ${failed.length} failed`)
  const well = code === 0
  const again = [...Object.entries(part.env ?? {}).map(pair => pair.join('=')), 'node', ...part.args].join(' ')
  const end = output.trimEnd().split('\n').slice(-200).join('\n')
  if (!well) say(`${end}\n   ${late ? 'It was not done in time.' : `It ended with ${code}.`} Again: ${again}`)
  say(`   ${well ? 'well' : 'BROKEN'}, ${seconds.toFixed(1)} s`)
  return { part, well, seconds }
}

const amount = amountOf()
say(`seed ${amount.seed}: ${JSON.stringify({ ...amount, plants: values.plants })}, Node ${process.version}`)
const tried: Tried[] = []
for (const part of partsOf(amount)) if (part.name.includes(values.only)) tried.push(await attempt(part))
if (tried.length === 0) throw new Error(`no part has '${values.only}' in its name`)

say('')
for (const { part, well, seconds } of tried)
  say(`${well ? 'well  ' : 'BROKEN'} ${seconds.toFixed(1).padStart(8)} s  ${part.name}`)
const broken = tried.filter(({ well }) => !well).length
say(
  broken === 0
    ? `all ${tried.length} parts hold`
    : `${broken} of ${tried.length} parts are broken; again with --seed ${amount.seed}`,
)
process.exitCode = broken === 0 ? 0 : 1
