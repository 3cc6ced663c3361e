/** A process is killed with jobs underway: how soon do they run again? */
import { performance } from 'node:perf_hooks'
import { count, file, queueOnFile } from './file.mjs'
import { worker } from './fork.mjs'

/**
 * @param {boolean} beside whether the process that goes on has its queue open already, or is only started then
 */
function recovery(beside) {
  return async ({ n }) => {
    let firstAt
    let ran = 0
    let allRan
    const all = new Promise(resolve => {
      allRan = resolve
    })
    const open = () =>
      queueOnFile(
        () => {
          firstAt ??= performance.now()
          if (++ran === n) allRan(performance.now())
        },
        { width: n },
      )

    const victim = worker('hang', { path: file, n })
    await victim.next()
    let queue = beside ? await open() : undefined
    if (ran > 0) throw new Error('a job ran while its process was alive')
    const killed = victim.kill()
    // Where nobody is there, the clock starts with who comes then.
    if (!beside) await killed
    const from = performance.now()
    queue ??= await open()
    const allAt = await all
    await queue.idle()
    const settledAt = performance.now()
    await queue.stop()
    return { first: firstAt - from, all: allAt - from, settled: settledAt - from }
  }
}

export const recoveryPart = {
  name: 'recovery',
  title: ({ n }) =>
    `a process is killed with SIGKILL while it has ${count(n)} jobs underway: until another has run them`,
  params: quick => ({ n: quick ? 1_000 : 10_000 }),
  contenders: {
    'rdq, another process is there': recovery(true),
    'rdq, started after the kill': recovery(false),
  },
  plot: 'settled',
  metrics: [
    { name: 'first', title: 'first runs again, ms', unit: 'ms', better: 'less' },
    { name: 'all', title: 'all run again', unit: 'ms', better: 'less' },
    { name: 'settled', title: 'all settled', fullTitle: 'all settled, ms', unit: 'ms', better: 'less' },
  ],
  notes: [
    'From the kill, or from the opening of the file where nobody was there. What is settled is stored.',
    'All of these jobs were underway, so each is a suspect. A process runs one suspect at a time.',
  ],
}
