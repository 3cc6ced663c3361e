/** SQLite as several simulated processes have it, for the suite of shared backlogs. */

import type { BacklogProcess, SharedBacklog, SharedBacklogSubject } from '../../testing/index.ts'
import { Chance } from '../../testing/simulated/chance.ts'
import { Disk } from '../../testing/simulated/disk.ts'
import { Machine } from '../../testing/simulated/machine.ts'
import { SimulatedProcess } from '../../testing/simulated/process.ts'
import type { ThreadOwner } from '../../testing/simulated/thread.ts'

let seed = 0

export const sharedSqlite: SharedBacklogSubject = { make: () => new SharedFile() }

class SharedFile implements SharedBacklog {
  readonly #disk = new Disk()
  readonly #machine = new Machine(new Chance(++seed))
  readonly #path = this.#disk.make()
  readonly #losing = new Set<ThreadOwner>()
  #processes = 0

  process(): BacklogProcess {
    const process = new SimulatedProcess(this.#machine, `process ${++this.#processes}`, (thread, point) => {
      if (point === 'committed' && this.#losing.delete(thread.process)) thread.fail(new Error('the connection broke'))
    })
    return {
      backlog: process.backlog(this.#path, { stallMs: 1_000 }),
      clock: process.clock,
      die: () => process.kill(),
      block: ms => process.block(ms),
      loseReply: () => void this.#losing.add(process),
    }
  }
  async pass(ms: number): Promise<void> {
    await this.#machine.run(ms)
  }
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.#machine.run(60_000, () => isSettled)
    return promise
  }
  remove(): void {
    this.#disk.remove()
  }
}
