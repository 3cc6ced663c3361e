/** rdq as built in this checkout. Loaded when asked for, so that the peers can be measured where it does not build. */
import { existsSync } from 'node:fs'

/** @returns {Promise<any>} what `import 'rdq'` gives a user */
export function rdq() {
  return built('lib/index.js')
}

/** @returns {Promise<any>} what `import 'rdq/cooperate'` gives a user */
export function cooperate() {
  return built('lib/cooperate/index.js')
}

/** @returns {Promise<any>} what `import 'rdq/sqlite'` gives a user */
export function sqlite() {
  return built('persistence/sqlite/index.js')
}

/** A module of its inside, as compiled for the tests. @returns {Promise<any>} */
export function compiled(file) {
  return importFrom('build', file)
}

function built(file) {
  return importFrom('dist', file)
}

async function importFrom(folder, file) {
  const url = new URL(`../${folder}/${file}`, import.meta.url)
  if (!existsSync(url)) throw new Error(`${folder}/${file} does not exist: npm run build && npm run build:test`)
  return import(url.href)
}
