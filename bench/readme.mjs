/** The README's few figures: picked from the data of docs/benchmarks.md, put between two comments. */
import { figure } from './report.mjs'

const from = '<!-- bench: made by npm run bench -- --report -->'
const to = '<!-- /bench -->'

/**
 * @param {string} readme
 * @param {{ machine: object, results: import('./results.mjs').Result[] }} data
 * @returns {string} the README with the figures of `data`
 */
export function withFigures(readme, data) {
  const [start, end] = [readme.indexOf(from), readme.indexOf(to)]
  if (start < 0 || end < start) throw new Error(`README.md must have the lines ${from} and ${to}, in this order`)
  return `${readme.slice(0, start + from.length)}\n${figureLines(data).join('\n')}\n${readme.slice(end)}`
}

function figureLines({ machine: { machine, node }, results }) {
  const quick = results.some(result => result.quick)
  const where = `${machine.cpu}, ${machine.cores} cores, Node ${node}${quick ? '; a quick look, not figures to quote' : ''}`
  const at = find(results)
  return [
    `| ${where} | rdq | beside it |`,
    '| --- | --- | --- |',
    ...[
      [
        'no-op jobs in memory, width 10, each result awaited',
        at('memory', 'run-10', 'rate', 'rdq run', value => `${figure(value)} a second`),
        at('memory', 'run-10', 'rate', 'fastq.promise', against('fastq')),
        at('memory', 'run-10', 'rate', 'p-queue', against('p-queue')),
      ],
      [
        'jobs on a file, each put answered after its own commit',
        at('sqlite', 'jobs', 'rate', 'rdq, all at once', value => `${figure(value)} a second`),
        at('sqlite', 'jobs', 'rate', 'plainjob with FULL', against('plainjob at the same durability')),
        at('sqlite', 'jobs', 'rate', 'plainjob (synchronous NORMAL)', against('plainjob as it comes')),
        at('sqlite', 'jobs', 'rate', 'probe in a thread, batches of 500', against('a bare thread without a queue')),
      ],
      [
        'fullest window at 50 per 100 ms, over the limit',
        at('rate', '50-per-100ms', 'worst', 'rdq', value => `${value.toFixed(2)}x`),
        at('rate', '50-per-100ms', 'worst', 'p-queue, strict', value => `p-queue (strict) ${value.toFixed(2)}x`),
        at('rate', '50-per-100ms', 'worst', 'p-throttle, strict', value => `p-throttle (strict) ${value.toFixed(2)}x`),
      ],
      [
        'many synchronous jobs of 0.2 ms hold up the event loop for',
        at('cooperator', 'stall', 'longest', 'rdq', value => `${figure(value)} ms`),
        at('cooperator', 'stall', 'longest', 'p-queue', value => `p-queue ${figure(value)} ms`),
        at('cooperator', 'stall', 'longest', 'fastq.promise', value => `fastq ${figure(value)} ms`),
      ],
    ].map(([what, own, ...others]) => `| ${what} | ${own} | ${others.join(', ')} |`),
  ]
}

/** A figure, worded from its value and, where it is a peer's, from how many times better rdq is. */
function find(results) {
  return (suite, part, metricName, contender, worded) => {
    const result = results.find(result => result.suite === suite && result.part === part)
    const metric = result?.metrics.find(({ name }) => name === metricName)
    const found = result?.contenders.find(({ name }) => name === contender)?.figures?.[metricName]
    if (!found) return 'not measured'
    const quotient = found.oursToThis?.median
    return worded(found[metric.of ?? 'median'], metric.better === 'more' ? quotient : 1 / quotient)
  }
}

/** Two digits: nobody decides by a third. */
function against(peer) {
  return (_, ratio) => `${figure(Number(ratio.toPrecision(2)))} times ${peer}`
}
