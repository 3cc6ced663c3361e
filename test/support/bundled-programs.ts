/** Programs that tests bundle with the tools of users. Each prints what came of it as JSON. */

/** One job in a file. It can be CommonJS, too: nothing is awaited outside of a function. */
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

/** A queue in memory, with an error of each kind that a handler or a put may meet. */
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

export const namesOfMemoryProgram: readonly string[] = [
  'Unrecoverable',
  'OptionError',
  'JobUnknownError',
  'QueueStoppedError',
]
