/**
 * `npm run bench -- [memory] [rate] [cooperator] [isolate] [sqlite] [keys] [cost]`: rdq beside its peers on the same work, in this run, on
 * this machine.
 *
 *   --json         lines of JSON instead of tables: the machine, each part, and one a measure
 *   --quick        smaller sizes and two rounds: a look, not a figure to quote
 *   --rounds <n>   rounds of each contender, where its part does not take fewer (3)
 *   --part <text>  only parts whose name has this in it
 *   --from <file>  measures nothing: takes the lines that --json wrote. May be given several times
 *   --report       writes docs/benchmarks.md, its plots and data, and the README's figures. Of one suite or part the rest
 *                  of the data stays as it was
 *   --check        compares a few ratios, best of three, with bench/baseline.json, and fails where one is far below it
 *   --baseline     writes that file
 */
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { check } from './check.mjs'
import { describeMachine, machineText } from './machine.mjs'
import { runRounds } from './measure.mjs'
import { boundText, partText } from './report.mjs'
import { fromLines, linesOf, resultOf } from './results.mjs'
import { storedLines, writeReport } from './write.mjs'

const suiteNames = ['memory', 'rate', 'cooperator', 'isolate', 'sqlite', 'keys', 'cost']

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    part: { type: 'string', default: '' },
    from: { type: 'string', multiple: true, default: [] },
    report: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    baseline: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter(name => !suiteNames.includes(name))
if (unknown.length > 0) fail(`no suite ${unknown.join(', ')}; there are ${suiteNames.join(', ')}`)
const rounds = Number(options.rounds ?? (options.quick ? 2 : 3))
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a whole number of 1 or more, got ${options.rounds}`)

// An interrupted run takes its children and their files along.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

if (options.check || options.baseline) {
  const passed = await check({ write: options.baseline, print: text => console.log(text), onTurn: showTurn })
  if (!passed) process.exitCode = 1
} else if (options.from.length > 0) {
  const lines = options.from.flatMap(file => linesIn(file))
  printResults(fromLines(lines.join('\n')))
  if (options.report) report(lines)
} else {
  // A whole run stands for itself; a part of one takes its place among what was measured before.
  const whole = positionals.length === 0 && options.part === ''
  const machine = describeMachine()
  const before = options.report && !whole ? storedLines() : []
  if (before.length > 0) refuseOther(before, machine)
  const lines = await measure(machine)
  if (options.report) report([...before, ...lines])
}

/** Sooner than after all has been measured. */
function refuseOther(lines, machine) {
  try {
    fromLines([...lines, JSON.stringify(machine)].join('\n'))
  } catch (error) {
    fail(`${error.message}, and docs/benchmarks/ has others. Measure all anew: npm run bench -- --report`)
  }
}

/** @returns {Promise<string[]>} its lines, which are printed as each part is done */
async function measure(machine) {
  const lines = [JSON.stringify(machine)]
  console.log(options.json ? lines[0] : `${machineText(machine)}\n`)
  const results = []
  for (const suite of positionals.length > 0 ? positionals : suiteNames) {
    const { parts } = await import(`./suites/${suite}.mjs`)
    for (const part of parts.filter(({ name }) => name.includes(options.part))) {
      const result = await measurePart(suite, part, machine.rdq.commit)
      results.push(result)
      lines.push(...linesOf(result))
      console.log(options.json ? linesOf(result).join('\n') : partText(result))
      if (result.contenders.some(({ error }) => error !== undefined)) process.exitCode = 1
    }
  }
  if (!options.json) printBounds(results)
  return lines
}

async function measurePart(suite, part, commit) {
  const { quick } = options
  const params = part.params(quick)
  const run = { quick, rounds: Math.min(rounds, part.rounds ?? rounds) }
  const from = performance.now()
  const samples = await runRounds(suite, part, { ...run, onTurn: showTurn })
  const seconds = (performance.now() - from) / 1_000
  showTurn('')
  return resultOf(suite, part, { ...run, params, samples, date: new Date().toISOString(), commit, seconds })
}

function printResults({ machine, results }) {
  if (options.json) return
  console.log([machineText(machine), '', ...results.map(partText)].join('\n'))
  printBounds(results)
}

function printBounds(results) {
  const verdicts = results.flatMap(({ suite, part, bounds }) =>
    bounds.map(bound => `  ${suite} ${part}, ${boundText(bound)}`),
  )
  if (verdicts.length > 0) console.log(['Bounds', ...verdicts].join('\n'))
}

function report(lines) {
  const written = writeReport(lines.join('\n'))
  if (!options.json) console.log(`\nWritten: ${written.join(', ')}`)
}

function linesIn(file) {
  return readFileSync(file, 'utf8').split('\n').filter(Boolean)
}

/** What runs just now, on one line that is written over, where somebody looks. */
function showTurn(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
