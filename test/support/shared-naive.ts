/** The naive backlog as several processes have it, for the suite of shared backlogs: all of them under one clock. */
import { ReplyLostError, type Request, type RequestResult, type Store } from '../../persistence/durable/store.ts'
import type { BacklogProcess, SharedBacklog, SharedBacklogSubject } from '../../testing/index.ts'
import { VirtualClock } from '../../testing/index.ts'
import { answeringLater } from './late-store.ts'
import { NaiveBacklog } from './naive-backlog.ts'
import { NaiveDatabase } from './naive-database.ts'
import type { NaiveStore } from './naive-store.ts'

export const sharedNaive: SharedBacklogSubject = { make: () => new SharedDatabase() }
/** The same where every reply of the store comes in a later turn of the loop. */
export const lateSharedNaive: SharedBacklogSubject = { make: () => new SharedDatabase(true) }

/** How long a process may not answer before it loses what it has claimed. */
const stallMs = 1_000

class SharedDatabase implements SharedBacklog {
  readonly #db = new NaiveDatabase()
  readonly #clock = new VirtualClock()
  readonly #alive = new Set<NaiveBacklog>()
  readonly #isLate: boolean

  constructor(isLate = false) {
    this.#isLate = isLate
  }
  process(): BacklogProcess {
    const faults: Faults = { isDead: false, losesReply: false }
    const around = (store: NaiveStore): Store => {
      const failing = faulty(store, faults)
      return this.#isLate ? answeringLater(failing) : failing
    }
    const backlog = new NaiveBacklog(this.#db, around, this.#isLate)
    const clock = this.#clock
    this.#alive.add(backlog)
    return {
      backlog,
      clock,
      die: () => {
        faults.isDead = true
        this.#alive.delete(backlog)
        for (const other of this.#alive) other.recover(backlog)
      },
      block: ms => {
        if (ms > stallMs) clock.at(clock.now() + stallMs, () => backlog.surrender())
      },
      loseReply: () => {
        faults.losesReply = true
      },
    }
  }
  async pass(ms: number): Promise<void> {
    await this.#clock.advance(ms)
  }
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.#clock.settle()
    for (let ms = 0; !isSettled && ms < 60_000; ms += 10) await this.#clock.advance(10)
    return promise
  }
  remove(): void {}
}

interface Faults {
  isDead: boolean
  /** The reply to the next exchange is lost after its commit. */
  losesReply: boolean
}

function faulty(store: NaiveStore, faults: Faults): Store {
  return {
    transact(requests: readonly Request[]): readonly RequestResult[] | Promise<never> {
      if (faults.isDead) return new Promise(() => {})
      const answers = store.transact(requests)
      if (!faults.losesReply) return answers
      faults.losesReply = false
      throw new ReplyLostError('the connection broke')
    },
    query: request => store.query(request),
    workers: () => store.workers(),
    recover: (worker, now) => store.recover(worker, now),
    surrender: now => store.surrender(now),
    close: () => store.close(),
    onChange: changed => store.onChange(changed),
  }
}
