/** Where the report is kept: its data, the page, the plots and the README, all made from the data by one command. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { charts, page } from './page.mjs'
import { withFigures } from './readme.mjs'
import { fromLines, linesOf } from './results.mjs'

const dataPath = 'docs/benchmarks/data.jsonl'

/**
 * What the report's files must hold, by their paths from the root.
 *
 * @param {string} data lines of JSON, as `--json` prints them
 * @param {string} readme
 * @returns {Record<string, string>}
 */
export function reportOf(data, readme) {
  const found = fromLines(data)
  const plots = Object.entries(charts(found.results)).map(([path, svg]) => [`docs/${path}`, svg])
  const lines = [JSON.stringify(found.machine), ...found.results.flatMap(linesOf)]
  return {
    [dataPath]: `${lines.join('\n')}\n`,
    'docs/benchmarks.md': page(found),
    ...Object.fromEntries(plots),
    'README.md': withFigures(readme, found),
  }
}

/** @returns {string[]} the lines of the report that is there, or none */
export function storedLines() {
  return existsSync(at(dataPath)) ? readFileSync(at(dataPath), 'utf8').split('\n').filter(Boolean) : []
}

/** @returns {string[]} the paths of what was written */
export function writeReport(data) {
  const folder = at(dirname(dataPath))
  mkdirSync(folder, { recursive: true })
  // What has taken a quarter of an hour is kept, whatever is wrong with the rest.
  writeFileSync(at(dataPath), data)
  const files = reportOf(data, readFileSync(at('README.md'), 'utf8'))
  // A part that is no longer measured leaves no plot behind.
  for (const name of readdirSync(folder)) if (name.endsWith('.svg')) rmSync(`${folder}/${name}`)
  for (const [path, text] of Object.entries(files)) writeFileSync(at(path), text)
  return Object.keys(files).filter(path => !path.endsWith('.svg'))
}

function at(path) {
  return fileURLToPath(new URL(`../${path}`, import.meta.url))
}
