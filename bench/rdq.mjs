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

/** A module of rdq's inside, for who looks at that. @returns {Promise<any>} */
export async function built(file) {
  const url = new URL(`../dist/${file}`, import.meta.url)
  if (!existsSync(url)) throw new Error(`dist/${file} is not there: npm run build`)
  return import(url.href)
}
