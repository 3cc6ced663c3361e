/**
 * Is rdq still as fast beside its peers as it was? A short form of the bench: ratios to a peer or a probe in the same run,
 * the best of three rounds, beside those of bench/baseline.json.
 *
 * On a machine of two cores with busy neighbours the same ratio of processor times comes out up to a fifth higher or lower,
 * and one of waiting times (of a commit) several times, so the margin is wide and the best round counts. What this finds is a
 * change that makes something twice as slow, not one that costs five per cent.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { describeMachine } from './machine.mjs'
import { runRounds, summary } from './measure.mjs'

const baselinePath = new URL('./baseline.json', import.meta.url)
const rounds = 3
/** The best round may be this share below the baseline. */
const margin = 0.3
/** No further round is begun after this: on a slow machine the best of two, or one, must do. */
const beginsWithinMs = 50_000

/**
 * Each is how many times better `contender` is than `versus`. Processor time where the work is the processor's: a neighbour
 * takes none of it away.
 */
const ratios = [
  {
    ...{ suite: 'memory', part: 'run-10', params: { n: 20_000 } },
    ...{ contender: 'rdq run', versus: 'fastq.promise', metric: 'cpu' },
  },
  {
    ...{ suite: 'memory', part: 'priorities', params: { n: 20_000 } },
    ...{ contender: 'rdq run', versus: 'async priorityQueue', metric: 'cpu' },
  },
  {
    ...{ suite: 'memory', part: 'weight', params: { n: 100_000 } },
    ...{ contender: 'rdq putMany', versus: 'fastq callback', metric: 'bytes' },
  },
  {
    ...{ suite: 'cooperator', part: 'steps', params: { steps: 5_000 } },
    ...{ contender: 'rdq Cooperator', versus: 'bare round robin', metric: 'cpu' },
  },
  {
    ...{ suite: 'sqlite', part: 'jobs', params: { n: 10_000, runs: 2 } },
    ...{ contender: 'rdq, all at once', versus: 'probe in a thread, batches of 500', metric: 'cpu' },
  },
  {
    ...{ suite: 'sqlite', part: 'idle-put', params: { puts: 60 } },
    ...{ contender: 'rdq put', versus: 'bare commit', metric: 'us' },
  },
  {
    ...{ suite: 'cost', part: 'import', params: { times: 3 } },
    ...{ contender: 'rdq', versus: 'nothing', metric: 'cpu' },
  },
]

/**
 * @param {{ write: boolean, print: (text: string) => void, onTurn: (text: string) => void }} options
 * @returns {Promise<boolean>} false where a ratio is beyond the margin, or has no figure
 */
export async function check({ write, print, onTurn }) {
  const found = await measureAll(onTurn)
  onTurn('')
  if (write) {
    writeBaseline(found)
    print(`Written: bench/baseline.json, the median of ${rounds} rounds each`)
    return found.every(({ values }) => values.length > 0)
  }
  const { ratios: baseline, node } = JSON.parse(readFileSync(baselinePath, 'utf8'))
  const verdicts = found.map(one => ({ ...one, ...verdictOf(one, baseline[one.name]) }))
  print(`How many times better than a peer or a probe in the same run: the best of up to ${rounds} rounds, beside the`)
  print(`baseline (Node ${node}). Fails where it is more than ${margin * 100} % below.\n`)
  for (const { name, text } of verdicts) print(`  ${name}: ${text}`)
  return verdicts.every(({ passed }) => passed)
}

/** Each round goes through all ratios, so that one busy minute of the machine does not fall on one of them alone. */
async function measureAll(onTurn) {
  const from = performance.now()
  const found = ratios.map(ratio => ({ ...ratio, name: nameOf(ratio), values: [] }))
  for (let round = 0; round < rounds; round++) {
    for (const one of found) {
      if (round > 0 && performance.now() - from > beginsWithinMs) return found
      const { value, error } = await measureOnce(one, onTurn)
      if (error !== undefined) one.error = error
      else one.values.push(value)
    }
  }
  return found
}

async function measureOnce({ suite, part: name, contender, versus, metric, params }, onTurn) {
  const { parts } = await import(`./suites/${suite}.mjs`)
  const part = parts.find(part => part.name === name)
  const { better } = part.metrics.find(({ name }) => name === metric)
  const pair = { ...part, ours: contender, contenders: { [contender]: true, [versus]: true } }
  const samples = await runRounds(suite, pair, { rounds: 1, onTurn, params: { ...part.params(true), ...params } })
  const error = samples.find(sample => sample.error !== undefined)?.error
  if (error !== undefined) return { error }
  const [own, other] = [contender, versus].map(
    wanted => samples.find(sample => sample.contender === wanted).figures[metric],
  )
  return { value: better === 'more' ? own / other : other / own }
}

/**
 * @param {{ values: number[], error?: string }} measured
 * @param {number} [baseline]
 */
export function verdictOf({ values, error }, baseline) {
  if (values.length === 0) return { passed: false, text: `NOT MEASURED, ${error}` }
  const best = Math.max(...values)
  if (baseline === undefined)
    return { passed: true, text: `${best.toFixed(2)}x, and there is no baseline: write one with --baseline` }
  const passed = best >= baseline * (1 - margin)
  const change = Math.round((best / baseline - 1) * 100)
  return {
    passed,
    text: `${best.toFixed(2)}x, baseline ${baseline.toFixed(2)}x, ${change > 0 ? '+' : ''}${change} %${passed ? '' : ', TOO SLOW'}`,
  }
}

function writeBaseline(found) {
  const { machine, node, rdq, date } = describeMachine()
  const medians = found
    .filter(({ values }) => values.length > 0)
    .map(({ name, values }) => [name, Number(summary(values).median.toPrecision(3))])
  const data = {
    machine: `${machine.cpu}, ${machine.cores} cores`,
    node,
    commit: rdq.commit,
    date,
    ratios: Object.fromEntries(medians),
  }
  writeFileSync(baselinePath, `${JSON.stringify(data, null, 2)}\n`)
}

function nameOf({ suite, part, contender, versus, metric }) {
  return `${suite} ${part}: ${contender} beside ${versus}, ${metric}`
}
