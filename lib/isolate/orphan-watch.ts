/**
 * A thread in each process of a queue. It ends the process when the parent is gone, whatever the other threads do: also
 * when a handler blocks the loop, and when the parent was killed and could not end its children.
 */
import { workerData } from 'node:worker_threads'

/** How often the parent is looked for, and how long the process has to end by itself once it is gone. */
const checkMs = 1_000

const parent = workerData as number
const cell = new Int32Array(new SharedArrayBuffer(4))

/** A process whose parent has ended gets another one. On Windows it keeps the number of a process that is not there. */
function isOrphan(): boolean {
  if (process.ppid !== parent) return true
  if (process.platform !== 'win32') return false
  try {
    process.kill(parent, 0)
    return false
  } catch {
    return true
  }
}

for (let missed = 0; missed < 2; ) {
  Atomics.wait(cell, 0, 0, checkMs)
  missed = isOrphan() ? missed + 1 : 0
}
process.kill(process.pid, 'SIGKILL')
