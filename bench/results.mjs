/**
 * A part's figures as plain data: what is printed, drawn, stored and compared is made from this alone.
 *
 * As lines of JSON it is one for the part (what was done, and the verdict on each bound) and one for each measure (a
 * contender and a metric). Lines of several runs may be put one after another; of a part that comes twice the last counts, where the
 * first stood.
 */
import { judge, quotients, spread } from './measure.mjs'

/**
 * @typedef {object} Result
 * @property {string} suite
 * @property {string} part
 * @property {string} title what was done, in words
 * @property {string} date when it had been measured
 * @property {string} commit of rdq
 * @property {boolean} quick smaller sizes: a look, not a figure to quote
 * @property {number} rounds
 * @property {number} seconds that it took
 * @property {Record<string, unknown>} params
 * @property {string} [ours] the contender that the others are compared with
 * @property {string | false} [plot] the metric that is drawn, where it is not the first
 * @property {string[]} notes
 * @property {import('./measure.mjs').Metric[]} metrics
 * @property {Verdict[]} bounds
 * @property {Contender[]} contenders
 *
 * @typedef {import('./measure.mjs').Bound & { title: string, unit: string, value?: number, met?: boolean, missedBy?: number, or?: Verdict }} Verdict
 *
 * @typedef {{ name: string, error: string } | { name: string, figures: Record<string, Figure> }} Contender
 *
 * @typedef {Spread & { values: number[], oursToThis?: Spread }} Figure
 *
 * @typedef {{ median: number, min: number, max: number }} Spread
 */

/**
 * @param {string} suite
 * @param {import('./measure.mjs').Part} part
 * @param {{ params: Record<string, unknown>, samples: import('./measure.mjs').Sample[], date: string, commit: string, quick: boolean, rounds: number, seconds: number }} run
 * @returns {Result}
 */
export function resultOf(suite, part, { params, samples, ...run }) {
  const { name, title, ours, plot, notes = [], metrics, bounds = [] } = part
  return {
    ...{ suite, part: name, title: typeof title === 'function' ? title(params) : title, ...run, params },
    ...(ours !== undefined && { ours }),
    ...(plot !== undefined && { plot }),
    ...{ notes, metrics, bounds: bounds.map(bound => judge(samples, part, bound)) },
    contenders: Object.keys(part.contenders).map(contender => contenderOf(part, contender, samples)),
  }
}

/** @returns {Contender} */
function contenderOf({ ours, metrics }, name, samples) {
  const error = samples.find(sample => sample.contender === name && sample.error !== undefined)?.error
  if (error !== undefined) return { name, error }
  const figures = metrics.flatMap(metric => {
    const found = spread(samples, name, metric.name)
    if (found === undefined) return []
    const compared = ours !== undefined && ours !== name && quotients(samples, ours, name, metric.name)
    if (!compared) return [[metric.name, found]]
    const { median, min, max } = compared
    return [[metric.name, { ...found, oursToThis: { median, min, max } }]]
  })
  return { name, figures: Object.fromEntries(figures) }
}

// Lines.

/** @param {Result} result */
export function linesOf({ contenders, ...part }) {
  const { suite, part: name } = part
  const measures = contenders.flatMap(({ name: contender, error, figures }) => {
    const of = { suite, part: name, contender }
    if (error !== undefined) return [{ ...of, error }]
    return part.metrics
      .filter(({ name }) => figures[name])
      .map(({ name, unit, better }) => ({ ...of, metric: name, unit, better, ...figures[name] }))
  })
  return [part, ...measures].map(line => JSON.stringify(line, rounded))
}

/** Five significant digits: what is beyond them is noise, and would only make two runs harder to compare by eye. */
function rounded(_, value) {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}

/**
 * @param {string} text lines of JSON: a machine, and what was measured on it
 * @returns {{ machine: ReturnType<typeof import('./machine.mjs').describeMachine>, results: Result[] }}
 */
export function fromLines(text) {
  const results = new Map()
  let machine
  let current
  for (const line of text.split('\n').filter(Boolean)) {
    const data = JSON.parse(line)
    if (data.machine) {
      const other = machine && differenceOf(machine, data)
      if (other) throw new Error(`measured on different machines: ${other}`)
      machine = data
    } else if (data.contender === undefined) {
      current = { ...data, contenders: [] }
      results.set(`${data.suite} ${data.part}`, current)
    } else addMeasure(current, data)
  }
  if (machine === undefined) throw new Error('no line says on which machine this was measured: write it with --json')
  return { machine, results: [...results.values()] }
}

function addMeasure({ contenders }, { contender, metric, error, suite, part, unit, better, ...figure }) {
  if (error !== undefined) {
    contenders.push({ name: contender, error })
    return
  }
  let entry = contenders.find(({ name }) => name === contender)
  if (entry === undefined) contenders.push((entry = { name: contender, figures: {} }))
  entry.figures[metric] = figure
}

/** What may not differ within one report. The load, the date and rdq's commit may: each part names its own. */
function differenceOf(a, b) {
  const fixed = ({ machine, system, node, sqlite, peers }) => ({ ...machine, system, node, sqlite, ...peers })
  const [before, now] = [fixed(a), fixed(b)]
  return Object.keys({ ...before, ...now })
    .filter(key => before[key] !== now[key])
    .map(key => `${key} ${before[key]} and ${now[key]}`)
    .join(', ')
}
