/** rdq as built in this checkout. Loaded when asked for, so that the peers can be measured where it does not build. */
import { existsSync } from 'node:fs'

/** @returns {Promise<any>} what `import 'rdq'` gives a user */
export function rdq() {
  return built('index.js')
}

/** @returns {Promise<any>} what `import 'rdq/cooperate'` gives a user */
export function cooperate() {
  return built('cooperate.js')
}

async function built(file) {
  const url = new URL(`../dist/lib/${file}`, import.meta.url)
  if (!existsSync(url)) throw new Error(`dist/lib/${file} is not there: npm run build`)
  return import(url.href)
}
