/**
 * A thread that stores nothing and never replies to a put. It replies to any other request with the number of jobs put
 * so far.
 */
import { parentPort } from 'node:worker_threads'
import type { FromThread, ToThread } from '../../../persistence/sqlite/thread/messages.ts'

let jobs = 0
const post = (message: FromThread): void => parentPort?.postMessage(message)

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'close') parentPort?.close()
  if (message.kind !== 'requests') return
  for (const [id, request] of message.requests) {
    if (request.kind === 'put') jobs += request.ids.length
    else post({ kind: 'replies', replies: [[id, { ok: jobs }]] })
  }
})
post({ kind: 'open' })
