/** What is printed of a result: a table, and a verdict for each bound. Takes data, measures nothing. */

/** @typedef {import('./results.mjs').Result} Result */

/** @param {Result} result */
export function partText(result) {
  const { suite, part, title, rounds, notes } = result
  return [
    `${suite} · ${part} · ${title} (${roundsText(rounds)})`,
    '',
    padded(tableOf(result)),
    ...notes.map(note => `  ${note}`),
    ...result.bounds.map(bound => `  ${boundText(bound)}`),
    '',
  ].join('\n')
}

export function roundsText(rounds) {
  return rounds === 1 ? 'one round' : `${rounds} rounds`
}

/**
 * A header, and a row for each contender: the figure that counts and the range of each metric, and how many times better
 * ours is by the first. A contender that failed has its error instead.
 *
 * @param {Result} result
 * @returns {string[][]}
 */
export function tableOf({ metrics, contenders, ours, rounds }) {
  const [lead] = metrics
  const compared = contenders.some(({ figures }) => figures?.[lead.name]?.oursToThis)
  // One round has no range.
  const ranged = (cell, range) => (rounds > 1 ? [cell, range] : [cell])
  const header = ['', ...metrics.flatMap(metric => ranged(metric.title, 'range'))]
  if (compared) header.push(...ranged(`${ours} against it`, 'range'))
  const rows = contenders.map(({ name, error, figures }) => {
    if (error !== undefined) return [name, error]
    const row = [name]
    for (const metric of metrics) {
      const found = figures[metric.name]
      row.push(...(found ? ranged(figure(found[metric.of ?? 'median']), range(found)) : ranged('', '')))
    }
    const ratio = figures[lead.name]?.oursToThis
    if (ratio) row.push(...ranged(times(ratio.median, lead), timesRange(ratio, lead)))
    return row
  })
  return [header, ...rows]
}

/** The verdict on a bound, worded alike: what is asked, what is so, and by how much it is missed. */
export function boundText(bound) {
  return `${bound.kind}: ${whatText(bound)}, ${requirementText(bound)}: ${isText(bound)}, ${verdictText(bound)}`
}

export function whatText({ contender, versus, title, or }) {
  const what = `${versus ? `${contender} / ${versus}` : contender}, ${title}`
  return or && or.versus !== versus ? `${what} (or / ${or.versus})` : what
}

export function requirementText({ atLeast, atMost, unit, or }) {
  const requested = atLeast === undefined ? `at most ${figure(atMost)}` : `at least ${figure(atLeast)}`
  return `${requested}${unitText(unit)}${or ? `, or ${requirementText(or)}` : ''}`
}

export function isText(bound) {
  const { value, unit, or } = bound
  const is = value === undefined ? 'none' : `${digitsOf(bound)}${unitText(unit)}`
  return `${is}${or ? `, ${isText(or)}` : ''}`
}

/** One that is missed by a hair is not rounded to what was asked. */
function digitsOf({ value, unit, met, atLeast, atMost }) {
  const short = unit === 'x' ? fixed : figure
  const looksMet = !met && short(value) === short(atLeast ?? atMost)
  return looksMet ? String(Number(value.toPrecision(5))) : short(value)
}

/** Of a bound with an alternative the one that is nearer to being met counts. */
export function verdictText(bound) {
  const { met, missedBy } = nearest(bound)
  if (met === undefined) return 'NOT MEASURED'
  if (met) return 'met'
  return missedBy < 1
    ? `NOT MET by ${figure(missedBy * 100)} %`
    : `NOT MET, ${figure(1 + missedBy)} times what is allowed`
}

/** @param {import('./results.mjs').Verdict} bound */
export function nearest(bound) {
  const { or } = bound
  if (!or || bound.met) return bound
  return bound.met === undefined || or.met || or.missedBy < bound.missedBy ? or : bound
}

function unitText(unit) {
  return unit === 'x' ? 'x' : ` ${unit}`
}

function padded(rows) {
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
export function figure(value) {
  const rounded = Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 3 })
}

function range({ min, max }) {
  return `${figure(min)} - ${figure(max)}`
}

/** Above 1 ours is the better, whichever way the metric runs. */
export function times(quotient, { better }) {
  return `${fixed(better === 'more' ? quotient : 1 / quotient)}x`
}

function timesRange({ min, max }, { better }) {
  const [low, high] = better === 'more' ? [min, max] : [1 / max, 1 / min]
  return `${fixed(low)} - ${fixed(high)}`
}

function fixed(value) {
  return value >= 100 ? figure(value) : value.toFixed(2)
}
