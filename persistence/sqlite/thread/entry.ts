/** The thread that holds the file. It exists because SQLite blocks its caller. run.ts has the logic. */
import { watch } from 'node:fs'
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../../lib/clock.ts'
import type { FileToOpen } from '../file/file-to-open.ts'
import { loadSqlite } from '../file/library.ts'
import type { ToThread } from './messages.ts'
import { type Port, runThread } from './run-thread.ts'

const portOf = (port: MessagePort): Port => ({
  post: message => port.postMessage(message),
  listen: take => void port.on('message', take),
  receive: () => (receiveMessageOnPort(port) as { message: ToThread } | undefined)?.message,
  close: () => port.close(),
})

/** The kernel of Linux reports writes by any process. Other systems report late, or not for a file that stays open. */
function watchLog(path: string, written: () => void): { close(): void } | undefined {
  try {
    const watcher = watch(`${path}-wal`, { persistent: false }, written)
    // Writes that are not reported are found by polling.
    watcher.on('error', () => {})
    return watcher
  } catch {
    // The system's limit of watches may be reached.
    return undefined
  }
}

if (!isMainThread && parentPort) {
  const means = { clock: systemClock, load: loadSqlite, ...(process.platform === 'linux' && { watchLog }) }
  void runThread(portOf(parentPort), workerData as FileToOpen, means)
}
