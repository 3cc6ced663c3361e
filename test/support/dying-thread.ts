/**
 * The thread of persistence/sqlite/thread.ts, which dies where a test says so: in a file beside the database, as lines of
 * `point` each. One line is used up by one death.
 *
 * `answer`: its commit is there, and the answer to it never leaves. `ask`: what was asked is never looked at. `start`: it
 * does not even open the file.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import type { FromThread, Opening, ToThread } from '../../persistence/sqlite/messages.ts'

const plan = `${(workerData as Opening).path}.plan`

function dies(at: string): boolean {
  if (!existsSync(plan)) return false
  const [next, ...rest] = readFileSync(plan, 'utf8').split('\n')
  if (next !== at) return false
  writeFileSync(plan, rest.join('\n'))
  return true
}

if (parentPort) {
  const post = parentPort.postMessage.bind(parentPort)
  parentPort.postMessage = (message: FromThread) => {
    if (message.kind === 'replies' && dies('answer')) process.exit(1)
    post(message)
  }
  if (dies('start')) process.exit(1)
  parentPort.on('message', (message: ToThread) => {
    if (message.kind === 'asks' && dies('ask')) process.exit(1)
  })
}

await import('../../persistence/sqlite/thread.ts')
