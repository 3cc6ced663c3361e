/** One round of one contender: `node --expose-gc child.mjs <suite> <part> <contender> <params>`, answered over IPC or on stdout. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [suiteName, partName, contender, params = '{}'] = process.argv.slice(2)

// Started by hand it makes the folder for its files itself; else its parent does, which can also remove it after a kill.
if (!process.send) {
  const folder = mkdtempSync(join(tmpdir(), 'rdq-bench-'))
  process.env.TMPDIR = process.env.TEMP = process.env.TMP = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
}

let answer
try {
  const { parts } = await import(`./suites/${suiteName}.mjs`)
  const part = parts.find(({ name }) => name === partName)
  answer = { figures: await part.contenders[contender](JSON.parse(params)) }
} catch (error) {
  const [first] = String(error?.message ?? error).split('\n')
  answer = { error: `${error?.code ? `${error.code}: ` : ''}${first}` }
}
// Exits by itself at once: a contender may hold a million jobs or a timer that nobody waits for.
if (process.send) process.send(answer, () => process.exit())
else console.log(JSON.stringify(answer))
