/**
 * `npm run bench -- [memory] [sqlite] [cooperator] [rate]`: rdq beside its peers on the same work, in this run, on this machine.
 *
 *   --json         one line of JSON a measure instead of tables
 *   --quick        smaller sizes and three rounds: a look, not a figure to quote
 *   --rounds <n>   rounds of each contender (5)
 *   --part <text>  only parts whose name has this in it
 */
import { parseArgs } from 'node:util'
import { runRounds } from './measure.mjs'
import { boundTexts, describeMachine, machineText, measures, partText } from './report.mjs'

const suiteNames = ['memory', 'sqlite', 'cooperator', 'rate']

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    part: { type: 'string', default: '' },
  },
})
const unknown = positionals.filter(name => !suiteNames.includes(name))
if (unknown.length > 0) fail(`no suite ${unknown.join(', ')}; there are ${suiteNames.join(', ')}`)
const rounds = Number(options.rounds ?? (options.quick ? 3 : 5))
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a whole number of 1 or more, got ${options.rounds}`)

// An interrupted run takes its children and their files along.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const machine = describeMachine()
console.log(options.json ? JSON.stringify(machine) : `${machineText(machine)}\n`)

const verdicts = []
for (const suite of positionals.length > 0 ? positionals : suiteNames) {
  const { parts } = await import(`./suites/${suite}.mjs`)
  for (const part of parts.filter(({ name }) => name.includes(options.part))) {
    const samples = await runRounds(suite, part, { quick: options.quick, rounds, onTurn: showTurn })
    const params = part.params(options.quick)
    showTurn('')
    if (options.json) for (const measure of measures(suite, part, params, samples)) console.log(JSON.stringify(measure))
    else console.log(partText(suite, part, params, samples, rounds))
    verdicts.push(...boundTexts(part, samples).map(text => `${suite} ${part.name}, ${text}`))
    if (samples.some(sample => sample.error !== undefined)) process.exitCode = 1
  }
}
if (!options.json && verdicts.length > 0) console.log(['Bounds', ...verdicts.map(text => `  ${text}`)].join('\n'))

/** What runs just now, on one line that is written over, where somebody looks. */
function showTurn(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
