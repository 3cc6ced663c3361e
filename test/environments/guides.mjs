/** The guides for those who come from another queue: their examples, the rows of their tables, and what bites. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { DispatchQueue } from '../../build/lib/queue.js'
import { SqliteBacklog } from '../../build/persistence/sqlite/index.js'
import { root, runNode } from '../../build/test/support/repository.js'
import { toolFolder } from './support.mjs'

export const pageOf = name => readFileSync(join(root, `docs/guides/from-${name}.md`), 'utf8')
export const blockOf = (page, language) => new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)[1]
export const rowsOf = page =>
  [...page.matchAll(/^\| (.*?) \| (.*?) \|$/gm)].slice(2).map(([, old, ours]) => ({ old, ours }))
/** The bold words with which each difference begins. */
const bitesOf = page => [...page.matchAll(/^- \*\*(.*?)\*\*/gm)].map(([, words]) => words)

/** A folder in which other packages than rdq can be imported, too. */
export async function placeWith(installed, name, files, others = [name]) {
  const place = await installed.place(name, { 'package.json': '{ "type": "module" }', ...files })
  for (const other of others) symlinkSync(toolFolder(other), join(installed.folder, 'node_modules', other), 'junction')
  return place
}

/**
 * Declares a test for each row of a guide's table and for each difference that bites. Each has the words of the page: one
 * that no test shows fails, and so does a test whose row, in either column, has changed or gone. `declare` is `test.serial` where time is
 * measured that a busy event loop would make longer.
 */
export function testsOf(name) {
  const page = pageOf(name)
  const rows = rowsOf(page).map(({ old, ours }) => `${old} is ${ours}`)
  const shown = []
  return {
    row(old, ours, body, declare = test) {
      shown.push(`${old} is ${ours}`)
      declare(`${name}: ${old} is ${ours}`, body)
    },
    bites(words, body, declare = test) {
      shown.push(words)
      declare(`${name}: what bites: ${words}`, body)
    },
    /** `unseen`: differences that no run can show. */
    complete(unseen) {
      test(`${name}: each row of its guide, and each difference that bites, is run`, t => {
        t.deepEqual([...shown, ...unseen].sort(), [...rows, ...bitesOf(page)].sort())
      })
    },
  }
}

/** A queue on a file of its own, until the test ends. A second one with the same `file` shares it. */
export function ours(t, handler, options = {}, file = fileOf(t)) {
  const queue = new DispatchQueue(handler, { name: 'q', backlog: new SqliteBacklog(file), ...options })
  queue.on('failed', () => {})
  t.teardown(() => queue.stop({ cancelUnderway: true, grace: 0 }))
  return queue
}

export function fileOf(t) {
  const folder = mkdtempSync(join(tmpdir(), 'rdq-guide-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }))
  return join(folder, 'jobs.db')
}

/** Resolves when that is so: how long it takes is up to the machine. */
export async function until(isSo) {
  while (!(await isSo())) await sleep(10)
}

/** A handler's body that counts how many run at once. `end` gets its number, from 1, and gives what it ends with. */
export function counting(end) {
  const seen = { now: 0, most: 0, all: 0 }
  const body = async () => {
    const number = ++seen.all
    seen.most = Math.max(seen.most, ++seen.now)
    await end(number)
    seen.now--
  }
  return { seen, body }
}

/** A gate: `open` lets everybody through who waits for `opened`. */
export function gate() {
  let open
  const opened = new Promise(resolve => {
    open = resolve
  })
  return { open, opened }
}

/**
 * Runs a process that puts one job, `x`, where the file has none, and dies in the middle of its body, which has said its
 * attempt and its crashes.
 */
export function deadRun(file) {
  const from = path => JSON.stringify(import.meta.resolve(path))
  return runNode([
    '--input-type=module',
    '--eval',
    `import { DispatchQueue } from ${from('../../build/lib/index.js')}
    import { SqliteBacklog } from ${from('../../build/persistence/sqlite/index.js')}
    const handler = async (_, task) => {
      console.log(task.attempt, task.crashes)
      await new Promise(resolve => setTimeout(resolve, 300))
      process.exit(7)
    }
    const queue = new DispatchQueue(handler, { name: 'q', backlog: new SqliteBacklog(${JSON.stringify(file)}) })
    await queue.put(1, { id: 'x' })`,
  ])
}
