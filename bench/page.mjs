/** docs/benchmarks.md: machine, method, goals, and each part with its plot and its table. Made from data alone. */
import { chartSvg } from './chart.mjs'
import { figure, isText, nearest, requirementText, roundsText, tableOf, verdictText, whatText } from './report.mjs'

/** @typedef {import('./results.mjs').Result} Result */

const suites = {
  memory: ['Memory', 'The queue in memory: how many jobs a second, and what a pending job weighs.'],
  rate: ['Rate', 'Is the limit kept in every window, and is it used?'],
  cooperator: ['Cooperation', 'What a step of a generator costs, and how long the event loop waits for its turn.'],
  isolate: [
    'Threads and processes',
    'What a job costs that does nothing: plain, as a generator, in a thread and in a process.',
  ],
  sqlite: ['SQLite', 'The queue on one file. Commits are FULL (they survive a power cut) where nothing else is said.'],
  keys: ['Keys', 'Limits and shares by key: what a claim costs with many keys, and many keys beside peers.'],
  cost: ['Cost', 'What it costs to have it: installed, imported, started, and doing nothing.'],
}

/** Where the plots are, from docs/. */
const plots = 'benchmarks'

/**
 * @param {{ machine: ReturnType<typeof import('./machine.mjs').describeMachine>, results: Result[] }} data
 * @returns {string}
 */
export function page({ machine, results }) {
  return `${[
    '# Benchmarks',
    '',
    '<!-- Made by `npm run bench -- --report` from docs/benchmarks/data.jsonl. Do not edit: test/bench.test.ts compares. -->',
    '',
    ...machineTable(machine, results),
    '',
    '## How it is measured',
    '',
    ...method(results),
    '',
    '## Goals and bounds',
    '',
    'What holds back where one is missed, and what was tried: [performance](design/performance.md).',
    '',
    ...goals(results),
    '',
    ...Object.keys(suites).flatMap(suite => suiteText(suite, results, machine)),
    '## What is not here',
    '',
    '- Queues that need a server (BullMQ on Redis, pg-boss and Graphile Worker on PostgreSQL): a figure would say as much of the server, its place and its settings as of the queue. This bench starts none.',
    '- Other machines. Measure on yours: `npm run bench`; with `-- --report` it writes this page, and `-- --check` compares a few ratios with those of bench/baseline.json.',
  ].join('\n')}\n`
}

function machineTable({ machine, system, node, sqlite, rdq, peers, load }, results) {
  const dates = results.map(({ date }) => date).sort()
  const took = results.reduce((sum, { seconds }) => sum + seconds, 0) / 60
  const commits = [...new Set(results.map(({ commit }) => commit))].join(', ')
  return [
    '| | |',
    '| --- | --- |',
    `| machine | ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${system} |`,
    `| rdq | ${rdq.version}, commit ${commits} |`,
    `| beside | ${Object.entries({ 'Node.js': node, 'better-sqlite3': sqlite, ...peers })
      .map(([peer, version]) => `${peer} ${version}`)
      .join(', ')} |`,
    `| measured | ${minute(dates[0])} to ${minute(dates.at(-1))} UTC, ${figure(took)} minutes of measuring; load before it (1, 5, 15 minutes) ${load.join(', ')} |`,
  ]
}

function method(results) {
  const lines = [
    'Each figure comes from a run of this bench; none is typed by hand.',
    '',
    '- Each round of each contender is a process of its own. The contenders take turns, and ours runs beside each of the others, so that what else the machine does falls on both.',
    '- A figure is the median over the rounds, and beside it stands the range. "Against it" is the quotient of two figures that were taken one right after the other: above 1 rdq is the better, whichever way the metric runs. Trust these more than figures by themselves.',
    '- Everything that was asked for is awaited and counted, so that nobody is quick by leaving work undone. Peers are used as their READMEs show.',
    '- A *goal* is what we aim at, a *floor* what is the least, a *bound* a limit that follows from what the queue promises. Where one is missed, it says by how much.',
    '- In the plots the bar is the figure, the thin line the range.',
  ]
  if (results.some(({ quick }) => quick)) {
    lines.push(
      '',
      '**Parts marked "quick" were measured with smaller sizes and few rounds: a look, not figures to quote.**',
    )
  }
  return lines
}

function goals(results) {
  const all = results.flatMap(result => result.bounds.map(bound => ({ ...result, bound })))
  const met = all.filter(({ bound }) => nearest(bound).met).length
  return [
    `${met} of ${all.length} are met.`,
    '',
    '| part | | what | asked | measured | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...all.map(({ suite, part, bound }) => {
      const verdict = nearest(bound).met ? 'met' : `**${verdictText(bound)}**`
      return row([
        `${suite} [${part}](#${anchorOf({ suite, part })})`,
        bound.kind,
        whatText(bound),
        requirementText(bound),
        isText(bound),
        verdict,
      ])
    }),
  ]
}

function suiteText(suite, results, machine) {
  const [heading, sentence] = suites[suite]
  const own = results.filter(result => result.suite === suite)
  if (own.length === 0) return []
  return [`## ${heading}`, '', sentence, '', ...own.flatMap(result => partText(result, machine))]
}

function partText(result, machine) {
  const { suite, part, title, notes, quick, rounds, commit } = result
  const marks = [
    roundsText(rounds),
    ...(quick ? ['quick'] : []),
    ...(commit === machine.rdq.commit ? [] : [`rdq ${commit}`]),
  ]
  const chart = chartOf(result)
  return [
    `### ${suite} ${part}`,
    '',
    `${capital(title)} (${marks.join(', ')}).`,
    '',
    ...(chart ? [`![${suite} ${part}, ${chart.heading}](${plots}/${plotName(result)})`, ''] : []),
    ...markdownTable(tableOf(result)),
    '',
    ...notes.flatMap(note => [`- ${note}`]),
    ...(notes.length > 0 ? [''] : []),
  ]
}

/**
 * The plots, by their paths from docs/.
 *
 * @param {Result[]} results
 * @returns {Record<string, string>}
 */
export function charts(results) {
  const drawn = results.flatMap(result => {
    const chart = chartOf(result)
    return chart ? [[`${plots}/${plotName(result)}`, chartSvg(chart)]] : []
  })
  return Object.fromEntries(drawn)
}

function chartOf({ plot, metrics, contenders }) {
  if (plot === false) return undefined
  const metric = metrics.find(({ name }) => name === plot) ?? metrics[0]
  const isOurs = name => name.startsWith('rdq')
  // Where rdq is compared with itself alone, no bar is another's.
  const alone = !contenders.some(({ name }) => isOurs(name))
  const bars = contenders.flatMap(({ name, figures }) => {
    const found = figures?.[metric.name]
    if (!found) return []
    const { min, max } = found
    return [{ name, value: found[metric.of ?? 'median'], min, max, ours: alone || isOurs(name) }]
  })
  if (bars.length < 2) return undefined
  const { limit } = metric
  const better = metric.better === 'more' ? 'more is better' : 'less is better'
  const measure = metric.fullTitle ?? metric.title
  return { heading: `${measure}: ${better}`, bars, ...(limit !== undefined && { limit }) }
}

function plotName({ suite, part }) {
  return `${suite}-${part}.svg`
}

/** As the Markdown of a repository makes it from a heading. */
function anchorOf({ suite, part }) {
  return `${suite}-${part}`
}

function markdownTable([header, ...rows]) {
  return [
    row(header),
    row(header.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...rows.map(cells => row(header.map((_, i) => cells[i] ?? ''))),
  ]
}

function row(cells) {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1)
}

function minute(date) {
  return date.slice(0, 16).replace('T', ' ')
}
