/** A thread of many.ts. */
import { parentPort } from 'node:worker_threads'
import { stretch } from './many.ts'
import { theDisk } from './schedule.ts'

parentPort?.on('message', async ([from, to]: readonly [number, number]) => {
  const told = await stretch(from, to)
  // It may be ended at any time now.
  theDisk().remove()
  parentPort?.postMessage(told)
})
