/** What the tests of this folder share: the package, installed in an empty folder, and the tools, which lie beside this file. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { installPacked } from '../../build/test/support/packed-package.js'
import { runNode } from '../../build/test/support/repository.js'

/** The folder of a tool's package. */
export const toolFolder = name => fileURLToPath(new URL(`./node_modules/${name}`, import.meta.url))

/** The file of a tool's program, which Node runs. */
export const tool = (name, path) => join(toolFolder(name), path)

/** Installs the package once for the tests of a file. Gives what it is when asked. */
export function packed() {
  let installed
  test.before('environments: rdq is packed and installed, with better-sqlite3', async () => {
    installed = await installPacked()
    await installed.addPeer()
  })
  test.after.always('environments: the folder goes', () => installed?.remove())
  return () => installed
}

/** Runs a file to its end. All that it says is in the message when the exit code is another one. */
export async function runs(t, args, folder, code = 0) {
  t.timeout(150_000)
  const ended = await runNode(args, folder, 120_000)
  t.is(ended.code, code, ended.output)
  return ended
}

/** A program with one job in a file, which says what came of it. As CommonJS can have it, too: nothing is awaited outside. */
export const fileProgram = `
import { DispatchQueue } from 'rdq'
import { SqliteBacklog } from 'rdq/sqlite'

async function main() {
  const queue = new DispatchQueue(async n => n * 2, { name: 'q', backlog: new SqliteBacklog('jobs.db') })
  queue.on('error', () => {})
  await queue.run(21).then(
    result => console.log(JSON.stringify({ result })),
    ({ name, code, message }) => console.log(JSON.stringify({ name, code, message })),
  )
  await queue.stop()
}
main()
`

/** A queue whose handler runs in a process, and a call in a thread. The module of both is a file beside the bundle. */
export const isolateProgram = `
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { DispatchQueue } from 'rdq'
import { inThread } from 'rdq/isolate'

async function main() {
  const handler = pathToFileURL(join(process.cwd(), 'double.mjs'))
  const queue = new DispatchQueue(handler, { isolate: 'process' })
  queue.on('error', () => {})
  const said = ({ name, code, message }) => ({ name, code, message })
  const ready = await queue.ready().catch(said)
  const result = ready ?? (await queue.run(21))
  await queue.stop()
  console.log(JSON.stringify({ result, called: await inThread(handler, [21]).catch(said) }))
}
main()
`

export const doubleModule = 'export default async n => n * 2'

/** The same in memory, with an error of each kind that a handler or a put may meet. */
export const memoryProgram = `
import { DispatchQueue, Unrecoverable } from 'rdq'

async function main() {
  const handler = async n => {
    if (n < 0) throw new Unrecoverable('negative')
    return n * 2
  }
  const queue = new DispatchQueue(handler, { width: 2, rate: { limit: 100, per: '1s' }, timeout: '5s' })
  const result = await queue.run(21)
  const names = [
    await queue.run(-1).catch(error => error.name),
    await queue.put(1, { priority: 'high' }).catch(error => error.name),
    await queue.retry('nobody').catch(error => error.name),
  ]
  await queue.stop()
  names.push(await queue.put(1).catch(error => error.name))
  console.log(JSON.stringify({ result, names }))
}
main()
`

export const namesOfMemoryProgram = ['Unrecoverable', 'OptionError', 'JobUnknownError', 'QueueStoppedError']
