/** The thread that holds the file, for SQLite blocks whoever calls it. What it does is in run.ts. */
import { watch } from 'node:fs'
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../../lib/clock.ts'
import { loadSqlite } from '../file/library.ts'
import type { Opening, ToThread } from './messages.ts'
import { type Port, runThread } from './run.ts'

const portOf = (port: MessagePort): Port => ({
  post: message => port.postMessage(message),
  listen: take => void port.on('message', take),
  receive: () => (receiveMessageOnPort(port) as { message: ToThread } | undefined)?.message,
  close: () => port.close(),
})

/** The kernel of Linux tells of writes by any process. Elsewhere it does so late, or not of a file that stays open. */
function watchLog(path: string, written: () => void): { close(): void } | undefined {
  try {
    const watcher = watch(`${path}-wal`, { persistent: false }, written)
    // What is not told is found by looking.
    watcher.on('error', () => {})
    return watcher
  } catch {
    // There may be as many watches as the system allows.
    return undefined
  }
}

if (!isMainThread && parentPort) {
  const means = { clock: systemClock, load: loadSqlite, ...(process.platform === 'linux' && { watchLog }) }
  void runThread(portOf(parentPort), workerData as Opening, means)
}
