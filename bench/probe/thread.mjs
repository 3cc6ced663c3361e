/** The thread of the probe: one message is one transaction, answered after its commit. */
import { parentPort, workerData } from 'node:worker_threads'
import { ProbeStore } from './store.mjs'

const store = new ProbeStore(workerData.path, workerData.synchronous)
parentPort.on('message', request => parentPort.postMessage(store.exchange(request)))
