/** A thread of many.ts. */
import { parentPort } from 'node:worker_threads'
import { runBatch } from './many.ts'
import { clear } from './schedule.ts'

parentPort?.on('message', async (some: readonly [number, number] | 'over') => {
  if (some !== 'over') return parentPort?.postMessage(await runBatch(...some))
  clear()
  parentPort?.close()
})
