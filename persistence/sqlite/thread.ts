/** The thread that holds the file, for SQLite blocks whoever calls it. What it does is in serve.ts. */
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../lib/clock.ts'
import { loadSqlite } from './library.ts'
import type { Opening, ToThread } from './messages.ts'
import { type Port, serve } from './serve.ts'

const portOf = (port: MessagePort): Port => ({
  post: message => port.postMessage(message),
  listen: take => void port.on('message', take),
  receive: () => (receiveMessageOnPort(port) as { message: ToThread } | undefined)?.message,
  close: () => port.close(),
})

if (!isMainThread && parentPort) {
  void serve(portOf(parentPort), workerData as Opening, { clock: systemClock, load: loadSqlite })
}
