/** The file that a thread or a process of a queue runs. host.ts has the logic. */

import { getHeapStatistics } from 'node:v8'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { systemClock } from '../clock.ts'
import { Host, type HostMeans } from './host.ts'
import type { IsolateOpening, ToIsolate } from './protocol.ts'

type Means = Pick<HostMeans, 'post' | 'memory' | 'exit'>

function begin(opening: IsolateOpening, means: Means): Host {
  const host = new Host(opening, { clock: systemClock, load: module => import(module), ...means })
  void host.start()
  return host
}

function inThread(opening: IsolateOpening): void {
  const port = parentPort as NonNullable<typeof parentPort>
  const host = begin(opening, {
    post: (batch, buffers) => port.postMessage(batch, buffers as ArrayBuffer[]),
    memory: () => {
      const { used_heap_size, external_memory } = getHeapStatistics()
      return used_heap_size + external_memory
    },
    exit: () => process.exit(),
  })
  port.on('message', (batch: readonly ToIsolate[]) => host.take(batch))
}

/**
 * The first message is the opening, and the first argument the number of the parent. A process leaves signals of its
 * whole group to its parent, which stops in order and ends it then. It ends by itself when its parent is gone;
 * orphan-watch.ts sees to that even if this loop is blocked.
 */
function inProcess(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  process.on('disconnect', () => process.exit(1))
  new Worker(new URL('./orphan-watch.js', import.meta.url), {
    workerData: Number(process.argv[2]),
    execArgv: [],
  }).unref()
  const send = process.send?.bind(process) as (message: unknown) => boolean
  process.once('message', (opening: IsolateOpening) => {
    const host = begin(opening, {
      post: batch => void send(batch),
      memory: () => process.memoryUsage.rss(),
      exit: () => process.exit(),
    })
    process.on('message', (batch: readonly ToIsolate[]) => host.take(batch))
  })
}

if (!isMainThread && parentPort) inThread(workerData as IsolateOpening)
else if (process.send) inProcess()
