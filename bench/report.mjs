/** What is printed: a table and a verdict for each bound, or with `--json` one line a measure. Takes data, measures nothing. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { judge, quotients, spread } from './measure.mjs'

/** The machine, Node, and the version of each contender as installed. */
export function describeMachine() {
  const own = readJson('../package.json')
  const peers = Object.keys(readJson('./package.json').dependencies)
  return {
    machine: {
      cpu: os.cpus()[0]?.model.trim(),
      cores: os.cpus().length,
      memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    },
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    v8: process.versions.v8,
    load: os.loadavg().map(load => Math.round(load * 100) / 100),
    date: new Date().toISOString(),
    rdq: { version: own.version, commit: commit() },
    // The one of the checkout: rdq, plainjob and the bare loops all use it.
    sqlite: readJson('../node_modules/better-sqlite3/package.json').version,
    peers: Object.fromEntries(peers.map(peer => [peer, readJson(`./node_modules/${peer}/package.json`).version])),
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}

function commit() {
  try {
    const git = args => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
    const changed = git(['status', '--porcelain', '--', '../lib', '../persistence']) !== ''
    return git(['rev-parse', '--short', 'HEAD']) + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

export function machineText({ machine, system, node, load, rdq, sqlite, peers }) {
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · ${system} · Node ${node} · load ${load.join(' ')}`,
    `rdq ${rdq.version} (${rdq.commit}) on better-sqlite3 ${sqlite} beside ${Object.entries(peers)
      .map(([peer, version]) => `${peer} ${version}`)
      .join(', ')}`,
  ].join('\n')
}

/**
 * One measure a contender and metric, as plain data.
 *
 * @param {string} suite
 * @param {import('./measure.mjs').Part} part
 * @param {import('./measure.mjs').Params} params
 * @param {import('./measure.mjs').Sample[]} samples
 */
export function measures(suite, part, params, samples) {
  return Object.keys(part.contenders).flatMap(contender => {
    const error = errorOf(samples, contender)
    if (error !== undefined) return [{ suite, part: part.name, params, contender, error }]
    return part.metrics.flatMap(metric => {
      const found = spread(samples, contender, metric.name)
      if (found === undefined) return []
      const { name, unit, better } = metric
      const bounds = (part.bounds ?? [])
        .filter(bound => bound.contender === contender && bound.metric === name)
        .map(bound => ({ ...bound, ...judge(samples, part, bound) }))
      const ratio = compares(part, contender) ? quotients(samples, part.ours, contender, name) : undefined
      return [
        {
          ...{ suite, part: part.name, params, contender, metric: name, unit, better, ...found },
          ...(ratio && { ours: part.ours, oursToThis: ratio }),
          ...(bounds.length > 0 && { bounds }),
        },
      ]
    })
  })
}

export function partText(suite, part, params, samples, rounds) {
  const title = typeof part.title === 'function' ? part.title(params) : part.title
  const [lead] = part.metrics
  const names = Object.keys(part.contenders)
  const compared = names.some(contender => compares(part, contender))
  const header = ['', ...part.metrics.flatMap(metric => [metric.title, 'range'])]
  if (compared) header.push(`${part.ours} against it`, 'range')
  const rows = names.map(contender => {
    const error = errorOf(samples, contender)
    if (error !== undefined) return [contender, error]
    const row = [contender]
    for (const metric of part.metrics) {
      const found = spread(samples, contender, metric.name)
      row.push(found ? figure(found[metric.of ?? 'median']) : '', found ? range(found) : '')
    }
    const ratio = compares(part, contender) ? quotients(samples, part.ours, contender, lead.name) : undefined
    if (ratio) row.push(times(ratio.median, lead), timesRange(ratio, lead))
    return row
  })
  return [
    `${suite} · ${part.name} · ${title} (${rounds === 1 ? 'one round' : `${rounds} rounds`})`,
    '',
    table([header, ...rows]),
    ...(part.notes ?? []).map(note => `  ${note}`),
    ...boundTexts(part, samples).map(text => `  ${text}`),
    '',
  ].join('\n')
}

/** The verdict on each bound, worded alike. */
export function boundTexts(part, samples) {
  return (part.bounds ?? []).map(bound => {
    const { value, met } = judge(samples, part, bound)
    const metric = part.metrics.find(({ name }) => name === bound.metric)
    const asked = bound.atLeast === undefined ? `at most ${figure(bound.atMost)}` : `at least ${figure(bound.atLeast)}`
    const unit = bound.versus || metric.unit === 'x' ? 'x' : ` ${metric.unit}`
    const what = bound.versus ? `${bound.contender} / ${bound.versus}` : bound.contender
    const verdict = met === undefined ? 'NOT MEASURED' : met ? 'met' : 'NOT MET'
    const is = value === undefined ? 'none' : `${bound.versus ? fixed(value) : figure(value)}${unit}`
    return `${bound.kind}: ${what}, ${metric.title}, ${asked}${unit}: ${is}, ${verdict}`
  })
}

function compares(part, contender) {
  return part.ours !== undefined && contender !== part.ours
}

function errorOf(samples, contender) {
  return samples.find(sample => sample.contender === contender && sample.error !== undefined)?.error
}

function table(rows) {
  const widths = rows[0].map((_, column) =>
    Math.max(...rows.map(row => (row.length > 2 ? (row[column] ?? '').length : 0))),
  )
  widths[0] = Math.max(...rows.map(row => row[0].length))
  return rows
    .map(row => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i]))).join('  '))
    .map(line => `  ${line}`.trimEnd())
    .join('\n')
}

/** Three significant digits: more would be noise. */
function figure(value) {
  const rounded = Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 3 })
}

function range({ min, max }) {
  return `${figure(min)} - ${figure(max)}`
}

/** Above 1 we are the better, whichever way the metric runs. */
function times(quotient, { better }) {
  return `${fixed(better === 'more' ? quotient : 1 / quotient)}x`
}

function timesRange({ min, max }, { better }) {
  const [low, high] = better === 'more' ? [min, max] : [1 / max, 1 / min]
  return `${fixed(low)} - ${fixed(high)}`
}

function fixed(value) {
  return value >= 100 ? figure(value) : value.toFixed(2)
}
