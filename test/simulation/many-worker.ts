/** A thread of many.ts. */
import { parentPort } from 'node:worker_threads'
import { stretch } from './many.ts'
import { clear } from './schedule.ts'

parentPort?.on('message', async (some: readonly [number, number] | 'over') => {
  if (some !== 'over') return parentPort?.postMessage(await stretch(...some))
  clear()
  parentPort?.close()
})
