/**
 * The thread of persistence/sqlite/thread/entry.ts, which dies at the points that a test has written to a file beside the
 * database, one a line. Each death uses up one line.
 *
 * `answer`: after the commit, before the reply is sent. `ask`: before the request is looked at. `start`: before the
 * file is opened.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import threads, { parentPort, workerData } from 'node:worker_threads'
import type { FileToOpen } from '../../../persistence/sqlite/file/file-to-open.ts'
import type { FromThread, ToThread } from '../../../persistence/sqlite/thread/messages.ts'

const plan = `${(workerData as FileToOpen).path}.plan`

function die(): never {
  process.exit(1)
}

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
    if (message.kind === 'replies' && dies('answer')) die()
    post(message)
  }
  if (dies('start')) die()
  const listen = (message: ToThread): void => {
    if (message.kind === 'requests' && dies('ask')) die()
  }
  parentPort.on('message', listen)
  // The thread also takes what has come from the port by itself.
  const receive = threads.receiveMessageOnPort
  threads.receiveMessageOnPort = port => {
    const received = receive(port) as { message: ToThread } | undefined
    if (received) listen(received.message)
    return received
  }
  syncBuiltinESMExports()
}

await import('../../../persistence/sqlite/thread/entry.ts')
