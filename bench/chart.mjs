/**
 * A horizontal bar chart as SVG: a bar for each contender, a thin line for the range of its rounds, and the figure.
 *
 * It brings its own background, and takes the colours of the reader's theme, so it is read as well where the page is dark
 * as where it is light, also where the page and the system disagree.
 */
import { figure } from './report.mjs'

const width = 800
const nameWidth = 304
const figureWidth = 86
const rowHeight = 26
const barHeight = 14
const top = 34
const bottom = 12
const plotWidth = width - nameWidth - figureWidth - 12

const style = `
  .back { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .head { font-weight: 600 }
  .soft { fill: #57606a }
  .bar { fill: #8c959f }
  .ours { fill: #0969da }
  .range { stroke: #24292f; stroke-width: 1.5 }
  .limit { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; stroke: #30363d }
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .bar { fill: #656c76 }
    .ours { fill: #4493f8 }
    .range { stroke: #e6edf3 }
    .limit { stroke: #f0883e }
  }
`

/**
 * @param {{ heading: string, bars: { name: string, value: number, min: number, max: number, ours: boolean }[], limit?: number }} chart
 *   `limit` is a line across all bars
 */
export function chartSvg({ heading, bars, limit }) {
  const height = top + bars.length * rowHeight + bottom
  const widest = Math.max(...bars.map(({ max }) => max), limit ?? 0) || 1
  const x = value => one(nameWidth + (value / widest) * plotWidth)
  const rows = bars.flatMap(({ name, value, min, max, ours }, i) => {
    const middle = top + i * rowHeight + rowHeight / 2
    const baseline = middle + 4.5
    return [
      `<text x="${nameWidth - 10}" y="${baseline}" text-anchor="end"${ours ? ' class="head"' : ''}>${escaped(fitted(name))}</text>`,
      `<rect class="${ours ? 'ours' : 'bar'}" x="${nameWidth}" y="${middle - barHeight / 2}" width="${one(Math.max(1, (value / widest) * plotWidth))}" height="${barHeight}" rx="2"/>`,
      ...(max > min ? [`<path class="range" d="M${x(min)} ${middle}H${x(max)}"/>`] : []),
      `<text x="${figureAt(x(Math.max(max, value)), limit && x(limit))}" y="${baseline}">${figure(value)}</text>`,
    ]
  })
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(heading)}</title>`,
    `<style>${style}</style>`,
    `<rect class="back" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>`,
    `<text class="soft" x="${nameWidth}" y="22">${escaped(heading)}</text>`,
    ...(limit === undefined ? [] : [`<path class="limit" d="M${x(limit)} ${top}V${height - bottom}"/>`]),
    ...rows,
    '</svg>',
  ].join('\n')}\n`
}

/** Beside the bar, or beside the limit where that would go through the figure. */
function figureAt(end, limit) {
  const crossed = limit !== undefined && limit >= end && limit < end + 50
  return one((crossed ? limit : end) + 8)
}

/** A name that is too long for its place ends in an ellipsis: the table beside the plot has it whole. */
function fitted(name) {
  const longest = 42
  return name.length <= longest ? name : `${name.slice(0, longest - 1).trimEnd()}…`
}

function one(value) {
  return Math.round(value * 10) / 10
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
